"""Check that a database has all that its schema promises: what another program has dropped or disabled."""

import re
from collections.abc import Iterator
from typing import Final

from reminderd.store.connection import Connection
from reminderd.store.migrations import migrations_of

_DEFINED: Final = re.compile(r"^CREATE (?:UNIQUE )?(INDEX|TRIGGER) (\w+)", re.MULTILINE)
_DROPPED: Final = re.compile(r"^DROP (INDEX|TRIGGER) (?:IF EXISTS )?(\w+)", re.MULTILINE)

_OURS: Final = "(SELECT relnamespace FROM pg_class WHERE oid = CAST('reminders' AS regclass))"
"""The schema that our tables are in."""

_INDEXES: Final = f"""
SELECT c.relname AS name, i.indisvalid AND i.indisready AND i.indislive AS is_valid
  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid
 WHERE c.relnamespace = {_OURS}
"""
_TRIGGERS: Final = f"""
SELECT t.tgname AS name, c.relname AS on_table, t.tgenabled IN ('O', 'A') AS is_enabled
  FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid
 WHERE c.relnamespace = {_OURS} AND NOT t.tgisinternal
"""
_CONSTRAINTS: Final = f"""
SELECT conname AS name, CAST(CAST(conrelid AS regclass) AS text) AS on_table
  FROM pg_constraint WHERE connamespace = {_OURS} AND NOT convalidated
"""
_ROLE: Final = "SELECT current_setting('session_replication_role') AS role"


def take_all_time(connection: Connection) -> None:
    """Let each statement of this connection take as long as it must: by default, a server ends it after a while."""
    connection.execute("SET statement_timeout = 0")


def damage_in(connection: Connection) -> list[str]:
    """Return what the schema lacks, a sentence each; empty: it is whole. Of the rows themselves, nothing is read."""
    return [*_of_the_indexes(connection), *_of_the_triggers(connection), *_of_the_constraints(connection)]


def _of_the_indexes(connection: Connection) -> Iterator[str]:
    found = {row["name"]: row["is_valid"] for row in connection.execute(_INDEXES)}
    for name in sorted(name for name, is_valid in found.items() if not is_valid):
        yield f"the index {name} is not valid: REINDEX INDEX {name}"
    for name in sorted(_defined("INDEX") - found.keys()):
        yield f"the index {name} is missing: create it as in the migrations of this version"


def _of_the_triggers(connection: Connection) -> Iterator[str]:
    rows = connection.execute(_TRIGGERS).fetchall()
    for name, table in sorted((row["name"], row["on_table"]) for row in rows if not row["is_enabled"]):
        yield f"the trigger {name} of {table} is disabled: ALTER TABLE {table} ENABLE TRIGGER {name}"
    for name in sorted(_defined("TRIGGER") - {row["name"] for row in rows}):
        yield f"the trigger {name} is missing: create it as in the migrations of this version"
    role = connection.execute(_ROLE).fetchone()["role"]
    if role == "replica":
        yield "no trigger works for this role: session_replication_role is replica"


def _of_the_constraints(connection: Connection) -> Iterator[str]:
    for row in connection.execute(_CONSTRAINTS):
        name, table = row["name"], row["on_table"]
        yield f"the constraint {name} of {table} was never checked: ALTER TABLE {table} VALIDATE CONSTRAINT {name}"


def _defined(kind: str) -> set[str]:
    """Return the names of all indexes, or all triggers, that the migrations leave behind."""
    found: set[str] = set()
    for step in migrations_of("reminderd.store.postgres"):
        dropped = {name for what, name in _DROPPED.findall(step.sql) if what == kind}
        found = (found - dropped) | {name for what, name in _DEFINED.findall(step.sql) if what == kind}
    return found
