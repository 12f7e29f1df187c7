"""The watchdog, with the real program and a stand-in for systemd: a poll loop that hangs while the web server works."""

import signal
from datetime import timedelta

from reminderd.store.sqlite.driver import Error
from reminderd.store.sqlite.opening import open_sync
from tests.support.clinic import Clinic
from tests.support.program import running
from tests.support.systemd import a_supervisor
from tests.support.waiting import until

WATCHDOG = timedelta(seconds=3)

ENDLESS = """CREATE TRIGGER endless AFTER INSERT ON call_logs BEGIN
    SELECT count(*) FROM
        (WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers) SELECT n FROM numbers);
END"""
"""Another program's, of the kind that happens: from then on a claim never ends, and the poll loop waits for it."""


def hang_the_next_claim(clinic: Clinic) -> None:
    with open_sync(clinic.folder / "clinic.db") as connection:
        connection.execute(ENDLESS)
    clinic.insert("r1")


async def until_a_claim_hangs(clinic: Clinic) -> None:
    """Until the daemon is in a transaction and stays there."""
    with open_sync(clinic.folder / "clinic.db") as connection:
        connection.execute("PRAGMA busy_timeout = 500")

        def hangs() -> bool:
            try:
                connection.execute("BEGIN IMMEDIATE")
            except Error:
                return True
            connection.execute("ROLLBACK")
            return False

        await until(hangs)


async def test_the_watchdog_finds_a_hanging_poll_loop_even_if_the_web_server_answers(clinic: Clinic) -> None:
    async with (
        a_supervisor(str(clinic.folder / "notify"), WATCHDOG) as systemd,
        running("run", cwd=clinic.folder, env={**systemd.environ, "PYTHONFAULTHANDLER": "1"}) as program,
    ):
        url = await program.url()
        await systemd.hear("READY=1")
        await systemd.feeds(2)
        hang_the_next_claim(clinic)
        await systemd.until_fired()
        assert (await clinic.client.get(f"{url}/health")).status_code == 200
        program.process.send_signal(signal.SIGABRT)  # as systemd would
        assert await program.ended() == -signal.SIGABRT
        assert [line for line in program.lines if "store/claims.py" in line], "it says where it hung"
    with open_sync(clinic.folder / "clinic.db") as connection:
        connection.execute("DROP TRIGGER endless")
    async with running("run", cwd=clinic.folder) as program:
        await clinic.provider.rang(1)
        assert await program.terminate() == 0


async def test_the_daemon_is_not_ready_before_it_can_claim_even_if_the_web_server_answers(clinic: Clinic) -> None:
    hang_the_next_claim(clinic)
    async with (
        a_supervisor(f"@{clinic.folder}", WATCHDOG) as systemd,
        running("run", cwd=clinic.folder, env=systemd.environ) as program,
    ):
        url = await program.url()
        await until_a_claim_hangs(clinic)
        assert (await clinic.client.get(f"{url}/health")).status_code == 200
        assert systemd.heard == []


async def test_a_process_that_only_receives_webhooks_is_ready_without_a_poll_loop(clinic: Clinic) -> None:
    async with (
        a_supervisor(str(clinic.folder / "notify"), WATCHDOG) as systemd,
        running("run", "--only", "web", cwd=clinic.folder, env=systemd.environ) as program,
    ):
        await systemd.hear("READY=1")
        assert (await clinic.client.get(f"{await program.url()}/health")).status_code == 200
        await systemd.feeds(2)
        assert await program.terminate() == 0
        await systemd.hear("STOPPING=1")
        # Five for a request, five to settle its answer, five more until the supervisor may kill.
        assert "EXTEND_TIMEOUT_USEC=15000000" in systemd.heard


async def test_a_run_without_a_supervisor_works_as_usual(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder, env={"NOTIFY_SOCKET": "/nowhere/notify"}) as program:
        await program.url()
        await program.line("WARNING.*the supervisor can't be notified of READY=1: No such file or directory")
        clinic.insert("r1")
        await clinic.provider.rang(1)
        assert await program.terminate() == 0
