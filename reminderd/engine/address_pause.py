"""Pause dialing while the provider does not reach our own address, but for one call at a time as a probe."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from reminderd.core.answers import Accepted, Answer
from reminderd.core.lifecycle.address import UNREACHED
from reminderd.core.model import Call
from reminderd.core.rules import Backoff

BETWEEN_PROBES: Final = Backoff(timedelta(minutes=5), timedelta(hours=1))
"""A probe calls a patient, who hears nothing if our address is still failing, and its end is known minutes later."""


class Turn(StrEnum):
    """How an event changed a pause."""

    BEGAN = "began"
    ENDED = "ended"


class AddressPause:
    """The pause, as the database has it. Times are seconds of a monotonic clock, draws are in [0, 1)."""

    def __init__(self, backoff: Backoff = BETWEEN_PROBES) -> None:
        self._backoff = backoff
        self.asked_in_vain = False
        """The provider has asked, or may have asked, what to say, and that could not be recorded yet."""
        self._since: datetime | None = None
        self._probes = 0
        self._until = 0.0
        self._probe: str | None = None
        self._probed: set[str] = set()

    @property
    def reason(self) -> str | None:
        """Return why dialing is paused, as a sentence for the admin; None while it is not."""
        return None if self._since is None else UNREACHED

    @property
    def last(self) -> frozenset[str]:
        """Return the numbers that are a probe only where no other number waits: they were called already."""
        return frozenset(self._probed)

    def update(self, since: datetime | None, now: float, draw: float) -> Turn | None:
        """Begin or end the pause: `since` is when our address began to fail by the database, None if it works.

        A process that starts while it fails waits before its first probe, too.
        """
        before, self._since = self._since, since
        if since is None:
            self._probes = 0
            self._probed.clear()
            return None if before is None else Turn.ENDED
        if before is not None:
            return None
        self._wait(now, draw)
        return Turn.BEGAN

    def room(self, now: float) -> int | None:
        """Return how many requests may be sent now: None for no limit, 0 during the pause, 1 for the probe."""
        if self._since is None:
            return None
        return 1 if now >= self._until and self._probe is None else 0

    def next_at(self, now: float) -> float:
        """Return when the probe may be sent; `now` if nothing holds it back, or while its request is in flight."""
        return now if self._since is None else max(now, self._until)

    def probe_soon(self, now: float) -> None:
        """Allow the probe now: somebody may have fixed what keeps the provider from us."""
        self._until = min(self._until, now)

    def sends(self, call_id: str) -> None:
        """Record that a request is being sent; during the pause it is the probe."""
        if self._since is not None and self._probe is None:
            self._probe = call_id

    def withdrawn(self, call_id: str) -> None:
        """Record that the request is over, or was not sent after all."""
        if self._probe == call_id:
            self._probe = None

    def answered(self, call: Call, answer: Answer, now: float, draw: float) -> None:
        """Record the provider's answer to a request: a probe that was accepted is the only one for a while."""
        if self._probe == call.id and isinstance(answer, Accepted):
            self._probed.add(call.phone_number)
            self._wait(now, draw)

    def _wait(self, now: float, draw: float) -> None:
        self._probes += 1
        self._until = now + self._backoff.half_jitter(self._probes, draw).total_seconds()
