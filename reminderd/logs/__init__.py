"""What the admin reads: loguru, with the libraries' logging routed in and phone numbers masked."""

from reminderd.logs.cleaning import masked
from reminderd.logs.configure import configure_logs
from reminderd.logs.telling import tell

__all__ = ["configure_logs", "masked", "tell"]
