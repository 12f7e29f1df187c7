"""Offer the commands of staff and admin: one file for each group of commands."""
