"""Reminders that another program asks for over HTTP: all of a request in one transaction, or none."""

from collections.abc import Callable, Sequence
from datetime import datetime

from attrs import frozen

from reminderd.core.imported import Fate
from reminderd.core.intake import Wish, too_late
from reminderd.core.lifecycle import Step
from reminderd.core.reminder import Status
from reminderd.core.rules import Rules
from reminderd.store import desk
from reminderd.store.driver import Connection
from reminderd.store.errors import UnknownReminderError
from reminderd.store.imports import fates, take
from reminderd.store.queries import Value, calls_of, find_reminder, reminder_with_id, reminder_with_ref

ACTOR = "api"


@frozen
class Refusal:
    """Why one of the reminders that were asked for can't be taken."""

    place: int
    """In the request, from 0."""
    reason: str
    is_conflict: bool
    """It is another than the one that its `ref` names already; else it is too late for it."""


class RefusedError(Exception):
    """Nothing was stored; `refusals` says why not, one for each that was in the way."""

    def __init__(self, refusals: Sequence[Refusal]) -> None:
        super().__init__("; ".join(refusal.reason for refusal in refusals))
        self.refusals = refusals


@frozen(kw_only=True)
class Whole:
    """A reminder as it is stored, with its calls."""

    reminder: dict[str, Value]
    calls: list[dict[str, Value]]


@frozen(kw_only=True)
class Taken:
    """A reminder that was asked for, and what that has changed."""

    whole: Whole
    fate: Fate


def take_all(
    connection: Connection, now: datetime, *, wanted: Sequence[Wish], rules: Rules, mint: Callable[[], str]
) -> list[Taken]:
    """Store all that is wanted, in its order.

    Args:
        connection: inside a write transaction.
        now: the time of the transaction.
        wanted: no two with the same `ref`, nor the same content without one.
        rules: the clinic's.
        mint: gives new random UUIDs.

    Raises:
        RefusedError: at least one can't be taken, so none is.
    """
    judged = fates(connection, now, wanted=wanted, rules=rules)
    refusals = [
        Refusal(place, what, is_conflict=what != too_late(one, rules, now))
        for place, (one, (_, what)) in enumerate(zip(wanted, judged, strict=True))
        if not isinstance(what, Fate)
    ]
    if refusals:
        raise RefusedError(refusals)
    done = take(connection, now, wanted=wanted, rules=rules, mint=mint, actor=ACTOR, act="intake", detail="over HTTP")
    rows = (
        reminder_with_id(connection, one.own_id) if one.ref is None else reminder_with_ref(connection, one.ref)
        for one in wanted
    )
    return [
        Taken(whole=_with_calls(connection, row), fate=Fate(what))
        for row, what in zip(rows, done, strict=True)
        if row is not None
    ]


def whole(connection: Connection, id_or_ref: str) -> Whole | None:
    """The reminder with this id or `ref`, see `find_reminder`; None if there is none."""
    row = find_reminder(connection, id_or_ref)
    return None if row is None else _with_calls(connection, row)


def withdraw(connection: Connection, now: datetime, *, id_or_ref: str) -> tuple[Whole, Step | None]:
    """Cancel a reminder; one that is cancelled already stays so.

    Raises:
        UnknownReminderError: there is none with this id or `ref`.
        AmbiguousError: there are two.
        NotAllowedError: it has come to another end already.
    """
    found = whole(connection, id_or_ref)
    if found is None:
        raise UnknownReminderError(id_or_ref)
    reminder_id = str(found.reminder["id"])
    if found.reminder["status"] == Status.CANCELLED:
        return found, None
    step = desk.cancel(connection, now, reminder_id=reminder_id, actor=ACTOR)
    row = reminder_with_id(connection, reminder_id)
    return found if row is None else _with_calls(connection, row), step


def _with_calls(connection: Connection, row: dict[str, Value]) -> Whole:
    return Whole(reminder=row, calls=calls_of(connection, str(row["id"])))
