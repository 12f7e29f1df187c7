"""Simulate a voice provider to develop against, over real HTTP: the generic contract, or Twilio's API."""
