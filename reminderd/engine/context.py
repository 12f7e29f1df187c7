"""What the engine works with: the frozen context of a configuration, the memory that outlives a reload, log lines."""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

import trio
from attrs import define, field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.lifecycle.transition import Action, Transition
from reminderd.core.rules import Backoff, Rules
from reminderd.engine.breaker import Breaker
from reminderd.instruments import Instruments
from reminderd.providers.base import Provider
from reminderd.store.database import Database

_REMEMBERED: Final = 10_000
"""How many calls are remembered with the time when they were first seen, unless more are alive."""


@define
class Sightings:
    """When this process first saw each alive call, and its last sign of life, on the monotonic clock."""

    seen_at: float = field(default=-math.inf, init=False)
    """When this process last read the alive calls."""
    _signs: dict[str, tuple[datetime, float]] = field(factory=dict, init=False)
    _first: dict[str, float] = field(factory=dict, init=False)
    _quiet: tuple[datetime, float] | None = field(default=None, init=False)
    """The last restore, and until when nobody is called after it, as computed when this process first saw it."""

    def see(self, alive: Iterable[tuple[str, datetime]], monotonic: float) -> None:
        """Record all calls that are alive now, each with its last sign of life."""
        signs = {}
        for call_id, sign in alive:
            seen = self._signs.get(call_id)
            signs[call_id] = seen if seen is not None and seen[0] == sign else (sign, monotonic)
            self._first.setdefault(call_id, monotonic)
        self._signs, self.seen_at = signs, monotonic
        ended = (call_id for call_id in self._first if call_id not in signs)  # the oldest come first
        for call_id in [*islice(ended, max(0, len(self._first) - _REMEMBERED))]:
            del self._first[call_id]

    def witness(self, monotonic: float) -> Witness:
        """Return what is known about the alive calls now."""
        return Witness(monotonic=monotonic, signs=self._signs, first=self._first)

    def quiet_until(self, restored_at: datetime, rules: Rules, now: datetime, monotonic: float) -> float:
        """Return until when on the monotonic clock nobody is called after a restore.

        The quiet time ends only once it has ended by both clocks, as somebody may set the wall clock during a forgotten
        call.
        """
        ends_at = monotonic + (restored_at + rules.outcome_timeout - now).total_seconds()
        if self._quiet is None or self._quiet[0] != restored_at:
            self._quiet = (restored_at, ends_at)
        return max(ends_at, self._quiet[1])


@define(kw_only=True)
class Memory:
    """What this process knows about calls, the provider and its own work: the one value that outlives a reload.

    A reload builds everything else again. Without this, a silent call would get its whole time once more, the quiet
    time after a restore and the pause for a failing provider would end, and requests in flight would neither occupy
    their lines nor keep their leases.
    """

    breaker: Breaker
    beat: float
    """The monotonic time of the poll loop's last heartbeat."""
    lines: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(1))
    """The places for requests in flight."""
    checkers: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(1))
    """The places for look-ups in flight."""
    held: set[str] = field(factory=set, init=False)
    """The lease tokens of the actions in flight."""
    freed: trio.Event = field(factory=trio.Event, init=False)
    """Set when a line or a checker is free again; replaced by the loop before it waits."""
    _taken: dict[str, trio.CapacityLimiter] = field(factory=dict, init=False)
    """The limiter in which each action in flight has a place, by its lease token: the lines or the checkers."""
    sightings: Sightings = field(factory=Sightings, init=False)
    quiet_until: float = field(default=-math.inf, init=False)
    """Until when on the monotonic clock nobody is called after a restore."""
    is_quiet: bool = field(default=False, init=False)
    """Whether the log has announced the quiet time."""
    is_clock_wrong: bool = field(default=False, init=False)
    """Whether the log has announced that our clock and the database's differ."""
    is_paused: bool = field(default=False, init=False)
    """Whether the log has announced that staff have paused dialing."""
    failure: str | None = field(default=None, init=False)
    """Why nothing can be claimed, or None."""
    claimed: trio.Event = field(factory=trio.Event, init=False)
    """Set after the first turn that could claim what was due, even if that was nothing."""

    @property
    def free_lines(self) -> int:
        """Return how many more requests may be in flight; 0 if, after a reload, there are fewer lines than requests."""
        return max(0, int(self.lines.available_tokens))

    @property
    def free_checkers(self) -> int:
        """Return how many more look-ups may be in flight."""
        return max(0, int(self.checkers.available_tokens))

    def begin(self, action: Action) -> None:
        """Take a line or a checker for an action, and remember its lease."""
        limiter = self.lines if action.kind.is_request else self.checkers
        limiter.acquire_on_behalf_of_nowait(action.token)
        self._taken[action.token] = limiter
        self.held.add(action.token)

    def free_line(self, action: Action) -> None:
        """Free the line or the checker of an action once its request is over; its answer may not be recorded yet."""
        limiter = self._taken.pop(action.token, None)
        if limiter is not None:
            limiter.release_on_behalf_of(action.token)
            self.freed.set()

    def end(self, action: Action) -> None:
        """Forget an action at its end, when its answer is recorded."""
        self.free_line(action)
        self.held.discard(action.token)

    def adjust(self, *, dialers: int, backoff: Backoff) -> None:
        """Apply a configuration; call this only while no loop is claiming, as a claim relies on the free lines."""
        self.lines.total_tokens = self.checkers.total_tokens = dialers
        self.breaker.backoff = backoff


@frozen(kw_only=True)
class Context:
    """What every claim, request and look-up needs. An action keeps its context until its end."""

    database: Database
    provider: Provider
    memory: Memory
    clock: Clock
    rules: Rules
    timeout: timedelta
    """The longest that a request can take."""
    stopping: trio.Event
    """Set when nothing more is to be claimed or sent: at the stop, and at a reload, which builds another context."""
    instruments: Instruments

    def now(self) -> datetime:
        """Return the time of the database by its last known offset, as a server's clock may differ from ours."""
        return self.clock.now() + self.database.clock_offset


def log_transition(transition: Transition | None) -> None:
    """Log what a transition changed, with the ids of reminder and call; None means that its row was deleted."""
    if transition is None:
        logger.warning("the call no longer exists: another program has deleted it")
        return
    for line in transition.lines:
        ids = {"reminder": line.reminder_id, "call": line.call_id}
        logger.bind(**{name: one for name, one in ids.items() if one is not None}).log(line.level, line.text)
