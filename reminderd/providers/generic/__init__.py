"""The generic contract: a provider, or a gateway in front of one, that speaks JSON as docs/webhooks.md describes."""
