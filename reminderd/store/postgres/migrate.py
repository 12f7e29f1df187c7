"""Make the tables in an empty database, and upgrade them when the admin says so: all steps that are missing or none.

Several machines use the database, and not all are upgraded at once. A step that only adds something leaves
`schema_info.needs` as it is, and the older programs go on. One that they can't live with says in its first lines
`-- needs: N`, its own number: they stop before their next transaction.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg
from attrs import frozen

from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.migrations import Migration, migrations_of
from reminderd.store.postgres.errors import first_line, store_error

CLUSTER_WRITE_LOCK: Final = 0x72656D64
"""The key of the advisory lock that each transaction takes first which writes; the first migration has it, too."""

OLDEST_SERVER: Final = 13

_HEAD: Final = re.compile(r"(?:--.*\n)*")
_NEEDS: Final = re.compile(r"^-- needs: (\d+)$", re.MULTILINE)
_OURS: Final = frozenset({"schema_info", "commit_marks", "reminders", "call_logs", "settings"})

# Those of an extension are nobody's tables: a server may have its statistics there.
_NAMES: Final = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""

# The lock is a statement of its own: the next one sees what was committed while this one waited.
_BEGIN: Final = f"""
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = 0;
SET LOCAL standard_conforming_strings = on;
SELECT pg_advisory_xact_lock({CLUSTER_WRITE_LOCK});
"""

# The functions keep this path: they find our tables, whatever the path of the program that fires a trigger.
_KEEP_TO_OUR_SCHEMA: Final = "SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', TRUE)"

PlainConnection = psycopg.Connection[Any]


@frozen
class Schema:
    """What the tables of a database are."""

    version: int
    """The number of the last migration."""
    needs: int
    """The oldest schema that a program must know to use them."""


def migrations() -> list[Migration]:
    """Return all steps that come with this program, oldest first."""
    return migrations_of("reminderd.store.postgres")


def schema_of(connection: PlainConnection) -> Schema | None:
    """Return what the tables of this database are; None: it has none.

    Raises:
        StoreUnusableError: They are another program's.
    """
    names = {name for (name,) in connection.execute(_NAMES).fetchall()}
    if not names:
        return None
    if not names >= _OURS:
        raise StoreUnusableError("made by another program, not by reminderd: give it a database of its own")
    row = connection.execute("SELECT version, needs FROM schema_info").fetchone()
    if row is None:
        raise StoreUnusableError("the table schema_info is empty: nobody knows which schema the tables have")
    return Schema(version=row[0], needs=row[1])


def refuse_if_it_needs_more(needs: int, newest: int) -> None:
    """Do nothing if a program that knows the schema `newest` can use tables with this `schema_info.needs`.

    Raises:
        StoreUnusableError: It can't.
    """
    if needs > newest:
        raise StoreUnusableError(
            f"upgraded by a newer reminderd (needs schema {needs}, this one knows {newest}): upgrade this machine, too"
        )


def make_or_check(connection: PlainConnection, steps: list[Migration]) -> list[str]:
    """Make the tables if the database is empty, and return the names of the steps; else see whether they can be used.

    Raises:
        StoreUnusableError: They are another program's, too new, or older: only `migrate` upgrades them.
        StoreUnavailableError: The server can't be reached, or another program holds a lock.
    """
    newest = steps[-1].number
    with _translated():
        found = schema_of(connection)
        if found is None:
            return _apply_missing(connection, steps)
        refuse_if_it_needs_more(found.needs, newest)
        if found.version < newest:
            raise StoreUnusableError(
                f"made by an older reminderd (schema {found.version}, this one has {newest}): run reminderd db migrate"
            )
        return []


def migrate(connection: PlainConnection, steps: list[Migration]) -> list[str]:
    """Apply those of `steps` that the database has not had, in one transaction, and return their names.

    Several processes may try at once: one of them does all the work. Daemons wait meanwhile.

    Args:
        connection: with no transaction open, and with autocommit.
        steps: all existing steps, oldest first.

    Raises:
        StoreUnusableError: The database is another program's or too new, or a step fails.
        StoreUnavailableError: The server can't be reached, or another program has held a lock for five seconds.
    """
    with _translated():
        found = schema_of(connection)
        if found is not None:
            refuse_if_it_needs_more(found.needs, steps[-1].number)
            if found.version >= steps[-1].number:
                return []
        return _apply_missing(connection, steps)


def _apply_missing(connection: PlainConnection, steps: list[Migration]) -> list[str]:
    _refuse_unfit_server(connection)
    with connection.transaction():
        connection.execute(_BEGIN.encode(), prepare=False)
        connection.execute(_KEEP_TO_OUR_SCHEMA)
        # Read again under the lock: another process may have been faster.
        found = schema_of(connection)
        missing = [step for step in steps if found is None or step.number > found.version]
        needs = 1 if found is None else found.needs
        for step in missing:
            connection.execute(step.sql.encode(), prepare=False)
            needs = max(needs, _needs(step))
        if missing:
            connection.execute("UPDATE schema_info SET version = %s, needs = %s", (missing[-1].number, needs))
    return [step.name for step in missing]


def _needs(step: Migration) -> int:
    head = _HEAD.match(step.sql)
    stated = _NEEDS.search(head[0]) if head else None
    return int(stated[1]) if stated else 0


def _refuse_unfit_server(connection: PlainConnection) -> None:
    """Do nothing if the tables can be made here.

    Raises:
        StoreUnusableError: They can't.
    """
    if connection.info.server_version < OLDEST_SERVER * 10_000:
        version = connection.info.parameter_status("server_version")
        raise StoreUnusableError(f"PostgreSQL {version} is too old: expected {OLDEST_SERVER} or later")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        raise StoreUnusableError(f"its encoding is {encoding}: expected UTF8 (CREATE DATABASE … ENCODING 'UTF8')")
    if connection.execute("SELECT 1 WHERE current_schema() IS NULL").fetchone():
        raise StoreUnusableError("no schema of the search_path exists: CREATE SCHEMA, or correct the search_path")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn PostgreSQL's errors into ours, those of a step, too."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise StoreUnavailableError(
            "another program has held a lock for 5 seconds; nothing was changed: end its transaction, then try again"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreUnusableError(
            f"{first_line(error)}: expected the owner of the database, or of its tables; nothing was changed"
        ) from error
    except psycopg.Error as error:
        raise store_error(error) or StoreUnusableError(f"{first_line(error)}; nothing was changed") from error
