"""Read secrets from their own files, and list all files that contain secrets."""

import tomllib
from pathlib import Path
from typing import Any, Final

from reminderd.config.coercion import replaced, secret_keys, value_at
from reminderd.config.schema import Config
from reminderd.databases import contains_password
from reminderd.keys import KeyPath, file_of

CREDENTIALS: Final = "$CREDENTIALS_DIRECTORY/"
"""The prefix of a file's name for a file in the folder in which the supervisor passes secrets to this process alone."""

DATABASE_URL: Final = ("database", "url")
"""A secret if it contains a password; its main purpose is to name the database."""


def read(config: Config, secret: KeyPath, *, folder: Path, credentials: str, is_written: bool) -> Config:
    """Return the configuration with this secret, read from its file if a file is named; a list has one entry per line.

    Args:
        config: may name the file of the secret.
        secret: the key of the secret.
        folder: the folder from which a relative path starts.
        credentials: the folder in which the supervisor passes secrets; "" if there is none.
        is_written: whether the configuration also contains the secret itself.

    Raises:
        ValueError: The secret can't be read; the message states why and what is expected.
    """
    name: str = value_at(config, file_of(secret))
    if not name:
        return config
    if is_written:
        raise ValueError(f"is set in addition to {secret[-1]}; expected only one of the two")
    expected = "a file that contains nothing but the secret"
    if name.startswith(CREDENTIALS):
        if not credentials:
            raise ValueError("CREDENTIALS_DIRECTORY is not set; expected a supervisor that sets it, as systemd does")
        expected += ", which the supervisor passes when it starts the daemon"
        file = Path(credentials) / name.removeprefix(CREDENTIALS)
    else:
        file = folder / name
    text = _text_in(file, expected)
    if isinstance(value_at(config, secret), str):
        return replaced(config, secret, text)
    return replaced(config, secret, tuple(line.strip() for line in text.splitlines() if line.strip()))


def _text_in(file: Path, expected: str) -> str:
    # The name is not repeated: it may be the secret itself, written at the wrong key.
    try:
        text = file.read_bytes().decode().rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"the file can't be read ({error.strerror}); expected {expected}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file is not UTF-8; expected {expected}") from None
    if not text:
        raise ValueError(f"the file is empty; expected {expected}")
    return text


def files_with_secrets(config: Config) -> list[Path]:
    """Return the configuration file, if it contains a secret, and each file that it names for one, even if missing."""
    found = [] if config.path is None or not _contains_a_secret(config.path) else [config.path]
    names: list[str] = [value_at(config, file_of(secret)) for secret in secret_keys()]
    return found + [config.database.folder / name for name in names if name]  # relative paths start from it


def _contains_a_secret(file: Path) -> bool:
    """Return whether a configuration file contains a secret, even one that the environment overrides."""
    try:
        tree = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except (OSError, ValueError):  # it was readable before, so it has changed
        return True
    if contains_password(str(value_in(tree, DATABASE_URL))):
        return True
    return any(value_in(tree, path) for path in secret_keys() if path != DATABASE_URL)


def value_in(tree: dict[str, Any], path: KeyPath) -> Any:  # noqa: ANN401 - nothing is known yet of what is written
    """Return the value as it is written, a section as a dict; None if it is not set."""
    found: Any = tree
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found
