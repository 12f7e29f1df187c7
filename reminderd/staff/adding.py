"""Add one reminder by hand, and say what staff should look at again."""

from datetime import datetime

from attrs import frozen

from reminderd.core.requests import ReminderRequest, warnings_of
from reminderd.core.rules import Rules
from reminderd.store import reminders
from reminderd.store.connection import Connection
from reminderd.store.opt_outs import opted_out
from reminderd.store.queries import Value
from reminderd.store.reminders import Source


@frozen(kw_only=True)
class Added:
    """A reminder that was added."""

    reminder: dict[str, Value]
    """Its row."""
    warnings: tuple[str, ...]
    """Why the patient will not be called as it stands, and what is misspoken."""


def add_one(
    connection: Connection, now: datetime, *, request: ReminderRequest, reminder_id: str, rules: Rules, source: Source
) -> Added:
    """Store one new reminder under a new id.

    Raises:
        RefTakenError: another reminder has its `ref`.
    """
    row = reminders.add(connection, now, request=request, reminder_id=reminder_id, source=source)
    return Added(reminder=row, warnings=concerns(connection, request, rules))


def concerns(connection: Connection, request: ReminderRequest, rules: Rules) -> tuple[str, ...]:
    """Return what staff should look at again before or after a reminder is added, each with what to do about it."""
    own = warnings_of(request, rules, opted_out=opted_out(connection, request.phone_number))
    rewritten = reminders.look_alikes(connection, [request])
    return (*own, *(warning for warnings in rewritten.values() for warning in warnings))
