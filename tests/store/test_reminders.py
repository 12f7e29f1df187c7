from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Refused
from reminderd.core.lifecycle.states import limit_of
from reminderd.core.model import CallState, Reminder, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import ReminderRequest
from reminderd.core.rules import Limits
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import Intake, ReminderCancellation
from reminderd.databases import Target
from reminderd.store import queries, reminders
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import snapshot
from reminderd.store.errors import UnknownReminderError
from reminderd.store.intake import RefTakenError, RequestsRefusedError, Source
from reminderd.store.personal_data import erase
from reminderd.store.queries import note_alerts, reminders_to_alert
from tests.support.builders import HOUR, MINUTE, NOW, RULES, a_report, hours
from tests.support.store import Store, a_store, contents

RANDOM = "11111111-2222-4333-8444-555555555555"
REQUEST = ReminderRequest(phone_number="+12025550001", message="Grüße 👋", scheduled_at=NOW + HOUR, ref="7")
WITHOUT_REF = evolve(REQUEST, ref=None)
ANNA = Source(actor="anna", detail="import of list.csv")


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def put(store: Store, *requests: ReminderRequest) -> list[Intake]:
    fn = partial(reminders.put, requests=requests, rules=store.rules, mint=lambda: RANDOM, source=ANNA)
    return [decision.intake for decision in store.write(fn)]


def cancel(store: Store, reminder_id: str = "r1") -> None:
    store.write(partial(reminders.cancel, reminder_id=reminder_id, rules=store.rules, source=Source(actor="anna")))


def again(store: Store, reminder_id: str = "r1") -> None:
    store.write(partial(reminders.call_again, reminder_id=reminder_id, rules=store.rules, source=Source(actor="anna")))


def audit(store: Store) -> list[tuple[Any, ...]]:
    rows = store.connection.execute("SELECT actor, act, reminder_id, detail FROM audit ORDER BY id")
    return [tuple(row) for row in rows]


# Added and changed


def test_new_reminders_are_scheduled_with_an_audit_line_each(store: Store) -> None:
    assert put(store, REQUEST, WITHOUT_REF) == [Intake.ADDED, Intake.ADDED]
    stored = store.reminder(WITHOUT_REF.own_id)
    assert (stored.ref, stored.message, stored.scheduled_at) == (None, "Grüße 👋", NOW + HOUR)
    assert stored.wake_at == stored.scheduled_at
    with_ref = queries.find_reminder(store.connection, "7") or {}
    added = [("anna", "add", name, "import of list.csv") for name in (with_ref["id"], WITHOUT_REF.own_id)]
    assert audit(store) == added


def test_an_id_begins_with_the_time_and_is_a_version_7_uuid(store: Store) -> None:
    put(store, REQUEST)
    [row] = store.connection.execute("SELECT id FROM reminders").fetchall()
    found = UUID(row["id"])
    assert (found.version, found.int >> 80) == (7, int(NOW.timestamp() * 1000))
    assert row["id"][15:] == RANDOM[15:]


@pytest.mark.parametrize("request_", [REQUEST, WITHOUT_REF], ids=["by ref", "by id"])
def test_repeating_a_request_changes_nothing(store: Store, request_: ReminderRequest) -> None:
    put(store, request_)
    before = contents(store.connection)
    store.later(HOUR / 2)
    assert put(store, request_) == [Intake.UNCHANGED]
    assert contents(store.connection) == before


def test_an_edited_request_changes_its_reminder_and_its_due_time(store: Store) -> None:
    put(store, REQUEST)
    store.connection.execute("UPDATE reminders SET hold_code = 'hours', retry_at = 5, wake_at = wake_at + 1")
    edited = evolve(REQUEST, message="Bye.", scheduled_at=NOW + 2 * HOUR, timezone="Europe/Paris", language="fr")
    assert put(store, edited) == [Intake.CHANGED]
    [row] = store.connection.execute("SELECT id FROM reminders").fetchall()
    stored = store.reminder(row["id"])
    assert (stored.message, stored.timezone, stored.language) == ("Bye.", "Europe/Paris", "fr")
    assert (stored.wake_at, stored.hold_code, stored.retry_at) == (NOW + 2 * HOUR, None, None)
    assert audit(store)[-1] == ("anna", "change", row["id"], "import of list.csv")


OTHER = evolve(REQUEST, phone_number="+12025550002")


def held(store: Store) -> Reminder:
    put(store, REQUEST)
    assert put(store, OTHER) == [Intake.HELD]
    [row] = store.connection.execute("SELECT id FROM reminders").fetchall()
    return store.reminder(row["id"])


def test_a_reminder_moved_to_a_time_that_is_over_expires_and_is_not_called_at_its_former_time(store: Store) -> None:
    put(store, REQUEST)
    assert put(store, evolve(REQUEST, scheduled_at=NOW - timedelta(days=1))) == [Intake.CHANGED]
    assert store.claim() == []
    assert [row["status"] for row in store.connection.execute("SELECT status FROM reminders")] == ["expired"]


def test_a_changed_number_for_a_ref_is_held_for_staff_and_not_called(store: Store) -> None:
    reminder = held(store)
    assert (reminder.phone_number, reminder.hold_code) == ("+12025550002", HoldCode.NUMBER_CHANGED)
    why = "phone number changed (import of list.csv), the former one ended in 01: accept the new one, or cancel"
    assert reminder.last_error == why
    store.later(HOUR)
    assert store.claim() == []
    reminder = store.reminder(reminder.id)
    assert (reminder.status, reminder.hold_code, reminder.last_error) == (
        Status.SCHEDULED,
        HoldCode.NUMBER_CHANGED,
        why,
    )


def test_another_change_of_the_number_is_alerted_again(store: Store) -> None:
    reminder = held(store)
    store.write(partial(note_alerts, alerts=reminders_to_alert(store.connection, now=store.now)))
    assert reminders_to_alert(store.connection, now=store.now) == []
    store.write(partial(reminders.accept, reminder_id=reminder.id, rules=store.rules, source=ANNA))
    assert put(store, evolve(OTHER, phone_number="+4930123459")) == [Intake.HELD]
    assert [one.id for one in reminders_to_alert(store.connection, now=store.now)] == [reminder.id]


def test_repeating_or_editing_a_held_reminder_keeps_the_hold(store: Store) -> None:
    reminder = held(store)
    assert put(store, OTHER) == [Intake.HELD]
    assert store.reminder(reminder.id) == reminder
    assert put(store, evolve(OTHER, message="Bye.")) == [Intake.HELD]
    edited = store.reminder(reminder.id)
    assert (edited.message, edited.hold_code, edited.last_error) == (
        "Bye.",
        HoldCode.NUMBER_CHANGED,
        reminder.last_error,
    )


def test_a_third_number_stays_held_and_the_hold_names_the_first_one(store: Store) -> None:
    reminder = held(store)
    assert put(store, evolve(OTHER, phone_number="+12025550003")) == [Intake.HELD]
    assert store.reminder(reminder.id).phone_number == "+12025550003"
    assert "the former one ended in 01" in str(store.reminder(reminder.id).last_error)


def test_going_back_to_the_former_number_releases_the_hold(store: Store) -> None:
    reminder = held(store)
    put(store, evolve(OTHER, phone_number="+12025550003"))
    assert put(store, evolve(REQUEST, message="Bye.")) == [Intake.CHANGED]
    back = store.reminder(reminder.id)
    assert (back.phone_number, back.message, back.hold_code, back.last_error) == (
        REQUEST.phone_number,
        "Bye.",
        None,
        None,
    )
    store.later(HOUR)
    assert [action.call.phone_number for action in store.claim()] == [REQUEST.phone_number]


def test_after_accepting_a_number_the_former_one_is_a_change_too(store: Store) -> None:
    reminder = held(store)
    store.write(partial(reminders.accept, reminder_id=reminder.id, rules=RULES, source=ANNA))
    assert put(store, REQUEST) == [Intake.HELD]
    assert "the former one ended in 02" in str(store.reminder(reminder.id).last_error)


def test_only_a_hash_of_the_former_number_is_kept_until_the_new_one_is_accepted(store: Store) -> None:
    reminder = held(store)
    stored = "SELECT former_number FROM reminders"
    assert REQUEST.phone_number.lstrip("+") not in store.connection.execute(stored).fetchone()[0]
    store.write(partial(reminders.accept, reminder_id=reminder.id, rules=RULES, source=ANNA))
    assert store.connection.execute(stored).fetchone()[0] is None


def test_erasing_a_former_number_removes_its_hash_and_digits_and_keeps_the_hold(store: Store) -> None:
    reminder = held(store)
    store.write(partial(erase, phone_number=REQUEST.phone_number, actor="anna"))
    [row] = store.connection.execute("SELECT former_number, hold_code, last_error FROM reminders").fetchall()
    assert tuple(row) == (None, HoldCode.NUMBER_CHANGED, HoldCode.NUMBER_CHANGED.sentence)
    assert store.reminder(reminder.id).phone_number == OTHER.phone_number


def test_erasing_another_number_does_not_change_a_held_reminder(store: Store) -> None:
    reminder = held(store)
    store.write(partial(erase, phone_number="+12025550009", actor="anna"))
    assert store.reminder(reminder.id) == reminder


def test_an_accepted_number_is_called(store: Store) -> None:
    reminder = held(store)
    store.write(partial(reminders.accept, reminder_id=reminder.id, rules=RULES, source=ANNA))
    assert audit(store)[-1][:3] == ("anna", "accept", reminder.id)
    store.later(HOUR)
    [action] = store.claim()
    assert action.call.phone_number == "+12025550002"


def test_a_held_reminder_expires_and_says_so(store: Store) -> None:
    reminder = held(store)
    store.later(HOUR + RULES.max_lateness)
    assert store.claim() == []
    expired = store.reminder(reminder.id)
    assert expired.status is Status.EXPIRED
    assert str(expired.last_error).endswith(f"it had waited: {HoldCode.NUMBER_CHANGED.sentence}")


def test_cancellations_cancel_waiting_reminders_only(store: Store) -> None:
    put(store, REQUEST, WITHOUT_REF)
    store.insert("over", ref="8", status="called")
    asked = [
        ReminderCancellation(ref=None, request=WITHOUT_REF),
        *(ReminderCancellation(ref=ref) for ref in ("7", "8", "9")),
    ]
    expected = [Intake.CANCELLED, Intake.CANCELLED, Intake.NOT_NEEDED, Intake.NOT_NEEDED]
    before = contents(store.connection)
    assert [decision.intake for _, decision in reminders.cancellations(store.connection, asked)] == expected
    assert contents(store.connection) == before
    done = store.write(partial(reminders.put_cancellations, asked=asked, rules=RULES, source=ANNA))
    assert [decision.intake for decision in done] == expected
    rows = store.connection.execute("SELECT ref, status FROM reminders").fetchall()
    assert {tuple(row) for row in rows} == {(None, "cancelled"), ("7", "cancelled"), ("8", "called")}
    assert audit(store)[-1][1] == "cancel"


def test_a_ref_that_lost_its_zeros_causes_a_warning_for_its_own_number_only(store: Store) -> None:
    store.insert("one", ref="0047")
    store.insert("another", OTHER.phone_number, ref="0048")
    asked = [evolve(REQUEST, ref=ref) for ref in ("47", "48", "0047", "x47", "47.0")]
    decided = reminders.decisions(store.connection, NOW, requests=asked, rules=RULES)
    warnings = [decision.warnings for _, decision in decided]
    assert [len(found) for found in warnings] == [1, 0, 0, 0, 1]
    assert warnings[0][0].startswith("ref: 47 may be 0047, rewritten by a spreadsheet")
    together = [evolve(REQUEST, ref=ref) for ref in ("0051", "51")]
    decided = reminders.decisions(store.connection, NOW, requests=together, rules=RULES)
    assert [decision.warnings[:1] != () for _, decision in decided] == [False, True]


def test_an_expiry_may_be_edited_without_a_ref(store: Store) -> None:
    put(store, WITHOUT_REF)
    assert put(store, evolve(WITHOUT_REF, expires_at=NOW + 3 * HOUR)) == [Intake.CHANGED]
    assert put(store, evolve(WITHOUT_REF, expires_at=NOW + 3 * HOUR)) == [Intake.UNCHANGED]
    assert store.reminder(WITHOUT_REF.own_id).expires_at == NOW + 3 * HOUR


def test_a_called_or_final_reminder_is_not_changed(store: Store) -> None:
    store.insert("called", ref="7")
    [action] = store.claim()
    store.report(a_report("busy", reminder_id="called", attempt_id=action.call.id))
    store.insert("over", ref="8", status="cancelled")
    before = contents(store.connection)
    assert put(store, REQUEST, evolve(REQUEST, ref="8")) == [Intake.CONFLICT, Intake.CONFLICT]
    assert contents(store.connection) == before


def test_a_reminder_deleted_and_inserted_again_counts_as_not_called(store: Store) -> None:
    store.insert("r1", ref="7")
    [action] = store.claim()
    store.report(a_report(reminder_id="r1", attempt_id=action.call.id))
    store.connection.execute("DELETE FROM reminders")
    store.insert("r1", ref="7")
    assert put(store, REQUEST) == [Intake.CHANGED]


def test_a_dry_run_gives_the_same_results_and_writes_nothing(store: Store) -> None:
    put(store, REQUEST)
    before = contents(store.connection)
    fn = partial(reminders.decisions, now=NOW, requests=[REQUEST, WITHOUT_REF], rules=RULES)
    decided = [decision.intake for _, decision in snapshot(store.connection, fn)]
    assert decided == [Intake.UNCHANGED, Intake.ADDED]
    assert contents(store.connection) == before


def test_more_requests_than_fit_in_one_statement_are_stored(store: Store) -> None:
    many = [evolve(REQUEST, ref=f"ref {number}") for number in range(450)]
    ids = iter(f"11111111-2222-4333-8444-{number:012}" for number in range(900))
    fn = partial(
        reminders.put,
        requests=many,
        rules=RULES,
        mint=lambda: next(ids),
        source=ANNA,
    )
    assert {decision.intake for decision in store.write(fn)} == {Intake.ADDED}
    assert (store.count("reminders"), store.count("audit")) == (450, 450)
    assert {decision.intake for decision in store.write(fn)} == {Intake.UNCHANGED}


def test_a_request_is_stored_completely_or_not_at_all(store: Store) -> None:
    late = evolve(REQUEST, ref="late", scheduled_at=NOW - timedelta(days=1))
    fn = partial(reminders.put_all, requests=[REQUEST, late], rules=RULES, mint=lambda: RANDOM, source=ANNA)
    with pytest.raises(RequestsRefusedError, match="too late") as caught:
        store.write(fn)
    assert [(one.place, one.decision.intake) for one in caught.value.refusals] == [(1, Intake.TOO_LATE)]
    assert (store.count("reminders"), store.count("audit")) == (0, 0)


def test_a_reminder_added_manually_has_its_own_id_and_a_unique_ref(store: Store) -> None:
    row = store.write(partial(reminders.add, request=REQUEST, reminder_id="r1", source=Source(actor="anna")))
    assert (row["id"], row["status"], row["wake_at"]) == ("r1", "scheduled", NOW + HOUR)
    assert audit(store) == [("anna", "add", "r1", None)]
    with pytest.raises(RefTakenError, match="r1"):
        store.write(partial(reminders.add, request=REQUEST, reminder_id="r2", source=Source(actor="anna")))


# Cancelled


def test_a_cancelled_reminder_is_not_claimed_anymore(store: Store) -> None:
    store.insert()
    cancel(store)
    reminder = store.reminder()
    assert (reminder.status, reminder.end_code) == (Status.CANCELLED, EndCode.CANCELLED_BY_STAFF)
    assert reminder.last_error == "cancelled by anna"
    assert store.claims() == []
    assert audit(store) == [("anna", "cancel", "r1", None)]


def test_the_call_of_a_cancelled_reminder_is_settled(store: Store) -> None:
    store.insert()
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    cancel(store)
    [call] = store.calls()
    assert (call.state, call.wake_at) == (CallState.PLACED, store.now)
    store.report(a_report(reminder_id="r1", attempt_id=call.id))
    assert (store.calls()[0].state, store.reminder().status) == (CallState.ENDED, Status.CANCELLED)


def test_a_final_reminder_cannot_be_cancelled(store: Store) -> None:
    store.insert(status="called")
    with pytest.raises(NotAllowedError, match="already been reached"):
        cancel(store)
    assert store.count("audit") == 0


# Called again


def test_call_again_allows_new_calls_with_a_new_limit(store: Store) -> None:
    store.insert()
    [action] = store.claim()
    store.answer(action, Refused("422: no such number"))
    store.later(timedelta(days=1))
    again(store)
    reminder = store.reminder()
    assert (reminder.again_until, reminder.expires_at) == (store.now + RULES.max_lateness, None)
    [second] = store.claim()
    assert second.call.id != action.call.id


def test_importing_the_same_list_does_not_undo_call_again(store: Store) -> None:
    limited = evolve(WITHOUT_REF, expires_at=NOW + HOUR)
    put(store, limited)
    store.later(timedelta(days=1))
    store.claims()
    assert store.reminder(limited.own_id).status is Status.EXPIRED
    again(store, limited.own_id)
    assert put(store, limited) == [Intake.UNCHANGED]
    assert limit_of(store.reminder(limited.own_id), RULES) == store.now + RULES.max_lateness
    assert len(store.claim()) == 1


def test_importing_the_same_list_keeps_call_agains_limit(target: Target) -> None:
    """The hours left no time, and staff had it called again the next morning: the list alone would end it today."""
    rules = evolve(RULES, calling_hours=hours(9 * HOUR, 11 * HOUR))
    with a_store(target, rules) as store:
        request = evolve(WITHOUT_REF, scheduled_at=NOW + 30 * MINUTE)
        put(store, request)
        store.later(65 * MINUTE)
        store.claims()
        assert store.reminder(request.own_id).status is Status.EXPIRED
        again(store, request.own_id)
        assert put(store, request) == [Intake.UNCHANGED]
        store.claims()
        store.now = NOW + 23 * HOUR
        assert len(store.claim()) == 1


def test_call_again_is_refused_while_the_phone_may_be_ringing(store: Store) -> None:
    store.insert()
    store.claim()
    cancel(store)
    with pytest.raises(NotAllowedError, match="under way"):
        again(store)


def test_call_again_for_a_number_that_was_reached_today_waits_and_does_not_expire(target: Target) -> None:
    rules = evolve(RULES, limits=Limits(per_day=1))
    with a_store(target, rules) as store:
        store.insert("r1")
        store.insert("r2")
        cancel(store, "r2")
        [action] = store.claim()
        store.report(a_report("completed", reminder_id="r1", attempt_id=action.call.id))
        again(store, "r2")
        assert store.claim() == []
        held = store.reminder("r2")
        midnight = (NOW + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        assert (held.status, held.wake_at, held.hold_code) == (Status.SCHEDULED, midnight, HoldCode.LIMITS)
        assert held.again_until == midnight + rules.max_lateness
        store.later(midnight - NOW)
        assert [action.call.reminder_id for action in store.claim()] == ["r2"]


@pytest.mark.parametrize("act", [cancel, again])
def test_an_unknown_reminder_cannot_be_cancelled_or_called_again(store: Store, act: Any) -> None:
    with pytest.raises(UnknownReminderError):
        act(store, "nobody")


def test_a_row_is_found_by_id_or_ref(store: Store) -> None:
    store.insert("late", "+12025550002", scheduled_at=2, ref="b")
    for name in ("late", "b"):
        found = queries.find_reminder(store.connection, name)
        assert found is not None
        assert found["id"] == "late"
    assert queries.find_reminder(store.connection, "nobody") is None


# Long files


@pytest.mark.sqlite_only("its setting")
def test_an_import_checkpoints_what_it_writes_before_a_daemon_has_to(target: Target) -> None:
    with open_sync(target) as importing, open_sync(target) as of_a_daemon:
        importing.make_room()
        pages = "PRAGMA wal_autocheckpoint"
        assert 0 < importing.execute(pages).fetchone()[0] < of_a_daemon.execute(pages).fetchone()[0]


@pytest.mark.sqlite_only("its setting")
def test_a_connection_for_large_imports_still_syncs_every_commit(target: Target) -> None:
    with open_sync(target) as connection:
        connection.make_room()
        assert connection.execute("PRAGMA synchronous").fetchone()[0] == 2
