"""Warnings about a configuration that has no mistakes, but risks where real patients are called."""

from collections.abc import Iterator
from ipaddress import ip_address

from reminderd.config.clinic_rules import numbering_of
from reminderd.config.clinic_wording import script_of
from reminderd.config.sections import Config
from reminderd.core.phone import territories_of
from reminderd.core.schedule.calling_hours import WHOLE_DAY
from reminderd.core.schedule.time_zones import territory_of
from reminderd.core.script.advice import advice


def risks(config: Config) -> list[str]:
    """Return a sentence for the admin about each risk; none for a provider that calls nobody."""
    if config.provider.kind == "sandbox":
        return []
    found = list(_place(config))
    if all(spans in ((), WHOLE_DAY) for spans in config.calling.window.week):
        found.append(
            "no calling hours are set, so patients may be called at night; set start, end and days in [calling]"
        )
    if not (config.limits.answered_per_day or config.limits.answered_per_week):
        found.append("a patient with several reminders may be called several times a day; set [limits]")
    if config.metrics.port and not _is_loopback(config.metrics.host):
        found.append("anybody who reaches [metrics].host can read the metrics; keep it 127.0.0.1, or behind a firewall")
    if config.provider.kind == "twilio":  # a generic provider is handed the message alone, and says it in its own way
        found += advice(script_of(config, from_number=config.provider.twilio.from_number))
    return found


def _place(config: Config) -> Iterator[str]:
    """Yield what is not known of the clinic's place, or contradicts itself."""
    country, zone = config.clinic.country, config.calling.local_zone
    if not numbering_of(config).countries:
        yield "no country is set, so a mistyped number may reach a phone anywhere in the world; set country in [clinic]"
    territory = None if zone is None or not country else territory_of(zone)
    if zone is not None and territory is not None and territory not in territories_of(country):
        yield f"the time zone {zone.key} is not in {country}; set [calling].timezone and [clinic].country"


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there; a name other than its own may be any address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
