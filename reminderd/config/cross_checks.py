"""Cross-check keys that must match each other, and warn about valid settings that may do harm."""

import os
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Final

from reminderd.config.schema import DAYS, Config, numbering_of, scripts_of
from reminderd.config.secrets import files_with_secrets
from reminderd.core.phone import territories_of
from reminderd.core.schedule.calling_hours import WHOLE_DAY
from reminderd.core.schedule.time_zones import EXPECTED, territory_of
from reminderd.core.script.preview import advice
from reminderd.databases import may_be_unencrypted
from reminderd.files import companions
from reminderd.keys import KeyPath, missing_secret
from reminderd.providers.base_settings import CheckError
from reminderd.validators import did_you_mean, is_this_machine

_REQUESTS_IN_A_LEASE: Final = 2
"""A request may take its whole timeout; the last look and the settle get as much time again."""


def cross_check(config: Config) -> Iterator[CheckError]:
    """Yield an error for each rule about several keys that the configuration breaks."""
    yield from _database(config)
    yield from _durations(config)
    yield from _place(config)
    yield from _hours(config)
    yield from _folder(config)
    yield from _reminders(config)
    yield from _profiles(config)
    yield from _languages(config)
    yield from config.provider.settings.errors(config.web.public_base_url)
    yield from _results(config)
    yield from _backup(config)
    yield from _addresses_and_files(config)


def _database(config: Config) -> Iterator[CheckError]:
    if config.database.path is None and find_spec("psycopg") is None:
        in_one_file = "the single file supports only SQLite; expected another installation: see docs/postgresql.md"
        extra = "postgresql:// needs an extra: pip install 'reminderd[postgres]'"
        yield (("database", "url"),), in_one_file if getattr(sys, "frozen", False) else extra
    if config.database.path is not None and config.database.failover_is_lossless:
        mistake = "is true, but an SQLite file has no failover; expected false"
        yield (("database", "failover_is_lossless"), ("database", "url")), mistake


def _durations(config: Config) -> Iterator[CheckError]:
    least = _REQUESTS_IN_A_LEASE * config.provider.timeout_seconds
    if config.worker.lease_seconds < least:
        keys = ("worker", "lease_seconds"), ("provider", "timeout_seconds")
        yield keys, f"is too small; expected at least {least:g}, twice [provider].timeout_seconds"
    least = config.retry.first_delay_seconds
    if config.retry.max_delay_seconds < least:
        keys = ("retry", "max_delay_seconds"), ("retry", "first_delay_seconds")
        yield keys, f"is too small; expected at least {least:g}, the value of [retry].first_delay_seconds"


def _place(config: Config) -> Iterator[CheckError]:
    country, allowed = config.clinic.country, numbering_of(config).countries
    if country and country not in allowed:
        keys = ("clinic", "allowed_countries"), ("clinic", "country")
        yield keys, f'does not include {country}, the clinic\'s own country; expected a list with "{country}" in it'


def _hours(config: Config) -> Iterator[CheckError]:
    calling, limits, messages = config.calling, config.limits, config.messages
    templates = [text for one in (messages, *messages.languages.values()) for text in one.templates.values()]
    if calling.start == calling.end:
        expected = 'expected another time, or start = "00:00" and end = "24:00" for the whole day'
        yield (("calling", "end"), ("calling", "start")), f"is the same as start; {expected}"
    uses = {
        "the calling hours": any(spans != WHOLE_DAY for spans in calling.calling_hours.week),
        "the holidays": bool(calling.holidays),
        "[reminders].before": config.reminders.is_used,
        "[limits]": bool(limits.answered_per_day or limits.answered_per_week),
        "[import].expect_by": bool(config.import_.expect_by),
        "[messages.templates] with {date} or {time}": any("{date}" in text or "{time}" in text for text in templates),
    }
    found = [use for use, is_used in uses.items() if is_used]
    if found and not calling.timezone:
        yield (("calling", "timezone"),), f"is missing, but needed for {' and '.join(found)}; {EXPECTED}"
    if not any(calling.calling_hours.week):
        keys = ("calling", "days"), *(("calling", "hours", day) for day in DAYS)
        yield keys, "leaves no day with calling hours; expected at least one day that [calling.hours] does not close"


def _folder(config: Config) -> Iterator[CheckError]:
    """Check that no file of ours is in the import folder, as imported files are moved out of it."""
    if config.import_.path is None:
        if config.import_.expect_by:
            yield (("import", "folder"), ("import", "expect_by")), "is missing; expected the folder to which files come"
        return
    used = dict.fromkeys((file.parent for file in files_with_secrets(config)), "a file with secrets")
    if config.database.path is not None:
        used[config.database.path.parent] = "the database"
    if config.log.path is not None:
        used[config.log.path.parent] = "the log"
    if config.path is not None:
        used[config.path.parent] = "this configuration"
    if config.backup.path is not None:
        used[config.backup.path] = "the backups"
    folder = os.path.realpath(config.import_.path)
    found = next((use for place, use in used.items() if os.path.realpath(place) == folder), None)
    if found is not None:
        yield (("import", "folder"),), f"is the folder of {found}; expected one to which only files to import come"


def _reminders(config: Config) -> Iterator[CheckError]:
    known = config.messages.templates
    named: dict[KeyPath, str] = {("reminders", "template"): config.reminders.template}
    named |= {("reminders", "types", name, "template"): one.template for name, one in config.reminders.types.items()}
    for path, name in named.items():
        if name and name not in known:
            expected = f"one of {', '.join(known)}" if known else "a template of this name in [messages.templates]"
            yield (path, ("messages", "templates")), f"is unknown{did_you_mean(name, known)}; expected {expected}"


def _profiles(config: Config) -> Iterator[CheckError]:
    templates, countries = config.messages.templates, numbering_of(config).countries
    for name, profile in config.import_.profiles.items():
        section = ("import", "profiles", name)
        if profile.template and profile.template not in templates:
            expected = f"expected one of {', '.join(templates)}" if templates else "expected it there"
            yield ((*section, "template"), ("messages", "templates")), f"is not in [messages.templates]; {expected}"
        if profile.format == "ics" and not profile.columns.get("phone_number"):
            keys = (*section, "columns"), (*section, "format")
            yield (
                keys,
                'has no phone_number; expected it with a property of calendars, like phone_number = "DESCRIPTION"',
            )
        if profile.country and countries and profile.country not in countries:
            places = ("clinic", "allowed_countries"), ("clinic", "country")
            mistake = "is no country that may be called"
            yield ((*section, "country"), *places), f"{mistake}; expected one of {', '.join(sorted(countries))}"
    named = {
        "results": ("profile", config.results.profile),
        "import": ("expect_profile", config.import_.expect_profile),
    }
    for section_name, (key, profile_name) in named.items():
        if profile_name and profile_name not in config.import_.profiles:
            known = ", ".join(config.import_.profiles)
            expected = f"expected one of {known}" if known else "expected it there"
            yield ((section_name, key), ("import", "profiles")), f"is not in [import.profiles]; {expected}"
    if config.import_.expect_profile and not config.import_.expect_by:
        by = ("import", "expect_by")
        yield (by, ("import", "expect_profile")), "is missing; expected the time by which a file of that profile comes"


def _languages(config: Config) -> Iterator[CheckError]:
    known = config.messages.templates
    for tag, section in config.messages.languages.items():
        for place, name in enumerate(section.templates, start=1):
            if name not in known:
                expected = f"expected one of {', '.join(known)}" if known else "expected it there, too"
                what = f"entry {place} is not in [messages.templates]{did_you_mean(name, known)}"
                yield (("messages", tag, "templates"), ("messages", "templates")), f"{what}; {expected}"


def _results(config: Config) -> Iterator[CheckError]:
    if config.results.url and not config.results.secret:
        secret = ("results", "secret")
        yield (secret, ("results", "url")), missing_secret(secret)


def _backup(config: Config) -> Iterator[CheckError]:
    if config.backup.folder and config.database.path is None:
        mistake = 'is set, but reminderd makes no backups of PostgreSQL: see docs/postgresql.md; expected ""'
        yield (("backup", "folder"), ("database", "url")), mistake


def _addresses_and_files(config: Config) -> Iterator[CheckError]:
    if config.metrics.port and config.metrics.port == config.web.port:
        mistake = "is the same as [web].port, which the internet may reach"
        yield (("metrics", "port"), ("web", "port")), f"{mistake}; expected a port of its own, or 0 for no metrics"
    others = {"[web].port, which the internet may reach": config.web.port, "[metrics].port": config.metrics.port}
    found = next((use for use, port in others.items() if port and port == config.desk.port), None)
    if found is not None:
        keys = ("desk", "port"), ("web", "port"), ("metrics", "port")
        yield keys, f"is the same as {found}; expected a port of its own, or 0 for no pages"
    if config.log.path is not None:
        file = config.database.path
        used = {} if file is None else companions(file, "the database or a file that SQLite keeps next to it")
        if config.path is not None:
            used[config.path] = "this configuration"
        log = os.path.realpath(config.log.path)
        found = next((use for file, use in used.items() if os.path.realpath(file) == log), None)
        if found is not None:
            yield (("log", "file"), ("database", "url")), f"is {found}; expected a file of its own"


def _page_warnings(config: Config) -> Iterator[str]:
    if not config.desk.port:
        return
    if not is_this_machine(config.desk.host):
        yield (
            "[desk].host is no address of this machine alone, and the pages have no encryption of their own: let nobody"
            " but a proxy with HTTPS reach that port (docs/desk.md)"
        )
    if not config.web.trusted_proxies:
        yield (
            "without a trusted proxy, who guesses passwords through one seems to be where staff are, and can delay"
            " their log-ins; set [web].trusted_proxies to the address of the proxy in front of [desk]"
        )


def config_warnings(config: Config) -> list[str]:
    """Return a sentence for the admin about each valid setting that may do harm; for the sandbox, there are none."""
    if config.provider.kind == "sandbox":
        return []
    found = list(_place_warnings(config))
    if all(spans in ((), WHOLE_DAY) for spans in config.calling.calling_hours.week):
        found.append(
            "no calling hours are set, so patients may be called at night; set start, end and days in [calling]"
        )
    if not (config.limits.answered_per_day or config.limits.answered_per_week):
        found.append("a patient with several reminders may be called several times a day; set [limits]")
    if config.metrics.port and not is_this_machine(config.metrics.host):
        found.append(
            "anybody who reaches [metrics].host can read the metrics; set it to 127.0.0.1, or put a firewall in front"
        )
    if may_be_unencrypted(config.database.url):
        what = "the connection to the database may be unencrypted, and all patients' data is sent on it"
        found.append(f"{what}; add sslmode=verify-full and sslrootcert=FILE to [database].url (docs/postgresql.md)")
    found += _page_warnings(config)
    if config.provider.settings.asks_what_to_say:  # other providers get only the message, and speak it in their own way
        scripts = scripts_of(config)
        found += advice(scripts.own)
        for tag, script in scripts.by_language.items():
            found += advice(script, f"messages.{tag}")
    for tag, section in config.messages.languages.items():
        missing = [name for name in config.messages.templates if name not in section.templates]
        if missing:
            what = f"[messages.{tag}.templates] lacks {', '.join(missing)}"
            found.append(f"{what}: what is missing there is spoken in {config.messages.language}")
    return found


def _place_warnings(config: Config) -> Iterator[str]:
    country, zone = config.clinic.country, config.calling.local_zone
    if not numbering_of(config).countries:
        yield "no country is set, so a mistyped number may reach a phone anywhere in the world; set [clinic].country"
    territory = None if zone is None or not country else territory_of(zone)
    if zone is not None and territory is not None and territory not in territories_of(country):
        yield f"the time zone {zone.key} is not in {country}; correct [calling].timezone or [clinic].country"
