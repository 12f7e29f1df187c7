"""The sandbox's HTTP side: the generic contract as a provider would serve it."""

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
from reminderd.sandbox.asgi import CUT_MARK, layered
from reminderd.sandbox.behaviours import RETRY_AFTER_STEPS
from reminderd.sandbox.lines import Lines, hold_answer_back
from reminderd.sandbox.ringing import reported, ring
from reminderd.sandbox.switchboard import CallOrder, KeyConflict, Placed, SandboxCall, Switchboard, TurnedAway
from reminderd.sandbox.webhooks import WebhookSender

_CLOCK: Final = SystemClock()

_PATIENCE: Final = timedelta(seconds=15)
"""For whoever takes the webhooks to answer one."""
_CONNECTIONS: Final = 100
"""Webhooks under way at one time."""

_BODY_LIMIT: Final = 64 * 1024
_LISTED: Final = 100
"""Calls that `GET /calls` lists without a filter."""

_WORDS: Final = {
    422: "The number can't be called",
    429: "Too many requests",
    500: "Internal server error",
    503: "Down for a moment",
}

Reply: TypeAlias = tuple[Mapping[str, Any], int] | tuple[Mapping[str, Any], int, Mapping[str, str]]


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
        """Set it up; nothing rings before it is served.

        Args:
            webhook_url: where reports go; a function, where it is known only after the start.
            webhook_secret: for the signatures, as Standard Webhooks writes it.
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
        self._switchboard = Switchboard()
        self._lines: Lines[SandboxCall] = Lines()
        self.app = self._routes()

    @property
    def calls(self) -> tuple[SandboxCall, ...]:
        """The ledger: every call placed, oldest first; beyond 10,000 the oldest are forgotten."""
        return self._switchboard.calls

    async def ring_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let ring what is placed, each call and each webhook in a task of its own, until cancelled."""
        given = self._webhook_url
        sender = WebhookSender(
            exchange=Exchange(timeout=_PATIENCE, max_connections=_CONNECTIONS),
            url=given if callable(given) else lambda: given,
            signer=self._signer,
            pace=self._pace,
            clock=self._clock,
        )
        try:
            play = partial(ring, switchboard=self._switchboard, sender=sender, pace=self._pace)
            await self._lines.serve(play, task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                await sender.exchange.aclose()

    def _routes(self) -> QuartTrio:
        app = QuartTrio("reminderd.sandbox")
        app.config["MAX_CONTENT_LENGTH"] = _BODY_LIMIT
        app.before_request(self._authorise)
        app.register_error_handler(HTTPException, _explain)
        app.add_url_rule("/calls", view_func=self._place, methods=["POST"])
        app.add_url_rule("/calls", view_func=self._list, methods=["GET"])
        app.add_url_rule("/calls/<call_id>", view_func=self._show, methods=["GET"])
        app.asgi_app = layered(app.asgi_app)  # type: ignore[method-assign,assignment]  # Quart's way
        return app

    async def _authorise(self) -> Reply | None:
        given = request.headers.get("Authorization", "").encode(errors="surrogatepass")
        if hmac.compare_digest(given, f"Bearer {self._api_key}".encode()):
            return None
        return {"error": "Unauthorized"}, 401

    async def _place(self) -> Reply:
        try:
            order = _order(json_object(await request.get_data(cache=False, as_text=False, parse_form_data=False)))
        except InvalidPayloadError as error:
            return {"error": "Invalid payload", "details": error.details}, 400
        key = request.headers.get("Idempotency-Key")
        match self._switchboard.decide(order, key=key, now=self._clock.now()):
            case TurnedAway(status):
                later = {"Retry-After": str(round(RETRY_AFTER_STEPS * self._pace))} if status in {429, 503} else {}
                return {"error": _WORDS[status]}, status, later
            case KeyConflict():
                return {"error": "This idempotency key belongs to another call"}, 409
            case Placed(call, repeated=True):
                return {"call_id": call.id, "status": call.status}, 200
            case Placed(call):
                return await self._ring_and_answer(call)

    async def _ring_and_answer(self, call: SandboxCall) -> Reply:
        await hold_answer_back(call.behaviour, self._lines.ring(call), self._pace)
        if call.behaviour.answer == "error":
            return {"error": _WORDS[500]}, 500
        marks = {CUT_MARK: "yes"} if call.behaviour.answer == "cut" else {}
        return {"call_id": call.id, "status": call.status}, 201, marks

    async def _list(self) -> Reply:
        attempt_id = request.args.get("attempt_id")
        calls = self.calls[-_LISTED:] if attempt_id is None else self._switchboard.calls_of(attempt_id)
        return {"calls": [_shown(call) for call in calls]}, 200

    async def _show(self, call_id: str) -> Reply:
        call = self._switchboard.call(call_id)
        return ({"error": "Unknown call"}, 404) if call is None else (_shown(call), 200)


async def _explain(error: HTTPException) -> Reply | Response:
    return {"error": error.name}, error.code or 500


def _order(body: Mapping[str, Any]) -> CallOrder:
    mistakes = [
        f"{field}: expected text" for field in ("phone_number", "message") if not isinstance(body.get(field), str)
    ]
    metadata = body.get("metadata", {})
    if not isinstance(metadata, dict):
        mistakes.append("metadata: expected an object")
    if mistakes:
        raise InvalidPayloadError(mistakes)
    return CallOrder(phone_number=body["phone_number"], message=body["message"], metadata=metadata)


def _shown(call: SandboxCall) -> Mapping[str, Any]:
    """A call as a look-up tells it: the contract's fields, and two for whoever watches with curl."""
    return {**reported(call), "phone_number": call.phone_number, "placed_at": call.placed_at.isoformat()}
