"""What only a separate process can show: signals, crashes, a taken port, a database that can't be opened."""

import socket

import trio

from reminderd.core.model import Status
from reminderd.core.reasons import EndCode
from tests.support.clinic import Clinic
from tests.support.generic_server import Fault, send, webhook
from tests.support.program import running


async def test_kill_9_in_the_middle_of_a_request_calls_nobody_twice(clinic: Clinic) -> None:
    clinic.provider.latency = 60
    clinic.configure(lease_seconds=2, timeout_seconds=1, outcome_timeout_seconds=3)
    async with running("run", cwd=clinic.folder) as first:
        await first.url()
        clinic.insert("r1")
        await clinic.provider.rang(1)
        await first.kill()
    assert clinic.reminder("r1").status is Status.DIALING
    async with running("run", cwd=clinic.folder) as second:
        await clinic.until("r1", "failed")
        assert await second.terminate() == 0
    assert len(clinic.provider.rings) == 1
    assert clinic.reminder("r1").last_error == EndCode.UNCONFIRMED.sentence
    async with running("show", "r1", cwd=clinic.folder) as show:
        assert await show.ended() == 0


async def test_a_call_interrupted_by_kill_9_is_settled_by_its_webhook(clinic: Clinic) -> None:
    clinic.provider.latency = 60
    async with running("run", cwd=clinic.folder) as first:
        await first.url()
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        await first.kill()
    async with running("run", cwd=clinic.folder) as second:
        url = await second.url()
        assert (await send(clinic.client, url, webhook(ring, transcript="I'm here."))).status_code == 200
        assert clinic.reminder("r1").status is Status.CALLED
    assert [call.transcript for call in clinic.calls("r1")] == ["I'm here."]


async def test_after_sigterm_calls_in_flight_end_and_their_webhooks_are_recorded(clinic: Clinic) -> None:
    clinic.provider.latency = 1
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        for number in range(3):
            clinic.insert(f"r{number}", f"+1202555000{number}")
        rings = await clinic.provider.rang(3)
        program.process.terminate()
        await program.line("SIGTERM")
        assert (await send(clinic.client, url, webhook(rings[0]))).status_code == 200
        assert await program.ended() == 0
        assert not [line for line in program.lines if "Traceback" in line]
    states = sorted(clinic.reminder(f"r{number}").status for number in range(3))
    assert states == [Status.CALLED, Status.PROCESSING, Status.PROCESSING]
    async with running("db", "check", cwd=clinic.folder) as check:
        assert await check.ended() == 0


async def test_a_stop_ends_within_its_grace_period_even_if_the_provider_hangs(clinic: Clinic) -> None:
    clinic.provider.fault = lambda *_: Fault.HANGS_AFTER_PLACING
    clinic.configure(timeout_seconds=1)
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        clinic.insert("r1")
        await clinic.provider.rang(1)
        with trio.fail_after(25):
            assert await program.terminate() == 0
    assert [call.state for call in clinic.calls("r1")] == ["unconfirmed"]


async def test_a_second_signal_ends_the_stop_at_once_with_its_own_exit_code(clinic: Clinic) -> None:
    clinic.provider.fault = lambda *_: Fault.HANGS_AFTER_PLACING
    clinic.configure(timeout_seconds=30, lease_seconds=60)
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        clinic.insert("r1")
        await clinic.provider.rang(1)
        program.process.terminate()
        await program.line("SIGTERM: stopping")
        assert await program.terminate() == 1
    assert [call.state for call in clinic.calls("r1")] == ["dialing"], "its lease runs out, and it is checked"


async def test_a_port_in_use_is_a_one_line_error_with_exit_code_1(clinic: Clinic) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        async with running("run", cwd=clinic.folder, env={"WEBHOOK_PORT": port}) as program:
            assert await program.ended() == 1
    [line] = [line for line in program.lines if "ERROR" in line]
    assert port in line
    assert not [line for line in program.lines if "Traceback" in line]


async def test_another_programs_database_is_a_one_line_error_with_exit_code_1(clinic: Clinic) -> None:
    (clinic.folder / "clinic.db").write_text("This is no database, however much it looks like a file." * 100)
    async with running("run", cwd=clinic.folder) as program:
        assert await program.ended() == 1
    assert [line for line in program.lines if "not a SQLite database" in line]
    assert not [line for line in program.lines if "Traceback" in line]


async def test_a_dialer_process_and_a_web_process_do_the_whole_job(clinic: Clinic) -> None:
    async with (
        running("run", "--only", "web", cwd=clinic.folder) as web,
        running("run", "--only", "dial", cwd=clinic.folder) as dial,
    ):
        url = await web.url()
        await dial.line("started")
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        assert (await send(clinic.client, url, webhook(ring))).status_code == 200
        assert clinic.reminder("r1").status is Status.CALLED
        assert (await dial.terminate(), await web.terminate()) == (0, 0)


async def test_two_daemons_on_one_file_call_nobody_twice(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as one, running("run", cwd=clinic.folder) as other:
        await one.url()
        await other.url()
        for number in range(20):
            clinic.insert(f"r{number}", f"+120255500{number:02}")
        for number in range(20):
            await clinic.until(f"r{number}", "processing")
    assert len(clinic.provider.rings) == 20
    assert len({ring.reminder_id for ring in clinic.provider.rings}) == 20


async def test_a_pause_survives_a_restart_and_ends_when_staff_say_so(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        assert await program.terminate() == 0
    async with running("pause", "--reason", "wrong messages", cwd=clinic.folder) as pause:
        assert await pause.ended() == 0
    for _ in range(2):
        async with running("run", cwd=clinic.folder) as program:
            await program.url()
            await program.line("WARNING.*all dialing is paused, .*; reminderd resume ends it")
            clinic.insert(f"r{clinic.count('reminders')}", f"+1202555{clinic.count('reminders'):04}")
            assert await program.terminate() == 0
    assert clinic.provider.rings == []
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        async with running("resume", cwd=clinic.folder) as resume:
            assert await resume.ended() == 0
        await program.line("INFO    dialing is resumed")
        await clinic.provider.rang(2)
        for name in ("r0", "r1"):
            await clinic.until(name, "processing")
