"""Simulate a provider of the generic contract."""
