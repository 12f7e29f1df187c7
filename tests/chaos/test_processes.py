"""Run several processes on one file: nobody is called twice, nobody waits forever, and no lock is reported."""

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
from click.testing import CliRunner

from reminderd.cli.main import reminderd
from reminderd.clock import SystemClock
from reminderd.core.model import CallState
from reminderd.core.reasons import EndCode
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.support.clinic import Clinic, a_clinic
from tests.support.generic_server import Ring, send, webhook
from tests.support.program import Program, clean_environment, running
from tests.support.waiting import until

pytestmark = pytest.mark.chaos


async def typed(clinic: Clinic, *words: str) -> tuple[int, str]:
    """Run a command on the clinic's database in this process; return its exit code and its output."""
    runner = CliRunner(env=clean_environment())
    command = [*words, "--config", str(clinic.folder / "config.toml")]
    done = await trio.to_thread.run_sync(partial(runner.invoke, reminderd, command))
    return done.exit_code, done.output


def nobody_spoke_of_locks(*programs: Program) -> bool:
    return not [line for program in programs for line in program.lines if "locked" in line or "Traceback" in line]


async def test_two_dialers_a_web_server_and_the_front_desk_share_one_file(tmp_path: Path) -> None:
    """The front desk adds, lists and cancels while all others work.

    Without the lease, some phones would ring twice; without BEGIN IMMEDIATE, somebody would see a locked database.
    """
    async with (
        a_clinic(tmp_path) as clinic,
        running("run", "--only", "web", cwd=tmp_path) as web,
        running("run", "--only", "dial", cwd=tmp_path) as one,
        running("run", "--only", "dial", cwd=tmp_path) as other,
        trio.open_nursery() as nursery,
    ):
        url = await web.url()
        await one.line("started")
        await other.line("started")

        async def report(ring: Ring) -> None:
            assert (await send(clinic.client, url, webhook(ring))).status_code == 200

        clinic.provider.on_ring = lambda ring: nursery.start_soon(report, ring)
        for number in range(40):
            at, phone = SystemClock().now().isoformat(), f"+1202555{number:04}"
            code, said = await typed(
                clinic, "add", "--phone", phone, "--at", at, "--message", "Hello.", "--ref", f"{number}"
            )
            assert code == 0, said
            if number % 3 == 0:
                code, said = await typed(clinic, "cancel", f"{number}")
                assert code == 0 or "not cancelled" in said, said
            if number % 5 == 0:
                code, said = await typed(clinic, "list", "--json")
                assert code == 0, said
        waiting = "reminders WHERE status NOT IN ('called', 'cancelled') OR wake_at IS NOT NULL"
        await until(lambda: clinic.count(waiting) == 0)
        assert (await one.terminate(), await other.terminate(), await web.terminate()) == (0, 0, 0)
        assert nobody_spoke_of_locks(web, one, other)
    called_ids = [ring.reminder_id for ring in clinic.provider.rings]
    assert len(called_ids) == len(set(called_ids))
    with open_sync(tmp_path / "clinic.db") as connection:
        called = connection.execute("SELECT id FROM reminders WHERE status = 'called'").fetchall()
    assert {row["id"] for row in called} <= set(called_ids)
    assert len(called) >= 40 - 14


CROWD = 40
IN_THE_INSTANT = 4
"""The requests after their last look, but not sent when the daemon was suspended; this many are accepted."""
PHONES = {f"r{number}": f"+1202555{number:04}" for number in range(CROWD)}


def insert_crowd(clinic: Clinic) -> None:
    """Add all reminders in one transaction, so that one claim takes all of them."""
    now = to_ms(SystemClock().now())
    with open_sync(clinic.folder / "clinic.db") as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, 'Hello.', ?)",
            [(reminder_id, phone, now) for reminder_id, phone in PHONES.items()],
        )
        connection.execute("COMMIT")


async def until_all(clinic: Clinic, where: str) -> None:
    """Wait until all reminders of the crowd match this condition."""
    await until(lambda: clinic.count(f"reminders WHERE {where}") == CROWD)


@asynccontextmanager
async def a_suspended_daemon(clinic: Clinic) -> AsyncIterator[Program]:
    """Run a daemon that has claimed the whole crowd, and suspend it when the first phones ring."""
    env = {"VOICE_PROVIDER_API_KEY": "suspended", "REMINDERD__WORKER__DIALERS": str(CROWD)}
    async with running("run", "--only", "dial", cwd=clinic.folder, env=env) as suspended:
        await suspended.line("started")
        clinic.provider.on_ring = lambda _ring: suspended.suspend()
        insert_crowd(clinic)
        await clinic.provider.rang(1)
        yield suspended


def requests_of(clinic: Clinic, daemon: str) -> list[str]:
    """Return the reminders for which this daemon, recognized by its key, sent requests."""
    return [
        json.loads(request.body)["metadata"]["reminder_id"]
        for request in clinic.provider.requests
        if request.headers["authorization"] == f"Bearer {daemon}"
    ]


ANOTHER = {"VOICE_PROVIDER_API_KEY": "another"}


async def test_a_suspended_daemon_does_not_send_or_settle_what_another_took_over(tmp_path: Path) -> None:
    """Without the last look, it would send the rest of its claim when it wakes, perhaps hours late.

    Without the check of the lease token, the delayed answers would settle what is already settled.
    """
    async with (
        a_clinic(tmp_path, lease_seconds=2, timeout_seconds=1, outcome_timeout_seconds=3) as clinic,
        a_suspended_daemon(clinic) as suspended,
    ):
        async with running("run", "--only", "dial", cwd=tmp_path, env=ANOTHER) as another:
            await until_all(clinic, "status = 'failed' AND end_code = 'unconfirmed'")
            assert await another.terminate() == 0
        sent = requests_of(clinic, "suspended")
        assert 0 < len(sent) < CROWD, "nothing was left to be sent"
        before = {reminder_id: clinic.reminder(reminder_id) for reminder_id in PHONES}
        clinic.provider.on_ring = lambda _ring: None
        suspended.resume()
        clinic.insert("last", "+12025559999")  # called after the last looks at all that it had claimed
        await clinic.until("last", "processing")
        assert await suspended.terminate() == 0
        assert len(requests_of(clinic, "suspended")) <= len(sent) + IN_THE_INSTANT + len(["last"])
        assert requests_of(clinic, "another") == []
        assert {reminder_id: clinic.reminder(reminder_id) for reminder_id in PHONES} == before


async def test_a_provider_id_recorded_late_by_a_suspended_daemon_is_kept(tmp_path: Path) -> None:
    """The provider's id shows staff that the phone did ring, although another daemon had to give up the call."""
    async with (
        a_clinic(tmp_path, lease_seconds=2, timeout_seconds=1, outcome_timeout_seconds=3) as clinic,
        running("run", "--only", "dial", cwd=tmp_path) as suspended,
    ):
        await suspended.line("started")
        with ExitStack() as fault:
            clinic.provider.on_ring = lambda _ring: fault.enter_context(suspended.unable_to_write())
            clinic.insert("r1")
            [ring] = await clinic.provider.rang(1)
            await suspended.line("not recorded yet")
            suspended.suspend()
        async with running("run", "--only", "dial", cwd=tmp_path) as another:
            given_up = await clinic.until("r1", "failed")
            assert await another.terminate() == 0
        suspended.resume()
        await suspended.line("the call was unreported, and is under way again")
        assert await suspended.terminate() == 0
        assert clinic.reminder("r1") == given_up
        [call] = clinic.calls("r1")
        assert (call.state, call.external_call_id) == (CallState.PLACED, ring.call_id)
    assert len(clinic.provider.rings) == 1


async def test_an_answer_known_to_a_suspended_daemon_that_wakes_in_time_is_used(tmp_path: Path) -> None:
    """Another daemon has made its calls unconfirmed and waits for news; the first one knows which were never sent.

    If that were not recorded, staff would have to call all of them manually.
    """
    times = {"lease_seconds": 2, "timeout_seconds": 1, "confirm_after_seconds": 3, "outcome_timeout_seconds": 10}
    async with (
        a_clinic(tmp_path, **times) as clinic,
        a_suspended_daemon(clinic) as suspended,
        running("run", "--only", "dial", cwd=tmp_path, env=ANOTHER) as another,
    ):
        await until_all(clinic, "status = 'processing'")
        sent = requests_of(clinic, "suspended")
        assert 0 < len(sent) < CROWD, "nothing was left to be sent"
        clinic.provider.on_ring = lambda _ring: None
        suspended.resume()
        await until_all(
            clinic,
            "status = 'failed' OR EXISTS (SELECT 1 FROM call_logs WHERE reminder_id = reminders.id"
            " AND external_call_id IS NOT NULL)",
        )
        assert (await another.terminate(), await suspended.terminate()) == (0, 0)
    unconfirmed = {
        reminder_id for reminder_id in PHONES if clinic.reminder(reminder_id).end_code is EndCode.UNCONFIRMED
    }
    assert len(unconfirmed) <= len(sent) + IN_THE_INSTANT
    called_ids = [ring.reminder_id for ring in clinic.provider.rings]
    assert {*called_ids, *unconfirmed} == PHONES.keys()
    assert len(called_ids) == len(set(called_ids))
