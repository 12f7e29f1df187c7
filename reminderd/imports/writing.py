"""Write what the rows of a table ask for, or only compare it with what is stored; record each import in `imports`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

from attrs import define

from reminderd.clock import Clock, SystemClock
from reminderd.core.appointments import (
    AppointmentCancellation,
    AppointmentRequest,
    decide_appointment,
    decide_appointment_cancellation,
)
from reminderd.core.imports import ImportStatus, SnapshotMark
from reminderd.core.masking import without_numbers
from reminderd.core.reasons import EndCode
from reminderd.core.requests import ReminderRequest
from reminderd.core.rules import Rules
from reminderd.core.tables.row_reader import Asked
from reminderd.core.upsert import Cancellation, Decision, decide, decide_cancellation
from reminderd.imports.loop import Chunk, Tally, Write
from reminderd.store import appointments, reminders
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.import_records import begin_import, end_import, note_headers
from reminderd.store.intake import Source

_ByKind: TypeAlias = Mapping[type, Callable[[Sequence[Any]], list[Decision]]]
"""What decides about some rows of each kind."""


def source_of(name: str, profile: str | None, actor: str) -> Source:
    """Return who imports a file, for the audit. What one file has cancelled, a later one can book again."""
    detail = f"import of {without_numbers(name)}"
    return Source(actor=actor, detail=detail, profile=profile, cancels_as=EndCode.APPOINTMENT_CANCELLED)


def writing(connection: Connection, *, rules: Rules, source: Source, clock: Clock) -> Write:
    """Return what writes chunks into the database, each change with its audit line."""
    connection.make_room()
    fixed = partial(put_and_cancel, rules=rules, mint=lambda: str(uuid4()), source=source)

    def write(chunk: Chunk) -> list[Decision]:
        asked = [asked for _, asked in chunk.good]
        return transaction(connection, partial(fixed, asked=asked), clock.now()) if asked else []

    return write


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


@define
class Ending:
    """How an import ends, if nothing fails."""

    status: ImportStatus = ImportStatus.DONE


def refused(connection: Connection, now: datetime, *, file: str, profile: str | None, actor: str, reason: str) -> None:
    """Record that a file was refused as a whole; the reason contains nothing about a patient."""

    def write(connection: Connection, now: datetime) -> None:
        import_id = begin_import(connection, now, file=file, profile=profile, actor=actor)
        status = ImportStatus.REFUSED
        end_import(connection, now, import_id=import_id, status=status, done={}, rejected=0, reason=reason)

    transaction(connection, write, now)


@contextmanager
def recorded(
    connection: Connection,
    tally: Tally,
    *,
    name: str,
    source: Source,
    headers: Mapping[str, str],
    mark: SnapshotMark | None,
    clock: Clock,
) -> Iterator[Ending]:
    """Record an import from its beginning to its end; what fails is recorded, too, as far as that is possible.

    The headers are those of the file, by our fields: the answers come back under those of the last file of a profile.
    A snapshot has a mark.
    """
    profile, actor = source.profile, source.actor

    def begin(connection: Connection, now: datetime) -> int:
        if profile is not None:
            note_headers(connection, now, profile=profile, headers=headers)
        return begin_import(connection, now, file=name, profile=profile, actor=actor, mark=mark)

    import_id = transaction(connection, begin, clock.now())

    def end(status: ImportStatus, reason: str | None) -> None:
        done, rejected = tally.done, tally.rejected.lines
        write = partial(end_import, import_id=import_id, status=status, done=done, rejected=rejected, reason=reason)
        transaction(connection, write, clock.now())

    ending = Ending()
    try:
        yield ending
    except BaseException as error:
        status = ImportStatus.INTERRUPTED if isinstance(error, KeyboardInterrupt) else ImportStatus.FAILED
        with suppress(StoreUnavailableError):  # the row then shows that it was not finished
            end(status, _why(error))
        raise
    end(ending.status, None)


def _why(error: BaseException) -> str | None:
    """Return why an import has failed, without anything that is in its file."""
    if isinstance(error, KeyboardInterrupt):
        return None
    if isinstance(error, StoreUnavailableError):
        return str(error)
    return error.strerror if isinstance(error, OSError) else f"unexpected error ({type(error).__name__})"
