"""The rules, as pure functions: what a reminder is, and what happens to it. No I/O, no clock, no randomness."""
