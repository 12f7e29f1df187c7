"""The commands of staff and admin: one file for each group of commands."""
