"""A clock that only the test moves."""

from datetime import datetime, timedelta

from attrs import define

from tests.support.builders import NOW


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
