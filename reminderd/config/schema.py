"""Declare the sections of the configuration with their keys, and make the core's values from them.

Each attribute is a key of the same name unless it is marked `DERIVED`. `config.example.toml` explains the keys to
admins. The sections here have no repr, as none is ever printed: attrs would generate and compile it at every start.
"""

from collections.abc import Mapping
from datetime import time, timedelta
from functools import cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias
from zoneinfo import ZoneInfo

from attrs import asdict, evolve, field, frozen, make_class

from reminderd import validators
from reminderd.config.installation import (
    AlertsConfig,
    ApiConfig,
    BackupConfig,
    DatabaseConfig,
    DeskConfig,
    ImportConfig,
    LogConfig,
    MetricsConfig,
    ResultsConfig,
    RetentionConfig,
    WebConfig,
)
from reminderd.core.answers import Capabilities
from reminderd.core.phone import Numbering, patient_number
from reminderd.core.requests import Reading
from reminderd.core.rules import Backoff, CallPlan, ExpectedFile, Limits, Planning, Rules, type_key
from reminderd.core.schedule.cadence import EXPECTED as CADENCES
from reminderd.core.schedule.cadence import read_cadence
from reminderd.core.schedule.calling_hours import CallingHours, Spans
from reminderd.core.schedule.time_zones import Daily
from reminderd.core.script.languages import voice_tag
from reminderd.core.script.prompts import Prompt
from reminderd.core.script.scripts import PLACEHOLDERS, Script, Scripts
from reminderd.core.script.templates import TEMPLATE_PLACEHOLDERS, Templates
from reminderd.keys import (
    DERIVED,
    choice,
    choices,
    country,
    key,
    number,
    numbers,
    phone_number,
    positive,
    quoted_list,
    sections,
    switch,
    whole_number,
)
from reminderd.providers.base_settings import ProviderSettings
from reminderd.providers.generic.settings import SandboxSettings
from reminderd.providers.registry import PROVIDERS

Day: TypeAlias = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]

DAYS: Final[tuple[Day, ...]] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_DAY: Final = 86_400
_YEAR: Final = 365 * _DAY


@frozen(kw_only=True, repr=False)
class WorkerConfig:
    """How due reminders are called."""

    poll_interval_seconds: float = positive(60.0, _DAY)
    dialers: int = whole_number(8, 1, 1000)
    lease_seconds: float = positive(60.0, _DAY)
    outcome_timeout_seconds: float = positive(900.0, _YEAR)
    confirm_after_seconds: float = positive(120.0, _DAY)
    when_unsure: Literal["ask_staff", "call_again"] = choice("ask_staff", "ask_staff", "call_again")


def _kind_error(kind: str) -> None:
    """Reject a name that is no registered provider's.

    Raises:
        ValueError: The message states what is expected.
    """
    kinds = (SandboxSettings.name, *sorted(PROVIDERS))
    found = validators.word_error(kind, kinds)
    if found is not None:
        raise ValueError(f"{found}; expected one of {quoted_list(kinds)}")


@frozen(kw_only=True, repr=False)
class ProviderConfig:
    """Who places the calls. `provider_section` returns a subclass with a section for each provider."""

    kind: str = key(SandboxSettings.name, "the name of a provider", _kind_error)
    timeout_seconds: float = positive(20.0, 600)
    calls_per_second: float = number(0.0, 0, 1000)
    """The limit, or 0 for no limit; a provider may have another default."""
    is_stated: bool = field(default=False, metadata=DERIVED)
    """Whether `kind` or a provider's own key chooses the provider; otherwise it is the sandbox, the default."""

    if TYPE_CHECKING:  # only the registry knows which sections exist

        def __getattr__(self, name: str) -> Any: ...  # noqa: ANN401

    @property
    def settings(self) -> ProviderSettings:
        """The settings of the chosen provider."""
        settings: ProviderSettings = getattr(self, self.kind) if self.kind in PROVIDERS else SandboxSettings()
        return settings


def provider_section() -> type[ProviderConfig]:
    """Return the section `[provider]` with the sections of all registered providers in it."""
    return _provider_section(tuple(sorted(PROVIDERS.items())))


@cache
def _provider_section(providers: tuple[tuple[str, type[ProviderSettings]], ...]) -> type[ProviderConfig]:
    inner = {name: field(factory=settings, type=settings) for name, settings in providers}
    section: type[ProviderConfig] = make_class(
        "ProviderConfig", inner, bases=(ProviderConfig,), frozen=True, kw_only=True
    )
    return section


@frozen(kw_only=True, repr=False)
class RetryConfig:
    """When the request for a call that was certainly not placed is sent again."""

    first_delay_seconds: float = positive(1.0, _DAY)
    max_delay_seconds: float = positive(300.0, _DAY)
    max_tries: int = whole_number(20, 1, 1000)


@frozen(kw_only=True, repr=False)
class RedialConfig:
    """When a patient is called again after a busy line, no answer or a voicemail."""

    max_calls: int = whole_number(3, 1, 100)
    delay_minutes: tuple[float, ...] = numbers((15.0,), 0, _YEAR / 60)
    voicemail_is_reached: bool = switch(default=False)


@frozen(kw_only=True, repr=False)
class ClinicConfig:
    """Where the clinic is; if no country is set, it is not known."""

    country: str = country()
    allowed_countries: tuple[str, ...] = key(
        (),
        'a list of two-letter country codes (ISO 3166) like ["US", "DE"]',
        validators.countries_error,
        converter=lambda codes: tuple(map(validators.country_code, codes)),
    )


def _hours() -> str:
    return key(
        validators.AS_ALWAYS,
        '"" (as start, end and days say), "closed", or hours like "09:00-12:00, 14:00-19:00"',
        validators.hours_error,
    )


@frozen(kw_only=True, repr=False)
class HoursConfig:
    """Calling hours for single weekdays, which replace the hours of every day."""

    mon: str = _hours()
    tue: str = _hours()
    wed: str = _hours()
    thu: str = _hours()
    fri: str = _hours()
    sat: str = _hours()
    sun: str = _hours()


@frozen(kw_only=True, repr=False)
class CallingConfig:
    """The calling hours."""

    timezone: str = key("", 'the tz database\'s name of a place, like "America/New_York"', validators.zone_error)
    start: str = key("00:00", 'a time from "00:00" to "23:59"', validators.start_error)
    end: str = key("24:00", 'a time from "00:00" to "24:00"', validators.end_error)
    days: tuple[Day, ...] = choices(DAYS, *DAYS)
    holidays: tuple[str, ...] = key(
        (), 'a list of dates like "2026-04-03", or "12-25" for each year\'s', validators.holidays_error
    )
    max_lateness_minutes: float = positive(240.0, _YEAR / 60)
    group_minutes: float = number(0.0, 0.0, 24 * 60)
    hours: HoursConfig = field(factory=HoursConfig)

    @property
    def local_zone(self) -> ZoneInfo | None:
        """The clinic's time zone, in which local times are read; None if it is not set."""
        return ZoneInfo(self.timezone) if self.timezone else None

    @property
    def zone(self) -> ZoneInfo:
        """The time zone in which times are shown: the clinic's, or UTC if none is set."""
        return self.local_zone or ZoneInfo("UTC")

    @property
    def calling_hours(self) -> CallingHours:
        """The calling hours as a value of the core."""
        return CallingHours(self.zone, week=tuple(self._spans(day) for day in DAYS), holidays=frozenset(self.holidays))

    def _spans(self, day: Day) -> Spans:
        own: str = getattr(self.hours, day)
        if own != validators.AS_ALWAYS:
            return validators.spans_of(own)
        return (validators.span_of(self.start, self.end),) if day in self.days else ()


@frozen(kw_only=True, repr=False)
class LimitsConfig:
    """How often a phone number may be reached."""

    answered_per_day: int = whole_number(0, 0, 100)
    answered_per_week: int = whole_number(0, 0, 100)


def _prompt(*, with_message: bool = False) -> str:
    """Declare the text of one prompt."""
    known = tuple(name for name in PLACEHOLDERS if with_message or name != "message")
    expected = f"at most {validators.TEMPLATE_LENGTH:,} characters, with no placeholders but {_braced(known)}"
    return key("", expected, lambda text: validators.prompt_error(text, known))


def _braced(names: tuple[str, ...]) -> str:
    return ", ".join(f"{{{name}}}" for name in names)


def _clinic_name() -> str:
    return key("", f"at most {validators.CLINIC_NAME_LENGTH} characters", validators.clinic_name_error)


def _voice() -> str:
    return key("", 'a name like "Polly.Joanna-Neural"', validators.voice_error)


@frozen(kw_only=True, repr=False)
class TextsConfig:
    """The clinic's own prompts and templates in one language; an empty prompt stands for the built-in one."""

    greeting: str = _prompt()
    menu: str = _prompt()
    voicemail: str = _prompt(with_message=True)
    confirmed: str = _prompt()
    cancel_question: str = _prompt()
    cancel_requested: str = _prompt()
    opted_out: str = _prompt()
    not_needed: str = _prompt()
    unknown_key: str = _prompt()
    goodbye: str = _prompt()
    templates: Mapping[str, str] = key(
        MappingProxyType({}),
        "a section of names in small letters, digits and underscores, each with a text of at most"
        f" {validators.TEMPLATE_LENGTH:,} characters, with no placeholders but {_braced(TEMPLATE_PLACEHOLDERS)}",
        validators.templates_error,
    )


def _cadences() -> tuple[str, ...]:
    return key((), CADENCES, validators.cadences_error)


def _template_name() -> str:
    return key("", "the name of a template in [messages.templates]")


@frozen(kw_only=True, repr=False)
class AppointmentTypeConfig:
    """The calls before appointments of one type; a key that is not set has the value of [reminders]."""

    before: tuple[str, ...] = _cadences()
    template: str = _template_name()


def _types_error(types: Mapping[str, AppointmentTypeConfig]) -> str | None:
    keys = [type_key(name) for name in types]
    for place, one in enumerate(keys, start=1):
        if not one or len(one) > validators.TYPE_NAME_LENGTH:
            return f"entry {place} has a name that is not allowed"
        if one in keys[: place - 1]:
            return f"entry {place} has the name of another, as spaces and capital letters make no difference"
    return None


@frozen(kw_only=True, repr=False)
class RemindersConfig:
    """Which calls are planned before an appointment."""

    before: tuple[str, ...] = _cadences()
    template: str = _template_name()
    types: Mapping[str, AppointmentTypeConfig] = key(
        MappingProxyType({}),
        f"a section for each type of appointment, with a name of at most {validators.TYPE_NAME_LENGTH} characters",
        _types_error,
        kind=AppointmentTypeConfig,
    )

    @property
    def is_used(self) -> bool:
        """Whether any calls are planned."""
        return bool(self.before or any(one.before for one in self.types.values()))


@frozen(kw_only=True, repr=False)
class LanguageConfig(TextsConfig):
    """What patients hear in a language that is not the clinic's own."""

    clinic: str = _clinic_name()
    voice: str = _voice()


@frozen(kw_only=True, repr=False, slots=False)  # Python allows slots in only one of two bases
class CallerConfig:
    """Who calls: the clinic's name and number, and its voice."""

    clinic: str = _clinic_name()
    phone: str = phone_number()
    language: str = key("en-US", 'a BCP 47 tag like "en-US"', validators.language_error)
    voice: str = _voice()


@frozen(kw_only=True, repr=False)
class MessagesConfig(TextsConfig, CallerConfig):  # attrs lists the keys of the last base first
    """What patients hear, in the clinic's own language and in others."""

    languages: Mapping[str, LanguageConfig] = sections(
        LanguageConfig, validators.language_error, "sections like [messages.es]"
    )
    """The sections by language tag; they are written as `[messages.es]`, without the name of this key."""


@frozen(kw_only=True, repr=False)
class Config:
    """The whole configuration, without an error in it."""

    database: DatabaseConfig = field(factory=DatabaseConfig)
    worker: WorkerConfig = field(factory=WorkerConfig)
    web: WebConfig = field(factory=WebConfig)
    # A lambda, as a provider may be registered later, before a configuration is made.
    provider: ProviderConfig = field(factory=lambda: provider_section()())  # noqa: PLW0108
    retry: RetryConfig = field(factory=RetryConfig)
    redial: RedialConfig = field(factory=RedialConfig)
    clinic: ClinicConfig = field(factory=ClinicConfig)
    calling: CallingConfig = field(factory=CallingConfig)
    limits: LimitsConfig = field(factory=LimitsConfig)
    messages: MessagesConfig = field(factory=MessagesConfig)
    reminders: RemindersConfig = field(factory=RemindersConfig)
    api: ApiConfig = field(factory=ApiConfig)
    import_: ImportConfig = field(factory=ImportConfig)
    alerts: AlertsConfig = field(factory=AlertsConfig)
    results: ResultsConfig = field(factory=ResultsConfig)
    backup: BackupConfig = field(factory=BackupConfig)
    retention: RetentionConfig = field(factory=RetentionConfig)
    metrics: MetricsConfig = field(factory=MetricsConfig)
    desk: DeskConfig = field(factory=DeskConfig)
    log: LogConfig = field(factory=LogConfig)
    path: Path | None = field(default=None, metadata=DERIVED)
    """The file that was read; None if there was only the environment."""


def rules_of(
    config: Config, *, provider: str | None = None, account: str = "", capabilities: Capabilities | None = None
) -> Rules:
    """Return the rules for transitions.

    `provider` is the provider's own name, by default its kind. `capabilities` are by default none, which is enough for
    actions by staff.
    """
    per_second = config.provider.calls_per_second
    return Rules(
        lease=timedelta(seconds=config.worker.lease_seconds),
        outcome_timeout=timedelta(seconds=config.worker.outcome_timeout_seconds),
        confirm_after=timedelta(seconds=config.worker.confirm_after_seconds),
        call_again_when_unsure=config.worker.when_unsure == "call_again",
        backoff=Backoff(
            timedelta(seconds=config.retry.first_delay_seconds), timedelta(seconds=config.retry.max_delay_seconds)
        ),
        max_tries=config.retry.max_tries,
        request_spacing=timedelta(seconds=1 / per_second if per_second else 0),
        max_calls=config.redial.max_calls,
        redial_delays=tuple(timedelta(minutes=minutes) for minutes in config.redial.delay_minutes),
        calling_hours=config.calling.calling_hours,
        numbering=numbering_of(config),
        limits=Limits(per_day=config.limits.answered_per_day, per_week=config.limits.answered_per_week),
        group_within=timedelta(minutes=config.calling.group_minutes),
        max_lateness=timedelta(minutes=config.calling.max_lateness_minutes),
        planning=planning_of(config),
        voicemail_is_reached=config.redial.voicemail_is_reached,
        scripts=scripts_of(config),
        leave_voicemail=config.provider.settings.leaves_voicemail,
        provider=provider or config.provider.kind,
        account=account,
        capabilities=capabilities or Capabilities(),
    )


def with_provider(config: Config, settings: ProviderSettings) -> Config:
    """Return the configuration with this provider chosen, and with these settings as its section."""
    chosen: dict[str, Any] = {"kind": settings.name, settings.name: settings, "is_stated": True}
    return evolve(config, provider=evolve(config.provider, **chosen))


def daily_at(config: Config, at: str) -> Daily:
    """Return this time of each day in the clinic's time zone."""
    return Daily(at=time.fromisoformat(at), zone=config.calling.zone)


def expected_of(config: Config) -> ExpectedFile | None:
    """Return by when a file is expected in the folder; None if no file is expected."""
    if not config.import_.expect_by:
        return None
    by = daily_at(config, config.import_.expect_by)
    return ExpectedFile(by=by, hours=config.calling.calling_hours, profile=config.import_.expect_profile or None)


def numbering_of(config: Config) -> Numbering:
    """Return which numbers may be called, and how to read them as the clinic writes them."""
    own = {config.messages.phone, *(getattr(config.provider, name).own_number for name in PROVIDERS)} - {""}
    allowed = frozenset(config.clinic.allowed_countries)
    return Numbering(country=config.clinic.country, allowed=allowed, own=frozenset(own))


def scripts_of(config: Config) -> Scripts:
    """Return what patients hear, by language. If `[messages]` has no phone number, the caller's number is spoken."""
    messages = config.messages
    own = Script(
        clinic=messages.clinic,
        phone=messages.phone,
        from_number=config.provider.settings.own_number,
        language=messages.language,
        voice=messages.voice,
        templates=_prompts_of(messages),
    )
    others = {
        tag: evolve(
            own,
            clinic=section.clinic or messages.clinic,
            language=voice_tag(tag, near=messages.language),
            voice=section.voice,
            templates=_prompts_of(section),
            otherwise=own,
        )
        for tag, section in messages.languages.items()
    }
    return Scripts(own=own, by_language=others)


def _prompts_of(texts: TextsConfig) -> Mapping[Prompt, str]:
    by_name = asdict(texts)
    return {prompt: by_name[prompt] for prompt in Prompt if by_name.get(prompt)}


def planning_of(config: Config) -> Planning:
    """Return which calls are planned for appointments."""
    reminders = config.reminders
    default = CallPlan(before=tuple(map(read_cadence, reminders.before)), template=reminders.template)
    by_type = {
        type_key(name): CallPlan(
            before=tuple(map(read_cadence, one.before)) or default.before, template=one.template or default.template
        )
        for name, one in reminders.types.items()
    }
    return Planning(default=default, by_type=by_type, templates=templates_of(config))


def templates_of(config: Config) -> Templates:
    """Return the clinic's templates for messages."""
    messages = config.messages
    return Templates(
        by_name=messages.templates,
        by_language={tag: section.templates for tag, section in messages.languages.items()},
        scripts=scripts_of(config),
        zone=config.calling.local_zone,
        max_lateness=timedelta(minutes=config.calling.max_lateness_minutes),
    )


def reading_of(config: Config) -> Reading:
    """Return how the requests of staff and of the clinic's own system are read."""
    planning = planning_of(config)
    return Reading(
        zone=config.calling.local_zone,
        normalize=partial(patient_number, numbering=numbering_of(config)),
        templates=planning.templates,
        planning=planning,
    )
