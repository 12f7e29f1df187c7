"""Secrets that are kept in files of their own."""

from pathlib import Path
from typing import Any, Final, TypeVar

from attrs import evolve

from reminderd.config.alerts import AlertsConfig, urls_trouble
from reminderd.config.given import Given
from reminderd.config.schema import SECRETS, ApiConfig, GenericConfig, KeyPath, file_of
from reminderd.config.twilio import TwilioConfig

Section = TypeVar("Section", ApiConfig, GenericConfig, TwilioConfig)

CREDENTIALS: Final = "$CREDENTIALS_DIRECTORY/"
"""Before a file's name: it lies where the supervisor lays secrets for this process alone."""


def with_secrets(section: Section, path: KeyPath, given: Given) -> Section:
    """The section at `path` with the secrets read in that its `…_file` keys name; a mistake for each that can't be."""
    for secret in SECRETS:
        if secret[:-1] != path:
            continue
        try:
            section = _with_secret(section, secret, given)
        except ValueError as error:
            given.blame(file_of(secret), str(error))
            given.wrong.add(secret)
    return section


def with_urls(alerts: AlertsConfig, given: Given) -> AlertsConfig:
    """The section with the URLs read in that its file has, one a line; a mistake if they can't be."""
    try:
        return evolve(alerts, urls=_urls_of(alerts, given))
    except ValueError as error:
        given.blame(("alerts", "urls_file"), str(error))
        return alerts


def _urls_of(alerts: AlertsConfig, given: Given) -> tuple[str, ...]:
    """The section's URLs, from its file if one is named.

    Raises:
        ValueError: what is wrong with that, and what was expected.
    """
    if not alerts.urls_file:
        return alerts.urls
    if alerts.urls:
        raise ValueError("is set together with urls; expected one of them")
    expected = "expected a file with a URL a line, as Apprise has them"
    lines = _text_in(alerts.urls_file, given, expected).splitlines()
    urls = tuple(line.strip() for line in lines if line.strip())
    found = urls_trouble(urls)
    if found is not None:
        raise ValueError(f"{found}; {expected}")
    return urls


def _with_secret(section: Section, secret: KeyPath, given: Given) -> Section:
    """The section with this secret read in, if a file is named for it.

    Raises:
        ValueError: what is wrong with that, and what was expected.
    """
    name: str = getattr(section, file_of(secret)[-1])
    if not name:
        return section
    if getattr(section, secret[-1]):
        raise ValueError(f"is set together with {secret[-1]}; expected one of them")
    read: dict[str, Any] = {secret[-1]: _text_in(name, given)}
    return evolve(section, **read)


def _place(name: str, given: Given) -> Path:
    """Where the file of this name is.

    Raises:
        ValueError: it is a credential, and there are none.
    """
    if not name.startswith(CREDENTIALS):
        return given.folder / name
    if not given.credentials:
        raise ValueError("CREDENTIALS_DIRECTORY is not set; expected a supervisor that sets it, as systemd does")
    return Path(given.credentials) / name.removeprefix(CREDENTIALS)


def _text_in(name: str, given: Given, expected: str = "expected a file with nothing but the secret in it") -> str:
    """What is in the file of this name.

    Raises:
        ValueError: it can't be had.
    """
    file = _place(name, given)
    if name.startswith(CREDENTIALS):
        expected += ", which the supervisor passes when it starts the daemon"
    # The name is not repeated: whoever takes the key for that of the secret itself has written the secret there.
    try:
        text = file.read_bytes().decode().rstrip("\r\n")
    except OSError as error:
        raise ValueError(f"the file can't be read ({error.strerror}); {expected}") from None
    except UnicodeDecodeError:
        raise ValueError(f"the file is not UTF-8; {expected}") from None
    if not text:
        raise ValueError(f"the file is empty; {expected}")
    return text
