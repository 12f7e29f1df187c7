"""Export and erase the data of one patient's number; purge old data."""

from collections.abc import Callable, Sequence
from datetime import datetime
from enum import StrEnum
from secrets import token_hex
from typing import Any, Final

from attrs import evolve, frozen

from reminderd.core.model import ERASED, Status
from reminderd.core.phone import is_spelling_of
from reminderd.core.reasons import HoldCode
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import is_seal_of
from reminderd.store.audit import acts_on, acts_on_appointment, audit
from reminderd.store.connection import Connection, Row
from reminderd.store.erased import anonymize_calls, forget_erased, hash_of
from reminderd.store.opt_outs import last_digits_of
from reminderd.store.outcome_changes import forget_subjects
from reminderd.store.queries import ShownValue, calls_of, row_by_name
from reminderd.store.rows import APPOINTMENTS, CALLS, REMINDERS, sql_list, to_ms
from reminderd.store.shared_state import put_setting, setting

BATCH: Final = 200
"""The most reminders that one transaction checks: nobody else can write for a few hundredths of a second."""

_TO_PURGE: Final = f"""
   updated_at < :before AND status IN {sql_list(one for one in Status if one.final)}
   AND (phone_number <> '' OR message <> '' OR EXISTS (
       SELECT 1 FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
        WHERE m.reminder_id = reminders.id AND c.phone_number = '' AND c.transcript <> ''))
   AND NOT EXISTS (SELECT 1 FROM call_logs WHERE phone_number = reminders.phone_number AND wake_at IS NOT NULL)
   AND NOT EXISTS (
       SELECT 1 FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
        WHERE m.reminder_id = reminders.id AND c.wake_at IS NOT NULL)
"""
# Few rows are selected first: PostgreSQL would otherwise prepare the conditions for all rows, which takes seconds.
_NEXT: Final = f"""
SELECT id, scheduled_at, last_error, {_TO_PURGE} AS to_purge FROM (
           SELECT id, scheduled_at, last_error, updated_at, status, phone_number, message FROM reminders
            WHERE (scheduled_at, id) > (:after, :after_id) AND scheduled_at < :before
            ORDER BY scheduled_at, id LIMIT :limit
       ) AS reminders
 ORDER BY scheduled_at, id
"""
_PURGE: Final = """
UPDATE reminders
   SET phone_number = '', message = '', former_number = NULL, last_error = :last_error, revision = revision + 1
 WHERE id = :id
"""
_CALLS: Final = """
SELECT id, transcript, error FROM call_logs
 WHERE wake_at IS NULL
   AND id IN (SELECT call_id FROM call_reminders WHERE reminder_id = :id
              UNION SELECT id FROM call_logs WHERE reminder_id = :id)
   AND NOT EXISTS (
       SELECT 1 FROM call_reminders AS m JOIN reminders AS r ON r.id = m.reminder_id
        WHERE m.call_id = call_logs.id AND r.phone_number <> '')
"""
_PURGE_CALL: Final = """
UPDATE call_logs SET phone_number = '', transcript = :transcript, answered_by = NULL, error = :error WHERE id = :id
"""
# A reminder that another program deletes or moves leaves its calls: no purge of a reminder reaches them.
_LEFT_TO_PURGE: Final = """
   wake_at IS NULL AND updated_at < :before AND (phone_number <> '' OR transcript <> '') AND NOT EXISTS (
       SELECT 1 FROM call_reminders AS m JOIN reminders AS r ON r.id = m.reminder_id
        WHERE m.call_id = call_logs.id AND m.deleted = 0
          AND m.scheduled_at = r.scheduled_at AND r.phone_number = call_logs.phone_number)
"""
_NEXT_CALLS: Final = f"""
SELECT seq, id, transcript, error, created_at < :before AS old, {_LEFT_TO_PURGE} AS to_purge FROM (
           SELECT seq, id, transcript, error, created_at, updated_at, phone_number, wake_at FROM call_logs
            WHERE seq > :after ORDER BY seq LIMIT :limit
       ) AS call_logs
 ORDER BY seq
"""

_OLD_APPOINTMENTS: Final = """
SELECT id, last_error FROM appointments
 WHERE at < :before AND updated_at < :before
   AND phone_number <> ''
   AND NOT EXISTS (SELECT 1 FROM reminders WHERE appointment_id = appointments.id AND phone_number <> '')
 ORDER BY at, id LIMIT :limit
"""
_PURGE_APPOINTMENT: Final = """
UPDATE appointments
   SET phone_number = '', name = NULL, patient_ref = NULL, former_number = NULL, last_error = :last_error,
       wake_at = NULL, revision = revision + 1
 WHERE id = :id
"""
# A clinic may name a file after a patient; and somebody who knows the rest of a row may find its number by the digest.
_PURGE_IMPORTS: Final = """
UPDATE imports SET file = '', digest = NULL WHERE at < :before AND (file <> '' OR digest IS NOT NULL)
"""
_COUNT: Final = f"SELECT count(*) FROM reminders WHERE scheduled_at < :before AND {_TO_PURGE}"
_COUNT_CALLS: Final = f"SELECT count(*) FROM call_logs WHERE {_LEFT_TO_PURGE}"

Cleaned = Callable[[str], str]
"""Returns a text with every phone number in it masked."""


class Traces(StrEnum):
    """Where traces of purged or erased data may be left."""

    FILE = "file"
    LOG = "log"
    """Only in the write-ahead log: the file is already rewritten."""


@frozen
class Place:
    """How far a purge has come, by the reminders' times and ids; at first, before all of them."""

    scheduled_at: int = -(2**63)
    id: str = ""
    seq: int | None = None
    """How far the purge has come among the calls, once all reminders were checked."""


@frozen(kw_only=True)
class Purged:
    """The result of one batch."""

    reminders: int
    calls: int = 0
    """The number of calls whose reminder was deleted or moved."""
    reached: Place | None
    """Where the next batch begins; None after the last batch."""


def purge_batch(
    connection: Connection, now: datetime, *, before: datetime, place: Place, actor: str, cleaned: Cleaned
) -> Purged:
    """Check the next few reminders, and purge those that are final, old and without an open call.

    Message and phone number become empty, and so do transcripts; texts about a failure stay, with phone numbers masked.
    Everything else stays, above all `ref` and outcome; opt-outs are not touched.
    After the reminders, it purges the appointments, including their name and patient's reference, then old calls that
    no reminder has anymore, and last the names of imported files.

    Neither the time nor the last change of a purged reminder is after `before`, nor the last change of a purged call.
    The purge continues at `place`, where the last batch ended.
    """
    purge = _Purge(connection, now, before, actor, cleaned)
    if place.seq is not None:
        return purge.calls_left(place.seq)
    bounds = {"before": to_ms(before), "after": place.scheduled_at, "after_id": place.id, "limit": BATCH}
    looked_at = connection.execute(_NEXT, bounds).fetchall()
    if not looked_at:
        return Purged(reminders=0, reached=place if purge.appointments() == BATCH else evolve(place, seq=0))
    rows = [row for row in looked_at if row["to_purge"]]
    for row in rows:
        purge.row(_PURGE, row)
        for call in connection.execute(_CALLS, {"id": row["id"]}).fetchall():
            purge.call(call)
    purge.note(len(rows), "reminders")
    last = looked_at[-1]
    return Purged(reminders=len(rows), reached=Place(last["scheduled_at"], last["id"]))


@frozen
class _Purge:
    """A transaction that purges, and what it needs; see `purge_batch`."""

    connection: Connection
    now: datetime
    before: datetime
    actor: str
    cleaned: Cleaned

    def row(self, statement: str, row: Row) -> None:
        """Empty a reminder or an appointment, and mask the text of its last failure."""
        self.connection.execute(statement, {"id": row["id"], "last_error": self._masked(row["last_error"])})

    def call(self, call: Row) -> None:
        """Empty a call, and mask the text of its failure."""
        transcript = None if call["transcript"] is None else ""
        changes = {"id": call["id"], "transcript": transcript, "error": self._masked(call["error"])}
        self.connection.execute(_PURGE_CALL, changes)

    def appointments(self) -> int:
        """Purge old appointments whose reminders are all purged, at most `BATCH`; return how many."""
        bounds = {"before": to_ms(self.before), "limit": BATCH}
        rows = self.connection.execute(_OLD_APPOINTMENTS, bounds).fetchall()
        for row in rows:
            self.row(_PURGE_APPOINTMENT, row)
        self.note(len(rows), "appointments")
        return len(rows)

    def calls_left(self, after: int) -> Purged:
        """Purge some old calls that no reminder has anymore; after the last of them, also the names of old files."""
        bounds = {"before": to_ms(self.before), "after": after, "limit": BATCH}
        looked_at = self.connection.execute(_NEXT_CALLS, bounds).fetchall()
        calls = [call for call in looked_at if call["to_purge"]]
        for call in calls:
            self.call(call)
        self.note(len(calls), "calls")
        # Calls are numbered in the order in which they were made: after a batch without an old call, there is none.
        if any(call["old"] for call in looked_at):
            return Purged(reminders=0, calls=len(calls), reached=Place(seq=looked_at[-1]["seq"]))
        files = self.connection.execute(_PURGE_IMPORTS, {"before": to_ms(self.before)}).rowcount
        self.note(files, "files", prefix="the names of ")
        return Purged(reminders=0, calls=len(calls), reached=None)

    def note(self, count: int, what: str, *, prefix: str = "") -> None:
        """Record how many rows were purged, if there were any."""
        if count:
            mark_unscrubbed(self.connection)
            detail = f"{prefix}{count} {what} from before {self.before:%Y-%m-%d}"
            audit(self.connection, self.now, actor=self.actor, act="purge", detail=detail)

    def _masked(self, text: str | None) -> str | None:
        return None if text is None else self.cleaned(text)


def count_old(connection: Connection, *, before: datetime) -> int:
    """Return how many reminders a purge would change."""
    return int(connection.execute(_COUNT, {"before": to_ms(before)}).fetchone()[0])


def count_left_calls(connection: Connection, *, before: datetime) -> int:
    """Return how many calls without a reminder a purge would change."""
    return int(connection.execute(_COUNT_CALLS, {"before": to_ms(before)}).fetchone()[0])


def mark_unscrubbed(connection: Connection) -> None:
    """Record, in the transaction that deletes something, that the files have traces of it, if the engine leaves any."""
    if connection.leaves_traces:
        put_setting(connection, "unscrubbed", f"{Traces.FILE} {token_hex(8)}")


def traces_left(connection: Connection) -> Traces | None:
    """Return where traces of purged or erased data may be; None if nowhere."""
    value = scrub_mark(connection)
    if value is None:
        return None
    return Traces.LOG if value == Traces.LOG else Traces.FILE


def scrub_mark(connection: Connection) -> str | None:
    """Return the last mark of `mark_unscrubbed`, each time a different text; None if there is nothing to scrub."""
    return setting(connection, "unscrubbed")


_OF_NUMBER: Final = f"SELECT {REMINDERS.names} FROM reminders WHERE phone_number = :number"
_IS_ODD: Final = "(substr(phone_number, 1, 1) <> '+' OR trim(phone_number, '+0123456789') <> '')"
_ODD: Final = f"""
SELECT phone_number FROM reminders WHERE {_IS_ODD}
UNION SELECT phone_number FROM call_logs
       WHERE {_IS_ODD} AND NOT (phone_number >= '{ERASED}' AND phone_number < '{ERASED}g')
UNION SELECT phone_number FROM opt_outs WHERE {_IS_ODD}
UNION SELECT phone_number FROM appointments WHERE {_IS_ODD}
"""
_APPOINTMENTS: Final = f"SELECT {APPOINTMENTS.names} FROM appointments WHERE phone_number = :number ORDER BY at, id"
_HELD_APPOINTMENTS: Final = "SELECT id, former_number FROM appointments WHERE former_number IS NOT NULL"
# The empty text is no number's hash, and the new number still waits to be accepted.
_FORGET_FORMER_OF: Final = """
UPDATE appointments SET former_number = '', last_error = :why, revision = revision + 1 WHERE id = :id
"""
_FORGET_DIGITS: Final = """
UPDATE reminders SET last_error = :why, revision = revision + 1 WHERE appointment_id = :id AND hold_code = :code
"""
_FORMER: Final = "SELECT id, former_number FROM reminders WHERE former_number IS NOT NULL"
_FORGET_FORMER: Final = """
UPDATE reminders
   SET former_number = NULL, last_error = CASE WHEN hold_code = :code THEN :why ELSE last_error END,
       revision = revision + 1
 WHERE id = :id
"""
_IS_ALIVE: Final = "SELECT 1 FROM call_logs WHERE phone_number = :number AND wake_at IS NOT NULL"
_TO_NUMBER: Final = f"SELECT {CALLS.names} FROM call_logs WHERE phone_number = :number ORDER BY seq"
_OPT_OUT: Final = "SELECT phone_number, source, created_at FROM opt_outs WHERE phone_number = :number"
_CHANGES: Final = """
SELECT event_id, at, kind, ref, appointment_id, appointment_at, status, response, end_code, done, attempts, call_outcome
  FROM changes WHERE subject_id = :id ORDER BY seq
"""
_RECEIPTS: Final = """
SELECT call_id, reminder_id, status, received_at FROM webhook_receipts
 WHERE reminder_id = :id ORDER BY received_at, call_id
"""


@frozen(kw_only=True)
class PersonalData:
    """Everything that is stored about one phone number: whole rows by column name."""

    reminders: list[dict[str, ShownValue]]
    """Oldest first."""
    calls: dict[str, list[dict[str, ShownValue]]]
    """By the reminder's id; without calls to its former number, which may be somebody else's."""
    receipts: dict[str, list[dict[str, ShownValue]]]
    """By the reminder's id."""
    acts: dict[str, list[dict[str, ShownValue]]]
    """By the reminder's id: who did what to it."""
    changes: dict[str, list[dict[str, ShownValue]]]
    """By the reminder's id: how its outcome has changed, as other systems have received it."""
    appointments: list[dict[str, Any]]
    """Oldest first, each with its lines of the audit and its changes."""
    other_calls: list[dict[str, ShownValue]]
    """Calls to the number for reminders that were deleted, or have another number now; oldest first."""
    opt_out: dict[str, ShownValue] | None

    @property
    def empty(self) -> bool:
        """Return whether nothing is stored about the number."""
        return not (self.reminders or self.appointments or self.other_calls) and self.opt_out is None


@frozen(kw_only=True)
class Erased:
    """The result of an erasure."""

    reminders: int
    calls: int
    opted_out: bool
    """Whether the number has opted out: an erasure keeps the opt-out."""


def personal_data_of(connection: Connection, *, phone_number: str) -> PersonalData:
    """Return everything that is stored about a number, in whatever format other programs have written it."""
    return _record(connection, _spellings(connection, phone_number))


def _record(connection: Connection, spellings: Sequence[str]) -> PersonalData:
    def to_any(sql: str) -> list[dict[str, Any]]:
        """Return the rows of a SELECT for each spelling of the number."""
        return [row for spelling in spellings for row in _rows(connection, sql, number=spelling)]

    reminders = sorted(to_any(_OF_NUMBER), key=lambda reminder: (str(reminder["scheduled_at"]), reminder["id"]))
    ids = [str(reminder["id"]) for reminder in reminders]
    own = {*spellings, ""}  # purged
    calls = {
        reminder_id: [call for call in calls_of(connection, reminder_id) if call["phone_number"] in own]
        for reminder_id in ids
    }
    known = {call["id"] for some in calls.values() for call in some}
    appointments = [
        row
        | {
            "audit": acts_on_appointment(connection, row["id"]),
            "changes": _rows(connection, _CHANGES, id=row["id"]),
        }
        for row in to_any(_APPOINTMENTS)
    ]
    return PersonalData(
        reminders=reminders,
        calls=calls,
        receipts={reminder_id: _rows(connection, _RECEIPTS, id=reminder_id) for reminder_id in ids},
        acts={reminder_id: acts_on(connection, reminder_id) for reminder_id in ids},
        changes={reminder_id: _rows(connection, _CHANGES, id=reminder_id) for reminder_id in ids},
        appointments=appointments,
        other_calls=[call for call in to_any(_TO_NUMBER) if call["id"] not in known],
        opt_out=next(iter(to_any(_OPT_OUT)), None),
    )


def note_export(connection: Connection, now: datetime, *, phone_number: str, actor: str) -> None:
    """Record in the audit that somebody has exported a number's data."""
    audit(connection, now, actor=actor, act="export", detail=last_digits_of(phone_number))


def erase(connection: Connection, now: datetime, *, phone_number: str, actor: str) -> Erased:
    """Delete a number's appointments and reminders, waiting ones too, with calls and receipts; its opt-out stays.

    A reminder whose former number this is, and which waits for staff to accept the new one, forgets it.
    Calls that a limit still counts are kept without what shows whose they were: see `anonymize_calls`.

    Their lines in `audit` stay as well: they name no patient, and can't be changed. The changes of their outcomes stay
    without their subjects, as a reader may have one of them as its cursor.

    Raises:
        NotAllowedError: A call to the number is alive: its report would still arrive.
    """
    spellings = _spellings(connection, phone_number)
    numbers = [*spellings, hash_of(connection, phone_number)]
    if any(connection.execute(_IS_ALIVE, {"number": number}).fetchone() for number in numbers):
        raise NotAllowedError("a call to this number is under way; wait for its end, reminderd list --phone shows it")
    found = _record(connection, spellings)
    ids = [{"id": str(reminder["id"])} for reminder in found.reminders]
    mark_unscrubbed(connection)
    calls = anonymize_calls(connection, now, spellings=spellings, phone_number=phone_number)
    forget_erased(connection, now)
    connection.executemany("DELETE FROM webhook_receipts WHERE reminder_id = :id", ids)
    connection.executemany("DELETE FROM reminders WHERE id = :id", ids)
    connection.executemany("DELETE FROM call_reminders WHERE reminder_id = :id", ids)
    appointments = [{"id": str(one["id"])} for one in found.appointments]
    connection.executemany("DELETE FROM appointments WHERE id = :id", appointments)
    forget_subjects(connection, [one["id"] for one in (*ids, *appointments)])
    _forget_as_former(connection, spellings)
    audit(connection, now, actor=actor, act="erase", detail=f"{last_digits_of(phone_number)}: {len(ids)} reminders")
    return Erased(reminders=len(ids), calls=calls, opted_out=found.opt_out is not None)


def _forget_as_former(connection: Connection, spellings: Sequence[str]) -> None:
    """Erase what a held reminder remembers of a number that it had before: its hash, and the digits shown to staff."""
    code = HoldCode.NUMBER_CHANGED
    for row in connection.execute(_FORMER).fetchall():
        if any(is_seal_of(row["former_number"], spelling) for spelling in spellings):
            connection.execute(_FORGET_FORMER, {"id": row["id"], "code": code, "why": code.sentence})
    for row in connection.execute(_HELD_APPOINTMENTS).fetchall():
        if any(is_seal_of(row["former_number"], spelling) for spelling in spellings):
            connection.execute(_FORGET_FORMER_OF, {"id": row["id"], "why": code.sentence})
            connection.execute(_FORGET_DIGITS, {"id": row["id"], "code": code, "why": code.sentence})


def _spellings(connection: Connection, phone_number: str) -> list[str]:
    """Return every format in which this number is written anywhere."""
    odd = connection.execute(_ODD).fetchall()
    return [phone_number, *(row[0] for row in odd if is_spelling_of(row[0], phone_number))]


def _rows(connection: Connection, sql: str, **parameters: str) -> list[dict[str, Any]]:
    return [row_by_name(row) for row in connection.execute(sql, parameters).fetchall()]
