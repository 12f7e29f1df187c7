"""What a configuration that is read again changes: some keys at once, all others at the next start."""

from typing import Final

from attrs import frozen

from reminderd.config.keys import KeyPath, file_of
from reminderd.config.paths import SECRETS, all_keys, replaced, value_at
from reminderd.config.provider_sections import PROVIDER_SECTIONS
from reminderd.config.schema import Config

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
    *(
        (("provider", kind), tuple(("provider", kind, key) for key in section.account_keys))
        for kind, section in PROVIDER_SECTIONS.items()
    ),
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
    differing = [path for path, _ in all_keys() if value_at(running, path) != value_at(wanted, path)]
    waiting = [section for section, anchors in _WAITS_FOR if any(anchor in differing for anchor in anchors)]
    at_once = tuple(path for path in differing if _lies_in(path, _LIVE) and not _lies_in(path, waiting))
    config = running
    for path in at_once:
        config = replaced(config, path, value_at(wanted, path))
    return Changes(config=config, at_once=at_once, later=tuple(path for path in differing if path not in at_once))


def _lies_in(path: KeyPath, places: "list[KeyPath] | tuple[KeyPath, ...]") -> bool:
    return any(path[: len(place)] == place for place in places)
