"""reminderd rings patients before their appointments and records what the provider reports back."""

__version__ = "0.1.0"
