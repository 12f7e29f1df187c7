"""A clock that only the test moves, and what the clock on a patient's wall shows."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from attrs import define

from reminderd.core.schedule.calling_hours import CallingHours
from tests.support.builders import DAY, MINUTE, NOW
from tests.support.waiting import until


@define
class HandClock:
    time: datetime = NOW
    seconds: float = 0.0

    def now(self) -> datetime:
        return self.time

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, by: timedelta) -> None:
        self.time += by
        self.seconds += by.total_seconds()


@define
class SeenClock(HandClock):
    """Counts how often it was read."""

    looks: int = 0

    def now(self) -> datetime:
        self.looks += 1
        return self.time

    async def is_looked_at_again(self, times: int = 3) -> None:
        """Wait until the clock was read several times more: what was not done then is not done now."""
        before = self.looks
        await until(lambda: self.looks > before + times)


def may_ring(calling_hours: CallingHours, moment: datetime, zone: ZoneInfo) -> bool:
    """Return whether the wall clock of `zone` is within hours that began today or yesterday.

    It is slow and simple, to compare with the calling hours.
    """
    wall = moment.astimezone(zone).replace(tzinfo=None)
    today = wall.replace(hour=0, minute=0, second=0, microsecond=0)
    for midnight in (today, today - DAY):
        if f"{midnight:%Y-%m-%d}" in calling_hours.holidays or f"{midnight:%m-%d}" in calling_hours.holidays:
            continue
        for span in calling_hours.week[midnight.weekday()]:
            if midnight + span.start * MINUTE <= wall < midnight + span.end * MINUTE:
                return True
    return False
