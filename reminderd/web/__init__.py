"""The web server: the provider's webhooks, the API for the clinic's own system, health and metrics."""
