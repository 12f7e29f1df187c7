"""Webhooks through the real Caddy and TLS, to the real program: what comes in, what does not, what is logged."""

import json
import os
import re
import shutil
import ssl
import subprocess
from pathlib import Path
from urllib.parse import urlencode

import httpx
import pytest
import trio
from attrs import evolve

from reminderd.config.installation import WebConfig
from reminderd.core.model import Status
from reminderd.providers.twilio.webhooks import signature
from reminderd.sandbox.twilio.twiml_reader import Hangup, Say, read_twiml
from tests.support.caddy import CADDYFILE, Caddy, a_caddy, needs_caddy, with_pages
from tests.support.clinic import Clinic
from tests.support.desk import NAME, PASSWORD, Browser, a_config, desk_of
from tests.support.generic_server import send, webhook
from tests.support.ports import a_free_port
from tests.support.program import running
from tests.support.twilio_clinic import a_twilio_clinic
from tests.support.twilio_sandbox import TOKEN
from tests.support.waiting import until

pytestmark = needs_caddy

FORM = "application/x-www-form-urlencoded"

REFUSED = {502, 503}
"""Tried without an answer; not tried, as it was known to be down."""

SHUT = (
    "/",
    "/health/ready",
    "/health/",
    "/metrics",
    "/api/reminders",
    "/api/reminders/r1",
    "/api/openapi.json",
    "//api/reminders",
    "/webhooks/../api/reminders/r1",
    "/webhooks/%2e%2e/api/reminders/r1",
    "/webhooks/..%2fhealth/ready",
)
"""What is there behind Caddy, and not for the world."""


async def twilio_asks(
    caddy: Caddy, target: str, *, token: str = TOKEN, method: str = "POST", **fields: str
) -> httpx.Response:
    """Send a request with Twilio's signature over the public URL."""
    url = caddy.url + target
    headers = {"X-Twilio-Signature": signature(token, url, list(fields.items()))}
    if method == "GET":
        return await caddy.client.get(url, headers=headers)
    return await caddy.client.post(url, content=urlencode(fields), headers={"Content-Type": FORM} | headers)


async def forwarded(caddy: Caddy, target: str, method: str = "GET") -> int:
    """Return the status for a path that is sent unchanged."""
    request = caddy.client.build_request(method, caddy.url)
    request.url = request.url.copy_with(raw_path=target.encode())
    return (await caddy.client.send(request)).status_code


async def announced(caddy: Caddy, length: int) -> str:
    """Return the answer to a request with a length but no body."""
    trust = ssl.create_default_context(cafile=caddy.certificate)
    stream = await trio.open_ssl_over_tcp_stream("localhost", caddy.port, ssl_context=trust)
    async with stream:
        head = (
            f"POST /webhooks/call-status HTTP/1.1\r\nHost: localhost:{caddy.port}\r\nContent-Length: {length}\r\n\r\n"
        )
        await stream.send_all(head.encode())
        return (await stream.receive_some(1024)).decode()


@pytest.mark.parametrize("pages", [False, True], ids=["as it is", "with the pages"])
def test_the_caddyfile_is_valid_and_formatted(tmp_path: Path, pages: bool) -> None:
    text = CADDYFILE.read_text()
    file = tmp_path / "Caddyfile"
    file.write_text(with_pages(text) if pages else text)
    assert (file.read_text() != text) is pages
    caddy = shutil.which("caddy") or ""
    valid: list[str | Path] = [caddy, "validate", "--config", file, "--adapter", "caddyfile"]
    environ = os.environ | {"XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    subprocess.run(valid, env=environ, check=True, capture_output=True)
    formatted = subprocess.run([caddy, "fmt", file], check=False, capture_output=True).stdout
    assert formatted == file.read_bytes()


def test_the_command_in_the_caddyfile_switches_the_pages_on(tmp_path: Path) -> None:
    text = CADDYFILE.read_text()
    file = tmp_path / "Caddyfile"
    file.write_text(text)
    (script,) = re.findall("# sed -i '([^']+)'", text)
    subprocess.run([shutil.which("sed") or "", "-i", script, file], check=True)
    assert file.read_text() == with_pages(text)


async def test_the_pages_are_on_a_name_of_their_own_and_only_for_the_clinic(tmp_path: Path) -> None:
    port, pages_port = a_free_port(), a_free_port()
    at_pages = f"https://localhost:{pages_port}"
    config = evolve(a_config(), web=WebConfig(trusted_proxies=("127.0.0.1",)))
    async with desk_of(tmp_path, config=config) as desk:
        upstream = desk.url.removeprefix("http://")
        pages = {"REMINDERD_DESK_SITE": at_pages, "REMINDERD_DESK_UPSTREAM": upstream}
        async with a_caddy(tmp_path, port=port, upstream=a_free_port(), pages=pages) as caddy:
            browser = Browser(at_pages, verify=ssl.create_default_context(cafile=caddy.certificate))
            page = await browser.get("/?day=2026-03-02")
            assert page.response.headers["strict-transport-security"] == "max-age=31536000"
            page = await browser.submit(page, "/login", name=NAME, password=PASSWORD)
            assert NAME in page.form("/logout").text, "the browser's own form is no other site's, behind Caddy either"
            await browser.client.aclose()
            assert await forwarded(caddy, "/login") == 404, "not where the provider comes"
            await caddy.logged('"uri": "/"')
            assert "2026-03-02" not in json.dumps(caddy.log)
        nearby = pages | {"REMINDERD_DESK_NETWORKS": "192.0.2.0/24"}
        async with a_caddy(tmp_path / "other", port=port, upstream=a_free_port(), pages=nearby) as caddy:
            answer = await caddy.client.get(f"{at_pages}/login")
            assert (answer.status_code, answer.content) == (403, b"")


async def test_only_webhooks_and_the_health_check_are_public(clinic: Clinic) -> None:
    port, upstream = a_free_port(), a_free_port()
    environ = {"WEBHOOK_PORT": str(upstream), "REMINDERD__API__TOKEN": "t" * 32}
    async with (
        a_caddy(clinic.folder, port=port, upstream=upstream) as caddy,
        running("run", cwd=clinic.folder, env=environ) as program,
    ):
        await program.url()
        clinic.insert("r1")
        [ring] = await clinic.provider.rang(1)
        await clinic.until("r1", "processing")

        forged = webhook(ring, transcript="forged")
        answer = await caddy.client.post(f"{caddy.url}/webhooks/call-status?patient=mueller", json=forged)
        assert (answer.status_code, answer.json()) == (401, {"error": "Invalid signature"})
        assert clinic.reminder("r1").status is Status.PROCESSING
        answer = await send(caddy.client, caddy.url, webhook(ring, transcript="I'm here."))
        assert (answer.status_code, answer.json()) == (200, {"success": True})
        assert clinic.reminder("r1").status is Status.CALLED

        assert (await caddy.client.get(f"{caddy.url}/health")).json() == {"status": "ok"}
        assert {target: await forwarded(caddy, target) for target in SHUT} == dict.fromkeys(SHUT, 404)

        answer = await caddy.client.post(f"{caddy.url}/webhooks/call-status", content=bytes(2_000_000))
        assert (answer.status_code, answer.json()) == (413, {"error": "Payload too large"})
        far_too_large = await announced(caddy, 20_000_000)
        assert far_too_large.startswith("HTTP/1.1 413 ")
        assert "Content-Length: 0\r\n" in far_too_large, "by Caddy: it does not come as far as the daemon"

        entry = await caddy.logged('"uri": "/webhooks/call-status"')
        assert entry["request"]["method"] == "POST"
        assert "headers" not in entry["request"]
        assert "mueller" not in json.dumps(caddy.log)
        assert "forged" not in json.dumps(caddy.log)


async def test_twilios_signature_is_valid_behind_caddy_even_with_a_query(tmp_path: Path) -> None:
    port = a_free_port()
    async with (
        a_twilio_clinic(tmp_path, pace=60) as clinic,
        a_caddy(tmp_path, port=port, upstream=httpx.URL(clinic.url).port or 0) as caddy,
        running("run", cwd=tmp_path, env={"PUBLIC_BASE_URL": caddy.url}) as program,
    ):
        await program.url()
        name = clinic.insert("answered")
        await clinic.database.until(name, "processing")
        (call,) = clinic.database.calls(name)
        told = {"CallSid": call.external_call_id or "", "To": "+12025550100"}
        status = f"/webhooks/twilio/status/{call.id}"
        forged = await twilio_asks(caddy, status, token="not the token", CallStatus="completed", **told)
        assert forged.status_code == 403
        assert (await twilio_asks(caddy, status, CallStatus="in-progress", **told)).status_code == 204
        said = await twilio_asks(caddy, f"/webhooks/twilio/answer/{call.id}", CallStatus="in-progress", **told)
        assert "Tomorrow at nine." in said.text
        keys = f"/webhooks/twilio/keys/{call.id}?question=menu&repeats=0"
        pressed = {"CallStatus": "in-progress", "Digits": "1", **told}
        forged = await twilio_asks(caddy, keys, token="not the token", **pressed)
        assert forged.status_code == 403
        assert (await twilio_asks(caddy, keys, **pressed)).status_code == 200
        assert clinic.database.reminder(name).response == "confirmed"
        own = await twilio_asks(caddy, "/webhooks/twilio/fallback?To=%2B12025550100", method="GET")
        assert "Doctor Brown&#8217;s practice" in own.text or "Doctor Brown's practice" in own.text


async def test_while_the_daemon_is_down_patients_hear_a_neutral_text_and_reports_fail(tmp_path: Path) -> None:
    async with a_caddy(tmp_path, port=a_free_port(), upstream=a_free_port()) as caddy:
        answers = [
            await twilio_asks(caddy, "/webhooks/twilio/answer/call-1", CallStatus="in-progress"),
            await twilio_asks(caddy, "/webhooks/twilio/keys/call-1?question=menu&repeats=0", Digits="9"),
            await twilio_asks(caddy, "/webhooks/twilio/fallback?To=%2B12025550100", method="GET"),
        ]
        for answer in answers:
            assert answer.status_code == 200
            document = read_twiml(answer.headers["Content-Type"], answer.content)
            assert document.complaints == ()
            assert [type(verb) for verb in document.verbs] == [Say, Hangup]
            assert "from your clinic" in answer.text
        report = await twilio_asks(caddy, "/webhooks/twilio/status/call-1", CallStatus="completed")
        assert report.status_code in REFUSED
        answer = await caddy.client.post(f"{caddy.url}/webhooks/call-status?patient=mueller", json={})
        assert (answer.status_code in REFUSED, answer.content) == (True, b"")
        assert (await caddy.client.get(f"{caddy.url}/health")).status_code in REFUSED
        await caddy.logged('"uri": "/health"')
        assert "2025550100" not in json.dumps(caddy.log)
        assert "mueller" not in json.dumps(caddy.log)


async def test_a_report_during_a_restart_waits_for_it(clinic: Clinic) -> None:
    upstream = a_free_port()
    environ = {"WEBHOOK_PORT": str(upstream)}
    async with a_caddy(clinic.folder, port=a_free_port(), upstream=upstream, patience="20s") as caddy:
        async with running("run", cwd=clinic.folder, env=environ) as program:
            await program.url()
            clinic.insert("r1")
            [ring] = await clinic.provider.rang(1)
            await clinic.until("r1", "processing")
            await program.terminate()
        await caddy.knows_it_is_down()
        answers: list[httpx.Response] = []

        async def report() -> None:
            answers.append(await send(caddy.client, caddy.url, webhook(ring)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(report)
            async with running("run", cwd=clinic.folder, env=environ) as program:
                await clinic.until("r1", "called")
                await until(lambda: answers)
                await program.terminate()
    assert [answer.status_code for answer in answers] == [200]
