"""Serve the generic contract as a provider would."""

import hmac
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeAlias

import trio
from quart import Response, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.clock import Clock, SystemClock
from reminderd.providers.base import InvalidPayloadError, json_object
from reminderd.providers.generic.webhook_auth import signer
from reminderd.providers.http import Exchange
from reminderd.sandbox.behaviors import RETRY_AFTER_STEPS
from reminderd.sandbox.generic.simulation import (
    CallRequest,
    GenericCall,
    GenericCalls,
    KeyConflict,
    Placed,
    RequestRejected,
    WebhookSender,
    play_call,
    report_of,
)
from reminderd.sandbox.serve import CUT_MARK, cutting
from reminderd.sandbox.switchboard import hold_answer_back

_CLOCK: Final = SystemClock()

_WEBHOOK_TIMEOUT: Final = timedelta(seconds=15)
_CONNECTIONS: Final = 100
"""Webhooks in flight at one time."""

_BODY_LIMIT: Final = 64 * 1024
_LISTED: Final = 100
"""Calls that `GET /calls` lists without a filter."""

_ERRORS: Final = {
    422: "The number can't be called",
    429: "Too many requests",
    500: "Internal server error",
    503: "Service unavailable",
}

_Reply: TypeAlias = tuple[Mapping[str, Any], int] | tuple[Mapping[str, Any], int, Mapping[str, str]]


class Sandbox:
    """One simulated provider: its HTTP app and what it remembers. `serve_sandbox` serves it."""

    def __init__(
        self,
        webhook_url: str | Callable[[], str],
        webhook_secret: str,
        api_key: str,
        *,
        pace: float = 1.0,
        clock: Clock = _CLOCK,
    ) -> None:
        """Set it up; no call starts before it is served.

        Args:
            webhook_url: where reports go; a function, if it is known only after the start.
            webhook_secret: signs the webhooks; in the form of Standard Webhooks.
            api_key: the bearer token that requests must carry.
            pace: seconds a step takes; an answered call has four.
            clock: for `placed_at` and the signatures.

        Raises:
            ValueError: the secret is not base64.
        """
        self._api_key = api_key
        self._pace = pace
        self._clock = clock
        self._webhook_url = webhook_url
        self._signer = signer(webhook_secret)
        self._calls = GenericCalls()
        self.app = self._routes()

    @property
    def calls(self) -> tuple[GenericCall, ...]:
        """Every call placed, oldest first; beyond 10,000 the oldest are forgotten."""
        return self._calls.switchboard.calls

    async def play_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Play the calls that are placed, each call and each webhook in a task of its own, until cancelled."""
        url, switchboard = self._webhook_url, self._calls.switchboard
        sender = WebhookSender(
            exchange=Exchange(timeout=_WEBHOOK_TIMEOUT, max_connections=_CONNECTIONS),
            url=url if callable(url) else lambda: url,
            signer=self._signer,
            pace=self._pace,
            clock=self._clock,
        )
        try:
            play = partial(play_call, switchboard=switchboard, sender=sender, pace=self._pace)
            await switchboard.play_calls(play, task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                await sender.exchange.aclose()

    def _routes(self) -> QuartTrio:
        app = QuartTrio("reminderd.sandbox")
        app.config["MAX_CONTENT_LENGTH"] = _BODY_LIMIT
        app.before_request(self._authorize)
        app.register_error_handler(HTTPException, _explain)
        app.add_url_rule("/calls", view_func=self._place, methods=["POST"])
        app.add_url_rule("/calls", view_func=self._list, methods=["GET"])
        app.add_url_rule("/calls/<call_id>", view_func=self._show, methods=["GET"])
        app.asgi_app = cutting(app.asgi_app)  # type: ignore[method-assign,assignment]  # Quart's way
        return app

    async def _authorize(self) -> _Reply | None:
        authorization = request.headers.get("Authorization", "").encode(errors="surrogatepass")
        if hmac.compare_digest(authorization, f"Bearer {self._api_key}".encode()):
            return None
        return {"error": "Unauthorized"}, 401

    async def _place(self) -> _Reply:
        try:
            wanted = _call_request(
                json_object(await request.get_data(cache=False, as_text=False, parse_form_data=False))
            )
        except InvalidPayloadError as error:
            return {"error": "Invalid payload", "details": error.details}, 400
        key = request.headers.get("Idempotency-Key")
        match self._calls.decide(wanted, key=key, now=self._clock.now()):
            case RequestRejected(status):
                headers = {"Retry-After": str(round(RETRY_AFTER_STEPS * self._pace))} if status in {429, 503} else {}
                return {"error": _ERRORS[status]}, status, headers
            case KeyConflict():
                return {"error": "This idempotency key belongs to another call"}, 409
            case Placed(call, repeated=True):
                return {"call_id": call.id, "status": call.status}, 200
            case Placed(call):
                return await self._start_and_answer(call)

    async def _start_and_answer(self, call: GenericCall) -> _Reply:
        await hold_answer_back(call.behavior, self._calls.switchboard.start(call), self._pace)
        if call.behavior.answer == "error":
            return {"error": _ERRORS[500]}, 500
        headers = {CUT_MARK: "yes"} if call.behavior.answer == "cut" else {}
        return {"call_id": call.id, "status": call.status}, 201, headers

    async def _list(self) -> _Reply:
        attempt_id = request.args.get("attempt_id")
        calls = self.calls[-_LISTED:] if attempt_id is None else self._calls.calls_of(attempt_id)
        return {"calls": [_shown(call) for call in calls]}, 200

    async def _show(self, call_id: str) -> _Reply:
        call = self._calls.switchboard.call(call_id)
        return ({"error": "Unknown call"}, 404) if call is None else (_shown(call), 200)


async def _explain(error: HTTPException) -> _Reply | Response:
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
