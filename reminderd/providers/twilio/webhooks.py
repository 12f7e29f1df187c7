"""Twilio's webhooks: the status of a call, what is spoken once it is answered, and the keys pressed in it.

All are forms, and their path carries the id of our own call.
Source: https://www.twilio.com/docs/voice/api/call-resource#statuscallback and https://www.twilio.com/docs/voice/twiml.
"""

from collections.abc import Callable
from functools import partial
from secrets import token_hex
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit
from uuid import uuid4

from loguru import logger

from reminderd.core.answers import Report, spelled
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.model import TERMINAL
from reminderd.core.script.prompts import Question
from reminderd.core.script.scripts import Scripts
from reminderd.providers.base import (
    DURATION_LIMIT,
    ID_LIMIT,
    STATUS_LIMIT,
    InvalidPayloadError,
    Recorder,
    Reply,
    Route,
    SpokenPart,
    Webhook,
    usable,
)
from reminderd.providers.settings import Probe
from reminderd.providers.twilio.signature import HEADER, form_fields, signature
from reminderd.providers.twilio.twiml import fallback, twiml
from reminderd.providers.twilio.voice_api import moment, whole_number

PATH: Final = "/webhooks/twilio"
"""Under the public base URL: where Twilio reaches us."""

UrlOf: TypeAlias = Callable[[str, str], str]
"""Returns the URL of one of our webhooks, `status`, `answer` or `keys`, for the call with this id of ours."""

_XML: Final = "text/xml; charset=utf-8"
_MOST_KEYS: Final = 32
_MOST_REPEATS: Final = 99
_SIP_CODES: Final = 999


def routes(recorder: Recorder, url_of: UrlOf) -> list[Route]:
    """Return where the webhooks arrive."""
    # The fallback is a GET, and the same for every call, so that a static file can answer it while we can't.
    return [
        Route(path=f"{PATH}/status/<call_id>", answer=partial(_status, recorder=recorder)),
        Route(path=f"{PATH}/answer/<call_id>", answer=partial(_answer, recorder=recorder, url_of=url_of)),
        Route(path=f"{PATH}/keys/<call_id>", answer=partial(_keys, recorder=recorder, url_of=url_of)),
        Route(method="GET", path=f"{PATH}/fallback", answer=partial(_fallback, recorder=recorder)),
    ]


async def _status(webhook: Webhook, *, recorder: Recorder) -> Reply:
    """Record the status of a call; Twilio expects nothing in return."""
    await recorder.report(read_report(webhook))
    return Reply(status=204, content_type=None)


async def _answer(webhook: Webhook, *, recorder: Recorder, url_of: UrlOf) -> Reply:
    """Return what is spoken to the person or machine that answered."""
    report = read_report(webhook)
    return _speak(report, await recorder.pick_up(report), recorder.scripts, url_of)


async def _keys(webhook: Webhook, *, recorder: Recorder, url_of: UrlOf) -> Reply:
    """Record what a key means, and return what is spoken next."""
    report, key = read_report(webhook), read_key(webhook)
    return _speak(report, await recorder.press(report, key), recorder.scripts, url_of)


async def _fallback(webhook: Webhook, *, recorder: Recorder) -> Reply:
    """Say only who called: Twilio requests this when it could not use an answer of ours."""
    logger.warning("Twilio asked for the fallback: it could not use our answer to a call that was answered")
    call_id = unused_answer(webhook)
    if call_id is not None:
        await recorder.unspoken(call_id)
    return Reply(body=fallback(recorder.scripts.own), content_type=_XML)


def _speak(report: Report, spoken: SpokenPart, scripts: Scripts, url_of: UrlOf) -> Reply:
    reply, script = spoken.reply, scripts.of(spoken.reply.language)
    asked = {"question": "" if reply.question is None else reply.question.value, "repeats": reply.repeats}
    if reply.language is not None:  # each key is answered in the language of the call, whatever became of its rows
        asked["language"] = reply.language
    keys_url = f"{url_of('keys', report.attempt_id or '')}?{urlencode(asked)}"
    return Reply(body=twiml(reply, script=script, message=spoken.message, keys_url=keys_url), content_type=_XML)


def probe(auth_token: str, public_base_url: str) -> Probe:
    """Return two reports of a call that nobody placed, signed with the token and with a made-up one."""
    name = f"doctor-{uuid4()}"
    path, fields = f"{PATH}/status/{name}", [("CallSid", name), ("CallStatus", "queued")]
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    return Probe(
        path=path,
        body=urlencode(fields).encode(),
        signed={**headers, HEADER: signature(auth_token, public_base_url + path, fields)},
        forged={**headers, HEADER: signature(token_hex(16), public_base_url + path, fields)},
    )


def read_report(webhook: Webhook) -> Report:
    """Return what a webhook says of the call that its path names.

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
    """Return the key that a webhook reports, and the question that its query says was asked.

    Raises:
        InvalidPayloadError: it is not a form, or the query is not ours.
    """
    fields = _fields(webhook)
    digits = fields.get("Digits", "")
    asked = dict(parse_qsl(urlsplit(webhook.target).query))
    repeats = whole_number(asked.get("repeats"), _MOST_REPEATS)
    if asked.get("question") not in set(Question) or repeats is None:
        raise InvalidPayloadError(["query: expected the question that was asked, and how often"])
    is_over = spelled(fields.get("CallStatus", "")) in TERMINAL
    return Key(
        digits=digits[:_MOST_KEYS],
        question=Question(asked["question"]),
        repeats=repeats,
        language=asked.get("language"),
        is_over=is_over,
    )


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
    """Return the form by name; of a repeated name the last counts."""
    try:
        return dict(form_fields(webhook.body))
    except ValueError:
        raise InvalidPayloadError(["body: not a form in UTF-8"]) from None
