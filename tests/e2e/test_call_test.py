"""`reminderd call-test`: one real call, followed to its end, with the daemon running or without it."""

import subprocess
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

import httpx
import pytest
import trio
from attrs import evolve

from reminderd.cli.call_test import CallProgress, progress_lines, progress_of
from reminderd.clock import SystemClock
from reminderd.core.answers import Accepted
from reminderd.providers.twilio.webhooks import SIGNATURE_HEADER, signature
from reminderd.sandbox.behaviors import example_number
from reminderd.store.connection import snapshot
from reminderd.store.sqlite.opening import open_sync
from tests.e2e.test_api import a_reminder
from tests.support.api import TOKEN
from tests.support.clinic import Clinic
from tests.support.generic_server import send, webhook
from tests.support.hostile_provider import answering, hostile
from tests.support.ports import a_free_port
from tests.support.program import clean_environment, running
from tests.support.store import a_store
from tests.support.twilio_clinic import a_twilio_clinic
from tests.support.twilio_sandbox import FROM
from tests.support.twilio_sandbox import TOKEN as TWILIO_TOKEN
from tests.support.waiting import PATIENCE, until


async def call_test(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "reminderd", "call-test", *words]
    with trio.fail_after(PATIENCE):
        return await trio.run_process(
            command, cwd=folder, env=clean_environment(), capture_stdout=True, capture_stderr=True, check=False
        )


async def test_without_a_daemon_call_test_places_the_call_and_leaves_no_reminder(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        done = await call_test(tmp_path, example_number("confirms"), "--message", "Are you there?")
        assert done.returncode == 0, done.stderr
    said = done.stdout.decode()
    for words in (
        "placing the call from here",
        "the call is over",
        "answered by: human",
        "a key was pressed: confirmed",
    ):
        assert words in said
    (call,) = clinic.twilio.calls
    assert any("Are you there?" in words for words in call.heard)
    assert call.complaints == ()
    assert not (tmp_path / "clinic.db").exists()


async def test_a_test_call_may_be_in_another_language(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        done = await call_test(tmp_path, example_number("confirms"), "--language", "Spanish")
        assert done.returncode == 0, done.stderr
        assert (await call_test(tmp_path, example_number("confirms"), "--language", "?")).returncode == 2
    (call,) = clinic.twilio.calls
    assert call.heard[0] == "Hola, le llamamos de Doctor Brown's practice para recordarle su cita."


async def test_a_running_daemon_places_the_test_call(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        done = await call_test(tmp_path, example_number("answered"))
        assert done.returncode == 0, done.stderr
        assert await program.terminate() == 0
    assert "reminderd is running, and places the call" in done.stdout.decode()
    assert len(clinic.twilio.calls) == 1


async def test_another_call_to_the_number_is_only_reported_as_a_hold(tmp_path: Path) -> None:
    with a_store(tmp_path / "busy.db") as store:
        store.insert("other")
        [action] = store.claim()
        store.answer(action, Accepted("ext-1"))
        store.insert("test")
        store.claim()
        now = snapshot(store.connection, partial(progress_of, reminder_id="test", rules=store.rules))
        said = list(progress_lines(CallProgress(), now))
    assert said == ["held: another call to this number is under way"]


async def test_outside_the_calling_hours_a_test_call_says_how_to_call_anyway(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        now = SystemClock().now()
        closed = f'start = "{now + timedelta(hours=3):%H:%M}"\nend = "{now + timedelta(hours=4):%H:%M}"'
        config = tmp_path / "config.toml"
        config.write_text(config.read_text().replace("[calling]\n", f"[calling]\n{closed}\n"))
        async with running("run", cwd=tmp_path) as program:
            await program.url()
            done = await call_test(tmp_path, example_number("answered"))
            assert await program.terminate() == 0
    assert (done.returncode, clinic.twilio.calls) == (1, ())
    assert "expired: too late: the calling hours" in done.stdout.decode()
    assert done.stderr == b"while reminderd is stopped, call-test calls at once, whatever the hours and limits\n"


async def test_a_test_call_that_reaches_nobody_ends_with_exit_code_1_and_the_reason(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path):
        done = await call_test(tmp_path, example_number("busy"))
    assert done.returncode == 1
    assert "failed: busy" in done.stdout.decode()


async def test_a_test_call_soon_mentions_missing_webhooks(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        config = tmp_path / "config.toml"
        config.write_text(config.read_text().replace(f'"{clinic.url}"', f'"http://127.0.0.1:{a_free_port()}"'))
        async with running("call-test", example_number("answered"), cwd=tmp_path) as program:
            await program.line("no report so far; if the phone rings, webhooks don't arrive")
            assert await program.terminate() == 1


async def test_a_number_that_has_opted_out_is_not_called(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        number = example_number("answered")
        with open_sync(tmp_path / "clinic.db") as connection:
            connection.execute("INSERT INTO opt_outs (phone_number) VALUES (?)", (number,))
        done = await call_test(tmp_path, number)
    assert (done.returncode, done.stderr) == (1, b"not called: this number has opted out\n")
    assert clinic.twilio.calls == ()


@pytest.mark.parametrize("words", [["0190"], ["+12025550100", "--message", " "]])
async def test_a_number_that_cannot_be_called_ends_with_exit_code_2(tmp_path: Path, words: list[str]) -> None:
    done = await call_test(tmp_path, *words)
    assert done.returncode == 2
    assert done.stderr.startswith((b"PHONE: without country code", b"--message: empty"))


@pytest.mark.parametrize("number", [FROM, "+12025550191"], ids=["the number that calls", "the number to call back"])
async def test_the_clinics_own_number_is_refused_with_the_reason_and_an_alternative(
    tmp_path: Path, number: str
) -> None:
    async with a_twilio_clinic(tmp_path):
        done = await call_test(tmp_path, number)
    assert done.returncode == 2
    assert done.stderr.startswith(b"PHONE: the clinic's own number")
    assert b"use another phone at hand" in done.stderr


async def test_a_daemon_with_another_database_is_not_waited_for(tmp_path: Path) -> None:
    async with a_twilio_clinic(tmp_path) as clinic, running("run", cwd=tmp_path) as program:
        await program.url()
        other = (tmp_path / "config.toml").read_text().replace("clinic.db", "other.db")
        (tmp_path / "config.toml").write_text(other)
        done = await call_test(tmp_path, example_number("answered"))
        with open_sync(tmp_path / "other.db"):
            again = await call_test(tmp_path, example_number("answered"))
    for one in (done, again):
        assert one.returncode == 1
        assert one.stderr.decode().startswith("not called: another reminderd answers at port ")
    assert clinic.twilio.calls == ()


async def test_another_program_on_the_port_is_not_waited_for(tmp_path: Path) -> None:
    async with hostile(answering(404)) as server:
        (tmp_path / "config.toml").write_text(f"[web]\nport = {server.url.rpartition(':')[2]}\n")
        done = await call_test(tmp_path, "+12025550100")
    assert done.returncode == 1
    assert done.stderr.decode().startswith("not called: what answers at http://127.0.0.1:")
    assert not (tmp_path / "reminderd.db").exists()


OTHERS = [
    ("GET", "/health"),
    ("GET", "/health/ready"),
    ("GET", "/health/status"),
    ("GET", "/api/reminders/a-1"),
    ("POST", "/api/reminders"),
    ("GET", "/api/openapi.json"),
    ("GET", "/metrics"),
    ("GET", "/webhooks/twilio/fallback"),
    ("POST", "/nowhere"),
]


async def test_without_a_daemon_call_test_answers_503_to_webhooks_of_other_calls(clinic: Clinic) -> None:
    port, metrics = a_free_port(), a_free_port()
    config = clinic.folder / "config.toml"
    more = f'[api]\ntoken = "{TOKEN}"\n[backup]\nfolder = "copies"\n[metrics]\nport = {metrics}\n'
    config.write_text(config.read_text().replace("port = 0", f"port = {port}") + more)
    url = f"http://127.0.0.1:{port}"
    async with running("call-test", "+12025550147", cwd=clinic.folder) as program:
        [ring] = await clinic.provider.rang(1)
        for method, path in OTHERS:
            headers = {"Authorization": f"Bearer {TOKEN}"}
            answer = await clinic.client.request(method, url + path, headers=headers, json=a_reminder())
            assert (answer.status_code, "retry-after" in answer.headers) == (503, True), path
        stranger = evolve(ring, call_id="real-1", reminder_id="a patient's", attempt_id="0f8fad5b")
        for said in (webhook(stranger), webhook(stranger, status="ringing")):
            answer = await send(clinic.client, url, said)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        forged = await clinic.client.post(f"{url}/webhooks/call-status", json=webhook(ring))
        assert forged.status_code == 503
        with pytest.raises(httpx.ConnectError):
            await clinic.client.get(f"http://127.0.0.1:{metrics}/metrics")
        assert (await send(clinic.client, url, webhook(ring))).status_code == 200
        assert await program.ended() == 0
    assert not (clinic.folder / "copies").exists()
    assert not (clinic.folder / "clinic.db").exists()


async def test_twilios_webhooks_about_other_calls_than_the_test_call_get_503(
    tmp_path: Path,
) -> None:
    async with (
        a_twilio_clinic(tmp_path) as clinic,
        running("call-test", example_number("late webhook"), cwd=tmp_path) as program,
    ):
        await until(lambda: clinic.twilio.calls)
        fields = [("CallSid", "CA" + "1" * 32), ("CallStatus", "in-progress"), ("Digits", "1")]
        async with httpx.AsyncClient() as client:
            for what in ("status/0f8fad5b", "answer/0f8fad5b", "keys/0f8fad5b?question=menu&repeats=0"):
                url = f"{clinic.url}/webhooks/twilio/{what}"
                headers = {SIGNATURE_HEADER: signature(TWILIO_TOKEN, url, fields)}
                answer = await client.post(url, data=dict(fields), headers=headers)
                assert answer.status_code == 503, what
            url = f"{clinic.url}/webhooks/twilio/fallback"
            answer = await client.get(url, headers={SIGNATURE_HEADER: signature(TWILIO_TOKEN, url, [])})
            assert answer.status_code == 503
        await program.ended()


@pytest.mark.parametrize("is_running", [True, False])
async def test_during_a_pause_a_test_call_says_so_and_continues(tmp_path: Path, *, is_running: bool) -> None:
    async with a_twilio_clinic(tmp_path) as clinic:
        with open_sync(tmp_path / "clinic.db") as connection:
            connection.execute("INSERT INTO settings (key, value) VALUES ('paused', 'true')")
        if is_running:
            async with running("run", cwd=tmp_path) as program:
                await program.url()
                async with running("call-test", example_number("answered"), cwd=tmp_path) as test:
                    await test.line("dialing is paused; reminderd resume ends it")
                    with open_sync(tmp_path / "clinic.db") as connection:
                        connection.execute("UPDATE settings SET value = 'false' WHERE key = 'paused'")
                    assert await test.ended() == 0
                assert await program.terminate() == 0
            assert len(clinic.twilio.calls) == 1
        else:
            done = await call_test(tmp_path, example_number("answered"))
            assert done.returncode == 0, done.stderr
            assert done.stderr.decode().splitlines()[:2] == [
                "dialing is paused; reminderd resume ends it",
                "the test call is placed anyway",
            ]
            assert len(clinic.twilio.calls) == 1


async def test_a_test_call_sends_no_alert(tmp_path: Path) -> None:
    async with hostile(answering(200)) as receiver, a_twilio_clinic(tmp_path, pace=0.05):
        with (tmp_path / "config.toml").open("a") as config:
            config.write(f'[alerts]\nurls = ["{receiver.url.replace("http", "json")}"]\nevery_seconds = 0.05\n')
        done = await call_test(tmp_path, example_number("asks to cancel"))
        assert b"a key was pressed: cancel requested" in done.stdout
    assert receiver.requests == []
