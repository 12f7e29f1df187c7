"""What the admin reads: loguru, with the libraries' logging routed in and phone numbers masked."""

from reminderd.logs.cleaning import masked, without_any_numbers, without_numbers
from reminderd.logs.configure import configure_logs
from reminderd.logs.telling import tell, tell_of_pause

__all__ = ["configure_logs", "masked", "tell", "tell_of_pause", "without_any_numbers", "without_numbers"]
