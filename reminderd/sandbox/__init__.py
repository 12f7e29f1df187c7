"""Simulate a voice provider for development, over real HTTP: the generic contract, or Twilio's API."""
