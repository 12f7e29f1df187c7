"""SQLite: everything that only this engine needs. No other module uses its own words."""
