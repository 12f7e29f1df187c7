"""What a configuration that is read again changes: some keys at once, all others at the next start."""

from collections.abc import Iterator
from typing import Final

from attrs import frozen

from reminderd.config.paths import all_keys, replaced, secret_keys, value_at
from reminderd.config.schema import Config
from reminderd.keys import KeyPath, file_of
from reminderd.providers.registry import PROVIDERS

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
    ("provider", "calls_per_second"),
    ("web", "public_base_url"),
    ("web", "trusted_proxies"),
    ("web", "max_body_bytes"),
    ("log", "level"),
)
"""Sections and keys that may change while the daemon runs, besides secrets and what a provider names."""


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
    waiting = [section for section, anchors in _waits_for() if any(anchor in differing for anchor in anchors)]
    live = list(_live())
    at_once = tuple(path for path in differing if _lies_in(path, live) and not _lies_in(path, waiting))
    config = running
    for path in at_once:
        config = replaced(config, path, value_at(wanted, path))
    return Changes(config=config, at_once=at_once, later=tuple(path for path in differing if path not in at_once))


def _live() -> Iterator[KeyPath]:
    yield from _LIVE
    for secret in secret_keys():
        yield from (secret, file_of(secret))
    for name, settings in PROVIDERS.items():
        yield from (("provider", name, key) for key in settings.reloadable_keys)


def _waits_for() -> Iterator[tuple[KeyPath, tuple[KeyPath, ...]]]:
    """Yield the places that wait for the next start as a whole if one of the keys beside them changes.

    A secret must not go to a stranger. And the provider that is in force until then needs the address that fits it.
    """
    yield ("provider",), (("provider", "kind"),)
    yield ("web", "public_base_url"), (("provider", "kind"),)
    for name, settings in PROVIDERS.items():
        yield ("provider", name), tuple(("provider", name, key) for key in settings.account_keys)


def _lies_in(path: KeyPath, places: list[KeyPath]) -> bool:
    return any(path[: len(place)] == place for place in places)
