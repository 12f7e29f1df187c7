"""Check a database on a PostgreSQL server: whether it answers, how the server is set up, and what the rows show."""

from functools import partial

import trio

from reminderd.clock import Clock
from reminderd.config import Config, numbering_of
from reminderd.core.diagnosis import Finding, wrong
from reminderd.core.server_diagnosis import schema, server
from reminderd.databases import PostgresServer
from reminderd.doctor.machine import look_at_rows, soundness
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError


async def check_server(config: Config, clock: Clock, *, seconds: float) -> list[Finding]:
    """Check that a server answers, and is safe and up to date; the rows are read for so many seconds at most."""
    target = config.database.target
    if not isinstance(target, PostgresServer):
        return []
    from reminderd.store.postgres.examining import examine  # noqa: PLC0415 - psycopg is installed where it is configured

    look_at = partial(examine, target, seconds=seconds, numbering=numbering_of(config), clock=clock)
    try:
        seen = await trio.to_thread.run_sync(look_at)
    except StoreUnusableError as error:
        return [wrong("database", f"{error}", "correct [database].url, or the server: see postgresql.md")]
    except StoreUnavailableError as error:
        return [
            wrong(
                "database",
                f"{error}",
                "check that the server runs and has a free connection, and that this machine can reach it",
            )
        ]
    found = [*soundness(seen, target.spoken, seconds), schema(seen.version, seen.newest)]
    if seen.server is not None:
        found += server(seen.server, failover_is_lossless=config.database.failover_is_lossless)
    return [*found, *look_at_rows(seen, target.spoken, config, clock)]
