"""Every transition of reminders and calls: sync functions of the database's rows, an event, the rules and the time.

They have no I/O and no clock, and no randomness except what is passed in. `docs/states.md` has the tables.
"""
