"""Alerts when reminders need a human: together, once, and never with the patients' names or numbers."""

import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import trio
from attrs import define, field

from reminderd.core.outcomes import Outcome
from reminderd.core.reasons import EndCode
from reminderd.core.rules import ExpectedFile
from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.schedule.time_zones import Daily
from reminderd.daemon.alerts import Alerts, alert_text, by_apprise, send_alerts
from reminderd.databases import Target
from reminderd.store.database import Database, open_database
from reminderd.store.import_records import file_alert
from reminderd.store.queries import AlertedReminder
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import forget_failing_address
from tests.support.builders import NOW
from tests.support.clock import HandClock, SeenClock
from tests.support.hostile_provider import answering, hostile, nobody_listens
from tests.support.rows import insert_row
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.also_on_postgres

ONCE = timedelta(seconds=0.01)


@define
class Recipient:
    """Records alerts, or fails to send them."""

    works: bool = True
    sent: list[tuple[str, str]] = field(factory=list)
    tries: int = 0
    _news: trio.Event = field(factory=trio.Event)

    async def __call__(self, title: str, text: str) -> bool:
        self.tries += 1
        if self.works:
            self.sent.append((title, text))
        self._news.set()
        self._news = trio.Event()
        return self.works

    async def until(self, tries: int) -> None:
        with trio.fail_after(PATIENCE):
            while self.tries < tries:
                await self._news.wait()


async def insert(database: Database, name: str, status: str = "failed", **columns: Any) -> None:
    row = {
        "id": name,
        "phone_number": "+12025550147",
        "message": "Secret words",
        "scheduled_at": to_ms(NOW),
        "updated_at": to_ms(NOW),
        "status": status,
        **columns,
    }
    await database.write(lambda connection, _now: insert_row(connection, "reminders", row))


@asynccontextmanager
async def watched(target: Target, recipient: Recipient, *rows: Sequence[Any]) -> AsyncIterator[Database]:
    clock = HandClock()
    stopping = trio.Event()
    async with open_database(target, clock) as database, trio.open_nursery() as nursery:
        for name, status, columns in rows:
            await insert(database, name, status, **columns)
        alerts = Alerts(database=database, clock=clock, send=recipient, every=ONCE, stopping=stopping)
        nursery.start_soon(send_alerts, alerts)
        yield database
        stopping.set()


async def until_alerted(database: Database, reminders: int) -> None:
    async def are_alerted() -> bool:
        return await database.read(lambda c: c.execute("SELECT count(*) FROM alerts").fetchone()[0] == reminders)

    await until(are_alerted)


async def test_failures_at_the_same_time_are_one_alert_without_patient_data(target: Target) -> None:
    recipient = Recipient()
    rows = [
        ("r1", "failed", {"last_error": "busy"}),
        ("r4", "failed", {"end_code": "hung_up"}),
        ("r5", "failed", {"end_code": "restored"}),
        ("r2", "called", {"response": "cancel_requested", "ref": "appointment-2"}),
        ("r3", "expired", {}),
        ("well", "called", {"response": "confirmed"}),
        ("called manually", "failed", {"done_at": to_ms(NOW)}),
        ("waits", "scheduled", {}),
    ]
    async with watched(target, recipient, *rows) as database:
        await until_alerted(database, 5)
    ((title, text),) = recipient.sent
    assert title == "5 reminders need a human"
    assert text.splitlines() == [
        "1 wants to cancel, 3 not reached, 1 expired",
        "r1: not reached",
        "appointment-2: wants to cancel",
        "r3: expired",
        "r4: not reached (hung up)",
        "r5: not reached",
        "For details run reminderd report.",
    ]
    assert "555" not in text
    assert "Secret" not in text


async def test_no_failure_is_alerted_twice_even_after_a_restart(target: Target) -> None:
    recipient = Recipient()
    async with watched(target, recipient, ("r1", "failed", {})) as database:
        await until_alerted(database, 1)
    async with watched(target, recipient) as database:
        await insert(database, "r2")
        await until_alerted(database, 2)
    assert [title for title, _ in recipient.sent] == ["1 reminder needs a human"] * 2
    assert "r1" not in recipient.sent[1][1]


async def test_a_reminder_that_is_called_again_and_fails_again_is_alerted_again(target: Target) -> None:
    recipient = Recipient()
    async with watched(target, recipient, ("r1", "failed", {})) as database:
        await until_alerted(database, 1)
        later = to_ms(NOW) + 1
        await database.write(lambda c, _now: c.execute("UPDATE reminders SET updated_at = ?", (later,)).fetchall())
        await recipient.until(2)
    assert len(recipient.sent) == 2


async def test_a_reminder_held_for_its_changed_number_is_alerted_once(target: Target) -> None:
    recipient = Recipient()
    held = {"hold_code": "number_changed", "wake_at": to_ms(NOW), "scheduled_at": to_ms(NOW) + 86_400_000}
    rows = [("held", "scheduled", held), ("waits", "scheduled", held | {"hold_code": "hours"})]
    async with watched(target, recipient, *rows) as database:
        await until_alerted(database, 1)
        checked = "UPDATE reminders SET updated_at = updated_at + 1, revision = 1"
        await database.write(lambda connection, _now: connection.execute(checked).fetchall())
        await insert(database, "failed")
        await until_alerted(database, 2)
    first, second = (text.splitlines()[1:-1] for _, text in recipient.sent)
    assert first == ["held: number changed"]
    assert second == ["failed: not reached"]


async def test_a_failed_alert_is_sent_later(target: Target) -> None:
    recipient = Recipient(works=False)
    async with watched(target, recipient, ("r1", "failed", {})) as database:
        await recipient.until(2)
        recipient.works = True
        await until_alerted(database, 1)
    assert len(recipient.sent) == 1


async def test_failures_of_a_week_ago_cause_no_alert(target: Target) -> None:
    recipient = Recipient()
    old = {"scheduled_at": to_ms(NOW - timedelta(days=8))}
    async with watched(target, recipient, ("old", "failed", old), ("new", "failed", {})) as database:
        await until_alerted(database, 1)
    assert "old" not in recipient.sent[0][1]


async def test_a_reminder_that_fails_before_its_time_is_alerted_at_once_and_once(target: Target) -> None:
    recipient = Recipient()
    to_come = {"end_code": "invalid", "scheduled_at": to_ms(NOW + timedelta(days=3))}
    async with watched(target, recipient, ("invalid", "failed", to_come)) as database:
        await until_alerted(database, 1)
        await insert(database, "due")
        await until_alerted(database, 2)
    assert [text.splitlines()[1:-1] for _, text in recipient.sent] == [["invalid: not reached"], ["due: not reached"]]


def test_a_long_list_is_shortened() -> None:
    many = [
        AlertedReminder(id=f"r{n}", ref=None, outcome=Outcome.EXPIRED, end_code=EndCode.TOO_LATE, updated_at=NOW)
        for n in range(60)
    ]
    title, text = alert_text(many)
    assert title == "60 reminders need a human"
    assert "and 10 more" in text.splitlines()


async def test_apprise_sends_an_alert_and_says_whether_it_arrived() -> None:
    async with hostile(answering(200)) as server:
        send = by_apprise([server.url.replace("http", "json")])
        assert await send("2 reminders need a human", "r1: not reached")
    assert b"2 reminders need a human" in server.requests[0].body
    with nobody_listens() as url:
        assert not await by_apprise([url.replace("http", "json")])("title", "text")


@pytest.mark.parametrize("number", ["+12025550194", "2025550194", "(202) 555-0194", "Brown 202 555 0194"])
def test_an_alert_masks_phone_numbers_in_refs_and_ids(number: str) -> None:
    for id_, ref in (("r-1", number), (number, None)):
        found = [AlertedReminder(id=id_, ref=ref, outcome=Outcome.NOT_REACHED, end_code=None, updated_at=NOW)]
        text = alert_text(found)[1]
        assert "94: not reached" in text
        assert not re.search("202|555", text)


def test_an_alert_shows_a_long_id_that_is_not_a_phone_number() -> None:
    id_ = "0f8fad5b-d9cb-469f-a165-70867728950e"
    found = [AlertedReminder(id=id_, ref=None, outcome=Outcome.EXPIRED, end_code=None, updated_at=NOW)]
    assert f"{id_}: expired" in alert_text(found)[1].splitlines()


async def fail_address(database: Database, at: datetime) -> None:
    sql = "INSERT INTO settings (key, value) VALUES ('unreached_since', ?)"
    await database.write(lambda connection, _now: connection.execute(sql, (str(to_ms(at)),)).fetchall())


async def test_a_failing_address_is_alerted_once_each_time_it_begins_to_fail(target: Target) -> None:
    recipient = Recipient()
    async with watched(target, recipient) as database:
        await fail_address(database, NOW)
        await recipient.until(1)
    async with watched(target, recipient, ("r1", "failed", {})) as database:
        await until_alerted(database, 1)
        await database.write(lambda connection, _now: forget_failing_address(connection))
        await fail_address(database, NOW + ONCE)
        await recipient.until(3)
    titles = [title for title, _ in recipient.sent]
    assert titles == ["dialing is paused", "1 reminder needs a human", "dialing is paused"]
    assert "[web].public_base_url" in recipient.sent[0][1]


def test_a_pause_and_failed_reminders_are_one_alert() -> None:
    title, text = alert_text(
        [AlertedReminder(id="r1", ref=None, outcome=Outcome.EXPIRED, end_code=None, updated_at=NOW)], is_unreached=True
    )
    assert title == "dialing is paused; 1 reminder needs a human"
    assert text.splitlines()[-2:] == ["r1: expired", "For details run reminderd report."]
    assert "reminderd doctor" in text.splitlines()[0]


async def test_a_file_that_has_not_come_is_alerted_once_for_each_day(target: Target) -> None:
    recipient = Recipient()
    expected = ExpectedFile(
        by=Daily(at=time(6, 30), zone=ZoneInfo("Europe/Berlin")), hours=CallingHours(ZoneInfo("UTC"))
    )

    async def is_alerted(database: Database, now: datetime) -> bool:
        return await database.read(partial(file_alert, expected=expected, now=now)) is None

    for day in (0, 0, 1):
        clock, stopping = SeenClock(time=NOW + timedelta(days=day)), trio.Event()
        async with open_database(target, clock) as database, trio.open_nursery() as nursery:
            alerts = Alerts(
                database=database, clock=clock, send=recipient, every=ONCE, stopping=stopping, expected=expected
            )
            nursery.start_soon(send_alerts, alerts)
            await until(partial(is_alerted, database, clock.time))
            await clock.is_looked_at_again()
            stopping.set()
    assert recipient.sent == [
        (
            "no file has come",
            f"no file has arrived in [import].folder: one was expected by 2026-03-0{day} 06:30. Run reminderd report.",
        )
        for day in (2, 3)
    ]
