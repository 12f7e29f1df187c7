"""Carry out the decisions: claim what is due, send requests, look up calls, and pause for a failing provider."""
