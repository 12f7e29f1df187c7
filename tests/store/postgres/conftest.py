"""Databases on a PostgreSQL server: an empty one, and one with the newest schema."""

from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec

import pytest

from tests.support.postgres import PostgresDatabase, ReusedDatabase, server_of_this_process, skip_without_postgres

collect_ignore_glob = [] if find_spec("psycopg") else ["test_*.py"]


@pytest.fixture
def empty() -> Iterator[PostgresDatabase]:
    skip_without_postgres()
    server = server_of_this_process()
    made = server.create()
    yield made
    server.drop(made)


def _prepare(database: PostgresDatabase) -> None:
    from reminderd.store.postgres.shared_schema import make_or_check, migrations  # noqa: PLC0415 - only with psycopg

    with database.server.connect(database.name, "clinic") as connection:
        make_or_check(connection, migrations())


@cache
def _reused() -> ReusedDatabase:
    return ReusedDatabase.made_by(server_of_this_process(), _prepare)


@pytest.fixture
def made() -> PostgresDatabase:
    """Return a database with the newest schema, and no rows but those that it begins with."""
    skip_without_postgres()
    return _reused().as_new()
