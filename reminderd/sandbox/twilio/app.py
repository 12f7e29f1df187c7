"""The HTTP side of the sandbox in Twilio's dialect: its Voice REST API, as far as calls are concerned."""

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
from reminderd.providers.http import Exchange
from reminderd.sandbox.asgi import CUT_MARK, layered
from reminderd.sandbox.behaviours import RETRY_AFTER_STEPS, behaviour_of
from reminderd.sandbox.ledger import Ledger
from reminderd.sandbox.lines import Lines, hold_answer_back
from reminderd.sandbox.twilio.call import ENDED, TwilioCall, placed
from reminderd.sandbox.twilio.errors import (
    ApiError,
    bad_parameter,
    internal_error,
    not_found,
    of_http,
    turned_away,
    unauthorised,
    wrong_state,
)
from reminderd.sandbox.twilio.form import Fields, choice, expect_known, gathered, one, read_form
from reminderd.sandbox.twilio.listing import LISTED_BY, listed
from reminderd.sandbox.twilio.operator import Operator
from reminderd.sandbox.twilio.order import CallOrder, read_order
from reminderd.sandbox.twilio.resources import (
    API_VERSION,
    account_resource,
    call_resource,
    page_of_numbers,
    page_of_verified_numbers,
)
from reminderd.sandbox.twilio.ringing import ring
from reminderd.sandbox.twilio.wire import Wire

_CLOCK: Final = SystemClock()

_PATIENCE: Final = timedelta(seconds=15)
"""For whoever is told or asked to answer; Twilio's own limit."""
_CONNECTIONS: Final = 100
_BODY_LIMIT: Final = 64 * 1024

Reply: TypeAlias = tuple[Mapping[str, Any], int] | tuple[Mapping[str, Any], int, Mapping[str, str]]


class TwilioSandbox:
    """One simulated Twilio account: its HTTP app and what it remembers. `serve_sandbox` serves it."""

    def __init__(self, account_sid: str, auth_token: str, *, pace: float = 1.0, clock: Clock = _CLOCK) -> None:
        """Set it up; nothing rings before it is served.

        Args:
            account_sid: the user name that requests must carry, and a part of every path.
            auth_token: the password that requests must carry; it signs the webhooks, too.
            pace: seconds a step takes.
            clock: for every date, and for nothing else.
        """
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._pace = pace
        self._clock = clock
        self._since = clock.now()
        self._ledger: Ledger[TwilioCall] = Ledger()
        self._lines: Lines[TwilioCall] = Lines()
        exchange = Exchange(timeout=_PATIENCE, max_connections=_CONNECTIONS)
        self._operator = Operator(
            account_sid=account_sid,
            ledger=self._ledger,
            wire=Wire(exchange=exchange, auth_token=auth_token),
            pace=pace,
            clock=clock,
        )
        self.app = self._routes()

    @property
    def calls(self) -> tuple[TwilioCall, ...]:
        """The ledger: every call placed, oldest first; beyond 10,000 the oldest are forgotten."""
        return self._ledger.calls

    async def ring_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Let ring what is placed, each call and each webhook in a task of its own, until cancelled."""
        try:
            await self._lines.serve(partial(ring, operator=self._operator), task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                await self._operator.wire.exchange.aclose()

    def _routes(self) -> QuartTrio:
        app = QuartTrio("reminderd.sandbox.twilio")
        app.config["MAX_CONTENT_LENGTH"] = _BODY_LIMIT
        app.before_request(self._authorise)
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
        app.asgi_app = layered(app.asgi_app)  # type: ignore[method-assign,assignment]  # Quart's way
        return app

    async def _authorise(self) -> None:
        given = request.authorization
        whose = (request.view_args or {}).get("account_sid", self._account_sid)
        expected = (self._account_sid, self._auth_token, self._account_sid)
        claimed = (given.username or "", given.password or "", whose) if given is not None else ("", "", "")
        if not hmac.compare_digest(_joined(claimed), _joined(expected)):
            raise unauthorised()

    async def _explain(self, error: ApiError) -> Reply:
        later = {"Retry-After": str(round(RETRY_AFTER_STEPS * self._pace))} if error.status == 429 else {}
        return error.body(), error.status, later

    async def _account(self, account_sid: str) -> Reply:
        return account_resource(account_sid, since=self._since), 200

    async def _numbers(self, account_sid: str) -> Reply:
        fields = _query({"PhoneNumber"})
        return page_of_numbers(account_sid, phone_number=one(fields, "PhoneNumber")), 200

    async def _verified_numbers(self, account_sid: str) -> Reply:
        fields = _query({"PhoneNumber"})
        return page_of_verified_numbers(account_sid, phone_number=one(fields, "PhoneNumber")), 200

    async def _place(self, account_sid: str) -> Reply:
        order = read_order(await _form())
        call = self._placed(order)
        # Told as it was when it was placed: by the time that an answer is read, its callbacks may know better.
        created = call_resource(account_sid, call)
        await hold_answer_back(call.behaviour, self._lines.ring(call), self._pace)
        if call.behaviour.answer == "error":
            raise internal_error()
        marks = {CUT_MARK: "yes"} if call.behaviour.answer == "cut" else {}
        return created, 201, marks

    def _placed(self, order: CallOrder) -> TwilioCall:
        behaviour = behaviour_of(order.to)
        # By the number: without idempotency keys each request is a call of its own.
        refusal = self._ledger.turned_away(behaviour, request=order.to)
        if refusal is not None:
            raise turned_away(refusal, order.to)
        end = self._ledger.next_end(behaviour, whose=order.to)
        call = placed(order, behaviour, end=end, now=self._clock.now())
        self._ledger.keep(call)
        return call

    async def _list(self, account_sid: str) -> Reply:
        return listed(account_sid, self.calls, _query(LISTED_BY)), 200

    async def _show(self, account_sid: str, sid: str) -> Reply:
        return call_resource(account_sid, self._known(sid)), 200

    async def _modify(self, account_sid: str, sid: str) -> Reply:
        fields = await _form()
        expect_known(fields, {"Status"})
        asked = choice(fields, "Status", ("canceled", "completed"), "")
        if not asked:
            raise bad_parameter("Status is the one change that the sandbox plays")
        call = self._known(sid)
        if call.status in ENDED or (call.status == "in-progress" and asked == "canceled"):
            raise wrong_state(f"Call is {call.status}. Cannot set it to {asked}.")
        status = "completed" if call.status == "in-progress" else "canceled"
        return call_resource(account_sid, self._operator.hang_up(call, status)), 200

    def _known(self, sid: str) -> TwilioCall:
        call = self._ledger.call(sid)
        if call is None:
            raise not_found(request.path)
        return call


async def _form() -> Fields:
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    return read_form(request.headers.get("Content-Type", ""), body)


def _query(known: Collection[str]) -> Fields:
    fields = gathered(tuple(request.args.items(multi=True)))
    expect_known(fields, known)
    return fields


def _joined(parts: tuple[str, ...]) -> bytes:
    return "\n".join(parts).encode(errors="surrogatepass")


async def _explain_http(error: HTTPException) -> Reply:
    explained = of_http(error.code or 500, error.name)
    return explained.body(), explained.status
