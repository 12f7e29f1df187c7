"""PostgreSQL takes every statement that the modules of the store have, and can tell the types of its parameters.

What is put together by a function is not found here; the tests of the store run it on both engines.
"""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from string import Formatter
from typing import Final

import psycopg
import pytest

import reminderd.store
from reminderd.store.audit import IS_LOOK
from reminderd.store.postgres.statements import with_placeholders
from tests.support.postgres import PostgresDatabase

MODULES: Final = sorted(path.stem for path in Path(reminderd.store.__file__).parent.glob("*.py") if path.stem[0] != "_")
BEGINNING: Final = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b")
PARAMETER: Final = re.compile(r"%\((\w+)\)s")
FILLED_IN: Final = {
    "except_for": " AND phone_number NOT IN (:one, :two)",
    "calls": "SELECT id FROM call_logs WHERE id = :one",
    "condition": "wake_at > :now",
    "table": "reminders",
    "for_update": " FOR UPDATE",
    "skip_locked": " FOR UPDATE SKIP LOCKED",
    "day._FIGURES": "(0, CAST(:midnight0 AS BIGINT), CAST(:midnight1 AS BIGINT))",
    "ledger._CALLS_WHERE": "c.id IN (:one, :two)",
    "ledger._NAMED": "c.id IN (:one, :two)",
    "audit._LOOKS": f"{IS_LOOK} AND (at, id) < (:after, :after_id)",
    "queries._REFS_OF_APPOINTMENTS": "SELECT appointment_id FROM reminders",
}
"""What goes into a statement's places, by the name of the place or of the statement; else it is a list."""


def statements(name: str) -> Iterator[tuple[str, str]]:
    """Yield each statement of a module that is a constant, or stands where it is executed, with its name or line."""
    module = import_module(f"reminderd.store.{name}")
    yield from ((f"{name}.{key}", value) for key, value in vars(module).items() if isinstance(value, str))
    for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text())):
        if not isinstance(node, ast.Call) or getattr(node.func, "attr", "") not in {"execute", "executemany"}:
            continue
        sql = node.args[0]
        if isinstance(sql, ast.Constant | ast.JoinedStr):
            try:
                yield f"{name}:{node.lineno}", eval(compile(ast.Expression(sql), "sql", "eval"), vars(module))  # noqa: S307 - our own
            except NameError:
                continue  # it has a part that only its function knows


def filled(name: str, sql: str) -> str:
    """Return a statement without places: as it is executed."""
    parts = []
    for text, place, _, _ in Formatter().parse(sql):
        parts.append(text)
        if place is not None:
            parts.append(FILLED_IN.get(name, FILLED_IN.get(place, "(:one, :two)")))
    return "".join(parts).replace("COLUMN", "id").replace("TABLE", "reminders")


def numbered(sql: str) -> str:
    """Return a statement with PostgreSQL's own parameters, `$1` and so on."""
    names: list[str] = []

    def number(found: "re.Match[str]") -> str:
        if found[1] not in names:
            names.append(found[1])
        return f"${names.index(found[1]) + 1}"

    return PARAMETER.sub(number, with_placeholders(sql)).replace("%%", "%")


def found_in(module: str) -> dict[str, str]:
    return {name: filled(name, sql) for name, sql in statements(module) if BEGINNING.match(sql)}


@pytest.mark.parametrize("module", MODULES)
def test_every_statement_is_one_that_postgresql_takes(made: PostgresDatabase, module: str) -> None:
    refused = []
    with made.connect() as connection:
        for name, sql in found_in(module).items():
            try:
                connection.execute(f"PREPARE one AS {numbered(sql)}".encode())
                connection.execute("DEALLOCATE one")
            except psycopg.Error as error:
                refused.append(f"{name}: {error.diag.message_primary}\n{sql}")
    assert not refused, "\n".join(refused)


def test_there_are_statements_to_prepare() -> None:
    assert sum(len(found_in(module)) for module in MODULES) > 140


def test_a_statement_that_only_sqlite_takes_is_found(made: PostgresDatabase) -> None:
    with made.connect() as connection, pytest.raises(psycopg.errors.IndeterminateDatatype):
        connection.execute(b"PREPARE one AS " + numbered("SELECT id FROM imports WHERE :profile IS NULL").encode())
