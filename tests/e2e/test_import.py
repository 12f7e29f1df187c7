"""`import` as a separate process: interrupted, on a disk that fails, and next to a running daemon."""

import os
import resource
import signal

import pytest
import trio

from reminderd.core.model import Status
from reminderd.imports.loop import CHUNK
from tests.support.clinic import Clinic
from tests.support.generic_server import send, webhook
from tests.support.program import Program, running
from tests.support.waiting import PATIENCE, until

ROWS = 20_000


def write_table(clinic: Clinic) -> None:
    rows = "".join(f"{n},+4930{1000000 + n},Tomorrow at nine.,2040-01-07 09:30Z\n" for n in range(ROWS))
    (clinic.folder / "list.csv").write_text(f"ref,phone,message,at\n{rows}")


def chunks_in(clinic: Clinic) -> int:
    """Return how many whole chunks are stored; each of their reminders has its audit line."""
    rows = clinic.count("reminders WHERE ref IS NOT NULL")
    assert rows % CHUNK == 0
    assert clinic.count("audit WHERE reminder_id IN (SELECT id FROM reminders WHERE ref IS NOT NULL)") == rows
    return rows // CHUNK


async def until_first_chunk(program: Program) -> None:
    await program.line(rf"^{CHUNK} added")


@pytest.mark.parametrize("signals", [1, 2])
async def test_an_interrupted_import_leaves_whole_chunks_and_can_be_continued(clinic: Clinic, signals: int) -> None:
    write_table(clinic)
    async with running("import", "list.csv", cwd=clinic.folder) as program:
        await until_first_chunk(program)
        for _ in range(signals):
            program.process.send_signal(signal.SIGINT)
        assert await program.ended() == 130
    assert "run the same command again" in program.lines[-1]
    assert 0 < chunks_in(clinic) < ROWS // CHUNK
    async with running("import", "list.csv", cwd=clinic.folder) as program:
        assert await program.ended() == 0
    assert chunks_in(clinic) == ROWS // CHUNK
    async with running("db", "check", cwd=clinic.folder) as check:
        assert await check.ended() == 0


async def test_a_full_disk_is_a_one_line_error_that_says_how_to_continue(clinic: Clinic) -> None:
    write_table(clinic)
    async with running("import", "list.csv", cwd=clinic.folder) as program:
        await until_first_chunk(program)
        resource.prlimit(program.process.pid, resource.RLIMIT_FSIZE, (0, 0))
        assert await program.ended() == 1
    assert not [line for line in program.lines if "Traceback" in line]
    assert "run the same command again" in program.lines[-1]
    assert chunks_in(clinic) > 0


async def test_the_daemon_calls_and_settles_while_a_table_is_imported(clinic: Clinic) -> None:
    write_table(clinic)
    async with running("run", cwd=clinic.folder) as daemon:
        url = await daemon.url()
        async with running("import", "list.csv", cwd=clinic.folder) as program:
            await until_first_chunk(program)
            clinic.insert("r1")
            [ring] = await clinic.provider.rang(1)
            assert (await send(clinic.client, url, webhook(ring))).status_code == 200
            assert await program.ended() == 0
        assert clinic.reminder("r1").status is Status.CALLED
        assert await daemon.terminate() == 0
    assert chunks_in(clinic) == ROWS // CHUNK
    expected = ("no country is set", "no calling hours are set", "set [limits]")
    risks = {line for line in daemon.lines if any(risk in line for risk in expected)}
    assert not [line for line in daemon.lines if ("WARNING" in line or "ERROR" in line) and line not in risks]


async def test_an_imported_reminder_that_is_due_is_called_by_the_running_daemon(clinic: Clinic) -> None:
    (clinic.folder / "list.csv").write_text(
        "ref,phone,message,at,expires\n7,+12025550001,Hello.,2020-01-07 09:30Z,2040-01-07 09:30Z\n"
    )
    async with running("run", cwd=clinic.folder) as daemon:
        await daemon.url()
        with trio.fail_after(PATIENCE):
            async with running("import", "list.csv", cwd=clinic.folder) as program:
                assert await program.ended() == 0
            [ring] = await clinic.provider.rang(1)
        assert ring.phone_number == "+12025550001"


async def until_a_chunk_is_written(clinic: Clinic) -> None:
    await until(lambda: clinic.count("reminders WHERE ref IS NOT NULL"))


async def drop_table(clinic: Clinic) -> None:
    """Move a table into the folder that was finished long ago."""
    await trio.Path(clinic.folder / "list.csv").rename(clinic.folder / "inbox" / "list.csv")


def with_folder(clinic: Clinic) -> None:
    with (clinic.folder / "config.toml").open("a") as config:
        config.write('[import]\nfolder = "inbox"\n')
    write_table(clinic)
    os.utime(clinic.folder / "list.csv", (1_000_000, 1_000_000))
    (clinic.folder / "inbox").mkdir()


async def test_a_file_in_the_folder_that_a_kill_interrupts_is_imported_whole_after_the_next_start(
    clinic: Clinic,
) -> None:
    with_folder(clinic)
    async with running("run", cwd=clinic.folder) as daemon:
        await daemon.url()
        await drop_table(clinic)
        await until_a_chunk_is_written(clinic)
        daemon.process.kill()
        await daemon.ended()
    assert 0 < chunks_in(clinic) < ROWS // CHUNK
    assert await trio.Path(clinic.folder / "inbox" / "list.csv").exists()
    async with running("run", cwd=clinic.folder) as daemon:
        await daemon.line(r"imported list.csv: [0-9,]+ added, 0 changed, [0-9,]+ unchanged, 0 rejected; moved to done/")
        assert await daemon.terminate() == 0
    assert chunks_in(clinic) == ROWS // CHUNK
    assert await trio.Path(clinic.folder / "inbox" / "done" / "list.csv").exists()


async def test_the_daemon_calls_settles_and_stops_while_a_file_from_the_folder_is_imported(clinic: Clinic) -> None:
    with_folder(clinic)
    async with running("run", cwd=clinic.folder) as daemon:
        url = await daemon.url()
        await drop_table(clinic)
        await until_a_chunk_is_written(clinic)
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        assert (await send(clinic.client, url, webhook(ring))).status_code == 200
        assert await daemon.terminate() == 0
    assert clinic.reminder("r1").status is Status.CALLED
    assert chunks_in(clinic) < ROWS // CHUNK, "it was still being imported, and the stop waited for one chunk alone"
    assert await trio.Path(clinic.folder / "inbox" / "list.csv").exists()
