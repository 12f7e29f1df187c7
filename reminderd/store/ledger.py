"""Load what a decision must see, and write what it changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from reminderd.core.answers import Report
from reminderd.core.lifecycle.transition import Ledger
from reminderd.core.model import ERASED, Appointment, Call, Member, Reminder
from reminderd.core.outcomes import SPOKEN, reached_anybody
from reminderd.core.reasons import EndCode
from reminderd.core.rules import WEEK, Rules
from reminderd.store.audit import audit
from reminderd.store.connection import Connection, Row, Rows
from reminderd.store.erased import ERASURE_KEY, numbers_by_hash, recognized
from reminderd.store.rows import APPOINTMENTS, CALLS, MEMBERS, REMINDERS, from_ms, in_list, to_ms

_DAY: Final = timedelta(days=1)
_NOTHING: Final = Ledger()
_NOTHING_ERASED: Final[Mapping[str, str]] = MappingProxyType({})
_REVISIONS: Final = 2**31
"""Revisions start over at this number: it only matters that the next one is different."""
_FACTS: Final = f"""
(SELECT value FROM settings WHERE key = 'restored_at') AS restored_at,
(SELECT value FROM settings WHERE key = 'restored_seq') AS restored_seq,
(SELECT max(seq) FROM call_logs) AS newest_seq,
(SELECT value FROM settings WHERE key = '{ERASURE_KEY}') AS erasure_key
"""
"""What a ledger shows beyond rows: how far a restored backup reaches, and the key of the hashes of erased numbers."""
_IS_ALONE: Final = f"""
r.appointment_id IS NULL
AND NOT EXISTS (SELECT 1 FROM opt_outs WHERE phone_number IN (c.phone_number, r.phone_number))
AND NOT EXISTS (SELECT 1 FROM call_reminders AS o WHERE o.reminder_id = m.reminder_id AND o.call_id <> c.id)
AND NOT EXISTS (SELECT 1 FROM call_logs AS o
                 WHERE o.phone_number IN (nullif(c.phone_number, ''), nullif(r.phone_number, ''))
                   AND o.state IN ('dialing', 'unconfirmed', 'placed') AND o.id <> c.id)
AND NOT EXISTS (SELECT 1 FROM call_logs AS o
                 WHERE o.phone_number IN (nullif(c.phone_number, ''), nullif(r.phone_number, ''))
                   AND o.state = 'stray' AND o.id <> c.id)
AND NOT EXISTS (SELECT 1 FROM call_logs WHERE phone_number >= '{ERASED}' AND phone_number < '{ERASED}g')
"""
"""Whether nothing else in the database matters to a call and its reminder, as for most reports."""
# Rows that will be saved are locked when they are read (`for_update`): otherwise a change that another program commits
# in between would be overwritten. Rows of an outer join can't be locked by it, so this statement locks them before.
_LOCK: Final = """
SELECT id FROM reminders
 WHERE id IN (SELECT reminder_id FROM call_reminders WHERE call_id IN ({calls})) ORDER BY id{for_update}
"""
_CALLS_WHERE: Final = "SELECT c.id FROM call_logs AS c WHERE {}"
_NAMED: Final = f"""
SELECT {CALLS.of("c")}, {MEMBERS.of("m")}, {REMINDERS.of("r")}, {_IS_ALONE} AS is_alone, {_FACTS}
  FROM call_logs AS c
  LEFT JOIN call_reminders AS m ON m.call_id = c.id
  LEFT JOIN reminders AS r ON r.id = m.reminder_id
 WHERE {{}}
"""
_ARE_OTHERS: Final = """
c.id NOT IN {known} AND c.id IN (
    SELECT call_id FROM call_reminders WHERE reminder_id IN {reminders}
    UNION ALL SELECT id FROM call_logs WHERE phone_number IN {numbers} AND state IN ('dialing', 'unconfirmed', 'placed')
    UNION ALL SELECT id FROM call_logs WHERE phone_number IN {numbers} AND state = 'stray'
)
"""
_OTHERS: Final = f"""
SELECT {CALLS.of("c")}, {MEMBERS.of("m")}, {REMINDERS.of("r")}
  FROM call_logs AS c
  LEFT JOIN call_reminders AS m ON m.call_id = c.id
  LEFT JOIN reminders AS r ON r.id = m.reminder_id AND c.wake_at IS NOT NULL
 WHERE {_ARE_OTHERS}
"""
# An expression, so that its index is not used: PostgreSQL might read all alive calls by it.
_OTHER_ALIVE_CALLS: Final = _CALLS_WHERE.format(f"(c.wake_at + 0) IS NOT NULL AND {_ARE_OTHERS}")
_MEMBERS_FROM: Final = len(CALLS.columns)
_REMINDERS_FROM: Final = _MEMBERS_FROM + len(MEMBERS.columns)
_CALL_ID: Final = CALLS.place("id")
_MEMBER_KEY: Final = _MEMBERS_FROM + MEMBERS.place("call_id")
_REMINDER_ID: Final = _REMINDERS_FROM + REMINDERS.place("id")
_IS_ALONE_AT: Final = _REMINDERS_FROM + len(REMINDERS.columns)
_OPTED_OUT: Final = f"""
SELECT {_FACTS}, phone_number FROM (SELECT 1 AS one) AS one LEFT JOIN opt_outs ON phone_number IN {{}}
"""
"""At least one row."""
_IS_CALL: Final = "c.id = :id OR c.external_call_id = :external"
# An expression, so that the column's index is not used to read all calls without an id of the provider.
_IS_REPORTED: Final = """
c.id = :attempt OR c.external_call_id = :external
OR (c.reminder_id = :reminder AND (c.external_call_id || '') IS NULL)
"""
_MISSING: Final = f"SELECT {REMINDERS.names} FROM reminders WHERE id IN {{}} ORDER BY id"
_APPOINTMENTS: Final = f"SELECT {APPOINTMENTS.names} FROM appointments WHERE id IN {{}} ORDER BY id"
_PLANNED: Final = f"SELECT {REMINDERS.names} FROM reminders WHERE appointment_id IN {{}} ORDER BY scheduled_at, id"
_SPOKEN: Final = ", ".join(f"'{outcome}'" for outcome in sorted(SPOKEN))
_REACHED: Final = f"""
SELECT {CALLS.of("c")}, {MEMBERS.of("m")}, NULL AS reminder
  FROM call_logs AS c LEFT JOIN call_reminders AS m ON m.call_id = c.id
 WHERE c.phone_number IN {{}} AND c.outcome IN ({_SPOKEN})
   AND c.last_sign_at >= :since
 ORDER BY c.seq
"""
# Rows that another program has locked are checked at their own time.
_WAKE_NUMBER: Final = """
WITH woken AS (
    SELECT id FROM reminders
     WHERE phone_number = :number AND status = 'scheduled' AND hold_code = 'number_busy'{skip_locked}
)
UPDATE reminders SET wake_at = :now WHERE id IN (SELECT id FROM woken)
"""


def load(
    connection: Connection,
    rules: Rules,
    now: datetime,
    *,
    reminders: Iterable[Reminder] = (),
    reminder_ids: Iterable[str] = (),
    calls: Iterable[Call] = (),
    appointments: Iterable[Appointment] = (),
) -> Ledger:
    """Return what decisions about these reminders and calls need: their whole histories, and their numbers' calls.

    All objects are as they were read in this transaction. The reminders of calls and appointments are read, too, and so
    are the appointments of reminders. Ids without a row are left out.
    """
    known = Ledger().put(*reminders, *calls, *appointments)
    listed, parameters = in_list("call", known.calls)
    ledger, erasure_key = _load(connection, f"c.id IN {listed}", parameters, known, reminder_ids)
    return _with_reached(connection, ledger, erasure_key, rules, now)


def load_call(
    connection: Connection, rules: Rules, now: datetime, call_id: str, *, external_call_id: str | None = None
) -> Ledger | None:
    """Return what decisions about a call need, with any call that has the provider's id; None if it does not exist."""
    ledger, erasure_key = _load(connection, _IS_CALL, {"id": call_id, "external": external_call_id})
    return _with_reached(connection, ledger, erasure_key, rules, now) if call_id in ledger.calls else None


def load_reported(connection: Connection, report: Report) -> Ledger:
    """Return the calls that a report may be about: by our id, by the provider's, and of the reminder that it names.

    It does not show when the numbers were reached: the limits decide no report.
    """
    parameters = {
        "attempt": report.attempt_id,
        "external": report.external_call_id,
        "reminder": None if report.attempt_id is not None else report.reminder_id,
    }
    ids = () if report.reminder_id is None else (report.reminder_id,)
    ledger, _ = _load(connection, _IS_REPORTED, parameters, reminder_ids=ids)
    return ledger


def save(connection: Connection, before: Ledger, after: Ledger, now: datetime) -> None:
    """Write what a decision changed; other rows are not written.

    Calls that close are written first, because a number can have only one open call.
    """
    changed = [call for call in after.calls.values() if call != before.calls.get(call.id)]
    for call in sorted(changed, key=lambda call: call.state.open):
        if call.id in before.calls:
            CALLS.update(connection, before.calls[call.id], call.storable, updated_at=now)
        else:
            CALLS.insert(connection, call.storable, updated_at=now)
    for key, member in after.members.items():
        if member != before.members.get(key):
            if key in before.members:
                MEMBERS.update(connection, before.members[key], member)
            else:
                MEMBERS.insert(connection, member)
    _save_reminders(connection, before, after, now)
    if after.appointments:
        _save_appointments(connection, before, after, now)
    for number in {call.phone_number for call in changed if _has_closed(call, before)}:
        wake = _WAKE_NUMBER.format(skip_locked=connection.skip_locked)
        connection.execute(wake, {"now": to_ms(now), "number": number})


_SETTLED: Final = frozenset(
    {
        EndCode.APPOINTMENT_CANCELLED,
        EndCode.APPOINTMENT_MOVED,
        EndCode.ANSWERED,
        EndCode.NOT_PLANNED,
        EndCode.DONE_BY_STAFF,
    }
)


def note_settled(
    connection: Connection, now: datetime, before: Ledger, after: Ledger, *, actor: str, except_for: str | None = None
) -> None:
    """Record the reminders that a decision has cancelled because their appointment no longer needs them.

    The reminder with the id `except_for` has its own line in the audit.
    """
    for reminder in after.reminders.values():
        former = before.reminders.get(reminder.id)
        code = reminder.end_code
        if reminder is former or former is None or code not in _SETTLED or former.end_code == code:
            continue
        if reminder.id != except_for and code is not None:
            audit(connection, now, actor=actor, act="cancel", reminder_id=reminder.id, detail=code.sentence)


def _save_reminders(connection: Connection, before: Ledger, after: Ledger, now: datetime) -> None:
    for reminder in after.reminders.values():
        former = before.reminders.get(reminder.id)
        if former is None:
            REMINDERS.insert(connection, reminder, updated_at=now)
        elif reminder != former:
            revision = (reminder.revision + 1) % _REVISIONS
            REMINDERS.update(connection, former, reminder, revision=revision, updated_at=now)


def _save_appointments(connection: Connection, before: Ledger, after: Ledger, now: datetime) -> None:
    for appointment in after.appointments.values():
        former = before.appointments.get(appointment.id)
        if former is None:
            APPOINTMENTS.insert(connection, appointment, revision=1, updated_at=now)
        elif appointment != former:
            revision = (appointment.revision + 1) % _REVISIONS
            APPOINTMENTS.update(connection, former, appointment, revision=revision, updated_at=now)


def _has_closed(call: Call, before: Ledger) -> bool:
    former = before.calls.get(call.id)
    return former is not None and former.state.alive and not call.state.alive


def _load(
    connection: Connection,
    is_named: str,
    parameters: Mapping[str, str | None],
    known: Ledger = _NOTHING,
    reminder_ids: Iterable[str] = (),
) -> tuple[Ledger, str | None]:
    """Return the calls for which a condition is true, the known or named reminders, and what belongs to them.

    Returns also the key of the hashes under which calls to erased numbers are stored, if there may be such a call.

    Each statement reads as much as it can, because every further one is felt in each webhook.
    """
    rows = _Rows(dict(known.reminders), dict(known.calls), {}, dict(known.appointments))
    found: list[Row] = []
    if parameters:
        if connection.for_update:
            _lock(connection, _CALLS_WHERE.format(is_named), parameters)
        found = connection.execute(_named(is_named), parameters).fetchall()
        rows.add(found)
    missing = set(reminder_ids) - rows.reminders.keys()
    if found and not missing and not known.reminders and all(row[_IS_ALONE_AT] for row in found):
        return rows.ledger(frozenset(), found[0]), None
    if missing:
        listed, parameters = in_list("reminder", sorted(missing))
        read = connection.execute(_MISSING.format(listed) + connection.for_update, parameters).fetchall()
        rows.reminders.update((one.id, one) for one in map(REMINDERS.read, read))
    _add_appointments(connection, rows)
    numbers = _numbers(rows.calls, rows.reminders)
    listed, parameters = in_list("number", numbers)
    opted = connection.execute(_OPTED_OUT.format(listed), parameters)  # sent together with the next one
    others = _others(connection, rows, rows.reminders, numbers)
    facts = opted.fetchall()
    erasure_key = facts[0]["erasure_key"]
    number_of = numbers_by_hash(erasure_key, numbers)
    rows.add(others.fetchall(), number_of)
    if number_of:
        rows.add(_others(connection, rows, (), number_of).fetchall(), number_of)
    opted_out = frozenset(row["phone_number"] for row in facts if row["phone_number"] is not None)
    return rows.ledger(opted_out, facts[0]), erasure_key


def _others(connection: Connection, rows: "_Rows", reminder_ids: Iterable[str], numbers: Iterable[str]) -> Rows:
    """Query the other calls of some reminders, and the alive calls to some numbers with their reminders."""
    (known, a), (reminders, b), (to, c) = (
        in_list("call", ["", *rows.calls]),
        in_list("reminder", reminder_ids),
        in_list("number", numbers),
    )
    lists, parameters = {"known": known, "reminders": reminders, "numbers": to}, {**a, **b, **c}
    if connection.for_update:
        _lock(connection, _OTHER_ALIVE_CALLS.format(**lists), parameters)
    return connection.execute(_OTHERS.format(**lists), parameters)


def _lock(connection: Connection, calls: str, parameters: Mapping[str, str | None]) -> None:
    """Lock the reminders of some calls; this takes no round trip of its own, as its result is not read."""
    connection.execute(_LOCK.format(calls=calls, for_update=connection.for_update), parameters)


@lru_cache(maxsize=64)
def _named(condition: str) -> str:
    """Return the statement that reads the calls for which a condition is true, the same object each time."""
    return _NAMED.format(condition)


def _add_appointments(connection: Connection, rows: "_Rows") -> None:
    """Read the appointments of reminders, and everything else that was planned for these."""
    named = {one.appointment_id for one in rows.reminders.values() if one.appointment_id is not None}
    missing = sorted(named - rows.appointments.keys())
    wanted = sorted({*missing, *rows.appointments})
    if not wanted:
        return
    listed, parameters = in_list("appointment", missing)
    found = connection.execute(_APPOINTMENTS.format(listed) + connection.for_update, parameters)
    listed, parameters = in_list("appointment", wanted)
    planned = connection.execute(_PLANNED.format(listed) + connection.for_update, parameters)
    rows.appointments.update((one.id, one) for one in map(APPOINTMENTS.read, found.fetchall()))
    for one in map(REMINDERS.read, planned.fetchall()):
        if one.appointment_id in rows.appointments:
            rows.reminders.setdefault(one.id, one)


@frozen
class _Rows:
    """The rows that were read so far."""

    reminders: dict[str, Reminder]
    calls: dict[str, Call]
    members: dict[tuple[str, str], Member]
    appointments: dict[str, Appointment]

    def add(self, rows: Iterable[Row], number_of: Mapping[str, str] = _NOTHING_ERASED) -> None:
        """Add rows that have a call, one of its memberships, and the reminder of that; the last two may be missing.

        `number_of` has the number of each hash under which a call may be stored.
        """
        for row in rows:
            if row[_CALL_ID] not in self.calls:
                self.calls[row[_CALL_ID]] = recognized(CALLS.read(row), number_of)
            if row[_MEMBER_KEY] is not None:
                member = MEMBERS.read(row, _MEMBERS_FROM)
                self.members[member.call_id, member.reminder_id] = member
            if row[_REMINDER_ID] is not None and row[_REMINDER_ID] not in self.reminders:
                self.reminders[row[_REMINDER_ID]] = REMINDERS.read(row, _REMINDERS_FROM)

    def ledger(self, opted_out: frozenset[str], facts: Row) -> Ledger:
        """Return the ledger of these rows, with the opt-outs among their numbers and the columns of `_FACTS`."""
        restored_at, restored_seq = facts["restored_at"], int(facts["restored_seq"] or 0)
        return Ledger(
            reminders=self.reminders,
            calls=self.calls,
            members=self.members,
            appointments=self.appointments,
            opted_out=opted_out,
            newest_seq=max(facts["newest_seq"] or 0, restored_seq),
            restored_at=None if restored_at is None else from_ms(int(restored_at)),
            restored_seq=restored_seq,
        )


def _numbers(calls: Mapping[str, Call], reminders: Mapping[str, Reminder]) -> list[str]:
    """Return every number of these rows once, without the empty number of purged rows, which belongs to no patient."""
    of_calls = {call.phone_number for call in calls.values()}
    return sorted((of_calls | {reminder.phone_number for reminder in reminders.values()}) - {""})


def _with_reached(
    connection: Connection, ledger: Ledger, erasure_key: str | None, rules: Rules, now: datetime
) -> Ledger:
    """Return the ledger with the times at which its numbers were reached, if the limits count them."""
    if not rules.limits.is_set:
        return ledger
    numbers = _numbers(ledger.calls, ledger.reminders)
    number_of = numbers_by_hash(erasure_key, numbers)
    listed, parameters = in_list("number", [*numbers, *number_of])
    since = to_ms(now - WEEK - _DAY)
    rows = _Rows({}, {}, {}, {})
    rows.add(connection.execute(_REACHED.format(listed), {**parameters, "since": since}).fetchall())
    reached_at: dict[str, tuple[datetime, ...]] = {}
    for call in (recognized(one, number_of) for one in rows.calls.values()):
        members = [one for one in rows.members.values() if one.call_id == call.id]
        if reached_anybody(call, members, rules):
            at = call.received_at or call.last_sign_at
            reached_at[call.phone_number] = (*reached_at.get(call.phone_number, ()), at)
    return evolve(ledger, heard_at=reached_at)
