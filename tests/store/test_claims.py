from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, NotPlaced, Unclear
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.lifecycle.transition import ActionKind
from reminderd.core.model import CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Limits, Rules
from reminderd.databases import Target
from reminderd.store import claims, ledger, stats
from reminderd.store.claims import Capacity, claim, wake_waiting
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.rows import to_ms
from reminderd.store.settle import read_for_last_look
from reminderd.store.shared_state import LAST_REQUEST_AT, setting
from reminderd.store.sqlite.driver import OperationalError
from tests.support.builders import BOTH, DAY, HOUR, KEY, LOOK_UP, MINUTE, NOW, RULES, a_report, able, hours
from tests.support.plans import plan, statements
from tests.support.store import Store, a_store


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def names(actions: list[Any]) -> list[list[str]]:
    return [[reminder.id for reminder in action.reminders] for action in actions]


def test_a_due_reminder_gets_its_own_leased_call(store: Store) -> None:
    store.insert()
    [action] = store.claim()
    assert action.kind is ActionKind.PLACE
    reminder, [call] = store.reminder(), store.calls()
    assert (reminder.status, reminder.wake_at) == (Status.DIALING, None)
    assert (call.id, call.state, call.requests, call.seq) == (action.call.id, CallState.DIALING, 1, 1)
    assert (call.lease_token, call.wake_at) == (action.token, store.now + store.rules.lease)


def test_a_reminder_is_not_claimed_twice_in_a_row(store: Store) -> None:
    store.insert()
    assert len(store.claim()) == 1
    assert store.claim() == []


def test_a_reminder_that_is_not_due_is_not_claimed(store: Store) -> None:
    store.insert()
    store.later(-MINUTE)
    assert store.claims() == []


def test_a_claim_takes_the_oldest_reminders_up_to_the_free_lines(store: Store) -> None:
    for number in range(5):
        store.insert(f"r{number}", f"+1202555000{number}")
        store.later(MINUTE)
    assert names(store.claim(requests=2)) == [["r0"], ["r1"]]
    assert names(store.claim(requests=2)) == [["r2"], ["r3"]]


def test_numbers_claimed_last_wait_for_all_others(store: Store) -> None:
    for number in range(3):
        store.insert(f"r{number}", f"+1202555000{number}")
        store.later(MINUTE)
    refused = frozenset({"+12025550000", "+12025550001"})
    assert names(store.claim(requests=1, last=refused)) == [["r2"]]
    assert names(store.claim(requests=2, last=refused)) == [["r0"], ["r1"]]


def test_without_a_free_line_no_waiting_reminder_is_changed(store: Store) -> None:
    store.insert()
    before = store.reminder()
    assert store.claims(requests=0) == []
    assert store.reminder() == before


def test_reminders_that_need_no_call_use_up_no_line(store: Store) -> None:
    store.insert("a-bad", "nonsense")
    store.insert("b-late", "+12025550002", expires_at=1)
    store.insert("c-good", "+12025550003")
    assert names(store.claim(requests=1)) == [["c-good"]]
    assert store.reminder("a-bad").end_code is EndCode.INVALID
    assert store.reminder("b-late").status is Status.EXPIRED


def test_two_reminders_for_one_number_are_never_called_simultaneously(store: Store) -> None:
    store.insert("r1")
    store.insert("r2")
    [action] = store.claim()
    other = store.reminder("r2" if names([action]) == [["r1"]] else "r1")
    assert (other.status, other.hold_code) == (Status.SCHEDULED, HoldCode.NUMBER_BUSY)
    assert other.wake_at == store.now + MINUTE


@pytest.mark.parametrize("state", ["dialing", "unconfirmed", "placed", "stray"])
def test_no_other_reminder_calls_a_number_that_may_be_ringing(store: Store, state: str) -> None:
    store.insert("r1")
    store.claim()
    store.connection.execute("UPDATE call_logs SET state = ?", (state,))
    store.insert("r2")
    assert store.claim() == []
    assert store.reminder("r2").hold_code is HoldCode.NUMBER_BUSY


def test_the_end_of_a_call_wakes_reminders_that_wait_for_its_number(store: Store) -> None:
    store.insert("r1")
    [action] = store.claim()
    store.insert("r2")
    store.claim()
    store.report(a_report("busy", reminder_id="r1", attempt_id=action.call.id))
    assert store.reminder("r2").wake_at == store.now
    assert names(store.claim()) == [["r2"]]


def test_an_opted_out_number_is_cancelled_instead_of_called(store: Store) -> None:
    store.insert()
    store.connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550001')")
    store.connection.execute("UPDATE reminders SET wake_at = 0")  # the clock of the trigger is the real one
    assert store.claim() == []
    assert (store.reminder().status, store.reminder().end_code) == (Status.CANCELLED, EndCode.OPTED_OUT)


@pytest.mark.parametrize(
    ("columns", "rules", "status"),
    [
        ({"scheduled_at": to_ms(NOW + DAY)}, RULES, Status.SCHEDULED),
        ({}, evolve(RULES, calling_hours=hours(11 * HOUR, 12 * HOUR)), Status.SCHEDULED),
        ({"expires_at": to_ms(NOW)}, RULES, Status.EXPIRED),
        ({"phone": "+12025550002"}, RULES, Status.CANCELLED),
    ],
    ids=["before its time", "outside the hours", "after its limit", "opted out"],
)
def test_waking_a_reminder_early_does_not_call_it(
    store: Store, columns: dict[str, Any], rules: Rules, status: Status
) -> None:
    store.rules = rules
    store.connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550002')")
    store.insert("r1", **columns)
    store.connection.execute("UPDATE reminders SET wake_at = 0")
    assert store.claim() == []
    assert store.reminder().status is status


def test_a_pause_stops_dialing_but_not_look_ups(store: Store) -> None:
    store.insert("r1")
    [action] = store.claim()
    store.answer(action, Accepted("ext-1"))
    store.rules = able(LOOK_UP)
    store.later(store.rules.outcome_timeout)
    store.insert("r2", "+12025550002")
    before = store.reminder("r2")
    store.connection.execute("INSERT INTO settings VALUES ('paused', 'true')")
    assert [one.kind for one in store.claim()] == [ActionKind.FETCH]
    assert store.reminder("r2") == before


def test_after_a_restore_nobody_is_called_until_lost_calls_are_over(store: Store) -> None:
    store.insert(scheduled_at=store.now.timestamp() * 1000 + 1)
    store.connection.execute("INSERT INTO settings VALUES ('restored_at', ?)", (int(store.now.timestamp() * 1000),))
    store.later(store.rules.outcome_timeout - MINUTE)
    assert store.claims() == []
    store.later(MINUTE)
    assert names(store.claim()) == [["r1"]]


def test_a_process_that_has_not_noticed_a_restore_calls_nobody_either(store: Store) -> None:
    """The poll loop of this process could send requests: it had read the database before the restore was committed."""
    store.insert(scheduled_at=to_ms(store.now) + 1)
    store.connection.execute("INSERT INTO settings VALUES ('restored_at', ?)", (to_ms(store.now),))
    capacity = Capacity(requests=10, checks=10, request_in=MINUTE)
    take = partial(claim, capacity=capacity, rules=store.rules, witness=Witness(), mint=store.mint)
    store.later(store.rules.outcome_timeout - MINUTE)
    assert store.write(take) == []
    store.later(MINUTE)
    assert [one.action is not None for one in store.write(take)] == [True]


def test_the_last_look_stops_requests_during_the_quiet_time(store: Store) -> None:
    store.insert()
    [action] = store.claim()
    store.connection.execute("INSERT INTO settings VALUES ('restored_at', ?)", (to_ms(store.now),))
    seen = partial(read_for_last_look, store.connection, action=action, rules=store.rules)
    assert seen(now=store.now + store.rules.outcome_timeout - MINUTE).paused
    assert not seen(now=store.now + store.rules.outcome_timeout).paused


def test_an_expired_lease_leaves_an_unconfirmed_call(store: Store) -> None:
    store.insert()
    store.claim()
    store.later(store.rules.lease)
    assert store.claim() == []
    assert store.reminder().status is Status.PROCESSING
    assert [call.state for call in store.calls()] == [CallState.UNCONFIRMED]


def test_a_process_does_not_recover_its_own_calls_in_flight(store: Store) -> None:
    store.insert()
    [action] = store.claim()
    store.later(store.rules.lease)
    assert store.claim(held=frozenset({action.token})) == []
    assert store.reminder().status is Status.DIALING
    assert store.calls()[0].wake_at == store.now + store.rules.lease


def test_a_resend_needs_a_free_line_like_a_first_request(store: Store) -> None:
    store.rules = able(KEY)
    store.insert("r1")
    [action] = store.claim()
    store.answer(action, Unclear("no answer"))
    store.later(store.rules.confirm_after)
    store.insert("r2", "+12025550002")
    [resend] = store.claim(requests=1)
    assert (resend.kind, resend.call.id, resend.call.requests) == (ActionKind.RESEND, action.call.id, 2)
    assert store.reminder("r2").status is Status.SCHEDULED


def test_a_resend_without_a_free_line_is_checked_again_later(store: Store) -> None:
    store.rules = able(BOTH)
    store.insert()
    [action] = store.claim()
    store.answer(action, Unclear("no answer"))
    store.later(store.rules.confirm_after)
    assert store.claim(requests=0) == []
    assert store.calls()[0].wake_at == store.now + timedelta(seconds=7)


def test_a_call_that_was_not_placed_is_requested_again_with_its_key(store: Store) -> None:
    store.rules = able(KEY)
    store.insert()
    [action] = store.claim()
    store.answer(action, NotPlaced("503"))
    store.later(store.rules.backoff.maximum)
    [again] = store.claim()
    assert again.call.id == action.call.id
    assert len(store.calls()) == 1


def test_a_bundle_is_one_call_with_one_membership_per_reminder(store: Store) -> None:
    store.rules = evolve(RULES, group_within=HOUR)
    for name in ("r1", "r2", "r3"):
        store.insert(name)
    store.insert("other", "+12025550002")
    assert sorted(names(store.claim()), key=len) == [["other"], ["r1", "r2", "r3"]]
    assert {store.reminder(name).status for name in ("r1", "r2", "r3", "other")} == {Status.DIALING}
    assert store.count("call_reminders") == 4


def test_a_claim_bundles_reminders_beyond_its_batch(store: Store) -> None:
    store.rules = evolve(RULES, group_within=HOUR)
    store.insert("r1")
    store.insert("r2")
    assert names(store.claim(requests=1)) == [["r1", "r2"]]


@pytest.mark.sqlite_only("its error")
def test_a_disk_error_fails_the_claim_but_no_reminder(store: Store) -> None:
    """If it counted as an unexpected error of a row, every due reminder would fail."""
    store.insert()
    failure = OperationalError("disk I/O error")
    failure.sqlite_errorcode = 10
    ids = count(1)

    def mint() -> str:
        if next(ids) == 2:
            raise failure
        return "id-1"

    capacity = Capacity(requests=1, checks=1, request_in=MINUTE)
    take = partial(claim, capacity=capacity, rules=store.rules, witness=Witness(), mint=mint)
    with pytest.raises(StoreUnavailableError, match="failed to read"):
        store.write(take)
    assert (store.reminder().status, store.calls()) == (Status.SCHEDULED, ())


def breaks_for_r1(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = vars(claims)["claim_reminder"]

    def breaks(before: Any, reminder: Any, **rest: Any) -> Any:
        if reminder.id == "r1":
            raise RuntimeError("a bug")
        return decide(before, reminder, **rest)

    monkeypatch.setattr(claims, "claim_reminder", breaks)


def test_a_row_that_causes_an_unexpected_error_fails_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.insert("r1")
    store.insert("r2", "+12025550002")
    breaks_for_r1(monkeypatch)
    assert names(store.claim()) == [["r2"]]
    assert (store.reminder("r1").status, store.reminder("r1").end_code) == (Status.FAILED, EndCode.PROGRAM_ERROR)


def test_a_row_that_cannot_be_marked_as_failed_is_checked_again_later(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.insert("r1")
    store.insert("r2", "+12025550002")
    breaks_for_r1(monkeypatch)
    save = vars(claims)["save"]

    def fails_for_r1(connection: Any, before: Any, after: Any, now: Any) -> None:
        if set(before.reminders) == {"r1"}:
            raise RuntimeError("another bug")
        save(connection, before, after, now)

    monkeypatch.setattr(claims, "save", fails_for_r1)
    assert names(store.claim()) == [["r2"]]
    assert (store.reminder("r1").status, store.reminder("r1").wake_at) == (
        Status.SCHEDULED,
        store.now + store.rules.lease,
    )


def test_extreme_integers_from_another_program_break_nothing(store: Store) -> None:
    store.insert(revision=2**63 - 1, attempts=2**63 - 1, tries=2**63 - 1, again_seq=-(2**63))
    assert names(store.claim()) == [["r1"]]


def test_an_alive_call_that_causes_an_unexpected_error_stops_no_other(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, phone in (("r1", "+12025550001"), ("r2", "+12025550002")):
        store.insert(name, phone)
    store.claim()
    decide = vars(claims)["claim_call"]

    def breaks_once(before: Any, call: Any, **rest: Any) -> Any:
        if call.reminder_id == "r1":
            raise RuntimeError("a bug")
        return decide(before, call, **rest)

    monkeypatch.setattr(claims, "claim_call", breaks_once)
    store.later(store.rules.lease)
    store.claims()
    assert [store.calls(name)[0].state for name in ("r1", "r2")] == [CallState.DIALING, CallState.UNCONFIRMED]
    assert store.calls("r1")[0].wake_at == store.now + store.rules.lease


def test_the_limits_count_all_reminders_of_a_number(target: Target) -> None:
    rules = evolve(RULES, limits=Limits(per_day=1), max_lateness=timedelta(days=3))
    with a_store(target, rules) as store:
        store.insert("r1")
        store.insert("r2")
        store.insert("other", "+12025550002")
        first = store.claim()
        assert names(first) == [["other"], ["r1"]]
        store.report(a_report("completed", reminder_id="r1", attempt_id=first[1].call.id))
        store.later(timedelta(minutes=2))
        assert store.claim() == []
        held = store.reminder("r2")
        assert (held.hold_code, held.wake_at) == (HoldCode.LIMITS, (NOW + timedelta(days=1)).replace(hour=0))
        store.later(timedelta(days=1))
        assert names(store.claim()) == [["r2"]]


def test_calls_that_reached_nobody_do_not_count_toward_the_limits(target: Target) -> None:
    rules = evolve(RULES, limits=Limits(per_day=1), voicemail_is_reached=False)
    with a_store(target, rules) as store:
        for number, report in enumerate([a_report("busy"), a_report("completed", answered_by="machine_start")]):
            store.insert("r1") if number == 0 else store.later(rules.redial_delay(1))
            (action,) = store.claim()
            store.report(evolve(report, external_call_id=f"ext-{number}", reminder_id="r1", attempt_id=action.call.id))
        store.later(rules.redial_delay(1))
        assert len(store.claim()) == 1
        assert len(store.calls()) == 3


@pytest.mark.parametrize(("seconds", "is_reached"), [(1, False), (60, True)])
def test_a_hang_up_after_the_message_counts_toward_the_limits(
    target: Target, seconds: int, *, is_reached: bool
) -> None:
    asks = Capabilities(asks_what_to_say=True)
    rules = evolve(RULES, limits=Limits(per_day=1), max_lateness=timedelta(days=2), capabilities=asks)
    with a_store(target, rules) as store:
        store.insert("r1")
        (action,) = store.claim()
        line = a_report("in-progress", reminder_id=None, attempt_id=action.call.id)
        store.pick_up(line)
        store.later(timedelta(seconds=seconds))
        store.report(evolve(line, status="completed", ended_at=store.now))
        store.insert("r2")
        assert (names(store.claim()), store.reminder("r2").hold_code) == (
            ([], HoldCode.LIMITS) if is_reached else ([["r2"]], None)
        )


# What waits for a reason is looked at again


def test_waking_held_reminders_changes_nobody_who_is_called(store: Store) -> None:
    store.insert("later", scheduled_at=int((store.now + HOUR).timestamp() * 1000))
    store.insert("held", "+12025550002", hold_code="hours", wake_at=int((store.now + HOUR).timestamp() * 1000))
    store.insert("redialed", "+12025550003")
    [action] = store.claim()
    store.report(a_report("busy", reminder_id="redialed", attempt_id=action.call.id))
    at = store.reminder("redialed").retry_at
    store.write(wake_waiting)
    assert store.reminder("held").wake_at == store.reminder("redialed").wake_at == store.now
    assert store.reminder("later").wake_at == store.now + HOUR
    assert names(store.claim()) == [["held"]]
    assert (store.reminder("redialed").wake_at, store.reminder("redialed").hold_code) == (at, HoldCode.REDIAL)


def test_a_held_reminder_that_is_moved_waits_for_its_new_time_even_after_a_restart(store: Store) -> None:
    store.rules = evolve(RULES, calling_hours=hours(11 * HOUR, 12 * HOUR))
    store.insert()
    store.claims()
    assert (store.reminder().hold_code, store.reminder().wake_at) == (HoldCode.HOURS, NOW + HOUR)
    at = NOW + 3 * DAY + HOUR
    store.connection.execute("UPDATE reminders SET scheduled_at = ?", (to_ms(at),))
    store.later(HOUR)
    store.write(wake_waiting)
    assert store.claim() == []
    assert store.reminder().wake_at == at
    store.later(3 * DAY)
    assert names(store.claim()) == [["r1"]]


UNTIL_ELEVEN = evolve(RULES, calling_hours=hours(9 * HOUR, 11 * HOUR), max_lateness=2 * DAY)


def test_changed_calling_hours_apply_to_waiting_redials(store: Store) -> None:
    store.rules = UNTIL_ELEVEN
    store.later(50 * MINUTE)
    store.insert()
    [action] = store.claim()
    store.report(a_report("busy", reminder_id="r1", attempt_id=action.call.id))
    assert store.reminder().wake_at == NOW + DAY - HOUR
    store.rules = evolve(store.rules, calling_hours=hours(9 * HOUR, 12 * HOUR))
    store.write(wake_waiting)
    store.later(store.rules.redial_delay(1) - MINUTE)
    assert store.claim() == []
    store.later(MINUTE)
    assert names(store.claim()) == [["r1"]]


def test_changed_calling_hours_apply_to_waiting_resends(store: Store) -> None:
    store.rules = evolve(UNTIL_ELEVEN, capabilities=KEY)
    store.later(59 * MINUTE)
    store.insert()
    [action] = store.claim()
    store.answer(action, Unclear("no answer"))
    store.later(store.rules.confirm_after)
    assert store.claim() == []
    assert store.calls()[0].wake_at == NOW + DAY - HOUR
    store.rules = evolve(store.rules, calling_hours=hours(9 * HOUR, 12 * HOUR))
    store.write(wake_waiting)
    [again] = store.claim()
    assert (again.kind, again.call.id) == (ActionKind.RESEND, action.call.id)


def test_lifted_limits_release_held_reminders(store: Store) -> None:
    store.rules = evolve(RULES, limits=Limits(per_day=1), max_lateness=2 * DAY)
    store.insert("r1")
    [action] = store.claim()
    store.report(a_report("completed", reminder_id="r1", attempt_id=action.call.id))
    store.insert("r2")
    assert store.claim() == []
    assert store.reminder("r2").hold_code is HoldCode.LIMITS
    store.rules = evolve(store.rules, limits=Limits())
    store.write(wake_waiting)
    assert names(store.claim()) == [["r2"]]


def test_waking_held_reminders_does_not_change_leases(store: Store) -> None:
    store.insert()
    store.claim()
    before = store.calls()
    store.write(wake_waiting)
    store.write(partial(wake_waiting, lease=store.rules.lease))
    assert store.calls() == before


def test_a_lease_from_a_clock_that_was_ahead_ends_with_its_process(store: Store) -> None:
    store.insert()
    store.now += DAY
    store.rules = evolve(store.rules, max_lateness=2 * DAY)
    [action] = store.claim()
    store.now -= DAY
    store.write(partial(wake_waiting, lease=store.rules.lease))
    assert store.claim(held=frozenset({action.token})) == []
    assert store.calls()[0].state is CallState.DIALING  # the process that works on it keeps it
    store.now += store.rules.lease
    store.claim()
    assert store.calls()[0].state is CallState.UNCONFIRMED


def test_a_reminder_expired_by_a_clock_that_was_ahead_waits_again(store: Store) -> None:
    store.insert()
    store.later(timedelta(days=9))
    store.claims()
    assert store.reminder().status is Status.EXPIRED
    store.later(-timedelta(days=9))
    assert stats.next_wakes(store.connection, store.now).reminder == store.now
    store.claims()
    assert names(store.claim()) == [["r1"]] or store.reminder().status is Status.DIALING


def test_a_reminder_cancelled_after_a_clock_was_ahead_is_checked_once(store: Store) -> None:
    store.insert()
    store.later(9 * DAY)
    store.claims()
    store.connection.execute("UPDATE reminders SET status = 'cancelled'")
    store.later(-9 * DAY)
    assert stats.next_wakes(store.connection, store.now).reminder == store.now
    store.claims()
    assert stats.next_wakes(store.connection, store.now).reminder is None
    assert (store.reminder().status, store.reminder().end_code) == (Status.CANCELLED, EndCode.CANCELLED_ELSEWHERE)


def test_a_row_changed_while_the_clock_was_ahead_does_not_wait_for_that_time(store: Store) -> None:
    store.insert(status="failed", end_code="max_calls")
    store.connection.execute("UPDATE reminders SET status = 'scheduled'")
    ahead = to_ms(store.now + DAY)
    store.connection.execute("UPDATE reminders SET wake_at = :ahead, revision = revision + 1", {"ahead": ahead})
    assert store.claim() == []
    store.write(wake_waiting)
    assert names(store.claim()) == [["r1"]]


# What it costs


def queries_of_a_claim(store: Store) -> list[str]:
    capacity = Capacity(requests=10, checks=10, request_in=MINUTE)
    take = partial(claim, capacity=capacity, rules=store.rules, witness=store.witness(), mint=store.mint)
    return [sql for sql, _ in statements(store, lambda: store.write(take)) if sql.lstrip().startswith("SELECT")]


def test_the_number_of_queries_of_a_claim_does_not_grow_with_due_reminders(store: Store) -> None:
    store.rules = evolve(store.rules, group_within=HOUR, limits=Limits(per_day=9, per_week=9))
    store.claim()
    store.insert("r0", "+12025550000")
    one = queries_of_a_claim(store)
    for number in range(1, 9):
        store.insert(f"r{number}", f"+1202555000{number}")
    many = queries_of_a_claim(store)
    assert len(one) <= 6  # one of them only locks, which only PostgreSQL needs
    assert len(many) == len(one)


_OTHERS = ledger._OTHERS.format(known="(:a)", reminders="(:a)", numbers="(:a)")
QUERIES = {
    "calls to look at": (claims._TAKE_CALLS.format(skip_locked=""), "call_logs_to_look_at"),
    "reminders to look at": (claims._TAKE_REMINDERS.format(except_for="", skip_locked=""), "reminders_to_look_at"),
    "reminders of other numbers": (
        claims._TAKE_REMINDERS.format(except_for=claims._NOT_TO.format("(:a)"), skip_locked=""),
        "reminders_to_look_at",
    ),
    "calls that are worked on": (claims._KEEP_HELD.format(tokens="(:a)", skip_locked=""), "call_logs_to_look_at"),
    "what ended ahead of time": (claims._ENDED_AHEAD.format(skip_locked=""), "reminders_too_late"),
    "bundles": (claims._WAITING.format(numbers="(:a)", skip_locked=""), "reminders_by_phone_number"),
    "histories": (_OTHERS, "call_reminders_by_reminder"),
    "open calls to the numbers": (_OTHERS, "call_logs_one_open_call"),
    "stray calls to the numbers": (_OTHERS, "call_logs_stray"),
    "who waits for a call": (ledger._WAKE_NUMBER.format(skip_locked=""), "reminders_behind_a_call"),
    "when the numbers were reached": (ledger._REACHED.format("(:a)"), "call_logs_by_phone_number"),
    "reports": (ledger._NAMED.format(ledger._IS_REPORTED), "call_logs_by_reminder"),
    "calls by their ids": (ledger._NAMED.format(ledger._IS_CALL), "call_reminders"),
    "next wakes": (stats._WAKES, "reminders_to_look_at"),
    "all alive calls": (stats._ALIVE, "call_logs_to_look_at"),
}


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_a_claim_uses_an_index(large: Store, query: str) -> None:
    sql, index = QUERIES[query]
    values: dict[str, object] = dict.fromkeys(("now", "later", "limit", "since", "until"), 1)
    values |= dict.fromkeys(("number", "a", "attempt", "external", "reminder", "id"), "1")
    parameters = {name: value for name, value in values.items() if f":{name}" in sql}
    found = plan(large.connection, sql, parameters)
    assert found.uses(index), found
    assert not found.whole_tables, found


def test_all_daemons_together_send_as_many_requests_in_a_second_as_one(store: Store) -> None:
    """The pace is in the database: a claim by any process counts for all."""
    store.rules = evolve(store.rules, request_spacing=timedelta(seconds=1) / 3)
    for number in range(6):
        store.insert(f"r{number}", f"+120255501{number:02}")
    claimed = []
    for _ in range(15):
        claimed.append(len(store.claim()))  # of one daemon, which has ten free lines …
        claimed.append(len(store.claim()))  # … and of another one
        store.later(timedelta(milliseconds=100))
    assert claimed[:10] == [1, 0, 0, 0, 0, 0, 0, 0, 1, 0]
    assert sum(claimed) == 4


def test_after_the_clock_was_set_back_the_pace_stops_nobody(store: Store) -> None:
    store.rules = evolve(store.rules, request_spacing=timedelta(seconds=1))
    for number in range(2):
        store.insert(f"r{number}", f"+120255501{number:02}")
    store.later(timedelta(hours=1))
    assert len(store.claim()) == 1
    store.later(-timedelta(hours=1))
    assert len(store.claim()) == 1


def test_a_shorter_spacing_counts_from_the_last_request_on(store: Store) -> None:
    store.rules = evolve(store.rules, request_spacing=timedelta(hours=1))
    for number in range(2):
        store.insert(f"r{number}", f"+120255501{number:02}")
    assert len(store.claim()) == 1
    store.rules = evolve(store.rules, request_spacing=timedelta(seconds=1))
    store.later(timedelta(seconds=0.5))
    assert store.claim() == []
    store.later(timedelta(seconds=0.5))
    assert len(store.claim()) == 1


def test_without_a_limit_a_claim_reads_and_writes_no_pace(store: Store) -> None:
    store.insert()
    assert store.claim()
    assert setting(store.connection, LAST_REQUEST_AT) is None


def test_a_resend_is_checked_again_when_the_pace_allows_a_request(store: Store) -> None:
    store.rules = evolve(store.rules, request_spacing=timedelta(seconds=60), capabilities=KEY)
    store.insert("r1", "+12025550101")
    [action] = store.claim()
    store.answer(action, Unclear("lost"))
    store.later(timedelta(seconds=30))
    store.connection.execute("UPDATE call_logs SET wake_at = 0").fetchall()
    assert store.claim() == []
    [call] = store.calls("r1")
    assert call.wake_at == NOW + timedelta(seconds=60)
