"""The protocol between the program and a voice provider: what a provider's folder offers, and what it is handed."""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final, NoReturn, Protocol, TypeAlias

from attrs import field, frozen

from reminderd.core.answers import Answer, Candidates, Capabilities, LookUpAnswer, Report
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.lifecycle.transition import Action
from reminderd.core.script.prompts import SpokenReply
from reminderd.core.script.scripts import Scripts
from reminderd.keys import KeyPath

ID_LIMIT: Final = 200
STATUS_LIMIT: Final = 50
DURATION_LIMIT: Final = 7 * 24 * 3600
"""Seconds; no call lasts a week, and a larger number is in another unit."""

UNFIT_IN_IDS: Final = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@frozen(kw_only=True)
class Placement:
    """All that a provider learns about a call that it is asked to place."""

    call_id: str
    """Our own id: the idempotency key, and `attempt_id` in the metadata."""
    reminder_id: str
    phone_number: str
    """E.164, with `+`."""
    message: str
    language: str | None = None
    """The message's, a BCP 47 tag; None: the clinic's own."""
    asked_from: datetime
    """No request for this call was sent before."""


def placement_of(action: Action) -> Placement:
    """Return what a provider learns about a claimed call."""
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
    """What a webhook is answered with."""

    status: int = 200
    body: bytes = b""
    content_type: str | None = "application/json"
    """None: the framework's own."""


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
    """What became of a report."""

    @property
    def duplicate(self) -> bool:
        """Return whether it repeats a terminal report that was recorded before."""


class SpokenPart(Protocol):
    """What is spoken next in a call; it is recorded already."""

    @property
    def reply(self) -> SpokenReply:
        """Return which parts are spoken, and which question follows them."""

    @property
    def message(self) -> str:
        """Return the message of the call's reminders."""


class Recorder(Protocol):
    """Records what webhooks say; each method returns after the commit, and happens wholly or not at all if cancelled.

    Each may raise an error for an unknown reminder, or one for a database that can't write now. Let them through: the
    web server answers 404, or 503 so that the provider sends the webhook again.
    """

    @property
    def scripts(self) -> Scripts:
        """Return what is spoken around a message, and by which voice, in each language."""

    async def report(self, report: Report) -> Recorded:
        """Record the status of a call."""

    async def pick_up(self, report: Report) -> SpokenPart:
        """Record that a call was answered, and decide what is spoken."""

    async def press(self, report: Report, key: Key) -> SpokenPart:
        """Record what a key means, and decide what is spoken."""

    async def unspoken(self, call_id: str) -> None:
        """Record, if possible, that the provider could not use our answer to the call with this id of ours."""


Answering: TypeAlias = Callable[[Webhook], Awaitable[Reply]]
"""Answers a webhook that is verified; it may raise InvalidPayloadError, RefusedWebhookError and a recorder's errors."""


@frozen(kw_only=True)
class Route:
    """One path at which a provider's webhooks arrive."""

    method: str = "POST"
    path: str
    """`<name>` stands for any one part of the path."""
    answer: Answering = field(repr=False)


class Provider(Protocol):
    """What the engine needs of a provider's client: requests, which never raise for what a network or a provider does.

    That is an answer.
    """

    @property
    def name(self) -> str:
        """Return what `call_logs.provider` says."""

    @property
    def account(self) -> str:
        """Return what `call_logs.account` says: calls of another account are never looked up."""

    @property
    def capabilities(self) -> Capabilities:
        """Return what it offers for reconciling calls."""

    async def place(self, placement: Placement) -> Answer:
        """Request one call. Ends within the provider's `timeout_seconds`, whatever the other side does."""

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
    """A provider's whole client: what its folder makes of its settings."""

    async def check_account(self) -> list[str]:
        """Return what the provider itself says is wrong, a sentence each. It only reads: no call is placed."""

    def parse(self, webhook: Webhook) -> Report:
        """Return the report in a webhook.

        Raises:
            InvalidPayloadError: it does not follow the contract; every mistake is listed.
        """


def json_object(body: bytes) -> dict[str, Any]:
    """Return the JSON object in a body; a byte order mark is skipped, and of a repeated name the last counts.

    Raises:
        InvalidPayloadError: there is none.
    """
    try:
        found = json.loads(body.decode("utf-8-sig"), parse_constant=_refuse)
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


def usable(value: object, *, limit: int = ID_LIMIT) -> bool:
    """Return whether a value can be an id or a status: text of 1 to `limit` characters, no controls, no surrogates."""
    return isinstance(value, str) and 0 < len(value) <= limit and not UNFIT_IN_IDS.search(value)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(constant)


CheckError: TypeAlias = tuple[tuple[KeyPath, ...], str]
"""An error of a cross-check: it is the first key's, and no error at all if one of the keys has an error of its own."""


@frozen(kw_only=True)
class ClientOptions:
    """What a client needs in addition to its provider's settings."""

    public_base_urls: tuple[str, ...]
    """Where the provider reaches us, the present address first; calls under way may carry an earlier one."""
    timeout: timedelta
    """For one request and its whole answer."""
    max_connections: int


@frozen(kw_only=True)
class Probe:
    """Two webhooks for the doctor to send to our own server, neither of which can be recorded."""

    path: str
    body: bytes
    signed: Mapping[str, str]
    """Headers that prove it the provider's own."""
    forged: Mapping[str, str]
    """Headers that prove nothing."""
    contains_secret: bool = False
    """Whether the headers contain the secret itself, which must go over TLS or to this machine only."""


@frozen(kw_only=True)
class ProviderSettings(ABC):
    """The section `[provider.<name>]` of a provider, and what it says about it. A provider's folder has a subclass."""

    name: ClassVar[str]
    """Its `[provider].kind`, and the name of its section."""
    chosen_by: ClassVar[str] = ""
    """The key that chooses it where `[provider].kind` is not set; empty: none does."""
    account_keys: ClassVar[tuple[str, ...]] = ()
    """The keys that say whose account it is: a secret must not go to another one."""
    reloadable_keys: ClassVar[tuple[str, ...]] = ()
    """The keys, apart from secrets, that may change while the daemon runs."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Names of environment variables that the clinic's earlier software uses, each with its key here."""
    calls_per_second: ClassVar[float] = 0.0
    """What `[provider].calls_per_second` is where it is not set; 0 sets no limit."""
    asks_what_to_say: ClassVar[bool] = False
    """Whether it asks us, at our public address, what to say once a call is answered."""
    accepts: ClassVar[str] = "it answers, and accepts our account"
    """What a check of the account proves if it finds no mistake."""

    @property
    def server(self) -> str:
        """Return the URL of its API; empty: it has none."""
        return ""

    @property
    def own_number(self) -> str:
        """Return the number that its calls come from, in E.164; empty: not known."""
        return ""

    @property
    def leaves_voicemail(self) -> bool:
        """Return whether a message is left on an answering machine."""
        return True

    def errors(self, _public_base_url: str) -> Iterator[CheckError]:
        """Cross-check the section once the provider is chosen."""
        yield from ()

    @abstractmethod
    def setup_hint(self, public_base_url: str) -> str:
        """Return what the admin must set at the provider."""

    @abstractmethod
    def client(self, options: ClientOptions) -> ProviderClient:
        """Return its client.

        Raises:
            ValueError: a setting can't be used, which only the client finds out.
        """

    @abstractmethod
    def probe(self, public_base_url: str, now: datetime) -> Probe | None:
        """Return a webhook to check the web server with; None: its webhooks are not signed."""
