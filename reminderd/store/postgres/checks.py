"""Check that a database has everything that its schema defines, which another program may have dropped or disabled."""

import re
from collections.abc import Iterator
from typing import Final

from reminderd.store.connection import Connection
from reminderd.store.migrations import migrations_of

_DEFINED: Final = re.compile(r"^CREATE (?:UNIQUE )?(TABLE|INDEX|TRIGGER) (\w+)", re.MULTILINE)
_DROPPED: Final = re.compile(r"^DROP (TABLE|INDEX|TRIGGER) (?:IF EXISTS )?(\w+)", re.MULTILINE)

# Other programs' tables may be in the same schema.
_OF_OURS: Final = """
t.relname = ANY(:ours)
AND t.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = CAST('reminders' AS regclass))
"""
_INDEXES: Final = f"""
SELECT c.relname AS name, i.indisvalid AND i.indisready AND i.indislive AS is_valid
  FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_class AS t ON t.oid = i.indrelid
 WHERE {_OF_OURS}
"""
_TRIGGERS: Final = f"""
SELECT g.tgname AS name, t.relname AS on_table, g.tgenabled IN ('O', 'A') AS is_enabled
  FROM pg_trigger AS g JOIN pg_class AS t ON t.oid = g.tgrelid
 WHERE NOT g.tgisinternal AND {_OF_OURS}
"""
_CONSTRAINTS: Final = f"""
SELECT c.conname AS name, t.relname AS on_table
  FROM pg_constraint AS c JOIN pg_class AS t ON t.oid = c.conrelid
 WHERE NOT c.convalidated AND {_OF_OURS}
"""
_VERSION: Final = "SELECT version FROM schema_info"
_MISSING: Final = "is missing: create it as in the migrations of this version"
_ROLE: Final = "SELECT current_setting('session_replication_role') AS role"


def take_all_time(connection: Connection) -> None:
    """Let each statement of this connection take as long as it needs: turn off our timeout."""
    connection.execute("SET statement_timeout = 0")


def damage_in(connection: Connection) -> list[str]:
    """Return what the schema lacks, a sentence each; empty: it is complete. The rows themselves are not read."""
    ours = {"ours": sorted(defined("TABLE"))}
    newest = migrations_of("reminderd.store.postgres")[-1].number
    # A newer version may have removed what this one expects.
    is_newer = connection.execute(_VERSION).fetchone()["version"] > newest
    indexes, triggers = (set(), set()) if is_newer else (defined("INDEX"), defined("TRIGGER"))
    return [
        *_of_the_indexes(connection, ours, indexes),
        *_of_the_triggers(connection, ours, triggers),
        *_of_the_constraints(connection, ours),
    ]


def defined(kind: str) -> set[str]:
    """Return the names of all objects of a kind, TABLE, INDEX or TRIGGER, that exist after all migrations."""
    found: set[str] = set()
    for step in migrations_of("reminderd.store.postgres"):
        dropped = {name for what, name in _DROPPED.findall(step.sql) if what == kind}
        found = (found - dropped) | {name for what, name in _DEFINED.findall(step.sql) if what == kind}
    return found


def _of_the_indexes(connection: Connection, ours: dict[str, list[str]], expected: set[str]) -> Iterator[str]:
    found = {row["name"]: row["is_valid"] for row in connection.execute(_INDEXES, ours)}
    for name in sorted(name for name, is_valid in found.items() if not is_valid):
        yield f"the index {name} is not valid: REINDEX INDEX {name}"
    for name in sorted(expected - found.keys()):
        yield f"the index {name} {_MISSING}"


def _of_the_triggers(connection: Connection, ours: dict[str, list[str]], expected: set[str]) -> Iterator[str]:
    rows = connection.execute(_TRIGGERS, ours).fetchall()
    for name, table in sorted((row["name"], row["on_table"]) for row in rows if not row["is_enabled"]):
        yield f"the trigger {name} of {table} is disabled: ALTER TABLE {table} ENABLE TRIGGER {name}"
    for name in sorted(expected - {row["name"] for row in rows}):
        yield f"the trigger {name} {_MISSING}"
    if connection.execute(_ROLE).fetchone()["role"] == "replica":
        yield "no trigger fires for this role: set session_replication_role to origin"


def _of_the_constraints(connection: Connection, ours: dict[str, list[str]]) -> Iterator[str]:
    for row in connection.execute(_CONSTRAINTS, ours):
        name, table = row["name"], row["on_table"]
        yield f"the constraint {name} of {table} was never validated: ALTER TABLE {table} VALIDATE CONSTRAINT {name}"
