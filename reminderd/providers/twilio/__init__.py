"""Twilio: requests and what their answers mean, signed webhooks, and the TwiML that answers them."""
