"""A slow and simple check whether a phone may ring, to compare with the calling hours."""

from datetime import datetime
from zoneinfo import ZoneInfo

from reminderd.core.schedule.calling_hours import CallingHours
from tests.support.builders import DAY, MINUTE


def may_ring(calling_hours: CallingHours, moment: datetime, zone: ZoneInfo) -> bool:
    """Return whether the wall clock of `zone` is within hours that began today or yesterday."""
    wall = moment.astimezone(zone).replace(tzinfo=None)
    today = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    for midnight in (today, today - DAY):
        if f"{midnight:%Y-%m-%d}" in calling_hours.holidays or f"{midnight:%m-%d}" in calling_hours.holidays:
            continue
        for span in calling_hours.week[midnight.weekday()]:
            if midnight + span.start * MINUTE <= wall < midnight + span.end * MINUTE:
                return True
    return False
