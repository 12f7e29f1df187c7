"""Call patients before their appointments and record what the provider reports back."""

__version__ = "0.1.0"
