"""The poll loop and the dialer around a real database, with a clock and a provider that the test controls."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import trio
from attrs import define, evolve, field

from reminderd.clock import Clock
from reminderd.core.answers import Accepted, Capabilities, LookUpAnswer, NotFound, PlacingAnswer, Report
from reminderd.core.model import Call, Reminder
from reminderd.core.rules import Backoff, Rules
from reminderd.databases import SqliteFile, Target
from reminderd.engine.breaker import Breaker
from reminderd.engine.context import Context, Memory
from reminderd.engine.poller import Poller
from reminderd.metrics import PrometheusInstruments
from reminderd.providers.base import Placement, Webhook
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database
from reminderd.store.rows import CALLS, REMINDERS, to_ms
from reminderd.store.threads import Runner
from tests.support.clock import HandClock
from tests.support.rows import insert_row
from tests.support.waiting import PATIENCE, until

_SOON = timedelta(milliseconds=100)
ACCOUNT = "the clinic's account"


async def accepts(placement: Placement) -> PlacingAnswer:
    return Accepted(f"ext-{placement.call_id}")


@define
class FakeProvider:
    """Answers as the test decides, and records its requests."""

    answers: Callable[[Placement], Awaitable[PlacingAnswer]] = accepts
    name: str = "fake"
    account: str = ACCOUNT
    capabilities: Capabilities = field(factory=Capabilities)
    finding: LookUpAnswer = field(factory=NotFound)
    placed: list[Placement] = field(factory=list)
    looked_up: list[str] = field(factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    _news: trio.Event = field(factory=trio.Event)

    async def place(self, placement: Placement) -> PlacingAnswer:
        self.placed.append(placement)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self._news.set()
        self._news = trio.Event()
        try:
            return await self.answers(placement)
        finally:
            self.in_flight -= 1

    async def fetch(self, external_call_id: str) -> LookUpAnswer:
        self.looked_up.append(external_call_id)
        return self.finding

    async def find(self, placement: Placement) -> LookUpAnswer:
        self.looked_up.append(placement.call_id)
        return self.finding

    def verified(self, webhook: Webhook) -> bool:
        raise AssertionError(webhook)

    def parse(self, webhook: Webhook) -> Report:
        raise AssertionError(webhook)

    async def drop(self, external_call_id: str) -> LookUpAnswer:
        raise AssertionError(external_call_id)

    async def aclose(self) -> None:
        pass

    async def asked(self, times: int) -> list[Placement]:
        """Return the requests, as soon as there are `times` of them."""
        with trio.fail_after(PATIENCE):
            while len(self.placed) < times:
                await self._news.wait()
        return self.placed


def calls_of(connection: Connection, reminder_id: str) -> tuple[Call, ...]:
    """Return all calls that a reminder is a member of, oldest first."""
    rows = connection.execute(
        f"SELECT {CALLS.names} FROM call_logs"
        " WHERE id IN (SELECT call_id FROM call_reminders WHERE reminder_id = :id) ORDER BY seq",
        {"id": reminder_id},
    ).fetchall()
    return tuple(map(CALLS.read, rows))


def reminder_of(connection: Connection, reminder_id: str) -> Reminder | None:
    """Return a reminder, or None."""
    row = connection.execute(f"SELECT {REMINDERS.names} FROM reminders WHERE id = :id", {"id": reminder_id}).fetchone()
    return None if row is None else REMINDERS.read(row)


@define
class Engine:
    """The running engine, and what a test needs from it."""

    database: Database
    clock: Clock
    stopping: trio.Event
    rules: Rules
    provider: FakeProvider
    poller: Poller
    nursery: trio.Nursery

    async def reload(self, *, dialers: int = 4, **rules: Any) -> None:
        """Start another loop with the same memory and changed rules, while requests of this one are in flight."""
        before, self.rules, self.stopping = self.poller, evolve(self.rules, **rules), trio.Event()
        before.context.stopping.set()
        await before.claims_ended.wait()
        before.memory.adjust(dialers=dialers, backoff=self.rules.backoff)
        context = evolve(before.context, rules=self.rules, stopping=self.stopping)
        self.poller = Poller(context=context, interval=before.interval, mint=before.mint)
        self.nursery.start_soon(self.poller.run)

    async def insert(self, reminder_id: str, *, at: datetime | None = None, **columns: Any) -> None:
        """Insert a row as another program does, with its own number; due now by default."""
        row = {
            "id": reminder_id,
            "phone_number": f"+1202{sum(ord(c) * 31**n for n, c in enumerate(reminder_id)) % 8_000_000 + 2_000_000}",
            "message": "Hello.",
            "scheduled_at": to_ms(at or self.clock.now()),
        }
        row |= columns
        await self.database.write(lambda connection, _now: insert_row(connection, "reminders", row))

    async def execute(self, sql: str, *values: Any) -> None:
        await self.database.write(lambda connection, _now: connection.execute(sql, values).fetchall())

    async def reminder(self, reminder_id: str) -> Reminder:
        found = await self.database.read(lambda connection: reminder_of(connection, reminder_id))
        assert found is not None
        return found

    async def calls(self, reminder_id: str) -> tuple[Call, ...]:
        return await self.database.read(lambda connection: calls_of(connection, reminder_id))

    async def count(self, where: str) -> int:
        def read(connection: Connection) -> int:
            return int(connection.execute(f"SELECT count(*) FROM reminders WHERE {where}").fetchone()[0])

        return await self.database.read(read)

    async def until(self, reminder_id: str, status: str) -> Reminder:
        """Return the reminder, as soon as it has this status."""
        await self.until_all(1, f"id = '{reminder_id}' AND status = '{status}'")
        return await self.reminder(reminder_id)

    async def until_all(self, rows: int, where: str) -> None:
        """Wait until the number of reminders that match is `rows`."""

        async def is_so() -> bool:
            return await self.count(where) == rows

        await until(is_so)

    async def until_failure(self, *, ends: bool = False) -> None:
        """Wait until nothing can be claimed; with `ends`, until something can be claimed again."""
        await until(lambda: (self.poller.memory.failure is None) == ends)

    async def comes_round(self) -> None:
        """Let the loop look for commits a few times: what it did not do then, it does not do now."""
        for _ in range(4):
            await self.beats()

    async def beats(self) -> None:
        """Wait for the loop's next sign of life, on a real clock."""
        memory, before = self.poller.memory, self.poller.memory.beat
        await until(lambda: memory.beat != before)

    async def polled(self) -> None:
        """Let the loop turn at least twice, so that it has done everything it would do now."""
        clock, memory = self.clock, self.poller.memory
        assert isinstance(clock, HandClock)

        def has_turned() -> bool:
            if memory.beat < clock.seconds:
                memory.freed.set()  # end its wait
                return False
            return True

        for _ in range(5):  # a turn gives a second sign of life before it waits
            clock.seconds += 1e-6
            await until(has_turned)


async def restored_now(engine: Engine) -> None:
    """Record a restore at this moment."""
    stamp = str(to_ms(engine.clock.now()))
    await engine.execute("INSERT INTO settings (key, value) VALUES ('restored_at', ?)", stamp)


@asynccontextmanager
async def an_engine(
    database: Target | Path,
    clock: Clock,
    provider: FakeProvider | None = None,
    *,
    dialers: int = 4,
    per_second: float = 0,
    interval: timedelta = timedelta(seconds=0.01),
    runner: Runner | None = None,
    store_clock: Clock | None = None,
    before_start: Callable[[Engine], Awaitable[None]] | None = None,
    **rules: Any,
) -> AsyncIterator[Engine]:
    """Run the engine on a database; its loop turns all the time, as it can't see that a test moves the clock."""
    stopping, ids = trio.Event(), count(1)
    provider = provider or FakeProvider()
    the_rules = evolve(
        Rules(backoff=Backoff(_SOON, _SOON)),
        provider=provider.name,
        account=provider.account,
        capabilities=provider.capabilities,
        request_spacing=timedelta(seconds=1 / per_second if per_second else 0),
        **rules,
    )
    async with (
        open_database(
            SqliteFile(database) if isinstance(database, Path) else database, store_clock or clock, runner=runner
        ) as opened,
        trio.open_nursery() as nursery,
    ):
        memory = Memory(breaker=Breaker(the_rules.backoff), beat=clock.monotonic())
        memory.adjust(dialers=dialers, backoff=the_rules.backoff)
        context = Context(
            database=opened,
            provider=provider,
            memory=memory,
            clock=clock,
            rules=the_rules,
            timeout=timedelta(seconds=20),
            stopping=stopping,
            instruments=PrometheusInstruments(),
        )
        poller = Poller(context=context, interval=interval, mint=lambda: f"id-{next(ids)}")
        engine = Engine(opened, clock, stopping, the_rules, provider, poller, nursery)
        if before_start is not None:
            await before_start(engine)
        nursery.start_soon(poller.run)
        yield engine
        engine.stopping.set()
