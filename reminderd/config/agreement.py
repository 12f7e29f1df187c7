"""What keys must agree on with one another."""

import os
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from reminderd.config import texts
from reminderd.config.calling import DAYS
from reminderd.config.clinic_rules import numbering_of
from reminderd.config.given import Given, variable_of
from reminderd.config.sections import SECRETS, Config, KeyPath, file_of
from reminderd.core.schedule.calling_hours import WHOLE_DAY
from reminderd.core.schedule.time_zones import EXPECTED
from reminderd.files import companions

_REQUESTS_IN_A_LEASE: Final = 2
"""One that runs into its timeout, and as much again for the last look and the settle."""

_KIND: Final = ("provider", "kind")
_API_URL: Final = ("provider", "generic", "api_url")
_API_KEY: Final = ("provider", "generic", "api_key")
_WEBHOOK_AUTH: Final = ("provider", "generic", "webhook_auth")
_WEBHOOK_SECRET: Final = ("provider", "generic", "webhook_secret")
_ACCOUNT_SID: Final = ("provider", "twilio", "account_sid")
_AUTH_TOKEN: Final = ("provider", "twilio", "auth_token")
_FROM_NUMBER: Final = ("provider", "twilio", "from_number")
_TIMEZONE: Final = ("calling", "timezone")
_USE_THE_TIMEZONE: Final[tuple[KeyPath, ...]] = (
    *(("calling", name) for name in ("start", "end", "days", "holidays")),
    *(("calling", "hours", day) for day in DAYS),
    *(("limits", name) for name in ("answered_per_day", "answered_per_week")),
    ("messages", "templates"),
)
_PUBLIC_BASE_URL: Final = ("web", "public_base_url")
_METRICS_PORT: Final = ("metrics", "port")
_WEB_PORT: Final = ("web", "port")


def _lease(config: Config) -> str | None:
    least = _REQUESTS_IN_A_LEASE * config.provider.timeout_seconds
    if config.worker.lease_seconds >= least:
        return None
    return f"is too small; expected at least {least:g}, twice [provider].timeout_seconds"


def _backoff(config: Config) -> str | None:
    least = config.retry.first_delay_seconds
    if config.retry.max_delay_seconds >= least:
        return None
    return f"is too small; expected at least {least:g}, as [retry].first_delay_seconds"


def _allowed_countries(config: Config) -> str | None:
    country, allowed = config.clinic.country, numbering_of(config).countries
    if not country or country in allowed:
        return None
    return f"leaves out {country}, the clinic's own; expected it in the list, too"


def _window(config: Config) -> str | None:
    if config.calling.start != config.calling.end:
        return None
    return 'is the same as start; expected another time, or start = "00:00" and end = "24:00" for the whole day'


def _timezone(config: Config) -> str | None:
    calling, limits = config.calling, config.limits
    uses = {
        "the calling hours": any(spans != WHOLE_DAY for spans in calling.window.week),
        "the holidays": bool(calling.holidays),
        "[limits]": bool(limits.answered_per_day or limits.answered_per_week),
        "[messages.templates] with {date} or {time}": any(
            "{date}" in text or "{time}" in text for text in config.messages.templates.values()
        ),
    }
    found = [use for use, is_used in uses.items() if is_used]
    if calling.timezone or not found:
        return None
    return f"is missing, but needed for {' and '.join(found)}; {EXPECTED}"


def _some_day(config: Config) -> str | None:
    if any(config.calling.window.week):
        return None
    return "leaves no day with calling hours; expected one that [calling.hours] does not close"


def _api_url(config: Config) -> str | None:
    if config.provider.kind != "generic" or config.provider.generic.api_url:
        return None
    return "is missing; expected the URL of the provider's interface, to which /calls is added"


def _api_key(config: Config) -> str | None:
    if config.provider.kind != "generic" or config.provider.generic.api_key:
        return None
    return _missing(_API_KEY)


def _webhook_secret(config: Config) -> str | None:
    generic = config.provider.generic
    if config.provider.kind != "generic" or generic.webhook_auth == "none":
        return None
    if not generic.webhook_secret:
        return _missing(_WEBHOOK_SECRET)
    if generic.webhook_auth == "bearer":
        return texts.bearer_trouble(generic.webhook_secret)
    return texts.webhook_key_trouble(generic.webhook_secret)


def _account_sid(config: Config) -> str | None:
    if config.provider.kind != "twilio" or config.provider.twilio.account_sid:
        return None
    return "is missing; expected the account SID from Twilio's console"


def _auth_token(config: Config) -> str | None:
    if config.provider.kind != "twilio" or config.provider.twilio.auth_token:
        return None
    return _missing(_AUTH_TOKEN)


def _from_number(config: Config) -> str | None:
    if config.provider.kind != "twilio" or config.provider.twilio.from_number:
        return None
    return "is missing; expected a number of yours at Twilio, which patients will see"


def _public_base_url(config: Config) -> str | None:
    url = config.web.public_base_url
    if config.provider.kind != "twilio":
        return None
    expected = "expected the https:// address at which Twilio reaches this server"
    if not url:
        return f"is missing; {expected}"
    if "_" in (urlsplit(url).hostname or ""):
        return f"has an underscore in its host's name, which Twilio does not take; {expected}"
    return None


def _metrics_port(config: Config) -> str | None:
    if not config.metrics.port or config.metrics.port != config.web.port:
        return None
    return "is [web].port, which the world may reach; expected a port of its own, or 0 for no metrics"


def _log_file(config: Config) -> str | None:
    log = config.log.path
    if log is None:
        return None
    used = companions(config.database.path, "[database].url, or SQLite's file next to it")
    if config.path is not None:
        used[config.path] = "this configuration"
    found = next((use for file, use in used.items() if os.path.realpath(file) == os.path.realpath(log)), None)
    return None if found is None else f"is {found}; expected a file of its own"


def _missing(secret: KeyPath) -> str:
    file, variable = file_of(secret)[-1], variable_of(secret)
    return f"is missing; expected the secret here, in a file that {file} names, or in {variable}"


_RULES: Final[tuple[tuple[Callable[[Config], str | None], tuple[KeyPath, ...]], ...]] = (
    (_lease, (("worker", "lease_seconds"), ("provider", "timeout_seconds"))),
    (_backoff, (("retry", "max_delay_seconds"), ("retry", "first_delay_seconds"))),
    (_allowed_countries, (("clinic", "allowed_countries"), ("clinic", "country"))),
    (_window, (("calling", "end"), ("calling", "start"))),
    (_timezone, (_TIMEZONE, *_USE_THE_TIMEZONE)),
    (_some_day, (("calling", "days"), *(("calling", "hours", day) for day in DAYS))),
    (_api_url, (_API_URL, _KIND)),
    (_api_key, (_API_KEY, _KIND)),
    (_webhook_secret, (_WEBHOOK_SECRET, _WEBHOOK_AUTH, _KIND)),
    (_account_sid, (_ACCOUNT_SID, _KIND)),
    (_auth_token, (_AUTH_TOKEN, _KIND)),
    (_from_number, (_FROM_NUMBER, _KIND)),
    (_public_base_url, (_PUBLIC_BASE_URL, _KIND)),
    (_metrics_port, (_METRICS_PORT, _WEB_PORT)),
    (_log_file, (("log", "file"), ("database", "url"))),
)
"""Each rule, and its keys: a mistake is the first one's, and none is looked for if one of them is wrong by itself."""


def blame_disagreements(config: Config, given: Given) -> None:
    """Note a mistake for each rule that does not hold."""
    for trouble, keys in _RULES:
        found = None if given.wrong.intersection(keys) else trouble(config)
        if found is None:
            continue
        file = file_of(keys[0])
        given.blame(file if keys[0] in SECRETS and given.get(file) is not None else keys[0], found)
