"""Twilio: its requests and what their answers mean, its signed webhooks, and the TwiML that they are answered with."""
