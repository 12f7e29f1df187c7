"""Read a request's parameters as strictly as Twilio documents them: an unknown, repeated or empty one is refused."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final, TypeAlias
from urllib.parse import urlsplit

from attrs import frozen

from reminderd.providers.twilio.webhooks import form_fields

Fields: TypeAlias = Mapping[str, tuple[str, ...]]
"""The values of each parameter, in their order."""

_FORM: Final = "application/x-www-form-urlencoded"
_LABEL: Final = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_URL_LIMIT: Final = 4_000

EVENTS: Final = ("initiated", "ringing", "answered", "completed")
"""The values of `StatusCallbackEvent`."""

ACCOUNT_NUMBERS: Final = tuple(f"+1202555019{last}" for last in range(10))
"""The numbers that the sandbox's account has bought, and from which calls can be placed."""

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_METHODS: Final = ("GET", "POST")
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
"""Lowest, highest, default. They are checked but have no effect: calls here go by steps."""
_KNOWN: Final = {"To", "From", "StatusCallbackEvent", "MachineDetection", *_URLS, *_METHOD_OF.values(), *_NUMBERS}


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


def bad_parameter(message: str) -> ApiError:
    """Return the error for an unknown parameter, or a value that is not documented."""
    return ApiError(20001, message)


def unauthorized() -> ApiError:
    """Return the error for any other account or token than ours."""
    return ApiError(20003, "Authenticate", status=401)


def not_found(path: str) -> ApiError:
    """Return the error for a resource that does not exist."""
    return ApiError(20404, f"The requested resource {path} was not found", status=404)


def invalid_number(number: str) -> ApiError:
    """Return the error for a number that can't be called."""
    return ApiError(21211, f"The phone number you are attempting to call, {number}, is not valid.")


def internal_error() -> ApiError:
    """Return the error after which the call may have been placed or not."""
    return ApiError(20500, "An internal server error has occurred", status=500)


def too_many_requests() -> ApiError:
    """Return the error for a request that must be repeated later."""
    return ApiError(20429, "Too Many Requests", status=429)


def rejected(status: int, number: str) -> ApiError:
    """Return Twilio's error for a request that the generic contract rejects with this status."""
    match status:
        case 422:
            return invalid_number(number)
        case 429 | 503:
            return too_many_requests()
        case _:
            return internal_error()


def http_error(status: int, name: str) -> ApiError:
    """Return the error for a request that fails before its parameters are read."""
    return ApiError({404: 20404, 405: 20004, 500: 20500}.get(status, 20001), name, status=status)


def wrong_state(message: str) -> ApiError:
    """Return the error for a change that the call's status does not allow."""
    return ApiError(21220, message)


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
    """Empty: no detection."""

    @property
    def attempt_id(self) -> str | None:
        """The last segment of `StatusCallback`'s path: Twilio has no other place for an id of the client's own."""
        if self.status_callback is None:
            return None
        return urlsplit(self.status_callback.url).path.rpartition("/")[2] or None


def read_request(fields: Fields) -> TwilioCallRequest:
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
    for event in fields.get("StatusCallbackEvent", ()):
        choice({"StatusCallbackEvent": (event,)}, "StatusCallbackEvent", EVENTS, event)
    return TwilioCallRequest(
        to=to,
        sender=sender,
        answer=answer,
        fallback=_webhook(fields, "FallbackUrl"),
        status_callback=_webhook(fields, "StatusCallback"),
        events=frozenset(fields.get("StatusCallbackEvent", ("completed",))),
        machine_detection=choice(fields, "MachineDetection", ("Enable", "DetectMessageEnd"), ""),
    )


def _numbers(fields: Fields) -> tuple[str, str]:
    to, sender = one(fields, "To"), one(fields, "From")
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
        raise invalid_number(to)
    return to, sender


def _webhook(fields: Fields, name: str) -> WebhookTarget | None:
    method = choice(fields, _METHOD_OF[name], _METHODS, "POST")
    url = web_address(fields, name, _URLS[name])
    return None if url is None else WebhookTarget(url=url, method=method)


def read_form(content_type: str, body: bytes) -> Fields:
    """Return the fields of a form.

    Raises:
        ApiError: the body is not a form.
    """
    if content_type.partition(";")[0].strip().lower() != _FORM:
        raise bad_parameter(f"Content-Type: expected {_FORM}")
    try:
        return grouped(form_fields(body))
    except ValueError as error:
        raise bad_parameter("The body is not a form in UTF-8") from error


def grouped(pairs: Collection[tuple[str, str]]) -> Fields:
    """Return the values by their names, in their order."""
    return {name: tuple(value for other, value in pairs if other == name) for name, _ in pairs}


def expect_known(fields: Fields, known: Collection[str], *, repeatable: Collection[str] = ()) -> None:
    """Refuse an unknown parameter, and one that comes more than once.

    Raises:
        ApiError: names the first such parameter.
    """
    for name, values in fields.items():
        if name not in known:
            raise bad_parameter(f"{name} is not a parameter of this request, or the sandbox does not simulate it")
        if len(values) > 1 and name not in repeatable:
            raise bad_parameter(f"{name} is given {len(values)} times")


def one(fields: Fields, name: str) -> str | None:
    """Return the value of a parameter that comes at most once."""
    return fields[name][0] if name in fields else None


def choice(fields: Fields, name: str, words: Collection[str], default: str) -> str:
    """Return a parameter that must be one of these words.

    Raises:
        ApiError: it is another one.
    """
    word = one(fields, name)
    if word is not None and word not in words:
        raise bad_parameter(f"{name}: expected one of {', '.join(sorted(words))}")
    return default if word is None else word


def number(fields: Fields, name: str, lowest: int, highest: int, default: int) -> int:
    """Return a parameter that must be a whole number within these bounds.

    Raises:
        ApiError: it is not.
    """
    text = one(fields, name)
    if text is None:
        return default
    if not re.fullmatch(r"[0-9]{1,9}", text) or not lowest <= int(text) <= highest:
        raise bad_parameter(f"{name}: expected a whole number from {lowest} to {highest}")
    return int(text)


def web_address(fields: Fields, name: str, code: int) -> str | None:
    """Return a parameter that must be a complete URL; its host must be a name that DNS allows, without an underscore.

    Raises:
        ApiError: with this code, if it is not.
    """
    url = one(fields, name)
    if url is None or _is_web_address(url):
        return url
    raise ApiError(code, f"{name} is not a valid URL")


def _is_web_address(url: str) -> bool:
    if len(url) > _URL_LIMIT or not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    is_name = host is not None and all(_LABEL.fullmatch(label) for label in host.split("."))
    return parts.scheme in {"http", "https"} and is_name
