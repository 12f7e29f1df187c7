"""The rules of the house, pure: what a reminder is and what becomes of it. No I/O, no clock, no chance."""
