"""The OpenAPI document, compared with the answers by a client that is generated from it."""

import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import trio
from jsonschema import Draft202012Validator

from tests.support.api import TOKEN, an_api
from tests.support.waiting import PATIENCE
from tests.web.test_api import REMINDER
from tests.web.test_appointments import APPOINTMENT, PLANNING

SCHEMATHESIS = Path(sys.executable).with_name("schemathesis")


async def test_the_api_document_is_public_and_lists_every_path(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api, httpx.AsyncClient(timeout=PATIENCE) as stranger:
        document = (await stranger.get(f"{api.url}/api/openapi.json")).json()
    assert document["openapi"] == "3.1.0"
    assert set(document["paths"]) == {
        "/api/reminders",
        "/api/reminders/{name}",
        "/api/reminders/{name}/done",
        "/api/appointments",
        "/api/appointments/{name}",
        "/api/changes",
        "/api/openapi.json",
    }


@pytest.mark.parametrize("body", [REMINDER, [REMINDER]], ids=["one", "a list"])
async def test_every_field_of_an_answer_is_documented(tmp_path: Path, body: object) -> None:
    async with an_api(tmp_path) as api:
        document = (await api.client.get("/api/openapi.json")).json()
        answers = [await api.post(body), await api.get("appointment-1"), await api.get("nobody")]
        await api.execute(
            "INSERT INTO call_logs (id, reminder_id, phone_number, state, adopted, last_sign_at)"
            " SELECT 'c1', id, phone_number, 'ended', 1, 0 FROM reminders"
        )
        answers.append(await api.get("appointment-1"))
        answers.append(await api.post({"ref": 1}))
    names = ["Stored", "Reminder", "Problem", "Reminder", "Problem"]
    for answer, name in zip(answers, names, strict=True):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        Draft202012Validator(schema).validate(answer.json())


async def test_every_request_gets_an_answer_that_the_document_describes(tmp_path: Path) -> None:
    """Schemathesis makes requests up, good and bad ones; no answer may be a 5xx, or of a form that is not described."""
    (tmp_path / "config.toml").write_text(PLANNING, encoding="utf-8")
    async with an_api(tmp_path) as api:
        await api.post(REMINDER)
        await api.client.post("/api/appointments", json=APPOINTMENT)
        await api.client.delete("/api/reminders/appointment-1")  # with a change, no request for changes waits long
        command = [
            str(SCHEMATHESIS),
            "run",
            f"{api.url}/api/openapi.json",
            *("--header", f"Authorization: Bearer {TOKEN}"),
            *("--seed", "1", "--max-examples", "40", "--phases", "examples,coverage,fuzzing"),
            *("--generation-database", "none", "--no-color"),
            # "+12025550100" satisfies the schema of any string; that most strings are no number is said in words only.
            # And a name may end in "/done", so GET and DELETE are allowed on that path, too, for another reminder.
            *("--exclude-checks", "positive_data_acceptance,allow_header_conformance"),
        ]
        with trio.fail_after(PATIENCE):
            done = await trio.run_process(
                command, cwd=tmp_path, capture_stdout=True, stderr=subprocess.STDOUT, check=False
            )
    assert done.returncode == 0, done.stdout.decode()[-4000:]
