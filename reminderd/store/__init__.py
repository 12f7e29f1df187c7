"""Everything that the product asks of its database; code that only SQLite needs is in `sqlite/`."""
