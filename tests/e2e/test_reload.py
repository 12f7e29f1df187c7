"""SIGHUP: the real program takes what may change from its configuration, and loses and doubles nothing meanwhile."""

import os
import pty
import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import trio

from reminderd.clock import SystemClock
from reminderd.core.model import Status
from reminderd.core.reasons import HoldCode
from tests.support.api import TOKEN
from tests.support.clinic import Clinic
from tests.support.generic_server import KEY, SECRET, send, webhook
from tests.support.hostile_provider import answering, hostile
from tests.support.program import Program, clean_environment, running
from tests.support.twilio_clinic import a_twilio_clinic
from tests.support.twilio_sandbox import TOKEN as TWILIO_TOKEN

OTHER_SECRET = "whsec_c29tZSBvdGhlciBzZWNyZXQgb2YgMzIgYnl0ZXMh"
OTHER_KEY = "another-provider-key"


def write(clinic: Clinic, more: str = "", **changes: Any) -> None:
    clinic.configure(**changes)
    with (clinic.folder / "config.toml").open("a") as file:
        file.write(more)


def closed_now() -> str:
    """Calling hours that begin in two hours."""
    opens = SystemClock().now() + timedelta(hours=2)
    return (
        f'[calling]\ntimezone = "Africa/Abidjan"\nstart = "{opens:%H:%M}"\nend = "{opens + timedelta(hours=1):%H:%M}"\n'
    )


async def test_a_new_webhook_secret_replaces_the_old_one(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        await clinic.until("r1", "processing")
        write(clinic, secret=OTHER_SECRET)
        await program.reload(r"INFO .*reloaded, changed: \[provider\.generic\]\.webhook_secret$")
        refused = await send(clinic.client, url, webhook(ring), SECRET)
        assert (refused.status_code, clinic.reminder("r1").status) == (401, Status.PROCESSING)
        assert (await send(clinic.client, url, webhook(ring), OTHER_SECRET)).status_code == 200
        assert clinic.reminder("r1").status is Status.CALLED
        assert await program.terminate() == 0
    said = "\n".join(program.lines)
    assert SECRET not in said
    assert OTHER_SECRET not in said


async def test_opened_calling_hours_release_reminders_and_closed_ones_hold_them(clinic: Clinic) -> None:
    write(clinic, closed_now())
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        clinic.insert("r1")
        await program.line("held until .*calling hours")
        write(clinic)
        await program.reload(r"changed: \[calling\]\.timezone, \[calling\]\.start, \[calling\]\.end$")
        await clinic.provider.rang(1)
        write(clinic, closed_now())
        await program.reload("changed: .*start")
        clinic.insert("r2", "+12025550002")
        await program.line("held until .* reminder=r2")
        assert clinic.reminder("r2").hold_code is HoldCode.HOURS
    assert len(clinic.provider.rings) == 1


async def test_calling_hours_opened_while_the_daemon_was_off_release_reminders(clinic: Clinic) -> None:
    write(clinic, closed_now())
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        clinic.insert("r1")
        await program.line("held until .*calling hours")
        assert await program.terminate() == 0
    write(clinic)
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        await clinic.provider.rang(1)
        assert await program.terminate() == 0


async def test_a_reload_changes_the_log_level_and_names_keys_that_need_a_restart(clinic: Clinic) -> None:
    write(clinic, '[log]\nfile = "clinic.log"\n')
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        quiet = '[log]\nfile = "other.log"\nlevel = "WARNING"\n'
        write(clinic, quiet, timeout_seconds=4)
        await program.reload(r"WARNING .*takes effect at the next start: \[provider\]\.timeout_seconds, \[log\]\.file$")
        before = len(program.lines)
        clinic.insert("r1")
        await clinic.until("r1", "processing")
        assert program.lines[before:] == []
        write(clinic, '[log]\nfile = "clinic.log"\n')
        await program.reload(r"INFO .*changed: \[log\]\.level$")
        clinic.insert("r2", "+12025550002")
        await program.line("dialing .*reminder=r2")
        assert await program.terminate() == 0
    written = (clinic.folder / "clinic.log").read_text().splitlines()
    assert written == program.lines
    assert not (clinic.folder / "other.log").exists()


async def test_a_log_level_that_could_not_be_set_is_tried_again_at_the_next_reload(clinic: Clinic) -> None:
    write(clinic, '[log]\nfile = "clinic.log"\n')
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        (clinic.folder / "clinic.log").rename(clinic.folder / "clinic.log.1")
        (clinic.folder / "clinic.log").mkdir()
        write(clinic, '[log]\nfile = "clinic.log"\nlevel = "DEBUG"\n')
        await program.reload(r"ERROR .*the log can't be written, so its level stays: is a folder; expected ")
        await program.line(r"reloaded, changed: nothing$")
        (clinic.folder / "clinic.log").rmdir()
        await program.reload(r"reloaded, changed: \[log\]\.level$")
        assert await program.terminate() == 0


async def test_an_invalid_configuration_changes_nothing_and_every_error_is_logged(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        write(clinic, "[calling", secret=OTHER_SECRET)
        await program.reload("ERROR .*configuration not reloaded .1 error.; still using the previous one$")
        wrong = '[calling]\nstart = "25:00"\n[api]\ntoken = "too short"\n[log]\nlevel = "ERROR"\n'
        write(clinic, wrong, secret="short")
        await program.reload("ERROR .*configuration not reloaded .3 errors.; still using the previous one$")
        await program.line(r"ERROR .*not reloaded: config\.toml: \[calling\]\.start: is not a time of day")
        await program.line(r"ERROR .*not reloaded: config\.toml: \[api\]\.token: is too short")
        await program.line(r"ERROR .*not reloaded: config\.toml: \[provider\.generic\]\.webhook_secret: ")
        (clinic.folder / "config.toml").unlink()
        await program.reload("not reloaded: .*config.toml: there is no such file")
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        await program.line("INFO .*dialing")
        assert (await send(clinic.client, url, webhook(ring))).status_code == 200
        clinic.configure()
        await program.reload("INFO .*reloaded, changed: nothing$")
        assert await program.terminate() == 0


async def test_a_hanging_request_keeps_its_configuration_and_the_next_call_uses_the_new_one(
    clinic: Clinic,
) -> None:
    clinic.provider.hold()
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1")
        await clinic.provider.rang(1)
        write(clinic, "[redial]\nmax_calls = 1\n", api_key=OTHER_KEY)
        await program.reload(r"changed: \[provider\.generic\]\.api_key, \[redial\]\.max_calls$")
        assert clinic.reminder("r1").status is Status.DIALING
        clinic.insert("r2", "+12025550002")
        rings = await clinic.provider.rang(2)
        clinic.provider.answers.set()
        for name in ("r1", "r2"):
            await clinic.until(name, "processing")
        keys = [request.headers["authorization"] for request in clinic.provider.requests]
        assert keys == [f"Bearer {KEY}", f"Bearer {OTHER_KEY}"]
        assert (await send(clinic.client, url, webhook(rings[1], "busy"))).status_code == 200
        assert clinic.reminder("r2").status is Status.FAILED
        assert await program.terminate() == 0
    assert [ring.reminder_id for ring in clinic.provider.rings] == ["r1", "r2"]
    assert len(clinic.calls("r1")) == len(clinic.calls("r2")) == 1


async def test_many_reloads_during_many_calls_lose_and_repeat_none(clinic: Clinic) -> None:
    names = [f"r{number:02}" for number in range(60)]
    clinic.provider.latency = 0.05
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        for turn, name in enumerate(names):
            clinic.insert(name, f"+120255501{name[1:]}")
            if turn % 3 == 0:
                other = turn % 2 == 0
                write(clinic, f"[redial]\nmax_calls = {turn + 4}\n", api_key=OTHER_KEY if other else KEY)
                await program.reload("changed: .*max_calls")
        for name in names:
            await clinic.until(name, "processing")
        assert await program.terminate() == 0
    assert sorted(ring.reminder_id for ring in clinic.provider.rings) == names
    assert not [line for line in program.lines if "ERROR" in line or "Traceback" in line]


async def test_a_reload_starts_and_stops_the_api_with_its_token(clinic: Clinic) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}

    async def asked(url: str) -> int:
        return (await clinic.client.get(f"{url}/api/reminders/r1", headers=headers)).status_code

    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1")
        assert await asked(url) == 404
        write(clinic, f'[api]\ntoken = "{TOKEN}"\n')
        await program.reload(r"changed: \[api\]\.token$")
        assert await asked(url) == 200
        write(clinic, f'[api]\ntoken = "{TOKEN[::-1]}"\n')
        await program.reload(r"changed: \[api\]\.token$")
        assert await asked(url) == 401
        write(clinic)
        await program.reload(r"changed: \[api\]\.token$")
        assert await asked(url) == 404


async def test_a_new_recipient_of_alerts_is_alerted_at_once(clinic: Clinic) -> None:
    async with hostile(answering(200)) as receiver, running("run", cwd=clinic.folder) as program:
        await program.url()
        clinic.insert("r1", "not a number")
        await clinic.until("r1", "failed")
        url = receiver.url.replace("http", "json")
        write(clinic, f'[alerts]\nurls = ["{url}"]\n')
        await program.reload(r"changed: \[alerts\]\.urls$")
        await program.line("an alert was sent: 1 reminder needs a human")
        assert url not in "".join(program.lines)


async def test_correcting_a_wrong_token_by_reload_resumes_dialing_at_once(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        config = tmp_path / "config.toml"
        right = config.read_text().replace("max_delay_seconds = 0.2", "max_delay_seconds = 600")
        right = right.replace("first_delay_seconds = 0.05", "first_delay_seconds = 600")
        config.write_text(right.replace(TWILIO_TOKEN, "wrong"))
        async with running("run", cwd=tmp_path) as program:
            await program.url()
            name = clinic.insert("answered")
            await program.line("the provider is failing, dialing pauses: 401")
            config.write_text(right)
            await program.reload(r"changed: \[provider\.twilio\]\.auth_token$")
            await clinic.database.until(name, "called")
            assert await program.terminate() == 0


async def test_closing_the_terminal_stops_the_daemon_gracefully(clinic: Clinic) -> None:
    terminal, its_end = pty.openpty()
    command = ["setsid", "--ctty", sys.executable, "-m", "reminderd", "run"]
    async with trio.open_nursery() as nursery:
        start = partial(
            trio.run_process,
            command,
            cwd=clinic.folder,
            env=clean_environment(),
            stdin=its_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        program = Program(await nursery.start(start))
        nursery.start_soon(program.read_log)
        await program.url()
        os.close(its_end)
        os.close(terminal)
        await program.line("SIGHUP: the terminal is closed; stopping")
        assert await program.ended() == 0
