"""Lists as the front desk asks for them."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from reminderd.core.outcomes import NEED_A_HUMAN, outcome
from reminderd.core.reminder import OPTED_OUT, Response, Status
from reminderd.store.lists import Wanted, count_reminders, list_reminders
from reminderd.store.rows import to_ms
from tests.support.desk import Desk, a_desk
from tests.support.nouns import NOW

DAY = timedelta(days=1)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "clinic.db") as desk:
        desk.insert("tomorrow", "+15550100001", scheduled_at=to_ms(NOW + DAY))
        desk.insert("called", "+15550100002", status="called", response="confirmed")
        desk.insert("wants", "+15550100003", status="called", response="cancel_requested")
        desk.insert("failed", "+15550100013", status="failed", last_error="busy")
        desk.insert("expired", "+15550100004", status="expired", scheduled_at=to_ms(NOW - DAY))
        desk.insert("gone", "+15550100005", status="cancelled", response="cancel_requested")
        yield desk


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, ["expired", "called", "failed", "gone", "wants", "tomorrow"]),
        ({"status": Status.CALLED}, ["called", "wants"]),
        ({"since": NOW}, ["called", "failed", "gone", "wants", "tomorrow"]),
        ({"until": NOW}, ["expired"]),
        ({"since": NOW + DAY, "until": NOW + 2 * DAY}, ["tomorrow"]),
        ({"phone_ending": "3"}, ["failed", "wants"]),
        ({"phone_ending": "013"}, ["failed"]),
        ({"phone_ending": "5550100005"}, ["gone"]),
        ({"response": "confirmed"}, ["called"]),
        ({"needs_human": True}, ["expired", "failed", "wants"]),
        ({"needs_human": True, "since": NOW, "phone_ending": "13"}, ["failed"]),
    ],
)
def test_what_is_asked_for_is_listed_by_time(desk: Desk, asked: dict[str, Any], expected: list[str]) -> None:
    rows = list_reminders(desk.connection, wanted=Wanted(**asked), limit=None)
    assert [row["id"] for row in rows] == expected
    assert count_reminders(desk.connection, wanted=Wanted(**asked)) == len(expected)


def test_who_needs_a_human_is_the_same_in_a_list_as_in_a_report(tmp_path: Path) -> None:
    """SQL picks the ones, the core sorts the others: every state that a row can have is asked of both."""
    reasons = (None, OPTED_OUT, "busy, after 3 calls")
    states = list(product(Status, (None, *Response, "moved"), reasons))
    with a_desk(tmp_path / "every.db") as desk:
        for number, (status, response, reason) in enumerate(states):
            desk.insert(f"{number:03}", status=status, response=response, last_error=reason)
        rows = list_reminders(desk.connection, wanted=Wanted(needs_human=True), limit=None)
    expected = [f"{number:03}" for number, state in enumerate(states) if outcome(*state) in NEED_A_HUMAN]
    assert [row["id"] for row in rows] == expected


def test_a_limit_cuts_the_list_and_not_the_count(desk: Desk) -> None:
    assert len(list_reminders(desk.connection, wanted=Wanted(), limit=2)) == 2
    assert count_reminders(desk.connection, wanted=Wanted()) == 6
