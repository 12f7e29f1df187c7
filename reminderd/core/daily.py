"""When something that is done once a day is due: at one time of the clinic's day, and at once if that was missed."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from attrs import frozen

_DAY = timedelta(days=1)


@frozen(kw_only=True)
class Daily:
    """A time of day, on the clock of a zone."""

    at: time
    zone: ZoneInfo

    def due(self, last: datetime | None, now: datetime) -> datetime:
        """When it is due next; in the past, or `now`, if it should have been done already.

        Args:
            last: when it was done last; None: never.
            now: the time.
        """
        today = now.astimezone(self.zone).date()
        yesterdays, todays, tomorrows = (self._moment(today + days * _DAY) for days in (-1, 0, 1))
        latest = todays if todays <= now else yesterdays
        if last is None:
            return now
        if last < latest:
            return latest
        return todays if todays > now else tomorrows

    def _moment(self, day: date) -> datetime:
        """A time that a change of the clocks leaves out is as much later as the clocks were put on."""
        return datetime.fromtimestamp(datetime.combine(day, self.at, tzinfo=self.zone).timestamp(), self.zone)
