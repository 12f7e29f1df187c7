"""Pause all dialing while the provider fails or can't reach our address, except for one call at a time as a probe."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from reminderd.core.answers import Accepted, AccountRefused, NotPlaced, PlacingAnswer, Refused, Unclear
from reminderd.core.model import Call
from reminderd.core.reasons import UNREACHED
from reminderd.core.rules import Backoff

BETWEEN_PROBES: Final = Backoff(timedelta(minutes=5), timedelta(hours=1))
"""The time between probes: each calls a patient, who hears nothing if our address still fails, which takes minutes."""


class PauseChange(StrEnum):
    """How an event changed a pause."""

    BEGAN = "began"
    ENDED = "ended"


class AddressPause:
    """The pause for our own address, from the database. Times are seconds of a monotonic clock; draws are in [0, 1)."""

    def __init__(self, backoff: Backoff = BETWEEN_PROBES) -> None:
        self._backoff = backoff
        self.asked_without_answer = False
        """Whether the provider may have asked what to say without an answer, which could not be recorded yet."""
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
    def last_resort(self) -> frozenset[str]:
        """Return the numbers that become a probe only if no other number waits, as they were already called."""
        return frozenset(self._probed)

    def update(self, since: datetime | None, now: float, draw: float) -> PauseChange | None:
        """Begin or end the pause. `since` is when our address began to fail, by the database; None if it works.

        A process that starts during the failure also waits before its first probe.
        """
        before, self._since = self._since, since
        if since is None:
            self._probes = 0
            self._probed.clear()
            return None if before is None else PauseChange.ENDED
        if before is not None:
            return None
        self._wait(now, draw)
        return PauseChange.BEGAN

    def request_limit(self, now: float) -> int | None:
        """Return how many requests may be sent now: None for no limit, 0 during the pause, 1 for the probe."""
        if self._since is None:
            return None
        return 1 if now >= self._until and self._probe is None else 0

    def next_at(self, now: float) -> float:
        """Return when the probe may be sent; `now` if nothing holds it back, or while its request is in flight."""
        return now if self._since is None else max(now, self._until)

    def probe_soon(self, now: float) -> None:
        """Allow the probe now, as somebody may have fixed the address."""
        self._until = min(self._until, now)

    def note_sending(self, call_id: str) -> None:
        """Record that a request is being sent; during the pause it is the probe."""
        if self._since is not None and self._probe is None:
            self._probe = call_id

    def note_withdrawn(self, call_id: str) -> None:
        """Record that the request is over, or was not sent after all."""
        if self._probe == call_id:
            self._probe = None

    def note_answer(self, call: Call, answer: PlacingAnswer, now: float, draw: float) -> None:
        """Record the provider's answer to a request; after an accepted probe, the next one waits."""
        if self._probe == call.id and isinstance(answer, Accepted):
            self._probed.add(call.phone_number)
            self._wait(now, draw)

    def _wait(self, now: float, draw: float) -> None:
        self._probes += 1
        self._until = now + self._backoff.half_jitter(self._probes, draw).total_seconds()


BAD_ANSWERS_IN_A_ROW: Final = 10
"""This many unclear or not-placed answers, with no acceptance and no webhook in between, mean a failing provider …"""

NUMBERS_IN_A_ROW: Final = 2
"""… if they are about this many numbers. If our account may not call this many numbers, it may not call any."""

LONGEST_FOR_NUMBERS: Final = 30.0
"""The longest pause in seconds while only numbers were refused, as the next number may be accepted."""

_REMEMBERED: Final = 500
"""The most numbers that are remembered; then the oldest is forgotten."""

T = TypeVar("T")


class _Kind(StrEnum):
    REFUSED = "refused"
    """The provider has refused: too many requests, or our account or URL is not accepted."""
    NUMBERS = "numbers"
    """The provider has refused different numbers, as numbers that our account may not call."""
    STREAK = "streak"
    """There were only bad answers; any sign of life ends the pause."""


class Breaker:
    """Holds the pause in this process's memory. Times are seconds of a monotonic clock, draws are in [0, 1)."""

    def __init__(self, backoff: Backoff, address: AddressPause | None = None) -> None:
        self.address = address or AddressPause()
        """The pause for our own address, which is separate from the pause for the provider."""
        self.backoff = backoff
        """How long the pauses are; a new value applies from the next pause on."""
        self._bad_in_a_row = 0
        self._bad_numbers: set[str] = set()
        self._kind: _Kind | None = None
        self._failures = 0
        self._until = 0.0
        self._probe: str | None = None
        self._not_ours: dict[str, bool] = {}
        """Numbers that our account may not call, and whether another number was accepted since the first refusal."""
        self._tried: dict[str, None] = {}
        """Numbers that were not accepted in this pause."""
        self.reason: str | None = None
        """Why dialing is paused, as a sentence for the admin; None while it is not."""

    @property
    def paused(self) -> bool:
        """Return whether the provider is failing, including during the probe: no request counts as a try then."""
        return self._kind is not None

    @property
    def last_resort(self) -> frozenset[str]:
        """Return the numbers that become a probe only if no other number waits, as they prove nothing about others."""
        refused = frozenset(self._not_ours) | frozenset(self._tried) if self.paused else frozenset()
        return refused | self.address.last_resort

    def counts(self, call: Call, answer: PlacingAnswer) -> bool:
        """Return whether a request that was not placed counts as a try of its reminders.

        It does not count while the provider is failing, or may be. A refused number counts only once another one was
        accepted: before that, our account may not be allowed to call any number.
        """
        is_refused_number = isinstance(answer, NotPlaced) and answer.number_refused
        return not self.paused and (not is_refused_number or self._not_ours.get(call.phone_number, False))

    def request_limit(self, now: float) -> int | None:
        """Return how many requests may be sent now: None for no limit, 0 during the pause, 1 for the probe."""
        by_address = self.address.request_limit(now)
        if self._kind is None:
            return by_address
        by_provider = 1 if now >= self._until and self._probe is None else 0
        return by_provider if by_address is None else min(by_provider, by_address)

    def next_at(self, now: float) -> float:
        """Return when the probe may be sent; `now` if nothing holds it back, or while one is in flight."""
        return max(self.address.next_at(now), self._until if self._kind is not None else now)

    def probe_soon(self, now: float) -> None:
        """Allow the probe now, as the settings that the provider refused have changed."""
        self._until = min(self._until, now)

    def note_sending(self, call_id: str) -> None:
        """Record that a request is being sent; during the pause it is the probe."""
        self.address.note_sending(call_id)
        if self._kind is not None and self._probe is None:
            self._probe = call_id

    def note_withdrawn(self, call_id: str) -> None:
        """Record that the request was not sent after all, so that another may be the probe."""
        self.address.note_withdrawn(call_id)
        if self._probe == call_id:
            self._probe = None

    def note_answer(self, call: Call, answer: PlacingAnswer, now: float, draw: float) -> PauseChange | None:
        """Record the provider's answer to a request."""
        self.address.note_answer(call, answer, now, draw)
        was_probe = self._probe == call.id
        if was_probe:
            self._probe = None
        change = self._answered(call.phone_number, answer, now, draw, was_probe=was_probe)
        if self.paused:
            _remember(self._tried, call.phone_number, None)
        return change

    def webhook_came(self) -> PauseChange | None:
        """Record a webhook: the provider is able to report, which breaks a streak."""
        self._no_streak()
        return self._end() if self._kind is _Kind.STREAK else None

    def _answered(
        self, number: str, answer: PlacingAnswer, now: float, draw: float, *, was_probe: bool
    ) -> PauseChange | None:
        match answer:
            case Accepted():
                self._no_streak()
                self._not_ours.pop(number, None)
                self._not_ours = dict.fromkeys(self._not_ours, True)
                return self._end()
            case Refused():  # the provider works, but this does not prove acceptance: the next probe need not wait
                if was_probe:
                    self._until = now
                return None
            case AccountRefused(reason):
                return self._pause(_Kind.REFUSED, reason, now, draw, again=was_probe)
            case NotPlaced(reason, retry_after, rate_limited=True):
                floor = 0.0 if retry_after is None else retry_after.total_seconds()
                return self._pause(_Kind.REFUSED, reason, now, draw, again=was_probe, floor=floor)
            case NotPlaced(reason, number_refused=True):
                return self._number_refused(number, reason, now, draw, was_probe=was_probe)
            case NotPlaced(reason) | Unclear(reason):
                self._bad_in_a_row += 1
                self._bad_numbers.add(number)
                if was_probe and self._kind is not None:
                    return self._pause(self._kind, reason, now, draw, again=True)
                if self._bad_in_a_row >= BAD_ANSWERS_IN_A_ROW and len(self._bad_numbers) >= NUMBERS_IN_A_ROW:
                    return self._pause(_Kind.STREAK, reason, now, draw, again=False)
                return None

    def _number_refused(
        self, number: str, reason: str, now: float, draw: float, *, was_probe: bool
    ) -> PauseChange | None:
        """Pause if our account may be unable to call any number: different numbers were refused, and none accepted."""
        is_only_one = self._not_ours.get(number, False)
        _remember(self._not_ours, number, is_only_one)
        unproven = sum(not only_one for only_one in self._not_ours.values())
        if not is_only_one and unproven >= NUMBERS_IN_A_ROW:
            return self._pause(_Kind.NUMBERS, reason, now, draw, again=was_probe)
        if was_probe:  # as with any refusal: the next one is about another number
            self._until = now
        return None

    def _no_streak(self) -> None:
        self._bad_in_a_row = 0
        self._bad_numbers.clear()

    def _pause(
        self, kind: _Kind, reason: str, now: float, draw: float, *, again: bool, floor: float = 0.0
    ) -> PauseChange | None:
        """Begin the pause, or extend it if the probe failed; an answer to an older request only adds its minimum."""
        began = self._kind is None
        if began or again:
            self._failures += 1
            pause = self.backoff.half_jitter(self._failures, draw).total_seconds()
            if kind is _Kind.NUMBERS:
                pause = min(pause, LONGEST_FOR_NUMBERS)
            self._until = max(self._until if not began else now, now + max(pause, floor))
            self._kind, self.reason = kind, reason
        else:
            self._until = max(self._until, now + floor)
            if kind is _Kind.REFUSED:
                self._kind, self.reason = kind, reason
        return PauseChange.BEGAN if began else None

    def _end(self) -> PauseChange | None:
        ended = self._kind is not None
        self._kind = self.reason = None
        self._failures = 0
        self._tried.clear()
        return PauseChange.ENDED if ended else None


def _remember(numbers: dict[str, T], number: str, value: T) -> None:
    """Add a number as the newest, and forget the oldest if there are too many."""
    numbers.pop(number, None)
    numbers[number] = value
    if len(numbers) > _REMEMBERED:
        del numbers[next(iter(numbers))]
