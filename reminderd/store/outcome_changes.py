"""The changes of outcomes, in the order of their commits: pages for readers, their outbox, and their retention.

Triggers of the schema record them, in the transaction that changes an outcome. What another system has not received yet
is in the outbox: a change moves from `changes` into `deliveries`, in the order of the commits, and out of it once it is
delivered. A cursor in `settings` shows which were moved; others show how far each other way out has come.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve, frozen

from reminderd.core.changes import Backlog, Change, ChangeKind, Cursor, CursorError, check_cursor, read_cursor
from reminderd.store.connection import Connection, Row
from reminderd.store.rows import CALL_OUTCOMES, END_CODES, attribute_names, from_ms, in_list, read_as, to_ms
from reminderd.store.shared_state import moment_in, put_moment, put_setting, setting

_COMPUTED: Final = {
    "appointment_ref": "(SELECT ref FROM appointments WHERE id = {0}.appointment_id) AS appointment_ref",
    "is_done": "{0}.done AS is_done",
    "spoken": "coalesce({0}.spoken, 0) AS spoken",
}


def change_columns(alias: str) -> str:
    """Return the columns of `changes` for a SELECT that `change_of` reads."""
    return ", ".join(_COMPUTED.get(name, f"{{0}}.{name}").format(alias) for name in attribute_names(Change))


# An erased change belongs to nobody anymore.
_AFTER: Final = f"""
SELECT {change_columns("c")} FROM changes AS c WHERE c.seq > :after AND c.subject_id <> '' ORDER BY c.seq LIMIT :limit
"""
_FACTS: Final = ("phone_number", "timezone", "language", "patient_ref", "appointment_type", "name", "provider", "place")
_MOMENTS: Final = ("scheduled_at", "expires_at")
_ANSWERS: Final = f"""
SELECT {change_columns("c")}, coalesce(r.phone_number, a.phone_number) AS phone_number,
       coalesce(r.timezone, a.timezone) AS timezone, coalesce(r.language, a.language) AS language,
       a.patient_ref, a.type AS appointment_type, a.name, a.provider, a.place,
       r.scheduled_at, r.expires_at
  FROM changes AS c
  LEFT JOIN reminders AS r ON r.id = c.subject_id AND c.kind = 'reminder'
  LEFT JOIN appointments AS a ON a.id = CASE c.kind WHEN 'appointment' THEN c.subject_id ELSE c.appointment_id END
 WHERE c.seq > :after AND c.seq <= :until AND c.subject_id <> '' ORDER BY c.seq LIMIT :limit
"""
_OF_REMINDER: Final = f"""
SELECT {change_columns("c")} FROM changes AS c WHERE c.subject_id = :id AND c.kind = 'reminder' ORDER BY c.seq
"""
_NEWEST: Final = "SELECT seq FROM changes WHERE subject_id <> '' ORDER BY seq DESC LIMIT 1"
_BOUNDS: Final = """
SELECT (SELECT min(seq) FROM changes) AS oldest, (SELECT event_id FROM changes WHERE seq = :seq) AS found
"""
# The newest old change stays, so that a reader whose cursor it is knows that none is missing after it.
_TRIM: Final = """
DELETE FROM changes
 WHERE seq IN (SELECT seq FROM changes WHERE seq < :read ORDER BY seq LIMIT :limit)
   AND seq < (SELECT seq FROM changes WHERE at < :before AND seq < :read ORDER BY seq DESC LIMIT 1)
   AND seq NOT IN (SELECT seq FROM deliveries)
"""
_TRIM_BATCH: Final = 1_000
_ALL: Final = 2**62


@frozen(kw_only=True)
class NamedChange:
    """A change, with the names by which the clinic's practice software knows its subject."""

    change: Change
    facts: Mapping[str, str | datetime | None]
    """Columns of its reminder and its appointment, by the names that imports use for them."""

    @property
    def appointment_ref(self) -> str | None:
        """Return the `ref` of its appointment."""
        is_appointment = self.change.kind is ChangeKind.APPOINTMENT
        return self.change.ref if is_appointment else self.change.appointment_ref


@frozen(kw_only=True)
class Page:
    """Some changes, oldest first."""

    changes: Sequence[Change]
    cursor: Cursor
    """The cursor of a reader who has them."""


def changes_after(connection: Connection, *, cursor: Cursor | None, limit: int) -> Page:
    """Return the first changes after a cursor, or the oldest that are kept if it is None.

    Raises:
        CursorError: changes may be missing in between, or the cursor is of another database.
    """
    bounds = connection.execute(_BOUNDS, {"seq": 0 if cursor is None else cursor.seq}).fetchone()
    if cursor is not None:
        check_cursor(cursor, found=bounds["found"], oldest=bounds["oldest"])
    after = 0 if cursor is None else cursor.seq
    rows = connection.execute(_AFTER, {"after": after, "limit": limit}).fetchall()
    changes = [change_of(row) for row in rows]
    return Page(changes=changes, cursor=changes[-1].cursor if changes else cursor or Cursor())


def changes_of(connection: Connection, reminder_id: str) -> list[Change]:
    """Return the changes of a reminder's outcome that are kept, oldest first."""
    return [change_of(row) for row in connection.execute(_OF_REMINDER, {"id": reminder_id}).fetchall()]


def named_changes_between(connection: Connection, *, after: int, until: int, limit: int) -> list[NamedChange]:
    """Return the first changes after one number, up to another, with what they are about."""
    bounds = {"after": after, "until": until, "limit": limit}
    return [_answer(row) for row in connection.execute(_ANSWERS, bounds).fetchall()]


def _answer(row: Row) -> NamedChange:
    facts = {name: row[name] for name in _FACTS}
    moments = {name: None if row[name] is None else from_ms(row[name]) for name in _MOMENTS}
    change = change_of(row)
    return NamedChange(change=change, facts=facts | moments | {"appointment_at": change.appointment_at})


def newest_change(connection: Connection) -> int:
    """Return the number of the newest change that was not erased; 0 if there is none."""
    row = connection.execute(_NEWEST).fetchone()
    return 0 if row is None else int(row["seq"])


def forget_subjects(connection: Connection, ids: Sequence[str]) -> None:
    """Remove, from the changes of these reminders or appointments, what shows whose changes they were.

    The changes stay, as a reader may have one of them as its cursor.
    """
    subjects = [{"id": one} for one in ids]
    connection.executemany("DELETE FROM deliveries WHERE subject_id = :id", subjects)
    connection.executemany("UPDATE changes SET subject_id = '', ref = NULL WHERE subject_id = :id", subjects)
    connection.executemany("UPDATE changes SET appointment_id = NULL WHERE appointment_id = :id", subjects)


def change_of(row: Row) -> Change:
    """Return the change in a row with the columns of `change_columns`."""
    return read_as(
        Change,
        row,
        at=from_ms,
        appointment_at=from_ms,
        kind=ChangeKind,
        end_code=END_CODES.get,
        is_done=bool,
        call_outcome=CALL_OUTCOMES.get,
        spoken=bool,
    )


WEBHOOK: Final = "results_webhook"
"""The key in `settings` of the cursor of the changes that were moved into `deliveries`."""
FOLDER: Final = "results_folder"
"""The key of the cursor of the changes that are in files."""
_PLAN: Final = "results_folder_plan"
"""The key of the cursor after the file that is being written."""
_WRITTEN_AT: Final = "results_folder_at"
"""The key of the time (ms) at which a file was last due."""

MOST_QUEUED: Final = 10_000
"""The most changes that wait in `deliveries`; later ones wait in `changes`."""
_BATCH: Final = 200

_QUEUE: Final = """
INSERT INTO deliveries (seq, subject_id, next_at) VALUES (:seq, :subject_id, :now) ON CONFLICT DO NOTHING
"""
_COUNT: Final = "SELECT count(*) FROM deliveries"
# The oldest delivery of each subject. A time further ahead than any pause was written by a clock that was ahead.
_HEADS: Final = "d.seq IN (SELECT min(seq) FROM deliveries GROUP BY subject_id) AND d.subject_id NOT IN {busy}"
_DUE: Final = f"""
SELECT {change_columns("c")}, d.tries FROM deliveries AS d JOIN changes AS c ON c.seq = d.seq
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
    """How often its delivery was tried."""


@frozen(kw_only=True)
class Progress:
    """How far a way out has come."""

    cursor: Cursor | None
    """None if nothing was delivered that way yet."""
    lost: str | None = None
    """Why it begins again at the oldest change that is kept; None if it continues."""


def read_progress(connection: Connection, key: str) -> Progress:
    """Return how far a way out has come: a cursor after which nothing is missing, or none."""
    text = setting(connection, key)
    try:
        cursor = None if text is None else read_cursor(text)
        changes_after(connection, cursor=cursor, limit=1)
    except (CursorError, ValueError) as error:
        return Progress(cursor=None, lost=str(error))
    return Progress(cursor=cursor)


def set_progress(connection: Connection, _now: datetime, *, key: str, cursor: Cursor) -> None:
    """Record how far a way out has come."""
    put_setting(connection, key, str(cursor))


def has_unqueued_changes(connection: Connection) -> bool:
    """Return whether `queue_deliveries` would move anything."""
    found = read_progress(connection, WEBHOOK)
    page = changes_after(connection, cursor=found.cursor, limit=1)
    return bool(page.changes) and _queued(connection) < MOST_QUEUED


def queue_deliveries(connection: Connection, now: datetime) -> str | None:
    """Move the next changes into `deliveries`; return why it began again at the oldest one, or None."""
    found = read_progress(connection, WEBHOOK)
    page = changes_after(connection, cursor=found.cursor, limit=min(_BATCH, MOST_QUEUED - _queued(connection)))
    rows = [{"seq": one.seq, "subject_id": one.subject_id, "now": to_ms(now)} for one in page.changes]
    connection.executemany(_QUEUE, rows)
    set_progress(connection, now, key=WEBHOOK, cursor=page.cursor)
    return found.lost


def due_deliveries(
    connection: Connection, *, now: datetime, longest_pause: timedelta, busy: Sequence[str], limit: int
) -> tuple[list[Delivery], datetime | None]:
    """Return the next deliveries, at most one for each subject; if there is none, return when the next one is due.

    Subjects in `busy` get none: one of their changes is being delivered.
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


def retry_deliveries_now(connection: Connection, now: datetime) -> None:
    """Have all waiting deliveries tried now: the other system receives again."""
    connection.execute("UPDATE deliveries SET next_at = :now WHERE next_at > :now", {"now": to_ms(now)})


@frozen(kw_only=True)
class PlannedFile:
    """The next file of changes."""

    after: int
    """The number of the last change in the file before; 0 if there is none."""
    until: Cursor
    """The cursor of the last change in this file."""
    written_at: datetime | None
    """When a file was last due; None if never."""
    lost: str | None = None
    """Why it begins again at the oldest change that is kept; None if it continues."""

    @property
    def is_begun(self) -> bool:
        """Return whether there are changes to write."""
        return self.until.seq > self.after


def next_file(connection: Connection) -> PlannedFile:
    """Return the file that is being written, if a kill has interrupted that; otherwise a file without changes."""
    done, plan = read_progress(connection, FOLDER), read_progress(connection, _PLAN)
    after = 0 if done.cursor is None else done.cursor.seq
    until = plan.cursor if plan.cursor is not None and plan.cursor.seq > after else done.cursor or Cursor()
    return PlannedFile(after=after, until=until, written_at=moment_in(connection, _WRITTEN_AT), lost=done.lost)


def plan_file(connection: Connection, now: datetime, *, most: int) -> PlannedFile:
    """Plan the next file, which stays the same until it is written; it has no changes if there are no new ones."""
    planned = next_file(connection)
    if planned.is_begun:
        return planned
    cursor = None if planned.after == 0 else planned.until
    page = changes_after(connection, cursor=cursor, limit=most)
    set_progress(connection, now, key=_PLAN, cursor=page.cursor)
    put_moment(connection, _WRITTEN_AT, now)
    return evolve(planned, until=page.cursor)


def note_file(connection: Connection, now: datetime, *, written: Cursor) -> None:
    """Record that the file with the changes up to this one is written."""
    set_progress(connection, now, key=FOLDER, cursor=written)


def forget_webhooks(connection: Connection, _now: datetime) -> int:
    """Forget all deliveries, sent and waiting, as no address is configured anymore; return how many waited.

    Otherwise they would wait forever, and keep their changes. Once an address is configured again, all changes that are
    kept are sent.
    """
    waited = connection.execute("DELETE FROM deliveries").rowcount
    connection.execute("DELETE FROM settings WHERE key = :key", {"key": WEBHOOK})
    return waited


def delete_old_changes(connection: Connection, _now: datetime, *, before: datetime, ways: Sequence[str]) -> int:
    """Delete some of the changes from before a moment, and return how many.

    Changes that were not delivered in all of these ways stay, however old they are.
    """
    delivered = min(((read_progress(connection, way).cursor or Cursor()).seq for way in ways), default=_ALL)
    return connection.execute(_TRIM, {"before": to_ms(before), "read": delivered, "limit": _TRIM_BATCH}).rowcount


def delivery_backlog(connection: Connection) -> Backlog:
    """Return how much was not delivered by webhooks yet."""
    cursor = read_progress(connection, WEBHOOK).cursor
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
