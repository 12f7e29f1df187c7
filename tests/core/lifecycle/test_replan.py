"""The reminders of an appointment, whatever happens to it: kept, changed, cancelled, added, and nobody called twice."""

from collections.abc import Iterable
from datetime import datetime
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.lifecycle import replan, staff
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.keypress import CALL_NOT_NEEDED, Key, key_pressed, picked_up
from reminderd.core.lifecycle.replan import (
    appointment_cancelled,
    done_for,
    replanned,
    response_recorded,
    unplanned_by_error,
    waits_for_plan,
    why_void,
)
from reminderd.core.lifecycle.states import limit_of
from reminderd.core.lifecycle.transition import Ledger, Level, Transition
from reminderd.core.model import Appointment, AppointmentStatus, CallState, Response, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Rules
from reminderd.core.script.prompts import Question
from reminderd.core.sentences import NotAllowedError
from tests.support.appointments import AT, ONE_DAY, THREE_DAYS, TWICE, an_appointment, planning, rules_with
from tests.support.builders import DAY, HOUR, MINUTE, NOW, a_call, a_member, claimed, hours

IDS = ("n1", "n2", "n3")
OTHER_NUMBER = "+12025550002"
CANCELLED = Status.CANCELLED


def planned(
    ledger: Ledger, appointment: Appointment, *, rules: Rules = TWICE, now: datetime = NOW, ids: Iterable[str] = IDS
) -> Transition:
    return replanned(ledger, appointment, ids=tuple(ids), rules=rules, now=now)


def booked(**changes: Any) -> tuple[Ledger, Appointment]:
    """A new appointment with the reminders that were planned for it: n1 three days before, n2 a day before."""
    appointment = an_appointment(**changes)
    ledger = planned(Ledger(), appointment).ledger
    return ledger, ledger.appointments["a1"]


def called(ledger: Ledger, reminder_id: str = "n1", state: CallState = CallState.ENDED, **changes: Any) -> Ledger:
    """Add a call for a reminder, and the reminder in that state."""
    reminder = ledger.reminders[reminder_id]
    call = a_call(state, reminder_id=reminder_id, wake_at=AT if state.alive else None, lease_token=None)
    status = Status.PROCESSING if state.alive else Status.CALLED
    return ledger.put(
        call, a_member(call, reminder), evolve(reminder, **({"status": status, "wake_at": None} | changes))
    )


def states(ledger: Ledger) -> dict[str, tuple[Status, EndCode | None]]:
    return {one.id: (one.status, one.end_code) for one in ledger.reminders.values()}


@pytest.mark.parametrize("now", [NOW, THREE_DAYS, ONE_DAY], ids=["in time", "one too late", "all too late"])
@pytest.mark.parametrize("before", [("3 days", "1 day at 10:00"), ("1 day", "24 hours"), ()], ids=str)
@pytest.mark.parametrize("template", [None, "none of ours"])
def test_a_new_appointment_is_planned_like_one_without_a_history(
    before: tuple[str, ...], template: str | None, now: datetime
) -> None:
    rules, appointment = rules_with(*before), an_appointment(template=template, timezone="America/New_York")
    after = planned(Ledger(), appointment, rules=rules, now=now).ledger
    stored, reminders = replan.booked(appointment, ids=IDS, rules=rules, now=now)
    assert stored == after.appointments["a1"]
    assert {one.id: one for one in reminders} == after.reminders


WAITS = (Status.SCHEDULED, None)
MOVED = (CANCELLED, EndCode.APPOINTMENT_MOVED)


def test_a_new_appointment_gets_its_reminders() -> None:
    transition = planned(Ledger(), an_appointment(timezone="Europe/Berlin", at=AT))
    first, second = transition.ledger.reminders.values()
    assert (first.id, first.scheduled_at, first.cadence, first.planned_at) == ("n1", THREE_DAYS, "3 days", AT)
    assert first.message == "Your appointment is on Monday, March 9 at 2:00\u202fPM.".replace("\u202f", " ")
    assert (first.appointment_id, first.timezone, first.wake_at, first.expires_at) == (
        "a1",
        "Europe/Berlin",
        THREE_DAYS,
        None,
    )
    assert (second.cadence, second.status) == ("1 day at 10:00", Status.SCHEDULED)
    assert transition.ledger.appointments["a1"] == an_appointment(timezone="Europe/Berlin", planned_at=AT)
    assert [line.text.partition(" before")[0] for line in transition.lines] == [
        "planned: 3 days",
        "planned: 1 day at 10:00",
    ]


def test_a_call_shortly_before_expires_with_the_appointment() -> None:
    ledger = planned(Ledger(), an_appointment(), rules=rules_with("2 hours")).ledger
    assert ledger.reminders["n1"].expires_at == AT


def test_a_late_booking_leaves_out_past_calls_and_says_so() -> None:
    transition = planned(Ledger(), an_appointment(), now=THREE_DAYS)
    assert [one.cadence for one in transition.ledger.reminders.values()] == ["1 day at 10:00"]
    assert transition.ledger.appointments["a1"].last_error == (
        'the call "3 days" is left out: it was booked too late for it'
    )
    assert all(line.level is Level.INFO for line in transition.lines)
    nobody = planned(Ledger(), an_appointment(), now=ONE_DAY)
    assert not nobody.ledger.reminders
    assert [line.level for line in nobody.lines] == [Level.WARNING]
    assert "nobody is called" in nobody.lines[0].text


def test_planning_again_changes_nothing() -> None:
    ledger, appointment = booked()
    again = planned(ledger, appointment, ids=("x1", "x2"))
    assert (again.ledger, again.lines) == (ledger, ())


def test_a_moved_appointment_is_planned_again_and_keeps_its_history() -> None:
    ledger, appointment = booked()
    after = planned(ledger, evolve(appointment, at=AT + DAY), ids=("m1", "m2")).ledger
    assert states(after) == {"n1": MOVED, "n2": MOVED, "m1": WAITS, "m2": WAITS}
    assert after.reminders["m1"].scheduled_at == THREE_DAYS + DAY
    back = planned(after, evolve(after.appointments["a1"], at=AT), ids=("b1", "b2")).ledger
    assert states(back) == {"n1": MOVED, "n2": MOVED, "m1": MOVED, "m2": MOVED, "b1": WAITS, "b2": WAITS}


def test_an_appointment_moved_back_does_not_repeat_its_calls() -> None:
    ledger, appointment = booked()
    ledger = called(ledger)
    now = THREE_DAYS + HOUR
    away = planned(ledger, evolve(appointment, at=AT + DAY), ids=("m1", "m2"), now=now).ledger
    assert states(away)["n1"] == (Status.CALLED, None)
    back = planned(away, evolve(away.appointments["a1"], at=AT), ids=("b1", "b2"), now=now).ledger
    assert {one.cadence for one in back.reminders.values() if one.status is Status.SCHEDULED} == {"1 day at 10:00"}


def test_a_ringing_call_for_the_former_time_is_checked_and_may_be_dropped() -> None:
    ledger, appointment = booked()
    ledger = called(ledger, state=CallState.PLACED)
    transition = planned(ledger, evolve(appointment, at=AT + DAY), now=THREE_DAYS + MINUTE, ids=("m1", "m2"))
    assert states(transition.ledger)["n1"] == MOVED
    assert transition.ledger.calls["call-1"].wake_at == THREE_DAYS + MINUTE
    assert transition.lines[0].call_id == "call-1"


def test_a_leased_call_is_not_changed() -> None:
    ledger, appointment = booked()
    ledger = called(ledger, state=CallState.DIALING)
    after = planned(ledger, evolve(appointment, at=AT + DAY), now=THREE_DAYS + MINUTE, ids=("m1", "m2")).ledger
    assert after.calls["call-1"].wake_at == AT


def test_a_cancelled_appointment_cancels_waiting_reminders_and_may_be_booked_again() -> None:
    ledger, appointment = booked()
    over = planned(ledger, evolve(appointment, status=AppointmentStatus.CANCELLED)).ledger
    gone = (CANCELLED, EndCode.APPOINTMENT_CANCELLED)
    assert states(over) == {"n1": gone, "n2": gone}
    assert over.appointments["a1"].end_code is EndCode.CANCELLED_ELSEWHERE
    stands = evolve(over.appointments["a1"], status=AppointmentStatus.BOOKED)
    again = planned(over, stands, ids=("b1", "b2")).ledger
    assert states(again) == {"n1": gone, "n2": gone, "b1": WAITS, "b2": WAITS}
    assert again.appointments["a1"].end_code is None


def test_a_cancel_by_staff_has_its_own_code() -> None:
    ledger, appointment = booked(former_number="x")
    after = appointment_cancelled(ledger, appointment, EndCode.CANCELLED_BY_STAFF, NOW).ledger
    found = after.appointments["a1"]
    assert (found.status, found.end_code) == (AppointmentStatus.CANCELLED, EndCode.CANCELLED_BY_STAFF)
    assert found.former_number is None
    assert {one.end_code for one in after.reminders.values()} == {EndCode.APPOINTMENT_CANCELLED}


# Content


def test_waiting_reminders_get_the_appointments_number_message_and_zone() -> None:
    ledger, appointment = booked()
    ledger = called(ledger, state=CallState.PLACED)
    changed = evolve(appointment, phone_number=OTHER_NUMBER, template="surgery", timezone="Europe/Berlin")
    after = planned(ledger, changed, now=THREE_DAYS + MINUTE).ledger
    for one in after.reminders.values():
        assert (one.phone_number, one.timezone) == (OTHER_NUMBER, "Europe/Berlin")
        assert one.message.startswith("Your surgery")
        assert one.wake_at == THREE_DAYS + MINUTE
    assert after.reminders["n1"].scheduled_at == THREE_DAYS
    assert after.calls["call-1"].wake_at == THREE_DAYS + MINUTE  # nobody needs the call to the former number


def test_another_message_alone_changes_nothing_else() -> None:
    ledger, appointment = booked()
    after = planned(ledger, evolve(appointment, template="surgery")).ledger
    for one in ledger.reminders.values():
        assert after.reminders[one.id] == evolve(one, message=after.reminders[one.id].message)
        assert after.reminders[one.id].message != one.message


def test_a_called_reminder_keeps_its_time_after_a_change_of_hours() -> None:
    ledger, appointment = booked()
    missed = called(ledger, status=Status.SCHEDULED, wake_at=THREE_DAYS + HOUR, hold_code=HoldCode.REDIAL)
    rules = rules_with("3 days at 13:00", "1 day at 11:00", "3 days")
    after = planned(missed, appointment, rules=rules, now=THREE_DAYS + MINUTE).ledger
    assert after.reminders["n1"] == missed.reminders["n1"]


def test_changed_hours_move_waiting_reminders() -> None:
    ledger, appointment = booked()
    closed = evolve(TWICE, calling_hours=evolve(TWICE.calling_hours, holidays=frozenset({"2026-03-08"})))
    after = planned(ledger, appointment, rules=closed).ledger
    assert after.reminders["n2"].scheduled_at == datetime.fromisoformat("2026-03-07T09:00Z")
    assert (after.reminders["n2"].wake_at, after.reminders["n1"]) == (NOW, ledger.reminders["n1"])


def test_changed_hours_do_not_move_a_reminder_into_the_past() -> None:
    ledger, appointment = booked()
    closed = evolve(TWICE, calling_hours=evolve(TWICE.calling_hours, holidays=frozenset({"2026-03-08"})))
    now = datetime.fromisoformat("2026-03-07T12:00Z")
    assert planned(ledger, appointment, rules=closed, now=now).ledger.reminders["n2"] == ledger.reminders["n2"]


def test_a_removed_cadence_cancels_its_call_and_a_new_one_adds_it() -> None:
    ledger, appointment = booked()
    other = planned(ledger, appointment, rules=rules_with("1 day at 10:00", "2 hours"), ids=("x1", "x2")).ledger
    assert states(other) == {"n1": (CANCELLED, EndCode.NOT_PLANNED), "n2": WAITS, "x1": WAITS}
    back = planned(other, other.appointments["a1"], ids=("y1", "y2")).ledger
    assert states(back) == {
        "n1": (CANCELLED, EndCode.NOT_PLANNED),
        "n2": WAITS,
        "x1": (CANCELLED, EndCode.NOT_PLANNED),
        "y1": WAITS,
    }


def test_the_same_moment_from_another_entry_is_the_same_call() -> None:
    ledger, appointment = booked()
    after = planned(ledger, appointment, rules=rules_with("72 hours", "1 day at 10:00")).ledger
    assert after == ledger


def test_two_calls_at_the_same_moment_are_one() -> None:
    """On Saturday at nine waits the call that was wanted on Sunday, when the other one is moved there, too."""
    week = evolve(TWICE.calling_hours, holidays=frozenset({"2026-03-08"}))
    rules = evolve(rules_with("2 days", "1 day"), calling_hours=week)
    ledger = planned(Ledger(), an_appointment(), rules=rules).ledger
    nine = datetime.fromisoformat("2026-03-07T09:00Z")
    assert [one.scheduled_at for one in ledger.reminders.values()] == [AT - 2 * DAY, nine]
    mornings = evolve(hours(9 * HOUR, 12 * HOUR), holidays=week.holidays)
    after = planned(
        ledger, ledger.appointments["a1"], rules=evolve(rules, calling_hours=mornings), ids=("x1", "x2")
    ).ledger
    assert states(after) == {"n1": WAITS, "n2": (CANCELLED, EndCode.NOT_PLANNED)}
    assert after.reminders["n1"].scheduled_at == nine


def test_no_call_starts_after_its_appointment_whatever_its_limit_is() -> None:
    ledger, _ = booked()
    reminder = ledger.reminders["n2"]
    assert limit_of(reminder, evolve(TWICE, max_lateness=9 * DAY)) == AT
    assert limit_of(evolve(reminder, again_until=AT + DAY), TWICE) == AT
    failed = ledger.put(evolve(reminder, status=Status.FAILED, end_code=EndCode.NOT_ANSWERED, wake_at=None))
    with pytest.raises(NotAllowedError, match="its appointment is over"):
        staff.called_again(failed, failed.reminders["n2"], rules=TWICE, now=AT)


def test_without_a_cadence_planned_reminders_stay_and_the_log_names_the_key() -> None:
    ledger, appointment = booked()
    transition = planned(ledger, appointment, rules=rules_with(), ids=())
    assert transition.ledger.reminders == ledger.reminders
    assert [line.level for line in transition.lines] == [Level.ERROR]
    assert "[reminders].before" in (transition.ledger.appointments["a1"].last_error or "")


def test_an_invalid_appointment_fails_at_once_and_is_planned_once_corrected() -> None:
    transition = planned(Ledger(), an_appointment(phone_number="12"))
    assert {one.wake_at for one in transition.ledger.reminders.values()} == {NOW}
    assert transition.lines[-1].level is Level.ERROR
    ended: Any = {"status": Status.FAILED, "end_code": EndCode.INVALID, "wake_at": None, "ended_at": NOW}
    failed = transition.ledger.put(*(evolve(one, **ended) for one in transition.ledger.reminders.values()))
    still = planned(failed, failed.appointments["a1"]).ledger
    assert set(states(still).values()) == {(Status.FAILED, EndCode.INVALID)}
    well = planned(failed, evolve(failed.appointments["a1"], phone_number=OTHER_NUMBER)).ledger
    assert states(well) == {"n1": WAITS, "n2": WAITS}
    assert well.appointments["a1"].last_error is None


def test_an_invalid_message_keeps_the_planned_one() -> None:
    ledger, appointment = booked()
    after = planned(ledger, evolve(appointment, template="unknown")).ledger
    assert after.reminders == ledger.reminders
    assert "template: unknown" in (after.appointments["a1"].last_error or "")


def test_a_past_appointment_causes_no_alert() -> None:
    ledger, appointment = booked()
    ended = ledger.put(*(evolve(one, status=Status.EXPIRED, wake_at=None) for one in ledger.reminders.values()))
    transition = planned(ended, appointment, rules=rules_with("2 hours"), now=AT)
    assert (transition.ledger.reminders, transition.lines) == (ended.reminders, ())


# A changed number that staff must accept


def test_all_reminders_wait_for_staff_while_the_number_is_to_be_accepted() -> None:
    ledger, appointment = booked()
    held = evolve(appointment, phone_number=OTHER_NUMBER, former_number="x", last_error="accept it")
    after = planned(ledger, held).ledger
    for one in after.reminders.values():
        assert (one.hold_code, one.last_error, one.phone_number) == (HoldCode.NUMBER_CHANGED, "accept it", OTHER_NUMBER)
    moved = planned(after, evolve(after.appointments["a1"], at=AT + DAY), ids=("m1", "m2")).ledger
    assert moved.reminders["m1"].hold_code is HoldCode.NUMBER_CHANGED
    free = planned(moved, evolve(moved.appointments["a1"], former_number=None)).ledger
    assert (free.reminders["m1"].hold_code, free.reminders["m1"].last_error) == (None, None)


# Answers


def answered(response: str = Response.CONFIRMED) -> tuple[Ledger, Appointment]:
    ledger = called(booked()[0], response=response)
    after, _ = response_recorded(ledger, [ledger.reminders["n1"]], Response(response), THREE_DAYS)
    return after, after.appointments["a1"]


@pytest.mark.parametrize("response", [Response.CONFIRMED, Response.CANCEL_REQUESTED])
def test_a_response_settles_all_other_reminders_of_the_appointment(response: Response) -> None:
    after, appointment = answered(response)
    assert appointment.response == response
    assert states(after) == {"n1": (Status.CALLED, None), "n2": (CANCELLED, EndCode.ANSWERED)}
    again = planned(after, appointment, rules=rules_with("2 hours"), ids=("x1",))
    assert states(again.ledger) == states(after)


def test_an_opt_out_is_recorded_and_the_number_decides_about_the_others() -> None:
    after, appointment = answered(Response.OPTED_OUT)
    assert (appointment.response, states(after)["n2"]) == (Response.OPTED_OUT, WAITS)
    later, _ = response_recorded(after, [after.reminders["n1"]], Response.CONFIRMED, NOW)
    assert later.appointments["a1"].response == Response.OPTED_OUT


def test_a_response_for_the_former_time_or_no_appointment_changes_nothing() -> None:
    ledger, appointment = booked()
    ledger = ledger.put(evolve(appointment, at=AT + DAY))
    others = [ledger.reminders["n1"], evolve(ledger.reminders["n1"], appointment_id=None)]
    assert response_recorded(ledger, others, Response.CONFIRMED, NOW) == (ledger, ())


def test_both_reminders_of_one_call_keep_their_response() -> None:
    ledger, _ = booked()
    after, _ = response_recorded(ledger, ledger.reminders.values(), Response.CONFIRMED, NOW)
    assert states(after) == {"n1": WAITS, "n2": WAITS}


def test_moving_an_appointment_clears_its_response() -> None:
    ledger, appointment = answered()
    after = planned(ledger, evolve(appointment, at=AT + DAY), ids=("m1", "m2")).ledger
    assert after.appointments["a1"].response is None
    assert states(after)["m1"] == WAITS
    back = planned(after, evolve(after.appointments["a1"], at=AT)).ledger
    assert back.appointments["a1"].response == Response.CONFIRMED
    assert states(back)["m1"] == MOVED


def test_a_response_from_the_former_number_is_cleared() -> None:
    ledger, appointment = answered()
    after = planned(ledger, evolve(appointment, phone_number=OTHER_NUMBER)).ledger
    assert after.appointments["a1"].response is None


def test_an_answer_counts_again_once_the_number_is_corrected_back() -> None:
    ledger, appointment = answered()
    wrong = planned(ledger, evolve(appointment, phone_number=OTHER_NUMBER), ids=("o1", "o2")).ledger
    right = planned(wrong, evolve(wrong.appointments["a1"], phone_number=appointment.phone_number), ids=("x1", "x2"))
    assert right.ledger.appointments["a1"].response == Response.CONFIRMED
    assert states(right.ledger) == {**states(ledger), "o1": (CANCELLED, EndCode.ANSWERED)}


def test_an_answer_that_does_not_count_anymore_settles_nothing() -> None:
    """The one who has the former number has answered; the patient was never called."""
    ledger, appointment = answered()
    after = planned(ledger, evolve(appointment, phone_number=OTHER_NUMBER), ids=("o1", "o2")).ledger
    assert states(after) == {**states(ledger), "o1": WAITS}
    assert (after.reminders["o1"].cadence, after.reminders["o1"].phone_number) == ("1 day at 10:00", OTHER_NUMBER)


def test_a_row_that_is_inserted_again_gets_its_response_back() -> None:
    ledger, _ = answered()
    after = planned(ledger, an_appointment()).ledger
    assert after.appointments["a1"].response == Response.CONFIRMED
    assert states(after) == states(ledger)


def test_an_answer_that_another_program_has_written_settles_the_reminders() -> None:
    ledger, appointment = booked()
    after = planned(ledger, evolve(appointment, response="by e-mail")).ledger
    assert set(states(after).values()) == {(CANCELLED, EndCode.ANSWERED)}
    assert after.appointments["a1"].response == "by e-mail"


@pytest.mark.parametrize("blank", ["", " ", "\n"])
def test_a_blank_response_that_another_program_has_written_is_no_answer(blank: str) -> None:
    ledger = planned(Ledger(), an_appointment(response=blank)).ledger
    assert states(ledger) == {"n1": WAITS, "n2": WAITS}
    assert why_void(ledger, ledger.reminders["n1"]) is None
    done, _ = done_for(ledger, ledger.reminders["n1"], NOW)
    assert done.appointments["a1"].response == EndCode.DONE_BY_STAFF
    answered_once, _ = answered()
    after = planned(answered_once, an_appointment(response=blank)).ledger
    assert after.appointments["a1"].response == Response.CONFIRMED


def test_a_reminder_that_another_program_has_cancelled_stays_so_once_its_number_is_corrected() -> None:
    ledger, appointment = booked(phone_number="junk")
    invalid: Any = {"status": Status.FAILED, "end_code": EndCode.INVALID}
    ledger = ledger.put(*(evolve(one, **invalid) for one in ledger.reminders.values()))
    ledger = ledger.put(evolve(ledger.reminders["n1"], status=CANCELLED))
    after = planned(ledger, evolve(appointment, phone_number=OTHER_NUMBER)).ledger
    assert states(after) == {"n1": (CANCELLED, EndCode.INVALID), "n2": WAITS}


@pytest.mark.parametrize("code", [EndCode.ANSWERED, EndCode.APPOINTMENT_MOVED, EndCode.NOT_PLANNED])
def test_a_reminder_that_another_program_has_scheduled_again_is_kept_whatever_its_old_code(code: EndCode) -> None:
    ledger, appointment = booked()
    again = ledger.put(*(evolve(one, end_code=code) for one in ledger.reminders.values()))
    after = planned(again, evolve(appointment, phone_number=OTHER_NUMBER), ids=("o1", "o2")).ledger
    assert {one.id: one.phone_number for one in after.reminders.values()} == {"n1": OTHER_NUMBER, "n2": OTHER_NUMBER}


# What the claim and the last look ask


def test_why_a_reminder_is_void() -> None:
    ledger, appointment = booked()
    reminder = ledger.reminders["n1"]

    def why(changed: Appointment | None) -> EndCode | None:
        appointments = {} if changed is None else {changed.id: changed}
        return why_void(evolve(ledger, appointments=appointments), reminder)

    assert why(appointment) is None
    assert why(None) is EndCode.APPOINTMENT_CANCELLED
    assert why(evolve(appointment, status=AppointmentStatus.CANCELLED)) is EndCode.APPOINTMENT_CANCELLED
    assert why(evolve(appointment, at=AT + DAY)) is EndCode.APPOINTMENT_MOVED
    assert why(evolve(appointment, response="confirmed")) is EndCode.ANSWERED
    assert why_void(ledger, evolve(reminder, appointment_id=None)) is None


@pytest.mark.parametrize(("wake_at", "waits"), [(None, False), (NOW, True), (NOW + DAY, True)])
def test_a_changed_appointment_waits_for_its_plan(wake_at: datetime | None, waits: bool) -> None:
    ledger, appointment = booked()
    ledger = ledger.put(evolve(appointment, wake_at=wake_at))
    assert waits_for_plan(ledger, ledger.reminders["n1"]) is waits
    assert not waits_for_plan(ledger, evolve(ledger.reminders["n1"], appointment_id=None))


def test_an_appointment_type_may_have_fewer_calls() -> None:
    rules = evolve(TWICE, planning=planning("3 days", "1 day", surgery=("1 week",)))
    ledger, appointment = booked()
    after = planned(ledger, evolve(appointment, type="surgery"), rules=rules, ids=("x1",)).ledger
    assert states(after)["n1"] == (CANCELLED, EndCode.NOT_PLANNED)


# Staff


def test_done_by_staff_settles_the_whole_appointment() -> None:
    ledger, _ = booked()
    after = staff.done(ledger, ledger.reminders["n1"], NOW).ledger
    assert set(states(after).values()) == {(CANCELLED, EndCode.DONE_BY_STAFF)}
    assert after.appointments["a1"].response == EndCode.DONE_BY_STAFF
    missed: Any = {"status": Status.FAILED, "end_code": EndCode.NOT_ANSWERED}
    failed = called(ledger.put(evolve(ledger.appointments["a1"], response="x")), **missed)
    after = staff.done(failed, failed.reminders["n1"], NOW).ledger
    assert states(after) == {
        "n1": (Status.FAILED, EndCode.NOT_ANSWERED),
        "n2": (CANCELLED, EndCode.DONE_BY_STAFF),
    }
    assert after.appointments["a1"].response == "x"


def test_done_by_staff_for_the_former_time_does_not_settle_the_new_one() -> None:
    ledger, appointment = booked()
    moved = ledger.put(evolve(appointment, at=AT + DAY))
    assert done_for(moved, moved.reminders["n1"], NOW) == (moved, ())


def test_an_accepted_number_is_accepted_for_all_reminders_of_the_appointment() -> None:
    ledger, _ = booked(phone_number=OTHER_NUMBER, former_number="x", last_error="accept it")
    transition = staff.accepted(ledger, ledger.reminders["n1"], NOW)
    assert {one.hold_code for one in transition.ledger.reminders.values()} == {None}
    assert {one.wake_at for one in transition.ledger.reminders.values()} == {THREE_DAYS, ONE_DAY}
    assert transition.ledger.appointments["a1"].former_number is None
    assert len(transition.lines) == 2


def test_a_void_reminder_is_not_called_again() -> None:
    ledger, appointment = booked()
    after = planned(ledger, evolve(appointment, at=AT + DAY), ids=("m1", "m2")).ledger
    with pytest.raises(NotAllowedError, match="its appointment was moved"):
        staff.called_again(after, after.reminders["n1"], rules=TWICE, now=NOW)


# Claimed, sent, answered


def test_deleting_an_appointment_cancels_its_claimed_reminder_and_checks_the_call() -> None:
    ledger, _ = booked()
    gone = evolve(called(ledger, state=CallState.PLACED), appointments={})
    transition = claimed(gone, "n1", rules=TWICE, now=THREE_DAYS)
    assert states(transition.ledger)["n1"] == (CANCELLED, EndCode.APPOINTMENT_CANCELLED)
    assert transition.ledger.calls["call-1"].wake_at == THREE_DAYS
    waiting = claimed(evolve(ledger, appointments={}), "n1", rules=TWICE, now=THREE_DAYS)
    assert states(waiting.ledger)["n1"] == (CANCELLED, EndCode.APPOINTMENT_CANCELLED)


def test_a_claimed_reminder_waits_for_the_plan_of_its_changed_appointment() -> None:
    ledger, appointment = booked()
    changed = ledger.put(evolve(appointment, at=AT + DAY, wake_at=NOW))
    held = claimed(changed, "n1", rules=TWICE, now=THREE_DAYS).ledger.reminders["n1"]
    assert (held.status, held.hold_code) == (Status.SCHEDULED, HoldCode.PLANNING)
    in_call = claimed(called(changed, state=CallState.PLACED), "n1", rules=TWICE, now=THREE_DAYS)
    assert states(in_call.ledger)["n1"] == (Status.PROCESSING, None)


@pytest.mark.parametrize("changes", [{"at": AT + DAY}, {"wake_at": NOW}])
def test_a_request_is_not_sent_for_an_appointment_that_was_changed(changes: dict[str, Any]) -> None:
    ledger, appointment = booked()
    transition = claimed(ledger, "n1", rules=TWICE, now=THREE_DAYS)
    assert transition.action is not None
    look = partial(
        last_look, action=transition.action, paused=False, stopping=False, time_left=MINUTE, rules=TWICE, now=THREE_DAYS
    )
    assert look(transition.ledger) is None
    assert look(transition.ledger.put(evolve(appointment, **changes))) == "a reminder was changed"


def test_a_patient_who_answers_hears_nothing_of_an_appointment_that_was_moved() -> None:
    ledger, appointment = booked()
    ledger = called(ledger, state=CallState.PLACED).put(evolve(appointment, at=AT + DAY))
    turn = picked_up(ledger, ledger.calls["call-1"], rules=TWICE, now=THREE_DAYS)
    assert turn.reply == CALL_NOT_NEEDED
    assert states(turn.transition.ledger)["n1"] == MOVED


def test_a_key_is_the_answer_for_the_appointment() -> None:
    ledger = called(booked()[0], state=CallState.PLACED)
    key = Key(digits="1", question=Question.MENU, repeats=0)
    after = key_pressed(ledger, ledger.calls["call-1"], key, rules=TWICE, now=THREE_DAYS).transition.ledger
    assert states(after) == {"n1": (Status.CALLED, None), "n2": (CANCELLED, EndCode.ANSWERED)}
    assert after.appointments["a1"].response == Response.CONFIRMED


def test_an_unexpected_error_in_planning_calls_nobody() -> None:
    ledger, appointment = booked()
    ledger = called(ledger, state=CallState.PLACED)
    transition = unplanned_by_error(ledger, evolve(appointment, wake_at=NOW), NOW)
    assert states(transition.ledger) == {"n1": (Status.PROCESSING, None), "n2": (Status.FAILED, EndCode.PROGRAM_ERROR)}
    assert transition.ledger.appointments["a1"].wake_at is None
    assert [line.level for line in transition.lines] == [Level.ERROR]
