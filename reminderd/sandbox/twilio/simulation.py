"""Play one call from the queue to its end: what is spoken, which keys are pressed, and the webhooks that Twilio sends.

Webhooks are signed forms, sent again only where no connection could be made. Their parameters:
https://www.twilio.com/docs/voice/twiml#request-parameters and the call resource. Cities and the like are there and
empty, as for most numbers: an empty value is signed, too.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from email.utils import format_datetime
from functools import partial
from itertools import count
from typing import Final
from urllib.parse import urlencode, urljoin
from uuid import uuid4

import httpx
import trio
from attrs import evolve, field, frozen
from loguru import logger

from reminderd.clock import SystemClock
from reminderd.core.script.prompts import seconds
from reminderd.providers.http import HttpAnswer, HttpClient, HttpFailure, HttpResult
from reminderd.providers.twilio.webhooks import SIGNATURE_HEADER, signature
from reminderd.sandbox.behaviors import COPIES, LATE_STEPS, PROGRESS_BEFORE
from reminderd.sandbox.switchboard import Switchboard
from reminderd.sandbox.twilio.call import ENDED, TwilioCall, WebhookTarget, picked_up, with_status, with_steps
from reminderd.sandbox.twilio.twiml_reader import Document, Gather, Hangup, Pause, Redirect, Say, TwimlError, read_twiml

API_VERSION: Final = "2010-04-01"

CLOCK: Final = SystemClock()

_EVENT_OF: Final = {"initiated": "initiated", "ringing": "ringing", "in-progress": "answered"} | dict.fromkeys(
    ENDED, "completed"
)
"""The event of `StatusCallbackEvent` to which a callback belongs, by its status."""

_RETRIEVAL_FAILURE: Final = 11200
_APPLICATION_ERROR_STEPS: Final = 5
"""The time for speaking that an application error has occurred."""
_MOST_DOCUMENTS: Final = 50
"""The most documents of one call; more are a loop."""

_TRIES: Final = 2
"""https://www.twilio.com/docs/usage/webhooks/webhooks-connection-overrides, its defaults: `rc=1`, `rp=ct`."""

_FORM: Final = "application/x-www-form-urlencoded; charset=UTF-8"

_SIP: Final = {"completed": "200", "busy": "486", "no-answer": "487", "canceled": "487", "failed": "404"}

_DETECTION_MILLISECONDS: Final = "2380"

_PLACES: Final = {
    f"{who}{what}": "US" if what == "Country" else ""
    for who in ("From", "To", "Caller", "Called")
    for what in ("City", "State", "Zip", "Country")
}


@frozen(kw_only=True)
class TwilioWebhookSender:
    """Sends the webhooks of one account."""

    http: HttpClient
    auth_token: str

    async def send(self, target: WebhookTarget, parameters: Mapping[str, str], *, copies: int = 1) -> HttpResult:
        """Send one event, `copies` times under the same token; return the last answer."""
        url, content = _request(target, parameters)
        headers = {
            "User-Agent": "TwilioProxy/1.1",
            "I-Twilio-Idempotency-Token": str(uuid4()),
            SIGNATURE_HEADER: signature(self.auth_token, url, () if content is None else parameters.items()),
        }
        if content is not None:
            headers["Content-Type"] = _FORM
        outcome = await self._send_once(target.method, url, headers, content)
        for _ in range(copies - 1):
            outcome = await self._send_once(target.method, url, headers, content)
        return outcome

    async def _send_once(self, method: str, url: str, headers: Mapping[str, str], content: bytes | None) -> HttpResult:
        outcome: HttpResult = HttpFailure(reason="", sent=False)
        for _ in range(_TRIES):
            try:
                outcome = await self.http.ask(method, url, headers=headers, content=content)
            except httpx.InvalidURL as error:
                return HttpFailure(reason=str(error), sent=False)
            if isinstance(outcome, HttpAnswer) or outcome.sent:
                return outcome
        return outcome


def _request(target: WebhookTarget, parameters: Mapping[str, str]) -> tuple[str, bytes | None]:
    """Return the URL without its fragment, and the body; None for a GET, which has its parameters in the query."""
    url = target.url.partition("#")[0]
    form = urlencode(parameters)
    if target.method == "POST":
        return url, form.encode()
    return f"{url}{'&' if '?' in url else '?'}{form}", None


def _call_parameters(account_sid: str, call: TwilioCall) -> dict[str, str]:
    """Return the parameters of every webhook."""
    return {
        "CallSid": call.id,
        "AccountSid": account_sid,
        "From": call.request.sender,
        "To": call.phone_number,
        "Caller": call.request.sender,
        "Called": call.phone_number,
        "CallStatus": call.status,
        "ApiVersion": API_VERSION,
        "Direction": "outbound-api",
        **_PLACES,
    }


def _detection_parameters(call: TwilioCall) -> Mapping[str, str]:
    """Return the parameters that show who answered, if detection was asked for and has a result."""
    if call.answered_by is None:
        return {}
    return {"AnsweredBy": call.answered_by, "MachineDetectionDuration": _DETECTION_MILLISECONDS}


def _end_parameters(call: TwilioCall) -> Mapping[str, str]:
    """Return what only the last status callback has. `CallDuration` is in seconds, `Duration` in started minutes."""
    completed = call.status == "completed"
    talked = call.steps_talked if completed else 0
    minutes = {"Duration": str(math.ceil(talked / 60))} if completed else {}
    error = {} if call.error_code is None else {"ErrorCode": str(call.error_code)}
    return {
        "CallDuration": str(talked),
        "SipResponseCode": str(call.behavior.sip_code or _SIP[call.status]),
        **minutes,
        **error,
        **_detection_parameters(call),
    }


@frozen(kw_only=True)
class Simulator:
    """What playing a call needs; all calls of a sandbox share it."""

    account_sid: str
    switchboard: Switchboard[TwilioCall]
    sender: TwilioWebhookSender
    pace: float
    _playing: dict[str, trio.CancelScope] = field(factory=dict, init=False)

    def update(self, call: TwilioCall, change: Callable[[TwilioCall], TwilioCall]) -> TwilioCall:
        """Change a call and return it; a forgotten call continues without being remembered."""
        return self.switchboard.update(call.id, change) or change(call)

    def complain(self, call: TwilioCall, complaint: str) -> None:
        """Keep and log a mistake of the client."""
        logger.warning("sandbox: Twilio would complain about call {}: {}", call.id, complaint)
        self.update(call, lambda one: evolve(one, complaints=(*one.complaints, complaint)))

    async def wait(self, steps: int) -> None:
        """Wait this many steps."""
        await trio.sleep(steps * self.pace)

    async def talk(self, call: TwilioCall, steps: int) -> None:
        """Wait this many steps, and count them as the call's duration."""
        await self.wait(steps)
        self.update(call, partial(with_steps, steps=steps))

    @contextmanager
    def interruptible(self, call: TwilioCall) -> Iterator[None]:
        """Cancel the block when the call is ended early, even if that was before the block began."""
        with trio.CancelScope() as scope:
            if (self.switchboard.call(call.id) or call).status in ENDED:
                scope.cancel()
            self._playing[call.id] = scope
            try:
                yield
            finally:
                del self._playing[call.id]

    def hang_up(self, call: TwilioCall, status: str) -> TwilioCall:
        """End a call at once with this status."""
        if call.id in self._playing:
            self._playing[call.id].cancel()
        return self.update(call, partial(with_status, status=status, now=CLOCK.now()))


async def play_call(call: TwilioCall, delivered: trio.Event, *, simulator: Simulator) -> None:
    """Play one call from the queue to its end, with the status callbacks that its request asks for.

    Returns when every status callback is accepted or given up; `delivered` is set once this applies to the last one.
    """
    async with trio.open_nursery() as deliveries:
        callbacks = _StatusCallbacks(simulator=simulator, deliveries=deliveries, delivered=delivered)
        with simulator.interruptible(call):
            await _play_until_end(call, callbacks, simulator)
        callbacks.send(simulator.update(call, partial(with_status, status=call.end, now=CLOCK.now())))


async def _play_until_end(call: TwilioCall, callbacks: "_StatusCallbacks", simulator: Simulator) -> None:
    if call.behavior.extra_status is not None:
        await simulator.wait(1)
        callbacks.send(call, call.behavior.extra_status)
    for status in PROGRESS_BEFORE[call.end]:
        await simulator.wait(1)
        now = CLOCK.now()
        match status:
            case "initiated":
                callbacks.send(simulator.update(call, partial(evolve, dialed_at=now, updated_at=now)), status)
            case "in-progress":
                in_progress = simulator.update(call, partial(picked_up, now=now))
                callbacks.send(in_progress)
                await _play_answered_call(in_progress, simulator)
                simulator.update(call, partial(with_steps, steps=1))
            case _:
                callbacks.send(simulator.update(call, partial(with_status, status=status, now=now)))
    await simulator.wait(1)


@frozen(kw_only=True)
class _StatusCallbacks:
    """The status callbacks of one call, numbered as they happen; each is sent by its own task."""

    simulator: Simulator
    deliveries: trio.Nursery
    delivered: trio.Event
    _numbers: "count[int]" = field(factory=count, init=False)

    def send(self, call: TwilioCall, status: str | None = None) -> None:
        """Send the call's status, or the one given, if the request asks for its event."""
        status = status or call.status
        target = call.request.status_callback
        # An unknown status is always sent: the number is there to cause it.
        wanted = status not in _EVENT_OF or _EVENT_OF[status] in call.request.events
        if target is not None and wanted and call.behavior.webhooks != "none":
            parameters = {
                **_call_parameters(self.simulator.account_sid, call),
                "CallStatus": status,
                "Timestamp": format_datetime(CLOCK.now()),
                "SequenceNumber": str(next(self._numbers)),
                "CallbackSource": "call-progress-events",
                **(_end_parameters(call) if status in ENDED else {}),
            }
            self.deliveries.start_soon(self._deliver, call, target, parameters)
        elif call.status in ENDED:
            self.delivered.set()

    async def _deliver(self, call: TwilioCall, target: WebhookTarget, parameters: dict[str, str]) -> None:
        ended = call.status in ENDED
        if call.behavior.webhooks == "late":
            await self.simulator.wait(LATE_STEPS)
        copies = COPIES if ended and call.behavior.webhooks == "repeated" else 1
        complaint = _complaint(await self.simulator.sender.send(target, parameters, copies=copies))
        if complaint:
            self.simulator.complain(call, complaint)
        if ended:
            self.delivered.set()


def _complaint(outcome: HttpAnswer | HttpFailure) -> str:
    """Return what Twilio's debugger lists about an answer to a status callback: it must be a 2xx, empty or TwiML."""
    if isinstance(outcome, HttpFailure):
        return f"15003: status callback: {outcome.reason}"
    if not 200 <= outcome.status < 300:
        return f"15003: status callback: answered {outcome.status}"
    if not outcome.body:
        return ""
    try:
        return "".join(read_twiml(outcome.headers.get("Content-Type", ""), outcome.body).complaints[:1])
    except TwimlError as error:
        return f"{error}"


@frozen
class _Fetch:
    """The URL of the next document, and the additional parameters of its webhook."""

    target: WebhookTarget
    parameters: Mapping[str, str] = field(factory=dict)


async def _play_answered_call(call: TwilioCall, simulator: Simulator) -> None:
    """Play documents until one of the two hangs up, or there is nothing to speak: the call then has an error code."""
    if not call.behavior.fetches_message:
        simulator.update(call, partial(with_steps, steps=_APPLICATION_ERROR_STEPS))
        return
    keys = iter(call.behavior.keys)
    fetch: _Fetch | None = _Fetch(call.request.answer, _detection_parameters(call))
    for _ in range(_MOST_DOCUMENTS):
        if fetch is None:
            return
        found = await _document(call, fetch, simulator)
        if found is None:
            simulator.update(call, partial(evolve, error_code=_RETRIEVAL_FAILURE))
            await simulator.talk(call, _APPLICATION_ERROR_STEPS)
            return
        url, document = found
        fetch = await _play_document(call, url, document, keys, simulator)
    simulator.complain(call, f"12200: {_MOST_DOCUMENTS} documents and no end")


async def _document(call: TwilioCall, fetch: _Fetch, simulator: Simulator) -> tuple[str, Document] | None:
    """Return a document with the URL that it came from, which may be the fallback; None if neither has one."""
    try:
        return fetch.target.url, await _fetched(call, fetch, simulator)
    except TwimlError as error:
        simulator.complain(call, f"{error}")
        failure = {"ErrorCode": str(error.code), "ErrorUrl": fetch.target.url}
    fallback = call.request.fallback
    if fallback is None:
        return None
    try:
        return fallback.url, await _fetched(call, _Fetch(fallback, {**fetch.parameters, **failure}), simulator)
    except TwimlError as error:
        simulator.complain(call, f"{error}")
        return None


async def _fetched(call: TwilioCall, fetch: _Fetch, simulator: Simulator) -> Document:
    parameters = {**_call_parameters(simulator.account_sid, call), **fetch.parameters}
    outcome = await simulator.sender.send(fetch.target, parameters)
    if isinstance(outcome, HttpFailure):
        raise TwimlError(_RETRIEVAL_FAILURE, f"HTTP retrieval failure: {outcome.reason}")
    if not (200 <= outcome.status < 300 and outcome.complete):
        raise TwimlError(_RETRIEVAL_FAILURE, f"HTTP retrieval failure: answered {outcome.status}")
    document = read_twiml(outcome.headers.get("Content-Type", ""), outcome.body)
    for complaint in document.complaints:
        simulator.complain(call, complaint)
    return document


async def _play_document(
    call: TwilioCall, url: str, document: Document, keys: Iterator[str], simulator: Simulator
) -> _Fetch | None:
    """Play a document; return what to fetch next, or None if the call ends."""
    for verb in document.verbs:
        match verb:
            case Say() | Pause():
                await _play_prompt(call, verb, simulator)
            case Gather():
                fetch = await _play_gather(call, url, verb, keys, simulator)
                if fetch is not None:
                    return fetch
            case Redirect():
                return _Fetch(WebhookTarget(url=_address(url, verb.url), method=verb.method))
            case Hangup():
                return None
    return None


def _address(url: str, reference: str) -> str:
    """Return the URL to which a document from this URL refers."""
    try:
        return urljoin(url, reference)
    except ValueError:  # not a URL; sending to it will fail
        return reference


async def _play_prompt(call: TwilioCall, verb: Say | Pause, simulator: Simulator) -> None:
    if isinstance(verb, Pause):
        await simulator.talk(call, verb.length)
        return
    for _ in range(verb.loop):
        most = call.behavior.hangs_up_after
        if most is not None and len((simulator.switchboard.call(call.id) or call).heard) >= most:
            simulator.hang_up(call, "completed")
        await trio.lowlevel.checkpoint()
        simulator.update(call, lambda one: evolve(one, heard=(*one.heard, verb.text)))
        await simulator.talk(call, math.ceil(seconds(verb.text)))


async def _play_gather(
    call: TwilioCall, url: str, gather: Gather, keys: Iterator[str], simulator: Simulator
) -> _Fetch | None:
    """Play the prompts, then press the next key; return None if there is none and the document does not ask then."""
    for prompt in gather.prompts:
        await _play_prompt(call, prompt, simulator)
    key = next(keys, "")
    await simulator.talk(call, 1 if key and gather.only_one else gather.timeout)
    if not (key or gather.even_if_empty):
        return None
    action = WebhookTarget(url=_address(url, gather.action), method=gather.method)
    return _Fetch(action, {"Digits": key, "FinishedOnKey": "", "msg": "Gather End"})
