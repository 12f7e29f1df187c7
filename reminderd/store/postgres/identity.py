"""Find out which server this is, and on which timeline; no function that needs a superuser is called."""

from typing import Any, Final

import psycopg

from reminderd.core.server_identity import ServerIdentity
from reminderd.store.postgres.errors import is_lost

PlainConnection = psycopg.Connection[Any]

# A table keeps its OID through VACUUM FULL; its file gets a new number. No migration may create this table again.
_PLACE: Final = """
SELECT (SELECT oid FROM pg_database WHERE datname = current_database()), CAST('settings' AS regclass)::oid,
       has_function_privilege(to_regprocedure('pg_control_system()'), 'EXECUTE'),
       has_function_privilege(to_regprocedure('pg_current_wal_lsn()'), 'EXECUTE')
"""
_SYSTEM: Final = "SELECT system_identifier FROM pg_control_system()"
# The first eight digits of the name are the timeline. The control file names the new one only after a checkpoint.
_TIMELINE: Final = "SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint"


def identity_of(connection: PlainConnection) -> ServerIdentity:
    """Return what the server shows of its identity.

    Args:
        connection: with no transaction open, and with autocommit.

    Raises:
        psycopg.Error: The connection was lost, or there are no tables.
    """
    found = connection.execute(_PLACE).fetchone()
    assert found is not None  # noqa: S101 - a SELECT without FROM has one row
    database, table, has_system, has_timeline = found
    return ServerIdentity(
        system=_asked(connection, _SYSTEM) if has_system else None,
        timeline=_asked(connection, _TIMELINE) if has_timeline else None,
        database=database,
        table=table,
    )


def _asked(connection: PlainConnection, sql: str) -> int | None:
    """Return the value of a function; None: the server refuses it, as managed servers and PostgreSQL's forks may."""
    try:
        found = connection.execute(sql.encode()).fetchone()
    except psycopg.Error as error:
        if is_lost(error):
            raise
        return None
    return None if found is None else found[0]
