"""The Twilio sandbox, served on loopback, with a client and the clinic's side of its webhooks."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import trio
from attrs import define, field
from twilio.request_validator import RequestValidator

from reminderd.sandbox.behaviors import example_number
from reminderd.sandbox.switchboard import serve_sandbox
from reminderd.sandbox.twilio.call import TwilioCall
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from tests.support.hostile_provider import HostileProvider, Line, ReceivedRequest, answer, hear, hostile
from tests.support.waiting import PATIENCE, until

ACCOUNT = "AC" + "0" * 32
TOKEN = "12345"
FROM = "+12025550190"
PACE = 0.002

CALLS = f"/2010-04-01/Accounts/{ACCOUNT}/Calls.json"

EVERYTHING = ("initiated", "ringing", "answered", "completed")


def twiml(verbs: str, *, status: int = 200, content_type: str = "text/xml") -> bytes:
    """Return an answer to a webhook with these verbs."""
    return answer(status, f"<Response>{verbs}</Response>".encode(), Content_Type=content_type)


def menu(words: str = "Press 1.", **attributes: str) -> str:
    given = {"action": "/keys", "numDigits": "1", "timeout": "1", **attributes}
    written = " ".join(f'{name}="{value}"' for name, value in given.items())
    return f"<Gather {written}><Say>{words}</Say></Gather>"


ACCEPTED = answer(204)
HELLO = twiml("<Say>Hello.</Say>")


def fields(request: ReceivedRequest) -> dict[str, str]:
    """Return a webhook's parameters, from its body or its query."""
    text = request.body.decode() if request.method == "POST" else urlsplit(request.target).query
    return dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True))


@define
class ServedTwilioSandbox:
    sandbox: TwilioSandbox
    client: httpx.AsyncClient
    clinic: HostileProvider

    async def place(self, behavior: str = "answered", /, **changes: str | Sequence[str] | None) -> httpx.Response:
        """Request a call; None leaves a parameter out."""
        usual: dict[str, str | Sequence[str] | None] = {
            "To": example_number(behavior),
            "From": FROM,
            "Url": f"{self.clinic.url}/answer",
            "StatusCallback": f"{self.clinic.url}/status/call-1",
            "StatusCallbackEvent": EVERYTHING,
        }
        return await self.client.post(CALLS, data={n: v for n, v in {**usual, **changes}.items() if v is not None})

    async def ended(self) -> TwilioCall:
        """Return the one call, as soon as it has ended and its last status callback has arrived."""
        await self.callback(lambda fields: "CallDuration" in fields)
        (call,) = self.sandbox.calls
        return call

    async def callback(self, fits: Callable[[dict[str, str]], bool]) -> dict[str, str]:
        """Return the first status callback that matches, as soon as it arrives."""
        seen = 0
        while True:
            for request in (await self.clinic.heard(seen + 1))[seen:]:
                seen += 1
                if request.target.startswith("/status") and fits(fields(request)):
                    return fields(request)

    async def callbacks(self, count: int) -> list[dict[str, str]]:
        """Return the first `count` status callbacks, ordered by their numbers, as their order may vary."""
        with trio.fail_after(PATIENCE):
            while len(found := self.requests("/status")) < count:
                await self.clinic.heard(len(self.clinic.requests) + 1)
        return sorted(map(fields, found[:count]), key=lambda callback: int(callback["SequenceNumber"]))

    def requests(self, path: str) -> list[ReceivedRequest]:
        """Return the requests to a path, or below it."""
        return [request for request in self.clinic.requests if request.target.startswith(path)]

    def is_signed(self, request: ReceivedRequest) -> bool:
        """Return whether Twilio's own library accepts its signature."""
        parameters = fields(request) if request.method == "POST" else {}
        url = self.clinic.url + request.target
        return bool(RequestValidator(TOKEN).validate(url, parameters, request.headers["x-twilio-signature"]))

    async def modify(self, status: str) -> httpx.Response:
        """Request that the one call ends."""
        (call,) = self.sandbox.calls
        return await self.client.post(CALLS.replace(".json", f"/{call.id}.json"), data={"Status": status})

    async def until(self, fact: Callable[[TwilioCall], Any]) -> TwilioCall:
        """Return the one call, as soon as this condition is true."""
        await until(lambda: self.sandbox.calls and fact(self.sandbox.calls[0]))
        return self.sandbox.calls[0]


@define
class _ClinicSide:
    """Answers by path, in turn; the last answer repeats."""

    answers: dict[str, Sequence[bytes]]
    _given: dict[str, int] = field(factory=dict)

    async def reply(self, line: Line) -> None:
        path = urlsplit(line.server.requests[-1].target).path  # this line's: nothing waits between hearing and this
        (known,) = [known for known in self.answers if path.startswith(known)]
        number = self._given.get(known, 0)
        self._given[known] = number + 1
        await line.stream.send_all(self.answers[known][min(number, len(self.answers[known]) - 1)])


@asynccontextmanager
async def a_twilio_sandbox(
    answers: Mapping[str, Sequence[bytes]] | None = None, *, pace: float = PACE
) -> AsyncIterator[ServedTwilioSandbox]:
    """Serve the Twilio sandbox; `answers` are the clinic's, by path, where they differ from the usual ones."""
    side = _ClinicSide({"/status": [ACCEPTED], "/answer": [HELLO], **(answers or {})})
    async with hostile((hear, side.reply)) as clinic, trio.open_nursery() as nursery:
        sandbox = TwilioSandbox(ACCOUNT, TOKEN, pace=pace)
        url = await nursery.start(partial(serve_sandbox, sandbox))
        async with httpx.AsyncClient(base_url=url, auth=(ACCOUNT, TOKEN), trust_env=False, timeout=PATIENCE) as client:
            yield ServedTwilioSandbox(sandbox, client, clinic)
        nursery.cancel_scope.cancel()
