"""The real program, watched: what Prometheus reads after a call, and what `reminderd status` says of it."""

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import trio

from tests.support.clinic import Clinic
from tests.support.generic_server import SECRET, send, webhook
from tests.support.metrics_page import Sample, full_page, series_in, value
from tests.support.ports import reserved_port
from tests.support.program import Program, clean_environment, running

MESSAGE = "Your appointment with Dr. Winter is tomorrow at nine."
TRANSCRIPT = "I will be there."
NUMBER = "+12025550001"

ONLY_WHERE_WE_ARE_ASKED: set[Sample] = {
    ("reminderd_paused", frozenset({("by", "address")})),
    ("reminderd_part_ready", frozenset({("part", "public_address")})),
}
"""Series of a provider that asks what to say."""

ONLY_WHERE_RESULTS_ARE_SENT: set[Sample] = {
    ("reminderd_results_waiting", frozenset()),
    ("reminderd_results_oldest_seconds", frozenset()),
}
"""Series of a clinic whose own system receives each change."""


@pytest.fixture
def port() -> Iterator[int]:
    """For webhooks and health checks."""
    with reserved_port() as port:
        yield port


@pytest.fixture
def watched(port: int) -> Iterator[dict[str, str]]:
    """The environment of a program with a port for webhooks and one for metrics."""
    with reserved_port() as metrics:
        yield {"WEBHOOK_PORT": str(port), "REMINDERD__METRICS__PORT": str(metrics)}


def known(text: str) -> set[Sample]:
    """The series of a page, but for the one whose labels say what runs."""
    return {sample for sample in series_in(text) if sample[0] != "reminderd_build_info"}


async def metrics_url(program: Program) -> str:
    return (await program.line(r"metrics are at (http://\S+)"))[1]


async def status(clinic: Clinic, port: int) -> tuple[int, dict[str, Any]]:
    """The command's exit code, and what it says."""
    command = [sys.executable, "-m", "reminderd", "status", "--json"]
    ended = await trio.run_process(
        command,
        cwd=clinic.folder,
        env=clean_environment({"WEBHOOK_PORT": str(port)}),
        capture_stdout=True,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    return ended.returncode, json.loads(ended.stdout)


async def test_metrics_show_a_whole_call_and_no_patient_data(
    clinic: Clinic, port: int, watched: dict[str, str]
) -> None:
    async with running("run", cwd=clinic.folder, env=watched) as program:
        url, page_url = await program.url(), await metrics_url(program)
        clinic.insert("r1", NUMBER, message=MESSAGE)
        [ring] = await clinic.provider.rang(1)
        await clinic.until("r1", "processing")
        before = (await clinic.client.get(page_url)).text
        assert (await send(clinic.client, url, webhook(ring, transcript=TRANSCRIPT))).status_code == 200
        assert (await clinic.client.post(f"{url}/webhooks/call-status", content=b"{}")).status_code == 401
        answer = await clinic.client.get(page_url)
        code, said = await status(clinic, port)
        assert (await clinic.client.get(f"{url}/metrics")).status_code == 404, "the world must not see it"
        assert await program.terminate() == 0

    assert value(before, "reminderd_reminders_waiting", status="processing") == 1
    assert value(before, "reminderd_calls_last_day", state="placed") == 1
    text = answer.text
    assert value(text, "reminderd_reminders_last_day", status="called") == 1
    assert value(text, "reminderd_calls_last_day", state="ended") == 1
    assert value(text, "reminderd_webhooks_total", code="200") == 1
    assert value(text, "reminderd_webhooks_total", code="401") == 1
    assert value(text, "reminderd_provider_request_seconds_count", answer="accepted") == 1
    assert value(text, "reminderd_lateness_seconds_count") == 1
    assert value(text, "reminderd_lateness_seconds_bucket", le="15.0") == 1
    assert value(text, "reminderd_writer_batch_size_count") >= 3
    assert value(text, "reminderd_part_ready", part="poll_loop") == 1
    assert value(text, "reminderd_last_webhook_timestamp_seconds") > 0
    for private in (NUMBER[1:], "Winter", TRANSCRIPT, SECRET, ring.call_id, ring.attempt_id):
        assert private not in text
    assert known(text) == known(full_page()) - ONLY_WHERE_WE_ARE_ASKED - ONLY_WHERE_RESULTS_ARE_SENT, (
        "no other series, whatever happened"
    )

    assert (code, said["errors"], said["in_flight"], said["due"]) == (0, [], 0, 0)
    assert said["daemon"]["parts"] == {"database": None, "poll loop": None, "provider": None}
    assert said["daemon"]["last_webhook"] is not None
    assert said["last_report"] is not None


async def test_dialer_and_web_process_each_have_their_own_metrics_page(
    clinic: Clinic, port: int, watched: dict[str, str]
) -> None:
    with reserved_port() as other:
        dialing = {"REMINDERD__METRICS__PORT": str(other)}
        async with (
            running("run", "--only", "web", cwd=clinic.folder, env=watched) as web,
            running("run", "--only", "dial", cwd=clinic.folder, env=dialing) as dial,
        ):
            url, of_web, of_dial = await web.url(), await metrics_url(web), await metrics_url(dial)
            clinic.insert("r1")
            [ring] = await clinic.provider.rang(1)
            assert (await send(clinic.client, url, webhook(ring))).status_code == 200
            web_page = (await clinic.client.get(of_web)).text
            dial_page = (await clinic.client.get(of_dial)).text
            _, said = await status(clinic, port)
            assert (await dial.terminate(), await web.terminate()) == (0, 0)
    assert value(dial_page, "reminderd_provider_request_seconds_count", answer="accepted") == 1
    assert value(web_page, "reminderd_webhooks_total", code="200") == 1
    assert value(web_page, "reminderd_reminders_last_day", status="called") == 1
    assert "reminderd_last_webhook_timestamp_seconds" not in {name for name, _ in series_in(dial_page)}
    assert "reminderd_last_poll_timestamp_seconds" not in {name for name, _ in series_in(web_page)}
    assert (said["errors"], said["daemon"]["parts"], said["daemon"]["last_poll"]) == ([], {"database": None}, None)


async def test_a_request_interrupted_by_a_kill_is_counted_by_the_next_process(
    clinic: Clinic, watched: dict[str, str]
) -> None:
    clinic.provider.latency = 60
    clinic.configure(lease_seconds=2, timeout_seconds=1)
    async with running("run", cwd=clinic.folder) as first:
        await first.url()
        clinic.insert("r1")
        await clinic.provider.rang(1)
        await first.kill()
    async with running("run", cwd=clinic.folder, env=watched) as second:
        page_url = await metrics_url(second)
        await second.line("the request was interrupted")
        assert value((await clinic.client.get(page_url)).text, "reminderd_lease_recoveries_total") == 1


async def test_an_unwritable_database_is_reported_by_the_parts_that_still_work(
    clinic: Clinic, port: int, watched: dict[str, str]
) -> None:
    async with running("run", cwd=clinic.folder, env=watched) as program:
        page_url = await metrics_url(program)
        clinic.insert("r1")
        await clinic.provider.rang(1)
        with program.unable_to_write():
            clinic.insert("r2", "+12025550002")
            await program.line("nothing can be claimed")
            text = (await clinic.client.get(page_url)).text
            code, said = await status(clinic, port)
    assert value(text, "reminderd_part_ready", part="database") == 0
    assert code == 1
    assert [error for error in said["errors"] if error.startswith("database: ")]


async def test_a_metrics_port_in_use_is_a_one_line_error_and_nothing_starts(clinic: Clinic) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        async with running("run", cwd=clinic.folder, env={"REMINDERD__METRICS__PORT": port}) as program:
            assert await program.ended() == 1
    [line] = [line for line in program.lines if "ERROR" in line]
    assert port in line
    assert [file.name for file in clinic.folder.iterdir()] == ["config.toml"]


async def test_each_change_of_a_reminder_is_one_log_line(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        await program.line("accepted")
        for report in ({"status": "ringing"}, {"status": "ringing"}, {}, {}):
            assert (await send(clinic.client, url, webhook(ring, **report))).status_code == 200
        assert await program.terminate() == 0
    told = [line.split("INFO")[1].split("reminder=")[0].strip() for line in program.lines if "reminder=r1" in line]
    assert told == [
        "dialing",
        "the provider accepted the call",
        "the provider reported: ringing",
        "called: somebody heard the message",
        "repeated report (completed): the outcome stays the same",
    ]
