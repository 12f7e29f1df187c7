"""Simulate Twilio strictly: its Voice REST API, its webhooks and how it reads TwiML."""
