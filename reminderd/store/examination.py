"""Examine a database of any engine for the doctor."""

from datetime import datetime
from functools import partial

from attrs import frozen

from reminderd.core.changes import Backlog
from reminderd.core.phone import Numbering
from reminderd.core.server_diagnosis import ServerFacts
from reminderd.store.changes import backlog
from reminderd.store.connection import Connection, snapshot
from reminderd.store.queries import uncallable
from reminderd.store.settings import real_provider, unreached_since


@frozen(kw_only=True)
class Examination:
    """The result of an examination."""

    version: int
    """The schema's version; 0 for an empty database."""
    newest: int
    """The newest version that this program knows."""
    mistakes: list[str] | None
    """The errors of the database and its rows; None: there was not enough time to read it all."""
    uncallable: dict[str, int]
    """Why waiting reminders can't be called; not examined in a damaged or old database."""
    provider: str | None = None
    """The real provider with which it was last opened; None: none, or it is damaged or old."""
    unreached_since: datetime | None = None
    """Since when the provider does not reach our address; None: it does, or the database is damaged or old."""
    unsent: Backlog | None = None
    """What `[results].url` has not received, if it is set; None: the database is damaged or old."""
    wal_bytes: int = 0
    """The size of the file with commits that are not in the main file yet, if it is a file."""
    server: ServerFacts | None = None
    """What can be seen of the server; None: it is a file."""


def examination(
    connection: Connection, *, version: int, newest: int, mistakes: list[str] | None, numbering: Numbering
) -> Examination:
    """Return an examination with what the rows show, if they can be read.

    Args:
        connection: to the database.
        version: its schema.
        newest: the newest schema that this program knows.
        mistakes: its errors; None: they are not known.
        numbering: which numbers may be called.
    """
    if version < newest or mistakes:
        return Examination(version=version, newest=newest, mistakes=mistakes, uncallable={})
    return Examination(
        version=version,
        newest=newest,
        mistakes=mistakes,
        uncallable=snapshot(connection, partial(uncallable, numbering=numbering)),
        provider=snapshot(connection, real_provider),
        unreached_since=snapshot(connection, unreached_since),
        unsent=snapshot(connection, backlog),
    )
