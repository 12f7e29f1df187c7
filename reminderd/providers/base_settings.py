"""The base class of every provider's section of the configuration; it imports nothing that only a client needs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from attrs import frozen

from reminderd.keys import KeyPath

if TYPE_CHECKING:  # so that commands which only read the configuration start without it
    from reminderd.providers.base import ProviderClient

CheckError: TypeAlias = tuple[tuple[KeyPath, ...], str]
"""An error of a cross-check, at the first of its keys. It is not reported if one of the keys has its own error."""


@frozen(kw_only=True)
class ClientOptions:
    """What a client needs in addition to its provider's settings."""

    public_base_urls: tuple[str, ...]
    """Where the provider reaches us, the current address first; calls under way may use an earlier one."""
    timeout: timedelta
    """For one request and its whole answer."""
    max_connections: int


@frozen(kw_only=True)
class Probe:
    """Two webhooks for the doctor to send to our own server, neither of which can be recorded."""

    path: str
    body: bytes
    signed: Mapping[str, str]
    """Headers which prove that the webhook is from the provider."""
    forged: Mapping[str, str]
    """Headers that prove nothing."""
    contains_secret: bool = False
    """Whether the headers contain the secret itself, which may be sent only over TLS or to this machine."""


@frozen(kw_only=True)
class ProviderSettings(ABC):
    """The section `[provider.<name>]`, and the facts about the provider. Each provider's folder has a subclass."""

    name: ClassVar[str]
    """The provider's `[provider].kind`, and the name of its section."""
    chosen_by: ClassVar[str] = ""
    """The key that chooses the provider if `[provider].kind` is not set; empty if no key does."""
    account_keys: ClassVar[tuple[str, ...]] = ()
    """The keys that identify the account; a secret must not be sent to another account."""
    reloadable_keys: ClassVar[tuple[str, ...]] = ()
    """The keys, apart from secrets, that may change while the daemon runs."""
    environment: ClassVar[Mapping[str, str]] = {}
    """Environment variables of the clinic's earlier software, each with the key that it sets here."""
    calls_per_second: ClassVar[float] = 0.0
    """The default of `[provider].calls_per_second`; 0 for no limit."""
    asks_what_to_say: ClassVar[bool] = False
    """Whether the provider asks us, at our public address, what to say once a call is answered."""
    accepts: ClassVar[str] = "it answers, and accepts our account"
    """What a check of the account proves if it finds no mistake, in words about the provider."""

    @property
    def server(self) -> str:
        """Return the URL of the provider's API; empty if there is none."""
        return ""

    @property
    def own_number(self) -> str:
        """Return the number that its calls come from, in E.164; empty if it is not known."""
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
    def client(self, options: ClientOptions) -> "ProviderClient":
        """Return the provider's client.

        Raises:
            ValueError: a setting can't be used, which only the client can check.
        """

    @abstractmethod
    def probe(self, public_base_url: str, now: datetime) -> Probe | None:
        """Return a webhook to check the web server with; None if the provider's webhooks are not signed."""
