"""Claim what is due while a line is free, and start its actions; then wait for more work."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from random import random
from typing import Final

import trio
from attrs import define, field
from loguru import logger

from reminderd.core.lifecycle.transition import Action, Transition
from reminderd.core.rules import Pace
from reminderd.engine.breaker import PauseChange
from reminderd.engine.context import Context, Memory, log_transition
from reminderd.engine.dialer import check, dial
from reminderd.store.appointments import plan_due, replan_if_rules_changed
from reminderd.store.claims import Capacity, claim, wake_waiting
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.shared_state import note_gap
from reminderd.store.stats import Wakes, next_wakes
from reminderd.store.threads import until_any

_SHORTEST_WAIT: Final = 0.25
"""Seconds between two checks for commits of other connections."""

SEE_CALLS: Final = 0.25
"""Seconds between two looks at all alive calls, unless one of them is due."""

FAILURE_PAUSE: Final = 1.0
"""Seconds before the database is tried again after it was unavailable."""

LOCKED_PAUSE: Final = 1.0
"""Seconds between two tries to claim what another program has locked."""

CLOCK_STEP: Final = timedelta(seconds=2)
"""A wall clock that falls behind the monotonic one by this much was set back."""

CLOCKS_DIFFER: Final = timedelta(seconds=1)
"""A larger difference between the database's clock and ours is logged, so that somebody sets one of them."""

FEW: Final = 3
"""Up to this many expired reminders need no log line with their number, as each reminder has its own line."""

STALLED: Final = 15.0
"""Seconds without a turn of the loop, or that the wall clock gained. Then this process or machine stood still, so long
that a provider may have given up waiting for our answer."""


@define(kw_only=True)
class Poller:
    """The poll loop of one configuration. What it learns is in the context's memory, for the next loop."""

    context: Context
    interval: timedelta
    """The longest sleep."""
    mint: Callable[[], str]
    dial: Callable[..., Awaitable[None]] = dial
    """Sends a request; see `dialer.dial`."""
    claims_ended: trio.Event = field(factory=trio.Event, init=False)
    """Set when this loop claims nothing more, so that another loop may use its memory; its actions may continue."""
    memory: Memory = field(init=False)
    _offset: timedelta | None = field(default=None, init=False)
    """How far the wall clock is ahead of the monotonic one; None before the first check."""
    _empty_claims: int = field(default=0, init=False)
    """How often in a row nothing could be claimed or planned, although something was due."""
    _knows_rules: bool = field(default=False, init=False)
    """Whether it was checked if the rules for planning appointments have changed."""

    def __attrs_post_init__(self) -> None:
        self.memory = self.context.memory

    async def run(self) -> None:
        """Claim and hand over actions until the stop; return when all of them have ended."""
        stopping = self.context.stopping
        async with trio.open_nursery() as nursery:
            while not stopping.is_set():
                self._beats()
                try:
                    await self._check_clock()
                    await self._note_unanswered_requests()
                    version = await self.context.database.commits.version()
                    wakes = await self._next_wakes()
                    self._note_pause(wakes)
                    self._keep_quiet(wakes)
                    self._check_address(wakes)
                    planned_some = await self._plan_due(wakes)
                    claimed_some = await self._claim_due(nursery, wakes)
                except StoreUnavailableError as error:
                    await self._sit_out(error)
                    continue
                self._works_again()
                if not (planned_some or claimed_some):
                    await self._until_needed(wakes, version)
                elif self._empty_claims > 1:  # once may only mean that another daemon was faster
                    with trio.move_on_after(LOCKED_PAUSE):
                        await stopping.wait()
            self.claims_ended.set()

    async def _next_wakes(self) -> Wakes:
        clock = self.context.clock
        is_time = clock.monotonic() - self.memory.sightings.seen_at >= SEE_CALLS
        wakes = await self.context.database.read(partial(next_wakes, now=self.context.now(), alive=is_time))
        if wakes.alive is not None:
            self.memory.sightings.see(wakes.alive, clock.monotonic())
        return wakes

    def _beats(self) -> None:
        """Give a sign of life. After a standstill, requests may have come meanwhile without an answer."""
        now = self.context.clock.monotonic()
        if now - self.memory.beat > STALLED:
            self.memory.breaker.address.asked_without_answer = True
        self.memory.beat = now

    async def _check_clock(self) -> None:
        """Have all waiting rows checked if the wall clock was set back, as they wait for times of the wrong clock."""
        offset = self._clock_offset()
        if self._offset is None or offset < self._offset - CLOCK_STEP:
            if self._offset is not None:
                logger.warning(f"the clock was set back by {(self._offset - offset).total_seconds():.0f} s")
            await self.context.database.write(partial(wake_waiting, lease=self.context.rules.lease))
            offset = self._clock_offset()  # the first transaction has shown the server's time
        elif offset > self._offset + timedelta(seconds=STALLED):  # the machine may have slept
            self.memory.breaker.address.asked_without_answer = True
        self._offset = offset
        ahead = self.context.database.clock_offset
        is_wrong = abs(ahead) > CLOCKS_DIFFER
        if is_wrong and not self.memory.is_clock_wrong:
            side = "behind" if ahead > timedelta(0) else "ahead of"
            logger.warning(
                f"this machine's clock is {abs(ahead).total_seconds():.1f} s {side} the database's, whose time counts;"
                " set it: timedatectl set-ntp true, or install chrony"
            )
        self.memory.is_clock_wrong = is_wrong

    def _clock_offset(self) -> timedelta:
        """Return how far the wall clock of the database is ahead of our monotonic clock."""
        return timedelta(seconds=self.context.now().timestamp() - self.context.clock.monotonic())

    async def _note_unanswered_requests(self) -> None:
        """Record, once all works again, that the provider may have reached our address while we could not answer."""
        pause = self.memory.breaker.address
        if pause.asked_without_answer and self.context.rules.capabilities.asks_what_to_say:
            await self.context.database.write(note_gap)
            pause.asked_without_answer = False

    def _note_pause(self, wakes: Wakes) -> None:
        """Log that all dialing is paused, by staff or a restore, or resumed."""
        if wakes.paused and not self.memory.is_paused:
            logger.warning("all dialing is paused, reminderd status shows by whom and why; reminderd resume ends it")
        elif self.memory.is_paused and not wakes.paused:
            logger.info("dialing is resumed")
        self.memory.is_paused = wakes.paused

    def _keep_quiet(self, wakes: Wakes) -> None:
        """After a restore, call nobody for a while, even if staff resume dialing; log when that begins and ends."""
        context = self.context
        if wakes.restored_at is not None:
            now, monotonic = context.now(), context.clock.monotonic()
            self.memory.quiet_until = self.memory.sightings.quiet_until(
                wakes.restored_at, context.rules, now, monotonic
            )
            is_quiet = monotonic < self.memory.quiet_until
            if is_quiet and not self.memory.is_quiet:
                until = now + timedelta(seconds=self.memory.quiet_until - monotonic)
                logger.warning(f"the database was restored: nobody is called before {until:%Y-%m-%d %H:%M} UTC")
            elif self.memory.is_quiet and not is_quiet:
                logger.info("the quiet time after the restore is over: reminders are called again")
            self.memory.is_quiet = is_quiet

    def _check_address(self, wakes: Wakes) -> None:
        pause = self.memory.breaker.address
        change = pause.update(wakes.unreached_since, self.context.clock.monotonic(), random())  # noqa: S311 - jitter
        if change is PauseChange.BEGAN:
            logger.error(f"dialing pauses: {pause.reason}")
        elif change is PauseChange.ENDED:
            logger.info("the provider asks what to say again, or our address has changed: dialing resumes")

    def _room(self, wakes: Wakes, monotonic: float) -> int:
        """Return how many requests can be sent now, by lines, pace, pauses and the quiet time after a restore.

        The claim checks the pace again, as other daemons send requests, too.
        """
        if wakes.paused or monotonic < self.memory.quiet_until:
            return 0
        probe = self.memory.breaker.request_limit(monotonic)
        free = min(self.memory.free_lines, self._pace(wakes).available(self.context.now()))
        return free if probe is None else min(free, probe)

    async def _plan_due(self, wakes: Wakes) -> bool:
        """Plan some of the appointments that need it, before reminders are claimed; return False if there are none."""
        database, rules = self.context.database, self.context.rules
        if not self._knows_rules:
            has_changed = await database.write(partial(replan_if_rules_changed, digest=rules.planning_digest))
            self._knows_rules = True
            if has_changed:
                logger.info("[reminders], calling hours or templates have changed: appointments are planned again")
                return True
        if not wakes.unplanned:
            return False
        transitions = await database.write(partial(plan_due, rules=rules, mint=self.mint))
        for transition in transitions:
            log_transition(transition)
        self._empty_claims = 0 if transitions else self._empty_claims + 1
        return True

    async def _claim_due(self, nursery: trio.Nursery, wakes: Wakes) -> bool:
        """Claim what is due and start its actions; return False if nothing is due or no line is free."""
        context = self.context
        claimed_at, now = context.clock.monotonic(), context.now()
        requests, checks = self._room(wakes, claimed_at), self.memory.free_checkers
        if not ((_due(wakes.reminder, now) and requests) or (_due(wakes.call, now) and checks)):
            return False
        capacity = Capacity(
            requests=requests,
            checks=checks,
            request_in=self._request_in(wakes, claimed_at),
            held=frozenset(self.memory.held),
            last=self.memory.breaker.last_resort,
        )
        with trio.CancelScope(shield=True):  # for everything that is claimed, the action is also started
            transitions = await context.database.write(
                partial(
                    claim,
                    capacity=capacity,
                    rules=context.rules,
                    witness=self.memory.sightings.witness(claimed_at),
                    mint=self.mint,
                )
            )
        self._empty_claims = 0 if transitions else self._empty_claims + 1
        self._hand_over(nursery, transitions, claimed_at)
        expired = sum(line.expired for transition in transitions for line in transition.lines)
        if expired > FEW:
            logger.error(
                f"{expired} reminders expired before they could be called: see reminderd list --status expired"
            )
        return True

    def _hand_over(self, nursery: trio.Nursery, transitions: list[Transition], claimed_at: float) -> None:
        """Log the decisions, and start their actions."""
        for transition in transitions:
            log_transition(transition)
            if transition.recovered:
                self.context.instruments.recovery()
            action = transition.action
            if action is None:
                continue
            self.memory.begin(action)
            if action.kind.is_request:
                self.memory.breaker.note_sending(action.call.id)
                nursery.start_soon(self._act, action, partial(self.dial, action, claimed_at, context=self.context))
            else:
                nursery.start_soon(self._act, action, partial(check, action, context=self.context))

    def _request_in(self, wakes: Wakes, monotonic: float) -> timedelta:
        """Return how long until a request that can't be sent now may be checked again; never zero."""
        ready_at = self._ready_at(wakes, monotonic)
        return timedelta(seconds=max(ready_at - monotonic, _SHORTEST_WAIT))

    def _ready_at(self, wakes: Wakes, monotonic: float) -> float:
        """Return when, by the monotonic clock, pace, provider and the quiet time after a restore allow a request."""
        now = self.context.now()
        paced = (self._pace(wakes).ready_at(now) - now).total_seconds()
        return max(monotonic + paced, self.memory.breaker.next_at(monotonic), self.memory.quiet_until)

    def _pace(self, wakes: Wakes) -> Pace:
        return Pace(self.context.rules.request_spacing, wakes.last_request_at)

    async def _act(self, action: Action, act: Callable[[], Awaitable[None]]) -> None:
        """Carry out one action; a bug in it stops no other action, and the call's lease delays the repeat."""
        try:
            with logger.contextualize(reminder=action.call.reminder_id, call=action.call.id):
                await act()
        except Exception:  # noqa: BLE001 - the other actions must continue
            ids = {"reminder": action.call.reminder_id, "call": action.call.id}
            logger.bind(**ids).exception(f"unexpected error: {action.kind}")
        finally:
            self.memory.end(action)

    async def _until_needed(self, wakes: Wakes, version: int) -> None:
        """Wait for the next row's time, a free line, another connection's commit, the interval's end or the stop."""
        clock, breaker = self.context.clock, self.memory.breaker
        monotonic, now = clock.monotonic(), self.context.now()
        sleep = self.interval.total_seconds() if wakes.alive is not None else SEE_CALLS
        if wakes.call is not None and self.memory.free_checkers:
            sleep = min(sleep, (wakes.call - now).total_seconds())
        if wakes.reminder is not None and not wakes.paused and self.memory.free_lines:
            held_for = self._ready_at(wakes, monotonic) - monotonic
            if breaker.request_limit(monotonic) != 0 or held_for > 0:
                sleep = min(sleep, max((wakes.reminder - now).total_seconds(), held_for))
        self.memory.freed = trio.Event()
        with trio.move_on_after(max(sleep, 0)):
            await until_any(self.memory.freed.wait, self.context.stopping.wait, partial(self._another_commit, version))

    async def _another_commit(self, version: int) -> None:
        with suppress(StoreUnavailableError):  # the loop's next turn sees it, too
            while not await self.context.database.commits.another(version):
                self._beats()

    async def _sit_out(self, error: StoreUnavailableError) -> None:
        if self.memory.failure is None:
            logger.warning(f"nothing can be claimed: {error}")
        self.memory.failure = str(error)
        with trio.move_on_after(FAILURE_PAUSE):
            await self.context.stopping.wait()

    def _works_again(self) -> None:
        self.memory.claimed.set()
        if self.memory.failure is not None:
            logger.info("the database works again")
            self.memory.failure = None


def _due(wake_at: datetime | None, now: datetime) -> bool:
    return wake_at is not None and wake_at <= now
