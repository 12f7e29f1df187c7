"""Reminders that another program asks for over HTTP: all of a request in one transaction, or none."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

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
from reminderd.store.queries import Value, calls_of, named
from reminderd.store.rows import load_reminder

ACTOR = "api"

_BY_ID: Final = "SELECT * FROM reminders WHERE id = ?"
_BY_REF: Final = "SELECT * FROM reminders WHERE ref = ?"


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


class AmbiguousError(Exception):
    """A name is the id of one reminder and the `ref` of another, so none of them is meant for certain."""


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
    # Not by `whole`: a `ref` may look like another's id.
    stored = (
        _found(connection, _BY_ID, one.own_id) if one.ref is None else _found(connection, _BY_REF, one.ref)
        for one in wanted
    )
    return [Taken(whole=found, fate=Fate(what)) for found, what in zip(stored, done, strict=True) if found is not None]


def whole(connection: Connection, id_or_ref: str) -> Whole | None:
    """The reminder with this id or `ref`; None if there is none.

    Raises:
        AmbiguousError: there are two. Foreign SQL chooses ids, so that one may be what another is called.
    """
    if not id_or_ref.isprintable():
        return None
    by_id, by_ref = (_found(connection, sql, id_or_ref) for sql in (_BY_ID, _BY_REF))
    if by_id is not None and by_ref is not None and by_id.reminder["id"] != by_ref.reminder["id"]:
        raise AmbiguousError(id_or_ref)
    return by_id or by_ref


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
    reminder = load_reminder(connection, reminder_id)
    if reminder is not None and reminder.status is Status.CANCELLED:
        return found, None
    step = desk.cancel(connection, now, reminder_id=reminder_id, actor=ACTOR)
    return _found(connection, _BY_ID, reminder_id) or found, step


def _found(connection: Connection, sql: str, name: str) -> Whole | None:
    row = connection.execute(sql, (name,)).fetchone()
    return None if row is None else Whole(reminder=named(row), calls=calls_of(connection, row["id"]))
