"""Checks everything that a running daemon depends on, and says what to fix."""
