"""What a request to place a call asks for: the parameters of `POST Calls.json` that the sandbox plays."""

import re
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen

from reminderd.sandbox.twilio.errors import ApiError, invalid_number
from reminderd.sandbox.twilio.form import Fields, choice, expect_known, number, one, web_address

EVENTS: Final = ("initiated", "ringing", "answered", "completed")
"""What `StatusCallbackEvent` may name."""

OUR_NUMBERS: Final = tuple(f"+1202555019{last}" for last in range(10))
"""Those that the sandbox's account has bought, and calls may come from."""

_E164: Final = re.compile(r"\+[1-9][0-9]{6,14}")
_METHODS: Final = ("GET", "POST")
_DAY_SECONDS: Final = 24 * 60 * 60

_URLS: Final = {"Url": 21205, "FallbackUrl": 21205, "StatusCallback": 21609}
"""The parameters that are URLs, each with the code for one that is none."""
_METHOD_OF: Final = {"Url": "Method", "FallbackUrl": "FallbackMethod", "StatusCallback": "StatusCallbackMethod"}
_NUMBERS: Final = {
    "Timeout": (0, 600, 60),
    "TimeLimit": (1, _DAY_SECONDS, 4 * 60 * 60),
    "MachineDetectionTimeout": (3, 59, 30),
    "MachineDetectionSpeechThreshold": (1_000, 6_000, 2_400),
    "MachineDetectionSpeechEndThreshold": (500, 5_000, 1_200),
    "MachineDetectionSilenceTimeout": (2_000, 10_000, 5_000),
}
"""Lowest, highest, default. They are checked, and then change nothing: calls here go by steps."""
_KNOWN: Final = {"To", "From", "StatusCallbackEvent", "MachineDetection", *_URLS, *_METHOD_OF.values(), *_NUMBERS}


@frozen(kw_only=True)
class Webhook:
    """Where something is told or asked, and how."""

    url: str
    method: str


@frozen(kw_only=True)
class CallOrder:
    """A call that was asked for."""

    to: str
    sender: str
    """`From`."""
    answer: Webhook
    """`Url`: says what to do once somebody answers."""
    fallback: Webhook | None
    status_callback: Webhook | None
    events: frozenset[str]
    machine_detection: str
    """Empty: nobody asks who answers."""

    @property
    def attempt_id(self) -> str | None:
        """The last segment of `StatusCallback`'s path: Twilio has no other place for an id of the caller's own."""
        if self.status_callback is None:
            return None
        return urlsplit(self.status_callback.url).path.rpartition("/")[2] or None


def read_order(fields: Fields) -> CallOrder:
    """The order that these parameters make.

    Raises:
        ApiError: the first mistake, as Twilio would name it.
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
    return CallOrder(
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
    if sender not in OUR_NUMBERS:
        raise ApiError(
            21210,
            f"The source phone number provided, {sender}, is not yet verified for your account."
            f" The sandbox has bought {OUR_NUMBERS[0]} to {OUR_NUMBERS[-1]}.",
        )
    if not _E164.fullmatch(to):
        raise invalid_number(to)
    return to, sender


def _webhook(fields: Fields, name: str) -> Webhook | None:
    method = choice(fields, _METHOD_OF[name], _METHODS, "POST")
    url = web_address(fields, name, _URLS[name])
    return None if url is None else Webhook(url=url, method=method)
