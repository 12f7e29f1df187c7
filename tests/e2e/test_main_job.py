"""The main job, end to end: the real program, a provider over real sockets, rows written by another program."""

import json
import re
import shutil

import httpx
import pytest
import trio

from reminderd.core.model import Status
from reminderd.core.reasons import EndCode
from tests.support.clinic import Clinic, until_failing, until_ready
from tests.support.generic_server import KEY, Fault, send, webhook
from tests.support.program import running


async def test_a_due_row_is_called_once_and_its_webhook_closes_it(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        await clinic.until("r1", "processing")
        assert [call.external_call_id for call in clinic.calls("r1")] == [ring.call_id]

        answer = await send(clinic.client, url, webhook(ring, transcript="Yes, I'll come."))
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        assert clinic.reminder("r1").status is Status.CALLED
        assert [call.transcript for call in clinic.calls("r1")] == ["Yes, I'll come."]
        assert await program.terminate() == 0
    [request] = clinic.provider.requests
    assert (request.method, request.target) == ("POST", "/calls")
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["idempotency-key"] == ring.attempt_id
    assert json.loads(request.body) == {
        "phone_number": "+12025550001",
        "message": "Tomorrow at nine.",
        "metadata": {"reminder_id": "r1", "attempt_id": ring.attempt_id},
    }


@pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs the sqlite3 shell")
async def test_a_row_from_the_sqlite3_shell_is_called(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        insert = (
            "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES"
            " ('from-the-shell', '+12025550001', 'Tomorrow at nine.', CAST(strftime('%s', 'now') AS INTEGER) * 1000)"
        )
        await trio.run_process(["sqlite3", "-cmd", ".timeout 5000", "clinic.db", insert], cwd=clinic.folder)
        [ring] = await clinic.provider.rang(1)
        assert ring.reminder_id == "from-the-shell"


async def test_repeated_webhooks_count_once_even_twenty_at_the_same_time(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        answers: list[httpx.Response] = []

        async def report() -> None:
            answers.append(await send(clinic.client, url, webhook(ring, transcript="Hello?")))

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(report)
        assert {answer.status_code for answer in answers} == {200}
        assert sum(not answer.json().get("duplicate", False) for answer in answers) == 1
        assert (clinic.count("webhook_receipts"), clinic.count("call_logs")) == (1, 1)


async def test_a_webhook_before_the_providers_answer_is_not_lost(clinic: Clinic) -> None:
    clinic.provider.latency = 1.0
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        assert (await send(clinic.client, url, webhook(ring, transcript="Early."))).status_code == 200
        assert clinic.reminder("r1").status is Status.CALLED
        await program.line("late report .*after the end of the call")
        assert [(c.status, c.transcript) for c in clinic.calls("r1")] == [("completed", "Early.")]
        assert clinic.reminder("r1").status is Status.CALLED


async def test_a_webhook_for_an_unknown_reminder_is_404(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        body = {"call_id": "x", "status": "completed", "metadata": {"reminder_id": "nobody"}}
        assert (await send(clinic.client, url, body)).status_code == 404
        assert clinic.count("webhook_receipts") == 0


GOOD = {"call_id": "x", "status": "completed", "metadata": {"reminder_id": "r1"}}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"status": "completed", "metadata": {"reminder_id": "r1"}}, 400),
        ({"call_id": "x", "metadata": {"reminder_id": "r1"}}, 400),
        ({"call_id": "x", "status": "completed", "metadata": {}}, 400),
        ({"call_id": "x", "status": "completed"}, 400),
        (GOOD | {"call_id": 7}, 400),
        (GOOD | {"call_id": ""}, 400),
        (GOOD | {"metadata": {"reminder_id": "r1\0"}}, 400),
        (GOOD | {"transcript": ["no"]}, 400),
        (GOOD | {"transcript": "x" * 10_000_000}, 413),
        (b"not json", 400),
        (b"", 400),
        (b"[" * 100_000, 400),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_bad_webhook_is_refused_and_nothing_is_written(clinic: Clinic, body: bytes, code: int) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1", scheduled_at=32_503_680_000_000, wake_at=32_503_680_000_000)  # looked at already
        before = clinic.reminder("r1")
        lines = len(program.lines)
        assert (await send(clinic.client, url, body)).status_code == code
        assert clinic.reminder("r1") == before
        assert (clinic.count("webhook_receipts"), clinic.count("call_logs")) == (0, 0)
        await program.line("(?i)webhook refused|refused")
        assert len(program.lines) == lines + 1


async def test_an_unsigned_or_forged_webhook_is_401_and_nothing_is_written(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r1")
        await clinic.provider.rang(1)
        await clinic.until("r1", "processing")
        for headers in (
            {},
            {"webhook-id": "a", "webhook-timestamp": "1", "webhook-signature": "v1,AAAA"},
            {"webhook-id": "a", "webhook-timestamp": "nan", "webhook-signature": "broken"},
        ):
            answer = await clinic.client.post(f"{url}/webhooks/call-status", json=GOOD, headers=headers)
            assert answer.status_code == 401
        forged = await clinic.client.post(f"{url}/webhooks/call-status", content=b"\xff\xfe", headers={})
        assert forged.status_code == 401
        assert clinic.reminder("r1").status is Status.PROCESSING
        assert clinic.count("webhook_receipts") == 0


@pytest.mark.parametrize(
    ("fault", "status", "rings"),
    [
        (Fault.REFUSED, "failed", 0),
        (Fault.DOWN, "processing", 1),
        (Fault.UNAUTHORIZED, "processing", 1),
        (Fault.TOO_MANY, "processing", 1),
        (Fault.ERROR_BUT_PLACED, "failed", 1),
        (Fault.LOST_ANSWER, "failed", 1),
        (Fault.HANGS_AFTER_PLACING, "failed", 1),
    ],
)
async def test_each_answer_of_the_provider_ends_as_documented(
    clinic: Clinic, fault: Fault, status: str, rings: int
) -> None:
    """The first request meets the fault; the provider can be asked nothing, so what stays unclear goes to staff."""
    clinic.provider.fault = lambda number, _request: fault if number == 0 else Fault.NONE
    clinic.configure(timeout_seconds=1, outcome_timeout_seconds=5)
    async with running("run", cwd=clinic.folder) as program:
        await program.url()
        clinic.insert("r1")
        ended = await clinic.until("r1", status)
        assert len(clinic.provider.rings) == rings
        if rings and status == "failed":
            assert ended.last_error == EndCode.UNCONFIRMED.sentence


async def test_ten_errors_in_a_row_pause_dialing_until_a_webhook_arrives(clinic: Clinic) -> None:
    clinic.provider.fault = lambda number, _request: Fault.ERROR if number else Fault.NONE
    async with running("run", cwd=clinic.folder) as program:
        url = await program.url()
        clinic.insert("r0")
        [ring] = await clinic.provider.rang(1)
        await clinic.until("r0", "processing")
        for number in range(1, 11):
            clinic.insert(f"r{number}", f"+120255501{number:02}")
        assert "500" in await until_failing(clinic, url, "provider")
        assert (await send(clinic.client, url, webhook(ring))).status_code == 200
        await until_ready(clinic, url)
        assert await program.terminate() == 0
    turns = [line for line in program.lines if "dialing pauses" in line or "dialing resumes" in line]
    assert [re.findall(r"\b(INFO|WARNING)\b", turn) for turn in turns] == [["WARNING"], ["INFO"]]


async def test_with_group_minutes_two_reminders_for_one_phone_are_one_call(clinic: Clinic) -> None:
    """The daemon is killed while the phone rings; both reminders still learn how the call ended."""
    with (clinic.folder / "config.toml").open("a") as config:
        config.write("[calling]\ngroup_minutes = 30\n")
    clinic.insert("r1")
    clinic.insert("r2", message="Bring your papers.")
    async with running("run", cwd=clinic.folder) as program:
        [ring] = await clinic.provider.rang(1)
        await clinic.until("r1", "processing")
        await clinic.until("r2", "processing")
        program.process.kill()
        await program.process.wait()
    async with running("run", cwd=clinic.folder) as program:
        answer = await send(clinic.client, await program.url(), webhook(ring))
        assert answer.status_code == 200
        assert clinic.reminder("r1").status is Status.CALLED
        await clinic.until("r2", "called")
        assert clinic.calls("r1") == clinic.calls("r2")
        assert [call.id for call in clinic.calls("r1")] == [ring.attempt_id]
        assert await program.terminate() == 0
    [request] = clinic.provider.requests
    assert json.loads(request.body)["message"] == "Tomorrow at nine. Bring your papers."
