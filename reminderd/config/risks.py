"""What is no mistake, and yet not to be left so where real phones ring."""

from ipaddress import ip_address

from reminderd.config.clinic_wording import wording_of
from reminderd.config.sections import Config
from reminderd.core.lint import lint
from reminderd.core.window import WHOLE_DAY


def risks(config: Config) -> list[str]:
    """A sentence for whoever runs the daemon about each of them; none for a provider that rings nobody."""
    if config.provider.kind == "sandbox":
        return []
    found = []
    if all(spans in ((), WHOLE_DAY) for spans in config.calling.window.week):
        found.append("no calling hours are set, so patients may be called at night; set [calling]")
    if not (config.limits.answered_per_day or config.limits.answered_per_week):
        found.append("a patient with several reminders may be called several times a day; set [limits]")
    if config.metrics.port and not _is_loopback(config.metrics.host):
        found.append("anybody who reaches [metrics].host can read the metrics; keep it 127.0.0.1, or behind a firewall")
    if config.provider.kind == "twilio":  # a generic provider is handed the message alone, and says it in its own way
        found += lint(wording_of(config, from_number=config.provider.twilio.from_number))
    return found


def _is_loopback(host: str) -> bool:
    """Whether only this machine can reach what listens there; a name other than its own may be any address."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
