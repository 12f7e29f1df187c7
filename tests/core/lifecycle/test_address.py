from datetime import datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Capabilities
from reminderd.core.lifecycle.address import is_failing, never_asked
from reminderd.core.model import Call, CallState
from reminderd.core.rules import Rules
from tests.support.builders import MINUTE, NOW, SECOND, a_call, able

ASKS = able(Capabilities(asks_what_to_say=True))
LISTENS = able(Capabilities(asks_what_to_say=True, listens_for=timedelta(seconds=30)))


def a_silent_call(number: int = 1, **changes: Any) -> Call:
    """Return an answered call of some length without a request to us."""
    values: dict[str, Any] = {
        "id": f"call-{number}",
        "phone_number": f"+1202555000{number}",
        "status": "completed",
        "duration_seconds": 9,
        "created_at": NOW + number * SECOND,
    }
    return a_call(CallState.ENDED, **(values | changes))


def failing(calls: list[Call], rules: Rules, *, answering_since: datetime | None = None) -> bool:
    return is_failing(calls, rules, answering_since=answering_since)


def test_an_answered_call_without_a_request_is_a_silent_call() -> None:
    assert never_asked(a_silent_call(), ASKS)


@pytest.mark.parametrize(
    "changes",
    [
        {"fetched_at": NOW},
        {"status": "no-answer"},
        {"status": None},
        {"duration_seconds": 1},
        {"duration_seconds": 0},
        {"duration_seconds": None},
        {"adopted": True},
        {"account": "another"},
        {"provider": "another"},
    ],
    ids=str,
)
def test_any_other_call_is_not_a_silent_call(changes: dict[str, Any]) -> None:
    assert not never_asked(a_silent_call(**changes), ASKS)


def test_a_provider_that_never_asks_what_to_say_proves_nothing() -> None:
    assert not never_asked(a_silent_call(), able(Capabilities()))


@pytest.mark.parametrize(
    ("seconds", "answered_by", "expected"),
    [(9, None, False), (31, None, False), (32, None, True), (1, "human", False), (2, "human", True)],
)
def test_a_hang_up_during_machine_detection_proves_nothing(
    seconds: int, answered_by: str | None, *, expected: bool
) -> None:
    call = a_silent_call(duration_seconds=seconds, answered_by=answered_by)
    assert never_asked(call, LISTENS) is expected


def test_silent_calls_to_two_numbers_in_a_row_mean_our_address_is_failing() -> None:
    assert not failing([], ASKS)
    assert not failing([a_silent_call(1)], ASKS)
    assert failing([a_silent_call(1), a_silent_call(2)], ASKS)


def test_silent_calls_to_one_number_prove_nothing() -> None:
    first = a_silent_call(1)
    again = [evolve(first, id=f"call-{number}", created_at=NOW + number * MINUTE) for number in range(2, 6)]
    assert not failing([first, *again], ASKS)


def test_a_request_between_silent_calls_starts_the_count_over() -> None:
    first, second, third = a_silent_call(1), a_silent_call(2), a_silent_call(3)
    asked = a_silent_call(4, created_at=NOW, fetched_at=first.created_at + SECOND)
    assert not failing([first, asked, second], ASKS)
    assert failing([first, asked, evolve(second, created_at=NOW + MINUTE), third], ASKS)


def test_late_reports_of_silent_calls_do_not_outweigh_a_newer_request() -> None:
    """As after a restart: those that were answered meanwhile are looked up long after the next one has asked."""
    newer = a_silent_call(5, created_at=NOW + MINUTE, fetched_at=NOW + 2 * MINUTE)
    assert not failing([a_silent_call(1), a_silent_call(2), newer], ASKS)


def test_calls_that_may_have_been_answered_during_a_restart_do_not_count() -> None:
    start = NOW + MINUTE
    cut = [a_silent_call(number, received_at=start + MINUTE) for number in (1, 2)]
    assert not failing(cut, ASKS, answering_since=start)
    assert failing(cut, ASKS, answering_since=NOW - MINUTE)
    over = [a_silent_call(number, received_at=start - SECOND) for number in (1, 2)]
    assert failing(over, ASKS, answering_since=start), "they ended while somebody was there"
    newer = [a_silent_call(number, created_at=start + SECOND, received_at=start + MINUTE) for number in (1, 2)]
    assert failing(newer, ASKS, answering_since=start)
