"""Examine a database on a server for the doctor: the server, the schema, and the rows. Nothing is written."""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime, timedelta
from functools import partial
from ipaddress import ip_address
from statistics import median
from typing import Any, Final

from attrs import evolve

from reminderd.clock import Clock
from reminderd.core.phone import Numbering
from reminderd.core.server_diagnosis import ServerFacts
from reminderd.databases import PostgresServer
from reminderd.store.connection import Connection, snapshot
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.examination import Examination, broken_promises, examination
from reminderd.store.postgres.driver import PostgresConnection
from reminderd.store.postgres.error_codes import is_of_one_statement
from reminderd.store.postgres.sessions import connect, naming_database
from reminderd.store.postgres.shared_schema import migrations, refuse_if_it_needs_more, schema_of
from reminderd.store.postgres.statements import Raw

_LEAST_MILLISECONDS: Final = 1
"""0 would be no limit."""

_ROUNDS: Final = 7

_SETTINGS: Final = """
SELECT name || ' = ' || setting FROM pg_settings
 WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit') AND setting = 'off' ORDER BY name
"""
# Rows of `audit` are only added, and only migrations write `schema_info`.
_RIGHTS: Final = """
SELECT string_agg(right_name, ', ' ORDER BY place), relname
  FROM pg_class CROSS JOIN (VALUES (1, 'SELECT'), (2, 'INSERT'), (3, 'UPDATE'), (4, 'DELETE')) AS r (place, right_name)
 WHERE relname = ANY(%s) AND relkind = 'r'
   AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('reminders'))
   AND place <= CASE relname WHEN 'schema_info' THEN 1 WHEN 'audit' THEN 2 ELSE 4 END
   AND NOT has_table_privilege(oid, right_name)
 GROUP BY relname ORDER BY relname
"""
_MAY_MAKE_TABLES: Final = """
SELECT to_regclass('reminders') IS NOT NULL OR coalesce(has_schema_privilege(current_schema(), 'CREATE'), FALSE)
"""
# A role without privileges sees only that other roles' connections exist.
_STANDBYS: Final = """
SELECT count(*) FROM pg_stat_replication WHERE coalesce(application_name, '') NOT IN ('pg_basebackup', 'pg_receivewal')
"""
_WAITS: Final = """
SELECT current_setting('synchronous_standby_names') <> ''
   AND current_setting('synchronous_commit') IN ('on', 'remote_write', 'remote_apply')
"""
_LEFT: Final = """
SELECT least(
    (SELECT sum(CASE WHEN name = 'max_connections' THEN 1 ELSE -1 END * CAST(setting AS INTEGER)) FROM pg_settings
      WHERE name IN ('max_connections', 'superuser_reserved_connections', 'reserved_connections'))
    - (SELECT count(*) FROM pg_stat_activity WHERE datid IS NOT NULL),
    (SELECT datconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database())
       FROM pg_database WHERE datname = current_database() AND datconnlimit >= 0),
    (SELECT rolconnlimit - (SELECT count(*) FROM pg_stat_activity WHERE usename = current_user)
       FROM pg_roles WHERE rolname = current_user AND rolconnlimit >= 0))
"""

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


def examine(server: PostgresServer, *, seconds: float, numbering: Numbering, clock: Clock) -> Examination:
    """Examine a server, and the database if it has tables; reading the rows may take `seconds`.

    Raises:
        StoreUnusableError: It can't be used, or isn't ours.
        StoreUnavailableError: The server can't be reached ….
    """
    newest = migrations()[-1].number
    with naming_database(server):
        with closing(connect(server)) as raw:
            facts = facts_of(raw, clock.now)
            schema = schema_of(raw)
        if schema is None or schema.version < newest:
            version = 0 if schema is None else schema.version
            return Examination(version=version, newest=newest, mistakes=[], uncallable={}, server=facts)
        refuse_if_it_needs_more(schema.needs, newest)
        with closing(PostgresConnection(partial(connect, server))) as connection:
            mistakes = _mistakes(connection, seconds)
            found = examination(
                connection, version=schema.version, newest=newest, mistakes=mistakes, numbering=numbering
            )
    return evolve(found, server=facts)


def _mistakes(connection: PostgresConnection, seconds: float) -> list[str] | None:
    """Return the errors of the schema and of the rows; None if there was not enough time to read all."""
    deadline = time.monotonic() + seconds
    found = snapshot(connection, damage_in)
    if found:
        return found
    left = max(_LEAST_MILLISECONDS, round(1_000 * (deadline - time.monotonic())))
    connection.execute(f"SET statement_timeout = {left}")
    try:
        return snapshot(connection, broken_promises)
    except StoreUnavailableError as error:
        if error.__cause__ is None or not is_of_one_statement(error.__cause__):
            raise
        return None
    finally:
        connection.execute("SET statement_timeout = '30s'")


def facts_of(connection: Raw, now: Callable[[], datetime]) -> ServerFacts:
    """Return what can be seen of a server, whose time is compared with `now`.

    Raises:
        psycopg.Error: The server does not answer anymore.
    """

    def value(sql: str) -> Any:  # noqa: ANN401 - a column's type is its statement's
        row = connection.execute(sql).fetchone()
        return None if row is None else row[0]

    ours = sorted(defined("TABLE"))
    missing = [f"{rights} on {table}" for rights, table in connection.execute(_RIGHTS, (ours,)).fetchall()]
    if not value(_MAY_MAKE_TABLES):
        missing.append("CREATE on the schema")
    round_trip, ahead = _compared(connection, now)
    is_encrypted = connection.pgconn.ssl_in_use
    return ServerFacts(
        version=connection.info.server_version,
        encoding=connection.info.parameter_status("server_encoding") or "",
        missing_rights=tuple(missing),
        is_near=_is_near(connection),
        is_encrypted=is_encrypted,
        is_verified=is_encrypted and _ssl_mode(connection) == "verify-full",
        unsafe=tuple(setting for (setting,) in connection.execute(_SETTINGS).fetchall()),
        standbys=value(_STANDBYS),
        waits_for_standbys=value(_WAITS),
        is_pooled=value("SELECT pg_backend_pid()") != connection.info.backend_pid,
        ahead=ahead,
        round_trip=round_trip,
        connections_left=int(value(_LEFT)),
    )


def _compared(connection: Raw, now: Callable[[], datetime]) -> tuple[timedelta, timedelta]:
    """Return how long the server takes to answer, and how far its clock is ahead of ours."""
    seconds, ahead = [], []
    for _ in range(_ROUNDS):
        begun = time.monotonic()
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        seconds.append(time.monotonic() - begun)
        assert row is not None  # noqa: S101 - it always returns one
        ahead.append(row[0] - (now() - timedelta(seconds=seconds[-1] / 2)))
    return timedelta(seconds=median(seconds)), median(ahead)


def _is_near(connection: Raw) -> bool:
    """Return whether the connection stays on this machine: by a Unix socket, or to a loopback address."""
    address = connection.info.hostaddr
    return not address or ip_address(address.partition("%")[0]).is_loopback


def _ssl_mode(connection: Raw) -> str:
    found = next((one.val for one in connection.pgconn.info if one.keyword == b"sslmode"), None)
    return (found or b"").decode()


def take_all_time(connection: Connection) -> None:
    """Let each statement of this connection take as long as it needs: turn off our timeout."""
    connection.execute("SET statement_timeout = 0")


def damage_in(connection: Connection) -> list[str]:
    """Return what the schema lacks, a sentence each; empty if it is complete. The rows themselves are not read."""
    ours = {"ours": sorted(defined("TABLE"))}
    newest = migrations()[-1].number
    # A newer version may have removed what this version expects.
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
    for step in migrations():
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
