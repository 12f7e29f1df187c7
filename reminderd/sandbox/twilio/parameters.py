"""What Twilio tells in its webhooks: https://www.twilio.com/docs/voice/twiml#request-parameters and the call resource.

Cities and the like are there and empty, as for most numbers: an empty value is signed, too.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from typing import Final

from reminderd.sandbox.twilio.call import ENDED, TwilioCall
from reminderd.sandbox.twilio.resources import API_VERSION

_SIP: Final = {"completed": "200", "busy": "486", "no-answer": "487", "canceled": "487", "failed": "404"}

_DETECTION_MILLISECONDS: Final = "2380"

_PLACES: Final = {
    f"{who}{what}": "US" if what == "Country" else ""
    for who in ("From", "To", "Caller", "Called")
    for what in ("City", "State", "Zip", "Country")
}


def of_call(account_sid: str, call: TwilioCall) -> dict[str, str]:
    """What every webhook tells."""
    return {
        "CallSid": call.id,
        "AccountSid": account_sid,
        "From": call.order.sender,
        "To": call.phone_number,
        "Caller": call.order.sender,
        "Called": call.phone_number,
        "CallStatus": call.status,
        "ApiVersion": API_VERSION,
        "Direction": "outbound-api",
        **_PLACES,
    }


def of_detection(call: TwilioCall) -> Mapping[str, str]:
    """Who answered, if that was asked for and is known."""
    if call.answered_by is None:
        return {}
    return {"AnsweredBy": call.answered_by, "MachineDetectionDuration": _DETECTION_MILLISECONDS}


def of_progress(account_sid: str, call: TwilioCall, *, word: str, sequence: int, now: datetime) -> dict[str, str]:
    """What a status callback tells; `word` is its `CallStatus`."""
    return {
        **of_call(account_sid, call),
        "CallStatus": word,
        "Timestamp": format_datetime(now),
        "SequenceNumber": str(sequence),
        "CallbackSource": "call-progress-events",
        **(of_end(call) if word in ENDED else {}),
    }


def of_end(call: TwilioCall) -> Mapping[str, str]:
    """What the last status callback tells besides. `CallDuration` is in seconds, `Duration` in minutes begun."""
    completed = call.status == "completed"
    seconds = call.steps_talked if completed else 0
    minutes = {"Duration": str(math.ceil(seconds / 60))} if completed else {}
    trouble = {} if call.error_code is None else {"ErrorCode": str(call.error_code)}
    return {
        "CallDuration": str(seconds),
        "SipResponseCode": str(call.behaviour.sip_code or _SIP[call.status]),
        **minutes,
        **trouble,
        **of_detection(call),
    }
