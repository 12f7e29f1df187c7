"""Write what the rows of a table ask for, or only compare it with what is stored."""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import groupby
from typing import Any, Final, TypeAlias
from uuid import uuid4

from reminderd.clock import Clock, SystemClock
from reminderd.core.appointments import (
    AppointmentCancellation,
    AppointmentRequest,
    decide_appointment,
    decide_appointment_cancellation,
)
from reminderd.core.masking import without_numbers
from reminderd.core.reasons import EndCode
from reminderd.core.requests import ReminderRequest
from reminderd.core.rules import Rules
from reminderd.core.tables.row_reader import Asked
from reminderd.core.upsert import Cancellation, Decision, decide, decide_cancellation
from reminderd.imports.loop import Chunk, Write
from reminderd.store import appointments, reminders
from reminderd.store.reminders import Source
from reminderd.store.sqlite.driver import Connection, snapshot, transaction
from reminderd.store.sqlite.opening import make_room

_PAUSE: Final = 0.02
"""Seconds after each transaction in which others can write, too; the next rows are being read meanwhile."""

_APPOINTMENTS_AT_ONCE: Final = 200
"""Appointments of one transaction: the calls of each are planned in it, which takes longer than a reminder."""

_ByKind: TypeAlias = Mapping[type, Callable[[Sequence[Any]], list[Decision]]]
"""What decides about some rows of each kind."""


def source_of(name: str, profile: str | None, actor: str) -> Source:
    """Return who imports a file, for the audit. What one file has cancelled, a later one can book again."""
    detail = f"import of {without_numbers(name)}"
    return Source(actor=actor, detail=detail, profile=profile, cancels_as=EndCode.APPOINTMENT_CANCELLED)


def writing(connection: Connection, *, rules: Rules, source: Source, clock: Clock) -> Write:
    """Return what writes chunks into the database, each change with its audit line."""
    make_room(connection)
    fixed = partial(put_and_cancel, rules=rules, mint=lambda: str(uuid4()), source=source)

    def write(chunk: Chunk) -> list[Decision]:
        decided: list[Decision] = []
        for some in _at_once([asked for _, asked in chunk.good]):
            decided += transaction(connection, partial(fixed, asked=some), clock.now())
            time.sleep(_PAUSE)
        return decided

    return write


def _at_once(asked: Sequence[Asked]) -> list[list[Asked]]:
    """Split what a chunk asks for, in its order, into what is written in one transaction."""
    is_of_appointment = isinstance(asked[0], AppointmentRequest | AppointmentCancellation) if asked else False
    size = _APPOINTMENTS_AT_ONCE if is_of_appointment else len(asked)
    numbered = groupby(enumerate(asked), lambda pair: pair[0] // size)
    return [[one for _, one in some] for _, some in numbered]


def put_and_cancel(
    connection: Connection,
    now: datetime,
    *,
    asked: Sequence[Asked],
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> list[Decision]:
    """Write what some rows ask for; return for each what was done. See `reminders.put` for the arguments."""
    put = partial(reminders.put, connection, now, rules=rules, mint=mint, source=source)
    book = partial(appointments.put_appointments, connection, now, rules=rules, mint=mint, source=source)
    call_off = partial(reminders.call_off, connection, now, rules=rules, source=source)
    cancel = partial(appointments.call_off_appointments, connection, now, rules=rules, source=source)
    return _in_order(
        asked,
        {
            ReminderRequest: lambda some: put(requests=some),
            Cancellation: lambda some: call_off(asked=some),
            AppointmentRequest: lambda some: book(requests=some),
            AppointmentCancellation: lambda some: cancel(asked=some),
        },
    )


def comparing(connection: Connection | None, *, rules: Rules, source: Source) -> Write:
    """Return what compares chunks with the database, and writes nothing; None: there is no database yet."""

    def compare(chunk: Chunk) -> list[Decision]:
        asked = [asked for _, asked in chunk.good]
        if connection is None:
            return _in_order(asked, _with_nothing(rules, source))
        return snapshot(connection, lambda opened: _in_order(asked, _with_what_is_stored(opened, rules, source)))

    return compare


def _with_nothing(rules: Rules, source: Source) -> _ByKind:
    now = SystemClock().now()
    book = partial(decide_appointment, existing=None, rules=rules, now=now, opted_out=False)
    return {
        ReminderRequest: lambda some: [decide(one, None, rules, now, opted_out=False) for one in some],
        Cancellation: lambda some: [decide_cancellation(one, None) for one in some],
        AppointmentRequest: lambda some: [book(one, cancels_as=source.cancels_as) for one in some],
        AppointmentCancellation: lambda some: [decide_appointment_cancellation(one, None) for one in some],
    }


def _with_what_is_stored(connection: Connection, rules: Rules, source: Source) -> _ByKind:
    now = SystemClock().now()
    put = partial(reminders.decisions, connection, now, rules=rules)
    book = partial(appointments.appointment_decisions, connection, now, rules=rules, source=source)
    return {
        ReminderRequest: lambda some: [decision for _, decision in put(requests=some)],
        Cancellation: lambda some: [decision for _, decision in reminders.cancellations(connection, some)],
        AppointmentRequest: lambda some: [decision for _, decision in book(requests=some)],
        AppointmentCancellation: lambda some: [
            decision for _, decision in appointments.appointment_cancellations(connection, some)
        ],
    }


def _in_order(asked: Sequence[Asked], by_kind: _ByKind) -> list[Decision]:
    """Decide about every kind at once, and return the decisions in the order of the rows."""
    decided = {kind: iter(of_kind([one for one in asked if type(one) is kind])) for kind, of_kind in by_kind.items()}
    return [next(decided[type(one)]) for one in asked]
