"""The poll loop, the dialer and the checker around a real database, with a clock and a provider that tests hold."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import trio
from attrs import define, evolve, field

from reminderd.breaker import Breaker
from reminderd.checker import Checker, check
from reminderd.core.answers import Accepted, Answer, Capabilities, Finding, NotFound, Report
from reminderd.core.backoff import Backoff
from reminderd.core.reminder import Call, Reminder
from reminderd.core.rules import Rules
from reminderd.dialer import Dialer, dial
from reminderd.metrics import Instruments
from reminderd.pacing import Pacing
from reminderd.poller import Duties, Poller
from reminderd.providers.base import Placement, Webhook
from reminderd.store.database import Database, open_database
from reminderd.store.driver import Connection
from reminderd.store.rows import load_calls, load_reminder, to_ms
from reminderd.store.trio_sqlite import Runner
from tests.support.clock import HandClock

_PATIENCE = 10
_SOON = timedelta(milliseconds=100)


async def accepts(placement: Placement) -> Answer:
    return Accepted(f"ext-{placement.call_id}")


@define
class TameProvider:
    """Answers as told, and remembers what it was asked."""

    answers: Callable[[Placement], Awaitable[Answer]] = accepts
    name: str = "tame"
    capabilities: Capabilities = field(factory=Capabilities)
    finding: Finding = field(factory=NotFound)
    placed: list[Placement] = field(factory=list)
    looked_up: list[str] = field(factory=list)
    _news: trio.Event = field(factory=trio.Event)

    async def place(self, placement: Placement) -> Answer:
        self.placed.append(placement)
        self._news.set()
        self._news = trio.Event()
        return await self.answers(placement)

    async def fetch(self, external_call_id: str) -> Finding:
        self.looked_up.append(external_call_id)
        return self.finding

    async def find(self, placement: Placement) -> Finding:
        self.looked_up.append(placement.call_id)
        return self.finding

    def verified(self, webhook: Webhook) -> bool:
        raise AssertionError(webhook)

    def parse(self, webhook: Webhook) -> Report:
        raise AssertionError(webhook)

    async def drop(self, external_call_id: str) -> Finding:
        raise AssertionError(external_call_id)

    async def aclose(self) -> None:
        pass

    async def asked(self, times: int) -> list[Placement]:
        """The requests, as soon as there are so many."""
        with trio.fail_after(_PATIENCE):
            while len(self.placed) < times:
                await self._news.wait()
        return self.placed


@define
class House:
    """The running rooms."""

    database: Database
    clock: HandClock
    rules: Rules
    provider: TameProvider
    poller: Poller

    async def insert(self, reminder_id: str, *, at: datetime | None = None, **columns: Any) -> None:
        """A row as another program writes it, to a number of its own; due now unless told."""
        row = {
            "id": reminder_id,
            "phone_number": f"+1555{sum(ord(c) * 31**n for n, c in enumerate(reminder_id)) % 9_000_000 + 1_000_000}",
            "message": "Hello.",
            "scheduled_at": to_ms(at or self.clock.now()),
        }
        row |= columns
        marks = ", ".join("?" for _ in row)
        await self.execute(f"INSERT INTO reminders ({', '.join(row)}) VALUES ({marks})", *row.values())

    async def execute(self, sql: str, *values: Any) -> None:
        await self.database.write(lambda connection, _now: connection.execute(sql, values).fetchall())

    async def reminder(self, reminder_id: str) -> Reminder:
        found = await self.database.read(partial(load_reminder, reminder_id=reminder_id))
        assert found is not None
        return found

    async def calls(self, reminder_id: str) -> tuple[Call, ...]:
        return await self.database.read(partial(load_calls, reminder_id=reminder_id))

    async def count(self, where: str) -> int:
        def read(connection: Connection) -> int:
            return int(connection.execute(f"SELECT count(*) FROM reminders WHERE {where}").fetchone()[0])

        return await self.database.read(read)

    async def until(self, reminder_id: str, status: str) -> Reminder:
        """The reminder, as soon as it has this status."""
        await self.until_all(1, f"id = '{reminder_id}' AND status = '{status}'")
        return await self.reminder(reminder_id)

    async def until_all(self, rows: int, where: str) -> None:
        """Wait until so many reminders are so."""
        with trio.fail_after(_PATIENCE):
            while await self.count(where) != rows:  # noqa: ASYNC110 - SQLite has no event for it
                await trio.sleep(0.005)

    async def until_trouble(self, *, ends: bool = False) -> None:
        """Wait until the loop says that it is in trouble; with `ends`, that it is not any more."""
        with trio.fail_after(_PATIENCE):
            while (self.poller.trouble is None) != ends:  # noqa: ASYNC110 - trouble is no event
                await trio.sleep(0.001)

    async def polled(self) -> None:
        """Let the loop come round twice at least: what it did not do then, it does not do now."""
        for _ in range(3):
            self.clock.seconds += 1e-6
            with trio.fail_after(_PATIENCE):
                while self.poller.beat < self.clock.seconds:  # noqa: ASYNC110 - a beat is no event
                    await trio.sleep(0.001)


@asynccontextmanager
async def a_house(
    path: Path,
    clock: HandClock,
    provider: TameProvider | None = None,
    *,
    dialers: int = 4,
    per_second: float = 0,
    interval: timedelta = timedelta(seconds=0.01),
    runner: Runner | None = None,
    **rules: Any,
) -> AsyncIterator[House]:
    """The rooms on a database file; the loop comes round all the time, as nothing tells it of a moved clock."""
    stopping, ids = trio.Event(), count(1)
    provider = provider or TameProvider()
    the_rules = evolve(
        Rules(backoff=Backoff(_SOON, _SOON)), provider=provider.name, capabilities=provider.capabilities, **rules
    )
    breaker, instruments = Breaker(the_rules.backoff), Instruments()

    def mint() -> str:
        return f"id-{next(ids)}"

    async with open_database(path, clock, runner=runner) as database, trio.open_nursery() as nursery:
        dialer = Dialer(
            database=database,
            provider=provider,
            breaker=breaker,
            clock=clock,
            rules=the_rules,
            timeout=timedelta(seconds=20),
            stopping=stopping,
            instruments=instruments,
        )
        checker = Checker(database=database, provider=provider, rules=the_rules, mint=mint)
        poller = Poller(
            database=database,
            clock=clock,
            rules=the_rules,
            pacing=Pacing(per_second),
            breaker=breaker,
            duties=Duties(dial=partial(dial, dialer=dialer), check=partial(check, checker=checker)),
            lines=trio.CapacityLimiter(dialers),
            checkers=trio.CapacityLimiter(dialers),
            interval=interval,
            stopping=stopping,
            mint=mint,
            beat=clock.monotonic(),
            instruments=instruments,
        )
        nursery.start_soon(poller.run)
        yield House(database, clock, the_rules, provider, poller)
        stopping.set()
