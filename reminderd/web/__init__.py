"""The provider's door: webhooks and health, over HTTP."""
