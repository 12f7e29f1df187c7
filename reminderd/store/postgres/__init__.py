"""PostgreSQL: the same schema as SQLite's, for several machines."""
