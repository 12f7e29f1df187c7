"""Provide the database of a round, and restart its server without warning, or cut off COMMITs."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final, Literal, TypeAlias, TypeVar

from attrs import define, field

from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.store.errors import StoreUnavailableError
from tests.chaos.cutting_proxy import CuttingProxy
from tests.support.postgres import Server, server_of_this_process, skip_without_postgres
from tests.support.waiting import PATIENCE

Engine: TypeAlias = Literal["sqlite", "postgres"]
ENGINES: Final[tuple[Engine, ...]] = ("sqlite", "postgres")

T = TypeVar("T")

_CUT_SHARE: Final = 0.4


@define
class Place:
    """A database as the round itself reaches it, and as the program does."""

    database: Target
    environment: Mapping[str, str] = field(factory=dict)
    server: Server | None = None
    proxy: CuttingProxy | None = None

    @property
    def cuts(self) -> int:
        """Return how many COMMITs were cut off."""
        return 0 if self.proxy is None else self.proxy.cuts.total()

    def gets_well(self) -> None:
        """Stop cutting off COMMITs."""
        if self.proxy is not None:
            self.proxy.most = 0


@contextmanager
def a_place(engine: Engine, folder: Path, draw: Random, *, cuts: int) -> Iterator[Place]:
    """Yield an empty database; the program reaches a server through a proxy, which cuts off some COMMITs."""
    if engine == "sqlite":
        yield Place(SqliteFile(folder / "clinic.db"))
        return
    skip_without_postgres()
    server = server_of_this_process()
    made = server.create()
    proxy = CuttingProxy(server.port, draw, share=_CUT_SHARE, most=cuts)
    with proxy.running():
        through_proxy = made.url.replace(f":{server.port}/", f":{proxy.port}/")
        yield Place(PostgresServer(made.url), {"DATABASE_URL": through_proxy}, server, proxy)
    server.drop(made)


def patiently(act: Callable[[], T]) -> T:
    """Return what `act` returns, as soon as the server is up."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            return act()
        except StoreUnavailableError:
            if time.monotonic() > until:
                raise
            time.sleep(0.05)
