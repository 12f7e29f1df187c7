"""The sections of the configuration and their keys, each with its default and what it takes.

An attribute is a key of the same name unless it is marked as derived. `config.example.toml` explains them to admins.
"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias

from attrs import Attribute, field, fields, frozen, has

from reminderd.config import validators
from reminderd.config.alerts import AlertsConfig
from reminderd.config.calling import CallingConfig, LimitsConfig, RedialConfig
from reminderd.config.clinic import ClinicConfig
from reminderd.config.keys import DERIVED, choice, key, number, positive, switch, whole
from reminderd.config.messages import MessagesConfig
from reminderd.config.twilio import TwilioConfig
from reminderd.config.upkeep import BackupConfig, RetentionConfig

KeyPath: TypeAlias = tuple[str, ...]
"""A key within its section, or a section: `("provider", "generic", "api_key")`."""

SECRETS: Final[tuple[KeyPath, ...]] = (
    ("provider", "generic", "api_key"),
    ("provider", "generic", "webhook_secret"),
    ("provider", "twilio", "auth_token"),
    ("provider", "twilio", "secondary_auth_token"),
    ("api", "token"),
)
"""The keys that may be given as a file, too: see `file_of`."""

_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - not listened on: one of them is asked instead

_DAY: Final = 86_400
_YEAR: Final = 365 * _DAY


def _without_last_slash(url: str) -> str:
    return url.rstrip("/")


@frozen(kw_only=True)
class DatabaseConfig:
    """Where the reminders are."""

    url: str = key(
        "sqlite:///reminderd.db", "sqlite:///file.db or sqlite:////absolute/file.db", validators.database_url_trouble
    )
    folder: Path = field(default=Path(), metadata=DERIVED)
    """What a relative path is relative to."""

    @property
    def path(self) -> Path:
        """The database file."""
        return self.folder / validators.database_path(self.url)


@frozen(kw_only=True)
class WorkerConfig:
    """How due reminders are worked off."""

    poll_interval_seconds: float = positive(60.0, _DAY)
    dialers: int = whole(8, 1, 1000)
    lease_seconds: float = positive(60.0, _DAY)
    outcome_timeout_seconds: float = positive(900.0, _YEAR)
    confirm_after_seconds: float = positive(120.0, _DAY)
    when_unsure: Literal["ask_staff", "ring_again"] = choice("ask_staff", "ask_staff", "ring_again")

    @property
    def lease(self) -> timedelta:
        """How long a claim holds a row."""
        return timedelta(seconds=self.lease_seconds)


@frozen(kw_only=True)
class WebConfig:
    """Where webhooks are taken."""

    host: str = key("127.0.0.1", "an IP address or a host name to listen on", validators.host_trouble)
    port: int = whole(4000, 0, 65_535)
    public_base_url: str = key("", validators.ANY_URL, validators.url_trouble, converter=_without_last_slash)
    max_body_bytes: int = whole(1_048_576, 1_024, 64 * 1_048_576)
    trusted_proxies: tuple[str, ...] = key((), validators.EXPECTED_NETWORKS, validators.networks_trouble)

    @property
    def local_url(self) -> str | None:
        """Where this machine's own programs reach it; None: at a port that is chosen at each start."""
        if not self.port:
            return None
        host = _EVERY_ADDRESS.get(self.host, self.host)
        return f"http://[{host}]:{self.port}" if ":" in host else f"http://{host}:{self.port}"


@frozen(kw_only=True)
class GenericConfig:
    """A provider that speaks the generic contract. A text left empty is not given."""

    api_url: str = key("", validators.ANY_URL, validators.url_trouble, converter=_without_last_slash)
    api_key: str = key("", "printable ASCII characters without spaces", validators.token_trouble, secret=True)
    api_key_file: str = key("", "the path of a file", validators.file_trouble)
    webhook_auth: Literal["standard-webhooks", "bearer", "none"] = choice(
        "standard-webhooks", "standard-webhooks", "bearer", "none"
    )
    webhook_secret: str = key("", "text", secret=True)
    webhook_secret_file: str = key("", "the path of a file", validators.file_trouble)
    honours_idempotency_key: bool = switch(default=False)
    idempotency_key_seconds: float = positive(82_800.0, _YEAR)
    look_up: bool = switch(default=False)


@frozen(kw_only=True)
class ProviderConfig:
    """Who places the calls."""

    kind: Literal["sandbox", "generic", "twilio"] = choice("sandbox", "sandbox", "generic", "twilio")
    timeout_seconds: float = positive(20.0, 600)
    calls_per_second: float = number(0.0, 0, 1000)
    """0 sets no limit; Twilio has one of its own where none is given."""
    generic: GenericConfig = field(factory=GenericConfig)
    twilio: TwilioConfig = field(factory=TwilioConfig)
    is_stated: bool = field(default=False, metadata=DERIVED)
    """Whether somebody said who it is, by `kind` or by a provider's own keys; else it is the sandbox by default."""


@frozen(kw_only=True)
class RetryConfig:
    """Requests again for a call that was certainly not placed."""

    first_delay_seconds: float = positive(1.0, _DAY)
    max_delay_seconds: float = positive(300.0, _DAY)
    max_tries: int = whole(20, 1, 1000)


@frozen(kw_only=True)
class ApiConfig:
    """Where the clinic's own system hands reminders in. Without a token it is not there."""

    token: str = key("", validators.EXPECTED_TOKEN, validators.api_token_trouble, secret=True)
    token_file: str = key("", "the path of a file", validators.file_trouble)


@frozen(kw_only=True)
class MetricsConfig:
    """Where Prometheus may ask. Without a port it is not there."""

    host: str = key("127.0.0.1", "an IP address or a host name to listen on", validators.host_trouble)
    port: int = whole(0, 0, 65_535)
    """0: no metrics."""


@frozen(kw_only=True)
class LogConfig:
    """What is told, and where."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = choice("INFO", "DEBUG", "INFO", "WARNING", "ERROR")
    format: Literal["text", "json"] = choice("text", "text", "json")
    file: str = key("", "the path of a file", validators.file_trouble)
    rotation: str = key("10 MB", '"10 MB", "1 week", "daily" or "00:00", like these', validators.rotation_trouble)
    retention: str = key("30 days", '"30 days" or "6 months", like these', validators.retention_trouble)
    folder: Path = field(default=Path(), metadata=DERIVED)
    """What a relative path is relative to."""

    @property
    def path(self) -> Path | None:
        """The log file; None: only to stderr."""
        return self.folder / self.file if self.file else None


@frozen(kw_only=True)
class Config:
    """The whole configuration, without a mistake in it."""

    database: DatabaseConfig = field(factory=DatabaseConfig)
    worker: WorkerConfig = field(factory=WorkerConfig)
    web: WebConfig = field(factory=WebConfig)
    provider: ProviderConfig = field(factory=ProviderConfig)
    retry: RetryConfig = field(factory=RetryConfig)
    redial: RedialConfig = field(factory=RedialConfig)
    clinic: ClinicConfig = field(factory=ClinicConfig)
    calling: CallingConfig = field(factory=CallingConfig)
    limits: LimitsConfig = field(factory=LimitsConfig)
    messages: MessagesConfig = field(factory=MessagesConfig)
    api: ApiConfig = field(factory=ApiConfig)
    alerts: AlertsConfig = field(factory=AlertsConfig)
    backup: BackupConfig = field(factory=BackupConfig)
    retention: RetentionConfig = field(factory=RetentionConfig)
    metrics: MetricsConfig = field(factory=MetricsConfig)
    log: LogConfig = field(factory=LogConfig)
    path: Path | None = field(default=None, metadata=DERIVED)
    """The file it was read from; None: defaults and environment alone."""


def file_of(secret: KeyPath) -> KeyPath:
    """The key that names the file in which the secret is."""
    return (*secret[:-1], f"{secret[-1]}_file")


def members(section: type) -> "list[Attribute[Any]]":
    """A section's keys, and its own sections."""
    return [attribute for attribute in fields(section) if not attribute.metadata.get("derived")]


def section_of(attribute: "Attribute[Any]") -> type | None:
    """The section that is the attribute's value; None for a key."""
    return attribute.type if attribute.type is not None and has(attribute.type) else None


def all_keys(section: type = Config, path: KeyPath = ()) -> Iterator[tuple[KeyPath, "Attribute[Any]"]]:
    """Every key there is, in its section's order."""
    for attribute in members(section):
        here = (*path, attribute.name)
        inner = section_of(attribute)
        if inner is None:
            yield here, attribute
        else:
            yield from all_keys(inner, here)


def defaults() -> Iterator[tuple[str, str, object]]:
    """Every key as (section, key, default), sections as they are headed in TOML: `provider.generic`."""
    for path, attribute in all_keys():
        yield ".".join(path[:-1]), path[-1], attribute.default
