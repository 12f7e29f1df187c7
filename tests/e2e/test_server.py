"""The daemon on a database on a PostgreSQL server: one that goes away for a while, one that was restored."""

import stat
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import trio

from reminderd.clock import SystemClock
from reminderd.store.rows import to_ms
from tests.support.ports import a_free_port
from tests.support.postgres import (
    CAREFUL_USER,
    PASSWORD,
    PostgresDatabase,
    a_server,
    skip_without_postgres,
)
from tests.support.postgres import (
    program as server_program,
)
from tests.support.program import FRESH, Program, running
from tests.support.waiting import PATIENCE, until


@pytest.fixture
def database() -> Iterator[PostgresDatabase]:
    """Yield an empty database on a server that only this test uses."""
    skip_without_postgres()
    with a_server() as server:
        yield server.create()


async def answered(status: int, url: str) -> None:
    """Wait until this address answers with a status."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:

        async def is_so() -> bool:
            return (await client.get(url)).status_code == status

        await until(is_so)


def insert(database: PostgresDatabase, reminder_id: str) -> None:
    """Add a reminder that is due, as another program does."""
    with database.connect() as other:
        other.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (%s, '+12025550100', 'Hi.', %s)",
            (reminder_id, to_ms(SystemClock().now())),
        )


async def test_the_daemon_waits_for_a_server_that_goes_away_and_never_shows_the_password(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    server = database.server
    (tmp_path / "state").mkdir()
    (tmp_path / "url").write_text(server.url(database.name, user=CAREFUL_USER))
    (tmp_path / "config.toml").write_text(
        f'[database]\nurl_file = "url"\n[web]\nport = 0\n[desk]\nport = {a_free_port()}\n[log]\nlevel = "DEBUG"\n'
    )
    env = {"STATE_DIRECTORY": str(tmp_path / "state")}
    async with running("run", cwd=tmp_path, env=env, entrance=FRESH) as program:
        name = f"postgresql://{CAREFUL_USER}@127.0.0.1:{server.port}/{database.name}"
        await program.line(f"started: provider sandbox, database {name}")
        ready = f"{await program.url()}/health/ready"
        await program.line("the front desk's pages are at")
        assert stat.S_IMODE((tmp_path / "state" / "reminderd.uploads").stat().st_mode) == 0o700
        insert(database, "before")
        await program.line("called: .* reminder=before")
        await answered(200, ready)
        server.stop()
        await answered(503, ready)
        assert PASSWORD not in _arguments_and_names(program)
        server.start()
        await answered(200, ready)
        insert(database, "after")
        await program.line("called: .* reminder=after")
        assert await program.terminate() == 0
    log = "\n".join(program.lines)
    assert "Traceback" not in log
    assert PASSWORD not in log
    assert not list((tmp_path / "state" / "reminderd.uploads").iterdir())


async def test_a_daemon_on_a_restored_dump_calls_nobody_and_says_why(
    database: PostgresDatabase, tmp_path: Path
) -> None:
    server = database.server
    (tmp_path / "config.toml").write_text("[web]\nport = 0\n")
    dump = tmp_path / "dump"
    restored = server.create()
    async with running("run", cwd=tmp_path, env={"DATABASE_URL": database.url}) as program:
        await program.line("started: ")
        await trio.run_process([server_program("pg_dump"), "-Fc", "-f", dump, "-d", database.url])
        insert(database, "forgotten")
        await program.line("called: .* reminder=forgotten")
        assert await program.terminate() == 0
    await trio.run_process([server_program("pg_restore"), "--no-owner", "-d", restored.url, dump])
    insert(restored, "forgotten")  # an import adds it again
    env = {"DATABASE_URL": restored.url}
    async with running("run", cwd=tmp_path, env=env) as program:
        await program.line("reminders that may have been called are marked as failed .1 reminder")
        why = "the database was restored from a dump, or moved to another server, last changed "
        async with running("list", cwd=tmp_path, env=env) as listed:
            await listed.line(rf"dialing is paused by reminderd since .* \({why}")
            assert await listed.ended() == 0
        assert await program.terminate() == 0
    assert "dialing reminder=forgotten" not in "\n".join(program.lines)


def _arguments_and_names(program: Program) -> str:
    """Return what every user of the machine can see of a process."""
    process = Path(f"/proc/{program.process.pid}")
    return (process / "cmdline").read_text() + (process / "comm").read_text()
