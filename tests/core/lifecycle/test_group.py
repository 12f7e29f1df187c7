"""Several reminders in one call."""

from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.lifecycle import (
    Errand,
    Leading,
    Level,
    NotAllowedError,
    Step,
    Surroundings,
    Waiting,
    called_again,
    parted,
    together,
)
from reminderd.core.lifecycle.check import NO_REPORT, RING_BY_HAND
from reminderd.core.lifecycle.company import digest
from reminderd.core.lifecycle.group import NOT_PLACED_RECHECK, TOO_LATE
from reminderd.core.lifecycle.joining import RIDES
from reminderd.core.lifecycle.lookup import LOOK_UPS_FOR_NONE
from reminderd.core.reminder import MESSAGE_LIMIT, OPTED_OUT, Call, Reminder, Response, Status
from reminderd.core.rules import Rules
from tests.support.nouns import (
    AT_HAND,
    BOTH,
    DAY,
    DROP,
    HOUR,
    KEY,
    LOOK_UP,
    MINUTE,
    NOW,
    RULES,
    SECOND,
    a_call,
    a_reminder,
    a_report,
    able,
    hours,
    told,
    woken,
)

GROUPING = evolve(RULES, group_within=HOUR)
LEADER = a_reminder()
OTHER = a_reminder(id="reminder-2", message="Bring your papers", scheduled_at=NOW)
LATER = evolve(OTHER, scheduled_at=NOW + MINUTE)
RIDER = evolve(OTHER, status=Status.PROCESSING, attempts=1, said_with="call-1", wake_at=NOW + MINUTE, hold_reason=RIDES)
SAID = digest(LEADER, (RIDER,))
MISSED: dict[str, Any] = {"not_found": LOOK_UPS_FOR_NONE}


def dialled(*others: Reminder, rules: Rules = GROUPING, calls: tuple[Call, ...] = ()) -> Step:
    """The leader's time has come while others wait beside it, each with these calls behind it."""
    return woken(LEADER, around=Surroundings(beside=tuple(Waiting(other, calls) for other in others)), rules=rules)


def followed(
    status: str,
    *,
    rider: Reminder = RIDER,
    leader: Reminder | None = None,
    rules: Rules = GROUPING,
    now: Any = NOW,
    around: Surroundings = AT_HAND,
    **call: Any,
) -> Step:
    """The rider is looked at when the call that says it is `status`; the leader waits, unless it is given."""
    said = a_call(status, **call)
    leading = Leading(call=said, reminder=leader or a_reminder(attempts=1), calls=(said,))
    return woken(rider, around=evolve(around, leading=leading), rules=rules, now=now)


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


def test_one_that_is_said_before_its_own_time_does_not_use_up_a_call() -> None:
    assert [rider.attempts for rider in dialled(OTHER, evolve(LATER, id="reminder-3")).riders] == [1, 0]


def taken_up(status: str, *riders: Reminder, rules: Rules = GROUPING, **call: Any) -> Step:
    """The call that was to say the rider, too, is taken up again when its riders are these."""
    around = Surroundings(riders=tuple(map(Waiting, riders)), beside=(Waiting(evolve(OTHER, id="reminder-9")),))
    former = a_call(status, said_digest=SAID, **call)
    return woken(evolve(LEADER, attempts=1), former, around=around, rules=rules)


def test_a_call_that_is_taken_up_again_says_the_same_with_the_same_key() -> None:
    step = taken_up("not-placed", RIDER)
    assert (step.errand, step.riders, step.others) == (Errand.DIAL, (RIDER,), ())
    assert step.call is not None
    assert (step.call.id, step.reminder.attempts) == ("call-1", 1)


def test_with_other_words_it_is_a_new_call_with_a_key_of_its_own_and_no_more_of_its_reminders() -> None:
    third = evolve(RIDER, id="reminder-3", message="Come early")
    gone = evolve(RIDER, status=Status.CANCELLED)
    step = taken_up("not-placed", gone, third)
    assert step.call is not None
    assert (step.call.id, step.call.attempt, step.reminder.attempts) == ("call-new", 2, 1)
    assert [(rider.id, rider.said_with, rider.attempts) for rider in step.riders] == [("reminder-3", "call-new", 1)]
    assert [other.reminder for other in step.others] == [step.riders[0], evolve(gone, said_with=None)]
    assert step.call.said_digest == digest(LEADER, step.riders)


def test_one_that_joined_before_its_time_and_is_said_after_it_has_used_up_a_call() -> None:
    early = evolve(RIDER, attempts=0, scheduled_at=NOW, message="Other words.")
    step = taken_up("not-placed", early, created_at=NOW - MINUTE)
    assert [rider.attempts for rider in step.riders] == [1]


@pytest.mark.parametrize("riders", [[], [evolve(RIDER, message="Other words.")]], ids=["deleted", "edited"])
def test_words_that_another_program_has_changed_are_other_words(riders: list[Reminder]) -> None:
    step = taken_up("not-placed", *riders)
    assert step.call is not None
    assert step.call.id == "call-new"


def test_one_whose_time_is_over_is_not_said_and_expires() -> None:
    ringing = a_call("ringing", id="call-2", reminder_id=RIDER.id)
    late = evolve(RIDER, expires_at=NOW)
    step = taken_up("not-placed", late)
    assert step.riders == ()
    [other] = step.others
    assert (other.reminder.status, other.reminder.last_error, other.expired) == (Status.EXPIRED, TOO_LATE, True)
    assert other.reminder.said_with is None
    [busy] = parted([Waiting(late, (ringing,))], GROUPING, NOW)
    assert (busy.reminder, busy.calls) == (evolve(late, said_with=None), (ringing,)), "its own call is followed"


def test_one_whose_number_has_opted_out_by_the_time_somebody_listens_is_cancelled() -> None:
    [gone] = parted([Waiting(RIDER)], GROUPING, NOW, opted_out=True)
    assert (gone.reminder.status, gone.reminder.last_error) == (Status.CANCELLED, OPTED_OUT)


def test_a_call_that_look_ups_have_missed_is_not_sent_again_with_other_words() -> None:
    rules = able(BOTH, group_within=HOUR)
    for riders in ([], [evolve(RIDER, status=Status.CANCELLED)], [evolve(RIDER, expires_at=NOW)]):
        step = taken_up("not-placed", *riders, rules=rules, **MISSED)
        assert (step.errand, step.reminder.last_error) == (None, RING_BY_HAND)
    assert taken_up("not-placed", RIDER, rules=rules, **MISSED).errand is Errand.DIAL


def test_an_unclear_request_is_sent_again_with_all_its_words_or_not_at_all() -> None:
    waiting, unclear = a_reminder(Status.PROCESSING), a_call("unconfirmed", said_digest=SAID)
    again = woken(waiting, unclear, around=Surroundings(riders=(Waiting(RIDER),)), rules=able(KEY))
    assert (again.errand, again.riders) == (Errand.RESEND, (RIDER,))
    for riders in ((), (Waiting(evolve(RIDER, status=Status.CANCELLED)),), (Waiting(evolve(RIDER, expires_at=NOW)),)):
        gone = Surroundings(riders=riders)
        assert woken(waiting, unclear, around=gone, rules=able(KEY)).reminder.last_error == RING_BY_HAND


@pytest.mark.parametrize(("rider", "errand"), [(RIDER, Errand.FETCH), (evolve(RIDER, expires_at=NOW), Errand.DROP)])
def test_a_call_is_not_dropped_while_one_that_it_says_too_is_wanted(rider: Reminder, errand: Errand) -> None:
    gone, ringing = a_reminder(Status.CANCELLED, wake_at=NOW), a_call("ringing", external_call_id="ext-1")
    around = Surroundings(riders=(Waiting(rider),))
    assert woken(gone, ringing, around=around, rules=able(DROP)).errand is errand
    news = a_report("initiated")
    queued = a_call("queued", external_call_id="ext-1")
    wakes = [
        told(gone, queued, report=news, rules=able(DROP), wanted_by_others=wanted).reminder.wake_at
        for wanted in (True, False)
    ]
    assert wakes == [NOW + RULES.outcome_timeout, NOW]


# What becomes of them


def test_what_a_completed_call_has_said_is_called() -> None:
    called = evolve(LEADER, status=Status.CALLED, response=Response.CONFIRMED, attempts=1)
    step = followed("completed", leader=called, received_at=NOW)
    assert (step.reminder.status, step.reminder.response, step.reminder.wake_at) == (Status.CALLED, None, None)


@pytest.mark.parametrize("status", [Status.CALLED, Status.CANCELLED])
def test_what_its_leader_has_come_to_says_nothing_of_it(status: Status) -> None:
    told_elsewhere = a_reminder(status, response=Response.CONFIRMED, attempts=1)
    assert followed("busy", leader=told_elsewhere).reminder.status is Status.SCHEDULED
    assert followed("failed", leader=told_elsewhere).reminder.status is Status.FAILED


@pytest.mark.parametrize("word", ["busy", "no-answer", "canceled"])
def test_nobody_reached_is_rung_again_each_by_its_own_count(word: str) -> None:
    step = followed(word)
    after = step.reminder
    assert (after.status, after.attempts, after.said_with) == (Status.SCHEDULED, 1, None)
    assert (after.wake_at, after.hold_reason) == (NOW + 15 * MINUTE, f"{word}, to be rung again")
    last = followed(word, rider=evolve(RIDER, attempts=3))
    assert (last.reminder.status, last.reminder.last_error) == (Status.FAILED, f"{word}, after 3 calls")
    assert last.notes[0].level is Level.ERROR


@pytest.mark.parametrize("word", ["busy", "failed"])
def test_one_that_was_to_be_said_early_waits_for_its_own_time_if_it_was_not_heard(word: str) -> None:
    early = evolve(RIDER, scheduled_at=NOW + HOUR, attempts=0)
    after = followed(word, rider=early, now=NOW + MINUTE).reminder
    assert (after.status, after.wake_at, after.attempts) == (Status.SCHEDULED, NOW + HOUR, 0)
    assert after.said_with is None
    due_by_now = followed(word, rider=early, now=NOW + HOUR).reminder
    assert due_by_now.status is (Status.FAILED if word == "failed" else Status.SCHEDULED)
    counted = evolve(early, attempts=1)  # a call of its own, before
    assert followed("not-placed", rider=counted, leader=a_reminder(Status.CANCELLED)).reminder.attempts == 1


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


LOST_ITS_LEASE = a_reminder(Status.PROCESSING, wake_at=NOW + MINUTE)


@pytest.mark.parametrize("leader", [None, LOST_ITS_LEASE], ids=["scheduled", "to be scheduled"])
def test_while_the_call_is_to_be_sent_again_they_wait_for_it(leader: Reminder | None) -> None:
    waiting = followed("not-placed", leader=leader).reminder
    assert (waiting.status, waiting.wake_at) == (Status.PROCESSING, NOW + NOT_PLACED_RECHECK)
    assert waiting.said_with == "call-1"


def test_one_for_which_it_would_come_too_late_is_rung_alone_and_not_said_in_it() -> None:
    moved = a_reminder(attempts=1, wake_at=NOW + 7 * DAY)
    after = followed("not-placed", leader=moved).reminder
    assert (after.status, after.attempts, after.said_with) == (Status.SCHEDULED, 0, None)
    assert after.wake_at == NOW
    assert followed("not-placed", leader=moved, **MISSED).reminder.last_error == RING_BY_HAND


def test_one_whose_own_time_is_over_by_then_expires() -> None:
    step = followed("not-placed", rider=evolve(RIDER, expires_at=NOW))
    assert (step.reminder.status, step.reminder.last_error, step.expired) == (Status.EXPIRED, TOO_LATE, True)
    assert step.reminder.said_with is None


def test_nobody_expires_during_a_pause() -> None:
    paused = Surroundings(paused=True)
    held = followed("not-placed", rider=evolve(RIDER, expires_at=NOW), around=paused)
    assert held.reminder.status is Status.PROCESSING
    assert followed("refused", leader=a_reminder(Status.FAILED), around=paused).reminder.status is Status.SCHEDULED


@pytest.mark.parametrize("status", ["not-placed", "refused", "busy"])
def test_one_whose_number_has_opted_out_is_cancelled_instead_of_rung(status: str) -> None:
    out = Surroundings(opted_out=True)
    gone = followed(status, around=out).reminder
    assert (gone.status, gone.last_error, gone.wake_at) == (Status.CANCELLED, OPTED_OUT, None)
    assert gone.said_with is None
    assert followed("ringing", around=out).reminder.status is Status.PROCESSING
    assert followed("unreported", around=out).reminder.last_error == RING_BY_HAND


def test_while_the_call_goes_on_they_wait() -> None:
    step = followed("ringing", rider=evolve(RIDER, lease_token="x"))
    assert step.reminder == evolve(RIDER, wake_at=NOW + RULES.outcome_timeout)
    assert step.notes == ()


@pytest.mark.parametrize("reason", [RING_BY_HAND, NO_REPORT])
def test_what_nobody_knows_of_the_call_nobody_knows_of_them(reason: str) -> None:
    step = followed("unreported", error=reason, leader=a_reminder(Status.FAILED))
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, reason)
    assert followed("unreported", leader=a_reminder(Status.FAILED)).reminder.last_error == RING_BY_HAND


def test_no_rider_of_an_unclear_call_is_rung_by_guess_though_its_leader_is() -> None:
    rules = evolve(GROUPING, ring_again_when_unsure=True)
    step = followed("unreported", error=RING_BY_HAND, leader=a_reminder(attempts=1), rules=rules)
    assert (step.reminder.status, step.reminder.last_error) == (Status.FAILED, RING_BY_HAND)


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
    busy = Leading(call=a_call("busy"), reminder=a_reminder(Status.CALLED), calls=(a_call("busy"),))
    assert called_again(over, (), leading=busy, opted_out=False, rules=GROUPING, now=NOW).reminder.wake_at == NOW


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
