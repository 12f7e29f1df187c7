"""Say in words what a row of a table asks for."""

from datetime import datetime
from zoneinfo import ZoneInfo

from reminderd.core.appointments import AppointmentRequest
from reminderd.core.requests import ReminderRequest
from reminderd.core.tables.rows import Asked


def in_words(asked: Asked | list[str], zone: ZoneInfo) -> str:
    """Return what a row asks for, with times on the clinic's clock; or why it is rejected."""
    if isinstance(asked, list):
        return f"rejected: {'; '.join(asked)}"
    named = "" if asked.ref is None else f" ({asked.ref})"
    if isinstance(asked, ReminderRequest):
        return f'call {asked.phone_number} on {_day(asked.scheduled_at, zone)}: "{asked.message}"{named}'
    if isinstance(asked, AppointmentRequest):
        what = " ".join(filter(None, (asked.type, asked.name and f"of {asked.name}")))
        whose = f"{what}, {asked.phone_number}" if what else asked.phone_number
        return f"appointment on {_day(asked.at, zone)}: {whose}{named}"
    return f"does not take place: what waits for it is cancelled{named}"


def _day(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%A, %Y-%m-%d %H:%M}"
