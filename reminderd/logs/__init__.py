"""Write the log that the admin reads: loguru, with the libraries' logging routed in and phone numbers masked."""

from reminderd.logs.configure import configure_logs
from reminderd.logs.lifecycle import log_expired, log_pause, log_quiet, log_transition

__all__ = [
    "configure_logs",
    "log_expired",
    "log_pause",
    "log_quiet",
    "log_transition",
]
