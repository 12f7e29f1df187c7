from collections.abc import Iterator
from datetime import timedelta
from functools import partial

import pytest

from reminderd.clock import SystemClock
from reminderd.core.answers import Accepted
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.model import CallState, Status
from reminderd.core.reasons import EndCode
from reminderd.databases import Target
from reminderd.store.audit import acts_on
from reminderd.store.opt_outs import list_opt_outs, opt_in, opt_out, opted_out_among, page_of_opt_outs
from reminderd.store.rows import to_ms
from tests.support.store import Store, a_store

PHONE, OTHER_PHONE = "+12025550001", "+12025550002"


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def opts_out(store: Store, phone: str = PHONE, source: str = "by phone") -> tuple[Transition, ...]:
    return store.write(partial(opt_out, phone_number=phone, source=source, actor="anna", rules=store.rules))


def test_an_opt_out_cancels_all_waiting_reminders_with_an_audit_line_each(store: Store) -> None:
    store.insert("late", scheduled_at=to_ms(store.now + timedelta(days=9)))
    store.insert("soon", scheduled_at=to_ms(store.now + timedelta(days=1)))
    store.insert("another's", OTHER_PHONE)
    assert [transition.lines[0].reminder_id for transition in opts_out(store)] == ["soon", "late"]
    for name in ("soon", "late"):
        assert (store.reminder(name).status, store.reminder(name).end_code) == (Status.CANCELLED, EndCode.OPTED_OUT)
        [act] = acts_on(store.connection, name)
        assert (act["actor"], act["act"], act["detail"]) == ("anna", "opt-out", None)
    assert store.reminder("another's").status is Status.SCHEDULED


def test_the_first_source_and_time_are_kept(store: Store) -> None:
    first = store.now
    opts_out(store)
    store.later(timedelta(days=1))
    assert opts_out(store, source="a key") == ()
    assert [tuple(row) for row in store.connection.execute("SELECT * FROM opt_outs")] == [
        (PHONE, "by phone", to_ms(first))
    ]


def test_an_opt_out_does_not_change_final_reminders(store: Store) -> None:
    for status in (status for status in Status if status.final):
        store.insert(status.value, status=status.value, last_error="a reason", end_code="refused")
    before = [store.reminder(status.value) for status in Status if status.final]
    assert opts_out(store) == ()
    assert [store.reminder(status.value) for status in Status if status.final] == before


def test_a_claimed_reminder_is_stopped_by_the_last_look(store: Store) -> None:
    store.insert()
    [action] = store.claim()
    assert opts_out(store) == ()
    store.not_sent(action, "opted out")
    assert (store.reminder().status, store.reminder().end_code) == (Status.CANCELLED, EndCode.OPTED_OUT)
    assert store.calls()[0].state is CallState.NOT_PLACED


def test_an_opt_out_during_a_call_prevents_another_one(store: Store) -> None:
    store.insert()
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    assert opts_out(store) == ()
    assert store.reminder().status is Status.PROCESSING


def test_a_reminder_that_another_program_adds_later_is_never_dialed(store: Store) -> None:
    opts_out(store)
    store.insert()
    assert store.claim() == []
    assert (store.reminder().status, store.reminder().end_code) == (Status.CANCELLED, EndCode.OPTED_OUT)


def test_the_audit_names_no_number(store: Store) -> None:
    store.insert()
    opts_out(store)
    rows = [tuple(row) for row in store.connection.execute("SELECT actor, act, reminder_id, detail FROM audit")]
    assert rows == [("anna", "opt-out", "r1", None), ("anna", "opt-out", None, "a number that ends in 01")]
    opts_out(store)
    assert store.count("audit") == 2, "a repeat leaves no line"


def test_after_an_opt_in_a_patient_may_be_called_but_cancelled_reminders_stay_cancelled(store: Store) -> None:
    store.insert()
    opts_out(store)
    back = partial(opt_in, phone_number="+12025550001", actor="anna")
    assert store.write(back)
    assert not store.write(back)
    assert store.reminder().status is Status.CANCELLED
    assert store.count("opt_outs") == 0


OF_ANOTHER_PROGRAM = [
    [f"INSERT INTO opt_outs (phone_number) VALUES ('{PHONE}')"],
    ["INSERT INTO opt_outs (phone_number) VALUES ('+12025559999')", f"UPDATE opt_outs SET phone_number = '{PHONE}'"],
]


@pytest.mark.parametrize("statements", OF_ANOTHER_PROGRAM, ids=["added", "corrected"])
def test_another_programs_opt_out_cancels_waiting_reminders_at_the_next_claim(
    store: Store, statements: list[str]
) -> None:
    store.insert("on its way")
    store.claim()
    store.insert("late", scheduled_at=to_ms(store.now + timedelta(days=9)))
    store.insert("soon", scheduled_at=to_ms(store.now + timedelta(days=1)))
    store.insert("another's", OTHER_PHONE, scheduled_at=4_000_000_000_000)
    for statement in statements:
        store.connection.execute(statement)
    assert [call.state for call in store.calls("on its way")] == [CallState.DIALING]
    store.now = SystemClock().now()  # the clock of the triggers
    store.claim(checks=0)
    for name in ("soon", "late"):
        assert (store.reminder(name).status, store.reminder(name).end_code) == (Status.CANCELLED, EndCode.OPTED_OUT)
        assert store.reminder(name).wake_at is None
    assert store.reminder("on its way").status is Status.DIALING
    assert store.reminder("another's").status is Status.SCHEDULED
    rows = [tuple(row) for row in store.connection.execute("SELECT actor, act, reminder_id, detail FROM audit")]
    assert rows == [("another program", "opt-out", name, None) for name in ("soon", "late")]


def test_the_numbers_that_have_opted_out_are_found_among_many(store: Store) -> None:
    many = [f"+1202555{number:04}" for number in range(120)]
    opts_out(store, many[7])
    opts_out(store, many[99])
    assert opted_out_among(store.connection, many) == {many[7], many[99]}
    assert opted_out_among(store.connection, []) == frozenset()


@pytest.mark.parametrize(
    ("written", "listed"), [("+1 202 555 0001", [PHONE]), ("a number that is none", []), ("+49301", [])]
)
def test_opt_outs_of_other_programs_are_listed_in_international_form(
    store: Store, written: str, listed: list[str]
) -> None:
    store.insert("r1", written)
    assert [transition.lines[0].reminder_id for transition in opts_out(store, written)] == ["r1"]
    assert [row["phone_number"] for row in list_opt_outs(store.connection)] == listed


def test_opt_outs_are_paged_newest_first(store: Store) -> None:
    for number in range(5):
        opts_out(store, f"+1202555000{number}")
        store.later(timedelta(seconds=number % 2))
    pages, after = [], None
    while True:
        rows, after = page_of_opt_outs(store.connection, limit=2, after=after)
        pages.append([str(row["phone_number"])[-1] for row in rows])
        if after is None:
            break
    assert pages == [["4", "3"], ["2", "1"], ["0"]]


@pytest.mark.parametrize(("ending", "expected"), [("0001", [PHONE]), ("12025550001", [PHONE]), ("9990001", [])])
def test_an_opt_out_is_found_by_the_end_of_its_number(store: Store, ending: str, expected: list[str]) -> None:
    opts_out(store)
    opts_out(store, OTHER_PHONE)
    rows, _ = page_of_opt_outs(store.connection, limit=9, ending=ending)
    assert [row["phone_number"] for row in rows] == expected
