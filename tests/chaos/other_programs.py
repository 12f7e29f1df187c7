"""Act as the clinic's other programs, with the SQL of docs/database.md, and keep their own book of what they want."""

from collections.abc import Callable
from contextlib import ExitStack
from copy import copy
from datetime import datetime
from itertools import count
from typing import Any, Final

from attrs import define, field, frozen

from reminderd.databases import SqliteFile, Target
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, Parameters, Rows
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.driver import SqliteConnection, connect
from tests.chaos.carrier import Subject, message_for, names_in

_EPOCH: Final = 2440587.5
"""The Unix epoch, in julian days."""
_DAY_SECONDS: Final = 86_400


@define(kw_only=True)
class Wanted:
    """A reminder as the clinic has last written it."""

    id: str
    name: str
    life: int
    phone_number: str
    scheduled_at: datetime
    version: int = 0
    expires_at: datetime | None = None
    ref: str | None = None
    timezone: str | None = None
    """The time zone of the patient, which decides the calling hours."""
    is_cancelled: bool = False
    again_until: datetime | None = None
    is_held: bool = False
    """Whether an import gave it a new number that staff have not accepted yet."""
    former_number: str | None = None
    """The last accepted number, while it is held."""

    @property
    def message(self) -> str:
        return message_for(self.name, self.version)

    @property
    def subject(self) -> Subject:
        return Subject(self.name, self.life, self.scheduled_at)

    @property
    def columns(self) -> dict[str, Any]:
        """Return the columns that other programs write."""
        return {
            "id": self.id,
            "ref": self.ref,
            "phone_number": self.phone_number,
            "message": self.message,
            "scheduled_at": to_ms(self.scheduled_at),
            "expires_at": None if self.expires_at is None else to_ms(self.expires_at),
        }


@define
class Book:
    """All reminders that the clinic wants, by name, and the numbers that are not to be called."""

    reminders: dict[str, Wanted] = field(factory=dict)
    opted_out: set[str] = field(factory=set)
    _lives: "count[int]" = field(factory=count)
    retired: list[Wanted] = field(factory=list)
    """Ended reminders whose name a new reminder has taken."""

    def new(self, name: str, phone_number: str, at: datetime, **others: Any) -> Wanted:
        """Note a new reminder."""
        values: dict[str, Any] = {"id": name, "name": name, "life": next(self._lives), "phone_number": phone_number}
        self.reminders[name] = Wanted(scheduled_at=at, **(values | others))
        return self.reminders[name]

    def retires(self, wanted: Wanted) -> None:
        """Keep an ended reminder next to a new reminder of the same name."""
        self.retired.append(self.reminders.pop(wanted.name))

    def subjects_of(self, message: str) -> tuple[Subject, ...]:
        """Return the subjects of a message that somebody still wants."""
        return tuple(self.reminders[name].subject for name in names_in(message) if name in self.reminders)

    def saved(self) -> "Book":
        """Return the book as a backup keeps it."""
        kept = {name: copy(one) for name, one in self.reminders.items()}
        return Book(kept, set(self.opted_out), self._lives, list(map(copy, self.retired)))


@define
class OtherProgram:
    """The connection of another program; each documented statement is a method."""

    connection: "Connection | OnServer"
    book: Book

    @property
    def has_replace(self) -> bool:
        """Return whether the engine has SQLite's REPLACE."""
        return isinstance(self.connection, SqliteConnection)

    def adds(self, wanted: Wanted) -> None:
        row = {key: value for key, value in wanted.columns.items() if value is not None}
        marks = ", ".join(f":{name}" for name in row)
        self._run(f"INSERT INTO reminders ({', '.join(row)}) VALUES ({marks})", **row)

    def moves(self, wanted: Wanted, at: datetime) -> None:
        wanted.scheduled_at = at
        self._run("UPDATE reminders SET scheduled_at = :scheduled_at WHERE id = :id", **wanted.columns)

    def moves_and_reopens(self, wanted: Wanted, at: datetime) -> None:
        """Move a reminder that has ended, and have it called again."""
        changed = self._run(
            "UPDATE reminders SET scheduled_at = :at, status = 'scheduled'"
            " WHERE id = :id AND status IN ('cancelled', 'expired', 'failed')",
            id=wanted.id,
            at=to_ms(at),
        )
        if changed:
            wanted.scheduled_at, wanted.is_cancelled = at, False

    def changes_the_number(self, wanted: Wanted, phone_number: str) -> None:
        wanted.phone_number = phone_number
        self._run("UPDATE reminders SET phone_number = :phone_number WHERE id = :id", **wanted.columns)

    def changes_the_message(self, wanted: Wanted) -> None:
        wanted.version += 1
        self._run("UPDATE reminders SET message = :message WHERE id = :id", **wanted.columns)

    def changes_the_limit(self, wanted: Wanted, expires_at: datetime | None) -> None:
        wanted.expires_at = expires_at
        self._run("UPDATE reminders SET expires_at = :expires_at WHERE id = :id", **wanted.columns)

    def cancels(self, wanted: Wanted) -> None:
        changed = self._run(
            "UPDATE reminders SET status = 'cancelled', last_error = 'the appointment was moved'"
            " WHERE id = :id AND status IN ('scheduled', 'dialing', 'processing')",
            id=wanted.id,
        )
        wanted.is_cancelled = wanted.is_cancelled or changed

    def replaces(self, wanted: Wanted, at: datetime) -> None:
        if not self.has_replace:
            self.upserts(wanted, at)
            return
        wanted.scheduled_at, wanted.is_cancelled, wanted.is_held, wanted.again_until = at, False, False, None
        wanted.timezone = None
        self._run(
            "INSERT OR REPLACE INTO reminders (id, ref, phone_number, message, scheduled_at, expires_at)"
            " VALUES (:id, :ref, :phone_number, :message, :scheduled_at, :expires_at)",
            **wanted.columns,
        )

    def upserts(self, wanted: Wanted, at: datetime) -> None:
        wanted.scheduled_at = at
        self._run(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at)"
            " VALUES (:id, :phone_number, :message, :scheduled_at)"
            " ON CONFLICT (id) DO UPDATE SET phone_number = excluded.phone_number, message = excluded.message,"
            " scheduled_at = excluded.scheduled_at",
            **wanted.columns,
        )

    def deletes(self, wanted: Wanted) -> None:
        del self.book.reminders[wanted.name]
        self._run("DELETE FROM reminders WHERE id = :id", id=wanted.id)

    def deletes_and_adds(self, wanted: Wanted, at: datetime) -> None:
        self.deletes(wanted)
        self.adds(self.book.new(wanted.name, wanted.phone_number, at, id=wanted.id, ref=wanted.ref))

    def opts_out(self, phone_number: str) -> None:
        self.book.opted_out.add(phone_number)
        self._run(
            "INSERT INTO opt_outs (phone_number, source) VALUES (:number, 'a letter') ON CONFLICT DO NOTHING",
            number=phone_number,
        )

    def opts_in(self, phone_number: str) -> None:
        self.book.opted_out.discard(phone_number)
        self._run("DELETE FROM opt_outs WHERE phone_number = :number", number=phone_number)

    def pauses(self, *, on: bool) -> None:
        self._run(
            "INSERT INTO settings (key, value) VALUES ('paused', :value)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            value="true" if on else "false",
        )

    def _run(self, sql: str, **values: Any) -> bool:
        """Run a statement; return whether it changed a row."""
        return bool(self.connection.execute(sql, values).rowcount)


@frozen
class OnServer:
    """A connection to a server whose clock, for triggers and defaults, is the history's."""

    _session: ExitStack
    _connection: Connection
    _now: Callable[[], datetime]

    def execute(self, sql: str, parameters: Parameters = ()) -> Rows:
        now = {"now": str(to_ms(self._now()))}
        self._connection.execute("SELECT set_config('history.now', :now, FALSE)", now)
        return self._connection.execute(sql, parameters)

    def close(self) -> None:
        self._session.close()


def opened(database: Target, now: Callable[[], datetime]) -> Connection | OnServer:
    """Return another program's connection, whose clock, for triggers and defaults, is the history's."""
    if not isinstance(database, SqliteFile):
        session = ExitStack()
        return OnServer(session, session.enter_context(open_sync(database)), now)
    connection = connect(f"{database.path.as_uri()}?mode=rw", uri=True, isolation_level=None)
    connection.execute("PRAGMA trusted_schema = ON")
    connection.execute("PRAGMA synchronous = OFF")
    connection.create_function("julianday", 1, lambda _word: now().timestamp() / _DAY_SECONDS + _EPOCH)
    return connection
