"""SQLite: connections, transactions, the schema, copies and their restoring."""
