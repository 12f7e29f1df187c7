"""The outbox of changes: what another system has not received yet, and how far each way out has come.

A change moves from `changes` into `deliveries`, in the order of the commits, and out of it once it is delivered. The
cursor in `settings` shows which were moved.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, frozen

from reminderd.core.changes import Backlog, Change, Cursor, CursorError, read_cursor
from reminderd.store.changes import change_of, changes_after, columns_of, trim_changes
from reminderd.store.rows import Connection, from_ms, in_list, to_ms

WEBHOOK: Final = "results_webhook"
"""The key in `settings` of the cursor of what was moved into `deliveries`."""
FOLDER: Final = "results_folder"
"""The key of the cursor of what is in files."""
_PLAN: Final = "results_folder_plan"
"""The key of the cursor after the file that is being written."""
_WRITTEN_AT: Final = "results_folder_at"
"""The key of the time (ms) at which a file was last due."""

MOST_QUEUED: Final = 10_000
"""So many changes wait in `deliveries`; later ones wait in `changes`."""
_BATCH: Final = 200

_CURSOR: Final = "SELECT value FROM settings WHERE key = :key"
_SET_CURSOR: Final = """
INSERT INTO settings (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value
"""
_QUEUE: Final = """
INSERT INTO deliveries (seq, subject_id, next_at) VALUES (:seq, :subject_id, :now) ON CONFLICT DO NOTHING
"""
_COUNT: Final = "SELECT count(*) FROM deliveries"
# The oldest of each subject; a time further ahead than any pause was written by a clock that was ahead.
_HEADS: Final = "d.seq IN (SELECT min(seq) FROM deliveries GROUP BY subject_id) AND d.subject_id NOT IN {busy}"
_DUE: Final = f"""
SELECT {columns_of("c")}, d.tries FROM deliveries AS d JOIN changes AS c ON c.seq = d.seq
 WHERE {_HEADS} AND (d.next_at <= :now OR d.next_at > :far) ORDER BY d.seq LIMIT :limit
"""
_NEXT: Final = f"SELECT min(d.next_at) AS next_at FROM deliveries AS d WHERE {_HEADS}"
_FAILED: Final = "UPDATE deliveries SET tries = tries + 1, next_at = :next_at, error = :error WHERE seq = :seq"
_BEHIND: Final = """
SELECT count(*) AS changes, min(at) AS oldest FROM (
    SELECT at FROM changes WHERE seq > :seq AND subject_id <> '' LIMIT :most
) AS behind
"""
_WAITING: Final = """
SELECT count(*) AS changes, min(changes.at) AS oldest FROM deliveries JOIN changes ON changes.seq = deliveries.seq
"""
_ERROR: Final = "SELECT error FROM deliveries WHERE error IS NOT NULL ORDER BY next_at DESC LIMIT 1"
_MOST_COUNTED: Final = 100_000


@frozen(kw_only=True)
class Delivery:
    """A change that is to be delivered now."""

    change: Change
    tries: int
    """How often it was tried."""


@frozen(kw_only=True)
class Progress:
    """How far a way out has come."""

    cursor: Cursor | None
    """None: nothing was delivered that way yet."""
    lost: str | None = None
    """Why it begins again at the oldest change that is kept; None: it goes on."""


def progress(connection: Connection, key: str) -> Progress:
    """Return how far a way out has come: a cursor after which nothing is missing, or none."""
    row = connection.execute(_CURSOR, {"key": key}).fetchone()
    try:
        cursor = None if row is None else read_cursor(row["value"])
        changes_after(connection, cursor=cursor, limit=1)
    except (CursorError, ValueError) as error:
        return Progress(cursor=None, lost=str(error))
    return Progress(cursor=cursor)


def set_progress(connection: Connection, _now: datetime, *, key: str, cursor: Cursor) -> None:
    """Record how far a way out has come."""
    connection.execute(_SET_CURSOR, {"key": key, "value": str(cursor)})


def has_new(connection: Connection) -> bool:
    """Return whether `queue` would move anything."""
    found = progress(connection, WEBHOOK)
    page = changes_after(connection, cursor=found.cursor, limit=1)
    return bool(page.changes) and _queued(connection) < MOST_QUEUED


def queue(connection: Connection, now: datetime) -> str | None:
    """Move the next changes into `deliveries`; return why it began again at the oldest one, or None."""
    found = progress(connection, WEBHOOK)
    page = changes_after(connection, cursor=found.cursor, limit=min(_BATCH, MOST_QUEUED - _queued(connection)))
    rows = [{"seq": one.seq, "subject_id": one.subject_id, "now": to_ms(now)} for one in page.changes]
    connection.executemany(_QUEUE, rows)
    set_progress(connection, now, key=WEBHOOK, cursor=page.cursor)
    return found.lost


def due_deliveries(
    connection: Connection, *, now: datetime, longest_pause: timedelta, busy: Sequence[str], limit: int
) -> tuple[list[Delivery], datetime | None]:
    """Return the next deliveries, one for each subject at most, and when the next one is due if there is none.

    Args:
        connection: in a transaction.
        now: the time.
        longest_pause: between two tries.
        busy: the subjects of which one is being delivered.
        limit: how many at most.
    """
    listed, parameters = in_list("busy", busy)
    others = listed if busy else "('')"
    bounds = {**parameters, "now": to_ms(now), "far": to_ms(now + longest_pause), "limit": limit}
    rows = connection.execute(_DUE.format(busy=others), bounds).fetchall()
    found = [Delivery(change=change_of(row), tries=row["tries"]) for row in rows]
    next_at = connection.execute(_NEXT.format(busy=others), parameters).fetchone()["next_at"]
    return found, None if next_at is None else from_ms(next_at)


def note_delivered(connection: Connection, _now: datetime, *, seq: int) -> None:
    """Record that a change was received."""
    connection.execute("DELETE FROM deliveries WHERE seq = :seq", {"seq": seq})


def note_failed(connection: Connection, _now: datetime, *, seq: int, next_at: datetime, error: str) -> None:
    """Record that a change was not received, why, and when to try again."""
    connection.execute(_FAILED, {"seq": seq, "next_at": to_ms(next_at), "error": error})


def hurry(connection: Connection, now: datetime) -> None:
    """Try everything that waits now: the other system receives again."""
    connection.execute("UPDATE deliveries SET next_at = :now WHERE next_at > :now", {"now": to_ms(now)})


@frozen(kw_only=True)
class PlannedFile:
    """The next file of changes."""

    after: int
    """The number of the last change in the file before; 0: there is none."""
    until: Cursor
    """Of the last change in this one."""
    written_at: datetime | None
    """When a file was last due; None: never."""
    lost: str | None = None
    """Why it begins again at the oldest change that is kept; None: it goes on."""

    @property
    def is_begun(self) -> bool:
        """Return whether there are changes to write."""
        return self.until.seq > self.after


def next_file(connection: Connection) -> PlannedFile:
    """Return the file that is being written, if a kill has interrupted that; else one without changes."""
    done, plan = progress(connection, FOLDER), progress(connection, _PLAN)
    at = connection.execute(_CURSOR, {"key": _WRITTEN_AT}).fetchone()
    after = 0 if done.cursor is None else done.cursor.seq
    until = plan.cursor if plan.cursor is not None and plan.cursor.seq > after else done.cursor or Cursor()
    written_at = None if at is None else from_ms(int(at["value"]))
    return PlannedFile(after=after, until=until, written_at=written_at, lost=done.lost)


def plan_file(connection: Connection, now: datetime, *, most: int) -> PlannedFile:
    """Plan the next file, which stays the same until it is written; it has no changes if there are no new ones."""
    planned = next_file(connection)
    if planned.is_begun:
        return planned
    cursor = None if planned.after == 0 else planned.until
    page = changes_after(connection, cursor=cursor, limit=most)
    set_progress(connection, now, key=_PLAN, cursor=page.cursor)
    connection.execute(_SET_CURSOR, {"key": _WRITTEN_AT, "value": str(to_ms(now))})
    return evolve(planned, until=page.cursor)


def note_file(connection: Connection, now: datetime, *, written: Cursor) -> None:
    """Record that the file with the changes up to this one is written."""
    set_progress(connection, now, key=FOLDER, cursor=written)


def trim(connection: Connection, now: datetime, *, before: datetime, ways: Sequence[str]) -> int:
    """Delete some of the changes from before a moment that are delivered in all of these ways; return how many."""
    cursors = [progress(connection, way).cursor or Cursor() for way in ways]
    return trim_changes(connection, now, before=before, read=min((one.seq for one in cursors), default=None))


def backlog(connection: Connection) -> Backlog:
    """Return what was not delivered by webhooks yet."""
    cursor = progress(connection, WEBHOOK).cursor
    waiting = connection.execute(_WAITING).fetchone()
    behind = connection.execute(_BEHIND, {"seq": 0 if cursor is None else cursor.seq, "most": _MOST_COUNTED}).fetchone()
    oldest = min((row["oldest"] for row in (waiting, behind) if row["oldest"] is not None), default=None)
    error = connection.execute(_ERROR).fetchone()
    return Backlog(
        waiting=waiting["changes"] + behind["changes"],
        oldest=None if oldest is None else from_ms(oldest),
        error=None if error is None else error["error"],
    )


def _queued(connection: Connection) -> int:
    return int(connection.execute(_COUNT).fetchone()[0])
