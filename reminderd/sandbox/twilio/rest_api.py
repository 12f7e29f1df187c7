"""Serve the part of Twilio's Voice REST API that concerns calls."""

import hmac
from collections.abc import Collection, Mapping
from datetime import timedelta
from functools import partial
from typing import Any, Final, TypeAlias

import trio
from quart import request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.clock import Clock, SystemClock
from reminderd.providers.http import HttpClient
from reminderd.sandbox.behaviors import RETRY_AFTER_STEPS, behavior_of
from reminderd.sandbox.switchboard import CUT_MARK, Switchboard, cutting, hold_answer_back
from reminderd.sandbox.twilio.call import (
    API_VERSION,
    ENDED,
    LIST_PARAMETERS,
    TwilioCall,
    account_resource,
    call_resource,
    list_resource,
    page_of_numbers,
    page_of_verified_numbers,
    placed,
)
from reminderd.sandbox.twilio.request import (
    ApiError,
    Fields,
    TwilioCallRequest,
    bad_parameter,
    choice,
    expect_known,
    grouped,
    http_error,
    internal_error,
    not_found,
    one,
    read_form,
    read_request,
    rejected,
    unauthorized,
    wrong_state,
)
from reminderd.sandbox.twilio.simulation import Simulator, play_call
from reminderd.sandbox.twilio.webhook_sender import TwilioWebhookSender

_CLOCK: Final = SystemClock()

_WEBHOOK_TIMEOUT: Final = timedelta(seconds=15)
"""Twilio's own limit."""
_CONNECTIONS: Final = 100
_BODY_LIMIT: Final = 64 * 1024

_Reply: TypeAlias = tuple[Mapping[str, Any], int] | tuple[Mapping[str, Any], int, Mapping[str, str]]


class TwilioSandbox:
    """One simulated Twilio account: its HTTP app and what it remembers. `serve_sandbox` serves it."""

    def __init__(self, account_sid: str, auth_token: str, *, pace: float = 1.0, clock: Clock = _CLOCK) -> None:
        """Set it up; no call starts before it is served.

        Args:
            account_sid: the user name that requests must carry, and a part of every path.
            auth_token: the password that requests must carry; it also signs the webhooks.
            pace: seconds a step takes.
            clock: for every date.
        """
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._pace = pace
        self._clock = clock
        self._since = clock.now()
        self._switchboard: Switchboard[TwilioCall] = Switchboard()
        http = HttpClient(timeout=_WEBHOOK_TIMEOUT, max_connections=_CONNECTIONS)
        self._simulator = Simulator(
            account_sid=account_sid,
            switchboard=self._switchboard,
            sender=TwilioWebhookSender(http=http, auth_token=auth_token),
            pace=pace,
            clock=clock,
        )
        self.app = self._routes()

    @property
    def calls(self) -> tuple[TwilioCall, ...]:
        """Every call placed, oldest first; beyond 10,000 the oldest are forgotten."""
        return self._switchboard.calls

    async def play_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Play the calls that are placed, each call and each webhook in a task of its own, until cancelled."""
        try:
            play = partial(play_call, simulator=self._simulator)
            await self._switchboard.play_calls(play, task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                await self._simulator.sender.http.aclose()

    def _routes(self) -> QuartTrio:
        app = QuartTrio("reminderd.sandbox.twilio")
        app.config["MAX_CONTENT_LENGTH"] = _BODY_LIMIT
        app.before_request(self._authorize)
        app.register_error_handler(ApiError, self._explain)
        app.register_error_handler(HTTPException, _explain_http)
        account = f"/{API_VERSION}/Accounts/<account_sid>"
        app.add_url_rule(f"{account}.json", view_func=self._account, methods=["GET"])
        app.add_url_rule(f"{account}/IncomingPhoneNumbers.json", view_func=self._numbers, methods=["GET"])
        app.add_url_rule(f"{account}/OutgoingCallerIds.json", view_func=self._verified_numbers, methods=["GET"])
        app.add_url_rule(f"{account}/Calls.json", view_func=self._place, methods=["POST"])
        app.add_url_rule(f"{account}/Calls.json", view_func=self._list, methods=["GET"])
        app.add_url_rule(f"{account}/Calls/<sid>.json", view_func=self._show, methods=["GET"])
        app.add_url_rule(f"{account}/Calls/<sid>.json", view_func=self._modify, methods=["POST"])
        app.asgi_app = cutting(app.asgi_app)  # type: ignore[method-assign,assignment]  # Quart's way
        return app

    async def _authorize(self) -> None:
        credentials = request.authorization
        path_account = (request.view_args or {}).get("account_sid", self._account_sid)
        expected = (self._account_sid, self._auth_token, self._account_sid)
        claimed = ("", "", "")
        if credentials is not None:
            claimed = (credentials.username or "", credentials.password or "", path_account)
        if not hmac.compare_digest(_joined(claimed), _joined(expected)):
            raise unauthorized()

    async def _explain(self, error: ApiError) -> _Reply:
        headers = {"Retry-After": str(round(RETRY_AFTER_STEPS * self._pace))} if error.status == 429 else {}
        return error.body(), error.status, headers

    async def _account(self, account_sid: str) -> _Reply:
        return account_resource(account_sid, since=self._since), 200

    async def _numbers(self, account_sid: str) -> _Reply:
        fields = _query({"PhoneNumber"})
        return page_of_numbers(account_sid, phone_number=one(fields, "PhoneNumber")), 200

    async def _verified_numbers(self, account_sid: str) -> _Reply:
        fields = _query({"PhoneNumber"})
        return page_of_verified_numbers(account_sid, phone_number=one(fields, "PhoneNumber")), 200

    async def _place(self, account_sid: str) -> _Reply:
        call = self._placed(read_request(await _form()))
        # As it was when it was placed: by the time that the answer is read, callbacks may report more.
        created = call_resource(account_sid, call)
        await hold_answer_back(call.behavior, self._switchboard.start(call), self._pace)
        if call.behavior.answer == "error":
            raise internal_error()
        headers = {CUT_MARK: "yes"} if call.behavior.answer == "cut" else {}
        return created, 201, headers

    def _placed(self, wanted: TwilioCallRequest) -> TwilioCall:
        behavior = behavior_of(wanted.to)
        # By the number: without idempotency keys each request is a call of its own.
        status = self._switchboard.rejection(behavior, request=wanted.to)
        if status is not None:
            raise rejected(status, wanted.to)
        end = self._switchboard.next_end(behavior, group=wanted.to)
        call = placed(wanted, behavior, end=end, now=self._clock.now())
        self._switchboard.keep(call)
        return call

    async def _list(self, account_sid: str) -> _Reply:
        return list_resource(account_sid, self.calls, _query(LIST_PARAMETERS)), 200

    async def _show(self, account_sid: str, sid: str) -> _Reply:
        return call_resource(account_sid, self._known(sid)), 200

    async def _modify(self, account_sid: str, sid: str) -> _Reply:
        fields = await _form()
        expect_known(fields, {"Status"})
        asked = choice(fields, "Status", ("canceled", "completed"), "")
        if not asked:
            raise bad_parameter("Status is the only change that the sandbox simulates")
        call = self._known(sid)
        if call.status in ENDED or (call.status == "in-progress" and asked == "canceled"):
            raise wrong_state(f"Call is {call.status}. Cannot set it to {asked}.")
        status = "completed" if call.status == "in-progress" else "canceled"
        return call_resource(account_sid, self._simulator.hang_up(call, status)), 200

    def _known(self, sid: str) -> TwilioCall:
        call = self._switchboard.call(sid)
        if call is None:
            raise not_found(request.path)
        return call


async def _form() -> Fields:
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    return read_form(request.headers.get("Content-Type", ""), body)


def _query(known: Collection[str]) -> Fields:
    fields = grouped(tuple(request.args.items(multi=True)))
    expect_known(fields, known)
    return fields


def _joined(parts: tuple[str, ...]) -> bytes:
    return "\n".join(parts).encode(errors="surrogatepass")


async def _explain_http(error: HTTPException) -> _Reply:
    explained = http_error(error.code or 500, error.name)
    return explained.body(), explained.status
