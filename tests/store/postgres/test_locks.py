"""What other programs have locked, and what reminderd locks: no change of either is lost, and calls continue."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
import pytest
from attrs import evolve

from reminderd.core.answers import Accepted
from reminderd.core.model import Status
from reminderd.core.requests import ReminderRequest
from reminderd.databases import PostgresServer
from reminderd.store import ledger
from reminderd.store.any_engine import open_sync
from reminderd.store.appointments import appointment_decisions, plan_due, put_appointments
from reminderd.store.claims import wake_waiting
from reminderd.store.connection import Connection, savepoint, snapshot
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.intake import Source
from reminderd.store.postgres import driver
from reminderd.store.postgres.driver import PostgresConnection
from reminderd.store.reminders import decisions
from reminderd.store.shared_state import setting
from tests.support.appointments import AT, TWICE, a_request
from tests.support.builders import DAY, MINUTE, NOW, a_report
from tests.support.postgres import USER, PostgresDatabase
from tests.support.rows import insert_row
from tests.support.store import Store

ANNA = Source(actor="anna")
LOCKED = psycopg.errors.LockNotAvailable


@pytest.fixture
def store(made: PostgresDatabase, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Yield a store that goes by the test's clock, and waits shortly for locks."""
    by_the_server = PostgresConnection.begin

    def begin(self: PostgresConnection) -> None:
        by_the_server(self)

    monkeypatch.setattr(PostgresConnection, "begin", begin)
    monkeypatch.setattr(driver, "_BEGIN", driver._BEGIN.replace("'1s'", "'30ms'"))
    with open_sync(PostgresServer(made.url)) as connection:
        yield Store(connection)


@pytest.fixture
def foreign(made: PostgresDatabase) -> Iterator[psycopg.Connection]:
    """Yield another program's connection, which does not wait for locks."""
    with made.server.connect(made.name, USER) as connection:
        connection.execute("SET lock_timeout = '20ms'")
        yield connection


@contextmanager
def locked(foreign: psycopg.Connection, table: str, row_id: str) -> Iterator[None]:
    """Leave another program's transaction open that has locked a row."""
    with foreign.transaction():
        foreign.execute(f"SELECT id FROM {table} WHERE id = %s FOR UPDATE".encode(), (row_id,))
        yield


def mint(store: Store) -> str:
    return f"11111111-2222-4333-8444-{int(store.mint().removeprefix('id-')):012}"


def call_of(store: Store, reminder_id: str = "r1") -> str:
    return store.calls(reminder_id)[0].id


def load_a_call(store: Store, connection: Connection, now: datetime) -> object:
    return ledger.load_call(connection, store.rules, now, call_of(store))


def load_a_report(_store: Store, connection: Connection, _now: datetime) -> object:
    return ledger.load_reported(connection, a_report(external_call_id="x", attempt_id=None, reminder_id="r1"))


def load_a_reminder(store: Store, connection: Connection, now: datetime) -> object:
    return ledger.load(connection, store.rules, now, reminder_ids=["r1"])


def load_what_shares_its_number(store: Store, connection: Connection, now: datetime) -> object:
    return ledger.load(connection, store.rules, now, reminder_ids=["r2"])


def look_it_up_by_its_ref(store: Store, connection: Connection, now: datetime) -> object:
    request = ReminderRequest(phone_number="+12025550001", message="Another.", scheduled_at=now, ref="R-1")
    return decisions(connection, now, requests=[request], rules=store.rules)


@pytest.mark.parametrize(
    "read",
    [
        load_a_call,
        load_a_report,
        load_a_reminder,
        load_what_shares_its_number,
        look_it_up_by_its_ref,
    ],
)
def test_what_was_loaded_to_be_saved_is_changed_by_nobody_else(
    store: Store, foreign: psycopg.Connection, read: Callable[[Store, Connection, datetime], object]
) -> None:
    """Otherwise what another program commits in between would be overwritten."""
    store.insert(ref="R-1")
    store.claim()
    store.insert("r2")

    def reads(connection: Connection, now: datetime) -> None:
        read(store, connection, now)
        connection.execute("SELECT 1").fetchall()  # what was to be sent has been sent
        with pytest.raises(LOCKED):
            foreign.execute("UPDATE reminders SET message = 'Another.' WHERE id = 'r1'")

    store.write(reads)
    foreign.execute("UPDATE reminders SET message = 'Another.' WHERE id = 'r1'")
    assert store.reminder().message == "Another."


def test_an_appointment_with_its_reminders_is_changed_by_nobody_else(store: Store, foreign: psycopg.Connection) -> None:
    write = partial(put_appointments, rules=TWICE, mint=partial(mint, store), source=ANNA)
    store.write(partial(write, requests=[a_request()]))

    def moves(connection: Connection, now: datetime) -> None:
        write(connection, now, requests=[a_request(at=AT + DAY)])
        for table in ("appointments", "reminders"):
            with pytest.raises(LOCKED):
                foreign.execute(f"SELECT id FROM {table} FOR UPDATE".encode())

    store.write(moves)


def test_what_is_only_read_is_locked_for_nobody(store: Store, foreign: psycopg.Connection) -> None:
    store.insert(ref="R-1")

    def reads(connection: Connection) -> None:
        load_a_reminder(store, connection, NOW)
        look_it_up_by_its_ref(store, connection, NOW)
        appointment_decisions(connection, NOW, requests=[a_request()], rules=TWICE, source=ANNA)
        foreign.execute("UPDATE reminders SET message = 'Another.' WHERE id = 'r1'")

    snapshot(store.connection, reads)
    assert store.reminder().message == "Another."


def test_a_reminder_that_another_program_has_locked_is_claimed_later_and_no_other_waits_for_it(
    store: Store, foreign: psycopg.Connection
) -> None:
    for number in range(1, 5):
        store.insert(f"r{number}", f"+1202555000{number}")
    with locked(foreign, "reminders", "r1"):
        assert [one.call.reminder_id for one in store.claim(requests=2)] == ["r2", "r3"]
        assert [one.call.reminder_id for one in store.claim(requests=2)] == ["r4"]
        assert store.claims() == []
    assert [one.call.reminder_id for one in store.claim()] == ["r1"]


def test_a_call_that_another_program_has_locked_is_checked_later(store: Store, foreign: psycopg.Connection) -> None:
    store.insert("r1")
    store.insert("r2", "+12025550002")
    store.claim()
    store.later(store.rules.lease)
    with locked(foreign, "call_logs", call_of(store)):
        assert [one.call and one.call.reminder_id for one in store.claims()] == ["r2"]
    assert [one.call and one.call.reminder_id for one in store.claims()] == ["r1"]


def test_a_lease_is_extended_though_another_program_has_locked_a_call(
    store: Store, foreign: psycopg.Connection
) -> None:
    store.insert("r1")
    store.insert("r2", "+12025550002")
    tokens = frozenset(action.token for action in store.claim())
    store.later(store.rules.lease)
    with locked(foreign, "call_logs", call_of(store)):
        assert store.claims(held=tokens) == []
    assert [store.calls(one)[0].wake_at for one in ("r1", "r2")] == [store.now, store.now + store.rules.lease]


def test_a_reminder_that_shares_its_number_with_a_locked_one_is_called_without_it(
    store: Store, foreign: psycopg.Connection
) -> None:
    store.rules = evolve(store.rules, group_within=10 * MINUTE)
    store.insert("r1")
    store.insert("r2", scheduled_at=1)
    with locked(foreign, "reminders", "r2"):
        [action] = store.claim()
    assert (action.call.reminder_id, store.reminder("r2").status) == ("r1", Status.SCHEDULED)


def test_a_reminder_whose_appointment_is_locked_delays_only_itself(store: Store, foreign: psycopg.Connection) -> None:
    """The claim needs the appointment, and is tried again after a lease; the reminder has not failed."""
    row = {"id": "a1", "phone_number": "+12025550001", "at": 1_773_064_800_000, "revision": 1}
    insert_row(store.connection, "appointments", row)
    store.insert("r1", appointment_id="a1")
    store.insert("r2", "+12025550002")
    with locked(foreign, "appointments", "a1"):
        assert [one.call.reminder_id for one in store.claim()] == ["r2"]
    assert (store.reminder().status, store.reminder().wake_at) == (Status.SCHEDULED, store.now + store.rules.lease)


def test_an_appointment_that_is_locked_is_planned_later_and_others_at_once(
    store: Store, foreign: psycopg.Connection
) -> None:
    store.rules = TWICE
    for name in ("a1", "a2", "a3"):
        row = {"id": name, "phone_number": f"+1202555000{name[1]}", "at": 1_773_064_800_000}
        insert_row(store.connection, "appointments", row)
    store.insert("r1", appointment_id="a3")
    plan = partial(plan_due, rules=store.rules, mint=partial(mint, store))

    def planned() -> set[str]:
        rows = store.connection.execute("SELECT id FROM appointments WHERE wake_at IS NULL").fetchall()
        return {row["id"] for row in rows}

    with locked(foreign, "appointments", "a1"), locked(foreign, "reminders", "r1"):
        store.write(plan)
        assert planned() == {"a2"}
    store.write(plan)
    assert planned() == {"a1", "a2", "a3"}


def test_what_waits_is_checked_after_a_start_though_another_program_has_locked_some_of_it(
    store: Store, foreign: psycopg.Connection
) -> None:
    """Otherwise one transaction that stays open would keep a daemon from starting to call."""
    later: dict[str, Any] = {"hold_code": "hours", "wake_at": 1_772_500_000_000}
    store.insert("r1", **later)
    store.insert("r2", "+12025550002", **later)
    with locked(foreign, "reminders", "r1"):
        store.write(wake_waiting)
    assert [store.reminder(one).wake_at == store.now for one in ("r1", "r2")] == [False, True]


def test_the_end_of_a_call_does_not_wait_for_a_locked_reminder_of_its_number(
    store: Store, foreign: psycopg.Connection
) -> None:
    store.insert("r1")
    [action] = store.claim()
    store.insert("r2")
    store.claims()
    assert store.reminder("r2").hold_code == "number_busy"
    with locked(foreign, "reminders", "r2"):
        store.answer(action, Accepted("ext-1"))
        store.report(a_report(external_call_id="ext-1", attempt_id=action.call.id))
    assert store.reminder("r1").status is Status.CALLED


def test_a_webhook_for_a_locked_reminder_fails_alone_and_can_be_repeated(
    store: Store, foreign: psycopg.Connection
) -> None:
    store.insert()
    [action] = store.claim()
    with locked(foreign, "reminders", "r1"), pytest.raises(StoreUnavailableError, match="holds a lock"):
        store.answer(action, Accepted("ext-1"))
    store.answer(action, Accepted("ext-1"))
    assert store.calls()[0].external_call_id == "ext-1"


def test_an_error_undoes_its_savepoint_also_if_an_unread_statement_fails_too(store: Store) -> None:
    def works(connection: Connection) -> None:
        connection.execute("INSERT INTO settings (key, value) VALUES ('undone', 'yes')")
        connection.execute("INSERT INTO settings (key, value) VALUES ('undone', 'twice')")
        raise RuntimeError("a bug")

    def fails(connection: Connection, _now: datetime) -> None:
        connection.execute("INSERT INTO settings (key, value) VALUES ('kept', 'yes')")
        with pytest.raises(RuntimeError, match="a bug"), savepoint(connection):
            works(connection)
        connection.execute("INSERT INTO settings (key, value) VALUES ('later', 'yes')")

    store.write(fails)
    assert [setting(store.connection, key) for key in ("kept", "undone", "later")] == ["yes", None, "yes"]


def test_the_error_of_an_unread_statement_comes_at_the_end_of_its_savepoint(store: Store) -> None:
    def fails(connection: Connection, _now: datetime) -> None:
        connection.execute("INSERT INTO settings (key, value) VALUES ('kept', 'yes')")
        with pytest.raises(psycopg.errors.UniqueViolation), savepoint(connection):
            connection.execute("INSERT INTO settings (key, value) VALUES ('kept', 'twice')")

    store.write(fails)
    assert setting(store.connection, "kept") == "yes"
