"""The Retry-After header: when a provider wants to be asked again."""

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final

LONGEST_WAIT: Final = timedelta(hours=1)
"""A Retry-After beyond it is cut to it."""


def retry_after(header: str | None, now: datetime) -> timedelta | None:
    """A Retry-After header (RFC 9110, 10.2.3: seconds or a date), from 0 to one hour; None if absent or malformed."""
    text = (header or "").strip()
    if text.isascii() and text.isdigit():
        # More digits than any sane wait has: not worth an integer.
        return min(timedelta(seconds=int(text)), LONGEST_WAIT) if len(text) < 9 else LONGEST_WAIT
    try:
        at = parsedate_to_datetime(text)
        wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    except (ValueError, OverflowError):  # OverflowError: a date that its zone moves beyond the year 9999
        return None
    return min(max(wait, timedelta(0)), LONGEST_WAIT)
