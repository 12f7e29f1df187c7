"""Read a spreadsheet: its rows, its columns, and what each row asks for."""
