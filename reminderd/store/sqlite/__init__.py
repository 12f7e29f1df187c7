"""Code that only SQLite needs: connections, transactions, the schema, copies and restores."""
