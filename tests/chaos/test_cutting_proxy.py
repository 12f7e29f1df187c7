"""Test that the proxy of the chaos rounds cuts where it should, and that the store reports each time what happened."""

from collections.abc import Iterator
from functools import partial
from random import Random

import pytest

from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.shared_state import put_setting, setting
from tests.chaos.cutting_proxy import Cut, CuttingProxy
from tests.support.builders import NOW
from tests.support.postgres import PostgresDatabase, server_of_this_process, skip_without_postgres

pytestmark = pytest.mark.chaos


@pytest.fixture
def made() -> Iterator[PostgresDatabase]:
    skip_without_postgres()
    database = server_of_this_process().create()
    yield database
    database.server.drop(database)


@pytest.mark.parametrize("cut", Cut)
def test_a_commit_that_is_cut_off_is_reported_as_what_it_was(made: PostgresDatabase, cut: Cut) -> None:
    class Draws(Random):
        def choice(self, _some: object) -> Cut:  # type: ignore[override]  # for this one type
            return cut

    proxy = CuttingProxy(made.server.port, Draws(1))
    with proxy.running():
        through = PostgresServer(made.url.replace(f":{made.server.port}/", f":{proxy.port}/"))
        with open_sync(through) as connection:
            said = {name: _writes(connection, proxy, name) for name in ("a", "b", "c", "d", "e")}
    with open_sync(PostgresServer(made.url)) as connection:
        written = {name: snapshot(connection, partial(setting, key=name)) is not None for name in said}
    assert said == written
    assert proxy.cuts == {cut: 3}
    expected = {Cut.BEFORE: {False}, Cut.AFTER: {True}, Cut.MEANWHILE: {said["a"], said["c"], said["e"]}}
    assert {said["a"], said["c"], said["e"]} == expected[cut]
    assert said["b"] is said["d"] is True


def _writes(connection: Connection, proxy: CuttingProxy, name: str) -> bool:
    """Write something, whose COMMIT is cut off every other time; return whether the store reports it as committed."""
    proxy.share, proxy.most = 1.0, proxy.cuts.total() + (name in "ace")
    try:
        transaction(connection, lambda c, _now: put_setting(c, name, ""), NOW)
    except StoreUnavailableError:
        return False
    return True
