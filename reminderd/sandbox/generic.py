"""Simulate a provider of the generic contract: serve its API, play each call to its end, send the webhooks."""

import hmac
import json
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeAlias
from uuid import uuid4

import httpx
import trio
from attrs import evolve, field, frozen
from loguru import logger
from quart import request
from standardwebhooks import Webhook as Signer
from werkzeug.exceptions import HTTPException

from reminderd.clock import SystemClock
from reminderd.providers.base import InvalidPayloadError, json_object
from reminderd.providers.generic.webhooks import signer
from reminderd.providers.http import HttpClient, HttpFailure
from reminderd.sandbox.behaviors import COPIES, LATE_STEPS, PROGRESS_BEFORE, RETRY_AFTER_STEPS, Behavior, behavior_of
from reminderd.sandbox.switchboard import (
    CUT_MARK,
    REMEMBERED,
    Reply,
    Switchboard,
    hold_answer_back,
    sandbox_app,
    webhook_client,
)

_CLOCK: Final = SystemClock()

PAUSES: Final = (1, 2, 4, 8, 16)
"""Steps to wait after each failed try to send a webhook; after one more failed try, it is given up."""

_ANSWERED: Final[Mapping[str, Mapping[str, Any]]] = {
    "human": {
        "transcript": "Hello? Yes, thank you, I will be there.",
        "duration": 12,
        "answered_by": "human",
    },
    "machine": {"duration": 12, "answered_by": "machine"},
    "fax": {"duration": 12, "answered_by": "fax"},
}
"""The fields of the last report, by who answers."""

_TEXTS_UP_TO_THE_MESSAGE: Final = 2
"""A greeting comes first."""


@frozen(kw_only=True)
class CallRequest:
    """The body of `POST /calls`."""

    phone_number: str
    message: str = field(repr=False)
    metadata: Mapping[str, Any]


@frozen(kw_only=True)
class GenericCall:
    """One call that was placed."""

    id: str
    request: CallRequest
    key: str | None
    """The idempotency key of its request."""
    placed_at: datetime
    behavior: Behavior
    end: str
    """How it will end."""
    status: str = "queued"

    @property
    def phone_number(self) -> str:
        """The number that is called."""
        return self.request.phone_number

    @property
    def attempt_id(self) -> str | None:
        """The client's id for the call; None if the metadata have none."""
        return self.request.metadata.get("attempt_id")


@frozen
class Placed:
    """The request, or an earlier request with the same key, has placed a call."""

    call: GenericCall
    repeated: bool


@frozen
class RequestRejected:
    """No call is placed; the request is answered with this HTTP status."""

    status: int


Decision: TypeAlias = Placed | RequestRejected


class GenericCalls:
    """The calls of one simulated provider, and the idempotency keys under which they were placed."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self.switchboard: Switchboard[GenericCall] = Switchboard(remembered=remembered)
        self._id_by_key: dict[str, str] = {}

    def decide(self, request: CallRequest, *, key: str | None, now: datetime) -> Decision:
        """Place a call for a request, or decide why none is placed, or that it was placed already."""
        known = None if key is None else self.switchboard.call(self._id_by_key.get(key, ""))
        if known is not None:
            return Placed(known, repeated=True) if known.request == request else RequestRejected(409)
        behavior = behavior_of(request.phone_number)
        status = self.switchboard.rejection(behavior, request=key or request.phone_number)
        if status is not None:
            return RequestRejected(status)
        return Placed(self._place(request, behavior, key=key, now=now), repeated=False)

    def calls_of(self, attempt_id: str) -> tuple[GenericCall, ...]:
        """Return the calls whose metadata have this `attempt_id`."""
        return tuple(call for call in self.switchboard.calls if call.attempt_id == attempt_id)

    def _place(self, request: CallRequest, behavior: Behavior, *, key: str | None, now: datetime) -> GenericCall:
        group = str(request.metadata.get("reminder_id") or request.phone_number)
        call = GenericCall(
            id=str(uuid4()),
            request=request,
            key=key,
            placed_at=now,
            behavior=behavior,
            end=self.switchboard.next_end(behavior, group=group),
        )
        if key is not None:
            self._id_by_key[key] = call.id
        for forgotten in self.switchboard.keep(call):
            self._id_by_key.pop(forgotten.key or "", None)
        return call


@frozen(kw_only=True)
class WebhookSender:
    """Sends webhooks to one URL, signed as Standard Webhooks, again until they are accepted."""

    http: HttpClient
    url: str
    signer: Signer
    pace: float

    async def send(self, report: Mapping[str, Any], *, copies: int = 1) -> None:
        """Send a report, `copies` times under one id, each until it is accepted, unwanted (410) or given up."""
        webhook_id, body = f"msg_{uuid4().hex}", json.dumps(report).encode()
        for _ in range(copies):
            if not await self._send_until_accepted(webhook_id, body):
                return

    async def _send_until_accepted(self, webhook_id: str, body: bytes) -> bool:
        for pause in (0, *PAUSES):
            await trio.sleep(pause * self.pace)
            match await self._send_once(webhook_id, body):
                case int() as status if 200 <= status < 300:
                    return True
                case 410:
                    return False
        logger.warning("sandbox: webhook {} was not accepted and is given up", webhook_id)
        return False

    async def _send_once(self, webhook_id: str, body: bytes) -> int | None:
        """Return the HTTP status of one try; None if there was no answer."""
        now = _CLOCK.now()
        headers = {
            "Content-Type": "application/json",
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": self.signer.sign(webhook_id, now, body.decode()),
        }
        try:
            outcome = await self.http.ask("POST", self.url, headers=headers, content=body)
        except httpx.InvalidURL as error:
            outcome = HttpFailure(reason=str(error), sent=False)
        if isinstance(outcome, HttpFailure):
            logger.debug("sandbox: webhook {} had no answer: {}", webhook_id, outcome.reason)
            return None
        return outcome.status


async def play_call(
    call: GenericCall,
    delivered: trio.Event,
    *,
    switchboard: Switchboard[GenericCall],
    sender: WebhookSender,
    pace: float,
) -> None:
    """Move a call from status to status, a step apart, and report each.

    Returns when every webhook is accepted or given up; `delivered` is set once this applies to the last one.
    """
    first = () if call.behavior.extra_status is None else (call.behavior.extra_status,)
    async with trio.open_nursery() as deliveries:
        for status in (*first, *PROGRESS_BEFORE[call.end], call.end):
            await trio.sleep(pace)
            updated = switchboard.update(call.id, partial(evolve, status=status))
            if updated is None:  # forgotten: too many calls came after it
                break
            deliveries.start_soon(_send_report, updated, sender, pace, delivered)


async def _send_report(call: GenericCall, sender: WebhookSender, pace: float, delivered: trio.Event) -> None:
    webhooks = call.behavior.webhooks
    if webhooks == "late":
        await trio.sleep(LATE_STEPS * pace)
    ended = call.status == call.end
    if webhooks != "none":
        await sender.send(report_of(call), copies=COPIES if ended and webhooks == "repeated" else 1)
    if ended:
        delivered.set()


def report_of(call: GenericCall) -> Mapping[str, Any]:
    """Return a call as the contract reports it, in webhooks and look-ups."""
    return {"call_id": call.id, "status": call.status, "metadata": dict(call.request.metadata), **_end_of(call)}


def _end_of(call: GenericCall) -> Mapping[str, Any]:
    """Return what is reported only once the call has ended."""
    behavior = call.behavior
    if call.status != call.end:
        return {}
    if call.end != "completed":
        return {} if behavior.sip_code is None else {"sip_response_code": behavior.sip_code}
    if not behavior.fetches_message:
        return {"duration": 0}
    if behavior.hangs_up_after is not None and behavior.hangs_up_after < _TEXTS_UP_TO_THE_MESSAGE:
        return {"status": "hung-up", "duration": 2}
    return _ANSWERED[behavior.answered_by]


_LISTED: Final = 100
"""How many calls `GET /calls` lists without a filter."""

_ERRORS: Final = {
    409: "This idempotency key belongs to another call",
    422: "The number can't be called",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}


class Sandbox:
    """One simulated provider: its HTTP app and its memory. `serve_sandbox` serves it."""

    def __init__(
        self,
        webhook_url: str,
        webhook_secret: str,
        api_key: str,
        *,
        pace: float = 1.0,
    ) -> None:
        """Set it up; no call starts before it is served.

        Args:
            webhook_url: where reports go.
            webhook_secret: signs the webhooks; in the form of Standard Webhooks.
            api_key: the bearer token that requests must carry.
            pace: the length of a step in seconds; an answered call has four steps.

        Raises:
            ValueError: the secret is not base64.
        """
        self._api_key = api_key
        self._pace = pace
        self._webhook_url = webhook_url
        self._signer = signer(webhook_secret)
        self._calls = GenericCalls()
        routes = (
            ("POST", "/calls", self._place),
            ("GET", "/calls", self._list),
            ("GET", "/calls/<call_id>", self._show),
        )
        self.app = sandbox_app("reminderd.sandbox", self._authorize, routes)
        self.app.register_error_handler(HTTPException, _explain)

    @property
    def calls(self) -> tuple[GenericCall, ...]:
        """Every call placed, oldest first; beyond 10,000 the oldest are forgotten."""
        return self._calls.switchboard.calls

    async def play_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Play the calls that are placed, each call and each webhook in its own task, until cancelled."""
        switchboard = self._calls.switchboard
        sender = WebhookSender(
            http=webhook_client(),
            url=self._webhook_url,
            signer=self._signer,
            pace=self._pace,
        )
        try:
            play = partial(play_call, switchboard=switchboard, sender=sender, pace=self._pace)
            await switchboard.play_calls(play, task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                await sender.http.aclose()

    async def _authorize(self) -> Reply | None:
        authorization = request.headers.get("Authorization", "").encode(errors="surrogatepass")
        if hmac.compare_digest(authorization, f"Bearer {self._api_key}".encode()):
            return None
        return {"error": "Unauthorized"}, 401

    async def _place(self) -> Reply:
        try:
            wanted = _call_request(
                json_object(await request.get_data(cache=False, as_text=False, parse_form_data=False))
            )
        except InvalidPayloadError as error:
            return {"error": "Invalid payload", "details": error.details}, 400
        key = request.headers.get("Idempotency-Key")
        match self._calls.decide(wanted, key=key, now=_CLOCK.now()):
            case RequestRejected(status):
                headers = {"Retry-After": str(round(RETRY_AFTER_STEPS * self._pace))} if status in {429, 503} else {}
                return {"error": _ERRORS[status]}, status, headers
            case Placed(call, repeated=True):
                return {"call_id": call.id, "status": call.status}, 200
            case Placed(call):
                return await self._start_and_answer(call)

    async def _start_and_answer(self, call: GenericCall) -> Reply:
        await hold_answer_back(call.behavior, self._calls.switchboard.start(call), self._pace)
        if call.behavior.answer == "error":
            return {"error": _ERRORS[500]}, 500
        headers = {CUT_MARK: "yes"} if call.behavior.answer == "cut" else {}
        return {"call_id": call.id, "status": call.status}, 201, headers

    async def _list(self) -> Reply:
        attempt_id = request.args.get("attempt_id")
        calls = self.calls[-_LISTED:] if attempt_id is None else self._calls.calls_of(attempt_id)
        return {"calls": [_shown(call) for call in calls]}, 200

    async def _show(self, call_id: str) -> Reply:
        call = self._calls.switchboard.call(call_id)
        return ({"error": "Unknown call"}, 404) if call is None else (_shown(call), 200)


async def _explain(error: HTTPException) -> Reply:
    return {"error": error.name}, error.code or 500


def _call_request(body: Mapping[str, Any]) -> CallRequest:
    mistakes = [
        f"{field}: expected text" for field in ("phone_number", "message") if not isinstance(body.get(field), str)
    ]
    metadata = body.get("metadata", {})
    if not isinstance(metadata, dict):
        mistakes.append("metadata: expected an object")
    if mistakes:
        raise InvalidPayloadError(mistakes)
    return CallRequest(phone_number=body["phone_number"], message=body["message"], metadata=metadata)


def _shown(call: GenericCall) -> Mapping[str, Any]:
    """Return a call as a look-up shows it: the contract's fields, and two for a developer with curl."""
    return {**report_of(call), "phone_number": call.phone_number, "placed_at": call.placed_at.isoformat()}
