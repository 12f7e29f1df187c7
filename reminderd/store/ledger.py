"""Load what a decision must see, and write what it changed."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from attrs import evolve

from reminderd.core.answers import Report
from reminderd.core.lifecycle.transition import Ledger, reached
from reminderd.core.limits import WEEK
from reminderd.core.model import Call, Member, Reminder
from reminderd.core.rules import Rules
from reminderd.store.connection import Connection
from reminderd.store.erased import ERASURE_KEY, hashes
from reminderd.store.rows import CALLS, MEMBERS, REMINDERS, from_ms, in_list, to_ms

_DAY: Final = timedelta(days=1)
_REVISIONS: Final = 2**31
"""Revisions start over at this number: it only matters that the next one is different."""
_REMINDERS: Final = f"SELECT {REMINDERS.names} FROM reminders WHERE id IN "
_MEMBERS: Final = f"SELECT {MEMBERS.names} FROM call_reminders WHERE call_id IN "
_HISTORIES: Final = f"""
SELECT {MEMBERS.prefixed("m")}, {CALLS.prefixed("c")} FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
 WHERE m.call_id IN (SELECT call_id FROM call_reminders WHERE reminder_id IN {{}})
"""
_FACTS: Final = """
SELECT 'opted_out' AS name, phone_number AS value FROM opt_outs WHERE phone_number IN {}
UNION ALL SELECT key, value FROM settings WHERE key IN ('restored_at', 'restored_seq', 'erasure_key')
UNION ALL SELECT 'newest_seq', CAST(max(seq) AS TEXT) FROM call_logs
"""
_CALL: Final = f"SELECT {CALLS.names} FROM call_logs WHERE id = :id OR external_call_id = :external"
_REPORTED: Final = f"""
SELECT {CALLS.names} FROM call_logs WHERE id = :attempt OR external_call_id = :external
    OR (reminder_id = :reminder AND +external_call_id IS NULL)
"""
_TO_NUMBERS: Final = f"""
SELECT {CALLS.names} FROM call_logs
 WHERE phone_number IN {{}}
   AND (wake_at IS NOT NULL OR (outcome IN ('heard', 'voicemail') AND last_sign_at >= :since))
 ORDER BY seq
"""
_NEVER: Final = 2**62
"""A time in milliseconds that never comes."""
_WAKE_NUMBER: Final = """
UPDATE reminders SET wake_at = :now WHERE phone_number = :number AND status = 'scheduled' AND hold_code = 'number_busy'
"""


def load(
    connection: Connection,
    rules: Rules,
    now: datetime,
    *,
    reminders: Iterable[Reminder] = (),
    reminder_ids: Iterable[str] = (),
    calls: Iterable[Call] = (),
) -> Ledger:
    """Return what decisions about these reminders and calls need: their whole histories, and their numbers' calls.

    Args:
        connection: in a transaction.
        rules: the clinic's rules.
        now: the time of the transaction.
        reminders: as they were read in this transaction.
        reminder_ids: others to read; an id without a row is left out.
        calls: as they were read in this transaction; their reminders are read, too.
    """
    ledger = Ledger().put(*reminders, *calls)
    ledger = _with_members(connection, ledger, [call.id for call in ledger.calls.values()])
    wanted = {*ledger.reminders, *reminder_ids, *(one.reminder_id for one in ledger.members.values())}
    ledger = _with_histories(connection, _with_reminders(connection, ledger, wanted), wanted)
    reminded = {reminder.phone_number for reminder in ledger.reminders.values()}
    numbers = sorted(reminded | {call.phone_number for call in ledger.calls.values()})
    ledger, erasure_key = _with_facts(connection, ledger, numbers)
    erased = {} if erasure_key is None else hashes(erasure_key, numbers)
    return _with_numbers(connection, ledger, numbers, erased, rules, now)


def load_call(
    connection: Connection, rules: Rules, now: datetime, call_id: str, *, external_call_id: str | None = None
) -> Ledger | None:
    """Return what decisions about a call need, with any call that has the provider's id; None if it does not exist."""
    names = {"id": call_id, "external": external_call_id}
    calls = [CALLS.read(row) for row in connection.execute(_CALL, names).fetchall()]
    return load(connection, rules, now, calls=calls) if any(call.id == call_id for call in calls) else None


def load_reminder(connection: Connection, rules: Rules, now: datetime, reminder_id: str) -> Ledger:
    """Return what decisions about a reminder need; the reminder is missing there if it does not exist."""
    return load(connection, rules, now, reminder_ids=[reminder_id])


def load_reported(connection: Connection, rules: Rules, now: datetime, report: Report) -> Ledger:
    """Return what a report may be about: calls by our id, by the provider's, and those of the reminder it names."""
    parameters = {
        "attempt": report.attempt_id,
        "external": report.external_call_id,
        "reminder": None if report.attempt_id is not None else report.reminder_id,
    }
    calls = [CALLS.read(row) for row in connection.execute(_REPORTED, parameters).fetchall()]
    ids = () if report.reminder_id is None else (report.reminder_id,)
    return load(connection, rules, now, reminder_ids=ids, calls=calls)


def save(connection: Connection, before: Ledger, after: Ledger, now: datetime) -> None:
    """Write what a decision changed; other rows are not written.

    Calls that close are written first, because a number can have only one open call.
    """
    changed = [call for call in after.calls.values() if call != before.calls.get(call.id)]
    for call in sorted(changed, key=lambda call: call.state.open):
        stamped = evolve(call.storable, updated_at=now)
        if call.id in before.calls:
            CALLS.update(connection, stamped)
        else:
            CALLS.insert(connection, stamped)
    for key, member in after.members.items():
        if member != before.members.get(key):
            if key in before.members:
                MEMBERS.update(connection, member)
            else:
                MEMBERS.insert(connection, member)
    for reminder in after.reminders.values():
        if reminder != before.reminders.get(reminder.id):
            revision = (reminder.revision + 1) % _REVISIONS
            REMINDERS.update(connection, evolve(reminder, revision=revision, updated_at=now))
    for number in {call.phone_number for call in changed if _has_closed(call, before)}:
        connection.execute(_WAKE_NUMBER, {"now": to_ms(now), "number": number})


def _has_closed(call: Call, before: Ledger) -> bool:
    former = before.calls.get(call.id)
    return former is not None and former.state.alive and not call.state.alive


def _with_members(connection: Connection, ledger: Ledger, call_ids: list[str]) -> Ledger:
    if not call_ids:
        return ledger
    listed, parameters = in_list("call", call_ids)
    return ledger.put(*(MEMBERS.read(row) for row in connection.execute(_MEMBERS + listed, parameters).fetchall()))


def _with_reminders(connection: Connection, ledger: Ledger, wanted: Iterable[str]) -> Ledger:
    missing = sorted(set(wanted) - set(ledger.reminders))
    if not missing:
        return ledger
    listed, parameters = in_list("reminder", missing)
    return ledger.put(*(REMINDERS.read(row) for row in connection.execute(_REMINDERS + listed, parameters).fetchall()))


def _with_histories(connection: Connection, ledger: Ledger, reminder_ids: Iterable[str]) -> Ledger:
    """Add all calls of these reminders, and all memberships of those calls."""
    listed, parameters = in_list("reminder", sorted(reminder_ids))
    rows = connection.execute(_HISTORIES.format(listed), parameters).fetchall()
    found: list[Call | Member] = [MEMBERS.read(row, "m_") for row in rows]
    found += [
        CALLS.read(row, "c_") for row in {row["c_id"]: row for row in rows}.values() if row["c_id"] not in ledger.calls
    ]
    return ledger.put(*found) if found else ledger


def _with_numbers(
    connection: Connection, ledger: Ledger, numbers: list[str], erased: Mapping[str, str], rules: Rules, now: datetime
) -> Ledger:
    """Add the alive calls to these numbers, all memberships and reminders of each, and when they were reached.

    `erased` has the number behind each hash under which its calls may be stored.
    """
    listed, parameters = in_list("number", [*numbers, *erased])
    since = to_ms(now - WEEK - _DAY) if rules.limits.any else _NEVER
    rows = connection.execute(_TO_NUMBERS.format(listed), {**parameters, "since": since}).fetchall()
    calls = [ledger.calls.get(row["id"]) or _recognized(CALLS.read(row), erased) for row in rows]
    others = [call for call in calls if call.state.alive and call.id not in ledger.calls]
    ledger = _with_members(connection, ledger.put(*others), [call.id for call in others])
    shared = {one.reminder_id for call in ledger.calls.values() if call.state.alive for one in ledger.members_of(call)}
    heard_at: dict[str, tuple[datetime, ...]] = {}
    for call in calls:
        if rules.limits.any and reached(call, rules):
            at = call.received_at or call.last_sign_at
            heard_at[call.phone_number] = (*heard_at.get(call.phone_number, ()), at)
    return evolve(_with_reminders(connection, ledger, shared), heard_at=heard_at)


def _recognized(call: Call, erased: Mapping[str, str]) -> Call:
    """Return a call with the number that it was made to, also if that was erased. What is stored keeps the hash."""
    return evolve(call, phone_number=erased.get(call.phone_number, call.phone_number))


def _with_facts(connection: Connection, ledger: Ledger, numbers: list[str]) -> tuple[Ledger, str | None]:
    """Add what is known beside the rows; return also the key of the hashes of erased numbers, if there is one."""
    listed, parameters = in_list("number", numbers)
    rows = [(row["name"], row["value"]) for row in connection.execute(_FACTS.format(listed), parameters).fetchall()]
    erasure_key = next((value for name, value in rows if name == ERASURE_KEY), None)
    texts = {"opted_out", ERASURE_KEY}
    facts = {name: int(value) for name, value in rows if name not in texts and value is not None}
    restored_at = facts.get("restored_at")
    known = evolve(
        ledger,
        opted_out=frozenset(value for name, value in rows if name == "opted_out"),
        newest_seq=max(facts.get("newest_seq", 0), facts.get("restored_seq", 0)),
        restored_at=None if restored_at is None else from_ms(restored_at),
        restored_seq=facts.get("restored_seq", 0),
    )
    return known, erasure_key
