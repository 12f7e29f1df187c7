"""The voice providers: requests, answers, webhook verification and parsing."""
