"""From a planned reminder to its call: nobody is called for an appointment that was moved, cancelled or answered."""

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, Report
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.keypress import CALL_NOT_NEEDED
from reminderd.core.lifecycle.replan import replanned
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.model import Appointment, Reminder, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.script.prompts import Question
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.store.appointments import find_appointment, plan_due, put_appointments
from reminderd.store.intake import Source
from reminderd.store.ledger import load
from reminderd.store.reminders import accept, call_again, note_done
from reminderd.store.rows import REMINDERS, to_ms
from reminderd.store.settle import read_for_last_look
from tests.support.appointments import AT, ONE_DAY, THREE_DAYS, TWICE, a_request
from tests.support.builders import DAY, MINUTE, NOW, SECOND
from tests.support.plans import recorded
from tests.support.store import Store, a_store

ASKS = evolve(TWICE, capabilities=Capabilities(asks_what_to_say=True, look_up=True, drop=True))
ANNA = Source(actor="anna")


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    """An appointment with two reminders; the time is that of the first call."""
    with a_store(target, ASKS) as store:
        put(store, a_request())
        store.later(THREE_DAYS - store.now)
        yield store


def put(store: Store, *requests: Any) -> None:
    store.write(partial(put_appointments, requests=requests, rules=store.rules, mint=mint(store), source=ANNA))


def mint(store: Store) -> Any:
    return lambda: f"11111111-2222-4333-8444-{int(store.mint().removeprefix('id-')):012}"


def plan(store: Store) -> None:
    store.write(partial(plan_due, rules=store.rules, mint=mint(store)))


def reminders(store: Store) -> list[Reminder]:
    rows = store.connection.execute(f"SELECT {REMINDERS.names} FROM reminders ORDER BY scheduled_at, id").fetchall()
    return [REMINDERS.read(row) for row in rows]


def states(store: Store) -> list[tuple[Status, EndCode | None]]:
    return [(one.status, one.end_code) for one in reminders(store)]


def appointment(store: Store) -> Appointment:
    found = find_appointment(store.connection, "A-1")
    assert found is not None
    return found


def acts(store: Store) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in store.connection.execute("SELECT actor, act, detail FROM audit ORDER BY id")][3:]


def ringing(store: Store) -> Action:
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    return action


def answered(store: Store) -> Report:
    action = ringing(store)
    report = Report(external_call_id="ext-1", status="in-progress", attempt_id=action.call.id)
    store.pick_up(report)
    return report


WAITS = (Status.SCHEDULED, None)
CALLED = (Status.CALLED, None)
MOVED = (Status.CANCELLED, EndCode.APPOINTMENT_MOVED)
OVER = (Status.CANCELLED, EndCode.APPOINTMENT_CANCELLED)
ANSWERED = (Status.CANCELLED, EndCode.ANSWERED)


def test_each_call_is_made_at_its_planned_time(store: Store) -> None:
    first = ringing(store)
    assert first.message == "Your appointment is on Monday, March 9 at 2:00 PM."
    store.report(Report(external_call_id="ext-1", status="no-answer", attempt_id=first.call.id))
    store.later(ONE_DAY - store.now)
    [second] = store.claim()
    assert [one.cadence for one in second.reminders] == ["1 day at 10:00"]


@pytest.mark.parametrize("keys", ["1", "22"])
def test_a_key_settles_the_other_reminders_in_its_transaction(store: Store, keys: str) -> None:
    report = answered(store)
    store.press(report, keys[0])
    if keys == "22":
        assert states(store) == [CALLED, WAITS]
        store.press(report, "2", Question.CANCEL)
    response = "confirmed" if keys == "1" else "cancel_requested"
    assert states(store) == [CALLED, ANSWERED]
    assert appointment(store).response == response
    assert acts(store) == [
        ("patient", "cancel", "the patient has answered for this appointment"),
        ("patient", response, None),
    ]
    plan(store)
    store.later(ONE_DAY - store.now)
    assert not [one for one in store.claim() if one.kind.is_request]


def test_an_opt_out_cancels_all_of_its_number(store: Store) -> None:
    store.press(answered(store), "9")
    assert states(store) == [CALLED, (Status.CANCELLED, EndCode.OPTED_OUT)]
    assert appointment(store).response == "opted_out"


def test_an_opt_out_during_the_voicemail_is_the_appointments_response(store: Store) -> None:
    action = ringing(store)
    report = Report(
        external_call_id="ext-1", status="in-progress", attempt_id=action.call.id, answered_by="machine_end_beep"
    )
    store.pick_up(report)
    store.press(report, "9", Question.VOICEMAIL)
    assert appointment(store).response == "opted_out"


def test_an_appointment_without_a_response_gets_its_next_call(store: Store) -> None:
    store.press(answered(store), "")
    assert states(store) == [CALLED, WAITS]


# Other programs


CHANGES = {
    "moved": (f"UPDATE appointments SET at = {to_ms(AT + DAY)}", MOVED),
    "cancelled": ("UPDATE appointments SET status = 'cancelled'", OVER),
    "deleted": ("DELETE FROM appointments", OVER),
    "answered": ("UPDATE appointments SET response = 'by e-mail'", ANSWERED),
}


@pytest.mark.parametrize("change", CHANGES)
def test_another_programs_commit_prevents_a_call(store: Store, change: str) -> None:
    statement, state = CHANGES[change]
    store.connection.execute(statement)
    store.connection.execute("UPDATE appointments SET wake_at = NULL, revision = revision + 1")  # as if it were planned
    store.connection.execute("UPDATE reminders SET wake_at = scheduled_at, revision = revision + 1")
    assert store.claim() == []
    assert states(store)[0] == state


@pytest.mark.parametrize("change", CHANGES)
def test_another_programs_commit_prevents_a_request(store: Store, change: str) -> None:
    [action] = store.claim()
    store.connection.execute(CHANGES[change][0])
    found = read_for_last_look(store.connection, action=action, rules=store.rules, now=store.now)
    facts: Any = {"paused": found.paused, "stopping": False, "time_left": MINUTE}
    why = last_look(found.ledger, action, rules=store.rules, now=store.now, **facts)
    assert why == "a reminder was changed"
    store.not_sent(action, why)
    plan(store)
    store.connection.execute("UPDATE reminders SET wake_at = scheduled_at WHERE wake_at IS NOT NULL")
    assert store.claim() == []
    assert states(store)[0] == CHANGES[change][1]


@pytest.mark.parametrize("change", CHANGES)
def test_a_ringing_call_that_nobody_needs_anymore_is_dropped(store: Store, change: str) -> None:
    ringing(store)
    store.later(SECOND)
    store.connection.execute(CHANGES[change][0])
    store.connection.execute(f"UPDATE reminders SET wake_at = {to_ms(store.now)} WHERE wake_at IS NOT NULL")
    plan(store)
    actions = store.claim() + store.claim()
    assert [one.kind for one in actions] == [ActionKind.DROP]
    assert states(store)[0] == CHANGES[change][1]


@pytest.mark.parametrize("change", CHANGES)
def test_a_patient_who_answers_meanwhile_hears_that_the_call_is_not_needed(store: Store, change: str) -> None:
    action = ringing(store)
    store.connection.execute(CHANGES[change][0])
    spoken = store.pick_up(Report(external_call_id="ext-1", status="in-progress", attempt_id=action.call.id))
    assert spoken.reply == CALL_NOT_NEEDED
    assert states(store)[0] == CHANGES[change][1]


def test_a_reminder_waits_while_its_changed_appointment_is_not_planned(store: Store) -> None:
    store.connection.execute("UPDATE appointments SET phone_number = '+12025550009'")
    assert store.claim() == []
    assert reminders(store)[0].hold_code is HoldCode.PLANNING
    plan(store)
    [action] = store.claim()
    assert action.call.phone_number == "+12025550009"


def test_an_appointment_deleted_and_inserted_again_is_planned_as_before(store: Store) -> None:
    store.connection.execute("CREATE TEMP TABLE kept AS SELECT id, ref, phone_number, at FROM appointments")
    store.connection.execute("DELETE FROM appointments")
    store.connection.execute(
        "INSERT INTO appointments (id, ref, phone_number, at) SELECT id, ref, phone_number, at FROM kept"
    )
    store.connection.execute("UPDATE reminders SET wake_at = scheduled_at")  # the trigger goes by the real time
    plan(store)
    [action] = store.claim()
    assert (action.reminders[0].cadence, len(reminders(store))) == ("3 days", 2)


def test_an_unexpected_error_in_one_appointment_stops_no_other(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, a_request(ref="A-2", phone_number="+12025550002"))
    store.connection.execute("UPDATE appointments SET name = 'Ada'")

    def fails(ledger: Any, one: Appointment, **others: Any) -> Any:
        if one.ref == "A-1":
            raise RuntimeError
        return replanned(ledger, one, **others)

    monkeypatch.setattr("reminderd.store.appointments.replanned", fails)
    plan(store)
    assert appointment(store).wake_at is None
    assert appointment(store).last_error == EndCode.PROGRAM_ERROR.sentence
    assert sorted(states(store)) == sorted([(Status.FAILED, EndCode.PROGRAM_ERROR)] * 2 + [WAITS])


# Staff


def test_a_patient_called_by_staff_gets_no_call_for_the_appointment(store: Store) -> None:
    done = partial(note_done, note=None, rules=store.rules, source=ANNA)
    store.write(partial(done, reminder_id=reminders(store)[0].id))
    assert states(store) == [(Status.CANCELLED, EndCode.DONE_BY_STAFF)] * 2
    assert appointment(store).response == "done_by_staff"
    plan(store)
    store.later(ONE_DAY - store.now)
    assert not [one for one in store.claim() if one.kind.is_request]


def test_staff_accept_a_number_for_all_reminders_of_the_appointment(store: Store) -> None:
    put(store, a_request(phone_number="+12025550009"))
    assert store.claim() == []
    store.write(partial(accept, reminder_id=reminders(store)[1].id, rules=store.rules, source=ANNA))
    assert {one.hold_code for one in reminders(store)} == {None}
    assert appointment(store).former_number is None
    assert [act for act in acts(store) if act[1] == "accept"] == [("anna", "accept", None)] * 2
    [action] = store.claim()
    assert action.call.phone_number == "+12025550009"


def test_nobody_is_called_again_for_a_time_that_is_not_the_appointments(store: Store) -> None:
    put(store, a_request(at=AT + DAY))
    with pytest.raises(NotAllowedError, match="it is not needed: its appointment was moved"):
        store.write(partial(call_again, reminder_id=reminders(store)[0].id, rules=store.rules, source=ANNA))


# Speed


def test_a_reminder_without_an_appointment_costs_no_extra_statement(store: Store) -> None:
    store.later(timedelta(days=2))
    store.insert("plain", "+12025550007", scheduled_at=to_ms(store.now - MINUTE))
    with recorded(store) as statements:
        [action] = [one for one in store.claim() if one.reminders[0].id == "plain"]
    assert not [one for one in statements if "FROM appointments" in one and "wake_at" not in one]
    store.answer(action, Accepted("ext-7"))
    with recorded(store) as statements:
        store.report(Report(external_call_id="ext-7", status="completed", attempt_id=action.call.id))
    read = [one for one, _ in statements if one.lstrip().startswith("SELECT") and "FOR UPDATE" not in one]
    assert len(read) == 1
    assert not [one for one, _ in statements if "appointments" in one]


def test_an_event_of_a_planned_reminder_loads_its_appointment_and_the_others(store: Store) -> None:
    first, second = reminders(store)
    ledger = load(store.connection, store.rules, store.now, reminder_ids=[first.id])
    assert set(ledger.reminders) == {first.id, second.id}
    assert list(ledger.appointments.values()) == [appointment(store)]


# A plan is one transaction


KILLED = """
import os, shutil, signal, sys
from datetime import datetime
from functools import partial
from pathlib import Path
from reminderd.store.appointments import plan_due
from reminderd.store.connection import transaction
from reminderd.store.sqlite.opening import open_sync
from tests.support.appointments import TWICE

file, folder, now = Path(sys.argv[1]), Path(sys.argv[2]), datetime.fromisoformat(sys.argv[3])
number = 0
while True:
    number += 1
    copy = folder / f"{number}.db"
    shutil.copy(file, copy)
    child = os.fork()
    if child == 0:
        with open_sync(copy) as connection:
            seen = 0
            def count(statement):
                global seen
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)
            connection.set_trace_callback(count)
            ids = iter(range(1000))
            mint = lambda: f"11111111-2222-4333-8444-{next(ids):012}"
            transaction(connection, partial(plan_due, rules=TWICE, mint=mint), now)
        os._exit(0)
    died = os.WIFSIGNALED(os.waitpid(child, 0)[1])
    with open_sync(copy) as connection:
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in ("reminders", "audit")]
        waits = connection.execute("SELECT count(*) FROM appointments WHERE wake_at IS NOT NULL").fetchone()[0]
    print(*counts, waits)
    if not died:
        break
"""


@pytest.mark.sqlite_only("copies of its file")
def test_a_kill_leaves_a_whole_plan_with_its_audit_or_none(tmp_path: Path) -> None:
    with a_store(tmp_path / "plan.db", TWICE) as store:
        store.connection.execute(
            f"INSERT INTO appointments (id, phone_number, at) VALUES ('a', '+12025550001', {to_ms(AT)})"
        )
    (tmp_path / "copies").mkdir()
    command = [sys.executable, "-c", KILLED, str(tmp_path / "plan.db"), str(tmp_path / "copies"), NOW.isoformat()]
    done = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    found = [tuple(map(int, line.split())) for line in done.stdout.splitlines()]
    assert len(found) > 8
    assert set(found) == {(0, 0, 1), (2, 3, 0)}
    assert found[-1] == (2, 3, 0)
