from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, Capabilities, NotPlaced, Unclear
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.lifecycle.transition import ActionKind
from reminderd.core.model import CallState, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Limits, Rules
from reminderd.store import claims, ledger, stats
from reminderd.store.claims import Capacity, claim, poke
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.rows import to_ms
from reminderd.store.settle import look
from reminderd.store.sqlite.driver import OperationalError
from tests.support.desk import Desk, a_desk
from tests.support.nouns import BOTH, DAY, HOUR, KEY, LOOK_UP, MINUTE, NOW, RULES, a_report, able, hours


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with a_desk(tmp_path / "reminderd.db") as desk:
        yield desk


def names(actions: list[Any]) -> list[list[str]]:
    return [[reminder.id for reminder in action.reminders] for action in actions]


def test_a_due_reminder_has_a_leased_call_of_its_own(desk: Desk) -> None:
    desk.insert()
    [action] = desk.claim()
    assert action.kind is ActionKind.PLACE
    reminder, [call] = desk.reminder(), desk.calls()
    assert (reminder.status, reminder.wake_at) == (Status.DIALING, None)
    assert (call.id, call.state, call.requests, call.seq) == (action.call.id, CallState.DIALING, 1, 1)
    assert (call.lease_token, call.wake_at) == (action.token, desk.now + desk.rules.lease)


def test_nothing_is_claimed_twice_in_a_row(desk: Desk) -> None:
    desk.insert()
    assert len(desk.claim()) == 1
    assert desk.claim() == []


def test_what_is_not_due_yet_is_left_alone(desk: Desk) -> None:
    desk.insert()
    desk.later(-MINUTE)
    assert desk.claims() == []


def test_no_more_is_claimed_than_can_be_sent_and_the_oldest_goes_first(desk: Desk) -> None:
    for number in range(5):
        desk.insert(f"r{number}", f"+1202555000{number}")
        desk.later(MINUTE)
    assert names(desk.claim(requests=2)) == [["r0"], ["r1"]]
    assert names(desk.claim(requests=2)) == [["r2"], ["r3"]]


def test_numbers_that_come_last_wait_for_all_others_and_for_nobody_else(desk: Desk) -> None:
    for number in range(3):
        desk.insert(f"r{number}", f"+1202555000{number}")
        desk.later(MINUTE)
    refused = frozenset({"+12025550000", "+12025550001"})
    assert names(desk.claim(requests=1, last=refused)) == [["r2"]]
    assert names(desk.claim(requests=2, last=refused)) == [["r0"], ["r1"]]


def test_without_room_for_a_request_no_waiting_reminder_is_changed(desk: Desk) -> None:
    desk.insert()
    before = desk.reminder()
    assert desk.claims(requests=0) == []
    assert desk.reminder() == before


def test_reminders_that_need_no_call_do_not_use_up_the_room(desk: Desk) -> None:
    desk.insert("a-bad", "nonsense")
    desk.insert("b-late", "+12025550002", expires_at=1)
    desk.insert("c-good", "+12025550003")
    assert names(desk.claim(requests=1)) == [["c-good"]]
    assert desk.reminder("a-bad").end_code is EndCode.INVALID
    assert desk.reminder("b-late").status is Status.EXPIRED


def test_two_reminders_for_one_number_are_never_called_at_once(desk: Desk) -> None:
    desk.insert("r1")
    desk.insert("r2")
    [action] = desk.claim()
    other = desk.reminder("r2" if names([action]) == [["r1"]] else "r1")
    assert (other.status, other.hold_code) == (Status.SCHEDULED, HoldCode.NUMBER_BUSY)
    assert other.wake_at == desk.now + MINUTE


@pytest.mark.parametrize("state", ["dialing", "unconfirmed", "placed", "stray"])
def test_a_phone_that_may_be_ringing_keeps_its_number_from_every_other_reminder(desk: Desk, state: str) -> None:
    desk.insert("r1")
    desk.claim()
    desk.connection.execute("UPDATE call_logs SET state = ?", (state,))
    desk.insert("r2")
    assert desk.claim() == []
    assert desk.reminder("r2").hold_code is HoldCode.NUMBER_BUSY


def test_when_the_call_is_over_those_that_wait_for_its_number_are_looked_at_at_once(desk: Desk) -> None:
    desk.insert("r1")
    [action] = desk.claim()
    desk.insert("r2")
    desk.claim()
    desk.report(a_report("busy", reminder_id="r1", attempt_id=action.call.id))
    assert desk.reminder("r2").wake_at == desk.now
    assert names(desk.claim()) == [["r2"]]


def test_an_opted_out_number_is_cancelled_instead_of_called(desk: Desk) -> None:
    desk.insert()
    desk.connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550001')")
    desk.connection.execute("UPDATE reminders SET wake_at = 0")  # the clock of the trigger is the real one
    assert desk.claim() == []
    assert (desk.reminder().status, desk.reminder().end_code) == (Status.CANCELLED, EndCode.OPTED_OUT)


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
def test_a_wake_up_alone_leads_to_no_call(desk: Desk, columns: dict[str, Any], rules: Rules, status: Status) -> None:
    desk.rules = rules
    desk.connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+12025550002')")
    desk.insert("r1", **columns)
    desk.connection.execute("UPDATE reminders SET wake_at = 0")
    assert desk.claim() == []
    assert desk.reminder().status is status


def test_a_pause_stops_dialing_but_not_look_ups_and_changes_no_reminder(desk: Desk) -> None:
    desk.insert("r1")
    [action] = desk.claim()
    desk.answer(action, Accepted("ext-1"))
    desk.rules = able(LOOK_UP)
    desk.later(desk.rules.outcome_timeout)
    desk.insert("r2", "+12025550002")
    before = desk.reminder("r2")
    desk.connection.execute("INSERT INTO settings VALUES ('paused', 'true')")
    assert [one.kind for one in desk.claim()] == [ActionKind.FETCH]
    assert desk.reminder("r2") == before


def test_after_a_restore_nobody_is_called_until_forgotten_calls_are_over(desk: Desk) -> None:
    desk.insert(scheduled_at=desk.now.timestamp() * 1000 + 1)
    desk.connection.execute("INSERT INTO settings VALUES ('restored_at', ?)", (int(desk.now.timestamp() * 1000),))
    desk.later(desk.rules.outcome_timeout - MINUTE)
    assert desk.claims() == []
    desk.later(MINUTE)
    assert names(desk.claim()) == [["r1"]]


def test_so_it_is_for_a_process_that_has_not_noticed_the_restore_yet(desk: Desk) -> None:
    """Its poll loop has room for requests: it looked before the restore was committed."""
    desk.insert(scheduled_at=to_ms(desk.now) + 1)
    desk.connection.execute("INSERT INTO settings VALUES ('restored_at', ?)", (to_ms(desk.now),))
    capacity = Capacity(requests=10, checks=10, request_in=MINUTE)
    take = partial(claim, capacity=capacity, rules=desk.rules, witness=Witness(), mint=desk.mint)
    desk.later(desk.rules.outcome_timeout - MINUTE)
    assert desk.write(take) == []
    desk.later(MINUTE)
    assert [one.action is not None for one in desk.write(take)] == [True]


def test_the_last_look_holds_a_request_back_for_the_same_time(desk: Desk) -> None:
    desk.insert()
    [action] = desk.claim()
    desk.connection.execute("INSERT INTO settings VALUES ('restored_at', ?)", (to_ms(desk.now),))
    seen = partial(look, desk.connection, action=action, rules=desk.rules)
    assert seen(now=desk.now + desk.rules.outcome_timeout - MINUTE).paused
    assert not seen(now=desk.now + desk.rules.outcome_timeout).paused


def test_a_lease_that_ran_out_leaves_an_unconfirmed_call(desk: Desk) -> None:
    desk.insert()
    desk.claim()
    desk.later(desk.rules.lease)
    assert desk.claim() == []
    assert desk.reminder().status is Status.PROCESSING
    assert [call.state for call in desk.calls()] == [CallState.UNCONFIRMED]


def test_a_process_never_takes_for_abandoned_what_it_still_works_on(desk: Desk) -> None:
    desk.insert()
    [action] = desk.claim()
    desk.later(desk.rules.lease)
    assert desk.claim(held=frozenset({action.token})) == []
    assert desk.reminder().status is Status.DIALING
    assert desk.calls()[0].wake_at == desk.now + desk.rules.lease


def test_a_resend_needs_the_same_room_as_a_first_request(desk: Desk) -> None:
    desk.rules = able(KEY)
    desk.insert("r1")
    [action] = desk.claim()
    desk.answer(action, Unclear("no answer"))
    desk.later(desk.rules.confirm_after)
    desk.insert("r2", "+12025550002")
    [resend] = desk.claim(requests=1)
    assert (resend.kind, resend.call.id, resend.call.requests) == (ActionKind.RESEND, action.call.id, 2)
    assert desk.reminder("r2").status is Status.SCHEDULED


def test_a_resend_without_room_is_looked_at_again_when_there_may_be_some(desk: Desk) -> None:
    desk.rules = able(BOTH)
    desk.insert()
    [action] = desk.claim()
    desk.answer(action, Unclear("no answer"))
    desk.later(desk.rules.confirm_after)
    assert desk.claim(requests=0) == []
    assert desk.calls()[0].wake_at == desk.now + timedelta(seconds=7)


def test_a_call_that_was_not_placed_is_asked_for_again_with_its_key(desk: Desk) -> None:
    desk.rules = able(KEY)
    desk.insert()
    [action] = desk.claim()
    desk.answer(action, NotPlaced("503"))
    desk.later(desk.rules.backoff.maximum)
    [again] = desk.claim()
    assert again.call.id == action.call.id
    assert len(desk.calls()) == 1


def test_a_bundle_is_one_call_with_a_membership_for_each_of_its_reminders(desk: Desk) -> None:
    desk.rules = evolve(RULES, group_within=HOUR)
    for name in ("r1", "r2", "r3"):
        desk.insert(name)
    desk.insert("other", "+12025550002")
    assert sorted(names(desk.claim()), key=len) == [["other"], ["r1", "r2", "r3"]]
    assert {desk.reminder(name).status for name in ("r1", "r2", "r3", "other")} == {Status.DIALING}
    assert desk.count("call_reminders") == 4


def test_one_reminder_claimed_alone_takes_those_along_that_are_not_in_the_batch(desk: Desk) -> None:
    desk.rules = evolve(RULES, group_within=HOUR)
    desk.insert("r1")
    desk.insert("r2")
    assert names(desk.claim(requests=1)) == [["r1", "r2"]]


def test_a_disk_that_fails_during_a_claim_fails_the_claim_and_no_reminder(desk: Desk) -> None:
    """Taken for a row that breaks the program, each reminder that is due would be failed."""
    desk.insert()
    failure = OperationalError("disk I/O error")
    failure.sqlite_errorcode = 10
    ids = count(1)

    def mint() -> str:
        if next(ids) == 2:
            raise failure
        return "id-1"

    capacity = Capacity(requests=1, checks=1, request_in=MINUTE)
    take = partial(claim, capacity=capacity, rules=desk.rules, witness=Witness(), mint=mint)
    with pytest.raises(StoreUnavailableError, match="failed to read"):
        desk.write(take)
    assert (desk.reminder().status, desk.calls()) == (Status.SCHEDULED, ())


def breaks_for_r1(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = vars(claims)["claim_reminder"]

    def breaks(before: Any, reminder: Any, **rest: Any) -> Any:
        if reminder.id == "r1":
            raise RuntimeError("a bug")
        return decide(before, reminder, **rest)

    monkeypatch.setattr(claims, "claim_reminder", breaks)


def test_a_row_that_breaks_the_program_fails_alone(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.insert("r1")
    desk.insert("r2", "+12025550002")
    breaks_for_r1(monkeypatch)
    assert names(desk.claim()) == [["r2"]]
    assert (desk.reminder("r1").status, desk.reminder("r1").end_code) == (Status.FAILED, EndCode.PROGRAM_ERROR)


def test_one_that_cannot_even_be_marked_as_failed_is_looked_at_again_later(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.insert("r1")
    desk.insert("r2", "+12025550002")
    breaks_for_r1(monkeypatch)
    store = vars(claims)["save"]

    def fails_for_r1(connection: Any, before: Any, after: Any, now: Any) -> None:
        if set(before.reminders) == {"r1"}:
            raise RuntimeError("another bug")
        store(connection, before, after, now)

    monkeypatch.setattr(claims, "save", fails_for_r1)
    assert names(desk.claim()) == [["r2"]]
    assert (desk.reminder("r1").status, desk.reminder("r1").wake_at) == (Status.SCHEDULED, desk.now + desk.rules.lease)


def test_impossible_numbers_of_another_program_break_nothing(desk: Desk) -> None:
    desk.insert(revision=2**63 - 1, attempts=2**63 - 1, tries=2**63 - 1, again_seq=-(2**63))
    assert names(desk.claim()) == [["r1"]]


def test_an_alive_call_that_breaks_the_program_stops_no_other(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, phone in (("r1", "+12025550001"), ("r2", "+12025550002")):
        desk.insert(name, phone)
    desk.claim()
    decide = vars(claims)["claim_call"]

    def breaks_once(before: Any, call: Any, **rest: Any) -> Any:
        if call.reminder_id == "r1":
            raise RuntimeError("a bug")
        return decide(before, call, **rest)

    monkeypatch.setattr(claims, "claim_call", breaks_once)
    desk.later(desk.rules.lease)
    desk.claims()
    assert [desk.calls(name)[0].state for name in ("r1", "r2")] == [CallState.DIALING, CallState.UNCONFIRMED]
    assert desk.calls("r1")[0].wake_at == desk.now + desk.rules.lease


def test_the_limits_hold_for_a_number_by_whichever_reminder_it_was_reached(tmp_path: Path) -> None:
    rules = evolve(RULES, limits=Limits(per_day=1), max_lateness=timedelta(days=3))
    with a_desk(tmp_path / "db", rules) as desk:
        desk.insert("r1")
        desk.insert("r2")
        desk.insert("other", "+12025550002")
        first = desk.claim()
        assert names(first) == [["other"], ["r1"]]
        desk.report(a_report("completed", reminder_id="r1", attempt_id=first[1].call.id))
        desk.later(timedelta(minutes=2))
        assert desk.claim() == []
        held = desk.reminder("r2")
        assert (held.hold_code, held.wake_at) == (HoldCode.LIMITS, (NOW + timedelta(days=1)).replace(hour=0))
        desk.later(timedelta(days=1))
        assert names(desk.claim()) == [["r2"]]


def test_what_did_not_reach_anybody_uses_up_no_limit(tmp_path: Path) -> None:
    rules = evolve(RULES, limits=Limits(per_day=1), voicemail_is_reached=False)
    with a_desk(tmp_path / "db", rules) as desk:
        for number, report in enumerate([a_report("busy"), a_report("completed", answered_by="machine_start")]):
            desk.insert("r1") if number == 0 else desk.later(rules.redial_delay(1))
            (action,) = desk.claim()
            desk.report(evolve(report, external_call_id=f"ext-{number}", reminder_id="r1", attempt_id=action.call.id))
        desk.later(rules.redial_delay(1))
        assert len(desk.claim()) == 1
        assert len(desk.calls()) == 3


@pytest.mark.parametrize(("seconds", "is_reached"), [(1, False), (60, True)])
def test_whoever_hung_up_uses_up_the_limit_once_the_message_was_spoken(
    tmp_path: Path, seconds: int, *, is_reached: bool
) -> None:
    asks = Capabilities(asks_what_to_say=True)
    rules = evolve(RULES, limits=Limits(per_day=1), max_lateness=timedelta(days=2), capabilities=asks)
    with a_desk(tmp_path / "db", rules) as desk:
        desk.insert("r1")
        (action,) = desk.claim()
        line = a_report("in-progress", reminder_id=None, attempt_id=action.call.id)
        desk.pick_up(line)
        desk.later(timedelta(seconds=seconds))
        desk.report(evolve(line, status="completed", ended_at=desk.now))
        desk.insert("r2")
        assert (names(desk.claim()), desk.reminder("r2").hold_code) == (
            ([], HoldCode.LIMITS) if is_reached else ([["r2"]], None)
        )


# What waits for a reason is looked at again


def test_a_poke_wakes_what_waits_for_a_reason_and_changes_nobody_who_is_called(desk: Desk) -> None:
    desk.insert("later", scheduled_at=int((desk.now + HOUR).timestamp() * 1000))
    desk.insert("held", "+12025550002", hold_code="hours", wake_at=int((desk.now + HOUR).timestamp() * 1000))
    desk.insert("redialed", "+12025550003")
    [action] = desk.claim()
    desk.report(a_report("busy", reminder_id="redialed", attempt_id=action.call.id))
    at = desk.reminder("redialed").retry_at
    desk.write(poke)
    assert desk.reminder("held").wake_at == desk.reminder("redialed").wake_at == desk.now
    assert desk.reminder("later").wake_at == desk.now + HOUR
    assert names(desk.claim()) == [["held"]]
    assert (desk.reminder("redialed").wake_at, desk.reminder("redialed").hold_code) == (at, HoldCode.REDIAL)


def test_what_was_held_for_the_hours_and_then_moved_waits_for_its_new_time_through_a_restart(desk: Desk) -> None:
    desk.rules = evolve(RULES, calling_hours=hours(11 * HOUR, 12 * HOUR))
    desk.insert()
    desk.claims()
    assert (desk.reminder().hold_code, desk.reminder().wake_at) == (HoldCode.HOURS, NOW + HOUR)
    at = NOW + 3 * DAY + HOUR
    desk.connection.execute("UPDATE reminders SET scheduled_at = ?", (to_ms(at),))
    desk.later(HOUR)
    desk.write(poke)
    assert desk.claim() == []
    assert desk.reminder().wake_at == at
    desk.later(3 * DAY)
    assert names(desk.claim()) == [["r1"]]


UNTIL_ELEVEN = evolve(RULES, calling_hours=hours(9 * HOUR, 11 * HOUR), max_lateness=2 * DAY)


def test_hours_that_are_changed_reach_what_waits_for_its_redial(desk: Desk) -> None:
    desk.rules = UNTIL_ELEVEN
    desk.later(50 * MINUTE)
    desk.insert()
    [action] = desk.claim()
    desk.report(a_report("busy", reminder_id="r1", attempt_id=action.call.id))
    assert desk.reminder().wake_at == NOW + DAY - HOUR
    desk.rules = evolve(desk.rules, calling_hours=hours(9 * HOUR, 12 * HOUR))
    desk.write(poke)
    desk.later(desk.rules.redial_delay(1) - MINUTE)
    assert desk.claim() == []
    desk.later(MINUTE)
    assert names(desk.claim()) == [["r1"]]


def test_they_reach_an_unconfirmed_call_that_waits_to_be_asked_for_again(desk: Desk) -> None:
    desk.rules = evolve(UNTIL_ELEVEN, capabilities=KEY)
    desk.later(59 * MINUTE)
    desk.insert()
    [action] = desk.claim()
    desk.answer(action, Unclear("no answer"))
    desk.later(desk.rules.confirm_after)
    assert desk.claim() == []
    assert desk.calls()[0].wake_at == NOW + DAY - HOUR
    desk.rules = evolve(desk.rules, calling_hours=hours(9 * HOUR, 12 * HOUR))
    desk.write(poke)
    [again] = desk.claim()
    assert (again.kind, again.call.id) == (ActionKind.RESEND, action.call.id)


def test_limits_that_are_lifted_reach_what_waits_for_them(desk: Desk) -> None:
    desk.rules = evolve(RULES, limits=Limits(per_day=1), max_lateness=2 * DAY)
    desk.insert("r1")
    [action] = desk.claim()
    desk.report(a_report("completed", reminder_id="r1", attempt_id=action.call.id))
    desk.insert("r2")
    assert desk.claim() == []
    assert desk.reminder("r2").hold_code is HoldCode.LIMITS
    desk.rules = evolve(desk.rules, limits=Limits())
    desk.write(poke)
    assert names(desk.claim()) == [["r2"]]


def test_a_poke_leaves_leases_alone(desk: Desk) -> None:
    desk.insert()
    desk.claim()
    before = desk.calls()
    desk.write(poke)
    desk.write(partial(poke, lease=desk.rules.lease))
    assert desk.calls() == before


def test_a_lease_by_a_clock_that_was_ahead_does_not_outlast_the_process_that_was_killed(desk: Desk) -> None:
    desk.insert()
    desk.now += DAY
    desk.rules = evolve(desk.rules, max_lateness=2 * DAY)
    [action] = desk.claim()
    desk.now -= DAY
    desk.write(partial(poke, lease=desk.rules.lease))
    assert desk.claim(held=frozenset({action.token})) == []
    assert desk.calls()[0].state is CallState.DIALING  # whoever still works on it keeps it
    desk.now += desk.rules.lease
    desk.claim()
    assert desk.calls()[0].state is CallState.UNCONFIRMED


def test_what_expired_by_a_clock_that_was_ahead_is_taken_back_once_it_is_right(desk: Desk) -> None:
    desk.insert()
    desk.later(timedelta(days=9))
    desk.claims()
    assert desk.reminder().status is Status.EXPIRED
    desk.later(-timedelta(days=9))
    assert stats.next_wakes(desk.connection, desk.now).reminder == desk.now
    desk.claims()
    assert names(desk.claim()) == [["r1"]] or desk.reminder().status is Status.DIALING


def test_what_was_cancelled_after_that_is_looked_at_once_and_no_more(desk: Desk) -> None:
    desk.insert()
    desk.later(9 * DAY)
    desk.claims()
    desk.connection.execute("UPDATE reminders SET status = 'cancelled'")
    desk.later(-9 * DAY)
    assert stats.next_wakes(desk.connection, desk.now).reminder == desk.now
    desk.claims()
    assert stats.next_wakes(desk.connection, desk.now).reminder is None
    assert (desk.reminder().status, desk.reminder().end_code) == (Status.CANCELLED, EndCode.CANCELLED_ELSEWHERE)


def test_what_another_program_changed_by_a_clock_that_was_ahead_does_not_wait_for_that_time(desk: Desk) -> None:
    desk.insert(status="failed", end_code="max_calls")
    desk.connection.execute("UPDATE reminders SET status = 'scheduled'")
    ahead = to_ms(desk.now + DAY)
    desk.connection.execute("UPDATE reminders SET wake_at = :ahead, revision = revision + 1", {"ahead": ahead})
    assert desk.claim() == []
    desk.write(poke)
    assert names(desk.claim()) == [["r1"]]


# What it costs


def statements(desk: Desk) -> list[str]:
    seen: list[str] = []
    capacity = Capacity(requests=10, checks=10, request_in=MINUTE)
    take = partial(claim, capacity=capacity, rules=desk.rules, witness=desk.witness(), mint=desk.mint)
    desk.connection.set_trace_callback(seen.append)
    desk.write(take)
    desk.connection.set_trace_callback(None)
    ignored = ("SAVEPOINT", "RELEASE", "BEGIN", "COMMIT", "--")
    return [one for one in seen if not one.lstrip().startswith(ignored)]


def test_a_claim_asks_few_questions_however_many_reminders_are_due(desk: Desk) -> None:
    desk.rules = evolve(desk.rules, group_within=HOUR, limits=Limits(per_day=9, per_week=9))
    desk.claim()
    desk.insert("r0", "+12025550000")
    one = [text for text in statements(desk) if text.lstrip().startswith("SELECT")]
    for number in range(1, 9):
        desk.insert(f"r{number}", f"+1202555000{number}")
    many = [text for text in statements(desk) if text.lstrip().startswith("SELECT")]
    assert len(one) <= 5
    assert len(many) == len(one)


_OTHERS = ledger._OTHERS.format(known="(:a)", reminders="(:a)", numbers="(:a)")
QUERIES = {
    "calls to look at": (claims._TAKE_CALLS, "call_logs_to_look_at"),
    "reminders to look at": (claims._TAKE_REMINDERS.format(""), "reminders_to_look_at"),
    "reminders of other numbers": (
        claims._TAKE_REMINDERS.format(claims._NOT_TO.format("(:a)")),
        "reminders_to_look_at",
    ),
    "what ended ahead of time": (claims._ENDED_AHEAD, "reminders_too_late"),
    "bundles": (claims._WAITING.format("(:a)"), "reminders_by_phone_number"),
    "histories": (_OTHERS, "call_reminders_by_reminder"),
    "open calls to the numbers": (_OTHERS, "call_logs_one_open_call"),
    "stray calls to the numbers": (_OTHERS, "call_logs_stray"),
    "who waits for a call": (ledger._WAKE_NUMBER, "reminders_behind_a_call"),
    "when the numbers were reached": (ledger._REACHED.format("(:a)"), "call_logs_by_phone_number"),
    "reports": (ledger._REPORTED, "call_logs_by_reminder"),
    "calls by their ids": (ledger._CALL, "call_reminders"),
    "next wakes": (stats._WAKES, "reminders_to_look_at"),
    "all alive calls": (stats._ALIVE, "call_logs_to_look_at"),
}


@pytest.mark.parametrize("query", QUERIES)
def test_every_query_of_a_claim_reads_an_index(desk: Desk, query: str) -> None:
    sql, index = QUERIES[query]
    names = ("number", "now", "later", "limit", "since", "until", "a", "attempt", "external", "reminder", "id")
    parameters = {name: 1 for name in names if f":{name}" in sql}
    plan = [row["detail"] for row in desk.connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert any(index in line for line in plan), plan
    scans = [line for line in plan if line.startswith("SCAN") and "INDEX" not in line and "CONSTANT" not in line]
    assert not scans
