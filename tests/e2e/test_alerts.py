"""The real program sends a message that a reminder needs a human."""

import json

from tests.support.clinic import Clinic
from tests.support.hostile_provider import answering, hostile
from tests.support.program import running


async def test_an_alert_names_a_failed_reminder_once_by_its_id_only(clinic: Clinic) -> None:
    async with hostile(answering(200)) as receiver:
        url = receiver.url.replace("http", "json")
        environment = {"REMINDERD__ALERTS__URLS": url, "REMINDERD__ALERTS__EVERY_SECONDS": "0.05"}
        async with running("run", cwd=clinic.folder, env=environment) as program:
            await program.url()
            clinic.insert("r1", "not a number")
            await clinic.until("r1", "failed")
            await program.line("an alert was sent: 1 reminder needs a human")
            assert await program.terminate() == 0
        async with running("run", cwd=clinic.folder, env=environment) as program:
            await program.url()
            clinic.insert("r2", "neither")
            await program.line("an alert was sent: 1 reminder needs a human")
            assert await program.terminate() == 0
    told = [json.loads(request.body)["message"] for request in receiver.requests]
    assert ["r1: not reached" in text for text in told] == [True, False]
    assert ["r2: not reached" in text for text in told] == [False, True]
    assert "not a number" not in told[0]
