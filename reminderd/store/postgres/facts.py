"""Look at a server for the doctor, through one connection; nothing is written."""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from ipaddress import ip_address
from statistics import median
from typing import Any, Final

import psycopg

from reminderd.core.server_diagnosis import ServerFacts
from reminderd.store.postgres.checks import defined

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


def facts_of(connection: "psycopg.Connection[Any]", now: Callable[[], datetime]) -> ServerFacts:
    """Return what can be seen of a server.

    Args:
        connection: to its database, without a transaction.
        now: the time by our clock.

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


def _compared(connection: "psycopg.Connection[Any]", now: Callable[[], datetime]) -> tuple[timedelta, timedelta]:
    """Return how long the server takes to answer, and how far its clock is ahead of ours."""
    seconds, ahead = [], []
    for _ in range(_ROUNDS):
        begun = time.monotonic()
        row = connection.execute("SELECT clock_timestamp()").fetchone()
        seconds.append(time.monotonic() - begun)
        assert row is not None  # noqa: S101 - it always returns one
        ahead.append(row[0] - (now() - timedelta(seconds=seconds[-1] / 2)))
    return timedelta(seconds=median(seconds)), median(ahead)


def _is_near(connection: "psycopg.Connection[Any]") -> bool:
    """Return whether the connection stays on this machine: by a Unix socket, or to a loopback address."""
    address = connection.info.hostaddr
    return not address or ip_address(address.partition("%")[0]).is_loopback


def _ssl_mode(connection: "psycopg.Connection[Any]") -> str:
    found = next((one.val for one in connection.pgconn.info if one.keyword == b"sslmode"), None)
    return (found or b"").decode()
