"""What the documented SQL of other programs does to reminders that were dialed; see docs/database.md."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, Refused, Unclear
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.states import limit_of
from reminderd.core.model import CallState, Reminder, Status
from reminderd.core.reasons import EndCode
from reminderd.core.script.prompts import Question
from reminderd.databases import Target
from reminderd.store.audit import acts_on
from reminderd.store.claims import wake_waiting
from reminderd.store.intake import Source
from reminderd.store.reminders import call_again
from reminderd.store.rows import to_ms
from reminderd.store.settle import read_for_last_look
from tests.support.builders import DAY, HOUR, MINUTE, NOW, RULES, SECOND, a_report, able
from tests.support.store import Store, a_store

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
ONLY_SQLITE_HAS_IT = pytest.mark.sqlite_only("PostgreSQL has no REPLACE")
MOVE = "UPDATE reminders SET scheduled_at = ? WHERE id = 'r1'"


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        store.insert()
        yield store


def sql(store: Store, statement: str, *parameters: object) -> None:
    """Write as another program does. What a trigger wakes is due now: its clock is the real one."""
    store.connection.execute(statement, parameters)
    for table in ("reminders", "call_logs"):
        store.connection.execute(
            f"UPDATE {table} SET wake_at = ? WHERE wake_at > ?", (to_ms(store.now), to_ms(store.now + 30 * DAY))
        )


def ends(store: Store, word: str) -> None:
    """Call `r1`, and end its call with this status."""
    [action] = store.claim()
    store.answer(action, Accepted(f"ext-{action.call.id}"))
    report = a_report(word, external_call_id=f"ext-{action.call.id}", reminder_id="r1", attempt_id=action.call.id)
    store.report(report)


def is_dialing(store: Store) -> None:
    [_] = store.claim()


def is_processing(store: Store) -> None:
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))


def is_unconfirmed(store: Store) -> None:
    [action] = store.claim()
    store.answer(action, Unclear("no answer in time"))


def is_refused(store: Store) -> None:
    [action] = store.claim()
    store.answer(action, Refused("422"))


def waits_for_its_redial(store: Store) -> None:
    ends(store, "busy")


def has_failed(store: Store) -> None:
    ends(store, "failed")


def was_reached(store: Store) -> None:
    ends(store, "completed")


def has_no_calls_left(store: Store) -> None:
    for _ in range(store.rules.max_calls):
        ends(store, "busy")
        store.later(store.rules.redial_delay(1))


def is_of_unknown_outcome(store: Store) -> None:
    is_unconfirmed(store)
    store.later(store.rules.outcome_timeout)
    store.claims()


def expired_after_a_call(store: Store) -> None:
    ends(store, "busy")
    store.later(DAY)
    store.claims()


IN_A_CALL = [is_dialing, is_processing, is_unconfirmed]
OVER = [was_reached, has_no_calls_left, is_of_unknown_outcome, is_refused, has_failed, expired_after_a_call]


def follow(store: Store) -> None:
    """Claim everything that is due or waits."""
    store.write(wake_waiting)
    store.claims()


def follow_to_the_end(store: Store) -> None:
    """Claim everything until every call has ended."""
    for _ in range(3):
        follow(store)
        store.later(store.rules.outcome_timeout)
    follow(store)


# Cancelled


@pytest.mark.parametrize("stage", [*IN_A_CALL, waits_for_its_redial])
def test_a_cancel_is_honored_and_the_reminder_is_never_checked_again(store: Store, stage: Any) -> None:
    stage(store)
    sql(store, CANCEL)
    follow_to_the_end(store)
    reminder = store.reminder()
    assert (reminder.status, reminder.end_code) == (Status.CANCELLED, EndCode.CANCELLED_ELSEWHERE)
    assert (reminder.wake_at, reminder.last_error) == (None, "the appointment was moved")
    assert [call.state.alive for call in store.calls()] == [False]
    store.later(DAY)
    follow(store)
    assert store.reminder() == reminder


def test_a_cancelled_reminder_has_no_wake_at_after_the_next_claim(store: Store) -> None:
    """The row must not show for days when the reminder would be called."""
    store.rules = evolve(RULES, redial_delays=(2 * DAY,), max_lateness=3 * DAY)
    waits_for_its_redial(store)
    assert store.reminder().wake_at == store.now + 2 * DAY
    sql(store, CANCEL)
    store.claims()
    assert (store.reminder().status, store.reminder().wake_at) == (Status.CANCELLED, None)


def test_a_claimed_request_of_a_cancelled_reminder_is_not_sent(store: Store) -> None:
    [action] = store.claim()
    sql(store, CANCEL)
    seen = read_for_last_look(store.connection, action=action, rules=store.rules, now=store.now)
    reason = last_look(
        seen.ledger, action, paused=False, stopping=False, time_left=SECOND, rules=store.rules, now=store.now
    )
    assert reason == "a reminder is cancelled"


@pytest.mark.parametrize("word", ["completed", "busy"])
def test_the_end_of_the_call_leaves_a_cancelled_reminder_cancelled(store: Store, word: str) -> None:
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    sql(store, CANCEL)
    store.report(a_report(word, reminder_id="r1", attempt_id=action.call.id))
    follow(store)
    assert (store.reminder().status, store.reminder().wake_at) == (Status.CANCELLED, None)
    assert [call.state for call in store.calls()] == [CallState.ENDED]


# Written again


@pytest.mark.parametrize("stage", [*IN_A_CALL, waits_for_its_redial, *OVER])
def test_an_upsert_with_the_same_content_changes_nothing(store: Store, stage: Any) -> None:
    stage(store)
    follow(store)
    before = store.reminder(), store.calls()
    sql(store, UPSERT, to_ms(NOW))
    assert (store.reminder(), store.calls()) == before
    follow(store)
    assert (evolve(store.reminder(), revision=before[0].revision), store.calls()) == before


@ONLY_SQLITE_HAS_IT
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
def test_a_replace_with_the_same_content_causes_no_call(
    store: Store, stage: Any, status: Status, code: EndCode | None
) -> None:
    stage(store)
    before = store.calls()
    sql(store, REPLACE, to_ms(NOW))
    assert store.claim() == []
    reminder = store.reminder()
    assert (reminder.status, reminder.end_code, reminder.wake_at) == (status, code, None)
    assert store.calls() == before


@ONLY_SQLITE_HAS_IT
def test_a_reminder_replaced_during_its_redial_delay_still_waits(store: Store) -> None:
    waits_for_its_redial(store)
    at = store.reminder().retry_at
    sql(store, REPLACE, to_ms(NOW))
    assert store.claim() == []
    assert (store.reminder().wake_at, store.reminder().attempts) == (at, 1)
    store.later(store.rules.redial_delay(1))
    assert len(store.claim()) == 1


# Moved


@pytest.mark.parametrize(
    "statement", [MOVE, UPSERT, pytest.param(REPLACE, marks=ONLY_SQLITE_HAS_IT)], ids=["update", "upsert", "replace"]
)
@pytest.mark.parametrize("stage", [*IN_A_CALL, waits_for_its_redial, *OVER])
def test_a_moved_reminder_is_called_at_its_new_time_and_keeps_its_history(
    store: Store, stage: Any, statement: str
) -> None:
    stage(store)
    before = store.calls()
    at = store.now + 2 * DAY
    sql(store, statement, to_ms(at))
    follow(store)
    moved = store.reminder()
    assert (moved.status, moved.wake_at, moved.attempts) == (Status.SCHEDULED, at, 0)
    assert (moved.end_code, moved.ended_at) == (None, None)
    follow_to_the_end(store)
    store.later(at - store.now - SECOND)
    assert store.claim() == []
    store.later(SECOND)
    [action] = store.claim()
    assert [one.id for one in store.calls()] == [*(one.id for one in before), action.call.id]


def test_a_cancelled_reminder_that_is_moved_stays_cancelled_unless_set_to_scheduled(store: Store) -> None:
    waits_for_its_redial(store)
    sql(store, CANCEL)
    follow(store)
    sql(store, MOVE, to_ms(store.now + DAY))
    follow(store)
    assert (store.reminder().status, store.reminder().wake_at) == (Status.CANCELLED, None)
    sql(store, "UPDATE reminders SET scheduled_at = ?, status = 'scheduled'", to_ms(store.now + 2 * DAY))
    follow(store)
    assert (store.reminder().status, store.reminder().wake_at) == (Status.SCHEDULED, store.now + 2 * DAY)


def test_the_redial_delay_of_the_old_time_does_not_apply_to_the_new_one(store: Store) -> None:
    store.rules = evolve(RULES, redial_delays=(2 * HOUR,))
    waits_for_its_redial(store)
    assert store.reminder().retry_at == NOW + 2 * HOUR
    sql(store, MOVE, to_ms(NOW + 10 * MINUTE))
    store.later(10 * MINUTE)
    [action] = store.claim()
    assert action.reminders[0].scheduled_at == store.now


def test_a_call_for_the_old_time_does_not_reach_anybody_for_the_new_one(store: Store) -> None:
    """The call for the old time continues after the move, and is heard."""
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    sql(store, MOVE, to_ms(NOW + DAY))
    store.report(a_report("completed", reminder_id="r1", attempt_id=action.call.id))
    follow(store)
    assert (store.reminder().status, store.reminder().wake_at) == (Status.SCHEDULED, NOW + DAY)
    store.later(2 * DAY)
    follow(store)
    assert store.reminder().status is Status.EXPIRED


@pytest.mark.parametrize(
    ("digits", "question"), [("1", Question.MENU), ("2", Question.CANCEL)], ids=["confirmed", "cancel requested"]
)
def test_moving_a_reminder_clears_the_response_for_its_old_time(store: Store, digits: str, question: Question) -> None:
    store.rules = able(Capabilities(asks_what_to_say=True))
    line = a_report("in-progress", external_call_id="ext-1", reminder_id=None, attempt_id=store.claim()[0].call.id)
    store.pick_up(line)
    store.press(line, digits, question)
    store.report(evolve(line, status="completed"))
    assert store.reminder().response is not None
    sql(store, MOVE, to_ms(NOW + DAY))
    follow(store)
    assert (store.reminder().status, store.reminder().response) == (Status.SCHEDULED, None)
    store.later(DAY)
    second = evolve(line, external_call_id="ext-2", attempt_id=store.claim()[0].call.id)
    store.pick_up(second)
    store.press(second, "")
    store.report(evolve(second, status="completed"))
    assert (store.reminder().status, store.reminder().response) == (Status.CALLED, None)
    assert [act["act"] for act in acts_on(store.connection, "r1")] == [
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
def test_an_update_after_call_again_does_not_cancel_the_call(
    store: Store, statement: str, parameters: tuple[object, ...]
) -> None:
    sql(store, "UPDATE reminders SET expires_at = ?", to_ms(NOW + HOUR))
    store.later(DAY)
    store.claims()
    assert store.reminder().status is Status.EXPIRED
    store.write(partial(call_again, reminder_id="r1", rules=store.rules, source=Source(actor="anna")))
    sql(store, statement, *parameters)
    reminder: Reminder = store.reminder()
    assert reminder.expires_at == NOW + HOUR
    assert limit_of(reminder, store.rules) == store.now + store.rules.max_lateness
    assert len(store.claim()) == 1


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
        ({"language": "Spanish"}, "language: not a language tag"),
        ({"language": "es_MX"}, "language: not a language tag"),
        ({"language": "xx"}, "language: not a known language"),
    ],
)
def test_an_invalid_reminder_fails_at_once_with_its_reason(store: Store, columns: dict[str, str], reason: str) -> None:
    row = {"id": "later", "phone_number": "+12025550147", "message": "Hello.", "scheduled_at": YEAR_2999, **columns}
    sql(store, f"INSERT INTO reminders ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())
    store.claim()
    later = store.reminder("later")
    assert (later.status, later.end_code) == (Status.FAILED, EndCode.INVALID)
    assert (later.last_error or "").startswith(reason)


def test_a_reminder_that_becomes_invalid_fails_at_once(store: Store) -> None:
    store.insert("later", "+12025550147", scheduled_at=YEAR_2999)
    sql(store, "UPDATE reminders SET message = '' WHERE id = 'later'")
    store.claim()
    assert store.reminder("later").end_code is EndCode.INVALID


def test_a_valid_reminder_is_checked_again_when_it_is_due(store: Store) -> None:
    row = ("later", "+12025550147", "Hello.", YEAR_2999)
    sql(store, "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, ?, ?)", *row)
    store.claim()
    later = store.reminder("later")
    assert later.status is Status.SCHEDULED
    assert later.wake_at == later.scheduled_at
