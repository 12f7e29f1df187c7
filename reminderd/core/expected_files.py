"""Decide whether a file that was expected in the folder is missing."""

from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from attrs import frozen

from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.schedule.time_zones import Daily
from reminderd.core.sentences import Sentence, text_of

_DAY: Final = timedelta(days=1)
_LATE: Final = timedelta(hours=6)
"""A file that comes so late is still the one that was expected, and not the next."""
_LOOK_BACK_DAYS: Final = 31

MISSING: Final = "no file has come to [import].folder: one was expected by %(moment)s"


def missing_words(missing: datetime, zone: ZoneInfo) -> str:
    """Return what is wrong if a file has not come by this moment."""
    return text_of(Sentence(MISSING, {"moment": missing.astimezone(zone)}), lambda moment: f"{moment:%Y-%m-%d %H:%M}")


@frozen(kw_only=True)
class Expected:
    """By when a file is expected in the folder, on each day with calling hours."""

    by: Daily
    hours: CallingHours
    profile: str | None = None
    """Whose files are expected; None: a file of any."""

    def missing(self, last: datetime | None, now: datetime) -> datetime | None:
        """Return the moment by which a file should have come, if it has not; None: nothing is missing.

        A file of Friday night is the one for Monday, if nobody is called in between.

        Args:
            last: when the last one has come; None: there was none.
            now: the time.
        """
        today = now.astimezone(self.by.zone).date()
        days = (today - back * _DAY for back in range(_LOOK_BACK_DAYS))
        moments = [self.by.on(day) for day in days if self.hours.opens_on(day)]
        past = [moment for moment in moments if moment <= now]
        if not past:
            return None
        before = past[1] if len(past) > 1 else past[0] - _DAY
        return past[0] if last is None or last < min(before + _LATE, past[0]) else None
