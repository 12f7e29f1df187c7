"""Check everything that a running daemon depends on, and say what to fix."""
