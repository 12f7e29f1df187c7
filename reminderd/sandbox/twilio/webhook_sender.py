"""Send Twilio's webhooks: signed forms, tried again only where no connection could be made.

Their parameters: https://www.twilio.com/docs/voice/twiml#request-parameters and the call resource. Cities and the like
are there and empty, as for most numbers: an empty value is signed, too.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Final, TypeAlias
from urllib.parse import urlencode
from uuid import uuid4

import httpx
from attrs import frozen

from reminderd.providers.http import HttpAnswer, HttpClient, HttpFailure, HttpResult
from reminderd.providers.twilio.webhooks import SIGNATURE_HEADER, signature
from reminderd.sandbox.twilio.call import API_VERSION, ENDED, TwilioCall
from reminderd.sandbox.twilio.request import WebhookTarget

Parameters: TypeAlias = Mapping[str, str]

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

    async def send(self, target: WebhookTarget, parameters: Parameters, *, copies: int = 1) -> HttpResult:
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


def _request(target: WebhookTarget, parameters: Parameters) -> tuple[str, bytes | None]:
    """Return the URL without its fragment, and the body; None for a GET, which has its parameters in the query."""
    url = target.url.partition("#")[0]
    form = urlencode(parameters)
    if target.method == "POST":
        return url, form.encode()
    return f"{url}{'&' if '?' in url else '?'}{form}", None


def call_parameters(account_sid: str, call: TwilioCall) -> dict[str, str]:
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


def detection_parameters(call: TwilioCall) -> Mapping[str, str]:
    """Return the parameters that say who answered, if detection was asked for and has a result."""
    if call.answered_by is None:
        return {}
    return {"AnsweredBy": call.answered_by, "MachineDetectionDuration": _DETECTION_MILLISECONDS}


def progress_parameters(
    account_sid: str, call: TwilioCall, *, status: str, sequence: int, now: datetime
) -> dict[str, str]:
    """Return the parameters of a status callback; `status` is its `CallStatus`."""
    return {
        **call_parameters(account_sid, call),
        "CallStatus": status,
        "Timestamp": format_datetime(now),
        "SequenceNumber": str(sequence),
        "CallbackSource": "call-progress-events",
        **(_end_parameters(call) if status in ENDED else {}),
    }


def _end_parameters(call: TwilioCall) -> Mapping[str, str]:
    """Return what only the last status callback has. `CallDuration` is in seconds, `Duration` in started minutes."""
    completed = call.status == "completed"
    seconds = call.steps_talked if completed else 0
    minutes = {"Duration": str(math.ceil(seconds / 60))} if completed else {}
    error = {} if call.error_code is None else {"ErrorCode": str(call.error_code)}
    return {
        "CallDuration": str(seconds),
        "SipResponseCode": str(call.behavior.sip_code or _SIP[call.status]),
        **minutes,
        **error,
        **detection_parameters(call),
    }
