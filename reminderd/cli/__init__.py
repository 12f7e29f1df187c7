"""The operator's door: one file a group of commands."""
