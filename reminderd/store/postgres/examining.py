"""Examine a database on a server for the doctor; nothing is written."""

import time
from contextlib import closing
from functools import partial
from typing import Final

from attrs import evolve

from reminderd.clock import Clock
from reminderd.core.phone import Numbering
from reminderd.databases import PostgresServer
from reminderd.store.connection import snapshot
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.examination import Examination, examination
from reminderd.store.postgres.checks import damage_in
from reminderd.store.postgres.connection import PostgresConnection
from reminderd.store.postgres.errors import is_of_one_statement
from reminderd.store.postgres.facts import facts_of
from reminderd.store.postgres.migrate import migrations, refuse_if_it_needs_more, schema_of
from reminderd.store.postgres.opening import connect, named
from reminderd.store.queries import broken_promises

_LEAST_MILLISECONDS: Final = 1
"""0 would be no limit."""


def examine(server: PostgresServer, *, seconds: float, numbering: Numbering, clock: Clock) -> Examination:
    """Examine a server, and the database if it has tables.

    Args:
        server: the database to examine.
        seconds: how long reading the rows may take.
        numbering: which numbers may be called.
        clock: our clock, which is compared with the server's.

    Raises:
        StoreUnusableError: It can't be used, or isn't ours.
        StoreUnavailableError: The server can't be reached ….
    """
    newest = migrations()[-1].number
    with named(server):
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
    """Return the errors of the schema and of the rows; None: there was not enough time to read them all."""
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
