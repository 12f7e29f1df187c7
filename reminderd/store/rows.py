"""Rows and data classes: one table of columns drives how reminders, calls and memberships are read and written.

Only this module handles milliseconds and flags as integers.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cached_property
from typing import Any, Final, Generic, TypeVar

from attrs import frozen

from reminderd.core.masking import without_numbers
from reminderd.core.model import Call, CallOutcome, CallState, Member, Reminder, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.store.connection import Connection, Row, Value

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)
# Another program may have written any integer; values that are read are bounded so that sums of times never overflow.
_EARLIEST: Final = datetime(1900, 1, 1, tzinfo=UTC)
_LATEST: Final = datetime(9000, 1, 1, tzinfo=UTC)
_EARLIEST_MS: Final = (_EARLIEST - _EPOCH) // _MILLISECOND
_LATEST_MS: Final = (_LATEST - _EPOCH) // _MILLISECOND

T = TypeVar("T")


def to_ms(moment: datetime) -> int:
    """Return the Unix milliseconds of an aware moment, rounded down."""
    return (moment - _EPOCH) // _MILLISECOND


def from_ms(milliseconds: int) -> datetime:
    """Return the UTC moment of Unix milliseconds, bounded to the years 1900 to 9000."""
    return _EPOCH + min(max(milliseconds, _EARLIEST_MS), _LATEST_MS) * _MILLISECOND


def in_list(name: str, values: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Return the text of an SQL list of named parameters, and the parameters; `(NULL)` if there is none."""
    parameters = {f"{name}{place}": value for place, value in enumerate(values)}
    return f"({', '.join(f':{one}' for one in parameters) or 'NULL'})", parameters


@frozen
class Column:
    """One column and the attribute of the same name."""

    name: str
    read: Callable[[Any], Any] | None = None
    """None: the value as it is stored."""
    write: Callable[[Any], Value] | None = None
    """None: the attribute's value as it is."""
    fixed: bool = False
    """Written only with a new row."""
    stored: bool = True
    """Whether it is written at all; if not, the database sets its value."""
    is_moment: bool = False


def _moment(name: str, *, fixed: bool = False) -> Column:
    return Column(
        name,
        read=lambda value: None if value is None else from_ms(value),
        write=lambda value: None if value is None else to_ms(value),
        fixed=fixed,
        is_moment=True,
    )


def _flag(name: str) -> Column:
    return Column(name, read=bool, write=int)


def _word(name: str, words: type[StrEnum]) -> Column:
    """Return a column of codes; an unknown code, of a newer version or another program, is read as none."""
    known = {str(word): word for word in words}
    return Column(name, read=known.get, write=lambda value: None if value is None else str(value))


def _reason(name: str) -> Column:
    """Return a column of sentences that may have others' words in them: no phone number is written into it."""
    return Column(name, write=lambda value: None if value is None else without_numbers(value))


def _fixed(name: str) -> Column:
    return Column(name, fixed=True)


@frozen
class Table(Generic[T]):
    """How one data class is stored."""

    name: str
    noun: Callable[..., T]
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @cached_property
    def names(self) -> str:
        """Return the columns for a SELECT."""
        return ", ".join(one.name for one in self.columns)

    def prefixed(self, alias: str) -> str:
        """Return the columns for a SELECT that joins tables: each name is prefixed with the alias."""
        return ", ".join(f"{alias}.{one.name} AS {alias}_{one.name}" for one in self.columns)

    def read(self, row: Row | Mapping[str, Value], prefix: str = "") -> T:
        """Return the object in a row; `prefix` is the one given to `prefixed`."""
        return self.noun(
            **{
                one.name: row[prefix + one.name] if one.read is None else one.read(row[prefix + one.name])
                for one in self.columns
            }
        )

    def insert(self, connection: Connection, noun: T) -> None:
        """Add a row."""
        connection.execute(self._insert, _values(noun, self._stored))

    def update(self, connection: Connection, noun: T) -> None:
        """Write every column that may change."""
        connection.execute(self._update, _values(noun, self._changing))

    @cached_property
    def _stored(self) -> list[Column]:
        return [one for one in self.columns if one.stored]

    @cached_property
    def _changing(self) -> list[Column]:
        return [one for one in self._stored if not one.fixed or one.name in self.key]

    @cached_property
    def _insert(self) -> str:
        names = [one.name for one in self._stored]
        return f"INSERT INTO {self.name} ({', '.join(names)}) VALUES ({', '.join(f':{one}' for one in names)})"

    @cached_property
    def _update(self) -> str:
        changes = ", ".join(f"{one.name} = :{one.name}" for one in self.columns if one.stored and not one.fixed)
        return f"UPDATE {self.name} SET {changes} WHERE {' AND '.join(f'{one} = :{one}' for one in self.key)}"


def _values(noun: object, columns: Sequence[Column]) -> dict[str, Value]:
    return {
        one.name: getattr(noun, one.name) if one.write is None else one.write(getattr(noun, one.name))
        for one in columns
    }


REMINDERS: Final = Table(
    "reminders",
    Reminder,
    ("id",),
    (
        _fixed("id"),
        _fixed("ref"),
        _fixed("phone_number"),
        _fixed("message"),
        _moment("scheduled_at", fixed=True),
        _moment("expires_at", fixed=True),
        _fixed("timezone"),
        _word("status", Status),
        Column("response"),
        _reason("last_error"),
        _moment("wake_at"),
        _moment("retry_at"),
        Column("attempts"),
        Column("tries"),
        _moment("again_until"),
        Column("again_seq"),
        _word("hold_code", HoldCode),
        _word("end_code", EndCode),
        _moment("ended_at"),
        Column("revision"),
        _moment("created_at", fixed=True),
        _moment("updated_at"),
    ),
)
"""Only `store/reminders.py` writes what lifecycle functions never change (number, message, times)."""

CALLS: Final = Table(
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
        _word("state", CallState),
        Column("status"),
        _word("outcome", CallOutcome),
        Column("external_call_id"),
        Column("requests"),
        Column("checks"),
        _flag("evidence"),
        _flag("adopted"),
        Column("lease_token"),
        _moment("wake_at"),
        _moment("last_sign_at"),
        Column("transcript"),
        Column("answered_by"),
        Column("duration_seconds"),
        Column("sip_response_code"),
        Column("error_code"),
        _reason("error"),
        _moment("created_at", fixed=True),
        _moment("updated_at"),
        _moment("received_at"),
    ),
)

MEMBERS: Final = Table(
    "call_reminders",
    Member,
    ("call_id", "reminder_id"),
    (
        _fixed("call_id"),
        _fixed("reminder_id"),
        Column("position"),
        _moment("scheduled_at"),
        Column("message_digest"),
        _flag("said"),
        _flag("gone"),
    ),
)

MOMENTS: Final = frozenset(one.name for table in (REMINDERS, CALLS, MEMBERS) for one in table.columns if one.is_moment)
"""The columns that contain a time."""
