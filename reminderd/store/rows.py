"""Rows and data classes: one table of columns drives how reminders, calls and memberships are read and written.

Only this module handles milliseconds and flags as integers.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Flag, StrEnum, auto
from functools import cached_property, lru_cache
from itertools import chain
from typing import Any, Final, Generic, TypeVar

from attrs import fields, frozen

from reminderd.core.masking import mask_numbers
from reminderd.core.model import Appointment, AppointmentStatus, Call, CallOutcome, CallState, Member, Reminder, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.store.connection import Connection, Row

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# Another program may have written any integer; values that are read are bounded so that sums of times never overflow.
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_EARLIEST_MS: Final = (_EARLIEST - _EPOCH) // _MILLISECOND
_LATEST_MS: Final = (_LATEST - _EPOCH) // _MILLISECOND

ROWS_A_STATEMENT: Final = 20
"""How many rows one statement adds: one per row would pass the interpreter's lock back and forth while a file is read.

SQLite looks up the names of parameters one by one: a statement with thousands of them takes longer to bind than to run.
"""

_NONE: Final[Mapping[str, object]] = {}

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

Value = str | int | None
"""What a column contains."""


def to_ms(moment: datetime) -> int:
    """Return the Unix milliseconds of an aware moment, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """Return the UTC moment of Unix milliseconds, bounded to the years 1900 to 9000."""
    if not _EARLIEST_MS <= milliseconds <= _LATEST_MS:
        milliseconds = min(max(milliseconds, _EARLIEST_MS), _LATEST_MS)
    return _EPOCH + milliseconds * _MILLISECOND


def in_list(name: str, values: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the text of an SQL list of named parameters, and the parameters; `(NULL)` if there is none."""
    parameters = {f"{name}{place}": value for place, value in enumerate(values)}
    return f"({', '.join(f':{one}' for one in parameters) or 'NULL'})", parameters


def rows_among(
    connection: Connection, statement: str, parameters: Mapping[str, object], *, ids: Sequence[str] | None, order: str
) -> Iterator[Row]:
    """Yield the rows of a SELECT that ends with its conditions: those with these `ids`; if None, all, in `order`."""
    if ids is None:
        yield from connection.execute(f"{statement} ORDER BY {order}", parameters).fetchall()
        return
    yield from rows_named(connection, f"{statement} AND id IN {{}}", ids, parameters)


def rows_named(
    connection: Connection, statement: str, names: Sequence[str], parameters: Mapping[str, object] = _NONE
) -> Iterator[Row]:
    """Yield the rows of a SELECT with a place for a list of names; several statements read a long list."""
    for start in range(0, len(names), ROWS_A_STATEMENT):
        listed, own = in_list("name", names[start : start + ROWS_A_STATEMENT])
        yield from connection.execute(statement.format(listed), {**parameters, **own}).fetchall()


def codes_by_text(codes: type[E]) -> dict[str, E]:
    """Return the codes by their stored text; codes of a newer version or of another program are missing."""
    return {str(code): code for code in codes}


def attribute_names(noun: type[Any]) -> tuple[str, ...]:
    """Return the names of a data class's attributes."""
    return tuple(one.name for one in fields(noun))


def read_as(noun: type[T], row: Row, **read: Callable[[Any], Any]) -> T:
    """Return the object whose attributes have the names of a row's columns.

    Args:
        noun: its data class.
        row: has at least these columns.
        read: applied to the columns of these names, but not to NULL, which becomes None; the other columns are taken as
            they are.
    """
    values = {name: row[name] for name in attribute_names(noun)}
    for name, convert in read.items():
        if values[name] is not None:
            values[name] = convert(values[name])
    return noun(**values)


def sql_list(codes: Iterable[StrEnum]) -> str:
    """Return the text of an SQL list of codes."""
    return ", ".join(f"'{one}'" for one in codes).join("()")


class Audience(Flag):
    """Who sees a column, in addition to programs that read the database."""

    NOBODY = 0
    STAFF = auto()
    """Staff, in the table of calls that `reminderd show` prints. A reminder is printed with all its columns."""
    API = auto()
    """The clinic's own system, which asks over HTTP."""


STAFF, API = Audience.STAFF, Audience.API


@frozen
class Column:
    """One column and the attribute of the same name."""

    name: str
    read: Callable[[Any], Any] | None = None
    """Applied to the stored value, except NULL; None to take the value as it is."""
    write: Callable[[Any], Value] | None = None
    """Applied to the attribute's value, except None; None to take the value as it is."""
    fixed: bool = False
    """Whether it is written only with a new row."""
    stored: bool = True
    """Whether it is written at all; if not, the database sets its value."""
    is_moment: bool = False
    shown: Audience = Audience.NOBODY


def _moment(name: str, *, fixed: bool = False, shown: Audience = Audience.NOBODY) -> Column:
    return Column(name, read=from_ms, write=to_ms, fixed=fixed, is_moment=True, shown=shown)


def _flag(name: str) -> Column:
    return Column(name, read=bool, write=int)


def _word(name: str, words: type[StrEnum], *, shown: Audience) -> Column:
    """Return a column of codes; an unknown code, of a newer version or another program, is read as None."""
    return Column(name, read=codes_by_text(words).get, write=str, shown=shown)


def _reason(name: str, *, shown: Audience) -> Column:
    """Return a column of sentences that may quote other programs: phone numbers in them are masked when written."""
    return Column(name, write=lambda value: None if value is None else mask_numbers(value), shown=shown)


def _fixed(name: str, *, shown: Audience = Audience.NOBODY) -> Column:
    return Column(name, fixed=True, shown=shown)


@frozen
class StoredTable(Generic[T]):
    """How one data class is stored."""

    name: str
    noun: type[T]
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @cached_property
    def names(self) -> str:
        """Return the columns for a SELECT."""
        return ", ".join(one.name for one in self.columns)

    def of(self, alias: str) -> str:
        """Return the columns for a SELECT that joins tables."""
        return ", ".join(f"{alias}.{one.name}" for one in self.columns)

    def shown_to(self, audience: Audience) -> tuple[str, ...]:
        """Return the columns that an audience is shown, in the table's order."""
        return tuple(one.name for one in self.columns if audience in one.shown)

    def place(self, name: str) -> int:
        """Return where a column is among the table's columns, from 0."""
        return [one.name for one in self.columns].index(name)

    def read(self, row: Row, start: int = 0) -> T:
        """Return the object in a row of a SELECT whose columns are the table's, from the column `start` on."""
        values = dict(zip(self._names, row[start : start + len(self.columns)], strict=True))
        for name, read in self._readers:
            if values[name] is not None:
                values[name] = read(values[name])
        noun = object.__new__(self.noun)  # as the constructor would make it, in half the time
        vars(noun).update(values)
        return noun

    def insert(self, connection: Connection, noun: T, **instead: object) -> None:
        """Add a row; `instead` has values for some columns in place of the object's."""
        connection.execute(self._insert, _values(noun, self._stored, instead))

    def insert_all(self, connection: Connection, nouns: Sequence[T], **instead: object) -> None:
        """Add rows, several with each statement; for `instead`, see `insert`."""
        rows = [{**vars(noun), **instead} for noun in nouns]
        columns: dict[str, Sequence[Value]] = {}
        for one in self._stored:
            values = [row[one.name] for row in rows]
            write = one.write
            columns[one.name] = values if write is None else [None if it is None else write(it) for it in values]
        insert_rows(connection, self.name, columns)

    def update(self, connection: Connection, before: T, after: T, **instead: object) -> None:
        """Write what differs between two versions of a row; `instead`: see `insert`.

        Other columns are left out: a database rewrites each index on a column that is set, even to the same value.
        """
        former = vars(before)
        values = {
            name: value
            for name, value in vars(after).items()
            if value is not former[name] and value != former[name] and name in self._changing
        }
        values.update(instead)
        statement = _update(self.name, tuple(values), self.key)
        for name, value in values.items():
            write = self._writers.get(name)
            if write is not None and value is not None:
                values[name] = write(value)
        for name in self.key:
            values[name] = getattr(after, name)
        connection.execute(statement, values)

    @cached_property
    def _names(self) -> list[str]:
        return [one.name for one in self.columns]

    @cached_property
    def _readers(self) -> list[tuple[str, Callable[[Any], Any]]]:
        return [(one.name, one.read) for one in self.columns if one.read is not None]

    @cached_property
    def _stored(self) -> list[Column]:
        return [one for one in self.columns if one.stored]

    @cached_property
    def _changing(self) -> frozenset[str]:
        return frozenset(one.name for one in self._stored if not one.fixed)

    @cached_property
    def _writers(self) -> dict[str, Callable[[Any], Value]]:
        return {one.name: one.write for one in self.columns if one.write is not None}

    @cached_property
    def _insert(self) -> str:
        names = [one.name for one in self._stored]
        return f"INSERT INTO {self.name} ({', '.join(names)}) VALUES ({', '.join(f':{one}' for one in names)})"


def insert_rows(connection: Connection, table: str, columns: Mapping[str, Sequence[Value]]) -> None:
    """Add rows, several with each statement.

    A column that has the same value in all rows of a statement has one parameter there, so that there are few of them.
    """
    names = tuple(columns)
    for start in range(0, len(columns[names[0]]), ROWS_A_STATEMENT):
        some = [columns[name][start : start + ROWS_A_STATEMENT] for name in names]
        are_same = tuple(values.count(values[0]) == len(values) for values in some)
        statement, marks = _insertion(table, names, are_same, len(some[0]))
        values = chain.from_iterable(
            values[:1] if is_same else values for values, is_same in zip(some, are_same, strict=True)
        )
        connection.execute(statement, dict(zip(marks, values, strict=True)))


@lru_cache(maxsize=256)
def _insertion(
    table: str, names: tuple[str, ...], are_same: tuple[bool, ...], rows: int
) -> tuple[str, tuple[str, ...]]:
    """Return the statement that adds this many rows, and the names of its parameters, column by column."""
    marks = [
        (name,) if is_same else tuple(f"{name}{place}" for place in range(rows))
        for name, is_same in zip(names, are_same, strict=True)
    ]
    lines = [", ".join(f":{one[place if len(one) > 1 else 0]}" for one in marks) for place in range(rows)]
    listed = ", ".join(f"({line})" for line in lines)
    return f"INSERT INTO {table} ({', '.join(names)}) VALUES {listed}", tuple(chain.from_iterable(marks))


@lru_cache(maxsize=256)
def _update(table: str, names: tuple[str, ...], key: tuple[str, ...]) -> str:
    """Return the statement that sets these columns of one row."""
    changes = ", ".join(f"{one} = :{one}" for one in names)
    return f"UPDATE {table} SET {changes} WHERE {' AND '.join(f'{one} = :{one}' for one in key)}"


def _values(noun: object, columns: Sequence[Column], instead: Mapping[str, object]) -> dict[str, Value]:
    values: dict[str, Any] = {one.name: getattr(noun, one.name) for one in columns}
    values.update(instead)
    for one in columns:
        if one.write is not None and values[one.name] is not None:
            values[one.name] = one.write(values[one.name])
    return values


REMINDERS: Final = StoredTable(
    "reminders",
    Reminder,
    ("id",),
    (
        _fixed("id", shown=API),
        _fixed("ref", shown=API),
        Column("phone_number", shown=API),
        Column("message"),
        _moment("scheduled_at", shown=API),
        _moment("expires_at", shown=API),
        Column("timezone", shown=API),
        Column("language", shown=API),
        _fixed("appointment_id", shown=API),
        _word("status", Status, shown=API),
        Column("response", shown=API),
        _reason("last_error", shown=API),
        _moment("wake_at"),
        _moment("retry_at"),
        Column("attempts", shown=API),
        Column("tries"),
        _moment("again_until"),
        Column("again_seq"),
        _word("hold_code", HoldCode, shown=API),
        _word("end_code", EndCode, shown=API),
        _moment("ended_at"),
        _moment("done_at", shown=API),
        _moment("planned_at", fixed=True),
        _fixed("cadence", shown=API),
        _fixed("source"),
        Column("revision"),
        _moment("created_at", fixed=True),
        _moment("updated_at"),
    ),
)

APPOINTMENTS: Final = StoredTable(
    "appointments",
    Appointment,
    ("id",),
    (
        _fixed("id", shown=API),
        _fixed("ref", shown=API),
        Column("phone_number", shown=API),
        Column("patient_ref", shown=API),
        _moment("at", shown=API),
        Column("timezone", shown=API),
        Column("type", shown=API),
        Column("template", shown=API),
        Column("language", shown=API),
        Column("name", shown=API),
        Column("provider", shown=API),
        Column("place", shown=API),
        _word("status", AppointmentStatus, shown=API),
        Column("response", shown=API),
        Column("source"),
        _moment("wake_at"),
        _moment("planned_at"),
        Column("former_number"),
        _word("end_code", EndCode, shown=API),
        _reason("last_error", shown=API),
        Column("revision"),
        _moment("created_at", fixed=True),
        _moment("updated_at"),
    ),
)

CALLS: Final = StoredTable(
    "call_logs",
    Call,
    ("id",),
    (
        Column("seq", fixed=True, stored=False),
        _fixed("id"),
        _fixed("reminder_id"),
        _fixed("phone_number"),
        _fixed("provider"),
        _fixed("account"),
        _word("state", CallState, shown=STAFF | API),
        Column("status", shown=STAFF | API),
        _word("outcome", CallOutcome, shown=STAFF | API),
        Column("answered_by", shown=STAFF | API),
        Column("requests", shown=STAFF),
        Column("checks", shown=STAFF),
        Column("external_call_id", shown=STAFF),
        _flag("evidence"),
        _flag("adopted"),
        Column("lease_token"),
        _moment("wake_at"),
        _moment("last_sign_at"),
        _moment("fetched_at"),
        _moment("hung_up_at"),
        Column("transcript"),
        Column("duration_seconds", shown=API),
        Column("sip_response_code"),
        Column("error_code"),
        _reason("error", shown=STAFF),
        _moment("created_at", fixed=True, shown=API),
        _moment("updated_at"),
        _moment("received_at", shown=API),
    ),
)

MEMBERS: Final = StoredTable(
    "call_reminders",
    Member,
    ("call_id", "reminder_id"),
    (
        _fixed("call_id"),
        _fixed("reminder_id"),
        Column("position"),
        _moment("scheduled_at"),
        Column("message_digest"),
        _flag("spoken"),
        _moment("spoken_by"),
        _flag("deleted"),
    ),
)

END_CODES: Final = codes_by_text(EndCode)
HOLD_CODES: Final = codes_by_text(HoldCode)
CALL_OUTCOMES: Final = codes_by_text(CallOutcome)

MOMENTS: Final = frozenset(
    one.name for table in (REMINDERS, APPOINTMENTS, CALLS, MEMBERS) for one in table.columns if one.is_moment
)
"""The columns that contain a time."""
