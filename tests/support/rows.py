"""Write rows as other programs or reminderd itself write them, and expect the rows that a database refuses.

A refusal is named by its constraint, in the words of each engine.
"""

import re
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import pytest

from reminderd.store.connection import Connection
from reminderd.store.sqlite.driver import IntegrityError, SqliteConnection

_ERRORS: tuple[type[Exception], ...] = (IntegrityError,)
if find_spec("psycopg"):
    import psycopg

    # What is of a wrong type, or has a NUL, is never compared with a constraint.
    _ERRORS = (*_ERRORS, psycopg.IntegrityError, psycopg.DataError)


def sqlite(connection: Connection) -> SqliteConnection:
    """Return a connection as a SQLite connection, for what only SQLite has."""
    assert isinstance(connection, SqliteConnection)
    return connection


def insert_row(connection: Connection, table: str, row: Mapping[str, Any]) -> None:
    marks = ", ".join("?" for _ in row)
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({marks})", tuple(row.values()))


def insert_call(connection: Connection, reminder_id: str, *, spoken: bool = False, **columns: Any) -> None:
    """Write a call of a reminder with its membership; alive calls are to be looked at now."""
    row = connection.execute("SELECT phone_number, scheduled_at FROM reminders WHERE id = ?", (reminder_id,)).fetchone()
    values = {
        "id": "call-of-" + "".join(one for one in reminder_id if "!" <= one <= "~"),
        "reminder_id": reminder_id,
        "phone_number": row["phone_number"],
        "state": "ended",
        "provider": "generic",
        "last_sign_at": row["scheduled_at"],
    } | columns
    if values["state"] in {"dialing", "unconfirmed", "placed", "stray"}:
        values.setdefault("wake_at", row["scheduled_at"])
    insert_row(connection, "call_logs", values)
    connection.execute(
        "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest, spoken)"
        " VALUES (?, ?, 0, ?, '', ?)",
        (values["id"], reminder_id, row["scheduled_at"], int(spoken)),
    )


def refused(pattern: str) -> "pytest.RaisesExc[Exception]":
    """Expect that a constraint or a trigger refuses the change, with its name or its message."""
    return pytest.raises(_ERRORS, match=pattern)


def refused_as_second(columns: str, constraint: str) -> "pytest.RaisesExc[Exception]":
    """Expect that there may be only one such row; SQLite names the columns, PostgreSQL the constraint or the index."""
    return refused(f'^UNIQUE constraint failed: {re.escape(columns)}$|unique constraint "{constraint}"')


def refused_without(table: str, column: str) -> "pytest.RaisesExc[Exception]":
    """Expect that a column must have a value."""
    return refused(
        f'^NOT NULL constraint failed: {table}.{column}$|null value in column "{column}" of relation "{table}"'
    )


def refused_as_no_number() -> "pytest.RaisesExc[Exception]":
    """Expect that a column takes numbers only."""
    return refused("cannot store TEXT value in INTEGER column|invalid input syntax for type bigint")


def refuse_changes_of(connection: Connection, reminder_id: str) -> None:
    """Have the database refuse each change of a reminder."""
    _refuse(connection, "UPDATE ON reminders", f"NEW.id = '{reminder_id}'")


def refuse_inserts(connection: Connection, table: str) -> None:
    """Have the database refuse each new row of a table."""
    _refuse(connection, f"INSERT ON {table}", "1 = 1")


def _refuse(connection: Connection, change: str, condition: str) -> None:
    if isinstance(connection, SqliteConnection):
        connection.execute(
            f"CREATE TRIGGER failing BEFORE {change} WHEN {condition} BEGIN SELECT RAISE(ABORT, 'failed'); END"
        )
        return
    connection.execute(
        "CREATE FUNCTION failing() RETURNS trigger LANGUAGE plpgsql AS"
        " 'BEGIN RAISE EXCEPTION ''failed'' USING ERRCODE = ''integrity_constraint_violation''; END'"
    )
    connection.execute(
        f"CREATE TRIGGER failing BEFORE {change} FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION failing()"
    )
