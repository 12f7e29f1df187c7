"""Twilio's webhooks: forms whose path carries our own call's id.

Source: https://www.twilio.com/docs/voice/api/call-resource#statuscallback and https://www.twilio.com/docs/voice/twiml.
"""

from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from reminderd.core.answers import Report, spelled
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.model import TERMINAL
from reminderd.core.script.prompts import Question
from reminderd.providers.base import InvalidPayloadError, Webhook
from reminderd.providers.payload import DURATION_LIMIT, ID_LIMIT, STATUS_LIMIT, usable
from reminderd.providers.twilio.calls import moment, whole_number
from reminderd.providers.twilio.signature import form_fields

_MOST_KEYS: Final = 32
_MOST_REPEATS: Final = 99
_SIP_CODES: Final = 999


def read_report(webhook: Webhook) -> Report:
    """What a webhook says of the call that its path names.

    Raises:
        InvalidPayloadError: every mistake is listed.
    """
    fields = _fields(webhook)
    call_id = unquote(urlsplit(webhook.target).path.rpartition("/")[2])
    sid, status = fields.get("CallSid", ""), spelled(fields.get("CallStatus", ""))
    answered_by, error_code = fields.get("AnsweredBy", ""), fields.get("ErrorCode", "")
    mistakes = [
        f"{name}: missing or unusable; expected text of 1 to {limit} characters"
        for name, value, limit in (
            ("the call's id in the path", call_id, ID_LIMIT),
            ("CallSid", sid, ID_LIMIT),
            ("CallStatus", status, STATUS_LIMIT),
        )
        if not usable(value, limit=limit)
    ]
    if mistakes:
        raise InvalidPayloadError(mistakes)
    return Report(
        external_call_id=sid,
        status=status,
        attempt_id=call_id,
        duration_seconds=whole_number(fields.get("CallDuration"), DURATION_LIMIT),
        answered_by=answered_by if usable(answered_by) else None,
        sip_response_code=whole_number(fields.get("SipResponseCode"), _SIP_CODES),
        error_code=error_code if usable(error_code, limit=STATUS_LIMIT) else None,
        ended_at=moment(fields.get("Timestamp")) if status in TERMINAL else None,
    )


def read_key(webhook: Webhook) -> Key:
    """The key that a webhook reports, and the question that its query says was asked.

    Raises:
        InvalidPayloadError: the form is none, or the query is not ours.
    """
    fields = _fields(webhook)
    digits = fields.get("Digits", "")
    asked = dict(parse_qsl(urlsplit(webhook.target).query))
    repeats = whole_number(asked.get("repeats"), _MOST_REPEATS)
    if asked.get("question") not in set(Question) or repeats is None:
        raise InvalidPayloadError(["query: expected the question that was asked, and how often"])
    is_over = spelled(fields.get("CallStatus", "")) in TERMINAL
    return Key(digits=digits[:_MOST_KEYS], question=Question(asked["question"]), repeats=repeats, is_over=is_over)


def unused_answer(webhook: Webhook) -> str | None:
    """Return the id of the call whose answer Twilio could not use, according to its request for the fallback.

    None: it does not say, or could not use another document. Source: the parameters ErrorCode and ErrorUrl in
    https://www.twilio.com/docs/usage/security/availability-reliability.
    """
    asked = dict(parse_qsl(urlsplit(webhook.target).query))
    what, _, call_id = urlsplit(asked.get("ErrorUrl", "")).path.rpartition("/")
    is_answer = what.endswith("/answer") and usable(unquote(call_id), limit=ID_LIMIT)
    return unquote(call_id) if is_answer else None


def _fields(webhook: Webhook) -> dict[str, str]:
    """The form by name; of a repeated name the last counts."""
    try:
        return dict(form_fields(webhook.body))
    except ValueError:
        raise InvalidPayloadError(["body: not a form in UTF-8"]) from None
