"""Carries the decisions out: claims what is due, sends requests, looks calls up, and spares a failing provider."""
