"""The JSON of Twilio's resources: the account, its numbers, its calls; every value text or null, dates as RFC 2822."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from reminderd.sandbox.twilio.call import TwilioCall
from reminderd.sandbox.twilio.order import OUR_NUMBERS

API_VERSION: Final = "2010-04-01"

Resource: TypeAlias = dict[str, Any]

_OF_A_CALL: Final = (
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


def date(moment: datetime | None) -> str | None:
    """As in `Tue, 31 Aug 2010 20:36:28 +0000`."""
    return None if moment is None else format_datetime(moment)


def call_resource(account_sid: str, call: TwilioCall) -> Resource:
    """https://www.twilio.com/docs/voice/api/call-resource."""
    path = f"/{API_VERSION}/Accounts/{account_sid}/Calls/{call.id}"
    return {
        "sid": call.id,
        "account_sid": account_sid,
        "annotation": None,
        "answered_by": call.answered_by,
        "api_version": API_VERSION,
        "caller_name": None,
        "date_created": date(call.placed_at),
        "date_updated": date(call.updated_at),
        "direction": "outbound-api",
        "duration": str(call.steps_talked) if call.status == "completed" else None,
        "end_time": date(call.ended_at),
        "forwarded_from": None,
        "from": call.order.sender,
        "from_formatted": call.order.sender,
        "group_sid": None,
        "parent_call_sid": None,
        "phone_number_sid": _number_sid(call.order.sender),
        "price": None,
        "price_unit": "USD",
        "queue_time": "0",
        "start_time": date(call.dialled_at),
        "status": call.status,
        "subresource_uris": {name: f"{path}/{_camel(name)}.json" for name in _OF_A_CALL},
        "to": call.phone_number,
        "to_formatted": call.phone_number,
        "trunk_sid": None,
        "uri": f"{path}.json",
    }


def page_of_calls(
    account_sid: str, calls: Sequence[TwilioCall], *, filters: Mapping[str, str], page: int, page_size: int
) -> Resource:
    """One page of these calls, in the envelope that says where the others are."""
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
    """https://www.twilio.com/docs/iam/api/account, without the token, which nobody needs to read here."""
    path = f"/{API_VERSION}/Accounts/{account_sid}"
    return {
        "sid": account_sid,
        "owner_account_sid": account_sid,
        "friendly_name": "reminderd sandbox",
        "status": "active",
        "type": "Full",
        "date_created": date(since),
        "date_updated": date(since),
        "subresource_uris": {
            "calls": f"{path}/Calls.json",
            "incoming_phone_numbers": f"{path}/IncomingPhoneNumbers.json",
        },
        "uri": f"{path}.json",
    }


def page_of_numbers(account_sid: str, *, phone_number: str | None) -> Resource:
    """The numbers that the account has bought, or the one that is asked for, if it has."""
    shown = [number for number in OUR_NUMBERS if phone_number in {None, number}]
    numbers = [_number_resource(account_sid, number) for number in shown]
    return {"incoming_phone_numbers": numbers} | _only_page(
        f"/{API_VERSION}/Accounts/{account_sid}/IncomingPhoneNumbers.json", len(shown), phone_number
    )


def page_of_caller_ids(account_sid: str, *, phone_number: str | None) -> Resource:
    """The numbers that the account has verified without buying them: none."""
    return {"outgoing_caller_ids": []} | _only_page(
        f"/{API_VERSION}/Accounts/{account_sid}/OutgoingCallerIds.json", 0, phone_number
    )


def _only_page(path: str, count: int, phone_number: str | None) -> Resource:
    here = path if phone_number is None else f"{path}?{urlencode({'PhoneNumber': phone_number})}"
    return {
        "start": 0,
        "end": max(count - 1, 0),
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
