"""Name the database that is used: an SQLite file, or a database on a PostgreSQL server."""

from pathlib import Path
from urllib.parse import urlsplit

from attrs import field, frozen


@frozen
class SqliteFile:
    """An SQLite file on this machine."""

    path: Path

    @property
    def spoken(self) -> str:
        """Return its name for people."""
        return str(self.path)


@frozen
class PostgresServer:
    """A database on a PostgreSQL server, which several machines may use."""

    url: str = field(repr=False)
    """A URL for libpq: `postgresql://user:password@host:port/name`, with parameters."""

    @property
    def spoken(self) -> str:
        """Return its name for people: the URL without the password and the parameters."""
        parts = urlsplit(self.url)
        user, at, hosts = parts.netloc.rpartition("@")
        return f"postgresql://{user.partition(':')[0]}{at}{hosts}{parts.path}"


Target = SqliteFile | PostgresServer
