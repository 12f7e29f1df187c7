"""What a database refuses, by the name of the constraint, in the words of each engine."""

import re
from importlib.util import find_spec

import pytest

from reminderd.store.connection import Connection
from reminderd.store.sqlite import driver

_ERRORS: tuple[type[Exception], ...] = (driver.IntegrityError,)
if find_spec("psycopg"):
    import psycopg

    # What is of a wrong type, or has a NUL, is never compared with a constraint.
    _ERRORS = (*_ERRORS, psycopg.IntegrityError, psycopg.DataError)


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
    if isinstance(connection, driver.SqliteConnection):
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
