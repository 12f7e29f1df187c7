"""Lists as staff filter them."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import product
from typing import Any

import pytest

from reminderd.core.model import Response, Status
from reminderd.core.outcomes import NEED_A_HUMAN, outcome
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.databases import Target
from reminderd.store.examination import broken_promises
from reminderd.store.queries import (
    MOST_NAMED,
    Bundled,
    ListPlace,
    ReminderFilter,
    bundled_with,
    calls_of,
    ids_named,
    list_reminders,
)
from reminderd.store.rows import to_ms
from tests.support.builders import NOW
from tests.support.rows import insert_call, insert_row
from tests.support.store import Store, a_store

DAY = timedelta(days=1)


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        store.insert("tomorrow", "+12025550001", scheduled_at=to_ms(NOW + DAY))
        store.insert("called", "+12025550002", status="called", response="confirmed")
        store.insert("wants", "+12025550003", status="called", response="cancel_requested")
        store.insert("failed", "+12025550013", status="failed", last_error="busy")
        store.insert("expired", "+12025550004", status="expired", scheduled_at=to_ms(NOW - DAY))
        store.insert("gone", "+12025550005", status="cancelled", response="cancel_requested")
        yield store


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
        ({"phone_ending": "2025550005"}, ["gone"]),
        ({"response": "confirmed"}, ["called"]),
        ({"needs_human": True}, ["expired", "failed", "wants"]),
        ({"needs_human": True, "since": NOW, "phone_ending": "13"}, ["failed"]),
    ],
)
def test_filtered_reminders_are_listed_by_time(store: Store, asked: dict[str, Any], expected: list[str]) -> None:
    rows = list_reminders(store.connection, wanted=ReminderFilter(**asked), limit=None)
    assert [row["id"] for row in rows] == expected
    newest = list_reminders(store.connection, wanted=ReminderFilter(**asked), limit=None, newest_first=True)
    assert [row["id"] for row in newest] == expected[::-1]


def test_list_and_report_agree_on_who_needs_a_human(target: Target) -> None:
    """SQL picks the ones, the core sorts the others: every state that a row can have is asked of both."""
    reasons = (None, EndCode.OPTED_OUT, EndCode.NOT_ANSWERED)
    states = list(product(Status, (None, *Response, "moved"), reasons, (None, *HoldCode), (False, True)))
    with a_store(target) as store:
        with store.one_transaction():
            for number, (status, response, reason, hold, is_done) in enumerate(states):
                own = {"response": response, "end_code": reason, "hold_code": hold}
                store.insert(f"{number:04}", status=status, done_at=to_ms(NOW) if is_done else None, **own)
        rows = list_reminders(store.connection, wanted=ReminderFilter(needs_human=True), limit=None)
    expected = [
        f"{number:04}" for number, (*state, done) in enumerate(states) if outcome(*state, is_done=done) in NEED_A_HUMAN
    ]
    assert [row["id"] for row in rows] == expected


@pytest.mark.parametrize("newest_first", [False, True])
def test_pages_have_every_reminder_once_also_those_of_one_moment(store: Store, *, newest_first: bool) -> None:
    """Four of the six are at the same time: a page may end between them."""
    found: list[Any] = []
    after = None
    while page := list_reminders(
        store.connection, wanted=ReminderFilter(), limit=2, after=after, newest_first=newest_first
    ):
        found += [row["id"] for row in page]
        last = page[-1]["scheduled_at"]
        assert isinstance(last, datetime)
        after = ListPlace(last, found[-1])
    expected = ["expired", "called", "failed", "gone", "wants", "tomorrow"]
    assert found == (expected[::-1] if newest_first else expected)


def test_a_hold_is_shown_as_code_and_text(store: Store) -> None:
    store.connection.execute("UPDATE reminders SET hold_code = 'hours' WHERE id = 'tomorrow'")
    [row] = list_reminders(store.connection, wanted=ReminderFilter(status=Status.SCHEDULED), limit=None)
    assert (row["hold_code"], row["hold_reason"]) == ("hours", "outside the calling hours")


def test_a_reminders_calls_are_its_memberships_and_its_adopted_calls(store: Store) -> None:
    insert_call(store.connection, "called", status="completed")
    store.connection.execute(
        "INSERT INTO call_logs (id, reminder_id, phone_number, state, adopted, last_sign_at)"
        " VALUES ('theirs', 'called', '', 'ended', 1, 0), ('gone', 'called', '', 'ended', 0, 0)"
    )
    store.connection.execute(
        "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest, deleted)"
        " VALUES ('gone', 'called', 0, 0, '', 1), ('call-of-called', 'wants', 1, 0, '', 0)"
    )
    assert [call["id"] for call in calls_of(store.connection, "called")] == ["call-of-called", "theirs"]
    assert bundled_with(store.connection, "called") == {"call-of-called": [Bundled("wants", "wants")]}


def test_the_last_outcome_is_shown_for_each_reminder_of_a_bundle(store: Store) -> None:
    insert_call(store.connection, "called", id="busy", outcome="not_answered")
    insert_call(store.connection, "called", id="heard", outcome="heard", spoken=True)
    store.connection.execute(
        "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest, spoken)"
        " SELECT 'heard', id, 1, scheduled_at, '', 0 FROM reminders WHERE id = 'failed'"
    )
    store.connection.execute("UPDATE reminders SET phone_number = '+12025550002' WHERE id = 'failed'")
    rows = {
        row["id"]: row["call_outcome"] for row in list_reminders(store.connection, wanted=ReminderFilter(), limit=None)
    }
    assert (rows["called"], rows["failed"], rows["wants"]) == ("heard", "not_heard", None)
    assert [call["outcome"] for call in calls_of(store.connection, "called")] == ["not_answered", "heard"]
    assert [call["outcome"] for call in calls_of(store.connection, "failed")] == ["not_heard"]


def test_calls_for_an_earlier_time_or_number_do_not_count(store: Store) -> None:
    insert_call(store.connection, "called", outcome="heard", spoken=True)
    insert_call(store.connection, "wants", outcome="heard", spoken=True)
    store.connection.execute("UPDATE reminders SET scheduled_at = scheduled_at + 1 WHERE id = 'called'")
    store.connection.execute("UPDATE reminders SET phone_number = '+12025550009' WHERE id = 'wants'")
    rows = {
        row["id"]: row["call_outcome"] for row in list_reminders(store.connection, wanted=ReminderFilter(), limit=None)
    }
    assert (rows["called"], rows["wants"]) == (None, None)


def test_waiting_for_a_stopped_daemon_is_not_an_invalid_state(target: Target) -> None:
    with a_store(target) as store:
        store.insert("claimed", "+12025550001")
        assert store.claim()
        store.insert("gone", "+12025550002")
        store.connection.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'gone'")
        store.later(DAY)
        assert broken_promises(store.connection) == []
        store.connection.execute("UPDATE reminders SET status = 'scheduled', wake_at = NULL, revision = 9")
        assert broken_promises(store.connection) == ["a waiting reminder has no wake_at: gone"]


def an_appointment(store: Store, appointment_id: str, **columns: Any) -> None:
    row = {"id": appointment_id, "phone_number": "+12025550001", "at": to_ms(NOW), "revision": 1} | columns
    insert_row(store.connection, "appointments", row)


def test_a_name_is_that_of_a_reminder_its_appointment_or_its_patient(target: Target) -> None:
    with a_store(target) as store:
        an_appointment(store, "a1", ref="visit 7", patient_ref="P-9")
        an_appointment(store, "a2", ref="visit 8", patient_ref="P-9")
        store.insert("r1", ref="seven", appointment_id="a1")
        store.insert("r2", appointment_id="a2")
        store.insert("r3", ref="r1")
        asked = {name: ids_named(store.connection, name) for name in ("seven", "r1", "r2", "visit 7", "a2", "P-9", "P")}
    assert asked == {
        "seven": ["r1"],
        "r1": ["r1", "r3"],
        "r2": ["r2"],
        "visit 7": ["r1"],
        "a2": ["r2"],
        "P-9": ["r1", "r2"],
        "P": [],
    }


def test_a_name_with_characters_that_nobody_sees_is_found(target: Target) -> None:
    with a_store(target) as store:
        store.insert("r1", ref="visit\u00a07")
        assert ids_named(store.connection, "visit 7") == ["r1"]
        assert ids_named(store.connection, " visit 7\u200b") == ["r1"]
        assert ids_named(store.connection, "visit\udcff") == []
        assert ids_named(store.connection, "visit\0") == []


def test_a_name_that_very_many_have_is_looked_up_for_some_of_them(target: Target) -> None:
    with a_store(target) as store:
        an_appointment(store, "a1", ref="visit 7")
        with store.one_transaction():
            for number in range(MOST_NAMED + 2):
                store.insert(f"{number:04}", appointment_id="a1")
        assert len(ids_named(store.connection, "visit 7")) == MOST_NAMED


def test_a_list_can_be_of_some_reminders_only(store: Store) -> None:
    ids = ["called", "failed", "wants", "nobody"]
    rows = list_reminders(store.connection, wanted=ReminderFilter(ids=ids, status=Status.CALLED), limit=None)
    assert [row["id"] for row in rows] == ["called", "wants"]
    assert list_reminders(store.connection, wanted=ReminderFilter(ids=[]), limit=None) == []
    one = ReminderFilter(ids=ids, response="confirmed", phone_ending="0002")
    assert [row["id"] for row in list_reminders(store.connection, wanted=one, limit=None)] == ["called"]
