"""Twilio's webhooks: the status of a call, what is spoken once it is answered, and the keys pressed in it.

All are forms, and their path carries the id of our own call.
Sources: https://www.twilio.com/docs/voice/api/call-resource#statuscallback and https://www.twilio.com/docs/voice/twiml;
for signatures https://www.twilio.com/docs/usage/security and `request_validator.py` of twilio-python, with which the
tests compare this module. Facts on what is spoken: https://www.twilio.com/docs/voice/twiml/say, /gather, /pause,
/hangup; https://www.twilio.com/docs/api/errors/11750 (an answer has at most 64 kB) and /13521 (how much a Say accepts).
"""

import base64
import hashlib
import hmac
import re
from bisect import bisect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from itertools import accumulate
from secrets import token_hex
from typing import Final, TypeAlias
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from uuid import uuid4
from xml.etree.ElementTree import Element, SubElement, tostring

from loguru import logger

from reminderd.core.answers import Report, standard_status
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.model import TERMINAL
from reminderd.core.script.prompts import Prompt, Question, SpokenReply
from reminderd.core.script.scripts import Script, Scripts, spoken_text
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
    is_usable,
)
from reminderd.providers.base_settings import Probe
from reminderd.providers.twilio.voice_api import rfc_2822_moment, whole_number

Parameters: TypeAlias = Iterable[tuple[str, str]]
"""A form's fields in any order; a name may occur several times."""

SIGNATURE_HEADER: Final = "X-Twilio-Signature"

_FORM: Final = "application/x-www-form-urlencoded"
_DEFAULT_PORTS: Final = {"https": 443, "http": 80}
_MOST_FIELDS: Final = 1_000


def signature(auth_token: str, url: str, parameters: Parameters = ()) -> str:
    """Return the signature of a request to this URL (without its fragment), with these form fields."""
    # Names in the order of their code points, each with its different values, sorted; nothing between them.
    signed = url + "".join(name + value for name, value in sorted(set(parameters)))
    digest = hmac.new(auth_token.encode(), signed.encode(errors="surrogatepass"), hashlib.sha1).digest()
    return base64.b64encode(digest).decode()


def verified(
    *, auth_tokens: Iterable[str], base_urls: Iterable[str], target: str, headers: Mapping[str, str], body: bytes
) -> bool:
    """Return whether a request was signed with one of the tokens. Never raise.

    Args:
        auth_tokens: the tokens of the account; two while a new token replaces the old one.
        base_urls: our configured public address, and earlier ones. The request's own Host header proves nothing.
        target: the raw path and query of the request.
        headers: names in lower case.
        body: the raw body.
    """
    parameters = _signed_fields(target, headers.get("content-type", ""), body)
    received = headers.get(SIGNATURE_HEADER.lower(), "").encode(errors="surrogatepass")
    if parameters is None:
        return False
    urls = [url for base_url in base_urls for url in _spellings(base_url + target)]
    expected = [signature(token, url, parameters).encode() for token in auth_tokens for url in urls]
    # Compare all of them, so that the time does not reveal which one matches.
    return sum(hmac.compare_digest(one, received) for one in expected) > 0


def form_fields(body: bytes) -> tuple[tuple[str, str], ...]:
    """Return the fields of a form in their order, those without a value included.

    Raises:
        ValueError: the body is not UTF-8, or has a thousand fields.
    """
    text = body.decode()
    return tuple(parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS))


def _signed_fields(target: str, content_type: str, body: bytes) -> tuple[tuple[str, str], ...] | None:
    """Return the fields that the signature covers; None if no signature can cover this body."""
    if not body:
        return ()
    if content_type.partition(";")[0].strip().lower() == _FORM:
        try:
            return form_fields(body)
        except ValueError:
            return None
    # Any other body is covered by its hash, which is part of the signed URL.
    hashes = [value for name, value in parse_qsl(urlsplit(target).query) if name == "bodySHA256"]
    found = hashlib.sha256(body).hexdigest().encode()
    is_covered = len(hashes) == 1 and hmac.compare_digest(found, hashes[0].lower().encode(errors="surrogatepass"))
    return () if is_covered else None


def _spellings(url: str) -> tuple[str, ...]:
    """Return the URL as it is, without a port, and with the default port, as Twilio may sign any of these."""
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.netloc.rpartition("@")[2].split(":")[0]
    rest = url.partition("://")[2].removeprefix(parts.netloc)
    bare, default = f"{parts.scheme}://{host}", f":{_DEFAULT_PORTS.get(parts.scheme, 443)}"
    return tuple(dict.fromkeys((url, bare + rest, bare + default + rest)))


PATH: Final = "/webhooks/twilio"
"""Where Twilio reaches us, below the public base URL."""

UrlOf: TypeAlias = Callable[[str, str], str]
"""Returns the URL of one of our webhooks, `status`, `answer` or `keys`, for the call with our id."""

_XML: Final = "text/xml; charset=utf-8"
_MOST_KEYS: Final = 32
_MOST_REPEATS: Final = 99
_SIP_CODES: Final = 999


def routes(recorder: Recorder, url_of: UrlOf) -> list[Route]:
    """Return where the webhooks arrive."""
    # The fallback is a GET, and the same for every call, so that a static file can answer it while we can't.
    return [
        Route(path=f"{PATH}/status/<call_id>", view=partial(_status, recorder=recorder)),
        Route(path=f"{PATH}/answer/<call_id>", view=partial(_answer, recorder=recorder, url_of=url_of)),
        Route(path=f"{PATH}/keys/<call_id>", view=partial(_keys, recorder=recorder, url_of=url_of)),
        Route(method="GET", path=f"{PATH}/fallback", view=partial(_fallback, recorder=recorder)),
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
    if reply.language is not None:  # each key is answered in the language of the call, even if its rows have changed
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
        signed={**headers, SIGNATURE_HEADER: signature(auth_token, public_base_url + path, fields)},
        forged={**headers, SIGNATURE_HEADER: signature(token_hex(16), public_base_url + path, fields)},
    )


def read_report(webhook: Webhook) -> Report:
    """Return what a webhook reports about the call that its path names.

    Raises:
        InvalidPayloadError: every mistake is listed.
    """
    fields = _fields(webhook)
    call_id = unquote(urlsplit(webhook.target).path.rpartition("/")[2])
    sid, status = fields.get("CallSid", ""), standard_status(fields.get("CallStatus", ""))
    answered_by, error_code = fields.get("AnsweredBy", ""), fields.get("ErrorCode", "")
    mistakes = [
        f"{name}: missing or unusable; expected text of 1 to {limit} characters"
        for name, value, limit in (
            ("the call's id in the path", call_id, ID_LIMIT),
            ("CallSid", sid, ID_LIMIT),
            ("CallStatus", status, STATUS_LIMIT),
        )
        if not is_usable(value, limit=limit)
    ]
    if mistakes:
        raise InvalidPayloadError(mistakes)
    return Report(
        external_call_id=sid,
        status=status,
        attempt_id=call_id,
        duration_seconds=whole_number(fields.get("CallDuration"), DURATION_LIMIT),
        answered_by=answered_by if is_usable(answered_by) else None,
        sip_response_code=whole_number(fields.get("SipResponseCode"), _SIP_CODES),
        error_code=error_code if is_usable(error_code, limit=STATUS_LIMIT) else None,
        ended_at=rfc_2822_moment(fields.get("Timestamp")) if status in TERMINAL else None,
    )


def read_key(webhook: Webhook) -> Key:
    """Return the key that a webhook reports, and the question that was asked, according to its query.

    Raises:
        InvalidPayloadError: the body is not a form, or the query is not ours.
    """
    fields = _fields(webhook)
    digits = fields.get("Digits", "")
    asked = dict(parse_qsl(urlsplit(webhook.target).query))
    repeats = whole_number(asked.get("repeats"), _MOST_REPEATS)
    if asked.get("question") not in set(Question) or repeats is None:
        raise InvalidPayloadError(["query: expected the question that was asked, and how often"])
    is_over = standard_status(fields.get("CallStatus", "")) in TERMINAL
    return Key(
        digits=digits[:_MOST_KEYS],
        question=Question(asked["question"]),
        repeats=repeats,
        language=asked.get("language"),
        is_over=is_over,
    )


def unused_answer(webhook: Webhook) -> str | None:
    """Return the id of the call whose answer Twilio could not use, according to its request for the fallback.

    None if it does not state that, or is about another document. Source: the parameters ErrorCode and ErrorUrl in
    https://www.twilio.com/docs/usage/security/availability-reliability.
    """
    asked = dict(parse_qsl(urlsplit(webhook.target).query))
    what, _, call_id = urlsplit(asked.get("ErrorUrl", "")).path.rpartition("/")
    is_answer = what.endswith("/answer") and is_usable(unquote(call_id), limit=ID_LIMIT)
    return unquote(call_id) if is_answer else None


def _fields(webhook: Webhook) -> dict[str, str]:
    """Return the fields of the form by name; for a repeated name, the last value."""
    try:
        return dict(form_fields(webhook.body))
    except ValueError:
        raise InvalidPayloadError(["body: not a form in UTF-8"]) from None


KEY_SECONDS: Final = 8
"""How long to wait for a key after the last word: the person must take the phone from the ear, and open its keypad."""

KEY_SECONDS_AFTER_VOICEMAIL: Final = 2
"""How long to wait after a text for a machine, which records the silence."""

SAY_TAKES: Final = 3_000
"""The most URL-encoded characters in one Say: Twilio accepts 4,500, but only 3,000 bytes for one of Polly's voices."""

PAUSE_SECONDS: Final = 1
"""The pause between the two times that the text for a machine is spoken."""

_NOT_IN_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""The characters that XML 1.0 can't contain, not even as escapes: https://www.w3.org/TR/xml/#charsets."""


def twiml(reply: SpokenReply, *, script: Script, message: str, keys_url: str) -> bytes:
    """Return the TwiML that speaks a reply. If the reply has a question, ask for a key; otherwise, end the call.

    A key may be pressed before the last word. With or without a key, Twilio continues at `keys_url`; without a key, it
    sends no `Digits`, or an empty value.

    Args:
        reply: what is spoken.
        script: the scripts around the message, and the language.
        message: the message of the reminder; characters that XML can't contain are left out.
        keys_url: where a key is reported, with its query; unused without a question.
    """
    response = Element("Response")
    speaking = response
    if reply.parts and reply.question is not None:
        speaking = SubElement(
            response,
            "Gather",
            action=keys_url,
            method="POST",
            numDigits="1",
            timeout=str(KEY_SECONDS_AFTER_VOICEMAIL if reply.question is Question.VOICEMAIL else KEY_SECONDS),
            actionOnEmptyResult="true",
            finishOnKey="",  # otherwise a # would look like no key
        )
    for part in reply.parts:
        _say(speaking, spoken_text(part, script, message), script)
        if part is Prompt.VOICEMAIL:
            # Machines often miss the beginning. Two Says: one with loop="2" would leave no pause between.
            SubElement(speaking, "Pause", length=str(PAUSE_SECONDS))
            _say(speaking, spoken_text(part, script, message), script)
    return _ended(response)


def fallback(script: Script) -> bytes:
    """Return the TwiML for when we can't be reached: the text for a machine, once; for a static file.

    Neither a person nor a machine learns more from it than who called and where to call back.
    """
    response = Element("Response")
    _say(response, spoken_text(Prompt.VOICEMAIL, script, ""), script)
    return _ended(response)


def _ended(response: Element) -> bytes:
    SubElement(response, "Hangup")
    document: bytes = tostring(response, encoding="utf-8", xml_declaration=True)
    return document


def _say(parent: Element, text: str, script: Script) -> None:
    how = {"language": script.language} | ({"voice": script.voice} if script.voice else {})
    speakable = _NOT_IN_XML.sub("", " ".join(text.split()))
    for piece in _pieces(speakable):
        if any(character.isprintable() and character != " " for character in piece):  # an empty Say is an error
            SubElement(parent, "Say", how).text = piece


def _pieces(text: str) -> Iterator[str]:
    """Yield the text in pieces that one Say accepts, cut after a sentence, or between words, or anywhere."""
    rest = text
    while rest:
        sizes = accumulate(len(quote(character, safe="")) for character in rest)
        fits = bisect(list(sizes), SAY_TAKES)
        head = rest[:fits]
        cut = fits if fits == len(rest) else head.rfind(". ") + 1 or head.rfind(" ") + 1 or fits
        yield rest[:cut].strip()
        rest = rest[cut:]
