"""SQLite: connections, transactions, the schema, copies and restores."""
