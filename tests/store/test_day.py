"""What the front desk reads of a day."""

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from reminderd.core.model import CallOutcome, CallState, Response, Status
from reminderd.core.outcomes import Figure, Group, Outcome, figure_of, group_of, outcome
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.databases import Target
from reminderd.store import day as day_module
from reminderd.store.day import Day, DayList, Overview, Slot, figures_by_day, read_day, read_list
from reminderd.store.queries import ListPlace
from reminderd.store.rows import to_ms
from tests.support.builders import DAY, HOUR, MINUTE, NOW
from tests.support.plans import plans
from tests.support.rows import insert_call, insert_row
from tests.support.store import Store, a_store

MIDNIGHT = NOW - 10 * HOUR
TODAY = Day(since=MIDNIGHT, until=MIDNIGHT + DAY, is_today=True)
YESTERDAY = Day(since=MIDNIGHT - DAY, until=MIDNIGHT, is_today=False)
TOMORROW = Day(since=MIDNIGHT + DAY, until=MIDNIGHT + 2 * DAY, is_today=False)


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def ids(seen: Overview, which: DayList) -> list[str]:
    return [entry.reminder.id for entry in seen.lists[which].entries]


def ids_of(store: Store, which: DayList, day: Day = TODAY, after: ListPlace | None = None) -> list[str]:
    page = read_list(store.connection, which=which, day=day, after=after)
    return [entry.reminder.id for entry in page.entries]


def a_busy_day(store: Store) -> None:
    at = {name: to_ms(NOW + delta) for name, delta in {"early": -DAY, "now": HOUR * 0, "late": DAY}.items()}
    for name, moment in at.items():
        store.insert(f"failed-{name}", "+12025550001", status="failed", end_code="not_answered", scheduled_at=moment)
        store.insert(f"rings-{name}", "+12025550002", status="processing", scheduled_at=moment)
        store.insert(f"waits-{name}", "+12025550003", scheduled_at=moment)
        store.insert(f"called-{name}", "+12025550004", status="called", scheduled_at=moment)


def test_today_has_its_own_and_the_calls_and_the_overdue_of_other_days(store: Store) -> None:
    a_busy_day(store)
    seen = read_day(store.connection, day=TODAY)
    assert ids(seen, DayList.NEEDS_HUMAN) == ["failed-now"]
    assert ids(seen, DayList.IN_CALL) == ["rings-early", "rings-now", "rings-late"]
    assert ids(seen, DayList.WAITING) == ["waits-early", "waits-now"]
    assert ids(seen, DayList.DONE) == ["called-now"]
    assert seen.groups == {Group.NEEDS_HUMAN: 1, Group.IN_CALL: 3, Group.WAITING: 2, Group.DONE: 1}
    assert (seen.earlier, seen.later) == (1, 1)
    assert ids_of(store, DayList.EARLIER) == ["failed-early"]
    assert ids_of(store, DayList.LATER) == ["failed-late"]


@pytest.mark.parametrize(("day", "name"), [(YESTERDAY, "early"), (TOMORROW, "late")])
def test_another_day_has_only_its_own(store: Store, day: Day, name: str) -> None:
    a_busy_day(store)
    seen = read_day(store.connection, day=day)
    assert [ids(seen, which) for which in seen.lists] == [
        [f"failed-{name}"],
        [f"rings-{name}"],
        [f"waits-{name}"],
        [f"called-{name}"],
    ]
    assert seen.groups == dict.fromkeys(Group, 1)
    assert (seen.earlier, seen.later) == (0, 0)


def test_every_reminder_of_a_day_is_in_the_one_list_that_the_core_gives_it(store: Store, monkeypatch: Any) -> None:
    """Every state that a row can have is in one list, under the number above it."""
    reasons = (None, EndCode.OPTED_OUT, EndCode.DONE_BY_STAFF, EndCode.NOT_ANSWERED)
    states = list(product(Status, (None, *Response, "moved"), reasons, (None, *HoldCode), (False, True)))
    monkeypatch.setattr(day_module, "PAGE", len(states))
    with store.one_transaction():
        for number, (status, response, reason, hold, is_done) in enumerate(states):
            own = {"response": response, "end_code": reason, "hold_code": hold}
            store.insert(f"{number:04}", status=status, done_at=to_ms(NOW) if is_done else None, **own)
    expected: dict[Group, list[str]] = {one: [] for one in Group}
    words = Counter[Outcome]()
    for number, (*state, is_done) in enumerate(states):
        word = outcome(*state, is_done=is_done)
        words[word] += 1
        expected[group_of(word)].append(f"{number:04}")
    for day in (TODAY, Day(since=TODAY.since, until=TODAY.until, is_today=False)):
        seen = read_day(store.connection, day=day)
        assert [sorted(ids(seen, which)) for which in seen.lists] == list(expected.values())
        assert seen.groups == {group: len(found) for group, found in expected.items()}
        assert seen.outcomes == words
        assert {entry.outcome for entry in seen.lists[DayList.NEEDS_HUMAN].entries} == {
            word for word in words if group_of(word) is Group.NEEDS_HUMAN
        }


def test_reminders_are_counted_by_ten_minutes_from_midnight(store: Store) -> None:
    for number, minutes in enumerate((0, 9, 10, 600, 601, 602)):
        store.insert(f"r{number}", scheduled_at=to_ms(MIDNIGHT + minutes * MINUTE))
    store.insert("called", scheduled_at=to_ms(NOW), status="called")
    assert read_day(store.connection, day=TODAY).slots == (
        Slot(0, Group.WAITING, 2),
        Slot(1, Group.WAITING, 1),
        Slot(60, Group.DONE, 1),
        Slot(60, Group.WAITING, 3),
    )


@pytest.mark.parametrize(
    ("which", "day", "columns", "is_newest_first"),
    [
        (DayList.NEEDS_HUMAN, TODAY, {"status": "failed"}, False),
        (DayList.IN_CALL, TODAY, {"status": "processing"}, False),
        (DayList.WAITING, TODAY, {}, False),
        (DayList.DONE, TODAY, {"status": "called"}, True),
        (DayList.EARLIER, TOMORROW, {"status": "expired"}, True),
        (DayList.LATER, YESTERDAY, {"hold_code": "number_changed"}, False),
    ],
)
def test_every_list_has_pages_without_gaps_and_repetitions(
    store: Store,
    monkeypatch: pytest.MonkeyPatch,
    which: DayList,
    day: Day,
    columns: dict[str, Any],
    *,
    is_newest_first: bool,
) -> None:
    monkeypatch.setattr(day_module, "PAGE", 2)
    for number in range(6):
        store.insert(f"r{number}", scheduled_at=to_ms(NOW + number // 3 * MINUTE), **columns)
    found, after = [], None
    for entries in (2, 2, 2):
        page = read_list(store.connection, which=which, day=day, after=after)
        assert len(page.entries) == entries
        found += [entry.reminder.id for entry in page.entries]
        after = page.following
    assert after is None
    expected = [f"r{number}" for number in range(6)]
    assert found == (expected[::-1] if is_newest_first else expected)


def test_a_purged_reminder_of_another_day_needs_nobody_anymore(store: Store) -> None:
    """There is no number that anybody could call."""
    store.insert("purged", "", status="failed", message="", scheduled_at=to_ms(NOW - 9 * DAY))
    seen = read_day(store.connection, day=TODAY)
    assert (seen.earlier, ids_of(store, DayList.EARLIER)) == (0, [])


def test_other_days_are_counted_up_to_a_limit(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_module, "MOST_COUNTED", 3)
    for number in range(5):
        store.insert(f"r{number}", status="failed", scheduled_at=to_ms(NOW - DAY))
    assert read_day(store.connection, day=TODAY).earlier == 3


def test_an_entry_has_its_last_call_and_how_the_last_one_ended(store: Store) -> None:
    store.insert("again", status="processing")
    insert_call(store.connection, "again", id="first", outcome="not_answered")
    insert_call(store.connection, "again", id="second", state="placed", status="ringing", created_at=to_ms(NOW + HOUR))
    (entry,) = read_list(store.connection, which=DayList.IN_CALL, day=TODAY).entries
    assert entry.call is not None
    assert (entry.call.state, entry.call.status, entry.call.outcome) == (CallState.PLACED, "ringing", None)
    assert entry.call.created_at == NOW + HOUR
    assert entry.call_outcome is CallOutcome.NOT_ANSWERED


def test_a_message_that_was_not_spoken_was_not_heard(store: Store) -> None:
    store.insert("bundled", status="failed")
    insert_call(store.connection, "bundled", outcome="heard", spoken=False)
    (entry,) = read_list(store.connection, which=DayList.NEEDS_HUMAN, day=TODAY).entries
    assert entry.call_outcome is CallOutcome.NOT_HEARD


@pytest.mark.parametrize("change", ["scheduled_at = scheduled_at + 1", "phone_number = '+12025550009'"])
def test_calls_for_an_earlier_time_or_number_are_not_an_entrys(store: Store, change: str) -> None:
    store.insert("moved", status="failed")
    insert_call(store.connection, "moved", outcome="not_answered")
    store.connection.execute(f"UPDATE reminders SET {change} WHERE id = 'moved'")
    (entry,) = read_list(store.connection, which=DayList.NEEDS_HUMAN, day=TODAY).entries
    assert (entry.call, entry.call_outcome) == (None, None)


def test_an_entry_has_its_appointment_and_the_name_by_which_staff_know_it(store: Store) -> None:
    row = {"id": "a", "ref": "visit-7", "phone_number": "+12025550001", "at": to_ms(NOW + DAY), "name": "Ms. Example"}
    insert_row(store.connection, "appointments", row)
    store.insert("own", ref="mine", status="failed", scheduled_at=to_ms(NOW))
    store.insert("planned", status="failed", scheduled_at=to_ms(NOW + MINUTE), appointment_id="a")
    store.insert("alone", status="failed", scheduled_at=to_ms(NOW + 2 * MINUTE), appointment_id="deleted")
    own, planned, alone = read_list(store.connection, which=DayList.NEEDS_HUMAN, day=TODAY).entries
    assert planned.appointment is not None
    assert (planned.appointment.at, planned.appointment.name) == (NOW + DAY, "Ms. Example")
    assert (own.ref, planned.ref, alone.ref) == ("mine", "visit-7", None)
    assert (own.appointment, alone.appointment) == (None, None)


@pytest.mark.parametrize("day", [TODAY, YESTERDAY], ids=["today", "another day"])
@pytest.mark.parametrize("after", [None, ListPlace(NOW, "r")], ids=["first page", "later page"])
@pytest.mark.parametrize("which", DayList)
def test_every_list_is_read_from_an_index_in_its_order(
    large: Store, which: DayList, day: Day, after: ListPlace | None
) -> None:
    rows, *others = plans(large, lambda: read_list(large.connection, which=which, day=day, after=after))
    assert not rows.is_sorted or rows.is_by_size or (which is DayList.IN_CALL and day.is_today), "only what rings now"
    for plan in (rows, *others):
        assert not plan.whole_tables | plan.whole_indexes, plan


def test_a_day_is_counted_from_indexes(large: Store) -> None:
    for plan in plans(large, lambda: read_day(large.connection, day=TODAY)):
        assert not (plan.whole_tables | plan.whole_indexes) - {"counted"}, plan


MONDAY = datetime(2026, 3, 2, tzinfo=UTC)


def insert_at(store: Store, name: str, at: datetime, **columns: object) -> None:
    row = {"id": name, "phone_number": "+4930123456", "message": "Hello", "scheduled_at": to_ms(at)}
    insert_row(store.connection, "reminders", row | columns)


def test_each_reminder_counts_on_the_day_of_its_time(target: Target) -> None:
    with a_store(target) as store:
        insert_at(store, "before", MONDAY - timedelta(milliseconds=1))
        insert_at(store, "first", MONDAY, status="called", response="confirmed")
        insert_at(store, "last", MONDAY + DAY - timedelta(milliseconds=1), status="failed", end_code="not_answered")
        insert_at(store, "done", MONDAY, status="failed", end_code="a newer version's", done_at=to_ms(NOW))
        insert_at(store, "next", MONDAY + DAY, hold_code="number_changed")
        monday, tuesday, wednesday = figures_by_day(
            store.connection, midnights=[MONDAY, MONDAY + DAY, MONDAY + 2 * DAY, MONDAY + 3 * DAY]
        )
    assert dict(monday.counts) == {Figure.CONFIRMED: 1, Figure.NOT_REACHED: 2}
    assert monday.need_human == 1
    assert (tuesday[Figure.OPEN], tuesday.need_human) == (1, 1)
    assert wednesday.total == 0


def test_every_status_with_every_response_counts_as_the_core_says(target: Target) -> None:
    expected = Counter[Figure]()
    with a_store(target) as store:
        for status, response in product(Status, [None, *Response, "by e-mail"]):
            insert_at(store, f"{status} {response}", MONDAY, status=status, response=response)
            expected[figure_of(status, response)] += 1
        [monday] = figures_by_day(store.connection, midnights=[MONDAY, MONDAY + DAY])
    assert monday.counts == expected


def test_days_are_counted_from_indexes_alone(large: Store) -> None:
    [plan] = plans(large, lambda: figures_by_day(large.connection, midnights=[MONDAY, MONDAY + DAY]))
    steps = [step for step in plan.steps if step.table == "reminders"]
    assert {step.index for step in steps} == {
        "reminders_by_scheduled_at",
        "reminders_by_status",
        "reminders_by_response",
        "reminders_answered_otherwise",
        "reminders_that_need_a_human",
    }
    for step in steps:
        assert not step.is_whole, plan
        assert step.is_alone or step.index == "reminders_that_need_a_human", plan
