"""What a configuration that is read again changes: some keys at once, all others at the next start."""

from typing import Any, Final

from attrs import evolve, frozen

from reminderd.config.sections import SECRETS, Config, KeyPath, all_keys, file_of

_LIVE: Final[tuple[KeyPath, ...]] = (
    ("clinic",),
    ("calling",),
    ("limits",),
    ("redial",),
    ("retry",),
    ("messages",),
    ("alerts",),
    ("backup",),
    ("retention",),
    *SECRETS,
    *(file_of(secret) for secret in SECRETS),
    ("provider", "generic", "webhook_auth"),
    ("provider", "calls_per_second"),
    ("web", "public_base_url"),
    ("web", "trusted_proxies"),
    ("web", "max_body_bytes"),
    ("log", "level"),
)
"""Sections and keys that may change while the daemon runs."""

_WAITS_FOR: Final[tuple[tuple[KeyPath, tuple[KeyPath, ...]], ...]] = (
    (("provider",), (("provider", "kind"),)),
    (("provider", "generic"), (("provider", "generic", "api_url"),)),
    (("provider", "twilio"), (("provider", "twilio", "account_sid"), ("provider", "twilio", "api_url"))),
)
"""Sections that wait for the next start as a whole if one of these keys changes: a secret must not go to a stranger."""


@frozen(kw_only=True)
class Changes:
    """What becomes of a configuration that was read while another one is in force."""

    config: Config
    """What holds from now on: the one in force, with every key replaced that may change now."""
    at_once: tuple[KeyPath, ...]
    """The keys in which it differs from the one that was in force."""
    later: tuple[KeyPath, ...]
    """The keys that differ, too, and wait for the next start."""


def changes(running: Config, wanted: Config) -> Changes:
    """What becomes of `wanted` while `running` is in force."""
    differing = [path for path, _ in all_keys() if _at(running, path) != _at(wanted, path)]
    waiting = [section for section, anchors in _WAITS_FOR if any(anchor in differing for anchor in anchors)]
    at_once = tuple(path for path in differing if _lies_in(path, _LIVE) and not _lies_in(path, waiting))
    config = running
    for path in at_once:
        config = _with(config, path, _at(wanted, path))
    return Changes(config=config, at_once=at_once, later=tuple(path for path in differing if path not in at_once))


def written(path: KeyPath) -> str:
    """A key as the documents and the log write it: `[provider.generic].api_key`."""
    return f"[{'.'.join(path[:-1])}].{path[-1]}"


def _lies_in(path: KeyPath, places: "list[KeyPath] | tuple[KeyPath, ...]") -> bool:
    return any(path[: len(place)] == place for place in places)


def _at(config: Config, path: KeyPath) -> object:
    found: object = config
    for name in path:
        found = getattr(found, name)
    return found


def _with(section: Any, path: KeyPath, value: object) -> Any:  # noqa: ANN401 - any section, and the same again
    name, *rest = path
    inner = _with(getattr(section, name), tuple(rest), value) if rest else value
    return evolve(section, **{name: inner})
