"""Serve the part of Twilio's Voice REST API that concerns calls: calls, numbers and the account.

Every value in a resource is text or null, dates as in RFC 2822.
"""

import hashlib
import hmac
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode
from uuid import uuid4

import trio
from quart import request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException

from reminderd.sandbox.behaviors import RETRY_AFTER_STEPS, behavior_of
from reminderd.sandbox.switchboard import (
    CUT_MARK,
    Reply,
    Switchboard,
    View,
    hold_answer_back,
    sandbox_app,
    webhook_client,
)
from reminderd.sandbox.twilio.call import (
    ACCOUNT_NUMBERS,
    BAD_PARAMETER,
    ENDED,
    NOT_VALID,
    ApiError,
    TwilioCall,
    TwilioCallRequest,
    choice,
    expect_known,
    number,
    read_form,
    read_request,
)
from reminderd.sandbox.twilio.simulation import API_VERSION, CLOCK, Simulator, TwilioWebhookSender, play_call

_STATUSES: Final = ENDED | {"queued", "ringing", "in-progress"}
"""The values of a call's `status`. "initiated" is in status callbacks only."""
_FILTERS: Final = ("To", "From", "Status")
_PAGE_SIZE, _MOST_PAGE_SIZE, _MOST_PAGE = 50, 1000, 1_000_000

_SUBRESOURCES: Final = (
    "events",
    "notifications",
    "payments",
    "recordings",
    "siprec",
    "streams",
    "transcriptions",
    "user_defined_message_subscriptions",
    "user_defined_messages",
)

_UNAVAILABLE: Final = {429: (20429, "Too Many Requests"), 500: (20500, "An internal server error has occurred")}
"""Twilio's errors after which a call is not placed, or may have been placed."""
_HTTP_CODES: Final = {404: 20404, 405: 20004, 500: 20500}
"""Twilio's codes for requests that fail before their parameters are read; all others have one code."""

_Resource: TypeAlias = Mapping[str, Any]


class TwilioSandbox:
    """One simulated Twilio account: its HTTP app and its memory. `serve_sandbox` serves it."""

    def __init__(self, account_sid: str, auth_token: str, *, pace: float = 1.0) -> None:
        """Set it up; no call starts before it is served.

        Args:
            account_sid: the user name that requests must carry, and a part of every path.
            auth_token: the password that requests must carry; it also signs the webhooks.
            pace: seconds a step takes.
        """
        self._account_sid = account_sid
        self._auth_token = auth_token
        self._pace = pace
        self._since = CLOCK.now()
        self._switchboard: Switchboard[TwilioCall] = Switchboard()
        self._simulator = Simulator(
            account_sid=account_sid,
            switchboard=self._switchboard,
            sender=TwilioWebhookSender(http=webhook_client(), auth_token=auth_token),
            pace=pace,
        )
        self.app = sandbox_app("reminderd.sandbox.twilio", self._authorize, self._routes())
        self.app.register_error_handler(ApiError, self._explain)
        self.app.register_error_handler(HTTPException, _explain_http)

    @property
    def calls(self) -> tuple[TwilioCall, ...]:
        """Every call placed, oldest first; beyond 10,000 the oldest are forgotten."""
        return self._switchboard.calls

    async def play_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Play the calls that are placed, each call and each webhook in its own task, until cancelled."""
        try:
            play = partial(play_call, simulator=self._simulator)
            await self._switchboard.play_calls(play, task_status=task_status)
        finally:
            with trio.CancelScope(shield=True):
                await self._simulator.sender.http.aclose()

    def _routes(self) -> list[tuple[str, str, View]]:
        account = f"/{API_VERSION}/Accounts/<account_sid>"
        return [
            ("GET", f"{account}.json", self._account),
            ("GET", f"{account}/IncomingPhoneNumbers.json", self._numbers),
            ("GET", f"{account}/OutgoingCallerIds.json", self._verified_numbers),
            ("POST", f"{account}/Calls.json", self._place),
            ("GET", f"{account}/Calls.json", self._list),
            ("GET", f"{account}/Calls/<sid>.json", self._show),
            ("POST", f"{account}/Calls/<sid>.json", self._modify),
        ]

    async def _authorize(self) -> None:
        credentials = request.authorization
        path_account = (request.view_args or {}).get("account_sid", self._account_sid)
        expected = (self._account_sid, self._auth_token, self._account_sid)
        claimed = ("", "", "")
        if credentials is not None:
            claimed = (credentials.username or "", credentials.password or "", path_account)
        if not hmac.compare_digest(_joined(claimed), _joined(expected)):
            raise ApiError(20003, "Authenticate", status=401)

    async def _explain(self, error: ApiError) -> Reply:
        headers = {"Retry-After": str(round(RETRY_AFTER_STEPS * self._pace))} if error.status == 429 else {}
        return error.body(), error.status, headers

    async def _account(self, account_sid: str) -> Reply:
        """Show the account: https://www.twilio.com/docs/iam/api/account, without its token."""
        path = f"/{API_VERSION}/Accounts/{account_sid}"
        account = {
            "sid": account_sid,
            "owner_account_sid": account_sid,
            "friendly_name": "reminderd sandbox",
            "status": "active",
            "type": "Full",
            "date_created": _date(self._since),
            "date_updated": _date(self._since),
            "subresource_uris": {
                "calls": f"{path}/Calls.json",
                "incoming_phone_numbers": f"{path}/IncomingPhoneNumbers.json",
            },
            "uri": f"{path}.json",
        }
        return account, 200

    async def _numbers(self, account_sid: str) -> Reply:
        """Show the numbers that the account has bought, or only the requested number."""
        asked = _query({"PhoneNumber"}).get("PhoneNumber")
        shown = [_number_resource(account_sid, one) for one in ACCOUNT_NUMBERS if asked in {None, one}]
        return {"incoming_phone_numbers": shown, **_page(account_sid, "IncomingPhoneNumbers", shown, asked)}, 200

    async def _verified_numbers(self, account_sid: str) -> Reply:
        """Show the numbers that are verified without being bought, an empty list."""
        asked = _query({"PhoneNumber"}).get("PhoneNumber")
        return {"outgoing_caller_ids": [], **_page(account_sid, "OutgoingCallerIds", [], asked)}, 200

    async def _place(self, account_sid: str) -> Reply:
        call = self._placed(read_request(await _form()))
        # The call as it was when it was placed: before the answer is read, callbacks may report more.
        created = call_resource(account_sid, call)
        await hold_answer_back(call.behavior, self._switchboard.start(call), self._pace)
        if call.behavior.answer == "error":
            raise _unavailable(500)
        headers = {CUT_MARK: "yes"} if call.behavior.answer == "cut" else {}
        return created, 201, headers

    def _placed(self, wanted: TwilioCallRequest) -> TwilioCall:
        behavior = behavior_of(wanted.to)
        # Grouped by the number: without idempotency keys, each request is a separate call.
        status = self._switchboard.rejection(behavior, request=wanted.to)
        if status == 422:
            raise ApiError(21211, NOT_VALID.format(wanted.to))
        if status is not None:
            raise _unavailable(429 if status == 503 else status)
        end, now = self._switchboard.next_end(behavior, group=wanted.to), CLOCK.now()
        call = TwilioCall(
            id=f"CA{uuid4().hex}", request=wanted, behavior=behavior, end=end, placed_at=now, updated_at=now
        )
        self._switchboard.keep(call)
        return call

    async def _list(self, account_sid: str) -> Reply:
        """Show the page of calls that the query asks for, the newest first, with the addresses of the other pages."""
        fields = _query({*_FILTERS, "PageSize", "Page"})
        filters = {name: fields[name] for name in fields if name in _FILTERS}
        choice("Status", fields.get("Status"), _STATUSES)
        matching = [call for call in reversed(self.calls) if _matches(call, filters)]
        page_size = number(fields, "PageSize", 1, _MOST_PAGE_SIZE, _PAGE_SIZE)
        page = number(fields, "Page", 0, _MOST_PAGE, 0)
        start = page * page_size
        shown = matching[start : start + page_size]
        path = f"/{API_VERSION}/Accounts/{account_sid}/Calls.json"

        def uri(page: int) -> str:
            return f"{path}?{urlencode({**filters, 'PageSize': page_size, 'Page': page})}"

        found = {
            "calls": [call_resource(account_sid, call) for call in shown],
            "start": start,
            "end": start + max(len(shown) - 1, 0),
            "page": page,
            "page_size": page_size,
            "uri": uri(page),
            "first_page_uri": uri(0),
            "previous_page_uri": uri(page - 1) if page else None,
            "next_page_uri": uri(page + 1) if start + page_size < len(matching) else None,
        }
        return found, 200

    async def _show(self, account_sid: str, sid: str) -> Reply:
        return call_resource(account_sid, self._known(sid)), 200

    async def _modify(self, account_sid: str, sid: str) -> Reply:
        fields = await _form()
        expect_known(fields, {"Status"})
        asked = choice("Status", fields.get("Status"), ("canceled", "completed"))
        if not asked:
            raise ApiError(BAD_PARAMETER, "Status is the only change that the sandbox simulates")
        call = self._known(sid)
        if call.status in ENDED or (call.status == "in-progress" and asked == "canceled"):
            raise ApiError(21220, f"Call is {call.status}. Cannot set it to {asked}.")
        status = "completed" if call.status == "in-progress" else "canceled"
        return call_resource(account_sid, self._simulator.hang_up(call, status)), 200

    def _known(self, sid: str) -> TwilioCall:
        call = self._switchboard.call(sid)
        if call is None:
            raise ApiError(20404, f"The requested resource {request.path} was not found", status=404)
        return call


async def _form() -> MultiDict[str, str]:
    body = await request.get_data(cache=False, as_text=False, parse_form_data=False)
    return read_form(request.headers.get("Content-Type", ""), body)


def _query(known: Collection[str]) -> MultiDict[str, str]:
    expect_known(request.args, known)
    return request.args


def _joined(parts: tuple[str, ...]) -> bytes:
    return "\n".join(parts).encode(errors="surrogatepass")


def _unavailable(status: int) -> ApiError:
    code, message = _UNAVAILABLE[status]
    return ApiError(code, message, status=status)


async def _explain_http(error: HTTPException) -> Reply:
    status = error.code or 500
    return ApiError(_HTTP_CODES.get(status, BAD_PARAMETER), error.name, status=status).body(), status


def _matches(call: TwilioCall, filters: Mapping[str, str]) -> bool:
    values = {"To": call.phone_number, "From": call.request.sender, "Status": call.status}
    return all(values[name] == value for name, value in filters.items())


def _date(moment: datetime | None) -> str | None:
    """Return a time like `Tue, 31 Aug 2010 20:36:28 +0000`."""
    return None if moment is None else format_datetime(moment)


def call_resource(account_sid: str, call: TwilioCall) -> _Resource:
    """Return a call in the form of https://www.twilio.com/docs/voice/api/call-resource."""
    path = f"/{API_VERSION}/Accounts/{account_sid}/Calls/{call.id}"
    return {
        "sid": call.id,
        "account_sid": account_sid,
        "annotation": None,
        "answered_by": call.answered_by,
        "api_version": API_VERSION,
        "caller_name": None,
        "date_created": _date(call.placed_at),
        "date_updated": _date(call.updated_at),
        "direction": "outbound-api",
        "duration": str(call.steps_talked) if call.status == "completed" else None,
        "end_time": _date(call.ended_at),
        "forwarded_from": None,
        "from": call.request.sender,
        "from_formatted": call.request.sender,
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": _number_sid(call.request.sender),
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "start_time": _date(call.dialed_at),
        "status": call.status,
        "subresource_uris": {name: f"{path}/{_camel(name)}.json" for name in _SUBRESOURCES},
        "to": call.phone_number,
        "to_formatted": call.phone_number,
        "trunk_sid": None,
        "uri": f"{path}.json",
    }


def _page(account_sid: str, name: str, shown: Sequence[_Resource], phone_number: str | None) -> _Resource:
    """Return the fields of a single page except its items."""
    path = f"/{API_VERSION}/Accounts/{account_sid}/{name}.json"
    here = path if phone_number is None else f"{path}?{urlencode({'PhoneNumber': phone_number})}"
    return {
        "start": 0,
        "end": max(len(shown) - 1, 0),
        "page": 0,
        "page_size": 50,
        "uri": here,
        "first_page_uri": here,
        "previous_page_uri": None,
        "next_page_uri": None,
    }


def _number_resource(account_sid: str, number: str) -> _Resource:
    sid = _number_sid(number)
    return {
        "sid": sid,
        "account_sid": account_sid,
        "phone_number": number,
        "friendly_name": number,
        "capabilities": {"voice": True, "sms": False, "mms": False, "fax": False},
        "status": "in-use",
        "api_version": API_VERSION,
        "uri": f"/{API_VERSION}/Accounts/{account_sid}/IncomingPhoneNumbers/{sid}.json",
    }


def _number_sid(number: str) -> str:
    return f"PN{hashlib.sha256(number.encode()).hexdigest()[:32]}"


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))
