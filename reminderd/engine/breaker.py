"""A failing provider pauses all dialing: it gets no requests for a while, then one call at a time as a probe."""

from enum import StrEnum
from typing import Final

from reminderd.core.answers import Accepted, AccountTrouble, Answer, NotPlaced, Refused, Unclear
from reminderd.core.backoff import Backoff

BAD_ANSWERS_IN_A_ROW: Final = 10
"""This many unclear or not-placed answers, with no acceptance and no webhook in between, mean a failing provider."""


class Turn(StrEnum):
    """What an answer or a webhook did to the pause."""

    BEGAN = "began"
    ENDED = "ended"


class _Kind(StrEnum):
    TOLD = "told"
    """The provider has refused: too many requests, or our account or URL is not accepted."""
    STREAK = "streak"
    """Nothing but bad answers; any sign of life ends it."""


class Breaker:
    """Holds the pause in this process's memory. Times are seconds of a monotonic clock, draws are in [0, 1)."""

    def __init__(self, backoff: Backoff) -> None:
        self.backoff = backoff
        """How long the pauses are; a new value applies from the next pause on."""
        self._bad_in_a_row = 0
        self._kind: _Kind | None = None
        self._failures = 0
        self._until = 0.0
        self._probe: str | None = None
        self.reason: str | None = None
        """Why dialing is paused, as a sentence for the admin; None while it is not."""

    @property
    def paused(self) -> bool:
        """Return whether the provider is failing, including during the probe: no request counts as a try then."""
        return self._kind is not None

    def room(self, now: float) -> int | None:
        """Return how many requests may be sent now: None for no limit, 0 during the pause, 1 for the probe."""
        if self._kind is None:
            return None
        return 1 if now >= self._until and self._probe is None else 0

    def next_at(self, now: float) -> float:
        """Return when the probe may be sent; `now` if nothing holds it back, or while one is in flight."""
        return max(now, self._until) if self._kind is not None else now

    def probe_soon(self, now: float) -> None:
        """Allow the probe now: what the provider refused has changed."""
        self._until = min(self._until, now)

    def sends(self, call_id: str) -> None:
        """Record that a request is being sent; during the pause it is the probe."""
        if self._kind is not None and self._probe is None:
            self._probe = call_id

    def withdrawn(self, call_id: str) -> None:
        """Record that the request was not sent after all, so that another may be the probe."""
        if self._probe == call_id:
            self._probe = None

    def heard(self, call_id: str, answer: Answer, now: float, draw: float) -> Turn | None:
        """Record the provider's answer to a request."""
        was_probe = self._probe == call_id
        if was_probe:
            self._probe = None
        match answer:
            case Accepted():
                self._bad_in_a_row = 0
                return self._end()
            case Refused():  # the provider works, but this does not prove acceptance: the next probe need not wait
                if was_probe:
                    self._until = now
                return None
            case AccountTrouble(reason):
                return self._pause(_Kind.TOLD, reason, now, draw, again=was_probe)
            case NotPlaced(reason, retry_after, rate_limited=True):
                floor = 0.0 if retry_after is None else retry_after.total_seconds()
                return self._pause(_Kind.TOLD, reason, now, draw, again=was_probe, floor=floor)
            case NotPlaced(reason) | Unclear(reason):
                self._bad_in_a_row += 1
                if was_probe and self._kind is not None:
                    return self._pause(self._kind, reason, now, draw, again=True)
                if self._bad_in_a_row >= BAD_ANSWERS_IN_A_ROW:
                    return self._pause(_Kind.STREAK, reason, now, draw, again=False)
                return None

    def webhook_came(self) -> Turn | None:
        """Record a webhook: the provider is able to report, which breaks a streak."""
        self._bad_in_a_row = 0
        return self._end() if self._kind is _Kind.STREAK else None

    def _pause(
        self, kind: _Kind, reason: str, now: float, draw: float, *, again: bool, floor: float = 0.0
    ) -> Turn | None:
        """Begin the pause, or make it longer if the probe failed; answers to older requests only add their minimum."""
        began = self._kind is None
        if began or again:
            self._failures += 1
            pause = self.backoff.half_jitter(self._failures, draw).total_seconds()
            self._until = max(self._until if not began else now, now + max(pause, floor))
            self._kind, self.reason = kind, reason
        else:
            self._until = max(self._until, now + floor)
            if kind is _Kind.TOLD:
                self._kind, self.reason = kind, reason
        return Turn.BEGAN if began else None

    def _end(self) -> Turn | None:
        ended = self._kind is not None
        self._kind = self.reason = None
        self._failures = 0
        return Turn.ENDED if ended else None
