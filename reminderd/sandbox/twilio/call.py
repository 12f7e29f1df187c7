"""Hold a call, its changes, and the JSON in which Twilio's API shows calls, numbers and the account.

Every value in a resource is text or null, dates as in RFC 2822.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode
from uuid import uuid4

from attrs import evolve, frozen

from reminderd.sandbox.behaviors import Behavior
from reminderd.sandbox.twilio.request import ACCOUNT_NUMBERS, Fields, TwilioCallRequest, choice, number

API_VERSION: Final = "2010-04-01"

Resource: TypeAlias = Mapping[str, Any]

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

_FILTERS: Final = frozenset({"To", "From", "Status"})

LIST_PARAMETERS: Final = _FILTERS | {"PageSize", "Page"}
"""The parameters of a request for a list of calls."""

_PAGE_SIZE, _MOST_PAGE_SIZE, _MOST_PAGE = 50, 1000, 1_000_000

ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
STATUSES: Final = ENDED | {"queued", "ringing", "in-progress"}
"""What a call's `status` may be. "initiated" is in status callbacks only."""

_MACHINE: Final = {"Enable": "machine_start", "DetectMessageEnd": "machine_end_beep"}
"""What is reported of a machine, by the value of `MachineDetection`."""


@frozen(kw_only=True)
class TwilioCall:
    """One call that was placed."""

    id: str
    """Its `sid`."""
    request: TwilioCallRequest
    behavior: Behavior
    end: str
    """How it will end, unless the client ends it before."""
    placed_at: datetime
    updated_at: datetime
    status: str = "queued"
    dialed_at: datetime | None = None
    ended_at: datetime | None = None
    answered_by: str | None = None
    """Known once it is answered, if the request asked for detection."""
    steps_talked: int = 0
    """A step stands for a second, whatever its length here."""
    heard: tuple[str, ...] = ()
    """The texts that were spoken, in their order."""
    complaints: tuple[str, ...] = ()
    """The client's mistakes, as Twilio's debugger would list them: the code, then a sentence."""
    error_code: int | None = None
    """Why the call ended although it was answered."""

    @property
    def phone_number(self) -> str:
        """The number that is called."""
        return self.request.to

    @property
    def attempt_id(self) -> str | None:
        """The client's id of it; None if its status callback carries none."""
        return self.request.attempt_id


def placed(request: TwilioCallRequest, behavior: Behavior, *, end: str, now: datetime) -> TwilioCall:
    """Return a new call, queued."""
    return TwilioCall(id=f"CA{uuid4().hex}", request=request, behavior=behavior, end=end, placed_at=now, updated_at=now)


def dialed(call: TwilioCall, *, now: datetime) -> TwilioCall:
    """Return the call as it leaves the queue; its status stays."""
    return evolve(call, dialed_at=now, updated_at=now)


def with_status(call: TwilioCall, *, status: str, now: datetime) -> TwilioCall:
    """Return the call with its new status. One that has ended stays as it is."""
    if call.status in ENDED:
        return call
    return evolve(call, status=status, updated_at=now, ended_at=now if status in ENDED else None)


def answered(call: TwilioCall, *, now: datetime) -> TwilioCall:
    """Return the call as somebody answers it."""
    by = call.behavior.answered_by
    who = _MACHINE.get(call.request.machine_detection) if by == "machine" else by
    return evolve(
        with_status(call, status="in-progress", now=now), answered_by=who if call.request.machine_detection else None
    )


def with_text(call: TwilioCall, *, text: str) -> TwilioCall:
    """Return the call with one more text that was spoken."""
    return evolve(call, heard=(*call.heard, text))


def with_steps(call: TwilioCall, *, steps: int) -> TwilioCall:
    """Return the call so many steps longer."""
    return evolve(call, steps_talked=call.steps_talked + steps)


def with_complaint(call: TwilioCall, *, complaint: str) -> TwilioCall:
    """Return the call with one more mistake of the client."""
    return evolve(call, complaints=(*call.complaints, complaint))


def with_error(call: TwilioCall, *, error_code: int) -> TwilioCall:
    """Return the call with the reason why there was nothing to speak."""
    return evolve(call, error_code=error_code)


def list_resource(account_sid: str, calls: Sequence[TwilioCall], fields: Fields) -> Mapping[str, Any]:
    """Return the page of calls that a query asks for, the newest first.

    Raises:
        ApiError: a field has a value that Twilio refuses.
    """
    filters = {name: values[0] for name, values in fields.items() if name in _FILTERS}
    choice(fields, "Status", STATUSES, "")
    matching = [call for call in reversed(calls) if _matches(call, filters)]
    page_size = number(fields, "PageSize", 1, _MOST_PAGE_SIZE, _PAGE_SIZE)
    page = number(fields, "Page", 0, _MOST_PAGE, 0)
    return _page_of_calls(account_sid, matching, filters=filters, page=page, page_size=page_size)


def _matches(call: TwilioCall, filters: Mapping[str, str]) -> bool:
    values = {"To": call.phone_number, "From": call.request.sender, "Status": call.status}
    return all(values[name] == value for name, value in filters.items())


def _date(moment: datetime | None) -> str | None:
    """Return a time like `Tue, 31 Aug 2010 20:36:28 +0000`."""
    return None if moment is None else format_datetime(moment)


def call_resource(account_sid: str, call: TwilioCall) -> Resource:
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


def _page_of_calls(
    account_sid: str, calls: Sequence[TwilioCall], *, filters: Mapping[str, str], page: int, page_size: int
) -> Resource:
    """Return one page of these calls, with the addresses of the other pages."""
    start = page * page_size
    shown = calls[start : start + page_size]
    path = f"/{API_VERSION}/Accounts/{account_sid}/Calls.json"

    def uri(number: int) -> str:
        return f"{path}?{urlencode({**filters, 'PageSize': page_size, 'Page': number})}"

    return {
        "calls": [call_resource(account_sid, call) for call in shown],
        "start": start,
        "end": start + max(len(shown) - 1, 0),
        "page": page,
        "page_size": page_size,
        "uri": uri(page),
        "first_page_uri": uri(0),
        "previous_page_uri": uri(page - 1) if page else None,
        "next_page_uri": uri(page + 1) if start + page_size < len(calls) else None,
    }


def account_resource(account_sid: str, *, since: datetime) -> Resource:
    """Return the account in the form of https://www.twilio.com/docs/iam/api/account, without its token."""
    path = f"/{API_VERSION}/Accounts/{account_sid}"
    return {
        "sid": account_sid,
        "owner_account_sid": account_sid,
        "friendly_name": "reminderd sandbox",
        "status": "active",
        "type": "Full",
        "date_created": _date(since),
        "date_updated": _date(since),
        "subresource_uris": {
            "calls": f"{path}/Calls.json",
            "incoming_phone_numbers": f"{path}/IncomingPhoneNumbers.json",
        },
        "uri": f"{path}.json",
    }


def page_of_numbers(account_sid: str, *, phone_number: str | None) -> Resource:
    """Return the numbers that the account has bought; with a phone number only that one, if it has it."""
    shown = [number for number in ACCOUNT_NUMBERS if phone_number in {None, number}]
    return {
        "incoming_phone_numbers": [_number_resource(account_sid, number) for number in shown],
        **_only_page(account_sid, "IncomingPhoneNumbers", shown, phone_number),
    }


def page_of_verified_numbers(account_sid: str, *, phone_number: str | None) -> Resource:
    """Return the numbers that are verified without being bought: none."""
    return {"outgoing_caller_ids": [], **_only_page(account_sid, "OutgoingCallerIds", [], phone_number)}


def _only_page(account_sid: str, name: str, shown: Sequence[str], phone_number: str | None) -> Resource:
    """Return the fields of a page except its items."""
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


def _number_resource(account_sid: str, number: str) -> Resource:
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
