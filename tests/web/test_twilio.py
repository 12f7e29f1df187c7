"""Twilio's webhooks: signed or refused, answered after the commit, with the TwiML of the decision."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from types import MappingProxyType
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree as ET

import httpx
import pytest
import trio
from attrs import define, evolve, field, frozen

from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.script.prompts import Prompt, Question, SpokenReply
from reminderd.core.script.scripts import Script, Scripts
from reminderd.providers.base_settings import ClientOptions
from reminderd.providers.twilio.settings import TwilioSettings
from reminderd.providers.twilio.webhooks import signature
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.web.app import Health, Webhooks, build_app
from reminderd.web.bodies import RequestLimits
from reminderd.web.server import bind, serve
from tests.support.waiting import PATIENCE
from tests.support.web_server import Recorded

BASE = "https://clinic.example"
EARLIER = "https://clinic.example:8443/before"
TOKEN = "t0ken"
CALL = "3f0a5c1e"
FIELDS = {"CallSid": "CA1", "CallStatus": "in-progress"}
FORM = "application/x-www-form-urlencoded"
ASKING = SpokenReply(parts=(Prompt.GREETING, Prompt.MESSAGE, Prompt.MENU), question=Question.MENU)


@frozen
class Said:
    reply: SpokenReply
    message: str = "Tomorrow at <nine> & not ten."


@define
class TwilioRecorder:
    """Records what it gets, and answers as the test decides, or fails."""

    says: SpokenReply = ASKING
    scripts: Scripts = field(factory=lambda: Scripts(own=Script(clinic="Doctor Brown", phone="+12025550123")))
    error: Exception | None = None
    reports: list[Report] = field(factory=list)
    keys: list[Key] = field(factory=list)
    unused_answers: list[str] = field(factory=list)

    async def report(self, report: Report) -> Recorded:
        self._keep(report)
        return Recorded(duplicate=False)

    async def pick_up(self, report: Report) -> Said:
        self._keep(report)
        return Said(self.says)

    async def press(self, report: Report, key: Key) -> Said:
        self._keep(report)
        self.keys.append(key)
        return Said(self.says)

    async def unspoken(self, call_id: str) -> None:
        self.unused_answers.append(call_id)

    def _keep(self, report: Report) -> None:
        if self.error is not None:
            raise self.error
        self.reports.append(report)


@define
class TwilioWeb:
    recorder: TwilioRecorder
    client: httpx.AsyncClient

    async def post(
        self,
        path: str,
        changes: Mapping[str, str] = MappingProxyType({}),
        *,
        signed: bool = True,
        base: str = BASE,
    ) -> httpx.Response:
        fields = {**FIELDS, **changes}
        target = f"/webhooks/twilio/{path}"
        given = signature(TOKEN if signed else "not the token", base + target, fields.items())
        headers = {"Content-Type": FORM, "X-Twilio-Signature": given}
        return await self.client.post(target, content=urlencode(fields), headers=headers)


@asynccontextmanager
async def a_twilio_web() -> AsyncIterator[TwilioWeb]:
    settings = TwilioSettings(account_sid=f"AC{0:032}", auth_token=TOKEN, from_number="+12025550190")
    provider = settings.client(
        ClientOptions(public_base_urls=(BASE, EARLIER), timeout=timedelta(seconds=1), max_connections=1)
    )
    recorder = TwilioRecorder()
    webhooks = Webhooks(provider=provider, recorder=recorder)

    async def readiness() -> dict[str, Any]:
        return {}

    app = build_app(webhooks=webhooks, health=Health(readiness=readiness), limits=RequestLimits(body_bytes=64 * 1024))
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve, app, bind("127.0.0.1", 0), shutdown_trigger=stopping.wait))
        async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, trust_env=False) as client:
            yield TwilioWeb(recorder, client)
        stopping.set()
    await provider.aclose()


def verbs(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    return [verb.tag for verb in ET.fromstring(answer.content)]  # noqa: S314 - our own


async def test_a_status_is_recorded_and_answered_with_an_empty_body() -> None:
    async with a_twilio_web() as web:
        answer = await web.post(f"status/{CALL}", {"CallStatus": "completed", "CallDuration": "31"})
        assert (answer.status_code, answer.content) == (204, b"")
        assert web.recorder.reports == [
            Report(external_call_id="CA1", status="completed", attempt_id=CALL, duration_seconds=31)
        ]


async def test_a_patient_who_answers_hears_the_message_and_is_asked_for_a_key() -> None:
    async with a_twilio_web() as web:
        answer = await web.post(f"answer/{CALL}", {"AnsweredBy": "human"})
        assert verbs(answer) == ["Gather", "Hangup"]
        gather = ET.fromstring(answer.content)[0]  # noqa: S314 - our own
        assert gather.get("action") == f"{BASE}/webhooks/twilio/keys/{CALL}?question=menu&repeats=0"
        assert [say.text for say in gather][1] == "Tomorrow at <nine> & not ten."
        assert web.recorder.reports[0].answered_by == "human"


async def test_a_key_press_is_recorded_with_its_question_and_answered() -> None:
    async with a_twilio_web() as web:
        web.recorder.says = SpokenReply(parts=(Prompt.CONFIRMED,))
        answer = await web.post(f"keys/{CALL}?question=menu&repeats=1", {"Digits": "1"})
        assert verbs(answer) == ["Say", "Hangup"]
        assert web.recorder.keys == [Key(digits="1", question=Question.MENU, repeats=1)]


async def test_a_call_in_a_patients_language_is_spoken_by_its_voice_and_keys_are_answered_in_it() -> None:
    async with a_twilio_web() as web:
        web.recorder.says = evolve(ASKING, language="es-MX")
        answer = await web.post(f"answer/{CALL}")
        assert verbs(answer) == ["Gather", "Hangup"]
        gather = ET.fromstring(answer.content)[0]  # noqa: S314 - our own
        assert gather[0].attrib == {"language": "es-MX"}
        assert gather[0].text == "Hola, le llamamos de Doctor Brown para recordarle su cita."
        action = f"{BASE}/webhooks/twilio/keys/{CALL}?question=menu&repeats=0&language=es-MX"
        assert gather.get("action") == action
        await web.post(action.removeprefix(f"{BASE}/webhooks/twilio/"), {"Digits": "1"})
        assert web.recorder.keys == [Key(digits="1", question=Question.MENU, repeats=0, language="es-MX")]


async def test_the_fallback_only_says_who_called() -> None:
    async with a_twilio_web() as web:
        target = "/webhooks/twilio/fallback"
        signed = {"X-Twilio-Signature": signature(TOKEN, BASE + target)}
        answer = await web.client.get(target, headers=signed)
        assert verbs(answer) == ["Say", "Hangup"]
        assert "Doctor Brown" in answer.text
        assert (await web.client.get(target)).status_code == 403


async def test_a_fallback_records_that_our_answer_was_not_spoken() -> None:
    async with a_twilio_web() as web:
        asked = {"CallSid": "CA1", "ErrorCode": "11200", "ErrorUrl": f"{BASE}/webhooks/twilio/answer/{CALL}"}
        target = f"/webhooks/twilio/fallback?{urlencode(asked)}"
        answer = await web.client.get(target, headers={"X-Twilio-Signature": signature(TOKEN, BASE + target)})
        assert verbs(answer) == ["Say", "Hangup"]
        assert web.recorder.unused_answers == [CALL]


@pytest.mark.parametrize("path", [f"status/{CALL}", f"answer/{CALL}", f"keys/{CALL}?question=menu&repeats=0"])
async def test_a_bad_signature_is_403_and_nothing_is_recorded(path: str) -> None:
    async with a_twilio_web() as web:
        answer = await web.post(path, signed=False)
        assert (answer.status_code, answer.json()) == (403, {"error": "Invalid signature"})
        unsigned = await web.client.post(f"/webhooks/twilio/{path}", data=FIELDS)
        assert unsigned.status_code == 403
        assert web.recorder.reports == []


@pytest.mark.parametrize("path", [f"status/{CALL}", f"answer/{CALL}", f"keys/{CALL}?question=menu&repeats=0"])
async def test_a_webhook_that_cannot_be_recorded_is_503_so_nothing_is_spoken(path: str) -> None:
    async with a_twilio_web() as web:
        web.recorder.error = StoreUnavailableError("the disk is full")
        answer = await web.post(path)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


async def test_a_call_that_was_placed_with_an_earlier_public_address_may_still_report_there() -> None:
    async with a_twilio_web() as web:
        assert (await web.post(f"status/{CALL}", base=EARLIER)).status_code == 204
        assert (await web.post(f"status/{CALL}", base="https://stranger.example")).status_code == 403


async def test_a_status_of_an_unknown_call_is_404() -> None:
    async with a_twilio_web() as web:
        web.recorder.error = UnknownReminderError(CALL)
        assert (await web.post(f"status/{CALL}")).status_code == 404


@pytest.mark.parametrize(
    ("path", "changes"),
    [
        (f"status/{CALL}", {"CallSid": ""}),
        (f"answer/{CALL}", {"CallStatus": ""}),
        (f"keys/{CALL}", {"Digits": "1"}),
        (f"keys/{CALL}?question=menu&repeats=x", {"Digits": "1"}),
    ],
)
async def test_an_invalid_signed_form_is_400(path: str, changes: dict[str, str]) -> None:
    async with a_twilio_web() as web:
        answer = await web.post(path, changes)
        assert (answer.status_code, answer.json()["error"]) == (400, "Invalid payload")
        assert web.recorder.reports == []


async def test_the_path_is_verified_with_its_escapes_as_requested() -> None:
    async with a_twilio_web() as web:
        assert (await web.post("status/a%2Fb%20c")).status_code in {204, 404}
        assert (await web.post("status/a%20b?x=%41&y=")).status_code == 204
        assert web.recorder.reports[-1].attempt_id == "a b"


async def test_another_method_is_405_a_long_form_413_and_the_generic_route_404() -> None:
    async with a_twilio_web() as web:
        assert (await web.client.get(f"/webhooks/twilio/status/{CALL}")).status_code == 405
        assert (await web.post(f"status/{CALL}", {"Filler": "x" * 70_000})).status_code == 413
        assert (await web.client.post("/webhooks/call-status", json={})).status_code == 404
