"""What the documented SQL of other programs does to reminders that were dialed; see docs/database.md."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, Refused, Unclear
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.transition import limit_of
from reminderd.core.model import CallState, Reminder, Status
from reminderd.core.reasons import EndCode
from reminderd.core.script.prompts import Question
from reminderd.store import queries
from reminderd.store.claims import poke
from reminderd.store.reminders import Source, call_again
from reminderd.store.rows import to_ms
from reminderd.store.settle import look
from tests.support.desk import Desk, a_desk
from tests.support.nouns import DAY, HOUR, MINUTE, NOW, RULES, SECOND, a_report, able

YEAR_2999 = 32_472_144_000_000
CANCEL = "UPDATE reminders SET status = 'cancelled', last_error = 'the appointment was moved' WHERE id = 'r1'"
UPSERT = """
INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r1', '+12025550001', 'Tomorrow at nine.', ?)
ON CONFLICT (id) DO UPDATE SET phone_number = excluded.phone_number, message = excluded.message,
    scheduled_at = excluded.scheduled_at
"""
REPLACE = """
REPLACE INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r1', '+12025550001', 'Tomorrow at nine.', ?)
"""
MOVE = "UPDATE reminders SET scheduled_at = ? WHERE id = 'r1'"


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db") as desk:
        desk.insert()
        yield desk


def sql(desk: Desk, statement: str, *parameters: object) -> None:
    """Write as another program does. What a trigger wakes is due now: its clock is the real one."""
    desk.connection.execute(statement, parameters)
    for table in ("reminders", "call_logs"):
        desk.connection.execute(
            f"UPDATE {table} SET wake_at = ? WHERE wake_at > ?", (to_ms(desk.now), to_ms(desk.now + 30 * DAY))
        )


def ends(desk: Desk, word: str) -> None:
    """`r1` is called, and its call ends so."""
    [action] = desk.claim()
    desk.answer(action, Accepted(f"ext-{action.call.id}"))
    report = a_report(word, external_call_id=f"ext-{action.call.id}", reminder_id="r1", attempt_id=action.call.id)
    desk.report(report)


def is_dialing(desk: Desk) -> None:
    [_] = desk.claim()


def is_processing(desk: Desk) -> None:
    [action] = desk.claim()
    desk.answer(action, Accepted("ext-1"))


def is_unconfirmed(desk: Desk) -> None:
    [action] = desk.claim()
    desk.answer(action, Unclear("no answer in time"))


def is_refused(desk: Desk) -> None:
    [action] = desk.claim()
    desk.answer(action, Refused("422"))


def waits_for_its_redial(desk: Desk) -> None:
    ends(desk, "busy")


def has_failed(desk: Desk) -> None:
    ends(desk, "failed")


def was_reached(desk: Desk) -> None:
    ends(desk, "completed")


def has_no_calls_left(desk: Desk) -> None:
    for _ in range(desk.rules.max_calls):
        ends(desk, "busy")
        desk.later(desk.rules.redial_delay(1))


def is_of_unknown_outcome(desk: Desk) -> None:
    is_unconfirmed(desk)
    desk.later(desk.rules.outcome_timeout)
    desk.claims()


def expired_after_a_call(desk: Desk) -> None:
    ends(desk, "busy")
    desk.later(DAY)
    desk.claims()


IN_A_CALL = [is_dialing, is_processing, is_unconfirmed]
OVER = [was_reached, has_no_calls_left, is_of_unknown_outcome, is_refused, has_failed, expired_after_a_call]


def follow(desk: Desk) -> None:
    """Look at all that is due, and at all that waits."""
    desk.write(poke)
    desk.claims()


def follow_to_the_end(desk: Desk) -> None:
    """Look at all for so long that every call is over."""
    for _ in range(3):
        follow(desk)
        desk.later(desk.rules.outcome_timeout)
    follow(desk)


# Cancelled


@pytest.mark.parametrize("stage", [*IN_A_CALL, waits_for_its_redial])
def test_a_cancel_is_honored_and_nothing_of_the_reminder_is_looked_at_any_more(desk: Desk, stage: Any) -> None:
    stage(desk)
    sql(desk, CANCEL)
    follow_to_the_end(desk)
    reminder = desk.reminder()
    assert (reminder.status, reminder.end_code) == (Status.CANCELLED, EndCode.CANCELLED_ELSEWHERE)
    assert (reminder.wake_at, reminder.last_error) == (None, "the appointment was moved")
    assert [call.state.alive for call in desk.calls()] == [False]
    desk.later(DAY)
    follow(desk)
    assert desk.reminder() == reminder


def test_one_that_waits_for_long_is_at_rest_from_the_claim_after_its_cancel_on(desk: Desk) -> None:
    """It must not show for days when it would be called."""
    desk.rules = evolve(RULES, redial_delays=(2 * DAY,), max_lateness=3 * DAY)
    waits_for_its_redial(desk)
    assert desk.reminder().wake_at == desk.now + 2 * DAY
    sql(desk, CANCEL)
    desk.claims()
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.CANCELLED, None)


def test_a_claimed_request_of_a_cancelled_reminder_is_not_sent(desk: Desk) -> None:
    [action] = desk.claim()
    sql(desk, CANCEL)
    seen = look(desk.connection, action=action, rules=desk.rules, now=desk.now)
    reason = last_look(
        seen.ledger, action, paused=False, stopping=False, time_left=SECOND, rules=desk.rules, now=desk.now
    )
    assert reason == "a reminder is cancelled"


@pytest.mark.parametrize("word", ["completed", "busy"])
def test_the_end_of_its_call_leaves_it_cancelled(desk: Desk, word: str) -> None:
    [action] = desk.claim()
    desk.answer(action, Accepted("ext-1"))
    sql(desk, CANCEL)
    desk.report(a_report(word, reminder_id="r1", attempt_id=action.call.id))
    follow(desk)
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.CANCELLED, None)
    assert [call.state for call in desk.calls()] == [CallState.ENDED]


# Written again


@pytest.mark.parametrize("stage", [*IN_A_CALL, waits_for_its_redial, *OVER])
def test_an_upsert_with_the_same_content_changes_nothing(desk: Desk, stage: Any) -> None:
    stage(desk)
    follow(desk)
    before = desk.reminder(), desk.calls()
    sql(desk, UPSERT, to_ms(NOW))
    assert (desk.reminder(), desk.calls()) == before
    follow(desk)
    assert (evolve(desk.reminder(), revision=before[0].revision), desk.calls()) == before


@pytest.mark.parametrize(
    ("stage", "status", "code"),
    [
        (is_dialing, Status.DIALING, None),
        (is_processing, Status.PROCESSING, None),
        (is_unconfirmed, Status.PROCESSING, None),
        (was_reached, Status.CALLED, None),
        (has_no_calls_left, Status.FAILED, EndCode.MAX_CALLS),
        (is_of_unknown_outcome, Status.FAILED, EndCode.UNCONFIRMED),
        (is_refused, Status.FAILED, EndCode.REFUSED),
        (has_failed, Status.FAILED, EndCode.PROVIDER_FAILED),
        (expired_after_a_call, Status.EXPIRED, EndCode.TOO_LATE),
    ],
)
def test_a_replace_with_the_same_content_leads_to_no_call(
    desk: Desk, stage: Any, status: Status, code: EndCode | None
) -> None:
    stage(desk)
    before = desk.calls()
    sql(desk, REPLACE, to_ms(NOW))
    assert desk.claim() == []
    reminder = desk.reminder()
    assert (reminder.status, reminder.end_code, reminder.wake_at) == (status, code, None)
    assert desk.calls() == before


def test_one_that_is_replaced_while_it_waits_for_its_redial_still_waits_for_it(desk: Desk) -> None:
    waits_for_its_redial(desk)
    at = desk.reminder().retry_at
    sql(desk, REPLACE, to_ms(NOW))
    assert desk.claim() == []
    assert (desk.reminder().wake_at, desk.reminder().attempts) == (at, 1)
    desk.later(desk.rules.redial_delay(1))
    assert len(desk.claim()) == 1


# Moved


@pytest.mark.parametrize("statement", [MOVE, UPSERT, REPLACE], ids=["update", "upsert", "replace"])
@pytest.mark.parametrize("stage", [*IN_A_CALL, waits_for_its_redial, *OVER])
def test_one_that_is_moved_is_called_at_its_new_time_and_keeps_its_history(
    desk: Desk, stage: Any, statement: str
) -> None:
    stage(desk)
    before = desk.calls()
    at = desk.now + 2 * DAY
    sql(desk, statement, to_ms(at))
    follow(desk)
    moved = desk.reminder()
    assert (moved.status, moved.wake_at, moved.attempts) == (Status.SCHEDULED, at, 0)
    assert (moved.end_code, moved.ended_at) == (None, None)
    follow_to_the_end(desk)
    desk.later(at - desk.now - SECOND)
    assert desk.claim() == []
    desk.later(SECOND)
    [action] = desk.claim()
    assert [one.id for one in desk.calls()] == [*(one.id for one in before), action.call.id]


def test_a_cancelled_one_stays_so_though_it_is_moved_unless_it_is_scheduled_with_it(desk: Desk) -> None:
    waits_for_its_redial(desk)
    sql(desk, CANCEL)
    follow(desk)
    sql(desk, MOVE, to_ms(desk.now + DAY))
    follow(desk)
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.CANCELLED, None)
    sql(desk, "UPDATE reminders SET scheduled_at = ?, status = 'scheduled'", to_ms(desk.now + 2 * DAY))
    follow(desk)
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.SCHEDULED, desk.now + 2 * DAY)


def test_a_redial_delay_of_the_old_time_does_not_hold_back_the_new_one(desk: Desk) -> None:
    desk.rules = evolve(RULES, redial_delays=(2 * HOUR,))
    waits_for_its_redial(desk)
    assert desk.reminder().retry_at == NOW + 2 * HOUR
    sql(desk, MOVE, to_ms(NOW + 10 * MINUTE))
    desk.later(10 * MINUTE)
    [action] = desk.claim()
    assert action.reminders[0].scheduled_at == desk.now


def test_nobody_is_reached_for_a_day_on_which_nobody_was_called(desk: Desk) -> None:
    """The call for the old time goes on after the move, and is heard."""
    [action] = desk.claim()
    desk.answer(action, Accepted("ext-1"))
    sql(desk, MOVE, to_ms(NOW + DAY))
    desk.report(a_report("completed", reminder_id="r1", attempt_id=action.call.id))
    follow(desk)
    assert (desk.reminder().status, desk.reminder().wake_at) == (Status.SCHEDULED, NOW + DAY)
    desk.later(2 * DAY)
    follow(desk)
    assert desk.reminder().status is Status.EXPIRED


@pytest.mark.parametrize(
    ("digits", "question"), [("1", Question.MENU), ("2", Question.CANCEL)], ids=["confirmed", "cancel requested"]
)
def test_an_answer_by_key_was_for_the_old_time(desk: Desk, digits: str, question: Question) -> None:
    desk.rules = able(Capabilities(asks_what_to_say=True))
    line = a_report("in-progress", external_call_id="ext-1", reminder_id=None, attempt_id=desk.claim()[0].call.id)
    desk.pick_up(line)
    desk.press(line, digits, question)
    desk.report(evolve(line, status="completed"))
    assert desk.reminder().response is not None
    sql(desk, MOVE, to_ms(NOW + DAY))
    follow(desk)
    assert (desk.reminder().status, desk.reminder().response) == (Status.SCHEDULED, None)
    desk.later(DAY)
    second = evolve(line, external_call_id="ext-2", attempt_id=desk.claim()[0].call.id)
    desk.pick_up(second)
    desk.press(second, "")
    desk.report(evolve(second, status="completed"))
    assert (desk.reminder().status, desk.reminder().response) == (Status.CALLED, None)
    assert [act["act"] for act in queries.acts_on(desk.connection, "r1")] == [
        "confirmed" if digits == "1" else "cancel_requested"
    ]


# After `call-again`


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        ("UPDATE reminders SET expires_at = ? WHERE id = 'r1'", (to_ms(NOW + HOUR),)),
        ("UPDATE reminders SET message = 'Tomorrow at ten.' WHERE id = 'r1'", ()),
        (MOVE, (to_ms(NOW + MINUTE),)),
        (UPSERT, (to_ms(NOW),)),
    ],
    ids=["its own limit", "another message", "another time", "upsert"],
)
def test_one_that_is_called_again_is_not_lost_by_a_later_update(
    desk: Desk, statement: str, parameters: tuple[object, ...]
) -> None:
    sql(desk, "UPDATE reminders SET expires_at = ?", to_ms(NOW + HOUR))
    desk.later(DAY)
    desk.claims()
    assert desk.reminder().status is Status.EXPIRED
    desk.write(partial(call_again, reminder_id="r1", rules=desk.rules, source=Source(actor="anna")))
    sql(desk, statement, *parameters)
    reminder: Reminder = desk.reminder()
    assert reminder.expires_at == NOW + HOUR
    assert limit_of(reminder, desk.rules) == desk.now + desk.rules.max_lateness
    assert len(desk.claim()) == 1


@pytest.mark.parametrize(
    ("columns", "reason"),
    [
        ({"phone_number": "12025550147"}, "phone_number: without country code"),
        ({"phone_number": "+1 202 555 0147"}, "phone_number: not in its international form"),
        ({"phone_number": "+2025550147"}, "phone_number: no such number can exist"),
        ({"phone_number": "+19005550147"}, "phone_number: a premium-rate number"),
        ({"timezone": "EST"}, "timezone: EST has no daylight saving time"),
        ({"timezone": "Etc/GMT+5"}, "timezone: Etc/GMT+5 has no daylight saving time"),
        ({"message": " "}, "message: empty"),
    ],
)
def test_a_reminder_that_can_never_be_called_fails_at_once_with_its_reason(
    desk: Desk, columns: dict[str, str], reason: str
) -> None:
    row = {"id": "later", "phone_number": "+12025550147", "message": "Hello.", "scheduled_at": YEAR_2999, **columns}
    sql(desk, f"INSERT INTO reminders ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())
    desk.claim()
    later = desk.reminder("later")
    assert (later.status, later.end_code) == (Status.FAILED, EndCode.INVALID)
    assert (later.last_error or "").startswith(reason)


def test_a_reminder_that_is_made_one_that_can_never_be_called_fails_at_once(desk: Desk) -> None:
    desk.insert("later", "+12025550147", scheduled_at=YEAR_2999)
    sql(desk, "UPDATE reminders SET message = '' WHERE id = 'later'")
    desk.claim()
    assert desk.reminder("later").end_code is EndCode.INVALID


def test_a_reminder_that_can_be_called_is_looked_at_again_when_it_is_due(desk: Desk) -> None:
    row = ("later", "+12025550147", "Hello.", YEAR_2999)
    sql(desk, "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, ?, ?)", *row)
    desk.claim()
    later = desk.reminder("later")
    assert later.status is Status.SCHEDULED
    assert later.wake_at == later.scheduled_at
