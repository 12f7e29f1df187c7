"""Which files hold secrets."""

import tomllib
from pathlib import Path
from typing import Any

from reminderd.config.schema import SECRETS, Config, KeyPath, file_of

_URLS: KeyPath = ("alerts", "urls")


def files_with_secrets(config: Config) -> list[Path]:
    """The configuration file, if a secret stands in it, and every file that it names for one; some may be missing."""
    found = [] if config.path is None or not _tells_a_secret(config.path) else [config.path]
    folder = config.database.folder  # every relative path's
    for secret in (*SECRETS, _URLS):
        name = _value(config, file_of(secret))
        if name:
            found.append(folder / name)
    return found


def _tells_a_secret(file: Path) -> bool:
    """Whether a file that was read without mistakes has a secret in it, be it one that the environment overrules."""
    try:
        tree = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):  # changed under our hands
        return True
    return any(_written(tree, path) for path in (*SECRETS, _URLS))


def _written(tree: dict[str, Any], path: KeyPath) -> bool:
    found: Any = tree
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return bool(found)


def _value(config: Config, path: KeyPath) -> str:
    found: Any = config
    for name in path:
        found = getattr(found, name)
    return str(found)
