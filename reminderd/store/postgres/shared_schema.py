"""Create the tables in an empty database; upgrade them when the admin asks for it: all missing steps, or none.

Several machines use the database, and not all are upgraded at once. A step that only adds something leaves
`schema_info.needs` as it is, and older programs continue. A step with which older programs can't work has a comment
`-- needs: N` with its own number in its first lines: these programs stop before their next transaction.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from attrs import frozen

from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.migrations import Migration, migrations_of
from reminderd.store.postgres.error_codes import first_line, store_error
from reminderd.store.postgres.statements import Raw

CLUSTER_WRITE_LOCK: Final = 0x72656D64
"""The key of the advisory lock that a transaction takes before it writes; the first migration contains it, too."""

OLDEST_SERVER: Final = 13

_HEAD: Final = re.compile(r"(?:--.*\n)*")
_NEEDS: Final = re.compile(r"^-- needs: (\d+)$", re.MULTILINE)
_OURS: Final = frozenset({"schema_info", "commit_marks", "reminders", "call_logs", "settings"})

# Tables and views of an extension don't count: a server may have its statistics there.
_NAMES: Final = """
SELECT c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
 WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
   AND NOT EXISTS (SELECT 1 FROM pg_depend AS d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
"""

# The lock is taken in a statement of its own, so that the next statement sees what was committed meanwhile.
_BEGIN: Final = f"""
SET TRANSACTION ISOLATION LEVEL READ COMMITTED;
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = 0;
SET LOCAL standard_conforming_strings = on;
SELECT pg_advisory_xact_lock({CLUSTER_WRITE_LOCK});
"""

# Our functions are created with this path, so that they find our tables whatever path the calling program has.
_KEEP_TO_OUR_SCHEMA: Final = "SELECT set_config('search_path', quote_ident(current_schema()) || ', pg_temp', TRUE)"


@frozen
class Schema:
    """The schema of a database's tables."""

    version: int
    """The number of the last migration."""
    needs: int
    """The oldest schema with which a program can use them."""


def migrations() -> list[Migration]:
    """Return all steps that come with this program, oldest first."""
    return migrations_of("reminderd.store.postgres")


def schema_of(connection: Raw) -> Schema | None:
    """Return the schema of this database's tables; None if it has no tables.

    Raises:
        StoreUnusableError: The tables are another program's.
    """
    names = {name for (name,) in connection.execute(_NAMES).fetchall()}
    if not names:
        return None
    if not names >= _OURS:
        raise StoreUnusableError("made by another program, not by reminderd: give reminderd a database of its own")
    row = connection.execute("SELECT version, needs FROM schema_info").fetchone()
    if row is None:
        raise StoreUnusableError("the table schema_info is empty, so the schema is unknown: restore a backup")
    return Schema(version=row[0], needs=row[1])


def refuse_if_it_needs_more(needs: int, newest: int) -> None:
    """Raise an error unless a program that knows the schema `newest` can use tables with this `schema_info.needs`.

    Raises:
        StoreUnusableError: It can't.
    """
    if needs > newest:
        raise StoreUnusableError(
            f"upgraded by a newer reminderd (needs schema {needs}, this one knows {newest}):"
            " upgrade reminderd on this machine, too"
        )


def refuse_unless_newest(schema: Schema, newest: int) -> None:
    """Raise an error unless this program can use tables with this schema.

    Raises:
        StoreUnusableError: They are too new, or older than `newest`.
    """
    refuse_if_it_needs_more(schema.needs, newest)
    if schema.version < newest:
        raise StoreUnusableError(
            f"made by an older reminderd (schema {schema.version}, this one has {newest}): run reminderd db migrate"
        )


def make_or_check(connection: Raw, steps: list[Migration]) -> list[str]:
    """Create the tables if the database is empty, and return the names of the steps; otherwise check the tables.

    Raises:
        StoreUnusableError: The tables are another program's, too new, or older: only `migrate` upgrades them.
        StoreUnavailableError: The server can't be reached, or another program holds a lock.
    """
    with _translated():
        found = schema_of(connection)
        if found is None:
            return _apply_missing(connection, steps)
        refuse_unless_newest(found, steps[-1].number)
        return []


def migrate(connection: Raw, steps: list[Migration]) -> list[str]:
    """Apply the missing `steps` in one transaction, and return their names.

    Several processes may try at once: one of them does all the work. Daemons wait until it is done.

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


def _apply_missing(connection: Raw, steps: list[Migration]) -> list[str]:
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


def _refuse_unfit_server(connection: Raw) -> None:
    """Raise an error unless the tables can be created here.

    Raises:
        StoreUnusableError: They can't.
    """
    if connection.info.server_version < OLDEST_SERVER * 10_000:
        version = connection.info.parameter_status("server_version")
        raise StoreUnusableError(f"PostgreSQL {version} is too old: expected {OLDEST_SERVER} or later")
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        again = "create it again with ENCODING 'UTF8' TEMPLATE template0"
        raise StoreUnusableError(f"its encoding is {encoding}; expected UTF8: {again}")
    if connection.execute("SELECT 1 WHERE current_schema() IS NULL").fetchone():
        raise StoreUnusableError("no schema in the search_path exists: create one, or correct the search_path")


@contextmanager
def _translated() -> Iterator[None]:
    """Turn PostgreSQL's errors, including those of a step, into our errors."""
    try:
        yield
    except psycopg.errors.LockNotAvailable as error:
        raise StoreUnavailableError(
            "another program has held a lock for 5 seconds; nothing was changed: end its transaction, then try again"
        ) from error
    except psycopg.errors.InsufficientPrivilege as error:
        raise StoreUnusableError(
            f"{first_line(error)}; nothing was changed: use the role that owns the database and its tables"
        ) from error
    except psycopg.Error as error:
        raise store_error(error) or StoreUnusableError(f"{first_line(error)}; nothing was changed") from error
