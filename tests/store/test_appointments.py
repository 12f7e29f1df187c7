"""Appointments in the database: by requests, by other programs' SQL, and each plan in the transaction of its cause."""

from collections.abc import Iterator
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.booking import AppointmentCancellation, AppointmentRequest
from reminderd.core.model import Appointment, AppointmentStatus, Reminder, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import Intake
from reminderd.databases import Target
from reminderd.store.appointments import (
    appointment_decisions,
    appointments_between,
    cancel_appointment,
    find_appointment,
    move_appointment,
    plan_due,
    put_all_appointments,
    put_appointment_cancellations,
    put_appointments,
    replan_if_rules_changed,
)
from reminderd.store.claims import wake_waiting
from reminderd.store.errors import UnknownAppointmentError
from reminderd.store.examination import broken_promises
from reminderd.store.intake import RequestsRefusedError, Source
from reminderd.store.personal_data import Place, erase, personal_data_of, purge_batch
from reminderd.store.queries import reminders_to_alert
from reminderd.store.rows import REMINDERS, to_ms
from tests.support.appointments import AT, ONE_DAY, THREE_DAYS, TWICE, a_request, rules_with
from tests.support.builders import DAY, HOUR, NOW
from tests.support.rows import refused
from tests.support.store import Store, a_store, contents

ANNA = Source(actor="anna")
FILE = Source(actor="anna", detail="import of list.csv", profile="nightly", cancels_as=EndCode.APPOINTMENT_CANCELLED)


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target, TWICE) as store:
        yield store


def put(store: Store, *requests: AppointmentRequest, source: Source = ANNA) -> list[Intake]:
    fn = partial(put_appointments, requests=requests, rules=store.rules, mint=mint(store), source=source)
    return [decision.intake for decision in store.write(fn)]


def mint(store: Store) -> Any:
    return lambda: f"11111111-2222-4333-8444-{int(store.mint().removeprefix('id-')):012}"


def found(store: Store, name: str = "A-1") -> Appointment:
    appointment = find_appointment(store.connection, name)
    assert appointment is not None
    return appointment


def reminders(store: Store) -> list[Reminder]:
    rows = store.connection.execute(f"SELECT {REMINDERS.names} FROM reminders ORDER BY scheduled_at, id").fetchall()
    return [REMINDERS.read(row) for row in rows]


def waiting(store: Store) -> list[datetime]:
    return [one.scheduled_at for one in reminders(store) if not one.status.final]


def audit(store: Store) -> list[tuple[Any, ...]]:
    rows = store.connection.execute("SELECT actor, act, detail FROM audit ORDER BY id")
    return [tuple(row) for row in rows]


def insert(store: Store, identity: str = "a1", **columns: Any) -> None:
    """Insert a row as another program does."""
    row = {"id": identity, "phone_number": "+12025550001", "at": to_ms(AT)} | columns
    marks = ", ".join("?" for _ in row)
    store.connection.execute(f"INSERT INTO appointments ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def sql(store: Store, statement: str) -> None:
    store.connection.execute(statement)


def plan(store: Store, rules: Rules | None = None, limit: int = 50) -> int:
    fn = partial(plan_due, rules=rules or store.rules, mint=mint(store), limit=limit)
    return len(store.write(fn))


# Requests


def test_a_new_appointment_is_stored_with_its_reminders_and_an_audit_line(store: Store) -> None:
    assert put(store, a_request(name="Ada", provider="Dr. Who", place="Room 4", patient_ref="P1")) == [Intake.ADDED]
    appointment = found(store)
    assert (appointment.phone_number, appointment.at, appointment.name) == ("+12025550001", AT, "Ada")
    assert (appointment.planned_at, appointment.wake_at, appointment.created_at) == (AT, None, NOW)
    assert waiting(store) == [THREE_DAYS, ONE_DAY]
    assert {one.appointment_id for one in reminders(store)} == {appointment.id}
    assert audit(store) == [
        ("anna", "add", "3 days before its appointment"),
        ("anna", "add", "1 day at 10:00 before its appointment"),
        ("anna", "add", None),
    ]
    named = store.connection.execute("SELECT appointment_id FROM audit WHERE appointment_id IS NOT NULL").fetchall()
    assert [row[0] for row in named] == [appointment.id]


def test_the_same_request_changes_nothing(store: Store) -> None:
    put(store, a_request())
    before = contents(store.connection)
    assert put(store, a_request()) == [Intake.UNCHANGED]
    assert contents(store.connection) == before


def test_a_request_without_a_ref_names_the_appointment_by_its_content(store: Store) -> None:
    one = a_request(ref=None)
    assert put(store, one) == [Intake.ADDED]
    assert put(store, evolve(one, provider="Dr. Who")) == [Intake.CHANGED]
    assert found(store, one.own_id).provider == "Dr. Who"


def test_a_request_with_another_time_moves_it(store: Store) -> None:
    put(store, a_request())
    assert put(store, a_request(at=AT + DAY)) == [Intake.CHANGED]
    assert waiting(store) == [THREE_DAYS + DAY, ONE_DAY + DAY]
    assert {one.end_code for one in reminders(store) if one.status.final} == {EndCode.APPOINTMENT_MOVED}
    assert ("anna", "cancel", "its appointment was moved") in audit(store)


def test_nobody_is_called_for_the_former_time_of_an_appointment_that_was_moved_to_one_that_is_over(
    store: Store,
) -> None:
    put(store, a_request())
    assert put(store, a_request(at=NOW - HOUR)) == [Intake.CHANGED]
    assert waiting(store) == []
    assert {one.end_code for one in reminders(store)} == {EndCode.APPOINTMENT_MOVED}


def test_refused_requests_are_not_stored_and_the_others_are(store: Store) -> None:
    assert put(store, a_request(at=NOW), a_request(ref="A-2")) == [Intake.TOO_LATE, Intake.ADDED]
    assert find_appointment(store.connection, "A-1") is None
    fn = partial(put_all_appointments, rules=TWICE, mint=mint(store), source=ANNA)
    with pytest.raises(RequestsRefusedError):
        store.write(partial(fn, requests=[a_request(at=NOW), a_request(ref="A-3")]))
    assert find_appointment(store.connection, "A-3") is None
    ((stored, decision),) = store.write(partial(fn, requests=[a_request(ref="A-3")]))
    assert (stored.appointment["ref"], decision.intake) == ("A-3", Intake.ADDED)


def test_a_ref_rewritten_by_a_spreadsheet_causes_a_warning(store: Store) -> None:
    put(store, a_request(ref="0047"))
    decide = partial(appointment_decisions, requests=[a_request(ref="47")], rules=TWICE, source=ANNA)
    ((_, decision),) = store.write(decide)
    assert "may be 0047" in decision.warnings[0]


def test_a_changed_number_for_a_ref_is_held_for_staff_after_every_change(store: Store) -> None:
    put(store, a_request())
    other = "+12025550002"
    assert put(store, a_request(phone_number=other), source=FILE) == [Intake.HELD]
    for one in reminders(store):
        assert (one.phone_number, one.hold_code) == (other, HoldCode.NUMBER_CHANGED)
        assert one.last_error is not None
        assert "(import of list.csv), the former one ended in 01" in one.last_error
    assert put(store, a_request(phone_number=other), source=FILE) == [Intake.HELD]
    assert put(store, a_request(phone_number=other, at=AT + DAY), source=FILE) == [Intake.HELD]
    held = [one for one in reminders(store) if not one.status.final]
    assert {one.hold_code for one in held} == {HoldCode.NUMBER_CHANGED}
    assert put(store, a_request(phone_number="+12025550003"), source=FILE) == [Intake.HELD]
    assert put(store, a_request(), source=FILE) == [Intake.CHANGED]  # the former one again
    assert waiting(store) == [THREE_DAYS, ONE_DAY]
    assert {one.hold_code for one in reminders(store) if not one.status.final} == {None}


def test_a_hold_is_alerted_even_after_an_earlier_alert(store: Store) -> None:
    put(store, a_request())
    first = reminders(store)[0].id
    store.connection.execute("INSERT INTO alerts (reminder_id, updated_at) VALUES (?, 1)", (first,))
    put(store, a_request(phone_number="+12025550002"))
    assert store.connection.execute("SELECT count(*) FROM alerts").fetchone()[0] == 0


# Cancel and move


def test_staff_cancel_an_appointment_and_no_file_books_it_again_for_the_same_time(store: Store) -> None:
    put(store, a_request(), source=FILE)
    fn = partial(cancel_appointment, appointment_id=found(store).id, rules=TWICE, source=ANNA)
    store.write(fn)
    assert (found(store).status, waiting(store)) == (AppointmentStatus.CANCELLED, [])
    with pytest.raises(NotAllowedError):
        store.write(fn)
    assert put(store, a_request(), source=FILE) == [Intake.UNCHANGED]
    assert put(store, a_request(at=AT + DAY), source=FILE) == [Intake.CHANGED]
    assert waiting(store) == [THREE_DAYS + DAY, ONE_DAY + DAY]
    with pytest.raises(UnknownAppointmentError):
        store.write(partial(fn, appointment_id="unknown"))


def test_an_appointment_cancelled_by_a_file_can_be_booked_again(store: Store) -> None:
    put(store, a_request(), source=FILE)
    asked = [AppointmentCancellation(ref="A-1"), AppointmentCancellation(ref="A-9")]
    done = store.write(partial(put_appointment_cancellations, asked=asked, rules=TWICE, source=FILE))
    assert [decision.intake for decision in done] == [Intake.CANCELLED, Intake.NOT_NEEDED]
    assert put(store, a_request(), source=FILE) == [Intake.CHANGED]
    assert waiting(store) == [THREE_DAYS, ONE_DAY]


def test_an_appointment_without_a_ref_is_cancelled_by_its_content(store: Store) -> None:
    one = a_request(ref=None)
    put(store, one)
    asked = [AppointmentCancellation(ref=None, request=one)]
    store.write(partial(put_appointment_cancellations, asked=asked, rules=TWICE, source=FILE))
    assert found(store, one.own_id).end_code is EndCode.APPOINTMENT_CANCELLED


def test_staff_move_an_appointment(store: Store) -> None:
    put(store, a_request())
    move = partial(move_appointment, appointment_id=found(store).id, rules=TWICE, mint=mint(store), source=ANNA)
    store.write(partial(move, at=AT + DAY))
    assert (found(store).at, waiting(store)) == (AT + DAY, [THREE_DAYS + DAY, ONE_DAY + DAY])
    with pytest.raises(NotAllowedError, match="in the past"):
        store.write(partial(move, at=NOW))
    sql(store, "UPDATE appointments SET status = 'cancelled'")
    with pytest.raises(NotAllowedError, match="was cancelled"):
        store.write(partial(move, at=AT))
    with pytest.raises(UnknownAppointmentError):
        store.write(partial(move, appointment_id="nobody", at=AT))


def test_a_move_sees_the_answer_that_came_meanwhile(store: Store) -> None:
    """What a command has read before its transaction decides nothing."""
    put(store, a_request())
    move = partial(move_appointment, appointment_id=found(store).id, at=AT + DAY, rules=TWICE, mint=mint(store))
    sql(store, "UPDATE appointments SET response = 'confirmed'")
    store.write(partial(move, source=ANNA))
    assert (found(store).response, waiting(store)) == (None, [THREE_DAYS + DAY, ONE_DAY + DAY])


# Profiles


def test_the_appointments_of_a_profile_are_those_that_its_files_named(store: Store) -> None:
    put(store, a_request(ref="A-1"), a_request(ref="A-2", at=AT + HOUR), source=FILE)
    put(store, a_request(ref="A-3"), a_request(ref="A-4"))
    put(store, a_request(ref="A-4"), source=FILE)
    between = partial(appointments_between, store.connection, "nightly")
    assert sorted(one.ref or "" for one in between(NOW, AT + DAY)) == ["A-1", "A-2", "A-4"]
    assert sorted(one.ref or "" for one in between(AT, AT + HOUR)) == ["A-1", "A-4"]
    among = [one.id for one in between(NOW, AT + DAY) if one.ref != "A-4"]
    assert [one.ref for one in between(AT, AT + HOUR, among=[*among, found(store, "A-3").id])] == ["A-1"]
    asked = [AppointmentCancellation(ref="A-1")]
    store.write(partial(put_appointment_cancellations, asked=asked, rules=TWICE, source=FILE))
    assert [one.ref for one in between(AT, AT + HOUR)] == ["A-4"]


# Other programs


def test_an_inserted_appointment_is_planned(store: Store) -> None:
    insert(store, "Termin 4711", template="surgery", type="op")
    assert plan(store) == 1
    appointment = found(store, "Termin 4711")
    assert (appointment.wake_at, appointment.planned_at, waiting(store)) == (None, AT, [THREE_DAYS, ONE_DAY])
    assert audit(store)[-1] == ("reminderd", "plan", None)
    assert plan(store) == 0


def test_an_appointment_that_cannot_be_planned_has_a_reason(store: Store) -> None:
    insert(store)
    plan(store, rules_with())
    assert "[reminders].before" in (found(store, "a1").last_error or "")


@pytest.mark.parametrize("number", ["+1 202 555 0001", "+1-202-555-0001", "+12025550001 "])
def test_a_number_that_is_not_in_its_international_form_is_refused_when_its_calls_are_planned(
    store: Store, number: str
) -> None:
    insert(store, phone_number=number)
    plan(store)
    why = "phone_number: not in its international form; expected + and digits only"
    assert found(store, "a1").last_error == why
    assert store.claims() != []
    assert {(one.status, one.end_code, one.last_error) for one in reminders(store)} == {
        (Status.FAILED, EndCode.INVALID, why)
    }
    sql(store, "UPDATE appointments SET phone_number = '+12025550001'")
    plan(store)
    assert (found(store, "a1").last_error, waiting(store)) == (None, [THREE_DAYS, ONE_DAY])


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (f"at = {to_ms(AT + DAY)}", [THREE_DAYS + DAY, ONE_DAY + DAY]),
        ("status = 'cancelled'", []),
        ("response = 'by e-mail'", []),
        ("phone_number = '+12025550009'", [THREE_DAYS, ONE_DAY]),
        ("name = 'Ada'", [THREE_DAYS, ONE_DAY]),
    ],
)
def test_an_update_is_planned(store: Store, change: str, left: list[datetime]) -> None:
    put(store, a_request())
    sql(store, f"UPDATE appointments SET {change}")
    assert found(store).wake_at is not None
    store.later(DAY)
    assert plan(store) == 1
    assert waiting(store) == left
    if "phone" in change:
        assert {one.phone_number for one in reminders(store)} == {"+12025550009"}


def test_an_update_that_changes_nothing_is_not_planned(store: Store) -> None:
    put(store, a_request())
    sql(store, "UPDATE appointments SET at = at, name = NULL, status = 'booked'")
    assert found(store).wake_at is None


@pytest.mark.sqlite_only("PostgreSQL has no REPLACE")
def test_an_upsert_of_the_whole_row_keeps_the_response(store: Store) -> None:
    insert(store)
    plan(store)
    sql(store, "UPDATE reminders SET status = 'called', response = 'confirmed', wake_at = NULL, revision = 9")
    sql(store, "REPLACE INTO appointments (id, phone_number, at) SELECT id, phone_number, at FROM appointments")
    plan(store)
    assert (found(store, "a1").response, len(reminders(store))) == ("confirmed", 2)


def test_a_bounded_number_is_planned_at_once(store: Store) -> None:
    for number in range(3):
        insert(store, f"a{number}")
    assert [plan(store, limit=2) for _ in range(3)] == [2, 1, 0]


# Changed rules


def test_changed_rules_plan_all_future_appointments_again_once(store: Store) -> None:
    put(store, a_request())
    assert store.write(partial(replan_if_rules_changed, digest=TWICE.planning_digest))
    assert not store.write(partial(replan_if_rules_changed, digest=TWICE.planning_digest))
    assert plan(store) == 1
    other = rules_with("2 days")
    assert other.planning_digest != TWICE.planning_digest
    assert store.write(partial(replan_if_rules_changed, digest=other.planning_digest))
    assert plan(store, other) == 1
    assert waiting(store) == [AT - 2 * DAY]


def test_rules_that_nothing_was_planned_by_are_still_known(store: Store) -> None:
    """Otherwise, the same rules as before would pass for those by which new appointments were planned meanwhile."""
    put(store, a_request())
    store.write(partial(replan_if_rules_changed, digest=TWICE.planning_digest))
    store.later(9 * DAY)  # it is over
    store.rules = rules_with("2 days")
    assert not store.write(partial(replan_if_rules_changed, digest=store.rules.planning_digest))
    put(store, a_request(ref="A-2", at=AT + 9 * DAY))
    assert store.write(partial(replan_if_rules_changed, digest=TWICE.planning_digest))


def test_calls_left_out_by_a_clock_that_was_ahead_are_planned_once_it_is_right(store: Store) -> None:
    store.now = AT - HOUR
    put(store, a_request())
    assert waiting(store) == []
    store.now = NOW
    store.write(wake_waiting)
    assert plan(store) == 1
    assert waiting(store) == [THREE_DAYS, ONE_DAY]
    store.write(wake_waiting)
    assert plan(store) == 0


def test_past_and_cancelled_appointments_are_left_alone(store: Store) -> None:
    put(store, a_request(), a_request(ref="A-2", at=AT + 9 * DAY))
    store.write(partial(cancel_appointment, appointment_id=found(store, "A-2").id, rules=TWICE, source=ANNA))
    store.later(7 * DAY + HOUR * 5)
    store.write(partial(replan_if_rules_changed, digest="other"))
    assert plan(store) == 0


# Personal data


NAMED = {"name": "Ada", "patient_ref": "P-77", "provider": "Dr. Who"}


def test_an_appointment_is_exported_with_its_number(store: Store) -> None:
    put(store, a_request(**NAMED), a_request(ref="A-2", phone_number="+12025550002"))
    found = personal_data_of(store.connection, phone_number="+12025550001")
    assert [(one["ref"], one["name"], one["at"]) for one in found.appointments] == [("A-1", "Ada", AT)]
    assert [act["act"] for act in found.appointments[0]["audit"]] == ["add"]
    assert len(found.reminders) == 2


def test_an_appointment_without_reminders_is_still_something_that_is_stored(store: Store) -> None:
    store.later(7 * DAY)
    put(store, a_request())
    found = personal_data_of(store.connection, phone_number="+12025550001")
    assert (found.reminders, found.empty) == ([], False)


def test_an_erased_number_leaves_no_appointment(store: Store) -> None:
    put(store, a_request(**NAMED), a_request(ref="A-2", phone_number="+12025550002"))
    store.write(partial(erase, phone_number="+12025550001", actor="anna"))
    assert [row[0] for row in store.connection.execute("SELECT ref FROM appointments")] == ["A-2"]
    assert {one.phone_number for one in reminders(store)} == {"+12025550002"}
    assert not any(told in str(contents(store.connection)) for told in ("+12025550001", "Ada", "P-77"))


def test_an_erased_number_is_forgotten_as_the_former_one_and_the_new_one_still_waits_for_staff(store: Store) -> None:
    put(store, a_request())
    put(store, a_request(phone_number="+12025550002"))
    store.write(partial(erase, phone_number="+12025550001", actor="anna"))
    assert found(store).former_number == ""
    for one in reminders(store):
        assert (one.hold_code, one.last_error) == (HoldCode.NUMBER_CHANGED, HoldCode.NUMBER_CHANGED.sentence)
    assert put(store, a_request(phone_number="+12025550002")) == [Intake.HELD]


def test_an_old_appointment_is_purged_after_its_reminders(store: Store) -> None:
    put(store, a_request(**NAMED), a_request(ref="A-2", at=AT + 30 * DAY))
    store.later(20 * DAY)
    sql(store, "UPDATE reminders SET status = 'called', wake_at = NULL, revision = 2")
    purge(store, NOW + 19 * DAY)
    purged, kept = found(store), found(store, "A-2")
    assert (purged.phone_number, purged.name, purged.patient_ref, purged.provider) == ("", None, None, "Dr. Who")
    assert kept.phone_number == "+12025550001"
    assert purged.wake_at is None
    acts = [act for act in audit(store) if act[1] == "purge"]
    assert [act[2].partition(" from")[0] for act in acts] == ["2 reminders", "1 appointments"]


def purge(store: Store, before: datetime) -> None:
    place: Place | None = Place()
    while place is not None:
        fn = partial(purge_batch, before=before, place=place, actor="anna", cleaned=str)
        place = store.write(fn).reached


def test_the_check_of_the_database_finds_an_appointment_that_nobody_will_plan(store: Store) -> None:
    put(store, a_request())
    assert broken_promises(store.connection) == []
    sql(store, f"UPDATE appointments SET at = {to_ms(AT + DAY)}, revision = revision + 1")
    (broken,) = broken_promises(store.connection)
    assert "not planned for its time" in broken


def test_an_alert_names_the_appointment(store: Store) -> None:
    put(store, a_request())
    store.later(THREE_DAYS - store.now)
    failed = "UPDATE reminders SET status = 'failed', end_code = 'not_answered', wake_at = NULL, revision = 2"
    sql(store, f"{failed} WHERE scheduled_at = {to_ms(THREE_DAYS)}")
    assert [one.ref for one in reminders_to_alert(store.connection, now=store.now)] == ["A-1"]


@pytest.mark.sqlite_only("PostgreSQL checks each text that it is sent")
@pytest.mark.parametrize("identity", ["E4", "C0A1"])
def test_an_id_that_is_not_utf8_is_refused(store: Store, identity: str) -> None:
    with refused(r"appointments\.id is not UTF-8|without_controls"):
        sql(store, f"INSERT INTO appointments (id, phone_number, at) VALUES (CAST(x'{identity}' AS TEXT), '+49', 1)")
