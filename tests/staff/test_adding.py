"""Add a reminder or an appointment manually: what staff see before, and that nothing else is stored."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import uuid4

import pytest
from attrs import evolve

from reminderd.core.booking import AppointmentRequest
from reminderd.core.requests import ReminderRequest
from reminderd.core.upsert import Intake
from reminderd.databases import Target
from reminderd.staff.adding import Foreseen, ForeseenOtherwiseError, add_as_shown, add_one, foresee
from reminderd.store.intake import RefTakenError, Source
from tests.support.appointments import AT, TWICE, a_request
from tests.support.builders import DAY, HOUR, NOW, hours
from tests.support.plans import plans
from tests.support.store import Store, a_store

pytestmark = pytest.mark.also_on_postgres

REQUEST = ReminderRequest(
    phone_number="+12025550001", message="Dear [NameF].", scheduled_at=NOW + DAY, ref="47", language=None
)


def test_what_staff_should_look_at_again_is_said_of_what_was_added(target: Target) -> None:
    with a_store(target) as store:
        store.insert("other", ref="0047")
        store.connection.execute("INSERT INTO opt_outs (phone_number, created_at) VALUES ('+12025550001', 0)")
        add = partial(add_one, request=REQUEST, reminder_id="r1", rules=store.rules, source=Source(actor="anna"))
        added = store.write(add)
        assert [warning.partition(":")[0] for warning in added.warnings] == [
            "this number has opted out",
            "message",
            "ref",
        ]
        assert (added.reminder["id"], added.reminder["ref"], added.reminder["status"]) == ("r1", "47", "scheduled")
        with pytest.raises(RefTakenError, match="r1"):
            store.write(add)
        assert store.count("audit") == 1


ANNA = Source(actor="anna")
REMINDER = ReminderRequest(phone_number="+12025550001", message="Your glasses are ready.", scheduled_at=NOW + DAY)
OPT_OUT = "INSERT INTO opt_outs (phone_number, created_at) VALUES ('+12025550001', 0)"


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target, TWICE) as store:
        yield store


def foreseen(store: Store, request: ReminderRequest | AppointmentRequest = REMINDER) -> Foreseen:
    return foresee(store.connection, request=request, rules=store.rules, source=ANNA, now=store.now)


def added(store: Store, shown: Foreseen, request: ReminderRequest = REMINDER) -> Any:
    return store.write(
        partial(
            add_as_shown,
            request=request,
            rules=store.rules,
            mint=lambda: str(uuid4()),
            source=ANNA,
            shown=shown.digest,
        )
    )


def test_a_reminder_is_foreseen_with_its_call_and_what_is_spoken(store: Store) -> None:
    shown = foreseen(store)
    [call] = shown.calls
    assert (call.at, call.cadence, call.is_left_out) == (REMINDER.scheduled_at, None, False)
    to_person, to_machine = shown.passages
    assert REMINDER.message in to_person.texts
    assert to_machine.heading == "a machine"
    assert shown.decision.intake is Intake.ADDED
    assert store.count("reminders") == 0


def test_a_machine_that_is_left_no_message_is_foreseen_with_none(store: Store) -> None:
    store.rules = evolve(store.rules, leave_voicemail=False)
    assert [passage.heading for passage in foreseen(store).passages] == ["a person"]


def test_a_reminder_that_is_due_is_called_at_once_and_foreseen_the_same_a_moment_later(store: Store) -> None:
    due = evolve(REMINDER, scheduled_at=NOW - timedelta(minutes=5))
    shown = foreseen(store, due)
    store.now += timedelta(minutes=1)
    assert foreseen(store, due).digest == shown.digest


def test_a_call_waits_for_the_calling_hours_or_is_not_placed_at_all(store: Store) -> None:
    store.rules = evolve(store.rules, calling_hours=hours((NOW.hour + 1) * HOUR, (NOW.hour + 3) * HOUR))
    assert [call.at for call in foreseen(store).calls] == [REMINDER.scheduled_at + HOUR]
    soon = evolve(REMINDER, expires_at=REMINDER.scheduled_at + HOUR / 2)
    assert foreseen(store, soon).calls == ()


def test_what_is_added_is_what_was_shown(store: Store) -> None:
    shown = foreseen(store)
    store.connection.execute(OPT_OUT)
    with pytest.raises(ForeseenOtherwiseError):
        added(store, shown)
    assert store.count("reminders") == 0
    again = foreseen(store)
    assert any("opted out" in warning for warning in again.decision.warnings)
    assert again.calls == (), "a call is not announced that is never placed"
    decision, [row] = added(store, again)
    assert (decision.intake, row["message"]) == (Intake.ADDED, REMINDER.message)


def test_the_same_reminder_is_there_already_and_another_one_takes_its_ref(store: Store) -> None:
    named = evolve(REMINDER, ref="G-7")
    for request in (REMINDER, named):
        _, [first] = added(store, foreseen(store, request), request)
        shown = foreseen(store, request)
        assert (shown.decision.intake, shown.ref_taken_by) == (Intake.UNCHANGED, None)
        decision, [second] = added(store, shown, request)
        assert (decision.intake, second["id"]) == (Intake.UNCHANGED, first["id"])
    other = evolve(named, message="Another one.")
    shown = foreseen(store, other)
    assert shown.ref_taken_by is not None
    with pytest.raises(RefTakenError, match=shown.ref_taken_by):
        added(store, shown, other)


def test_a_reminder_that_is_too_late_has_no_row(store: Store) -> None:
    late = evolve(REMINDER, scheduled_at=NOW - DAY, expires_at=NOW - HOUR)
    shown = foreseen(store, late)
    assert shown.decision.intake is Intake.TOO_LATE
    decision, rows = added(store, shown, late)
    assert (decision.refused, rows) == (True, [])


def test_an_appointment_is_foreseen_with_each_of_its_calls(store: Store) -> None:
    request = a_request()
    shown = foreseen(store, request)
    assert [call.is_left_out for call in shown.calls] == [False, False]
    assert all(call.at is not None and call.at < AT for call in shown.calls)
    assert shown.ref_taken_by is None
    soon = foreseen(store, evolve(request, at=NOW + HOUR))
    assert [call.is_left_out for call in soon.calls] == [True, True]
    assert soon.digest != shown.digest
    put = partial(add_as_shown, request=request, rules=store.rules, mint=lambda: str(uuid4()), source=ANNA)
    with pytest.raises(ForeseenOtherwiseError):
        store.write(partial(put, shown=soon.digest))
    decision, planned = store.write(partial(put, shown=shown.digest))
    assert (decision.intake, len(planned)) == (Intake.ADDED, 2)
    assert foreseen(store, evolve(request, name="Bob")).ref_taken_by == planned[0]["appointment_id"]
    assert foreseen(store, request).ref_taken_by is None
    decision, again = store.write(partial(put, shown=shown.digest))
    assert (decision.intake, again) == (Intake.UNCHANGED, planned), "the form was sent twice"


@pytest.mark.sqlite_only("PostgreSQL goes by the number of rows")
@pytest.mark.parametrize("ref", [None, "G-7"])
def test_what_is_foreseen_is_read_by_an_index_however_much_is_stored(store: Store, ref: str | None) -> None:
    def read() -> None:
        foreseen(store, evolve(REMINDER, ref=ref))
        foreseen(store, evolve(a_request(), ref=ref))

    found = plans(store, read)
    assert any(step.table == "reminders" for plan in found for step in plan.steps)
    for plan in found:
        assert not plan.whole_tables, plan
