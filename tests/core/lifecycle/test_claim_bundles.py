from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import NotPlaced
from reminderd.core.lifecycle.transition import Ledger, spoken_together
from reminderd.core.model import CallOutcome, CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.script.scripts import Script, Scripts
from tests.support.builders import (
    DAY,
    HOUR,
    KEY,
    MINUTE,
    NOW,
    RULES,
    SECOND,
    a_call,
    a_ledger,
    a_member,
    a_reminder,
    a_report,
    answer_settled,
    claimed,
    hours,
    report_settled,
)

BUNDLED = evolve(RULES, group_within=HOUR)
FIRST = a_reminder(message="At nine.")
SECOND_ONE = a_reminder(id="reminder-2", message="And at ten", scheduled_at=NOW - MINUTE)


def members(ledger: Ledger, call_id: str = "call-new") -> list[str]:
    call = ledger.calls.get(call_id)
    return [] if call is None else [one.reminder_id for one in ledger.members_of(call)]


def test_reminders_of_one_number_that_are_due_together_are_one_call() -> None:
    transition = claimed(a_ledger(FIRST, SECOND_ONE), rules=BUNDLED)
    assert members(transition.ledger) == ["reminder-2", "reminder-1"]
    assert {one.status for one in transition.ledger.reminders.values()} == {Status.DIALING}
    assert transition.action is not None
    assert transition.action.message == "And at ten. At nine."


def test_without_group_minutes_each_reminder_has_its_own_call() -> None:
    transition = claimed(a_ledger(FIRST, SECOND_ONE))
    assert members(transition.ledger) == ["reminder-1"]
    assert transition.ledger.reminders["reminder-2"].status is Status.SCHEDULED


SPANISH = evolve(BUNDLED, scripts=Scripts(by_language={"es-US": Script(language="es-US", voice="Lupe")}))


@pytest.mark.parametrize(
    ("one", "other", "is_one_call"),
    [
        ("es", "es", True),
        ("es", "es-MX", True),
        (None, "en", True),
        (None, "es", False),
        ("es", "pl", False),
        ("so", "so", True),
        ("so", None, False),
        ("so", "ti", False),
    ],
)
def test_only_reminders_in_one_language_are_one_call(one: str | None, other: str | None, *, is_one_call: bool) -> None:
    first, second = evolve(FIRST, language=one), evolve(SECOND_ONE, language=other)
    transition = claimed(a_ledger(first, second), rules=SPANISH)
    assert members(transition.ledger) == (["reminder-2", "reminder-1"] if is_one_call else ["reminder-1"])
    assert transition.action is not None
    assert transition.action.language == (other if is_one_call else one)


def test_a_reminder_does_not_wait_for_one_in_another_language() -> None:
    later = evolve(SECOND_ONE, scheduled_at=NOW + MINUTE, language="es")
    transition = claimed(a_ledger(FIRST, later), rules=SPANISH)
    assert members(transition.ledger) == ["reminder-1"]


def test_a_single_message_is_spoken_as_it_was_written() -> None:
    assert spoken_together(["Hello  "]) == "Hello  "
    assert spoken_together([" One ", "Two!", "Three…"]) == "One. Two! Three…"


@pytest.mark.parametrize(
    ("other", "facts"),
    [
        (evolve(SECOND_ONE, scheduled_at=NOW - 2 * HOUR), {}),
        (evolve(SECOND_ONE, phone_number="+12025550002"), {}),
        (evolve(SECOND_ONE, expires_at=NOW), {}),
        (evolve(SECOND_ONE, message=" "), {}),
        (evolve(SECOND_ONE, message="x" * 4_000), {}),
        (evolve(SECOND_ONE, status=Status.CANCELLED), {}),
        (SECOND_ONE, {"restored_at": NOW - SECOND, "restored_seq": 9}),
    ],
    ids=["too far", "another number", "too late", "no words", "too long", "final", "restored"],
)
def test_a_reminder_that_may_not_be_spoken_now_is_not_bundled(other: Any, facts: dict[str, Any]) -> None:
    assert members(claimed(a_ledger(FIRST, other, **facts), rules=BUNDLED).ledger) == ["reminder-1"]


def test_a_reminder_waits_for_one_due_within_group_minutes_and_none_is_spoken_early() -> None:
    later = a_reminder(id="reminder-2", scheduled_at=NOW + HOUR)
    reminder = claimed(a_ledger(FIRST, later), rules=BUNDLED).ledger.reminders["reminder-1"]
    assert (reminder.status, reminder.wake_at, reminder.hold_code) == (
        Status.SCHEDULED,
        NOW + HOUR,
        HoldCode.BUNDLE,
    )
    both = claimed(a_ledger(FIRST, later), rules=BUNDLED, now=NOW + HOUR)
    assert members(both.ledger) == ["reminder-1", "reminder-2"]


@pytest.mark.parametrize(
    ("first", "rules", "later"),
    [
        (FIRST, BUNDLED, {"scheduled_at": NOW + HOUR + SECOND}),
        (FIRST, BUNDLED, {"message": "x" * 4_000}),
        (evolve(FIRST, expires_at=NOW + HOUR), BUNDLED, {}),
        (FIRST, evolve(BUNDLED, calling_hours=hours(timedelta(hours=9), timedelta(hours=11))), {}),
        (
            FIRST,
            evolve(BUNDLED, group_within=DAY, max_lateness=3 * DAY),
            {"scheduled_at": NOW + DAY - HOUR},
        ),
    ],
    ids=["too far", "too long together", "its own limit", "hours over by then", "another day"],
)
def test_a_reminder_does_not_wait_for_one_it_cannot_be_bundled_with(
    first: Any, rules: Any, later: dict[str, Any]
) -> None:
    facts: dict[str, Any] = {"id": "reminder-2", "scheduled_at": NOW + HOUR}
    other = a_reminder(**facts | later)
    assert members(claimed(a_ledger(first, other), rules=rules).ledger) == ["reminder-1"]


def test_a_redial_includes_due_reminders_but_waits_for_none() -> None:
    busy = a_call(CallState.ENDED, status="busy", outcome=CallOutcome.NOT_ANSWERED)
    ledger = a_ledger(FIRST, SECOND_ONE, busy, a_member(busy, FIRST))
    assert members(claimed(ledger, rules=BUNDLED).ledger) == ["reminder-2", "reminder-1"]
    later = a_reminder(id="reminder-2", scheduled_at=NOW + HOUR)
    assert members(claimed(a_ledger(FIRST, later, busy, a_member(busy, FIRST)), rules=BUNDLED).ledger) == ["reminder-1"]


def test_a_reminder_whose_request_was_not_placed_waits_for_no_bundle() -> None:
    tried, not_placed = evolve(FIRST, tries=1), a_call(CallState.NOT_PLACED)
    later = a_reminder(id="reminder-2", scheduled_at=NOW + HOUR)
    ledger = a_ledger(tried, later, not_placed, a_member(not_placed, tried))
    assert members(claimed(ledger, rules=BUNDLED).ledger) == ["reminder-1"]


def test_a_reminder_with_a_later_redial_is_not_bundled_unless_it_was_moved() -> None:
    busy = a_call(CallState.ENDED, status="busy", outcome=CallOutcome.NOT_ANSWERED)
    delayed = evolve(SECOND_ONE, retry_at=NOW + HOUR)
    ledger = a_ledger(FIRST, delayed, busy, a_member(busy, delayed))
    assert members(claimed(ledger, rules=BUNDLED).ledger) == ["reminder-1"]
    moved = ledger.put(evolve(delayed, scheduled_at=NOW))
    assert members(claimed(moved, rules=BUNDLED).ledger) == ["reminder-1", "reminder-2"]


# The end of a call is applied to each of its reminders

PLACED = a_call(CallState.PLACED, seq=3, status="ringing")
A, B = a_reminder(Status.PROCESSING), a_reminder(Status.PROCESSING, id="reminder-2")


def test_a_completed_call_reaches_every_reminder_of_its_bundle() -> None:
    after = report_settled(a_ledger(A, B, PLACED), a_report("completed")).ledger
    assert [one.status for one in after.reminders.values()] == [Status.CALLED, Status.CALLED]


def test_each_bundled_reminder_is_redialed_by_its_own_count() -> None:
    older = [a_call(CallState.ENDED, id=f"old-{n}", seq=n, status="busy") for n in (1, 2)]
    rows = [a_member(PLACED, A), a_member(PLACED, B, position=1), *(a_member(call, B) for call in older)]
    after = report_settled(a_ledger(A, B, PLACED, *older, *rows), a_report("busy")).ledger
    assert [one.status for one in after.reminders.values()] == [Status.SCHEDULED, Status.FAILED]
    assert after.reminders["reminder-2"].end_code is EndCode.NOT_ANSWERED


def test_a_cancelled_or_moved_reminder_is_not_changed_by_the_calls_end() -> None:
    cancelled = evolve(B, status=Status.CANCELLED)
    assert report_settled(a_ledger(A, cancelled, PLACED), a_report()).ledger.reminders["reminder-2"] == cancelled
    moved = evolve(B, scheduled_at=NOW + DAY)
    ledger = a_ledger(A, moved, PLACED, a_member(PLACED, A), a_member(PLACED, B, position=1))
    assert report_settled(ledger, a_report()).ledger.reminders["reminder-2"] == moved


def test_an_unchanged_bundle_that_was_not_placed_is_requested_again_with_its_key() -> None:
    rules = evolve(BUNDLED, capabilities=KEY)
    dialing = claimed(a_ledger(FIRST, SECOND_ONE), rules=rules).ledger
    stored = dialing.put(evolve(dialing.calls["call-new"], id="call-1", seq=1))
    stored = evolve(
        stored,
        calls={"call-1": stored.calls["call-1"]},
        members={("call-1", key[1]): evolve(one, call_id="call-1") for key, one in dialing.members.items()},
    )
    failed = answer_settled(stored, NotPlaced("503"), rules=rules, draw=0.0).ledger
    again = claimed(failed, rules=rules).ledger
    assert set(again.calls) == {"call-1"}
    one_less = failed.put(evolve(failed.reminders["reminder-2"], status=Status.CANCELLED))
    assert set(claimed(one_less, rules=rules).ledger.calls) == {"call-1", "call-new"}
