"""Declare the sections on where the program runs and what it exchanges with other programs, as in `schema`.

These are the database, the ports, the folders, alerts and results, and the log. No key here changes when patients are
called.
"""

import codecs
import os
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final, Literal

from attrs import field, frozen

from reminderd import databases, validators
from reminderd.core.tables.columns import FIELDS, MAY_BE_NONE
from reminderd.core.tables.words import RowStatus, normal_header
from reminderd.databases import SqliteFile, Target
from reminderd.keys import (
    DERIVED,
    SECRET,
    choice,
    country,
    file_path,
    folder_path,
    key,
    positive,
    secret,
    sections,
    switch,
    time_of_day,
    url,
    whole_number,
)

LEAST_DAYS: Final = 8
"""The limits count the calls of a day and of a week, so a purge must not delete calls that are newer."""

_MOST_DAYS: Final = 36_500
_EVERY_ADDRESS: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - these are compared, not listened on


@frozen(kw_only=True, repr=False)
class FolderConfig:
    """A section with a folder of the clinic; without one, its part of the program is off."""

    folder: str = folder_path()
    base: Path = field(default=Path(), metadata=DERIVED)
    """The folder from which a relative path starts."""

    @property
    def path(self) -> Path | None:
        """The folder; None if none is set."""
        return self.base / self.folder if self.folder else None


@frozen(kw_only=True, repr=False)
class PortConfig:
    """A section with an address to listen on. Port 0 turns metrics and pages off; for webhooks, it is any free port."""

    host: str = key("127.0.0.1", "an IP address or a host name to listen on", validators.host_error)
    port: int = whole_number(0, 0, 65_535)

    @property
    def local_url(self) -> str | None:
        """The URL for programs on this machine; None if there is no port, or a port that is chosen at each start."""
        if not self.port:
            return None
        own = _EVERY_ADDRESS.get(self.host, self.host)
        return f"http://[{own}]:{self.port}" if ":" in own else f"http://{own}:{self.port}"


@frozen(kw_only=True, repr=False)
class DatabaseConfig:
    """Where the reminders are."""

    url: str = key("sqlite:///reminderd.db", databases.EXPECTED, databases.url_error, mark=SECRET)
    url_file: str = file_path()
    failover_is_lossless: bool = switch(default=False)
    folder: Path = field(default=Path(), metadata=DERIVED)
    """The folder from which a relative path starts."""
    state: Path = field(default=Path(), metadata=DERIVED)
    """The folder for our own files on this machine if the database is on a server."""

    @property
    def target(self) -> Target:
        """The database that is used."""
        return databases.target_of(self.url, self.folder)

    @property
    def path(self) -> Path | None:
        """The database file; None if the database is on a server."""
        target = self.target
        return target.path if isinstance(target, SqliteFile) else None

    @property
    def is_missing(self) -> bool:
        """Whether there is no database file yet; False for a server, which reports a missing database itself.

        False also if this user may not look into its folder, as opening the file then fails with the reason.
        """
        try:
            return self.path is not None and not self.path.exists()
        except PermissionError:
            return False

    @property
    def uploads(self) -> Path:
        """The folder of uploaded files: next to the database file, or to what a link points to, if there is one."""
        file = Path(os.path.realpath(self.path or self.state / "reminderd"))
        return file.with_name(f"{file.name}.uploads")


@frozen(kw_only=True, repr=False)
class WebConfig(PortConfig):
    """Where webhooks are received."""

    port: int = whole_number(4000, 0, 65_535)
    public_base_url: str = url()
    max_body_bytes: int = whole_number(1_048_576, 1_024, 64 * 1_048_576)
    trusted_proxies: tuple[str, ...] = key(
        (), 'a list of IP addresses and networks, like "127.0.0.1" and "10.0.0.0/8"', validators.networks_error
    )


@frozen(kw_only=True, repr=False)
class ApiConfig:
    """The HTTP API for the clinic's own system; without a token, it is off."""

    token: str = secret(
        f"at least {validators.API_TOKEN_LENGTH} printable ASCII characters without spaces", validators.api_token_error
    )
    token_file: str = file_path()


ENCODINGS: Final = frozenset(
    {"utf-8", "utf-16", "utf-16-le", "utf-16-be", "cp850", "cp852", "mac-roman", "mac-latin2"}
    | {f"cp125{number}" for number in range(9)}
    | {f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))}
)
"""Python's names of the encodings that a table may have, as practice software and spreadsheets write them."""


def codec_of(name: str) -> str:
    """Return Python's name of an encoding that a table may have.

    Raises:
        ValueError: The encoding is another one; the message states what is expected.
    """
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        codec = ""
    if codec not in ENCODINGS:
        raise ValueError("is unknown; expected a name like utf-8, windows-1252 or iso-8859-2")
    return codec


def _encoding_error(name: str) -> str | None:
    """Reject a name that `codec_of` rejects, with its message; accept ""."""
    if name:
        codec_of(name)
    return None


def _pattern_error(text: str) -> str | None:
    """Reject a text that is no pattern for file names."""
    if not text.strip():
        return "is empty"
    return "contains a slash or a control character" if "/" in text or not text.isprintable() else None


def _headers_error(columns: Mapping[str, str]) -> str | None:
    """Reject a header for an unknown field, and an empty header for a field that every table has."""
    for place, (column, header) in enumerate(columns.items(), start=1):
        if column not in FIELDS:
            return f"entry {place} is for an unknown column{validators.did_you_mean(column, FIELDS)}"
        if not header.strip() and column not in MAY_BE_NONE:
            return f"the header for {column} is empty"
    return None


def _status_words_error(words: Mapping[str, str]) -> str | None:
    """Reject a status word with an unknown meaning, and words that differ only in case and punctuation."""
    seen: set[str] = set()
    for place, (word, meaning) in enumerate(words.items(), start=1):
        if meaning not in set(RowStatus):
            return f"entry {place} has a meaning that is unknown{validators.did_you_mean(meaning, RowStatus)}"
        if not normal_header(word) or normal_header(word) in seen:
            return f"entry {place} is empty, or the same word as another"
        seen.add(normal_header(word))
    return None


FORMATS: Final = ("csv", "ics", "fhir", "hl7")
"""The formats that files can be imported from; `imports/formats.py` has a reader for each."""


@frozen(kw_only=True, repr=False)
class ProfileConfig:
    """How the files of one program of the clinic are read; an empty value is detected, as without a profile."""

    format: str = choice("", "", *FORMATS)
    files: str = key("*", 'a pattern for names of files, like "appointments*.csv"', _pattern_error)
    encoding: str = key("", 'the name of an encoding, like "windows-1252"', _encoding_error)
    dates: Literal["", "dmy", "mdy"] = choice("", "", "dmy", "mdy")
    country: str = country()
    template: str = key("", "the name of a template in [messages.templates]")
    columns: Mapping[str, str] = key(
        MappingProxyType({}),
        f'a section of columns, each with its header, like phone_number = "Mobile"; columns: {", ".join(FIELDS)}',
        _headers_error,
    )
    status: Mapping[str, str] = key(
        MappingProxyType({}),
        'a section of words, each "stands" or "over", like "Rescheduled" = "over"',
        _status_words_error,
    )
    last_line_end: bool = switch(default=True)
    snapshot_days: int = whole_number(0, 0, 400)


@frozen(kw_only=True, repr=False)
class ImportConfig(FolderConfig):
    """How files are imported, and from which folder."""

    expect_by: str = key(
        "", 'a time from "00:00" to "23:59"', lambda text: validators.start_error(text) if text else None
    )
    expect_profile: str = key("", "the name of a profile in [import.profiles]")
    profiles: Mapping[str, ProfileConfig] = sections(
        ProfileConfig,
        validators.section_name_error,
        "sections like [import.profiles.practice], with names in small letters, digits and underscores",
    )


def _alert_urls_error(urls: tuple[str, ...]) -> str | None:
    """Reject a list with a URL that Apprise does not know."""
    if not urls:
        return None
    if find_spec("apprise") is None:
        return "needs Apprise: pip install apprise"
    from apprise import Apprise  # noqa: PLC0415 - slow to import, and few need it

    def error(url: str) -> str | None:
        return None if Apprise.instantiate(url, suppress_exceptions=True) else "is not a URL that Apprise knows"

    return validators.entry_error(urls, error)


@frozen(kw_only=True, repr=False)
class AlertsConfig:
    """Who gets a message when reminders need a human, and at most how often."""

    urls: tuple[str, ...] = key(
        (),
        "Apprise URLs (see github.com/caronc/apprise), as a list or in a file, one a line",
        _alert_urls_error,
        mark=SECRET,
    )
    urls_file: str = file_path()
    every_seconds: float = positive(300.0, 86_400)


@frozen(kw_only=True, repr=False)
class ResultsConfig(FolderConfig):
    """Where changes of outcomes go; without a URL nothing is sent, and without a folder no files are written."""

    url: str = key(
        "",
        "https://host, or http:// and this machine, with or without a path, no credentials, no query",
        validators.results_url_error,
    )
    secret: str = secret(
        "whsec_ and base64 of 24 to 64 bytes, as of: echo whsec_$(openssl rand -base64 32)",
        validators.results_secret_error,
    )
    secret_file: str = file_path()
    folder: str = folder_path()
    every_minutes: int = whole_number(0, 0, 1_440)
    format: Literal["csv", "fhir", "hl7"] = choice("csv", "csv", "fhir", "hl7")
    profile: str = key("", "the name of a profile in [import.profiles]")


@frozen(kw_only=True, repr=False)
class BackupConfig(FolderConfig):
    """Daily copies of the database."""

    at: str = time_of_day("02:30")
    keep: int = whole_number(14, 1, 10_000)


def _days_error(days: int) -> str | None:
    if days == 0 or LEAST_DAYS <= days <= _MOST_DAYS:
        return None
    return "is too small" if days < LEAST_DAYS else "is too large"


@frozen(kw_only=True, repr=False)
class RetentionConfig:
    """How long the database keeps personal data, and the changes of outcomes."""

    days: int = key(0, f"0 (forever) or a whole number from {LEAST_DAYS} to {_MOST_DAYS}", _days_error)
    changes_days: int = whole_number(60, 1, _MOST_DAYS)
    at: str = time_of_day("03:30")


@frozen(kw_only=True, repr=False)
class MetricsConfig(PortConfig):
    """Where Prometheus reads metrics; without a port, there are none."""


LANGUAGES: Final = ("en", "de")
"""The languages of the front desk's pages; `desk/languages/` has a file for each except English."""


@frozen(kw_only=True, repr=False)
class DeskConfig(PortConfig):
    """The front desk's pages; without a port, there are none."""

    language: str = choice("en", *LANGUAGES)
    idle_minutes: int = whole_number(30, 1, 12 * 60)


_SIZE: Final = re.compile(r"[1-9][0-9]{0,5} ?[KMG]B")
_DURATION: Final = re.compile(r"[1-9][0-9]{0,3} ?(?:hour|day|week|month|year)s?")
_OFTEN: Final = ("hourly", "daily", "weekly", "monthly")


def _rotation_error(text: str) -> str | None:
    """Reject a text that is no supported form of loguru's rotation; accept ""."""
    if not text or text in _OFTEN or validators.start_error(text) is None:
        return None
    return None if _SIZE.fullmatch(text) or _DURATION.fullmatch(text) else "is not a size, a time of day or a duration"


def _retention_error(text: str) -> str | None:
    """Reject a text that loguru does not read as a duration; accept ""."""
    return None if not text or _DURATION.fullmatch(text) else "is not a duration"


@frozen(kw_only=True, repr=False)
class LogConfig:
    """What is logged, and to which file."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = choice("INFO", "DEBUG", "INFO", "WARNING", "ERROR")
    format: Literal["text", "json"] = choice("text", "text", "json")
    file: str = file_path()
    rotation: str = key("10 MB", 'one like "10 MB", "1 week", "daily" or "00:00"', _rotation_error)
    retention: str = key("30 days", 'one like "30 days" or "6 months"', _retention_error)
    base: Path = field(default=Path(), metadata=DERIVED)
    """The folder from which a relative path starts."""

    @property
    def path(self) -> Path | None:
        """The log file; None if the log goes only to stderr."""
        return self.base / self.file if self.file else None
