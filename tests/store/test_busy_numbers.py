"""The number of a phone that may be ringing is busy, for every state of its reminder."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, AccountRefused, NotFound, NotPlaced, PlacingAnswer, Refused, Unclear
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.model import CallOutcome, CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Limits
from reminderd.core.sentences import NotAllowedError
from reminderd.databases import Target
from reminderd.store.claims import wake_waiting
from reminderd.store.intake import Source
from reminderd.store.reminders import call_again, cancel
from reminderd.store.rows import to_ms
from tests.support.builders import BOTH, DAY, HOUR, KEY, LOOK_UP, MINUTE, NOW, RULES, SECOND, a_report, able
from tests.support.store import Store, a_store

ANNA = Source(actor="anna")
LONG = evolve(RULES, max_lateness=DAY)
WORDS_LIKE_OURS = ["dialing", "not-placed", "unconfirmed", "refused", "unreported"]


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    """Return a store in which `r1` is due."""
    with a_store(target, LONG) as store:
        store.insert("r1")
        yield store


@pytest.fixture
def action(store: Store) -> Action:
    """Return the claimed request of `r1`; `r2` waits for the same number."""
    return claims_first(store)


def claims_first(store: Store) -> Action:
    [action] = store.claim()
    store.insert("r2")
    return action


def is_busy(store: Store, name: str = "r2") -> bool:
    """Return whether a reminder must wait for its number, after everything was checked."""
    store.write(wake_waiting)
    number = store.reminder(name).phone_number
    placed = [one.call for one in store.claim() if one.kind.is_request]
    assert [call.reminder_id for call in placed if call.phone_number == number] in ([], [name])
    return store.reminder(name).hold_code is HoldCode.NUMBER_BUSY


def given_up(store: Store, action: Action) -> None:
    """Let the outcome timeout pass without news of the call."""
    store.answer(action, Unclear("no answer in time"))
    store.later(store.rules.outcome_timeout)
    store.claims(requests=0)
    assert store.call(action.call.id).state is CallState.UNREPORTED


# Until its end is reported or the outcome timeout has passed


@pytest.mark.parametrize(
    "change",
    [
        None,
        "UPDATE reminders SET status = 'cancelled' WHERE id = 'r1'",
        "UPDATE reminders SET scheduled_at = scheduled_at + 172800000 WHERE id = 'r1'",
        "UPDATE reminders SET phone_number = '+12025550002' WHERE id = 'r1'",
        "DELETE FROM reminders WHERE id = 'r1'",
        pytest.param(
            "REPLACE INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r1', '+12025550001', 'No.', 1)",
            marks=pytest.mark.sqlite_only("PostgreSQL has no REPLACE"),
        ),
    ],
    ids=["staff cancel", "cancelled", "moved", "another number", "deleted", "replaced"],
)
@pytest.mark.parametrize("answer", [Accepted("ext-1"), Unclear("no answer in time")])
def test_a_call_is_open_until_the_outcome_timeout_for_every_reminder_status(
    store: Store, action: Action, answer: PlacingAnswer, change: str | None
) -> None:
    """The provider can neither drop nor look up."""
    store.answer(action, answer)
    if change is None:
        store.write(partial(cancel, reminder_id="r1", rules=store.rules, source=ANNA))
    else:
        store.connection.execute(change)
    assert is_busy(store)
    store.later(store.rules.outcome_timeout - SECOND)
    assert is_busy(store)
    store.later(SECOND)
    assert not is_busy(store)


def test_each_sign_of_life_restarts_the_outcome_timeout(store: Store, action: Action) -> None:
    store.answer(action, Accepted("ext-1"))
    store.later(store.rules.outcome_timeout - MINUTE)
    store.report(a_report("ringing", reminder_id="r1", attempt_id=action.call.id))
    store.later(store.rules.outcome_timeout - MINUTE)
    assert is_busy(store)
    store.report(a_report("no-answer", reminder_id="r1", attempt_id=action.call.id))
    assert not is_busy(store)


@pytest.mark.parametrize("step", [20 * MINUTE, -20 * MINUTE], ids=["forward", "back"])
def test_setting_the_wall_clock_does_not_end_or_extend_a_call(store: Store, action: Action, step: timedelta) -> None:
    store.connection.execute("UPDATE reminders SET scheduled_at = ? WHERE id = 'r2'", (to_ms(NOW - HOUR),))
    store.answer(action, Accepted("ext-1"))
    store.witness()
    store.now += step
    assert is_busy(store)
    store.later(store.rules.outcome_timeout - SECOND)
    assert is_busy(store)
    store.later(SECOND)
    assert not is_busy(store)


@pytest.mark.parametrize("answer", [Refused("422"), NotPlaced("503"), AccountRefused("401")])
def test_a_call_that_was_certainly_not_placed_is_closed_at_once(
    store: Store, action: Action, answer: PlacingAnswer
) -> None:
    assert is_busy(store)
    store.answer(action, answer)
    assert not store.call(action.call.id).state.alive
    store.connection.execute("DELETE FROM reminders WHERE id = 'r1'")
    assert not is_busy(store)


def test_an_unconfirmed_call_goes_to_staff_after_the_outcome_timeout(store: Store, action: Action) -> None:
    given_up(store, action)
    reminder = store.reminder("r1")
    assert (reminder.status, reminder.end_code, reminder.ended_at) == (
        Status.FAILED,
        EndCode.UNCONFIRMED,
        NOW + store.rules.outcome_timeout,
    )
    assert not is_busy(store)


def test_a_call_whose_request_is_in_flight_is_not_closed(store: Store) -> None:
    """The sender hangs for longer than its lease and `confirm_after`; another process checks the call."""
    store.rules = able(LOOK_UP, lease=MINUTE, confirm_after=2 * MINUTE)
    action = claims_first(store)
    store.later(store.rules.lease)
    assert store.claim() == []
    for _ in range(5):
        store.later(store.rules.confirm_after)
        [look_up] = store.claim()
        store.found(look_up, NotFound())
        assert is_busy(store)
    store.answer(action, Accepted("ext-1"))
    assert store.call(action.call.id).state is CallState.PLACED
    assert is_busy(store)


def test_a_cancel_does_not_close_a_call_whose_request_is_in_flight(store: Store, action: Action) -> None:
    """The process that sends it keeps its lease; the provider answers long after `confirm_after`."""
    held = frozenset({action.token})
    store.write(partial(cancel, reminder_id="r1", rules=store.rules, source=ANNA))
    for _ in range(5):
        store.later(store.rules.confirm_after)
        assert store.claim(held=held) == []
        assert store.call(action.call.id).lease_token == action.token
        assert store.reminder("r2").hold_code is HoldCode.NUMBER_BUSY
    store.answer(action, Accepted("ext-1"))
    assert store.call(action.call.id).state is CallState.PLACED
    assert is_busy(store)


# A later sign of life


@pytest.mark.parametrize("word", ["ringing", "in-progress"])
def test_a_sign_of_life_of_a_given_up_call_makes_its_number_busy_again(store: Store, action: Action, word: str) -> None:
    given_up(store, action)
    failed = store.reminder("r1")
    store.report(a_report(word, reminder_id="r1", attempt_id=action.call.id))
    assert (store.call(action.call.id).state, store.reminder("r1")) == (CallState.PLACED, failed)
    assert is_busy(store)
    store.later(store.rules.outcome_timeout - SECOND)
    assert is_busy(store)
    store.report(a_report("busy", reminder_id="r1", attempt_id=action.call.id))
    assert not is_busy(store)


@pytest.mark.parametrize("answer", [Refused("422"), NotPlaced("503")])
def test_a_sign_of_life_of_a_refused_call_makes_its_number_busy(
    store: Store, action: Action, answer: PlacingAnswer
) -> None:
    store.answer(action, answer)
    store.report(a_report("ringing", reminder_id="r1", attempt_id=action.call.id))
    assert is_busy(store)


@pytest.mark.parametrize("first", ["the older", "the newer"])
def test_after_a_reopened_call_the_number_is_busy_until_all_its_calls_end(
    store: Store, action: Action, first: str
) -> None:
    given_up(store, action)
    [other] = store.claim()
    store.answer(other, Accepted("ext-2"))
    store.report(a_report("ringing", reminder_id="r1", attempt_id=action.call.id))
    assert [store.call(one.call.id).state for one in (action, other)] == [CallState.STRAY, CallState.PLACED]
    store.insert("r3")
    calls = [("ext-1", action), ("ext-2", other)]
    for number, (external_call_id, one) in enumerate(calls if first == "the older" else reversed(calls)):
        assert is_busy(store, "r3")
        report = a_report("failed", external_call_id=external_call_id, reminder_id=None, attempt_id=one.call.id)
        store.report(report)
        left = [state for _, each in calls if (state := store.call(each.call.id).state).alive]
        assert left == [CallState.PLACED] * (1 - number)
    assert not is_busy(store, "r3")


@pytest.mark.parametrize("state", ["dialing", "unconfirmed", "placed", "stray"])
def test_call_again_is_refused_while_any_call_to_the_number_is_alive(store: Store, action: Action, state: str) -> None:
    store.insert("r3", status="failed", end_code="not_answered")
    store.connection.execute("UPDATE call_logs SET state = ?", (state,))
    again = partial(call_again, reminder_id="r3", rules=store.rules, source=ANNA)
    with pytest.raises(NotAllowedError, match="a call to this number is under way"):
        store.write(again)
    store.answer(action, Accepted("ext-1"))
    store.report(a_report("failed", reminder_id="r1", attempt_id=action.call.id))
    store.write(again)
    assert store.reminder("r3").status is Status.SCHEDULED


# Calls that are not in the database


def test_an_adopted_call_keeps_the_number_busy_while_it_is_alive(store: Store) -> None:
    stranger = a_report("ringing", external_call_id="ext-9", reminder_id="r1", attempt_id="theirs")
    store.report(stranger)
    assert is_busy(store, "r1")
    store.later(store.rules.outcome_timeout - SECOND)
    assert is_busy(store, "r1")
    store.report(evolve(stranger, status="busy"))
    assert not is_busy(store, "r1")


def test_an_adopted_call_that_was_heard_counts_toward_the_limits(store: Store) -> None:
    store.rules = evolve(LONG, limits=Limits(per_day=1))
    store.report(a_report("completed", external_call_id="ext-9", reminder_id="r1", attempt_id="theirs"))
    assert store.call("theirs").outcome is CallOutcome.HEARD
    assert store.claim() == []
    assert store.reminder("r1").hold_code is HoldCode.LIMITS


# Whose word it is


@pytest.mark.parametrize("word", WORDS_LIKE_OURS)
def test_a_providers_status_is_never_taken_as_our_own_state(store: Store, action: Action, word: str) -> None:
    store.answer(action, Accepted("ext-1", word))
    store.report(a_report(word, reminder_id="r1", attempt_id=action.call.id))
    call = store.call(action.call.id)
    assert (call.state, call.status) == (CallState.PLACED, word)
    assert is_busy(store)
    store.later(store.rules.outcome_timeout)
    store.claims()
    call = store.call(action.call.id)
    assert (call.state, call.status, store.reminder("r1").end_code) == (CallState.UNREPORTED, word, EndCode.NO_REPORT)


# Accounts


@pytest.mark.parametrize(
    "change", [{"account": "https://other.example"}, {"provider": "twilio"}], ids=["another address", "another kind"]
)
@pytest.mark.parametrize("answer", [Accepted("ext-1"), Unclear("no answer in time")])
def test_a_call_of_another_account_is_left_to_the_outcome_timeout(
    store: Store, change: dict[str, Any], answer: PlacingAnswer
) -> None:
    """The address has changed, or another daemon with another one works on the same database."""
    store.rules = evolve(LONG, capabilities=BOTH)
    action = claims_first(store)
    store.answer(action, answer)
    store.rules = evolve(store.rules, **change)
    for _ in range(7):
        store.later(store.rules.confirm_after)
        assert is_busy(store)
    store.later(store.rules.outcome_timeout - 7 * store.rules.confirm_after)
    assert not is_busy(store)
    assert store.call(action.call.id).state is CallState.UNREPORTED
    assert store.reminder("r1").status is Status.FAILED


def test_a_call_of_our_own_account_is_requested_again(store: Store) -> None:
    store.rules = evolve(LONG, capabilities=BOTH)
    [action] = store.claim()
    store.answer(action, Unclear("no answer in time"))
    store.later(store.rules.confirm_after)
    [again] = store.claim()
    assert (again.kind, again.call.id) == (ActionKind.RESEND, action.call.id)


def test_a_key_is_not_used_again_at_another_account(store: Store) -> None:
    store.rules = evolve(LONG, capabilities=KEY)
    [action] = store.claim()
    store.answer(action, NotPlaced("503"))
    store.later(store.rules.backoff.maximum)
    store.rules = evolve(store.rules, account="https://other.example")
    [again] = store.claim()
    assert again.call.id != action.call.id
    assert store.call(again.call.id).account == "https://other.example"
