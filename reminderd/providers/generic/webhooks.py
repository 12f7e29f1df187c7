"""The generic contract's webhooks: one path, requests and answers in JSON, and the check that they are authentic.

For each mistake in a report, there is a sentence, which never repeats what was sent.
"""

import hmac
import json
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from secrets import token_bytes, token_hex
from typing import Any, Final, TypeAlias
from uuid import uuid4

from standardwebhooks import Webhook as Signer

from reminderd.clock import SystemClock
from reminderd.core.answers import Report, standard_status
from reminderd.providers.base import (
    DURATION_LIMIT,
    ID_LIMIT,
    STATUS_LIMIT,
    UNFIT_IN_IDS,
    InvalidPayloadError,
    Recorder,
    RefusedWebhookError,
    Reply,
    Route,
    Webhook,
    is_usable,
    json_object,
    json_type,
)
from reminderd.providers.base_settings import Probe

SIP_CODES: Final = range(100, 700)
"""RFC 3261, 7.2."""

_UNFIT_IN_TEXT: Final = re.compile("[\x00\ud800-\udfff]")


def read_report(answer: Mapping[str, Any], *, looked_up: bool = False) -> Report:
    """Return the report in a webhook's object, or in the answer to a look-up, which may lack the reminder's id.

    Raises:
        InvalidPayloadError: every mistake is listed.
    """
    reader = _Reader()
    metadata = reader.inner(answer, "metadata")
    report = Report(
        external_call_id=reader.name(answer, "call_id") or "",
        status=reader.status(answer),
        reminder_id=reader.name(metadata, "metadata.reminder_id", required=not looked_up),
        attempt_id=reader.name(metadata, "metadata.attempt_id", required=False),
        transcript=reader.text(answer, "transcript"),
        duration_seconds=reader.seconds(answer, "duration"),
        answered_by=reader.text(answer, "answered_by", limit=ID_LIMIT),
        sip_response_code=reader.sip_code(answer, "sip_response_code"),
    )
    if reader.mistakes:
        raise InvalidPayloadError(reader.mistakes)
    return report


class _Reader:
    """Reads fields one by one and collects the mistakes. A field that is null counts as missing."""

    def __init__(self) -> None:
        self.mistakes: list[str] = []

    def inner(self, holder: Mapping[str, Any], field: str) -> Mapping[str, Any]:
        value = holder.get(field)
        if isinstance(value, dict):
            return value
        if value is not None:
            self._mistake(field, json_type(value), "an object")
        return {}

    def name(
        self, holder: Mapping[str, Any], field: str, *, limit: int = ID_LIMIT, required: bool = True
    ) -> str | None:
        value = holder.get(field.rpartition(".")[2])
        if value is None and not required:
            return None
        if isinstance(value, str) and is_usable(value, limit=limit):
            return value
        self._mistake(field, _fault(value, limit, UNFIT_IN_IDS), f"text of 1 to {limit} characters")
        return None

    def status(self, holder: Mapping[str, Any]) -> str:
        value = self.name(holder, "status", limit=STATUS_LIMIT)
        if value is None:
            return ""
        word = standard_status(value)
        if not is_usable(word, limit=STATUS_LIMIT):  # blank, or longer in lower case
            self._mistake("status", "not a word", f"text of 1 to {STATUS_LIMIT} characters")
        return word

    def text(self, holder: Mapping[str, Any], field: str, *, limit: int | None = None) -> str | None:
        """Return a text; None if it is missing or empty."""
        value = holder.get(field)
        if value is None or value == "":
            return None
        if isinstance(value, str) and (limit is None or len(value) <= limit) and not _UNFIT_IN_TEXT.search(value):
            return value
        self._mistake(field, _fault(value, limit, _UNFIT_IN_TEXT), "text" if limit is None else f"text up to {limit}")
        return None

    def seconds(self, holder: Mapping[str, Any], field: str) -> int | None:
        value = holder.get(field)
        if value is None:
            return None
        expected = f"a number of seconds from 0 to {DURATION_LIMIT}"
        if isinstance(value, bool) or not isinstance(value, int | float):
            self._mistake(field, json_type(value), expected)
        elif not 0 <= value <= DURATION_LIMIT:  # infinity is out of range, too
            self._mistake(field, "out of range", expected)
        else:
            return round(value)
        return None

    def sip_code(self, holder: Mapping[str, Any], field: str) -> int | None:
        value = holder.get(field)
        if value is None or (type(value) is int and value in SIP_CODES):
            return value
        found = "out of range" if type(value) is int else json_type(value)
        self._mistake(field, found, f"a whole number from {SIP_CODES[0]} to {SIP_CODES[-1]}")
        return None

    def _mistake(self, field: str, found: str, expected: str) -> None:
        self.mistakes.append(f"{field}: {found}; expected {expected}")


def _fault(value: object, limit: int | None, unfit: re.Pattern[str]) -> str:
    if not isinstance(value, str):
        return json_type(value)
    if not value:
        return "empty"
    if limit is not None and len(value) > limit:
        return "too long"
    return "holds characters that are not text" if unfit.search(value) else "not text"


PATH: Final = "/webhooks/call-status"

_SUCCESS: Final = Reply(body=b'{"success": true}')
_DUPLICATE: Final = Reply(body=b'{"success": true, "duplicate": true}')
_JSON_TYPE: Final = re.compile(r"application/(?:[\w!#$&^.+-]+\+)?json", re.ASCII | re.IGNORECASE)


def routes(recorder: Recorder) -> list[Route]:
    """Return where the webhooks arrive."""
    return [Route(path=PATH, view=partial(_call_status, recorder=recorder))]


async def _call_status(webhook: Webhook, *, recorder: Recorder) -> Reply:
    """Record one report."""
    if not _is_json(webhook.headers.get("content-type", "")):
        raise RefusedWebhookError(415, "Unsupported media type")
    recorded = await recorder.report(read_report(json_object(webhook.body)))
    return _DUPLICATE if recorded.duplicate else _SUCCESS


def _is_json(content_type: str) -> bool:
    """Return whether a Content-Type names JSON, with any parameters; a missing Content-Type counts as JSON."""
    essence = content_type.partition(";")[0].strip()
    return not content_type or _JSON_TYPE.fullmatch(essence) is not None


Verifier: TypeAlias = Callable[[Mapping[str, str], bytes], bool]
"""Returns whether a webhook is from the provider, by its headers (names in lower case) and raw body. Never raises."""

_SECRET: Final = re.compile(r"(?:whsec_)?[A-Za-z0-9+/]+={0,2}")
_SECONDS: Final = re.compile(r"[0-9]{1,12}")
_MOST_SECONDS_OFF: Final = 300
"""How far the time of a webhook may be from ours, in the past or in the future."""
_CLOCK: Final = SystemClock()
_SIGNATURE: Final = re.compile(r"v1,[A-Za-z0-9+/]{43}=")
"""One item of `webhook-signature` in the version that we know: base64 of 32 bytes."""


def verifier(auth: str, secret: str) -> Verifier:
    """Return the verifier that `[provider.generic].webhook_auth` names.

    Raises:
        ValueError: the secret can't be used.
    """
    match auth:
        case "standard-webhooks":
            return standard_webhooks(secret)
        case "bearer":
            return bearer(secret)
        case _:
            return unsigned()


def standard_webhooks(secret: str) -> Verifier:
    """Verify signatures as standardwebhooks.com defines them, version 1, at most five minutes old or ahead.

    Raises:
        ValueError: the secret is not base64, with or without `whsec_` before it.
    """
    key = _key(secret)

    # The library's own `verify` fails on a malformed item, even of a version that must be ignored, and takes four times
    # as long: it decodes, encodes and copies what is compared.
    def verified(headers: Mapping[str, str], body: bytes) -> bool:
        name, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not name or not _SECONDS.fullmatch(at) or abs(_CLOCK.now().timestamp() - int(at)) > _MOST_SECONDS_OFF:
            return False
        try:
            signed = f"{name}.{at}.".encode("latin-1") + body
        except ValueError:  # no header can have such characters
            return False
        expected = b64encode(hmac.digest(key, signed, "sha256")).decode()
        items = headers.get("webhook-signature", "").split(" ")
        return any(hmac.compare_digest(expected, item[3:]) for item in items if _SIGNATURE.fullmatch(item))

    return verified


def signer(secret: str) -> Signer:
    """Return a signer of webhooks with this secret.

    Raises:
        ValueError: the secret is not base64, with or without `whsec_` before it.
    """
    return Signer(_key(secret))


def _key(secret: str) -> bytes:
    # The library silently skips what is not base64, and would then sign with another key than the sender's.
    if not _SECRET.fullmatch(secret):
        raise ValueError("webhook secret: expected base64, with or without whsec_ before it")
    try:
        key = b64decode(secret.removeprefix("whsec_") + "==")
    except ValueError:
        key = b""
    if not key:
        raise ValueError("webhook secret: expected base64, cut short as it seems")
    return key


def bearer(token: str) -> Verifier:
    """Verify a shared token in `Authorization: Bearer …`.

    Raises:
        ValueError: the token is empty, or a header can't carry it.
    """
    if not token or not token.isascii() or not token.isprintable() or " " in token:
        raise ValueError("webhook token: expected printable ASCII without spaces")
    expected = token.encode()

    def verified(headers: Mapping[str, str], _body: bytes) -> bool:
        scheme, _, credentials = headers.get("authorization", "").partition(" ")
        given = credentials.strip().encode(errors="surrogatepass")
        return hmac.compare_digest(given, expected) and scheme.lower() == "bearer"

    return verified


def unsigned() -> Verifier:
    """Accept every webhook, for a provider that signs nothing, in a network to which nobody else has access."""
    return lambda _headers, _body: True


def probe(auth: str, secret: str, now: datetime) -> Probe | None:
    """Return two reports of a call that nobody placed, signed with the secret and with a made-up one."""
    if auth == "none":
        return None
    name = f"doctor-{uuid4()}"
    body = json.dumps({"call_id": name, "status": "queued", "metadata": {"reminder_id": name}}).encode()
    if auth == "bearer":
        signed, forged = {"Authorization": f"Bearer {secret}"}, {"Authorization": f"Bearer {token_hex(32)}"}
    else:
        made_up = f"whsec_{b64encode(token_bytes(32)).decode()}"
        signed, forged = _signature(secret, name, now, body), _signature(made_up, name, now, body)
    json_type = {"Content-Type": "application/json"}
    return Probe(
        path=PATH,
        body=body,
        signed={**json_type, **signed},
        forged={**json_type, **forged},
        contains_secret=auth == "bearer",
    )


def _signature(secret: str, name: str, now: datetime, body: bytes) -> dict[str, str]:
    return {
        "webhook-id": name,
        "webhook-timestamp": str(int(now.timestamp())),
        "webhook-signature": signer(secret).sign(name, now, body.decode()),
    }
