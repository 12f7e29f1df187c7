"""Changes arrive at the clinic's own system: each until it was accepted, and those of one reminder in their order."""

import json
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.lowlevel
from attrs import define, field
from standardwebhooks import Webhook

from reminderd.clock import Clock, SystemClock
from reminderd.core.changes import Backlog
from reminderd.core.rules import Backoff
from reminderd.providers.http import HttpClient
from reminderd.results import webhook
from reminderd.results.webhook import AT_ONCE, Destination, Sender
from reminderd.store.database import Database, open_database
from reminderd.store.feed import Feed
from reminderd.store.outcome_changes import delivery_backlog
from reminderd.store.personal_data import erase
from tests.support.clock import HandClock
from tests.support.databases import ON_EACH_ENGINE, database_in
from tests.support.hostile_provider import HostileProvider, Line, ReceivedRequest, answer, hang, hear, hostile
from tests.support.waiting import PATIENCE, until

pytestmark = ON_EACH_ENGINE

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SOON = Backoff(first=timedelta(milliseconds=20), maximum=timedelta(milliseconds=50))
CLOCK = SystemClock()
A_DAY = timedelta(days=1)
"""Longer than any test waits."""

Judge = Callable[[dict[str, Any]], int | bytes | None]
"""What the clinic's system answers to an event: a status, a whole answer, or None for no answer ever."""


@define
class Receiver:
    """The clinic's own system, which accepts everything by default."""

    server: HostileProvider
    judge: Judge = lambda _event: 204
    accepted: list[dict[str, Any]] = field(factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def play(self, line: Line) -> None:
        await hear(line)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            event = json.loads(self.server.requests[-1].body)["data"]
            judged = self.judge(event)
            await trio.lowlevel.checkpoint()
            if judged is None:
                await hang(line)
            elif isinstance(judged, bytes):
                await line.stream.send_all(judged)
            else:
                if 200 <= judged < 300:
                    self.accepted.append(event)
                await line.stream.send_all(answer(judged))
        finally:
            self.at_once -= 1

    async def until(self, count: int) -> list[str]:
        """Return the ids of the accepted reminders, as soon as there are this many."""
        await until(lambda: len(self.accepted) >= count)
        return [event["reminder_id"] for event in self.accepted]


@asynccontextmanager
async def a_receiver(judge: Judge = lambda _event: 204) -> AsyncIterator[Receiver]:
    async def play(line: Line) -> None:
        await receiver.play(line)

    async with hostile((play,)) as server:
        receiver = Receiver(server, judge)
        yield receiver


@asynccontextmanager
async def sending(
    database: Database,
    receiver: Receiver,
    *,
    backoff: Backoff = SOON,
    clock: Clock = CLOCK,
    patience: timedelta = timedelta(seconds=PATIENCE),
) -> AsyncIterator[Sender]:
    stopping = trio.Event()
    sender = Sender(
        destination=Destination(url=f"{receiver.server.url}/answers", secret=SECRET, backoff=backoff, pause=SOON),
        database=database,
        feed=Feed(database, stopping),
        clock=clock,
        stopping=stopping,
        client=HttpClient(timeout=patience, max_connections=AT_ONCE),
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(sender.run)
        yield sender
        stopping.set()


@asynccontextmanager
async def clinic(folder: Path) -> AsyncIterator[Database]:
    async with open_database(database_in(folder, "clinic.db"), CLOCK) as database:
        yield database


async def execute(database: Database, sql: str) -> None:
    await database.write(lambda connection, _now: connection.execute(sql).fetchall())


async def ended(database: Database, *names: str, status: str = "called") -> None:
    for name in names:
        await execute(
            database,
            "INSERT INTO reminders (id, phone_number, message, scheduled_at, status)"
            f" VALUES ('{name}', '+1202555010{len(name)}', 'Secret words', 0, '{status}')",
        )


async def waiting(database: Database) -> Backlog:
    return await database.read(delivery_backlog)


async def until_nothing_waits(database: Database) -> None:
    await until_waiting(database, 0)


async def until_waiting(database: Database, changes: int) -> None:
    async def is_so() -> bool:
        return (await waiting(database)).waiting == changes

    await until(is_so)


async def until_failed(database: Database) -> None:
    async def is_so() -> bool:
        return (await waiting(database)).error is not None

    await until(is_so)


async def test_a_change_arrives_signed_and_without_a_number_or_a_message(tmp_path: Path) -> None:
    async with clinic(tmp_path) as database, a_receiver() as receiver, sending(database, receiver):
        await ended(database, "a")
        assert await receiver.until(1) == ["a"]
        request: ReceivedRequest = receiver.server.requests[0]
        told = Webhook(SECRET).verify(request.body, dict(request.headers))
        assert told["type"] == "reminder.changed"
        assert (told["data"]["status"], told["data"]["outcome"]) == ("called", "reached")
        assert request.headers["webhook-id"] == told["data"]["id"]
        assert (request.method, request.target) == ("POST", "/answers")
        assert b"555" not in request.body
        assert b"Secret" not in request.body
        await until_nothing_waits(database)


async def test_what_happened_while_nothing_ran_arrives_in_order_and_once(tmp_path: Path) -> None:
    async with clinic(tmp_path) as database, a_receiver() as receiver:
        await ended(database, "a")
        await execute(database, "UPDATE reminders SET response = 'confirmed'")
        await execute(database, "UPDATE reminders SET response = 'cancel_requested'")
        for _ in range(2):
            async with sending(database, receiver):
                await receiver.until(3)
                await until_nothing_waits(database)
        assert [event["response"] for event in receiver.accepted] == [None, "confirmed", "cancel_requested"]


async def test_a_change_is_sent_again_with_the_same_id_until_it_is_accepted(tmp_path: Path) -> None:
    answers: Iterator[int | bytes | None] = iter([500, 302, 410, answer(429, b"", **{"Retry-After": "0"}), 204])
    async with (
        clinic(tmp_path) as database,
        a_receiver(lambda _event: next(answers)) as receiver,
        sending(database, receiver),
    ):
        await ended(database, "a")
        await receiver.until(1)
        await until_nothing_waits(database)
    assert len({request.headers["webhook-id"] for request in receiver.server.requests}) == 1
    assert {request.target for request in receiver.server.requests} == {"/answers"}, "no redirect is followed"
    assert len(receiver.server.requests) == 5


async def test_a_change_that_is_never_accepted_holds_back_only_those_of_its_own_reminder(tmp_path: Path) -> None:
    async with (
        clinic(tmp_path) as database,
        a_receiver(lambda event: 422 if event["reminder_id"] == "bad" else 200) as receiver,
        sending(database, receiver),
    ):
        await ended(database, "bad", "a")
        await execute(database, "UPDATE reminders SET response = 'confirmed' WHERE id = 'bad'")
        await ended(database, "b", "c", "d")
        assert sorted(await receiver.until(4)) == ["a", "b", "c", "d"]
        await until_waiting(database, 2)
        await until_failed(database)
        assert (await waiting(database)).error == "HTTP 422"
        receiver.judge = lambda _event: 200
        await receiver.until(6)
        assert [one["response"] for one in receiver.accepted if one["reminder_id"] == "bad"] == [None, "confirmed"]


async def test_a_change_whose_answer_never_comes_does_not_hold_up_the_others(tmp_path: Path) -> None:
    async with (
        clinic(tmp_path) as database,
        a_receiver(lambda event: None if event["reminder_id"] == "slow" else 200) as receiver,
        sending(database, receiver),
    ):
        await ended(database, "slow")
        await receiver.server.heard(1)
        await ended(database, "a", "b")
        assert sorted(await receiver.until(2)) == ["a", "b"]


async def test_a_request_without_an_answer_is_given_up_and_sent_again(tmp_path: Path) -> None:
    answers = iter([None, 200])
    async with (
        clinic(tmp_path) as database,
        a_receiver(lambda _event: next(answers)) as receiver,
        sending(database, receiver, patience=timedelta(seconds=0.2)) as sender,
    ):
        await ended(database, "a")
        await receiver.server.heard(1)
        sender.client._seconds = A_DAY.total_seconds()  # the second one has time, on however slow a machine
        await receiver.until(1)
    assert len(receiver.server.requests) == 2


async def test_a_system_that_is_down_is_asked_by_one_request_at_a_time_and_gets_everything_once_it_is_up(
    tmp_path: Path,
) -> None:
    async with clinic(tmp_path) as database, a_receiver(lambda _event: 503) as receiver:
        await ended(database, *(f"r{number}" for number in range(30)))
        async with sending(database, receiver):
            await receiver.server.heard(12)
            receiver.most_at_once = receiver.at_once
            await receiver.server.heard(20)
            assert receiver.most_at_once <= 1
            receiver.judge = lambda _event: 200
            assert len(set(await receiver.until(30))) == 30
            await until_nothing_waits(database)


async def test_only_so_many_requests_are_sent_at_once(tmp_path: Path) -> None:
    async with clinic(tmp_path) as database, a_receiver() as receiver:
        await ended(database, *(f"r{number}" for number in range(100)))
        async with sending(database, receiver):
            assert len(set(await receiver.until(100))) == 100
        assert receiver.most_at_once <= AT_ONCE


async def turned(sender: Sender) -> None:
    """Wait until the next turn of its loop begins."""
    before = sender._turned
    await until(lambda: sender._turned is not before)


async def test_as_long_as_the_system_asks_to_wait_nothing_is_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_LOOK", 0.01)
    busy = answer(503, b"", **{"Retry-After": "3600"})
    async with (
        clinic(tmp_path) as database,
        a_receiver(lambda _event: busy) as receiver,
        sending(database, receiver) as sender,
    ):
        await ended(database, "a")
        await receiver.server.heard(1)
        await until_failed(database)
        await ended(database, "b")
        for _ in range(3):  # the second of these turns begins after the commit, and is over when the third begins
            await turned(sender)
        assert (sender._busy, len(receiver.server.requests)) == (set(), 1)


async def test_a_try_that_waits_for_a_time_of_a_clock_that_was_ahead_is_made_at_once(tmp_path: Path) -> None:
    clock = HandClock()
    async with clinic(tmp_path) as database, a_receiver() as receiver:
        await ended(database, "a")
        receiver.judge = lambda _event: 500
        clock.advance(timedelta(days=300))
        minutes = Backoff(first=timedelta(minutes=5), maximum=timedelta(minutes=5))
        async with sending(database, receiver, clock=clock, backoff=minutes):
            await receiver.server.heard(1)
            await until_failed(database)
        receiver.judge = lambda _event: 200
        async with sending(database, receiver, clock=HandClock()):
            await receiver.until(1)


async def test_after_a_restore_everything_that_is_kept_is_sent_again(tmp_path: Path) -> None:
    async with clinic(tmp_path) as database, a_receiver() as receiver:
        await ended(database, "a", "b")
        async with sending(database, receiver):
            await receiver.until(2)
            await until_nothing_waits(database)
        await execute(database, "UPDATE changes SET event_id = substr(event_id, 2) || substr(event_id, 1, 1)")
        async with sending(database, receiver):
            assert sorted(await receiver.until(4)) == ["a", "a", "b", "b"]


async def test_what_is_erased_is_not_sent_anymore(tmp_path: Path) -> None:
    async with clinic(tmp_path) as database, a_receiver(lambda _event: 500) as receiver:
        await ended(database, "a")
        async with sending(database, receiver):
            await receiver.server.heard(2)
        await database.write(partial(erase, phone_number="+12025550101", actor="anna"))
        assert (await waiting(database)).waiting == 0
        before = len(receiver.server.requests)
        async with sending(database, receiver):
            await ended(database, "bb")
            await receiver.server.heard(before + 1)
        assert b'"a"' not in receiver.server.requests[-1].body


async def test_a_stop_while_a_request_is_under_way_ends_within_seconds_and_sends_it_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert webhook._GRACE <= 5
    monkeypatch.setattr(webhook, "_GRACE", 0.1)
    async with clinic(tmp_path) as database, a_receiver(lambda _event: None) as receiver:
        await ended(database, "a")
        with trio.fail_after(PATIENCE):
            async with sending(database, receiver, patience=A_DAY):
                await receiver.server.heard(1)
        assert (await waiting(database)).waiting == 1
        receiver.judge = lambda _event: 200
        async with sending(database, receiver):
            await receiver.until(1)
