"""Every transition of reminders and calls: sync functions of what the database holds, an event, the rules and the time.

No I/O, no clock, and no randomness but what is passed in. `docs/states.md` has the tables.
"""
