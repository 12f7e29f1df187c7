"""Several reminders in one call."""

from collections.abc import Iterable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.lifecycle import Errand, Leading, Level, NotAllowedError, Step, Surroundings, called_again, together
from reminderd.core.lifecycle.check import NO_REPORT, RING_BY_HAND
from reminderd.core.lifecycle.group import NOT_PLACED_RECHECK, RIDES, TOO_LATE
from reminderd.core.lifecycle.lookup import LOOK_UPS_FOR_NONE
from reminderd.core.reminder import MESSAGE_LIMIT, Call, Reminder, Response, Status
from reminderd.core.rules import Rules
from tests.support.nouns import (
    BOTH,
    HOUR,
    KEY,
    LOOK_UP,
    MINUTE,
    NOW,
    RULES,
    SECOND,
    a_call,
    a_reminder,
    able,
    hours,
    woken,
)

GROUPING = evolve(RULES, group_within=HOUR)
LEADER = a_reminder()
OTHER = a_reminder(id="reminder-2", message="Bring your papers", scheduled_at=NOW + MINUTE)
RIDER = evolve(OTHER, status=Status.PROCESSING, attempts=1, said_with="call-1", wake_at=NOW + MINUTE, hold_reason=RIDES)
MISSED: dict[str, Any] = {"not_found": LOOK_UPS_FOR_NONE}


def dialled(*others: Reminder, rules: Rules = GROUPING, calls: tuple[Call, ...] = ()) -> Step:
    """The leader's time has come while others wait beside it, each with these calls behind it."""
    return woken(LEADER, around=Surroundings(beside=tuple((other, calls) for other in others)), rules=rules)


def followed(
    status: str,
    *,
    rider: Reminder = RIDER,
    leader: Reminder | None = None,
    rules: Rules = GROUPING,
    now: Any = NOW,
    newer: Iterable[Call] = (),
    **call: Any,
) -> Step:
    """The rider is looked at when the call that says it is `status`; the leader waits, unless it is given."""
    said = a_call(status, **call)
    leading = Leading(call=said, reminder=leader or a_reminder(attempts=1), calls=(said, *newer))
    return woken(rider, around=Surroundings(leading=leading), rules=rules, now=now)


# Who rides along


def test_those_that_wait_for_the_same_number_are_said_in_the_same_call() -> None:
    step = dialled(OTHER)
    [rider] = step.riders
    assert step.errand is Errand.DIAL
    assert (rider.status, rider.said_with, rider.attempts) == (Status.PROCESSING, "call-new", 1)
    assert (rider.lease_token, rider.hold_reason) == (None, RIDES)
    assert [other.reminder for other in step.others] == [rider]
    assert [note.text for note in step.others[0].notes] == ["processing: said in the call of reminder reminder-1"]
    assert step.claimed is not None
    assert step.claimed.message == "Your appointment is tomorrow at nine. Bring your papers."


def test_a_message_that_is_alone_in_its_call_is_said_as_it_was_written() -> None:
    step = dialled()
    assert step.claimed is not None
    assert step.claimed.message == LEADER.message
    assert together([" As it is "]) == " As it is "


@pytest.mark.parametrize(
    "alone",
    [
        evolve(OTHER, scheduled_at=NOW + HOUR + SECOND),
        evolve(OTHER, scheduled_at=NOW - HOUR - SECOND),
        evolve(OTHER, expires_at=NOW),
        evolve(OTHER, timezone="Asia/Tokyo"),
        evolve(OTHER, phone_number="nonsense"),
        evolve(OTHER, message="x" * (MESSAGE_LIMIT - len(LEADER.message))),
        evolve(OTHER, attempts=3),
        evolve(OTHER, said_with="another call"),
    ],
    ids=["later", "earlier", "too late", "night there", "garbage", "too long", "often rung", "of an unclear call"],
)
def test_what_may_not_be_said_now_waits_for_a_call_of_its_own(alone: Reminder) -> None:
    day = evolve(GROUPING, window=hours(9 * HOUR, 12 * HOUR))
    assert dialled(alone, rules=day).riders == ()
    assert [rider.id for rider in dialled(alone, evolve(OTHER, id="reminder-3"), rules=day).riders] == ["reminder-3"]


@pytest.mark.parametrize(
    "call", [a_call("ringing"), a_call("unreported"), a_call("not-placed")], ids=["open", "unknown", "to be sent again"]
)
def test_a_reminder_with_a_call_of_its_own_that_may_still_matter_does_not_ride(call: Call) -> None:
    assert dialled(evolve(OTHER, attempts=1), calls=(call,)).riders == ()


def test_one_whose_own_call_was_busy_rides_along_in_the_next() -> None:
    assert dialled(evolve(OTHER, attempts=1), calls=(a_call("busy", received_at=NOW),)).riders[0].attempts == 2


def test_a_call_that_is_taken_up_again_says_those_that_still_want_it() -> None:
    gone = evolve(RIDER, id="reminder-3", status=Status.CANCELLED)
    around = Surroundings(riders=(RIDER, gone), beside=((OTHER, ()),))
    step = woken(evolve(LEADER, attempts=1), a_call("not-placed"), around=around, rules=GROUPING)
    assert (step.errand, step.riders) == (Errand.DIAL, (RIDER,))
    assert [other.reminder for other in step.others] == [evolve(gone, said_with=None)]


def test_a_call_that_look_ups_have_missed_is_not_sent_again_with_other_words() -> None:
    around = Surroundings(riders=(evolve(RIDER, status=Status.CANCELLED),))
    missed = a_call("not-placed", **MISSED)
    rules = able(BOTH, group_within=HOUR)
    step = woken(evolve(LEADER, attempts=1), missed, around=around, rules=rules)
    assert (step.errand, step.reminder.last_error) == (None, RING_BY_HAND)
    same = woken(evolve(LEADER, attempts=1), missed, around=Surroundings(riders=(RIDER,)), rules=rules)
    assert same.errand is Errand.DIAL


def test_an_unclear_request_is_sent_again_with_all_its_words_or_not_at_all() -> None:
    waiting, unclear = a_reminder(Status.PROCESSING), a_call("unconfirmed")
    again = woken(waiting, unclear, around=Surroundings(riders=(RIDER,)), rules=able(KEY))
    assert (again.errand, again.riders) == (Errand.RESEND, (RIDER,))
    gone = Surroundings(riders=(evolve(RIDER, status=Status.CANCELLED),))
    assert woken(waiting, unclear, around=gone, rules=able(KEY)).reminder.last_error == RING_BY_HAND


# What becomes of them


@pytest.mark.parametrize("response", [None, Response.CONFIRMED, Response.CANCEL_REQUESTED, "rung by hand"])
def test_what_a_completed_call_has_said_is_called_and_answered_as_it_was(response: str | None) -> None:
    called = evolve(LEADER, status=Status.CALLED, response=response, attempts=1)
    step = followed("completed", leader=called, received_at=NOW)
    answer = response if response in frozenset(Response) else None
    assert (step.reminder.status, step.reminder.response, step.reminder.wake_at) == (Status.CALLED, answer, None)
    assert step.notes[0].level is (Level.ERROR if response == Response.CANCEL_REQUESTED else Level.INFO)


def test_an_answer_that_is_on_record_stays() -> None:
    called = evolve(LEADER, status=Status.CALLED, response=Response.CONFIRMED, attempts=1)
    step = followed("completed", leader=called, rider=evolve(RIDER, response="moved"))
    assert (step.reminder.status, step.reminder.response) == (Status.CALLED, "moved")


def test_whoever_has_answered_by_a_key_was_told_all_of_it_however_the_call_ended() -> None:
    pressed = {"response": Response.CONFIRMED, "attempts": 1}
    for status in (Status.CALLED, Status.CANCELLED):
        assert followed("failed", leader=a_reminder(status, **pressed)).reminder.status is Status.CALLED
    assert followed("busy", leader=a_reminder(Status.CANCELLED, response="moved")).reminder.status is Status.SCHEDULED
    later = a_call("completed", id="call-2", attempt=2)
    by_another = followed("busy", leader=a_reminder(Status.CALLED, **pressed), newer=[later])
    assert by_another.reminder.status is Status.SCHEDULED


@pytest.mark.parametrize("word", ["busy", "no-answer", "canceled"])
def test_nobody_reached_is_rung_again_each_by_its_own_count(word: str) -> None:
    step = followed(word)
    after = step.reminder
    assert (after.status, after.attempts, after.said_with) == (Status.SCHEDULED, 1, None)
    assert (after.wake_at, after.hold_reason) == (NOW + 15 * MINUTE, f"{word}, to be rung again")
    last = followed(word, rider=evolve(RIDER, attempts=3))
    assert (last.reminder.status, last.reminder.last_error) == (Status.FAILED, f"{word}, after 3 calls")
    assert last.notes[0].level is Level.ERROR


def test_a_machine_that_does_not_count_is_rung_again() -> None:
    rules = evolve(GROUPING, voicemail_is_reached=False)
    step = followed("completed", answered_by="machine_start", rules=rules)
    assert step.reminder.hold_reason == "voicemail, to be rung again"


@pytest.mark.parametrize("status", ["not-placed", "refused"])
def test_a_call_that_never_rang_leaves_each_to_a_call_of_its_own(status: str) -> None:
    over = a_reminder(Status.CANCELLED, attempts=1)
    after = followed(status, leader=over).reminder
    assert (after.status, after.attempts, after.hold_reason) == (Status.SCHEDULED, 0, None)
    assert after.wake_at == RIDER.scheduled_at
    assert after.said_with == "call-1", "it may yet turn out to have been heard"


def test_while_the_call_may_be_sent_again_they_wait_for_it_and_expire_for_themselves() -> None:
    waiting = followed("not-placed")
    assert (waiting.reminder.status, waiting.reminder.wake_at) == (Status.PROCESSING, NOW + NOT_PLACED_RECHECK)
    late = evolve(RIDER, expires_at=NOW)
    expired = followed("not-placed", rider=late)
    assert (expired.reminder.status, expired.reminder.last_error) == (Status.EXPIRED, TOO_LATE)
    assert followed("not-placed", rider=late, **MISSED).reminder.status is Status.PROCESSING
    assert followed("not-placed", leader=a_reminder(Status.FAILED), **MISSED).reminder.last_error == RING_BY_HAND


def test_while_the_call_goes_on_they_wait() -> None:
    step = followed("ringing", rider=evolve(RIDER, lease_token="x"))
    assert step.reminder == evolve(RIDER, wake_at=NOW + RULES.outcome_timeout)
    assert step.notes == ()


@pytest.mark.parametrize("reason", [RING_BY_HAND, NO_REPORT])
def test_what_nobody_knows_of_the_call_nobody_knows_of_them(reason: str) -> None:
    step = followed("unreported", error=reason, leader=a_reminder(Status.FAILED))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, reason)
    assert followed("unreported", leader=a_reminder(Status.FAILED)).reminder.last_error == RING_BY_HAND


def test_where_an_unclear_call_is_rung_again_they_are_too_as_often_as_calls_remain() -> None:
    step = followed("unreported", error=RING_BY_HAND)
    assert (step.reminder.status, step.reminder.attempts, step.notes[0].level) == (Status.SCHEDULED, 1, Level.WARNING)
    assert followed("unreported", error=RING_BY_HAND, rider=evolve(RIDER, attempts=3)).reminder.status is Status.FAILED


def test_a_call_that_another_program_has_deleted_is_asked_of_staff() -> None:
    assert woken(RIDER, rules=GROUPING).reminder.last_error == RING_BY_HAND


def test_one_that_was_given_up_is_called_if_its_call_was_heard_after_all() -> None:
    failed = evolve(RIDER, status=Status.FAILED, last_error=NO_REPORT)
    step = followed("completed", rider=failed, leader=a_reminder(Status.CALLED, attempts=1))
    assert (step.reminder.status, step.reminder.last_error, step.reminder.wake_at) == (Status.CALLED, None, None)
    still = followed("unreported", rider=failed, leader=a_reminder(Status.FAILED))
    assert still.reminder == evolve(failed, wake_at=None, hold_reason=None)
    cancelled = evolve(RIDER, status=Status.CANCELLED)
    assert followed("completed", rider=cancelled).reminder.status is Status.CANCELLED


def test_one_that_waits_for_a_call_of_its_own_is_not_rung_if_it_was_heard_meanwhile() -> None:
    alone = evolve(OTHER, said_with="call-1", attempts=1)
    heard = followed("completed", rider=alone, leader=a_reminder(Status.CALLED, attempts=1))
    assert (heard.errand, heard.reminder.status) == (None, Status.CALLED)
    rung = followed("refused", rider=alone, leader=a_reminder(Status.FAILED, attempts=1))
    assert (rung.errand, rung.reminder.said_with) == (Errand.DIAL, "call-1")


# What staff may do


def test_calling_again_is_refused_while_the_call_that_says_it_may_still_ring_and_once_it_was_heard() -> None:
    over = evolve(RIDER, status=Status.CANCELLED)
    leading = Leading(call=a_call("ringing"), reminder=LEADER, calls=())
    with pytest.raises(NotAllowedError, match="a call is still open"):
        called_again(over, (), leading=leading, opted_out=False, rules=GROUPING, now=NOW)
    completed = evolve(leading, call=a_call("completed"))
    with pytest.raises(NotAllowedError, match="the patient was reached"):
        called_again(over, (), leading=completed, opted_out=False, rules=GROUPING, now=NOW)
    pressed = Leading(call=a_call("failed"), reminder=a_reminder(Status.CALLED), calls=(a_call("failed"),))
    with pytest.raises(NotAllowedError, match="the patient was reached"):
        called_again(over, (), leading=pressed, opted_out=False, rules=GROUPING, now=NOW)


@pytest.mark.parametrize(("call", "kept"), [(a_call("busy", received_at=NOW), None), (a_call("unreported"), "call-1")])
def test_one_that_staff_call_again_is_put_right_by_a_late_end_of_the_call_that_said_it(
    call: Call, kept: str | None
) -> None:
    over = evolve(RIDER, status=Status.FAILED)
    leading = Leading(call=call, reminder=LEADER, calls=(call,))
    again = called_again(over, (), leading=leading, opted_out=False, rules=GROUPING, now=NOW + timedelta(minutes=5))
    assert (again.reminder.status, again.reminder.said_with) == (Status.SCHEDULED, kept)


def test_one_that_is_rung_by_a_call_of_its_own_by_then_is_called_and_its_own_call_followed() -> None:
    ringing = a_call("ringing", id="call-2", reminder_id=RIDER.id)
    heard = Leading(call=a_call("completed"), reminder=a_reminder(Status.CALLED), calls=())
    step = woken(evolve(RIDER, wake_at=NOW + MINUTE), ringing, around=Surroundings(leading=heard))
    assert (step.reminder.status, step.reminder.wake_at) == (Status.CALLED, NOW + RULES.outcome_timeout)
    unheard = evolve(heard, call=a_call("refused"), reminder=LEADER)
    own = woken(RIDER, ringing, around=Surroundings(leading=unheard), rules=able(LOOK_UP))
    assert own.errand is not None, "its own call is what is asked about"


def test_one_whose_own_call_was_not_placed_is_not_taken_for_one_that_rides() -> None:
    own = a_call("not-placed", id="call-2", reminder_id=RIDER.id)
    refused = Leading(call=a_call("unreported"), reminder=a_reminder(Status.FAILED), calls=())
    step = woken(RIDER, own, around=Surroundings(leading=refused))
    assert [note.text for note in step.notes] == ["scheduled again: nothing was sent"]


def test_a_zone_of_its_own_in_which_the_window_is_open_is_no_hindrance() -> None:
    berlin = evolve(GROUPING, window=evolve(hours(9 * HOUR, 12 * HOUR), zone=ZoneInfo("Europe/Berlin")))
    assert len(dialled(evolve(OTHER, timezone="Europe/Paris"), rules=berlin).riders) == 1
