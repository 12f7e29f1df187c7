"""Read a request to place a call as strictly as Twilio documents it, and hold the call that it makes.

An unknown, repeated or empty parameter is refused.
"""

import re
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any, Final
from urllib.parse import urlsplit

from attrs import evolve, frozen
from werkzeug.datastructures import MultiDict

from reminderd.providers.twilio.webhooks import form_fields
from reminderd.sandbox.behaviors import Behavior

_FORM: Final = "application/x-www-form-urlencoded"
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_URL_LIMIT: Final = 4_000

EVENTS: Final = ("initiated", "ringing", "answered", "completed")
"""The values of `StatusCallbackEvent`."""

ACCOUNT_NUMBERS: Final = tuple(f"+1202555019{last}" for last in range(10))
"""The numbers that the sandbox's account has bought, and from which calls can be placed."""

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_DAY_SECONDS: Final = 24 * 60 * 60

_URLS: Final = {"Url": 21205, "FallbackUrl": 21205, "StatusCallback": 21609}
"""The parameters that are URLs, each with the error code of an invalid one."""
_METHOD_OF: Final = {"Url": "Method", "FallbackUrl": "FallbackMethod", "StatusCallback": "StatusCallbackMethod"}
_NUMBERS: Final = {
    "Timeout": (0, 600, 60),
    "TimeLimit": (1, _DAY_SECONDS, 4 * 60 * 60),
    "MachineDetectionTimeout": (3, 59, 30),
    "MachineDetectionSpeechThreshold": (1_000, 6_000, 2_400),
    "MachineDetectionSpeechEndThreshold": (500, 5_000, 1_200),
    "MachineDetectionSilenceTimeout": (2_000, 10_000, 5_000),
}
"""The lowest, highest and default values. They are checked but have no effect: calls here use steps."""
_KNOWN: Final = {"To", "From", "StatusCallbackEvent", "MachineDetection", *_URLS, *_METHOD_OF.values(), *_NUMBERS}

BAD_PARAMETER: Final = 20001
"""The code for an unknown parameter, or a value that is not documented."""

NOT_VALID: Final = "The phone number you are attempting to call, {}, is not valid."

ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})

_MACHINE: Final = {"Enable": "machine_start", "DetectMessageEnd": "machine_end_beep"}
"""What is reported about a machine, by the value of `MachineDetection`."""


class ApiError(Exception):
    """The request is refused, with an HTTP status and one of https://www.twilio.com/docs/api/errors."""

    def __init__(self, code: int, message: str, *, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def body(self) -> Mapping[str, Any]:
        """Return the JSON that answers the request."""
        return {
            "code": self.code,
            "message": self.message,
            "more_info": f"https://www.twilio.com/docs/errors/{self.code}",
            "status": self.status,
        }


@frozen(kw_only=True)
class WebhookTarget:
    """A URL to which Twilio sends a webhook, and the method."""

    url: str
    method: str


@frozen(kw_only=True)
class TwilioCallRequest:
    """The parameters of a request to place a call."""

    to: str
    sender: str
    """`From`."""
    answer: WebhookTarget
    """`Url`: returns the TwiML once somebody answers."""
    fallback: WebhookTarget | None
    status_callback: WebhookTarget | None
    events: frozenset[str]
    machine_detection: str
    """The kind of detection; empty for none."""


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
    """Who answered; known once it is answered, if the request asked for detection."""
    steps_talked: int = 0
    """The length of the call: a step stands for a second, whatever its length here."""
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
        """The last segment of its status callback's path: Twilio has no other place for the client's own id."""
        callback = self.request.status_callback
        return None if callback is None else urlsplit(callback.url).path.rpartition("/")[2] or None


def with_status(call: TwilioCall, *, status: str, now: datetime) -> TwilioCall:
    """Return the call with its new status. A call that has ended stays as it is."""
    if call.status in ENDED:
        return call
    return evolve(call, status=status, updated_at=now, ended_at=now if status in ENDED else None)


def picked_up(call: TwilioCall, *, now: datetime) -> TwilioCall:
    """Return the call as somebody answers it."""
    by, detection = call.behavior.answered_by, call.request.machine_detection
    who = _MACHINE.get(detection) if by == "machine" else by
    return evolve(with_status(call, status="in-progress", now=now), answered_by=who if detection else None)


def with_steps(call: TwilioCall, *, steps: int) -> TwilioCall:
    """Return the call with its duration longer by this many steps."""
    return evolve(call, steps_talked=call.steps_talked + steps)


def read_request(fields: MultiDict[str, str]) -> TwilioCallRequest:
    """Return the request that these parameters make.

    Raises:
        ApiError: the first mistake, as Twilio reports it.
    """
    expect_known(fields, _KNOWN, repeatable={"StatusCallbackEvent"})
    to, sender = _numbers(fields)
    answer = _webhook(fields, "Url")
    if answer is None:
        raise ApiError(21205, "Url parameter is required.")
    for name, (lowest, highest, default) in _NUMBERS.items():
        number(fields, name, lowest, highest, default)
    events = fields.getlist("StatusCallbackEvent")
    for event in events:
        choice("StatusCallbackEvent", event, EVENTS)
    return TwilioCallRequest(
        to=to,
        sender=sender,
        answer=answer,
        fallback=_webhook(fields, "FallbackUrl"),
        status_callback=_webhook(fields, "StatusCallback"),
        events=frozenset(events or ("completed",)),
        machine_detection=choice("MachineDetection", fields.get("MachineDetection"), _MACHINE),
    )


def _numbers(fields: MultiDict[str, str]) -> tuple[str, str]:
    to, sender = fields.get("To"), fields.get("From")
    if not to:
        raise ApiError(21201, "No 'To' number is specified")
    if not sender:
        raise ApiError(21213, "A 'From' phone number is required.")
    if not _E164.fullmatch(sender):
        raise ApiError(21212, f"The source phone number provided, {sender}, is not valid.")
    if sender not in ACCOUNT_NUMBERS:
        raise ApiError(
            21210,
            f"The source phone number provided, {sender}, is not yet verified for your account."
            f" The sandbox has bought {ACCOUNT_NUMBERS[0]} to {ACCOUNT_NUMBERS[-1]}.",
        )
    if not _E164.fullmatch(to):
        raise ApiError(21211, NOT_VALID.format(to))
    return to, sender


def _webhook(fields: MultiDict[str, str], name: str) -> WebhookTarget | None:
    method_name, url = _METHOD_OF[name], fields.get(name)
    method = choice(method_name, fields.get(method_name), ("GET", "POST"), "POST")
    if url is not None and not _is_web_address(url):
        raise ApiError(_URLS[name], f"{name} is not a valid URL")
    return None if url is None else WebhookTarget(url=url, method=method)


def _is_web_address(url: str) -> bool:
    """Return whether a text is a complete URL, whose host is a name that DNS allows, without an underscore."""
    if len(url) > _URL_LIMIT or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    is_name = host is not None and all(_LABEL.fullmatch(label) for label in host.split("."))
    return parts.scheme in {"http", "https"} and is_name


def read_form(content_type: str, body: bytes) -> MultiDict[str, str]:
    """Return the fields of a form.

    Raises:
        ApiError: the body is not a form.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise ApiError(BAD_PARAMETER, f"Content-Type: expected {_FORM}")
    try:
        return MultiDict(form_fields(body))
    except ValueError as error:
        raise ApiError(BAD_PARAMETER, "The body is not a form in UTF-8") from error


def expect_known(fields: MultiDict[str, str], known: Collection[str], *, repeatable: Collection[str] = ()) -> None:
    """Refuse an unknown parameter, and a parameter that occurs more than once.

    Raises:
        ApiError: names the first such parameter.
    """
    for name, values in fields.lists():
        if name not in known:
            what = f"{name} is not a parameter of this request, or the sandbox does not simulate it"
            raise ApiError(BAD_PARAMETER, what)
        if len(values) > 1 and name not in repeatable:
            raise ApiError(BAD_PARAMETER, f"{name} is given {len(values)} times")


def choice(name: str, word: str | None, words: Collection[str], default: str = "") -> str:
    """Return a parameter's value, which must be one of these words; the default if it is missing.

    Raises:
        ApiError: it is another one.
    """
    if word is not None and word not in words:
        raise ApiError(BAD_PARAMETER, f"{name}: expected one of {', '.join(sorted(words))}")
    return default if word is None else word


def number(fields: MultiDict[str, str], name: str, lowest: int, highest: int, default: int) -> int:
    """Return a parameter that must be a whole number within these bounds.

    Raises:
        ApiError: it is not.
    """
    text = fields.get(name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise ApiError(BAD_PARAMETER, f"{name}: expected a whole number from {lowest} to {highest}")
    return int(text)
