"""Answers of the REST API of Twilio, for the account of `twilio_sandbox`."""

import json
from typing import Any
from urllib.parse import parse_qsl

from reminderd.providers.base import Placement
from tests.support.builders import NOW
from tests.support.hostile_provider import ReceivedRequest, Script, answering
from tests.support.twilio_sandbox import ACCOUNT, FROM

PUBLIC = "https://clinic.example"
ACCOUNT_PATH = f"/2010-04-01/Accounts/{ACCOUNT}"
SID = "CA" + "1" * 32
TO = "+12025550100"

PLACEMENT = Placement(
    call_id="0b0f4a3e-call",
    reminder_id="reminder-1",
    phone_number=TO,
    message="Hello Mr Miller, your appointment is on Monday at nine.",
    asked_from=NOW,
)


def says(status: int, content: Any, **headers: str) -> Script:
    """Return an answer with this JSON."""
    return answering(status, json.dumps(content).encode(), Content_Type="application/json", **headers)


def error(status: int, code: int, message: str = "No.", **headers: str) -> Script:
    """Return an error in Twilio's own form."""
    more = f"https://www.twilio.com/docs/errors/{code}"
    return says(status, {"code": code, "message": message, "more_info": more, "status": status}, **headers)


def a_call(**changes: Any) -> dict[str, Any]:
    """Return the fields of a Call resource that we read: the call that `PLACEMENT` requests."""
    usual = {
        "sid": SID,
        "account_sid": ACCOUNT,
        "status": "queued",
        "to": TO,
        "from": FROM,
        "direction": "outbound-api",
        "date_created": "Mon, 02 Mar 2026 10:00:00 +0000",
        "start_time": None,
        "duration": None,
        "answered_by": None,
    }
    return usual | changes


def form(request: ReceivedRequest) -> list[tuple[str, str]]:
    """Return the fields of a request, in order."""
    return parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True)
