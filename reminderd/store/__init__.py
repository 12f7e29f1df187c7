"""What the product asks of its database; what only SQLite needs is in `sqlite/`."""
