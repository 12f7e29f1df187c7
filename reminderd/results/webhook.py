"""Send each change to the clinic's own system as a Standard Webhook, until that system has accepted it.

The changes of one reminder or appointment arrive in order: a change that is not accepted holds back only these. After
a kill between the acceptance and its commit, a change is sent once more, with the same `webhook-id`.
"""

import json
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial
from random import random
from typing import Final

import trio
from attrs import define, field, frozen
from loguru import logger
from standardwebhooks import Webhook as Signer

from reminderd import __version__
from reminderd.clock import Clock
from reminderd.core.rules import Backoff
from reminderd.providers.http import HttpAnswer, HttpClient, HttpResult, retry_after
from reminderd.store.database import Database, until_stored
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.feed import Feed
from reminderd.store.outcome_changes import (
    Delivery,
    due_deliveries,
    has_unqueued_changes,
    newest_change,
    note_delivered,
    note_failed,
    queue_deliveries,
    retry_deliveries_now,
)
from reminderd.store.threads import until_any

TIMEOUT: Final = timedelta(seconds=15)
BACKOFF: Final = Backoff(first=timedelta(seconds=5), maximum=timedelta(minutes=15))
PAUSE: Final = Backoff(first=timedelta(seconds=5), maximum=timedelta(minutes=1))
AT_ONCE: Final = 8
"""The most requests at a time."""

_FAILING: Final = 3
"""Of how many reminders changes must have failed, with none received since, for the system to seem to be down."""
_LONGEST_PAUSE: Final = timedelta(hours=1)
"""The longest Retry-After, and longer than any pause of ours."""
_LOOK: Final = 30.0
"""Seconds after which the clock is read again: it may have been set, or the machine have slept."""
_GRACE: Final = 5.0
"""Seconds that requests under way get at a stop."""
_UNAVAILABLE: Final = 1.0
"""Seconds before the database is tried again."""


@frozen(kw_only=True)
class Destination:
    """The clinic's own system."""

    url: str
    secret: str = field(repr=False)
    """Signs each request."""
    backoff: Backoff = BACKOFF
    """The pause between two tries of one change."""
    pause: Backoff = PAUSE
    """The pause between two requests, while the system seems to be down."""


@define(eq=False, kw_only=True)
class Sender:
    """Sends the waiting changes, several at a time, until the stop."""

    destination: Destination
    database: Database
    feed: Feed
    clock: Clock
    stopping: trio.Event
    client: HttpClient = field(factory=lambda: HttpClient(timeout=TIMEOUT, max_connections=AT_ONCE))
    _busy: set[str] = field(factory=set, init=False)
    """The subjects with a change under way."""
    _failed: dict[str, int] = field(factory=dict, init=False)
    """How often a change of each subject has failed since any change was received."""
    _free_at: float = field(default=0.0, init=False)
    """The time, by Trio's clock, before which nothing is sent."""
    _turned: trio.Event = field(factory=trio.Event, init=False)
    """Set when a request has ended."""

    async def run(self) -> None:
        """Send until the stop; requests under way then have some seconds to end."""
        try:
            async with trio.open_nursery() as sending:
                while not self.stopping.is_set():
                    try:
                        wait = await self._turn(sending)
                    except StoreUnavailableError:  # the poll loop logs it
                        wait = partial(trio.sleep, _UNAVAILABLE)
                    with trio.move_on_after(_LOOK):
                        await until_any(wait, self.stopping.wait)
                sending.cancel_scope.deadline = trio.current_time() + _GRACE
        finally:
            with trio.CancelScope(shield=True):
                await self.client.aclose()

    async def _turn(self, sending: trio.Nursery) -> Callable[[], Awaitable[None]]:
        """Start all requests that can be started now, and return what to wait for before the next turn."""
        self._turned = trio.Event()
        newest = await self.database.read(newest_change)
        if await self.database.read(has_unqueued_changes):
            lost = await self.database.write(queue_deliveries)
            if lost is not None:
                logger.warning(f"results: all changes that are kept are sent again: {lost.partition(';')[0]}")
        places = (1 if self._seems_down else AT_ONCE) - len(self._busy)
        pause = self._free_at - trio.current_time()
        if places <= 0:
            return self._turned.wait
        if pause > 0:
            return partial(trio.sleep, pause)
        now = self.clock.now()
        found, next_at = await self.database.read(
            partial(due_deliveries, now=now, longest_pause=_LONGEST_PAUSE, busy=sorted(self._busy), limit=places)
        )
        for delivery in found:
            self._busy.add(delivery.change.subject_id)
            sending.start_soon(self._deliver, delivery)
        if found:
            return trio.lowlevel.checkpoint
        idle = partial(until_any, partial(self.feed.changed, newest), self._turned.wait)
        seconds = _LOOK if next_at is None else max((next_at - now).total_seconds(), 0.0)
        return partial(until_any, idle, partial(trio.sleep, seconds))

    async def _deliver(self, delivery: Delivery) -> None:
        """Send one change, and record the result."""
        try:
            outcome = await self._send(delivery)
            if isinstance(outcome, HttpAnswer) and 200 <= outcome.status < 300:
                await self._accepted(delivery)
            else:
                await self._refused(delivery, outcome)
        finally:
            self._busy.discard(delivery.change.subject_id)
            self._turned.set()

    async def _send(self, delivery: Delivery) -> HttpResult:
        event = delivery.change.event
        body = json.dumps({"type": f"{event['kind']}.changed", "timestamp": event["at"], "data": event})
        now = self.clock.now()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"reminderd/{__version__}",
            "webhook-id": delivery.change.event_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": Signer(self.destination.secret).sign(delivery.change.event_id, now, body),
        }
        return await self.client.ask("POST", self.destination.url, headers=headers, content=body.encode())

    async def _accepted(self, delivery: Delivery) -> None:
        await until_stored(lambda: self.database.write(partial(note_delivered, seq=delivery.change.seq)))
        if self._seems_down:
            logger.info("results: changes are received again")
            await until_stored(lambda: self.database.write(retry_deliveries_now))
        self._failed.clear()
        self._free_at = 0.0

    async def _refused(self, delivery: Delivery, outcome: HttpResult) -> None:
        """Record why a change was not received; wait longer each time, and as long as the other system asks."""
        now, asked = self.clock.now(), None
        error = outcome.reason if not isinstance(outcome, HttpAnswer) else f"HTTP {outcome.status}"
        if isinstance(outcome, HttpAnswer):
            asked = retry_after(outcome.headers.get("Retry-After"), now)
        if not self._failed:
            logger.warning(f"results: a change was not received, and is sent again: {error}")
        pause = self.destination.backoff.half_jitter(delivery.tries + 1, random())  # noqa: S311 - nothing secret
        next_at = now + max(pause, asked or pause)
        failed = partial(note_failed, seq=delivery.change.seq, next_at=next_at, error=error)
        await until_stored(lambda: self.database.write(failed))
        subject = delivery.change.subject_id
        self._failed[subject] = self._failed.get(subject, 0) + 1
        wait = asked or timedelta(0)
        if self._seems_down:
            failures = sum(self._failed.values()) - _FAILING + 1
            wait = max(wait, self.destination.pause.half_jitter(failures, random()))  # noqa: S311 - as above
        self._free_at = max(self._free_at, trio.current_time() + wait.total_seconds())

    @property
    def _seems_down(self) -> bool:
        return len(self._failed) >= _FAILING
