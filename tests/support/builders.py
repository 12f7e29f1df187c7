"""Reminders, calls and ledgers for tests, and the events that can happen to them, at a fixed time."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from attrs import evolve

from reminderd.core.answers import Capabilities, PlacingAnswer, Report
from reminderd.core.daemons import Daemon
from reminderd.core.lifecycle.answer import not_sent, request_answered
from reminderd.core.lifecycle.claim import NewIds, claim_reminder
from reminderd.core.lifecycle.reconcile import CheckLimits, Witness, claim_call
from reminderd.core.lifecycle.report import reported
from reminderd.core.lifecycle.transition import Action, ActionKind, Ledger, Transition
from reminderd.core.model import Call, CallState, Member, Reminder, Status, digest
from reminderd.core.rules import Rules
from reminderd.core.schedule.calling_hours import DAY_MINUTES, CallingHours, Span

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TOKEN = "lease-1"
ACCOUNT = "https://voice.example"
RULES = Rules(account=ACCOUNT)
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

NO_HOURS = CallingHours(ZoneInfo("UTC"), week=((),) * 7)


def hours(start: timedelta, end: timedelta, *, zone: str = "UTC", days: Iterable[int] = range(7)) -> CallingHours:
    """Return hours on these weekdays from `start` until `end`, on the next day if that is not after it."""
    first, last = start // MINUTE, end // MINUTE
    span = Span(first, last if last > first else last + DAY_MINUTES)
    return CallingHours(ZoneInfo(zone), tuple((span,) if day in days else () for day in range(7)))


KEY = Capabilities(honors_key=True, key_lifetime=timedelta(hours=23))
LOOK_UP = Capabilities(look_up=True)
BOTH = evolve(KEY, look_up=True)
DROP = evolve(LOOK_UP, drop=True)


def able(capabilities: Capabilities, **changes: Any) -> Rules:
    return evolve(RULES, capabilities=capabilities, **changes)


def a_daemon(daemon_id: str = "a", **changes: Any) -> Daemon:
    values: dict[str, Any] = {
        "id": daemon_id,
        "host": "north",
        "pid": 1,
        "process": "kernel namespace 17",
        "part": None,
        "version": "1.2.0",
        "rules_digest": "0" * 64,
        "started_at": NOW,
        "seen_at": NOW,
        "jobs_until": NOW,
    }
    return Daemon(**(values | changes))


def a_reminder(status: Status = Status.SCHEDULED, **changes: Any) -> Reminder:
    values: dict[str, Any] = {
        "id": "reminder-1",
        "phone_number": "+12025550001",
        "message": "Your appointment is tomorrow at nine.",
        "scheduled_at": NOW,
        "status": status,
        "wake_at": NOW if status is Status.SCHEDULED else None,
    }
    return Reminder(**(values | changes))


def a_call(state: CallState = CallState.DIALING, **changes: Any) -> Call:
    values: dict[str, Any] = {
        "id": "call-1",
        "seq": 1,
        "reminder_id": "reminder-1",
        "phone_number": "+12025550001",
        "provider": "generic",
        "account": ACCOUNT,
        "state": state,
        "requests": 1,
        "evidence": state not in {CallState.DIALING, CallState.UNCONFIRMED, CallState.NOT_PLACED, CallState.REFUSED},
        "lease_token": TOKEN if state is CallState.DIALING else None,
        "wake_at": NOW + MINUTE if state.alive else None,
        "last_sign_at": NOW,
        "created_at": NOW,
    }
    return Call(**(values | changes))


def a_member(call: Call, reminder: Reminder, **changes: Any) -> Member:
    values: dict[str, Any] = {
        "call_id": call.id,
        "reminder_id": reminder.id,
        "position": 0,
        "scheduled_at": reminder.scheduled_at,
        "message_digest": digest(reminder.message),
    }
    return Member(**(values | changes))


def a_ledger(*rows: Reminder | Call | Member, **facts: Any) -> Ledger:
    """Return a ledger of these rows; without memberships, each reminder is in each call to its number."""
    ledger = Ledger(**facts).put(*rows)
    if not ledger.members:
        reminders = list(ledger.reminders.values())
        pairs = [(call, one) for call in ledger.calls.values() for one in reminders if not call.adopted]
        own = [(call, one) for call, one in pairs if call.phone_number == one.phone_number]
        ledger = ledger.put(*(a_member(call, one, position=reminders.index(one)) for call, one in own))
    newest = max((call.seq for call in ledger.calls.values()), default=0)
    return evolve(ledger, newest_seq=max(newest, ledger.newest_seq))


def a_report(status: str = "completed", **changes: Any) -> Report:
    values: dict[str, Any] = {
        "external_call_id": "ext-1",
        "status": status,
        "reminder_id": "reminder-1",
        "attempt_id": "call-1",
    }
    return Report(**(values | changes))


def silent(call: Call, *, since: timedelta = DAY, known: timedelta = timedelta(0)) -> Witness:
    """Return a witness that has seen no sign of the call for `since`, and has known it for `known`."""
    monotonic = 1_000_000.0
    return Witness(
        monotonic=monotonic,
        signs={call.id: (call.last_sign_at, monotonic - since.total_seconds())},
        first={call.id: monotonic - known.total_seconds()},
    )


NOTHING_SEEN = Witness()


def claimed(
    ledger: Ledger,
    reminder_id: str = "reminder-1",
    *,
    rules: Rules = RULES,
    now: datetime = NOW,
    witness: Witness = NOTHING_SEEN,
) -> Transition:
    """Claim a due reminder; a new call gets the id "call-new" and the lease `TOKEN`."""
    reminder = ledger.reminders[reminder_id]
    return claim_reminder(ledger, reminder, new_ids=NewIds("call-new", TOKEN), witness=witness, rules=rules, now=now)


AT_HAND = CheckLimits()


def call_claimed(
    ledger: Ledger,
    call_id: str = "call-1",
    *,
    rules: Rules = RULES,
    now: datetime = NOW,
    room: CheckLimits = AT_HAND,
    witness: Witness | None = None,
) -> Transition:
    """Claim an alive call that is due."""
    call = ledger.calls[call_id]
    seen = silent(call) if witness is None else witness
    return claim_call(ledger, call, token="lease-2", room=room, witness=seen, rules=rules, now=now)


def an_action(ledger: Ledger, call_id: str = "call-1", kind: ActionKind = ActionKind.PLACE) -> Action:
    """Return the action of a claimed call."""
    call = ledger.calls[call_id]
    reminders = tuple(reminder for _, reminder in ledger.current_members(call))
    return Action(kind=kind, call=call, reminders=reminders)


def answer_settled(
    ledger: Ledger, answer: PlacingAnswer, *, action: Action | None = None, **changes: Any
) -> Transition:
    """Settle the provider's answer to the request of "call-1"."""
    values: dict[str, Any] = {"counts": True, "draw": 0.5, "rules": RULES, "now": NOW}
    return request_answered(ledger, action or an_action(ledger), answer, **(values | changes))


def not_sent_settled(
    ledger: Ledger, reason: str = "stopping", *, action: Action | None = None, **changes: Any
) -> Transition:
    """Settle that the request of "call-1" was not sent."""
    values: dict[str, Any] = {"rules": RULES, "now": NOW}
    return not_sent(ledger, action or an_action(ledger), reason, **(values | changes))


def report_settled(ledger: Ledger, report: Report, **changes: Any) -> Transition:
    """Settle a webhook; an unknown call gets the id "call-adopted"."""
    values: dict[str, Any] = {"receipt_is_new": True, "new_call_id": "call-adopted", "rules": RULES, "now": NOW}
    return reported(ledger, report, **(values | changes))
