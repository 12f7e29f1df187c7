"""Reminders and calls for tests, and what can happen to them, at a fixed time."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from attrs import evolve

from reminderd.core.answers import Answer, Capabilities, Finding, Report
from reminderd.core.lifecycle import Step, Surroundings, answered, looked_up, not_sent, reported, wake
from reminderd.core.reminder import Call, Reminder, Status
from reminderd.core.rules import Rules
from reminderd.core.window import DAY_MINUTES, Span, Window

NOW = datetime(2026, 3, 2, 10, 0, tzinfo=UTC)
TOKEN = "lease-1"
AT_HAND = Surroundings()
RULES = Rules()
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

NO_HOURS = Window(ZoneInfo("UTC"), week=((),) * 7)


def hours(start: timedelta, end: timedelta, *, zone: str = "UTC", days: Iterable[int] = range(7)) -> Window:
    """Open on these weekdays from `start` until before `end`, on the next day if that is not after it."""
    first, last = start // MINUTE, end // MINUTE
    span = Span(first, last if last > first else last + DAY_MINUTES)
    return Window(ZoneInfo(zone), tuple((span,) if day in days else () for day in range(7)))


KEY = Capabilities(honours_key=True, key_lifetime=timedelta(hours=23))
LOOK_UP = Capabilities(look_up=True)
BOTH = evolve(KEY, look_up=True)
DROP = evolve(LOOK_UP, drop=True)


def able(capabilities: Capabilities, **changes: Any) -> Rules:
    return evolve(RULES, capabilities=capabilities, **changes)


def a_reminder(status: Status = Status.SCHEDULED, **changes: Any) -> Reminder:
    values: dict[str, Any] = {
        "id": "reminder-1",
        "phone_number": "+15550100001",
        "message": "Your appointment is tomorrow at nine.",
        "scheduled_at": NOW,
        "status": status,
        "wake_at": None if status.final else NOW,
        "attempts": 0 if status is Status.SCHEDULED else 1,
    }
    return Reminder(**(values | changes))


def a_call(status: str = "dialing", **changes: Any) -> Call:
    values: dict[str, Any] = {
        "id": "call-1",
        "reminder_id": "reminder-1",
        "attempt": 1,
        "status": status,
        "provider": "generic",
        "tries": 1,
        "created_at": NOW,
        "updated_at": NOW,
    }
    return Call(**(values | changes))


def a_report(status: str = "completed", **changes: Any) -> Report:
    values: dict[str, Any] = {
        "external_call_id": "ext-1",
        "status": status,
        "reminder_id": "reminder-1",
        "attempt_id": "call-1",
    }
    return Report(**(values | changes))


def woken(
    reminder: Reminder, *calls: Call, around: Surroundings = AT_HAND, rules: Rules = RULES, now: datetime = NOW
) -> Step:
    """The reminder's time has come; a new call would get the id "call-new", the claim is under `TOKEN`."""
    return wake(reminder, calls, around=around, rules=rules, now=now, token=TOKEN, new_call_id="call-new")


def replied(reminder: Reminder, call: Call, answer: Answer, *, older: tuple[Call, ...] = (), **changes: Any) -> Step:
    """The provider answers the request of `call`, sent under `TOKEN`; an unconfirmed call's was sent again."""
    values: dict[str, Any] = {
        "token": TOKEN,
        "tries": call.tries,
        "resend": call.status == "unconfirmed",
        "burns_try": True,
        "id_taken": False,
        "rules": RULES,
        "now": NOW,
        "draw": 0.5,
    }
    return answered(reminder, (*older, call), call, answer, **(values | changes))


def unsent(reminder: Reminder, call: Call, reason: str = "stopping", **changes: Any) -> Step:
    """The request of `call`, claimed under `TOKEN`, did not go out."""
    values: dict[str, Any] = {
        "token": TOKEN,
        "tries": call.tries,
        "resend": call.status == "unconfirmed",
        "opted_out": False,
        "now": NOW,
    }
    return not_sent(reminder, (call,), call, reason, **(values | changes))


def told(reminder: Reminder, *calls: Call, report: Report, **changes: Any) -> Step:
    """A webhook came; a row for a report that matches no call would get the id "call-kept"."""
    values: dict[str, Any] = {
        "receipt_is_new": True,
        "id_taken": False,
        "new_call_id": "call-kept",
        "rules": RULES,
        "now": NOW,
    }
    return reported(reminder, calls, report, **(values | changes))


def asked(reminder: Reminder, call: Call, finding: Finding, *, older: tuple[Call, ...] = (), **changes: Any) -> Step:
    """A look-up of `call`, made under `TOKEN`, came back."""
    values: dict[str, Any] = {
        "token": TOKEN,
        "receipt_is_new": True,
        "id_taken": False,
        "new_call_id": "call-kept",
        "rules": RULES,
        "now": NOW,
    }
    return looked_up(reminder, (*older, call), call, finding, **(values | changes))
