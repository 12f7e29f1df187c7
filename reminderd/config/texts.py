"""What can be wrong with a text: URLs, file names, times of day, time zones, secrets, sizes of log files.

Each function says what is wrong, in words that could follow the key's name, or None. No value is repeated: a mistake is
printed, and may be pasted anywhere.
"""

import re
from base64 import b64decode
from ipaddress import ip_address
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import unquote, urlsplit

from reminderd.core.schedule.time_zones import place_zone
from reminderd.core.wrong_tokens import networks

BEARER_LENGTH: Final = 16
"""The fewest characters of a shared token."""

API_TOKEN_LENGTH: Final = 32
EXPECTED_TOKEN: Final = f"at least {API_TOKEN_LENGTH} printable ASCII characters without spaces"

WEBHOOK_KEY_BYTES: Final = range(24, 65)
"""Sizes of a signing key, from the specification at standardwebhooks.com."""

ANY_URL: Final = "https://host or http://host, with a path or without, no credentials, no query"
"""What `url_trouble` takes."""

EXPECTED_NETWORKS: Final = 'a list of IP addresses and networks, like "127.0.0.1" and "10.0.0.0/8"'
"""What `networks_trouble` takes."""

_SQLITE: Final = "sqlite:///"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/]+={0,2}")
_TIME: Final = re.compile(r"(?:([01][0-9]|2[0-3]):([0-5][0-9]))|24:00")
_SIZE: Final = re.compile(r"[1-9][0-9]{0,5} ?[KMG]B")
_SPAN: Final = re.compile(r"[1-9][0-9]{0,3} ?(?:hour|day|week|month|year)s?")
_OFTEN: Final = ("hourly", "daily", "weekly", "monthly")


def url_trouble(text: str) -> str | None:
    """Of an http or https URL without credentials, query and fragment; no value is no error."""
    if not text:
        return None
    if not text.isprintable() or " " in text:
        return "has a space or a control character in it"
    try:
        parts = urlsplit(text)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is no URL: its host or port makes no sense"
    if parts.scheme not in {"http", "https"} or not host:
        return "is no URL that starts with https:// or http:// and names a host"
    if "@" in parts.netloc:
        return "has credentials in it"
    if "?" in text or "#" in text:
        return "has a query or a fragment in it"
    return None


def needed_url_trouble(text: str) -> str | None:
    """Of an http or https URL that must be given."""
    return url_trouble(text) if text else "is empty"


def database_url_trouble(text: str) -> str | None:
    """Of the URL of a SQLite file, for which see `database_path`."""
    if not text.lower().startswith("sqlite:"):
        return "is for another database: SQLite only"
    if not text.lower().startswith(_SQLITE):
        return "needs three slashes, or four before an absolute path"
    name = text[len(_SQLITE) :]
    if "?" in name or "#" in name:
        return "has a query or a fragment in it (a ? or # in a file's name is written %3F, %23)"
    if re.search(r"%(?![0-9A-Fa-f]{2})", name):
        return "has a % without two hexadecimal digits after it (a % in a file's name is written %25)"
    try:
        name = unquote(name, errors="strict")
    except UnicodeDecodeError:
        return "has %-escapes that are not UTF-8"
    if name == ":memory:":
        return "is a database in memory, which would be lost at each stop"
    if not name or name.endswith("/"):
        return "names no file"
    return None if name.isprintable() else "has a control character in it"


def database_path(url: str) -> PurePosixPath:
    """The file that a good database URL names; three slashes before a relative path, four before an absolute one."""
    return PurePosixPath(unquote(url[len(_SQLITE) :]))


def host_trouble(text: str) -> str | None:
    """Of a name or an address to listen on."""
    if not text:
        return "is empty"
    return "has a character in it that no host has" if re.search(r"[^0-9A-Za-z.:_-]", text) else None


def shown_host(host: str) -> str:
    """A host as it may be printed: an address, or this machine. A name could be a secret in the wrong place."""
    try:
        ip_address(host.removeprefix("[").removesuffix("]"))
    except ValueError:
        return host if host == "localhost" else "the configured host"
    return host


def networks_trouble(texts: tuple[str, ...]) -> str | None:
    """Of a list of addresses and networks; an empty one is no error."""
    for place, text in enumerate(texts, start=1):
        try:
            networks([text])
        except ValueError:
            return f"has an entry, number {place}, that is neither an IP address nor a network"
    return None


def file_trouble(text: str) -> str | None:
    """Of the path of a file; no value is no error."""
    if not text.isprintable():
        return "has a control character in it"
    return "names a folder" if text.endswith("/") else None


def zone_trouble(text: str) -> str | None:
    """Of the name of a time zone; no value is no error.

    Raises:
        ValueError: it is no place's; the message says what was expected, too.
    """
    if text:
        place_zone(text)
    return None


def start_trouble(text: str) -> str | None:
    """Of the time at which the window opens; not 24:00, which is the next day's 00:00."""
    return None if _TIME.fullmatch(text) and text != "24:00" else "is no time of day"


def end_trouble(text: str) -> str | None:
    """Of the time at which the window closes."""
    return None if _TIME.fullmatch(text) else "is no time of day"


def rotation_trouble(text: str) -> str | None:
    """Of when a log file is rotated: some of the forms that loguru reads; no value is no error."""
    if not text or text in _OFTEN or start_trouble(text) is None:
        return None
    return None if _SIZE.fullmatch(text) or _SPAN.fullmatch(text) else "is no size, time or span"


def retention_trouble(text: str) -> str | None:
    """Of how long old log files are kept: a span as loguru reads it; no value is no error."""
    return None if not text or _SPAN.fullmatch(text) else "is no span of time"


def token_trouble(text: str) -> str | None:
    """Of a secret that is sent in a header; no value is no error here."""
    if not text.isascii() or not text.isprintable() or " " in text:
        return "has a character in it that can't be sent in a header"
    return None


def api_token_trouble(text: str) -> str | None:
    """Of the token with which the clinic's own system comes; no value is no error."""
    if text and len(text) < API_TOKEN_LENGTH:
        return "is too short"
    return token_trouble(text)


def bearer_trouble(token: str) -> str | None:
    """Of the token that a provider's webhooks bring."""
    if len(token) < BEARER_LENGTH:
        return f"is too short; expected at least {BEARER_LENGTH} characters"
    found = token_trouble(token)
    return None if found is None else f"{found}; expected printable ASCII characters without spaces"


def webhook_key_trouble(secret: str) -> str | None:
    """Of the key that signs webhooks: base64 with or without padding, as the standardwebhooks package decodes it.

    Unlike that package, nothing that is not base64 is skipped: the key would silently be another one.
    """
    expected = f"expected base64 of {WEBHOOK_KEY_BYTES[0]} to {WEBHOOK_KEY_BYTES[-1]} bytes, whsec_ may stand before it"
    encoded = secret.removeprefix("whsec_")
    if not _BASE64.fullmatch(encoded):
        return f"is not base64; {expected}"
    try:
        size = len(b64decode(encoded + "=="))
    except ValueError:
        return f"is cut short; {expected}"
    return None if size in WEBHOOK_KEY_BYTES else f"decodes to {size} bytes; {expected}"
