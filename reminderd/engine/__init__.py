"""Carries out the decisions: claims what is due, sends requests, looks up calls, and pauses for a failing provider."""
