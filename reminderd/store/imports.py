"""Reminders from a file: a chunk of them in one transaction, and what is remembered of the lines before."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from attrs import frozen

from reminderd.core.imported import Fate, Known, content_of, fate
from reminderd.core.intake import Wish
from reminderd.core.reminder import Status
from reminderd.core.rules import Rules
from reminderd.store.driver import Connection, Row, connect, translated
from reminderd.store.rows import from_ms, to_ms

# Whole chunks go to SQLite as one JSON text: a statement for each would hand the interpreter's lock to and fro, and
# the rows that are being read meanwhile would wait.
_KNOWN: Final = """
SELECT wanted.key AS place, reminders.id, phone_number, message, scheduled_at, expires_at, timezone, status,
       attempts > 0 OR said_with IS NOT NULL
       OR EXISTS (SELECT 1 FROM call_logs WHERE reminder_id = reminders.id AND attempt IS NOT NULL) AS dialled
  FROM json_each(?) AS wanted CROSS JOIN reminders ON {column} = wanted.value
"""
_KNOWN_BY_REF: Final = _KNOWN.format(column="reminders.ref")
_KNOWN_BY_ID: Final = _KNOWN.format(column="reminders.id")
_ADD: Final = """
INSERT INTO reminders (id, ref, phone_number, message, scheduled_at, wake_at, expires_at, timezone,
                       created_at, updated_at)
SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 4, value ->> 5, value ->> 6, ?2, ?2
  FROM json_each(?1)
"""
_CHANGE: Final = """
UPDATE reminders SET phone_number = ?2, message = ?3, scheduled_at = ?4, wake_at = ?4, expires_at = ?5, timezone = ?6,
                     hold_reason = NULL, updated_at = ?7
 WHERE id = ?1
"""


def fates(
    connection: Connection, now: datetime, *, wanted: Sequence[Wish], rules: Rules
) -> list[tuple[Known | None, Fate | str]]:
    """For each the reminder that is stored already, if there is one, and what is to be done or why it can't."""
    known = _known(connection, wanted)
    return [(known.get(place), fate(one, known.get(place), rules, now)) for place, one in enumerate(wanted)]


def take(
    connection: Connection,
    now: datetime,
    *,
    wanted: Sequence[Wish],
    rules: Rules,
    mint: Callable[[], str],
    actor: str,
    detail: str,
    act: str = "import",
) -> list[Fate | str]:
    """Store what is new and what was edited, with one audit line if there was any; for each what was done, or why not.

    Args:
        connection: in a transaction.
        now: when.
        wanted: no two with the same `ref`, nor the same content without one.
        rules: the clinic's.
        mint: random UUIDs, for new reminders that bring a `ref`.
        actor: who imports.
        detail: from where, for the audit.
        act: what this is called there.
    """
    judged = fates(connection, now, wanted=wanted, rules=rules)
    new = [one for one, (_, what) in zip(wanted, judged, strict=True) if what is Fate.ADDED]
    edited = [
        (known.id, one)
        for one, (known, what) in zip(wanted, judged, strict=True)
        if what is Fate.CHANGED and known is not None
    ]
    stamp = to_ms(now)
    if new:
        rows = [(_dated(mint(), stamp) if one.ref is not None else one.own_id, one.ref, *_values(one)) for one in new]
        connection.execute(_ADD, (json.dumps(rows, ensure_ascii=False), stamp))
    if edited:
        connection.executemany(_CHANGE, [(known_id, *_values(one), stamp) for known_id, one in edited])
    if new or edited:
        connection.execute(
            "INSERT INTO audit (at, actor, act, detail) VALUES (?, ?, ?, ?)",
            (stamp, actor, act, f"{detail}: {len(new)} added, {len(edited)} changed"),
        )
    return [what for _, what in judged]


def make_room(connection: Connection) -> None:
    """Let a connection that writes whole chunks keep the pages that a chunk touches, and copy them back more rarely.

    With the small cache that every connection has, SQLite would write most pages of a chunk several times.
    """
    connection.execute("PRAGMA cache_size = -32768")  # KiB
    connection.execute("PRAGMA wal_autocheckpoint = 8192")  # pages, 32 MiB


@frozen
class Earlier:
    """Remembers of every line what it is about and what it says, as two numbers, in a file without a name.

    In memory it would grow with the table.
    """

    _connection: Connection

    def first(self, lines: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
        """For each `(key, content, line)` the content and line that came first with this key: its own if none did.

        Raises:
            StoreUnavailableError: There is no room for temporary files.
        """
        with translated():
            return self._first(lines)

    def _first(self, lines: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
        cursor = self._connection.executemany("INSERT OR IGNORE INTO earlier VALUES (?, ?, ?)", lines)
        if cursor.rowcount == len(lines):
            return [(content, line) for _, content, line in lines]
        found = [
            self._connection.execute("SELECT content, line FROM earlier WHERE key = ?", (key,)).fetchone()
            for key, _, _ in lines
        ]
        return [(content, line) for content, line in found]


@contextmanager
def earlier_lines() -> Iterator[Earlier]:
    """A memory of lines that is gone at the end.

    Raises:
        StoreUnavailableError: There is no room for temporary files.
    """
    with translated(), TemporaryDirectory(prefix="reminderd-") as folder:
        # SQLite's own temporary databases may be kept in memory, however it is told.
        connection = connect(Path(folder) / "earlier.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("CREATE TABLE earlier (key INTEGER PRIMARY KEY, content INTEGER, line INTEGER)")
        connection.execute("BEGIN")  # never committed: nothing is to be kept
    # The file has no name any more: nothing stays behind, whatever ends the program.
    with closing(connection):
        yield Earlier(connection)


def _known(connection: Connection, wanted: Sequence[Wish]) -> dict[int, Known]:
    """What is stored already, by place in `wanted`."""
    refs = [one.ref for one in wanted]
    ids = [one.own_id if one.ref is None else None for one in wanted]
    return {
        row["place"]: _known_from(row)
        for sql, names in ((_KNOWN_BY_REF, refs), (_KNOWN_BY_ID, ids))
        if any(name is not None for name in names)
        for row in connection.execute(sql, (json.dumps(names, ensure_ascii=False),)).fetchall()
    }


def _known_from(row: Row) -> Known:
    expires_at = row["expires_at"]
    return Known(
        id=row["id"],
        content=(
            row["phone_number"],
            row["message"],
            from_ms(row["scheduled_at"]),
            None if expires_at is None else from_ms(expires_at),
            row["timezone"],
        ),
        status=Status(row["status"]),
        dialled=bool(row["dialled"]),
    )


def _dated(random_id: str, milliseconds: int) -> str:
    """A random UUID with the time at its front (version 7, RFC 9562).

    The ids of a chunk then stand side by side in their index; random ones would touch all of its pages.
    """
    time = f"{milliseconds:012x}"
    return f"{time[:8]}-{time[8:]}-7{random_id[15:]}"


def _values(one: Wish) -> tuple[str, str, int, int | None, str | None]:
    phone_number, message, scheduled_at, expires_at, timezone = content_of(one)
    return phone_number, message, to_ms(scheduled_at), None if expires_at is None else to_ms(expires_at), timezone
