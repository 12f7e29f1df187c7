"""Write a clinic's database after some years: about 400 reminders a day, with their calls, appointments and acts.

`python -m bench.clinic FILE [ROWS]` writes one to look at.
"""

import random
import sys
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import chain, islice
from pathlib import Path
from typing import Any, Final

from bench.rows import MESSAGE, phone
from reminderd.clock import SystemClock
from reminderd.databases import PostgresServer, SqliteFile
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, transaction
from reminderd.store.rows import to_ms
from tests.support.postgres import PostgresDatabase

A_DAY: Final = 400
AHEAD: Final = 14
"""The number of future days with planned reminders."""

_CHANGES_KEPT: Final = 60
_MINUTE: Final = 60_000
_DAY: Final = 24 * 60 * _MINUTE
_CHUNK: Final = 20_000

_ENDS: Final = (
    *[("called", "confirmed", None, "confirmed")] * 60,
    *[("called", None, None, "heard")] * 20,
    *[("called", "cancel_requested", None, "heard")] * 3,
    *[("failed", None, "not_answered", "not_answered")] * 6,
    *[("failed", None, "voicemail", "voicemail")] * 3,
    *[("expired", None, "too_late", None)] * 1,
    *[("cancelled", None, "answered", None)] * 5,
    *[("cancelled", None, "cancelled_by_staff", None)] * 2,
)
"""The status, response, end code and last call's outcome of ended reminders, as often as they occur in a hundred."""

# An index of a constraint can't be dropped.
_INDEXES: Final = """
SELECT indexname, indexdef FROM pg_indexes
 WHERE schemaname = 'public' AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""

Rows = Iterator[tuple[str, dict[str, Any]]]


def fill(path: Path, rows: int) -> None:
    """Write a file with this number of reminders; all days except the last two weeks are over."""
    with open_sync(SqliteFile(path)) as connection:
        # No journal: if the machine stops meanwhile, nobody needs the file.
        connection.execute("PRAGMA journal_mode = OFF").fetchall()
        connection.execute("PRAGMA synchronous = OFF")
        now = SystemClock().now()
        transaction(connection, lambda c, _: _write(c, rows, now), now)
        connection.refresh_statistics()
        connection.execute("PRAGMA journal_mode = WAL").fetchall()


def _write(connection: Connection, rows: int, now: datetime) -> None:
    # Triggers would run a million times for the same result, and an index is built faster once all rows are there.
    made_again = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('trigger', 'index') AND sql IS NOT NULL ORDER BY type"
    ).fetchall()
    for one in made_again:
        connection.execute(f"DROP {one['type']} {one['name']}")
    for table, names, values in _chunks(rows, now):
        marks = ", ".join(f":{name}" for name in names)
        connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})", values)  # noqa: S608
    for one in made_again:
        connection.execute(one["sql"])


def fill_server(database: PostgresDatabase, rows: int) -> None:
    """Write the same into a database on a server."""
    with open_sync(PostgresServer(database.url)):
        pass  # opening it has created its tables
    now = SystemClock().now()
    with database.connect() as connection:
        connection.execute("SET session_replication_role = replica")  # without triggers
        made_again = connection.execute(_INDEXES).fetchall()
        for name, _ in made_again:
            connection.execute(f"DROP INDEX {name}".encode())
        for table, names, values in _chunks(rows, now):
            statement = f"COPY {table} ({', '.join(names)}) FROM STDIN"
            with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
                for row in values:
                    copy.write_row(tuple(row.values()))
        for _, sql in made_again:
            connection.execute(sql.encode())
        connection.execute("VACUUM (ANALYZE)")


def _chunks(rows: int, now: datetime) -> Iterator[tuple[str, list[str], list[dict[str, Any]]]]:
    """Yield the rows in chunks, each of one table and with the same columns."""
    made = chain(_everything(rows, now), _around(now))
    while some := list(islice(made, _CHUNK)):
        kinds: dict[tuple[str, ...], list[dict[str, Any]]] = {}
        for table, row in some:
            kinds.setdefault((table, *row), []).append(row)
        for (table, *names), values in kinds.items():
            yield table, names, values


def _everything(rows: int, now: datetime) -> Rows:
    """Yield the reminders, day by day, with all rows that belong to them."""
    draw = random.Random(rows)  # noqa: S311 - the same clinic each time
    midnight = to_ms(now.replace(hour=0, minute=0, second=0, microsecond=0))
    days = rows // A_DAY
    patients = min(max(rows // 50, 200), 20_000)
    first = midnight - max(days - AHEAD - 1, 1) * _DAY
    for number in range(rows):
        day, place = divmod(number, A_DAY)
        at = first + day * _DAY + place * _DAY // A_DAY  # at all hours, so that it can be measured at any hour
        yield from _reminder(f"{number:07}-{draw.getrandbits(64):016x}", at, phone(draw.randrange(patients)), draw, now)


def _reminder(name: str, at: int, number: str, draw: random.Random, now: datetime) -> Rows:
    row: dict[str, Any] = {
        "id": name,
        "ref": f"visit-{name[:7]}",
        "phone_number": number,
        "message": MESSAGE,
        "scheduled_at": at,
        "appointment_id": f"a-{name}" if draw.random() < 0.5 else None,
        "status": "scheduled",
        "response": None,
        "end_code": None,
        "hold_code": None,
        "done_at": None,
        "wake_at": at,
        "attempts": 0,
        "revision": 1,
        "created_at": at - 3 * _DAY,
        "updated_at": at,
    }
    calls = _state(row, draw, now)
    yield "reminders", row
    yield "audit", {"at": row["created_at"], "actor": "folder", "act": "add", "reminder_id": name}
    if row["appointment_id"] is not None:
        yield "appointments", _appointment(row)
    for place, outcome in enumerate(calls):
        yield from _call(row, f"{name}-{place}", outcome)
    if row["response"] is not None:
        yield "audit", {"at": at, "actor": "patient", "act": row["response"], "reminder_id": name}
    if row["done_at"] is not None:
        yield "audit", {"at": row["done_at"], "actor": "eve", "act": "done", "reminder_id": name}
    if row["status"] == "failed":
        yield "alerts", {"reminder_id": name, "updated_at": at}
    if row["status"] != "scheduled" and at > to_ms(now) - _CHANGES_KEPT * _DAY:
        named = {one: row[one] for one in ("status", "response", "end_code", "attempts")}
        yield "changes", {"at": at, "kind": "reminder", "subject_id": name, **named}


def _state(row: dict[str, Any], draw: random.Random, now: datetime) -> list[str | None]:
    """Set the columns that show how far a reminder is by now, and return the outcomes of its calls."""
    at, moment, chance = row["scheduled_at"], to_ms(now), draw.random()
    if at > moment:
        if chance < 0.005:
            row |= {"hold_code": "number_changed", "wake_at": moment + 60 * _MINUTE}
        return []
    if at > moment - 20 * _MINUTE:
        # No other reminder has this number, so no other call to it can be open.
        row |= {"status": "processing", "wake_at": None, "phone_number": f"+49302{row['id'][:7]}"}
        return [None]
    if at > moment - 90 * _MINUTE and chance < 0.2:
        row |= {"hold_code": "redial", "wake_at": moment + 15 * _MINUTE, "attempts": 1}
        return ["not_answered"]
    status, response, code, last = draw.choice(_ENDS)
    is_open = status in {"failed", "expired"} or response == "cancel_requested"
    row |= {"status": status, "response": response, "end_code": code, "wake_at": None}
    row |= {"done_at": at + 60 * _MINUTE if is_open and draw.random() < 0.7 else None}
    again: list[str | None] = ["not_answered"] * (chance < 0.2)
    calls = [] if last is None else [*again, last]
    row["attempts"] = len(calls)
    return calls


def _appointment(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": row["appointment_id"],
        "ref": f"appointment-{row['id'][:7]}",
        "phone_number": row["phone_number"],
        "at": row["scheduled_at"] + _DAY,
        "name": "Ms. Example",
        "planned_at": row["scheduled_at"] + _DAY,
        "response": row["response"],
        "revision": 1,
    }


def _call(row: dict[str, Any], name: str, outcome: str | None) -> Rows:
    at, is_over = row["scheduled_at"], outcome is not None
    yield (
        "call_logs",
        {
            "id": name,
            "reminder_id": row["id"],
            "phone_number": row["phone_number"],
            "provider": "generic",
            "state": "ended" if is_over else "placed",
            "status": "completed" if is_over else "ringing",
            "outcome": outcome,
            "external_call_id": f"at-{name}",
            "requests": 1,
            "evidence": 1,
            "wake_at": None if is_over else at + 60 * _MINUTE,
            "last_sign_at": at,
            "received_at": at + _MINUTE if is_over else None,
            "created_at": at,
            "updated_at": at + _MINUTE,
        },
    )
    yield (
        "call_reminders",
        {
            "call_id": name,
            "reminder_id": row["id"],
            "position": 0,
            "scheduled_at": at,
            "message_digest": "0" * 64,
            "spoken": int(outcome in {"confirmed", "heard", "voicemail"}),
        },
    )
    if is_over:
        receipt = {
            "call_id": f"at-{name}",
            "reminder_id": row["id"],
            "status": "completed",
            "received_at": at + _MINUTE,
        }
        yield "webhook_receipts", receipt


def _around(now: datetime) -> Rows:
    """Yield the rows of tables that do not grow with the number of reminders."""
    for number in range(1_000):
        yield "opt_outs", {"phone_number": phone(9_000_000 + number), "source": "letter", "created_at": to_ms(now)}
    for days in range(100):
        at = to_ms(now - timedelta(days=days))
        yield "imports", {"at": at, "finished_at": at, "file": "list.csv", "actor": "folder", "status": "done"}


def main(arguments: Iterable[str]) -> None:
    path, *rows = arguments
    fill(Path(path), int(*rows or ["1000"]))


if __name__ == "__main__":
    main(sys.argv[1:])
