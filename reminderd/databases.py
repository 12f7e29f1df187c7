"""Read the URL of the database, an SQLite file or a database on a PostgreSQL server, and reject a wrong URL.

As everywhere in the configuration, an error repeats no part of the wrong value, as that may be the password.
"""

import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

from attrs import field, frozen

from reminderd.validators import did_you_mean, is_this_machine, path_error

EXPECTED: Final = "sqlite:///file.db, sqlite:////absolute/file.db or postgresql://user:password@host/database"

_SQLITE: Final = "sqlite:///"
_POSTGRES: Final = re.compile(r"postgres(?:ql)?://")
_WITH_A_DRIVER: Final = re.compile(r"postgres(?:ql)?\+[a-z0-9_]+://")
_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^\[\]:]*)(?::(?P<port>[0-9]{1,5}))?")
_WITH_PASSWORD: Final = re.compile(r"://[^/@]*:[^@]+@|[?&](?:ssl)?password=[^&]")

_PARAMETERS: Final = frozenset(
    {
        "host", "hostaddr", "port", "user", "password", "passfile",
        "sslmode", "sslnegotiation", "sslrootcert", "sslcert", "sslkey", "sslpassword", "sslcrl", "sslcrldir", "sslsni",
        "sslcompression", "ssl_min_protocol_version", "ssl_max_protocol_version",
        "channel_binding", "require_auth", "requirepeer",
        "gssencmode", "gsslib", "gssdelegation", "krbsrvname",
        "load_balance_hosts",
    }
)  # fmt: skip
"""The parameters of libpq for connection and authentication. Others may not be in the URL, as reminderd sets them."""

_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


@frozen
class SqliteFile:
    """An SQLite file on this machine."""

    path: Path

    @property
    def shown_name(self) -> str:
        """Return the name of the database for people."""
        return str(self.path)


@frozen
class PostgresServer:
    """A database on a PostgreSQL server, which several machines may use."""

    url: str = field(repr=False)
    """A URL for libpq: `postgresql://user:password@host:port/name`, with parameters."""

    @property
    def shown_name(self) -> str:
        """Return the name of the database for people: the URL without password and parameters."""
        parts = urlsplit(self.url)
        user, at, hosts = parts.netloc.rpartition("@")
        return f"postgresql://{user.partition(':')[0]}{at}{hosts}{parts.path}"


Target = SqliteFile | PostgresServer


def target_of(url: str, folder: Path) -> Target:
    """Return the database of a valid URL; a file's path is relative to `folder`, or absolute after four slashes."""
    return PostgresServer(url) if _POSTGRES.match(url) else SqliteFile(folder / unquote(url[len(_SQLITE) :]))


def contains_password(url: str) -> bool:
    """Return whether a URL, valid or not, seems to contain a password."""
    return _WITH_PASSWORD.search(url) is not None


def may_be_unencrypted(url: str) -> bool:
    """Return whether a valid URL allows an unencrypted connection to a server on another machine."""
    parts = urlsplit(url)
    parameters = dict(parse_qsl(parts.query))
    if not _POSTGRES.match(url) or parameters.get("sslmode") in {"require", "verify-ca", "verify-full"}:
        return False
    hosts = parts.netloc.rpartition("@")[2]
    for host in (parameters.get("hostaddr") or parameters.get("host") or unquote(hosts)).split(","):
        found = _HOST.fullmatch(host)
        name = host if found is None else found["name"].strip("[]")
        if name and not name.startswith("/") and not is_this_machine(name):
            return True
    return False


def url_error(text: str) -> str | None:
    """Reject a text that is not the URL of an SQLite file or of a PostgreSQL database."""
    if _POSTGRES.match(text):
        return _postgres_error(text)
    if _WITH_A_DRIVER.match(text):
        return "names a driver after a +: remove it, as reminderd has its own"
    if not text.lower().startswith("sqlite:"):
        return "is not a URL of SQLite or PostgreSQL, the databases that are supported"
    if not text.lower().startswith(_SQLITE):
        return "needs three slashes, or four before an absolute path"
    name = text[len(_SQLITE) :]
    if "?" in name or "#" in name:
        return "contains a query or a fragment (write ? in a file name as %3F, and # as %23)"
    if _BAD_ESCAPE.search(name):
        return "contains a % without two hexadecimal digits after it (write % in a file name as %25)"
    try:
        name = unquote(name, errors="strict")
    except UnicodeDecodeError:
        return "contains %-escapes that are not UTF-8"
    if name == ":memory:":
        return "is a database in memory, which would be lost at each stop"
    if not name or name.endswith("/"):
        return "names no file"
    return path_error(name)


def _postgres_error(text: str) -> str | None:
    """Reject a URL that libpq would reject, or would probably misread."""
    if " " in text or not text.isprintable():
        return "contains a space or a control character (write a space in a password as %20)"
    if "#" in text:
        return "contains a # (write # in a password as %23)"
    if _BAD_ESCAPE.search(text):
        return "contains a % without two hexadecimal digits after it (write % in a password as %25)"
    try:
        if not unquote(text, errors="strict").isprintable():
            return "contains a control character, as a %-escape"
    except UnicodeDecodeError:
        return "contains %-escapes that are not UTF-8"
    location, _, query = text.partition("://")[2].partition("?")
    authority, _, name = location.partition("/")
    if authority.count("@") > 1 or "@" in name or "/" in name:
        return "contains one @ or / too many (write @ in a password as %40, and / as %2F)"
    if ":" in authority.rpartition("@")[0].partition(":")[2]:
        return "contains one : too many (write : in a password as %3A)"
    wrong_host = _hosts_error(authority.rpartition("@")[2])
    if wrong_host is None and not name:
        return "names no database after the host and a / (write ? in a password as %3F)"
    return wrong_host or _parameters_error(query)


def _hosts_error(hosts: str) -> str | None:
    for place, host in enumerate(hosts.split(","), start=1):
        found = _HOST.fullmatch(host)
        port = None if found is None else found["port"]
        if found is None or (port is not None and not 0 < int(port) <= 65_535):
            return f"host {place} or its port is not valid (write : in a password as %3A, and an IPv6 address in [])"
    return None


def _parameters_error(query: str) -> str | None:
    seen = set()
    for place, parameter in enumerate(query.split("&") if query else (), start=1):
        name, equals, value = parameter.partition("=")
        if not equals or not value:
            return f"has no value for parameter {place} (write & in a password as %26)"
        if name not in _PARAMETERS:
            return f"has a parameter that is not supported, number {place}{did_you_mean(name, _PARAMETERS)}"
        if name == "sslmode" and value not in _SSL_MODES:
            return f"has an sslmode that is not one of {', '.join(_SSL_MODES)}"
        if name in seen:
            return f"has parameter {place} twice"
        seen.add(name)
    return None
