"""The base of every provider's section of the configuration, without what only the provider's client needs."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from attrs import frozen

from reminderd.keys import KeyPath

if TYPE_CHECKING:  # so that commands which only read the configuration start without it
    from reminderd.providers.base import ProviderClient

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
    def client(self, options: ClientOptions) -> "ProviderClient":
        """Return its client.

        Raises:
            ValueError: a setting can't be used, which only the client finds out.
        """

    @abstractmethod
    def probe(self, public_base_url: str, now: datetime) -> Probe | None:
        """Return a webhook to check the web server with; None: its webhooks are not signed."""
