"""Read a spreadsheet's rows: its records, the columns that it has, and what a row asks for."""
