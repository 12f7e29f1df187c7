"""The protocol between the running program and a voice provider's client: requests, answers, webhooks."""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, NoReturn, Protocol, TypeAlias

from attrs import field, frozen

from reminderd.core.answers import Candidates, Capabilities, LookUpAnswer, PlacingAnswer, Report
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.lifecycle.transition import Action
from reminderd.core.script.prompts import SpokenReply
from reminderd.core.script.scripts import Scripts

ID_LIMIT: Final = 200
STATUS_LIMIT: Final = 50
DURATION_LIMIT: Final = 7 * 24 * 3600
"""The most seconds of a call; a larger number must be in another unit, as no call lasts a week."""

UNFIT_IN_IDS: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@frozen(kw_only=True)
class Placement:
    """Everything that a provider learns about a call that it is asked to place."""

    call_id: str
    """Our own id: the idempotency key, and `attempt_id` in the metadata."""
    reminder_id: str
    phone_number: str
    """E.164, with `+`."""
    message: str
    language: str | None = None
    """The language of the message as a BCP 47 tag; None for the clinic's own."""
    asked_from: datetime
    """No request for this call was sent before."""


def placement_of(action: Action) -> Placement:
    """Return what a provider gets to know about a claimed call."""
    return Placement(
        call_id=action.call.id,
        reminder_id=action.call.reminder_id,
        phone_number=action.call.phone_number,
        message=action.message,
        language=action.language,
        asked_from=action.call.created_at,
    )


@frozen(kw_only=True)
class Webhook:
    """A provider's request to us, as it arrived."""

    target: str
    """The raw path and query of the request."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


@frozen(kw_only=True)
class Reply:
    """The answer to a webhook."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    """None if there is no content."""
    headers: Mapping[str, str] = MappingProxyType({})
    """Other headers."""


class InvalidPayloadError(Exception):
    """A payload does not follow its contract; `details` has a sentence for each mistake."""

    def __init__(self, details: list[str]) -> None:
        super().__init__("; ".join(details))
        self.details = details


class RefusedWebhookError(Exception):
    """A webhook is refused with this HTTP status."""

    def __init__(self, status: int, error: str) -> None:
        super().__init__(error)
        self.status, self.error = status, error


class Recorded(Protocol):
    """The result of recording a report."""

    @property
    def duplicate(self) -> bool:
        """Return whether the report repeats a terminal report that was recorded before."""


class SpokenPart(Protocol):
    """What is spoken next in a call; this is already recorded."""

    @property
    def reply(self) -> SpokenReply:
        """Return which parts are spoken, and which question follows them."""

    @property
    def message(self) -> str:
        """Return the message of the call's reminders."""


class Recorder(Protocol):
    """Records what webhooks report. Each method returns after the commit; if cancelled, it records all or nothing.

    Each method may raise an error for an unknown reminder, or for a database that can't write now. Don't catch these:
    the web server answers 404, or 503 so that the provider sends the webhook again.
    """

    @property
    def scripts(self) -> Scripts:
        """Return what is spoken before and after a message, and with which voice, in each language."""

    async def report(self, report: Report) -> Recorded:
        """Record the status of a call."""

    async def pick_up(self, report: Report) -> SpokenPart:
        """Record that a call was answered, and decide what is spoken."""

    async def press(self, report: Report, key: Key) -> SpokenPart:
        """Record what a key means, and decide what is spoken."""

    async def unspoken(self, call_id: str) -> None:
        """Record, if possible, that the provider could not use our answer to the call with our id `call_id`."""


WebhookView: TypeAlias = Callable[[Webhook], Awaitable[Reply]]
"""Answers a verified webhook; may raise InvalidPayloadError, RefusedWebhookError and the errors of `Recorder`."""


@frozen(kw_only=True)
class Route:
    """One path at which a provider's webhooks arrive."""

    method: str = "POST"
    path: str
    """The path, in which `<name>` matches any single part."""
    view: WebhookView = field(repr=False)


class Provider(Protocol):
    """What the engine needs of a provider's client.

    A request never raises an error because of the network or the provider; it returns an answer that describes the
    error.
    """

    @property
    def name(self) -> str:
        """Return the value of `call_logs.provider`."""

    @property
    def account(self) -> str:
        """Return the value of `call_logs.account`; calls of another account are never looked up."""

    @property
    def capabilities(self) -> Capabilities:
        """Return what the provider offers for reconciling calls."""

    async def place(self, placement: Placement) -> PlacingAnswer:
        """Request one call. This ends within `[provider].timeout_seconds`, whatever the other side does."""

    async def fetch(self, external_call_id: str) -> LookUpAnswer:
        """Look up the call with the provider's own id. Only with `capabilities.look_up`."""

    async def find(self, placement: Placement) -> LookUpAnswer | Candidates:
        """Look up the call that carries our `call_id`. Only with `capabilities.look_up`."""

    async def drop(self, external_call_id: str) -> LookUpAnswer:
        """Drop a call that nobody has answered, and return its state then. Only with `capabilities.drop`."""

    async def aclose(self) -> None:
        """Close its connections."""


class WebhookProvider(Protocol):
    """What the web server needs of a provider's client."""

    @property
    def forged_status(self) -> int:
        """Return the HTTP status that answers a webhook which is not the provider's own."""

    def verified(self, webhook: Webhook) -> bool:
        """Return whether a webhook is the provider's own."""

    def routes(self, recorder: Recorder) -> Sequence[Route]:
        """Return where its webhooks arrive."""


class ProviderClient(Provider, WebhookProvider, Protocol):
    """A provider's whole client, which `ProviderSettings.client` makes."""

    async def check_account(self) -> list[str]:
        """Return a sentence for each error that the provider reports. This only reads, and places no call."""

    def parse(self, webhook: Webhook) -> Report:
        """Return the report in a webhook.

        Raises:
            InvalidPayloadError: the webhook does not follow the contract; every mistake is listed.
        """


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; skip a byte order mark, and use the last value of a repeated name.

    Raises:
        InvalidPayloadError: the body is no JSON object.
    """
    try:
        found = _JSON.decode(body.decode().removeprefix("\ufeff"))
    except (ValueError, RecursionError):  # also: not UTF-8, NaN, a number too long to be one, a thousand brackets
        raise InvalidPayloadError(["body: not JSON; expected a JSON object in UTF-8"]) from None
    if not isinstance(found, dict):
        raise InvalidPayloadError([f"body: {json_type(found)}; expected a JSON object"])
    return found


def json_type(value: object) -> str:
    """Return the type of a JSON value, as a mistake names it."""
    match value:
        case None:
            return "missing"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "text"
        case list():
            return "a list"
        case _:
            return "an object"


def is_usable(value: object, *, limit: int = ID_LIMIT) -> bool:
    """Return whether a value can be an id or a status: text of 1 to `limit` characters, no controls, no surrogates."""
    return isinstance(value, str) and 0 < len(value) <= limit and not UNFIT_IN_IDS.search(value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


_JSON: Final = json.JSONDecoder(parse_constant=_refuse)  # made once: `json.loads` would make one for each body
