"""Secrets that are kept in files of their own."""

from pathlib import Path
from typing import Any

from attrs import evolve

from reminderd.config.given import Given
from reminderd.config.sections import SECRETS, GenericConfig, KeyPath, file_of


def with_secrets(generic: GenericConfig, given: Given) -> GenericConfig:
    """The section with the secrets read in that its `…_file` keys name; a mistake for each that can't be."""
    for secret in SECRETS:
        try:
            generic = _with_secret(generic, secret, given.folder)
        except ValueError as error:
            given.blame(file_of(secret), str(error))
            given.wrong.add(secret)
    return generic


def _with_secret(generic: GenericConfig, secret: KeyPath, folder: Path) -> GenericConfig:
    """The section with this secret read in, if a file is named for it.

    Raises:
        ValueError: what is wrong with that, and what was expected.
    """
    name: str = getattr(generic, file_of(secret)[-1])
    if not name:
        return generic
    if getattr(generic, secret[-1]):
        raise ValueError(f"is given, and {secret[-1]} as well; expected one of them")
    read: dict[str, Any] = {secret[-1]: _text_in(folder / name)}
    return evolve(generic, **read)


def _text_in(file: Path) -> str:
    expected = "expected a file with nothing but the secret in it"
    try:
        text = file.read_bytes().decode().rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"{file} can't be read ({error.strerror}); {expected}") from None
    except UnicodeDecodeError:
        raise ValueError(f"{file} is not UTF-8; {expected}") from None
    if not text:
        raise ValueError(f"{file} is empty; {expected}")
    return text
