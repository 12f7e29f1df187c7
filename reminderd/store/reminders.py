"""Write reminders: add, change, cancel, accept, note as done, call again.

The command line, the import and the HTTP API all use it. Each change leaves a line in `audit` that names the reminder.
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from itertools import chain
from typing import Final

from attrs import evolve, frozen

from reminderd.core.imports import WaitingEntry
from reminderd.core.lifecycle.staff import accepted, called_again, cancelled, done, withdrawn
from reminderd.core.lifecycle.transition import Ledger, Transition
from reminderd.core.masking import mask_numbers_in_notes
from reminderd.core.model import Reminder, Status
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.requests import ReminderRequest, normal_name
from reminderd.core.rules import Rules
from reminderd.core.upsert import (
    Content,
    Decision,
    ExistingReminder,
    Intake,
    ReminderCancellation,
    content_of,
    decide_reminder,
    decide_reminder_cancellation,
    number_seal,
    why_held,
)
from reminderd.store.audit import Act, acts_on, audit, audit_all
from reminderd.store.connection import Connection, Row
from reminderd.store.errors import UnknownReminderError
from reminderd.store.intake import (
    API,
    RefTakenError,
    Source,
    refuse_all_if_any,
    time_ordered_id,
    with_similar_ref_warnings,
)
from reminderd.store.ledger import load, note_settled, save
from reminderd.store.opt_outs import opted_out_among
from reminderd.store.queries import (
    ShownValue,
    calls_of,
    find_reminder,
    reminder_with_id,
    reminder_with_ref,
    similar_names,
)
from reminderd.store.rows import from_ms, insert_rows, rows_among, rows_named, to_ms

_DONE: Final = "done"
"""The act in the audit for a reminder whose patient staff have called manually."""

_KNOWN: Final = """
SELECT id, ref, phone_number, message, scheduled_at, expires_at, timezone, language, status, hold_code, end_code,
       last_error, former_number, source,
       EXISTS (SELECT 1 FROM call_reminders WHERE reminder_id = reminders.id AND deleted = 0)
       OR EXISTS (SELECT 1 FROM call_logs WHERE reminder_id = reminders.id AND adopted = 1) AS called
  FROM reminders WHERE COLUMN IN {} ORDER BY id
"""
_KNOWN_BY_ID: Final = _KNOWN.replace("COLUMN", "id")
_CONTENT: Final = ("phone_number", "message", "scheduled_at", "expires_at", "timezone", "language")
_CHANGE: Final = """
UPDATE reminders
   SET phone_number = :phone_number, message = :message, scheduled_at = :scheduled_at, wake_at = :scheduled_at,
       expires_at = :expires_at, timezone = :timezone, language = :language, hold_code = :hold_code,
       former_number = :former, retry_at = NULL, last_error = :why,
       revision = revision + 1, updated_at = :now
 WHERE id = :id
"""


_FROM: Final = "UPDATE reminders SET source = :source WHERE id = :id"
_BETWEEN: Final = """
SELECT id, ref, phone_number, message, scheduled_at FROM reminders
 WHERE scheduled_at >= :start AND scheduled_at < :end AND status = 'scheduled' AND source = :source
   AND appointment_id IS NULL
"""
_NO_FORMER_NUMBER: Final = "UPDATE reminders SET former_number = NULL WHERE id = :id"
_NO_ALERT_YET: Final = "DELETE FROM alerts WHERE reminder_id = :id"


@frozen(kw_only=True)
class StoredReminder:
    """A stored reminder with its calls."""

    reminder: dict[str, ShownValue]
    calls: list[dict[str, ShownValue]]


def decisions(
    connection: Connection, now: datetime, *, requests: Sequence[ReminderRequest], rules: Rules
) -> list[tuple[ExistingReminder | None, Decision]]:
    """Return, for each request, the reminder that it names, if there is one, and the decision; write nothing."""
    decided = _decided(connection, now, requests, rules, adds_again=False)
    return [(known, decision) for _, known, decision in decided]


def cancellations(
    connection: Connection, asked: Sequence[ReminderCancellation]
) -> list[tuple[ExistingReminder | None, Decision]]:
    """Return, for each cancellation, the reminder that it names, if any, and the decision; write nothing."""
    by_ref = _by_ref(connection, [one.ref for one in asked if one.ref is not None])
    nameless = [one.request for one in asked if one.ref is None and one.request is not None]
    resolved = _resolved(connection, nameless, adds_again=False)
    by_id = {one.own_id: known for one, (_, known) in zip(nameless, resolved, strict=True)}
    found = [by_ref.get(one.ref) if one.ref is not None else by_id.get(one.name) for one in asked]
    return [(known, decide_reminder_cancellation(one, known)) for one, known in zip(asked, found, strict=True)]


def put_cancellations(
    connection: Connection, now: datetime, *, asked: Sequence[ReminderCancellation], rules: Rules, source: Source
) -> list[Decision]:
    """Cancel the waiting reminders of appointments that do not take place; return the decision for each."""
    decided = cancellations(connection, asked)
    for known, decision in decided:
        if known is not None and decision.intake is Intake.CANCELLED:
            cancel(connection, now, reminder_id=known.id, rules=rules, source=source)
    return [decision for _, decision in decided]


def put(
    connection: Connection,
    now: datetime,
    *,
    requests: Sequence[ReminderRequest],
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> list[Decision]:
    """Store new and edited reminders; return the decision for each request.

    No two requests have the same `ref`, or the same content without a `ref`. `mint` returns new random UUIDs, for new
    reminders that have a `ref`, and for hashes of former numbers.
    """
    decided = _decided(connection, now, requests, rules, adds_again=source.actor == API)
    new = [
        (time_ordered_id(mint(), to_ms(now)) if one.ref is not None else one.own_id, one)
        for one, _, decision in decided
        if decision.intake is Intake.ADDED
    ]
    edited = [
        (known, one, decision.intake is Intake.HELD)
        for one, known, decision in decided
        if decision.intake in {Intake.CHANGED, Intake.HELD} and known is not None and known.content != content_of(one)
    ]
    _insert(connection, now, new, source)
    if edited:
        changes = [
            {
                "id": known.id,
                "now": to_ms(now),
                "hold_code": HoldCode.NUMBER_CHANGED if is_held else None,
                "former": (known.former or number_seal(known.content[0], mint())) if is_held else None,
                "why": why_held(known, source.detail or source.actor) if is_held else None,
                **dict(zip(_CONTENT, _values(one), strict=True)),
            }
            for known, one, is_held in edited
        ]
        connection.executemany(_CHANGE, changes)
        # A hold is news, though an alert was sent for this reminder before.
        connection.executemany(_NO_ALERT_YET, [{"id": known.id} for known, _, is_held in edited if is_held])
        _audit_all(connection, now, "change", [known.id for known, _, _ in edited], source)
    if source.profile is not None:
        ours = [
            {"id": known.id, "source": source.profile}
            for _, known, decision in decided
            if known is not None and not decision.refused and known.source != source.profile
        ]
        connection.executemany(_FROM, ours)
    return [decision for _, _, decision in decided]


def waiting_between(
    connection: Connection, source: str, start: datetime, end: datetime, *, among: Sequence[str] | None = None
) -> list[WaitingEntry]:
    """Return the waiting reminders, from `start` until before `end`, that files of an import profile have named.

    They are ordered by time; with `among`, only reminders with these ids are returned, in no order.
    """
    bounds = {"source": source, "start": to_ms(start), "end": to_ms(end)}
    found = []
    for row in rows_among(connection, _BETWEEN, bounds, ids=among, order="scheduled_at, id"):
        at = from_ms(row["scheduled_at"])
        same = ReminderRequest(phone_number=row["phone_number"], message=row["message"], scheduled_at=at)
        found.append(WaitingEntry(id=row["id"], name=row["ref"] or same.own_id, at=at))
    return found


def put_all(
    connection: Connection,
    now: datetime,
    *,
    requests: Sequence[ReminderRequest],
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> list[tuple[StoredReminder, Decision]]:
    """Store everything that is requested, or nothing; for the arguments, see `put`.

    Raises:
        RequestsRefusedError: at least one is refused, so all are.
    """
    decided = _decided(connection, now, requests, rules, adds_again=source.actor == API)
    refuse_all_if_any(decision for _, _, decision in decided)
    done = put(connection, now, requests=requests, rules=rules, mint=mint, source=source)
    rows = [_row_of(connection, one, known) for one, known, _ in decided]
    return [
        (_with_calls(connection, row), decision) for row, decision in zip(rows, done, strict=True) if row is not None
    ]


def add(
    connection: Connection, now: datetime, *, request: ReminderRequest, reminder_id: str, source: Source
) -> dict[str, ShownValue]:
    """Store one new reminder under a new id, and return its row.

    Raises:
        RefTakenError: another reminder has its `ref`.
    """
    existing = None if request.ref is None else _known(connection, [request])[0]
    if existing is not None:
        raise RefTakenError(existing.id)
    _insert(connection, now, [(reminder_id, request)], source)
    return reminder_with_id(connection, reminder_id) or {}


def add_once(
    connection: Connection,
    now: datetime,
    *,
    request: ReminderRequest,
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> tuple[Decision, dict[str, ShownValue]]:
    """Store one new reminder, unless the same reminder is already stored; return the decision and its row.

    For the arguments, see `put`. A reminder that is too late is refused, and has no row.

    Raises:
        RefTakenError: another reminder has its `ref`.
    """
    ((resolved, existing),) = _resolved(connection, [request], adds_again=False)
    if existing is not None and existing.content != content_of(request):
        raise RefTakenError(existing.id)
    (decision,) = put(connection, now, requests=[request], rules=rules, mint=mint, source=source)
    return decision, _row_of(connection, resolved, existing) or {}


def cancel(connection: Connection, now: datetime, *, reminder_id: str, rules: Rules, source: Source) -> Transition:
    """Cancel a reminder that is not final yet.

    Raises:
        UnknownReminderError: no reminder has this id.
        NotAllowedError: it is already final.
    """
    before, reminder = _loaded(connection, now, reminder_id, rules)
    reason = f"cancelled by {source.actor}"
    code = EndCode.WITHDRAWN if source.actor == API else EndCode.CANCELLED_BY_STAFF
    transition = cancelled(before, reminder, code, now, reason)
    save(connection, before, transition.ledger, now)
    audit(connection, now, actor=source.actor, act="cancel", reminder_id=reminder_id, detail=source.detail)
    return transition


def note_done(
    connection: Connection, now: datetime, *, reminder_id: str, note: str | None, rules: Rules, source: Source
) -> Transition:
    """Note that staff have called the patient manually, and what they want to remember of it.

    Noting it again changes nothing, except that a new note is recorded.

    Raises:
        UnknownReminderError: no reminder has this id.
        NotAllowedError: nothing needs to be done about it.
    """
    before, reminder = _loaded(connection, now, reminder_id, rules)
    transition = done(before, reminder, now, f"done by {source.actor}")
    save(connection, before, transition.ledger, now)
    note_settled(connection, now, before, transition.ledger, actor=source.actor, except_for=reminder_id)
    detail = None if note is None else mask_numbers_in_notes(note)
    is_recorded = transition.ledger == before and any(
        act["act"] == _DONE and act["detail"] == detail for act in acts_on(connection, reminder_id)
    )
    if not is_recorded:
        audit(connection, now, actor=source.actor, act=_DONE, reminder_id=reminder_id, detail=detail)
    return transition


def finish(
    connection: Connection, now: datetime, *, id_or_ref: str, note: str | None, rules: Rules
) -> tuple[StoredReminder, Transition]:
    """Note over the API that staff have called the patient manually; see `note_done`.

    Raises:
        UnknownReminderError: no reminder has this id or `ref`.
        AmbiguousError: two reminders have this name.
        NotAllowedError: nothing needs to be done about it.
    """
    found, reminder_id = _existing(connection, id_or_ref)
    source = Source(actor=API)
    transition = note_done(connection, now, reminder_id=reminder_id, note=note, rules=rules, source=source)
    return stored_reminder(connection, reminder_id) or found, transition


def accept(connection: Connection, now: datetime, *, reminder_id: str, rules: Rules, source: Source) -> Transition:
    """Release a reminder that is held because its phone number was changed.

    Raises:
        UnknownReminderError: no reminder has this id.
        NotAllowedError: it is not held for that reason.
    """
    before, reminder = _loaded(connection, now, reminder_id, rules)
    transition = accepted(before, reminder, now)
    save(connection, before, transition.ledger, now)
    connection.execute(_NO_FORMER_NUMBER, {"id": reminder_id})
    for one in transition.ledger.reminders.values():
        if one.hold_code != before.reminders[one.id].hold_code:
            audit(connection, now, actor=source.actor, act="accept", reminder_id=one.id, detail=source.detail)
    return transition


def call_again(connection: Connection, now: datetime, *, reminder_id: str, rules: Rules, source: Source) -> Transition:
    """Schedule again a reminder whose patient was not reached, with a new count of calls and a new limit.

    Raises:
        UnknownReminderError: no reminder has this id.
        NotAllowedError: its state does not allow it.
    """
    before, reminder = _loaded(connection, now, reminder_id, rules)
    transition = called_again(before, reminder, rules=rules, now=now)
    save(connection, before, transition.ledger, now)
    audit(connection, now, actor=source.actor, act="call-again", reminder_id=reminder_id, detail=source.detail)
    return transition


def stored_reminder(connection: Connection, id_or_ref: str) -> StoredReminder | None:
    """Return the reminder with this id or `ref` (see `find_reminder`); None if there is none."""
    row = find_reminder(connection, id_or_ref)
    return None if row is None else _with_calls(connection, row)


def withdraw(
    connection: Connection, now: datetime, *, id_or_ref: str, rules: Rules
) -> tuple[StoredReminder, Transition | None]:
    """Cancel a reminder over the API; one that is already cancelled stays cancelled.

    Raises:
        UnknownReminderError: no reminder has this id or `ref`.
        AmbiguousError: two reminders have this name.
        NotAllowedError: it has already ended in another way.
    """
    found, reminder_id = _existing(connection, id_or_ref)
    if found.reminder["status"] == Status.CANCELLED:
        before, reminder = _loaded(connection, now, reminder_id, rules)
        after = withdrawn(before, reminder).ledger
        if after != before:
            save(connection, before, after, now)
            audit(connection, now, actor=API, act="cancel", reminder_id=reminder_id)
        return stored_reminder(connection, reminder_id) or found, None
    transition = cancel(connection, now, reminder_id=reminder_id, rules=rules, source=Source(actor=API))
    return stored_reminder(connection, reminder_id) or found, transition


def _existing(connection: Connection, id_or_ref: str) -> tuple[StoredReminder, str]:
    found = stored_reminder(connection, id_or_ref)
    if found is None:
        raise UnknownReminderError(id_or_ref)
    return found, str(found.reminder["id"])


def _loaded(connection: Connection, now: datetime, reminder_id: str, rules: Rules) -> tuple[Ledger, Reminder]:
    ledger = load(connection, rules, now, reminder_ids=[reminder_id])
    reminder = ledger.reminders.get(reminder_id)
    if reminder is None:
        raise UnknownReminderError(reminder_id)
    return ledger, reminder


def _decided(
    connection: Connection, now: datetime, requests: Sequence[ReminderRequest], rules: Rules, *, adds_again: bool
) -> list[tuple[ReminderRequest, ExistingReminder | None, Decision]]:
    """Return each resolved request, the reminder that it names, and the decision."""
    resolved = _resolved(connection, requests, adds_again=adds_again)
    opted_out = opted_out_among(connection, (one.phone_number for one, _ in resolved))
    decided = [
        decide_reminder(one, known, rules, now, opted_out=one.phone_number in opted_out) for one, known in resolved
    ]
    decided = with_similar_ref_warnings(connection, [one for one, _ in resolved], decided)
    return [(*one, decision) for one, decision in zip(resolved, decided, strict=True)]


def _resolved(
    connection: Connection, requests: Sequence[ReminderRequest], *, adds_again: bool
) -> list[tuple[ReminderRequest, ExistingReminder | None]]:
    """Return, for each request, the reminder that it names, if there is one.

    A request without a `ref` names the newest reminder with its content. With `adds_again`, a request with the
    content of a withdrawn reminder adds a new one: the clinic's own system knows what it has withdrawn; a table that is
    imported again does not.
    """
    found = list(zip(requests, _known(connection, requests), strict=True))
    left = _withdrawn(found, range(len(found)))
    while left:
        next_ones = [evolve(found[place][0], generation=found[place][0].generation + 1) for place in left]
        for place, one, known in zip(left, next_ones, _known(connection, next_ones), strict=True):
            if known is not None or adds_again:
                found[place] = one, known
        left = _withdrawn(found, [place for place, one in zip(left, next_ones, strict=True) if found[place][0] is one])
    return found


def _withdrawn(found: Sequence[tuple[ReminderRequest, ExistingReminder | None]], places: Iterable[int]) -> list[int]:
    """Return the places at which the reminder with the request's content was withdrawn."""
    return [place for place in places if _was_withdrawn(*found[place])]


def _was_withdrawn(request: ReminderRequest, known: ExistingReminder | None) -> bool:
    return request.ref is None and known is not None and known.withdrawn


def _known(connection: Connection, requests: Sequence[ReminderRequest]) -> list[ExistingReminder | None]:
    """Return, for each request, what is stored under its `ref`, or under its id if it has no `ref`."""
    by_ref = _by_ref(connection, [one.ref for one in requests if one.ref is not None])
    by_id = _by(connection, "id", [one.own_id for one in requests if one.ref is None])
    return [by_id.get(one.own_id) if one.ref is None else by_ref.get(one.ref) for one in requests]


def _row_of(
    connection: Connection, request: ReminderRequest, known: ExistingReminder | None
) -> dict[str, ShownValue] | None:
    """Return the row that a request has changed or added."""
    if known is not None:
        return reminder_with_id(connection, known.id)
    if request.ref is not None:
        return reminder_with_ref(connection, request.ref)
    return reminder_with_id(connection, request.own_id)


def _by_ref(connection: Connection, refs: Sequence[str]) -> dict[str, ExistingReminder]:
    """Return what is stored under these refs, or under one that looks the same."""
    by_ref = _by(connection, "ref", refs)
    missing = frozenset(refs) - by_ref.keys()
    # A `ref` that another program has written with other characters looks the same to the person who keeps the table.
    alike = similar_names(connection, missing) if missing else {}
    ids = list(chain.from_iterable(alike.values()))
    odd = {row["id"]: row for row in rows_named(connection, _KNOWN_BY_ID + connection.for_update, ids)}
    for ref, reminder_ids in alike.items():
        for reminder_id in reminder_ids:
            if odd[reminder_id]["ref"] is not None and normal_name(odd[reminder_id]["ref"]) == ref:
                by_ref[ref] = _known_from(odd[reminder_id])
    return by_ref


def _by(connection: Connection, column: str, names: Sequence[str]) -> dict[str, ExistingReminder]:
    """Return what is stored under these values of a column."""
    statement = _KNOWN.replace("COLUMN", column) + connection.for_update
    return {row[column]: _known_from(row) for row in rows_named(connection, statement, names)}


def _known_from(row: Row) -> ExistingReminder:
    expires_at = row["expires_at"]
    return ExistingReminder(
        id=row["id"],
        content=Content(
            row["phone_number"],
            row["message"],
            from_ms(row["scheduled_at"]),
            None if expires_at is None else from_ms(expires_at),
            row["timezone"],
            row["language"],
        ),
        status=Status(row["status"]),
        was_called=bool(row["called"]),
        withdrawn=row["status"] == Status.CANCELLED and row["end_code"] == EndCode.WITHDRAWN,
        held=(row["last_error"] or "") if row["hold_code"] == HoldCode.NUMBER_CHANGED else None,
        former=row["former_number"],
        source=row["source"],
    )


def _insert(connection: Connection, now: datetime, new: Sequence[tuple[str, ReminderRequest]], source: Source) -> None:
    if not new:
        return
    rows = [(reminder_id, one.ref, *_values(one)) for reminder_id, one in new]
    columns: dict[str, Sequence[str | int | None]] = dict(
        zip(("id", "ref", *_CONTENT), zip(*rows, strict=True), strict=True)
    )
    columns["source"] = [source.profile] * len(new)
    columns["wake_at"] = columns["scheduled_at"]  # a new reminder is checked when it is due
    columns["created_at"] = columns["updated_at"] = [to_ms(now)] * len(new)
    insert_rows(connection, "reminders", columns)
    _audit_all(connection, now, "add", [reminder_id for reminder_id, _ in new], source)


def _audit_all(connection: Connection, now: datetime, act: str, reminder_ids: Sequence[str], source: Source) -> None:
    acts = [Act(act, reminder_id=reminder_id, detail=source.detail) for reminder_id in reminder_ids]
    audit_all(connection, now, acts, actor=source.actor)


def _values(one: ReminderRequest) -> tuple[str | int | None, ...]:
    """Return the values of a request, in the order of `_CONTENT`."""
    phone_number, message, scheduled_at, expires_at, *others = content_of(one)
    until = None if expires_at is None else to_ms(expires_at)
    return phone_number, message, to_ms(scheduled_at), until, *others


def _with_calls(connection: Connection, row: dict[str, ShownValue]) -> StoredReminder:
    return StoredReminder(reminder=row, calls=calls_of(connection, str(row["id"])))
