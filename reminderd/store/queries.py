"""Read what staff see: lists of reminders, one reminder with its calls, and news for alerts."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.model import Reminder, Response, Status
from reminderd.core.outcomes import NEED_A_HUMAN, Outcome, outcome, outcome_of_message
from reminderd.core.phone import Numbering
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import normal_name, why_never_callable
from reminderd.store.connection import Connection, Row
from reminderd.store.errors import AmbiguousError
from reminderd.store.rows import CALL_OUTCOMES, CALLS, MOMENTS, REMINDERS, Audience, from_ms, in_list, to_ms

TIME_COLUMNS: Final = MOMENTS | {"at", "changed_at", "last_login_at"}

SHOWN_BY_API: Final = (*REMINDERS.shown_to(Audience.API), "hold_reason", "call_outcome")
"""What the API shows of a reminder: its columns, and what this module adds to them."""

EVERY: Final = 2**63 - 1
"""A limit that never applies, in every engine."""

MOST_NAMED: Final = 1_000
"""The most reminders that are looked up by one name: a patient's name has the reminders of all years."""

MOST_EXAMINED: Final = 10_000
"""The most waiting reminders that are examined for a reason why they can't be called."""

LEAST_DIGITS: Final = 4
"""How many last digits of a number are indexed: with fewer, a list is read by time."""

LAST_DIGITS: Final = f"substr(phone_number, length(phone_number) - {LEAST_DIGITS - 1}) = :last"
"""The condition for the indexed digits, `last`."""
ENDS_WITH: Final = "substr(phone_number, length(phone_number) - length(:ending) + 1) = :ending"
"""The condition for any number of last digits, `ending`."""

ShownValue = str | int | datetime | None
"""What a column contains, with times already as moments."""

_HOLDS: Final = {str(code): code.sentence for code in HoldCode}


@frozen(kw_only=True)
class ReminderFilter:
    """Which reminders staff want to see; a field that is None or not set allows all."""

    status: Status | None = None
    since: datetime | None = None
    """Their time is this moment or later …"""
    until: datetime | None = None
    """… and before this one."""
    phone_ending: str | None = None
    """The last digits of the number."""
    response: str | None = None
    needs_human: bool = False
    ids: Sequence[str] | None = None
    """Only reminders with one of these ids."""


@frozen
class ListPlace:
    """Where a page of a list ends: the time and the id, or the number, of its last row."""

    at: datetime
    id: str


def _sql_needs_human() -> str:
    """Return the condition for reminders with an outcome that needs a human, as `outcome` decides it.

    It is a CASE, so that no engine splits it and reads an index for each part, which would lose the order.
    """

    def of(status: Status) -> str | None:
        """Return the condition for reminders with this status; None if none of them needs a human."""
        if outcome(status, None, None) in NEED_A_HUMAN:
            return "done_at IS NULL"
        responses = [one for one in Response if outcome(status, one, None) in NEED_A_HUMAN]
        holds = [one for one in HoldCode if outcome(status, None, None, one) in NEED_A_HUMAN]
        either = [f"response = '{one}' AND done_at IS NULL" for one in responses]
        return " OR ".join(either + [f"hold_code = '{one}'" for one in holds]) or None

    cases = [f"WHEN '{one}' THEN {condition}" for one in Status if (condition := of(one)) is not None]
    return f"CASE status {' '.join(cases)} ELSE FALSE END"


NEEDS_HUMAN: Final = _sql_needs_human()
"""The condition; the index `reminders_that_need_a_human` has the same condition, so that the engine uses it."""

# With OR instead of UNION, PostgreSQL would read all calls.
_CALLS_OF: Final = f"""
SELECT {CALLS.names} FROM call_logs
 WHERE id IN (SELECT call_id FROM call_reminders WHERE reminder_id = :id AND deleted = 0
              UNION SELECT id FROM call_logs WHERE reminder_id = :id AND adopted = 1)
 ORDER BY seq
"""
_SPOKEN: Final = "SELECT call_id, spoken, message_digest FROM call_reminders WHERE reminder_id = :id"
_OUTCOMES: Final = """
SELECT r.id, m.spoken, c.outcome
  FROM reminders AS r JOIN call_reminders AS m ON m.reminder_id = r.id JOIN call_logs AS c ON c.id = m.call_id
 WHERE r.id IN {}
   AND m.deleted = 0 AND m.scheduled_at = r.scheduled_at AND c.phone_number = r.phone_number AND c.outcome IS NOT NULL
 ORDER BY c.seq
"""
_OTHERS: Final = """
SELECT call_id, reminders.id AS id, coalesce(reminders.ref, others.reminder_id) AS name
  FROM call_reminders AS others LEFT JOIN reminders ON reminders.id = others.reminder_id
 WHERE others.reminder_id <> :id AND call_id IN (SELECT call_id FROM call_reminders WHERE reminder_id = :id)
 ORDER BY call_id, position
"""
_NEXT_WAITING: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE wake_at IS NOT NULL AND status = 'scheduled' ORDER BY wake_at, id LIMIT :most
"""
_WAITING_NAMES: Final = """
SELECT id, wake_at FROM reminders
 WHERE wake_at IS NOT NULL AND status = 'scheduled' ORDER BY wake_at, id LIMIT :most
"""
_AMONG: Final = f"SELECT {REMINDERS.names} FROM reminders WHERE id IN {{}} LIMIT {MOST_NAMED}"
"""With its own limit it is read first: otherwise an engine may search all reminders for a status."""
_NAMED: Final = """
SELECT id FROM reminders WHERE id IN {0}
UNION SELECT id FROM reminders WHERE ref IN {0}
UNION SELECT id FROM reminders WHERE appointment_id IN (
    SELECT id FROM appointments WHERE id IN {0}
    UNION SELECT id FROM appointments WHERE ref IN {0}
    UNION SELECT id FROM appointments WHERE patient_ref IN {0})
ORDER BY id LIMIT :most
"""
_REFS_OF_APPOINTMENTS: Final = "SELECT id, ref FROM appointments WHERE id IN ({})"


def find_reminder(connection: Connection, id_or_ref: str) -> dict[str, ShownValue] | None:
    """Return the row with this id or `ref`; None if there is none.

    If no name is written exactly like this, a name that looks the same is found.

    Raises:
        AmbiguousError: there are two. Other programs choose ids, so one reminder's id may be another's `ref`.
    """
    if not is_comparable(id_or_ref):
        return None
    exact = _with_name(connection, id_or_ref)
    if exact is not None:
        return exact
    name = normal_name(id_or_ref)
    alike = [] if name == id_or_ref else [_with_name(connection, name)]
    odd = similar_names(connection, {name}).get(name, ())
    alike += [reminder_with_id(connection, reminder_id) for reminder_id in odd]
    found = {str(row["id"]): row for row in alike if row is not None}
    if len(found) > 1:
        raise AmbiguousError(
            f"{name} is how the names of {len(found)} reminders look; expected the id as it is written in the database"
        )
    return next(iter(found.values()), None)


def ids_named(connection: Connection, name: str) -> list[str]:
    """Return the ids of the reminders with this id or `ref`, or whose appointment or patient has it.

    Names that only look the same count, too. There are at most `MOST_NAMED` ids.
    """
    if not is_comparable(name):
        return []
    spelled = normal_name(name)
    listed, parameters = in_list("name", {name, spelled})
    rows = connection.execute(_NAMED.format(listed), parameters | {"most": MOST_NAMED}).fetchall()
    found = [row["id"] for row in rows] + similar_names(connection, {spelled}).get(spelled, [])
    return list(dict.fromkeys(found))[:MOST_NAMED]


def is_comparable(name: str) -> bool:
    """Return whether a text can be compared with a name.

    An argument of the command line may be invalid UTF-8, and a URL may have NUL, which some engines can't store.
    """
    return not any(one == "\0" or "\ud800" <= one <= "\udfff" for one in name)


def similar_names(connection: Connection, names: Collection[str]) -> dict[str, list[str]]:
    """Return the ids of reminders that have one of these normal names in another spelling, by the normal name."""
    found: dict[str, list[str]] = {}
    for row in connection.execute("SELECT id, ref FROM odd_names").fetchall():
        for name in {normal_name(one) for one in (row["id"], row["ref"]) if one is not None}.intersection(names):
            found.setdefault(name, []).append(row["id"])
    return found


def _with_name(connection: Connection, id_or_ref: str) -> dict[str, ShownValue] | None:
    by_id, by_ref = reminder_with_id(connection, id_or_ref), reminder_with_ref(connection, id_or_ref)
    if by_id is not None and by_ref is not None and by_id["id"] != by_ref["id"]:
        own = "a ref of its own" if by_id["ref"] is None else f"its ref {by_id['ref']}"
        raise AmbiguousError(
            f"{id_or_ref} is the id of one reminder and the ref of another;"
            f" expected {own} for the one, {by_ref['id']} for the other"
        )
    return by_id or by_ref


def reminder_with_id(connection: Connection, reminder_id: str) -> dict[str, ShownValue] | None:
    """Return the row with this id, and its `call_outcome` as in `list_reminders`; None if there is none."""
    sql = f"SELECT {REMINDERS.names} FROM reminders WHERE id = :id"
    rows = connection.execute(sql, {"id": reminder_id}).fetchall()
    found = _with_outcomes(rows, connection.execute(_OUTCOMES.format("(:id)"), {"id": reminder_id}).fetchall())
    return found[0] if found else None


def reminder_with_ref(connection: Connection, ref: str) -> dict[str, ShownValue] | None:
    """Return the row with this `ref`, as `reminder_with_id` does; None if there is none."""
    row = connection.execute("SELECT id FROM reminders WHERE ref = :ref", {"ref": ref}).fetchone()
    return None if row is None else reminder_with_id(connection, row["id"])


def list_reminders(
    connection: Connection,
    *,
    wanted: ReminderFilter,
    limit: int | None,
    after: ListPlace | None = None,
    newest_first: bool = False,
) -> list[dict[str, ShownValue]]:
    """Return rows of `reminders` by column name, ordered by scheduled time; `limit` None returns all.

    `call_outcome` is how the last call for the reminder as it is now has ended for its patient; None if there was none.
    A reminder that was planned for an appointment also has the `appointment_ref`. Each page takes as long as the first.
    """
    conditions, parameters = _conditions(wanted)
    if after is not None:
        conditions.append(f"(scheduled_at, id) {'<' if newest_first else '>'} (:after, :after_id)")
        parameters |= {"after": to_ms(after.at), "after_id": after.id}
    order = "scheduled_at DESC, id DESC" if newest_first else "scheduled_at, id"
    among = "reminders"
    if wanted.ids is not None:
        listed, own = in_list("one", wanted.ids)
        among = f"({_AMONG.format(listed)}) AS reminders"
        parameters |= own
    those = f"FROM {among} WHERE {' AND '.join(conditions) or 'TRUE'} ORDER BY {order} LIMIT :limit"
    parameters["limit"] = EVERY if limit is None else limit
    rows = connection.execute(f"SELECT {REMINDERS.names} {those}", parameters).fetchall()
    calls = connection.execute(_OUTCOMES.format(f"(SELECT id {those})"), parameters).fetchall()
    found = _with_outcomes(rows, calls)
    if all(row["appointment_id"] is None for row in found):
        return found
    refs_of = _REFS_OF_APPOINTMENTS.format(f"SELECT appointment_id {those}")
    refs = {row["id"]: row["ref"] for row in connection.execute(refs_of, parameters).fetchall()}
    return [
        row if row["appointment_id"] is None else row | {"appointment_ref": refs.get(str(row["appointment_id"]))}
        for row in found
    ]


def calls_of(connection: Connection, reminder_id: str) -> list[dict[str, ShownValue]]:
    """Return the calls of a reminder, oldest first, including those recorded from a report that names it.

    `outcome` is how the call has ended for this reminder: others of its bundle may have been spoken, and this one not.
    """
    spoken = {row["call_id"]: row["spoken"] for row in connection.execute(_SPOKEN, {"id": reminder_id}).fetchall()}
    calls = [row_by_name(row) for row in connection.execute(_CALLS_OF, {"id": reminder_id}).fetchall()]
    return [call | {"outcome": _outcome(call["outcome"], spoken.get(call["id"], True))} for call in calls]


@frozen
class Bundled:
    """Another reminder of a call."""

    name: str
    """Its `ref`, or its id if it has none."""
    id: str | None
    """None if it was deleted."""


def bundled_with(connection: Connection, reminder_id: str) -> dict[str, list[Bundled]]:
    """Return, for the id of each of a reminder's calls, the other reminders of that call."""
    found: dict[str, list[Bundled]] = {}
    for row in connection.execute(_OTHERS, {"id": reminder_id}).fetchall():
        found.setdefault(row["call_id"], []).append(Bundled(row["name"], row["id"]))
    return found


def messages_of_calls(connection: Connection, reminder_id: str) -> dict[str, str | None]:
    """Return, by the id of each call in which a reminder was spoken, the digest of its message at that time.

    The digest is None if the reminder was not spoken in that call.
    """
    rows = connection.execute(_SPOKEN, {"id": reminder_id}).fetchall()
    return {row["call_id"]: row["message_digest"] if row["spoken"] else None for row in rows}


def row_by_name(row: Row) -> dict[str, ShownValue]:
    """Return a row by column name, with its times as moments. A row that waits has the reason, for people."""
    values: Mapping[str, str | int | None] = dict(row)
    found: dict[str, ShownValue] = {
        name: from_ms(value) if name in TIME_COLUMNS and isinstance(value, int) else value
        for name, value in values.items()
    }
    if "hold_code" in found:
        waits = found.get("status", Status.SCHEDULED) == Status.SCHEDULED
        found["hold_reason"] = _HOLDS.get(str(found["hold_code"])) if waits else None
    return found


def uncallable(connection: Connection, *, numbering: Numbering) -> dict[str, int]:
    """Return how many waiting reminders can't be called under the present rules, by reason.

    At most `MOST_EXAMINED` are examined, those that are due first: each takes a tenth of a millisecond.
    """
    rows = connection.execute(_NEXT_WAITING, {"most": MOST_EXAMINED}).fetchall()
    reasons = Counter(why_never_callable(REMINDERS.read(row), numbering) for row in rows)
    return {reason: count for reason, count in reasons.most_common() if reason is not None}


def waiting_to_examine(connection: Connection) -> list[tuple[str, int]]:
    """Return the id and the `wake_at` of the reminders that `uncallable` examines, from an index alone."""
    rows = connection.execute(_WAITING_NAMES, {"most": MOST_EXAMINED}).fetchall()
    return [(row["id"], row["wake_at"]) for row in rows]


def reminders_with_ids(connection: Connection, *, ids: Collection[str]) -> dict[str, Reminder]:
    """Return the reminders with these ids, by id; those that were deleted are missing."""
    listed, parameters = in_list("id", ids)
    rows = connection.execute(f"SELECT {REMINDERS.names} FROM reminders WHERE id IN {listed}", parameters).fetchall()
    return {row["id"]: REMINDERS.read(row) for row in rows}


def _outcome(word: ShownValue, spoken: object) -> str | None:
    known = CALL_OUTCOMES.get(str(word))
    found = outcome_of_message(known, is_spoken=bool(spoken))
    return None if found is None else found.value


def _with_outcomes(rows: Sequence[Row], calls: Sequence[Row]) -> list[dict[str, ShownValue]]:
    last = {call["id"]: _outcome(call["outcome"], call["spoken"]) for call in calls}
    return [row_by_name(row) | {"call_outcome": last.get(row["id"])} for row in rows]


def _conditions(wanted: ReminderFilter) -> tuple[list[str], dict[str, str | int | None]]:
    """Return only the requested conditions: with all of them in one statement, no index could be used.

    The last digits leave the fewest rows. With them, the other conditions are written so that no index is used for
    them, as an engine may choose any. The status that nearly all reminders have is in no index.
    """
    ending = wanted.phone_ending
    last = None if ending is None or len(ending) < LEAST_DIGITS else ending[-LEAST_DIGITS:]
    has_digits = last is not None
    has_index = wanted.status is not Status.CALLED
    status = "status = :status AND status <> 'called'" if has_index else "status = :status"
    status = "coalesce(status, '') = :status" if has_digits else status
    values: dict[str, tuple[str, str | int | None]] = {
        "status": (status, wanted.status),
        "since": ("scheduled_at >= :since", None if wanted.since is None else to_ms(wanted.since)),
        "until": ("scheduled_at < :until", None if wanted.until is None else to_ms(wanted.until)),
        "last": (LAST_DIGITS, last),
        "ending": (ENDS_WITH, ending),
        "response": (
            "coalesce(response, '') = :response" if has_digits else "response = :response",
            wanted.response,
        ),
    }
    asked = {name: one for name, one in values.items() if one[1] is not None}
    conditions = [condition for condition, _ in asked.values()] + [NEEDS_HUMAN] * wanted.needs_human
    return conditions, {name: value for name, (_, value) in asked.items()}


LOOK_BACK: Final = timedelta(days=7)
"""Reminders that were due earlier cause no alert, for instance when alerts are first switched on."""

_NEEDS_ALERT: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE scheduled_at >= :since AND status <> 'scheduled' AND {NEEDS_HUMAN} AND NOT EXISTS (
       SELECT 1 FROM alerts WHERE reminder_id = reminders.id AND alerts.updated_at >= reminders.updated_at
   )
 ORDER BY scheduled_at, id
"""
_HELD_FOR_STAFF: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE hold_code = 'number_changed' AND status = 'scheduled' AND wake_at IS NOT NULL
   AND NOT EXISTS (SELECT 1 FROM alerts WHERE reminder_id = reminders.id)
"""
"""One alert for each, as every check of a reminder that is held moves its `wake_at`, and so its `updated_at`.

They are sorted later: an engine that must order them by time would read all reminders by time instead of what is held.
"""


@frozen(kw_only=True)
class AlertedReminder:
    """One reminder that needs an alert."""

    id: str
    ref: str | None
    """Its own `ref`, or its appointment's."""
    outcome: Outcome
    end_code: EndCode | None
    """How its last call ended, or what else kept it from its patient; None if there is neither."""
    updated_at: datetime


def reminders_to_alert(connection: Connection, *, now: datetime) -> list[AlertedReminder]:
    """Return all reminders that need an alert, ordered by their time; those that are held for staff come last."""
    rows = connection.execute(_NEEDS_ALERT, {"since": to_ms(now - LOOK_BACK)}).fetchall()
    rows += sorted(connection.execute(_HELD_FOR_STAFF).fetchall(), key=lambda row: (row["scheduled_at"], row["id"]))
    found = []
    for reminder in map(REMINDERS.read, rows):
        word = outcome(reminder.status, reminder.response, reminder.end_code, reminder.hold_code)
        if word in NEED_A_HUMAN and reminder.updated_at is not None:
            ref, code, at = _ref_of(connection, reminder), reminder.end_code, reminder.updated_at
            found.append(AlertedReminder(id=reminder.id, ref=ref, outcome=word, end_code=code, updated_at=at))
    return found


def _ref_of(connection: Connection, reminder: Reminder) -> str | None:
    """Return the `ref` of a reminder, otherwise that of its appointment; None if neither has one."""
    if reminder.ref or reminder.appointment_id is None:
        return reminder.ref or None
    row = connection.execute(_REFS_OF_APPOINTMENTS.format(":id"), {"id": reminder.appointment_id}).fetchone()
    return None if row is None else row["ref"]


def note_alerts(connection: Connection, _now: datetime, *, alerts: Sequence[AlertedReminder]) -> None:
    """Record that alerts were sent; skip reminders that another program has deleted in the meantime."""
    connection.executemany(
        "INSERT INTO alerts (reminder_id, updated_at) SELECT id, :updated_at FROM reminders WHERE id = :id"
        " ON CONFLICT (reminder_id) DO UPDATE SET updated_at = excluded.updated_at",
        [{"id": one.id, "updated_at": to_ms(one.updated_at)} for one in alerts],
    )


def name_of(row: Mapping[str, ShownValue]) -> ShownValue:
    """Return the name by which staff know a reminder: its own, or that of its appointment."""
    return row["ref"] or row.get("appointment_ref")
