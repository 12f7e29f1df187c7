"""The database: the only rooms that speak SQLite."""
