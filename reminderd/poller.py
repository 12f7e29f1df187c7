"""Takes a free line, claims what is due, hands it over; then waits for the next thing to do."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

import trio
from attrs import define, field, frozen
from loguru import logger

from reminderd.breaker import Breaker
from reminderd.clock import Clock
from reminderd.core.lifecycle import Claimed, Errand, summary
from reminderd.core.rules import Rules
from reminderd.logs import tell, tell_of_pause
from reminderd.metrics import Instruments
from reminderd.pacing import Pacing
from reminderd.store.claims import claim
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.facts import Wakes, next_wakes

LOOK_FOR_COMMITS: Final = 0.25
"""Seconds between two looks whether another connection has committed something."""

TROUBLE_PAUSE: Final = 1.0
"""Seconds before the database is tried again after it was unavailable."""

_REQUESTS: Final = frozenset({Errand.DIAL, Errand.RESEND})


@frozen(kw_only=True)
class Duties:
    """What the poll loop hands claimed rows to."""

    dial: Callable[[Claimed, float], Awaitable[None]]
    """Sends a request; gets the monotonic time before the claim, too."""
    check: Callable[[Claimed], Awaitable[None]]


@define(kw_only=True)
class Poller:
    """The poll loop: what it works with, and what it holds."""

    database: Database
    clock: Clock
    rules: Rules
    pacing: Pacing
    breaker: Breaker
    duties: Duties
    lines: trio.CapacityLimiter
    """One for each request that may be in flight."""
    checkers: trio.CapacityLimiter
    """One for each look-up that may be in flight."""
    interval: timedelta
    """The longest sleep."""
    stopping: trio.Event
    mint: Callable[[], str]
    beat: float
    """The monotonic time at which the loop last showed that it lives."""
    instruments: Instruments
    trouble: str | None = field(default=None, init=False)
    """Why nothing can be claimed, or None."""
    claimed: trio.Event = field(factory=trio.Event, init=False)
    """Set after the first turn in which it could claim what was due, even if that was nothing."""
    _paused: bool = field(default=False, init=False)
    _held: set[str] = field(factory=set, init=False)
    _freed: trio.Event = field(factory=trio.Event, init=False)

    async def run(self) -> None:
        """Claim and hand over until `stopping` is set; returns when all that was handed over has ended."""
        async with trio.open_nursery() as nursery:
            while not self.stopping.is_set():
                self.beat = self.clock.monotonic()
                try:
                    version = await self.database.data_version()
                    wakes = await self.database.read(next_wakes)
                    tell_of_pause(before=self._paused, now=wakes.paused)
                    self._paused = wakes.paused
                    claimed_some = await self._claim_due(nursery, wakes)
                except StoreUnavailableError as error:
                    await self._sit_out(error)
                    continue
                self._well_again()
                if not claimed_some:
                    await self._until_needed(wakes, version)

    def change(self, *, rules: Rules, duties: Duties) -> None:
        """Claim and hand over by these from here on, at once; what was handed over goes on as it was."""
        self.rules, self.duties = rules, duties
        self._freed.set()

    def _room(self, wakes: Wakes, monotonic: float) -> int:
        """How many requests can be sent at once: lines, pacing and pauses taken together."""
        if wakes.paused:
            return 0
        probe = self.breaker.room(monotonic)
        free = min(int(self.lines.available_tokens), self.pacing.available(monotonic))
        return free if probe is None else min(free, probe)

    async def _claim_due(self, nursery: trio.Nursery, wakes: Wakes) -> bool:
        """Claim what is due and start its errands; False if nothing is due or nobody is free for it."""
        claimed_at, now = self.clock.monotonic(), self.clock.now()
        dials, checks = self._room(wakes, claimed_at), int(self.checkers.available_tokens)
        if not ((_due(wakes.dial, now) and dials) or (_due(wakes.check, now) and checks)):
            return False
        with trio.CancelScope(shield=True):  # what is claimed is also handed over
            steps = await self.database.write(
                partial(
                    claim,
                    dials=dials,
                    checks=checks,
                    dial_in=self._dial_in(claimed_at),
                    held=frozenset(self._held),
                    rules=self.rules,
                    mint=self.mint,
                )
            )
        requests = 0
        for step in steps:
            tell(step)
            if step.recovered:
                self.instruments.recovery()
            claimed = step.claimed
            if claimed is None:
                continue
            is_request = claimed.errand in _REQUESTS
            requests += is_request
            limiter = self.lines if is_request else self.checkers
            limiter.acquire_on_behalf_of_nowait(claimed.token)
            self._held.add(claimed.token)
            if is_request:
                self.breaker.sends(claimed.call.id)
                nursery.start_soon(self._errand, claimed, limiter, partial(self.duties.dial, claimed, claimed_at))
            else:
                nursery.start_soon(self._errand, claimed, limiter, partial(self.duties.check, claimed))
        self.pacing.spend(requests, claimed_at)
        note = summary(steps)
        if note is not None:
            logger.log(note.level, note.text)
        return True

    def _dial_in(self, monotonic: float) -> timedelta:
        """How long until a request that can't be sent now may be looked at again; never nothing."""
        ready_at = max(self.pacing.next_at(monotonic), self.breaker.next_at(monotonic))
        return timedelta(seconds=max(ready_at - monotonic, LOOK_FOR_COMMITS))

    async def _errand(
        self, claimed: Claimed, limiter: trio.CapacityLimiter, errand: Callable[[], Awaitable[None]]
    ) -> None:
        """Run one errand; a bug in it stops nobody else, and the row's lease bounds the repeat."""
        try:
            with logger.contextualize(reminder=claimed.reminder.id, call=claimed.call.id):
                await errand()
        except Exception:  # noqa: BLE001 - the others go on
            logger.bind(reminder=claimed.reminder.id, call=claimed.call.id).exception(f"{claimed.errand} broke")
        finally:
            self._held.discard(claimed.token)
            limiter.release_on_behalf_of(claimed.token)
            self._freed.set()

    async def _until_needed(self, wakes: Wakes, version: int) -> None:
        """Wait for the next row's time, a free line, another connection's commit, the interval's end or the stop."""
        monotonic, now = self.clock.monotonic(), self.clock.now()
        sleep = self.interval.total_seconds()
        if wakes.check is not None and self.checkers.available_tokens:
            sleep = min(sleep, (wakes.check - now).total_seconds())
        if wakes.dial is not None and not wakes.paused and self.lines.available_tokens:
            held_for = max(self.pacing.next_at(monotonic), self.breaker.next_at(monotonic)) - monotonic
            if self.breaker.room(monotonic) != 0 or held_for > 0:
                sleep = min(sleep, max((wakes.dial - now).total_seconds(), held_for))
        self._freed = trio.Event()
        with trio.move_on_after(max(sleep, 0)):
            await first_of(self._freed.wait, self.stopping.wait, partial(self._another_commit, version))

    async def _another_commit(self, version: int) -> None:
        with suppress(StoreUnavailableError):  # the loop's next turn meets it, too
            while await self.database.data_version() == version:
                self.beat = self.clock.monotonic()
                await trio.sleep(LOOK_FOR_COMMITS)

    async def _sit_out(self, error: StoreUnavailableError) -> None:
        if self.trouble is None:
            logger.warning(f"nothing can be claimed: {error}")
        self.trouble = str(error)
        with trio.move_on_after(TROUBLE_PAUSE):
            await self.stopping.wait()

    def _well_again(self) -> None:
        self.claimed.set()
        if self.trouble is not None:
            logger.info("the database works again")
            self.trouble = None


def _due(wake_at: datetime | None, now: datetime) -> bool:
    return wake_at is not None and wake_at <= now


async def first_of(*waits: Callable[[], Awaitable[None]]) -> None:
    """Return as soon as one of the waits is over; the others are cancelled."""

    async def until_over(wait: Callable[[], Awaitable[None]]) -> None:
        await wait()
        nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for wait in waits:
            nursery.start_soon(until_over, wait)
