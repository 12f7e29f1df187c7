"""Examine a database of any engine for the doctor, and find rows that no program of ours could have left."""

from datetime import datetime
from functools import partial
from typing import Final

from attrs import frozen

from reminderd.core.changes import Backlog
from reminderd.core.model import Status
from reminderd.core.phone import Numbering, is_e164
from reminderd.core.server_diagnosis import ServerFacts
from reminderd.store.connection import Connection, snapshot
from reminderd.store.outcome_changes import delivery_backlog
from reminderd.store.queries import uncallable
from reminderd.store.rows import sql_list
from reminderd.store.shared_state import real_provider, unreached_since

_SHOWN_DIGITS: Final = 2
_NOBODY_LOOKS_AT: Final = f"""
SELECT id FROM reminders
 WHERE status IN {sql_list(one for one in Status if not one.final)} AND wake_at IS NULL AND NOT EXISTS (
       SELECT 1 FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
        WHERE m.reminder_id = reminders.id AND m.deleted = 0 AND c.wake_at IS NOT NULL)
"""
_NOT_PLANNED: Final = """
SELECT id FROM appointments
 WHERE status = 'booked' AND wake_at IS NULL AND (planned_at IS NULL OR planned_at <> at) AND phone_number <> ''
"""


@frozen(kw_only=True)
class Examination:
    """The result of an examination."""

    version: int
    """The schema's version; 0 for an empty database."""
    newest: int
    """The newest version that this program knows."""
    mistakes: list[str] | None
    """The errors of the database and its rows; None if there was not enough time to read everything."""
    uncallable: dict[str, int]
    """How many waiting reminders can't be called, by reason; not examined in a damaged or old database."""
    provider: str | None = None
    """The real provider with which the database was last opened; None if there is none, or it is damaged or old."""
    unreached_since: datetime | None = None
    """Since when the provider does not reach our address; None if it does, or the database is damaged or old."""
    unsent: Backlog | None = None
    """What `[results].url` has not received, if it is set; None if the database is damaged or old."""
    wal_bytes: int = 0
    """The size of SQLite's write-ahead log, with commits that are not in the main file yet; 0 on a server."""
    server: ServerFacts | None = None
    """What can be seen of the server; None if the database is a file."""


def examination(
    connection: Connection, *, version: int, newest: int, mistakes: list[str] | None, numbering: Numbering
) -> Examination:
    """Return an examination with what the rows show, if they can be read; for the arguments, see `Examination`."""
    if version < newest or mistakes:
        return Examination(version=version, newest=newest, mistakes=mistakes, uncallable={})
    return Examination(
        version=version,
        newest=newest,
        mistakes=mistakes,
        uncallable=snapshot(connection, partial(uncallable, numbering=numbering)),
        provider=snapshot(connection, real_provider),
        unreached_since=snapshot(connection, unreached_since),
        unsent=snapshot(connection, delivery_backlog),
    )


def broken_promises(connection: Connection) -> list[str]:
    """Return a sentence for each row that no program of ours could have left like this.

    A row that only waits to be checked is not one of them, however long nobody has claimed: in a pause, or without a
    daemon, a final reminder keeps its `wake_at`, and a call its lease.
    """
    unplanned = [row["id"] for row in connection.execute(_NOT_PLANNED).fetchall()]
    unseen = [row["id"] for row in connection.execute(_NOBODY_LOOKS_AT).fetchall()]
    listed = [row["phone_number"] for row in connection.execute("SELECT phone_number FROM opt_outs").fetchall()]
    return [
        *(f"a waiting reminder has no wake_at: {reminder_id}" for reminder_id in unseen),
        *(f"an appointment is not planned for its time, and has no wake_at: {one}" for one in unplanned),
        *(
            f"opt_outs: a number that ends in {number[-_SHOWN_DIGITS:]!r} is not E.164, so it stops no call;"
            " correct it with an UPDATE, or delete it and run reminderd opt-out add"
            for number in listed
            if not is_e164(number)
        ),
    ]
