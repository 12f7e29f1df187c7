"""A phone that may be ringing is not forgotten: its number is busy, whatever became of its reminder."""

from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, AccountTrouble, Answer, NotFound, NotPlaced, Refused, Unclear
from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.model import CallOutcome, CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Limits
from reminderd.store.claims import poke
from reminderd.store.reminders import Source, call_again, cancel
from reminderd.store.rows import to_ms
from tests.support.desk import Desk, a_desk
from tests.support.nouns import BOTH, DAY, HOUR, KEY, LOOK_UP, MINUTE, NOW, RULES, SECOND, a_report, able

ANNA = Source(actor="anna")
LONG = evolve(RULES, max_lateness=DAY)
WORDS_LIKE_OURS = ["dialing", "not-placed", "unconfirmed", "refused", "unreported"]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """`r1` is about to be called."""
    with a_desk(tmp_path / "reminderd.db", LONG) as desk:
        desk.insert("r1")
        yield desk


@pytest.fixture
def action(desk: Desk) -> Action:
    """The request of `r1`; `r2` waits for the same number."""
    return claims_first(desk)


def claims_first(desk: Desk) -> Action:
    [action] = desk.claim()
    desk.insert("r2")
    return action


def is_busy(desk: Desk, name: str = "r2") -> bool:
    """Whether a reminder has to wait for its number, though everything is looked at now."""
    desk.write(poke)
    number = desk.reminder(name).phone_number
    placed = [one.call for one in desk.claim() if one.kind.is_request]
    assert [call.reminder_id for call in placed if call.phone_number == number] in ([], [name])
    return desk.reminder(name).hold_code is HoldCode.NUMBER_BUSY


def given_up(desk: Desk, action: Action) -> None:
    """Nothing clears up what became of the call, until the outcome timeout."""
    desk.answer(action, Unclear("no answer in time"))
    desk.later(desk.rules.outcome_timeout)
    desk.claims(requests=0)
    assert desk.call(action.call.id).state is CallState.UNREPORTED


# Until its end is reported or the outcome timeout has passed


@pytest.mark.parametrize(
    "change",
    [
        None,
        "UPDATE reminders SET status = 'cancelled' WHERE id = 'r1'",
        "UPDATE reminders SET scheduled_at = scheduled_at + 172800000 WHERE id = 'r1'",
        "UPDATE reminders SET phone_number = '+12025550002' WHERE id = 'r1'",
        "DELETE FROM reminders WHERE id = 'r1'",
        "REPLACE INTO reminders (id, phone_number, message, scheduled_at) VALUES ('r1', '+12025550001', 'Other.', 1)",
    ],
    ids=["staff cancel", "cancelled", "moved", "another number", "deleted", "replaced"],
)
@pytest.mark.parametrize("answer", [Accepted("ext-1"), Unclear("no answer in time")])
def test_a_call_is_open_until_the_outcome_timeout_whatever_its_reminder_has_become(
    desk: Desk, action: Action, answer: Answer, change: str | None
) -> None:
    """The provider can neither drop nor look up."""
    desk.answer(action, answer)
    if change is None:
        desk.write(partial(cancel, reminder_id="r1", rules=desk.rules, source=ANNA))
    else:
        desk.connection.execute(change)
    assert is_busy(desk)
    desk.later(desk.rules.outcome_timeout - SECOND)
    assert is_busy(desk)
    desk.later(SECOND)
    assert not is_busy(desk)


def test_each_sign_of_life_makes_that_time_begin_anew(desk: Desk, action: Action) -> None:
    desk.answer(action, Accepted("ext-1"))
    desk.later(desk.rules.outcome_timeout - MINUTE)
    desk.report(a_report("ringing", reminder_id="r1", attempt_id=action.call.id))
    desk.later(desk.rules.outcome_timeout - MINUTE)
    assert is_busy(desk)
    desk.report(a_report("no-answer", reminder_id="r1", attempt_id=action.call.id))
    assert not is_busy(desk)


@pytest.mark.parametrize("step", [20 * MINUTE, -20 * MINUTE], ids=["forward", "back"])
def test_a_wall_clock_that_is_set_neither_ends_a_call_nor_makes_it_live_longer(
    desk: Desk, action: Action, step: timedelta
) -> None:
    desk.connection.execute("UPDATE reminders SET scheduled_at = ? WHERE id = 'r2'", (to_ms(NOW - HOUR),))
    desk.answer(action, Accepted("ext-1"))
    desk.witness()
    desk.now += step
    assert is_busy(desk)
    desk.later(desk.rules.outcome_timeout - SECOND)
    assert is_busy(desk)
    desk.later(SECOND)
    assert not is_busy(desk)


@pytest.mark.parametrize("answer", [Refused("422"), NotPlaced("503"), AccountTrouble("401")])
def test_a_call_that_certainly_was_not_placed_is_closed_at_once(desk: Desk, action: Action, answer: Answer) -> None:
    assert is_busy(desk)
    desk.answer(action, answer)
    assert not desk.call(action.call.id).state.alive
    desk.connection.execute("DELETE FROM reminders WHERE id = 'r1'")
    assert not is_busy(desk)


def test_what_nothing_can_clear_up_goes_to_staff_after_the_same_time(desk: Desk, action: Action) -> None:
    given_up(desk, action)
    reminder = desk.reminder("r1")
    assert (reminder.status, reminder.end_code, reminder.ended_at) == (
        Status.FAILED,
        EndCode.UNCONFIRMED,
        NOW + desk.rules.outcome_timeout,
    )
    assert not is_busy(desk)


def test_a_call_whose_own_request_is_still_out_is_not_closed(desk: Desk) -> None:
    """Whoever sends it hangs for longer than its lease and `confirm_after`; another process looks at the call."""
    desk.rules = able(LOOK_UP, lease=MINUTE, confirm_after=2 * MINUTE)
    action = claims_first(desk)
    desk.later(desk.rules.lease)
    assert desk.claim() == []
    for _ in range(5):
        desk.later(desk.rules.confirm_after)
        [look_up] = desk.claim()
        desk.found(look_up, NotFound())
        assert is_busy(desk)
    desk.answer(action, Accepted("ext-1"))
    assert desk.call(action.call.id).state is CallState.PLACED
    assert is_busy(desk)


def test_nor_does_a_cancel_close_it_however_long_its_request_takes(desk: Desk, action: Action) -> None:
    """The process that sends it keeps its lease; the provider answers long after `confirm_after`."""
    held = frozenset({action.token})
    desk.write(partial(cancel, reminder_id="r1", rules=desk.rules, source=ANNA))
    for _ in range(5):
        desk.later(desk.rules.confirm_after)
        assert desk.claim(held=held) == []
        assert desk.call(action.call.id).lease_token == action.token
        assert desk.reminder("r2").hold_code is HoldCode.NUMBER_BUSY
    desk.answer(action, Accepted("ext-1"))
    assert desk.call(action.call.id).state is CallState.PLACED
    assert is_busy(desk)


# A later sign of life


@pytest.mark.parametrize("word", ["ringing", "in-progress"])
def test_a_call_that_was_given_up_makes_its_number_busy_again(desk: Desk, action: Action, word: str) -> None:
    given_up(desk, action)
    failed = desk.reminder("r1")
    desk.report(a_report(word, reminder_id="r1", attempt_id=action.call.id))
    assert (desk.call(action.call.id).state, desk.reminder("r1")) == (CallState.PLACED, failed)
    assert is_busy(desk)
    desk.later(desk.rules.outcome_timeout - SECOND)
    assert is_busy(desk)
    desk.report(a_report("busy", reminder_id="r1", attempt_id=action.call.id))
    assert not is_busy(desk)


@pytest.mark.parametrize("answer", [Refused("422"), NotPlaced("503")])
def test_so_does_one_that_the_provider_had_denied(desk: Desk, action: Action, answer: Answer) -> None:
    desk.answer(action, answer)
    desk.report(a_report("ringing", reminder_id="r1", attempt_id=action.call.id))
    assert is_busy(desk)


@pytest.mark.parametrize("first", ["the older", "the newer"])
def test_where_another_call_is_open_by_then_the_number_is_busy_until_both_have_ended(
    desk: Desk, action: Action, first: str
) -> None:
    given_up(desk, action)
    [other] = desk.claim()
    desk.answer(other, Accepted("ext-2"))
    desk.report(a_report("ringing", reminder_id="r1", attempt_id=action.call.id))
    assert [desk.call(one.call.id).state for one in (action, other)] == [CallState.STRAY, CallState.PLACED]
    desk.insert("r3")
    calls = [("ext-1", action), ("ext-2", other)]
    for number, (external_call_id, one) in enumerate(calls if first == "the older" else reversed(calls)):
        assert is_busy(desk, "r3")
        report = a_report("failed", external_call_id=external_call_id, reminder_id=None, attempt_id=one.call.id)
        desk.report(report)
        left = [state for _, each in calls if (state := desk.call(each.call.id).state).alive]
        assert left == [CallState.PLACED] * (1 - number)
    assert not is_busy(desk, "r3")


@pytest.mark.parametrize("state", ["dialing", "unconfirmed", "placed", "stray"])
def test_call_again_is_refused_while_any_call_to_the_number_is_alive(desk: Desk, action: Action, state: str) -> None:
    desk.insert("r3", status="failed", end_code="not_answered")
    desk.connection.execute("UPDATE call_logs SET state = ?", (state,))
    again = partial(call_again, reminder_id="r3", rules=desk.rules, source=ANNA)
    with pytest.raises(NotAllowedError, match="a call to this number is under way"):
        desk.write(again)
    desk.answer(action, Accepted("ext-1"))
    desk.report(a_report("failed", reminder_id="r1", attempt_id=action.call.id))
    desk.write(again)
    assert desk.reminder("r3").status is Status.SCHEDULED


# Calls that are not in the database


def test_a_call_that_is_not_known_keeps_the_number_busy_while_it_lives(desk: Desk) -> None:
    stranger = a_report("ringing", external_call_id="ext-9", reminder_id="r1", attempt_id="theirs")
    desk.report(stranger)
    assert is_busy(desk, "r1")
    desk.later(desk.rules.outcome_timeout - SECOND)
    assert is_busy(desk, "r1")
    desk.report(evolve(stranger, status="busy"))
    assert not is_busy(desk, "r1")


def test_one_that_was_heard_counts_as_heard(desk: Desk) -> None:
    desk.rules = evolve(LONG, limits=Limits(per_day=1))
    desk.report(a_report("completed", external_call_id="ext-9", reminder_id="r1", attempt_id="theirs"))
    assert desk.call("theirs").outcome is CallOutcome.HEARD
    assert desk.claim() == []
    assert desk.reminder("r1").hold_code is HoldCode.LIMITS


# Whose word it is


@pytest.mark.parametrize("word", WORDS_LIKE_OURS)
def test_a_providers_word_is_never_taken_for_our_own_state(desk: Desk, action: Action, word: str) -> None:
    desk.answer(action, Accepted("ext-1", word))
    desk.report(a_report(word, reminder_id="r1", attempt_id=action.call.id))
    call = desk.call(action.call.id)
    assert (call.state, call.status) == (CallState.PLACED, word)
    assert is_busy(desk)
    desk.later(desk.rules.outcome_timeout)
    desk.claims()
    call = desk.call(action.call.id)
    assert (call.state, call.status, desk.reminder("r1").end_code) == (CallState.UNREPORTED, word, EndCode.NO_REPORT)


# Accounts


@pytest.mark.parametrize(
    "change", [{"account": "https://other.example"}, {"provider": "twilio"}], ids=["another address", "another kind"]
)
@pytest.mark.parametrize("answer", [Accepted("ext-1"), Unclear("no answer in time")])
def test_a_call_of_another_account_is_left_to_the_outcome_timeout(
    desk: Desk, change: dict[str, Any], answer: Answer
) -> None:
    """The address has changed, or another daemon with another one works on the same database."""
    desk.rules = evolve(LONG, capabilities=BOTH)
    action = claims_first(desk)
    desk.answer(action, answer)
    desk.rules = evolve(desk.rules, **change)
    for _ in range(7):
        desk.later(desk.rules.confirm_after)
        assert is_busy(desk)
    desk.later(desk.rules.outcome_timeout - 7 * desk.rules.confirm_after)
    assert not is_busy(desk)
    assert desk.call(action.call.id).state is CallState.UNREPORTED
    assert desk.reminder("r1").status is Status.FAILED


def test_its_own_daemon_still_asks_for_it_and_looks_it_up(desk: Desk) -> None:
    desk.rules = evolve(LONG, capabilities=BOTH)
    [action] = desk.claim()
    desk.answer(action, Unclear("no answer in time"))
    desk.later(desk.rules.confirm_after)
    [again] = desk.claim()
    assert (again.kind, again.call.id) == (ActionKind.RESEND, action.call.id)


def test_a_key_is_not_used_again_at_another_account(desk: Desk) -> None:
    desk.rules = evolve(LONG, capabilities=KEY)
    [action] = desk.claim()
    desk.answer(action, NotPlaced("503"))
    desk.later(desk.rules.backoff.maximum)
    desk.rules = evolve(desk.rules, account="https://other.example")
    [again] = desk.claim()
    assert again.call.id != action.call.id
    assert desk.call(again.call.id).account == "https://other.example"
