"""Check what must be true of the provider's record and our database together, whatever has happened.

There are three groups, each a list of sentences about what is broken: somebody was called twice on a guess (`doubles`),
something was lost (`losses`), or the database is in disorder (`disorder`). `broken` returns all of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Final

from attrs import field, frozen

from reminderd.core.lifecycle.transition import spoken_together
from reminderd.core.model import TERMINAL, Call, CallState, Reminder, Status
from reminderd.core.reasons import EndCode
from reminderd.store.connection import Connection
from reminderd.store.examination import broken_promises
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.sqlite.integrity import integrity_errors
from tests.chaos.record import Record, Ring
from tests.chaos.snapshot import Snapshot, changes, snapshot_of

NOT_REACHED: Final = frozenset({"busy", "no-answer", "canceled"})
"""The ends of a call after which another call is correct."""

UNKNOWN: Final = frozenset({EndCode.UNCONFIRMED, EndCode.NO_REPORT})


@frozen(kw_only=True)
class Expectations:
    """What the checker must know in addition to the record and the database."""

    now: datetime
    settled: bool = False
    """Whether, since the last fault, a daemon has worked until nothing was due, and every webhook was answered with
    200."""
    tells_all: bool = False
    """Whether the provider always answers a look-up at once, and correctly."""
    names_calls: bool = True
    """Whether the provider's reports repeat our `attempt_id`."""
    max_calls: int = 3
    ring_again: bool = False
    """Whether `when_unsure` is `"call_again"`: a call with an unknown outcome may be followed by one more."""
    called_again: Mapping[str, int] = field(factory=dict)
    """How often staff have had each reminder called again; they may know better."""
    voicemail_is_reached: bool = True
    answered: Mapping[str, int] = field(factory=dict)
    """The moment of the record by which the answer to a patient's key was heard, by reminder."""
    pressed: frozenset[str] = frozenset()
    """The reminders for which a key was pressed; it may be recorded, although the patient did not hear so."""
    cancelled: frozenset[str] = frozenset()
    """The reminders that staff or an opt-out have cancelled."""


_LEFT_OVER: Final = {
    "a final reminder has a wake_at": """
        SELECT id FROM reminders
         WHERE status IN ('called', 'failed', 'expired', 'cancelled') AND wake_at < :now""",
    "the lease of a call ran out long ago": """
        SELECT id FROM call_logs WHERE wake_at < :now AND lease_token IS NOT NULL""",
}


def broken(
    record: Record, connection: Connection, expectations: Expectations, former: Snapshot | None = None
) -> list[str]:
    """Return what is wrong, a sentence each; empty if all is well.

    Args:
        record: the provider's record.
        connection: to the database; in a transaction if other programs write at the same time.
        expectations: what is expected to be true.
        former: the database at an earlier instant, to compare with; None if there is none.
    """
    found = snapshot_of(connection)
    return [
        *record.complaints,
        *doubles(record, found, expectations),
        *losses(record, found, expectations),
        *disorder(record, found, expectations),
        *(integrity_errors(connection) if isinstance(connection, SqliteConnection) else []),
        *broken_promises(connection),
        *(_left_over(connection, expectations) if expectations.settled else []),
        *([] if former is None else changes(former, found, called_again=expectations.called_again)),
    ]


def _left_over(connection: Connection, expectations: Expectations) -> list[str]:
    """Return which rows should have been checked by now."""
    now = {"now": to_ms(expectations.now)}
    return [f"{sentence}: {row['id']}" for sentence, sql in _LEFT_OVER.items() for row in connection.execute(sql, now)]


# Nobody is called twice on a guess


def doubles(record: Record, found: Snapshot, expectations: Expectations) -> Iterator[str]:  # noqa: C901 - a list of sentences
    """Yield who was called, or may have been called, without permission."""
    for key, times in Counter(ring.key for ring in record.rings).items():
        if times > 1:
            yield f"{key}: the phone rang {times} times for one call"
    for reminder_id in {name for ring in record.rings for name in (ring.reminder_id, *ring.bundled)}:
        yield from _called_on_a_guess(reminder_id, record.rings_of(reminder_id), expectations)
    for key in {order.key for order in record.orders}:
        if len({order.message for order in record.orders if order.key == key}) > 1:
            yield f"{key}: asked to say other words under the same key"
    for order in record.orders:
        if not order.committed:
            yield f"{order.key}: asked to be placed before the call was in the database"
        reminder = found.reminders.get(order.reminder_id)
        names = (order.reminder_id, *order.bundled)
        said = [found.reminders[one].message for one in names if one in found.reminders]
        message = None if order.message is None else spoken_together(said)
        if reminder is None or (order.phone_number, order.message) != (reminder.phone_number, message):
            yield f"{order.key}: asked for another number or message than its reminder's"
    for ring in record.rings:
        call = found.calls.get(ring.key)
        if call is None or call.reminder_id != ring.reminder_id:
            yield f"{ring.key}: rang without a row of its own in call_logs"
        elif call.state in {CallState.REFUSED, CallState.NOT_PLACED}:
            yield f"{ring.key}: is {call.state}, but the phone rang"
        yield from (
            f"{ring.key}: said {name}, and has no such member"
            for name in (ring.reminder_id, *ring.bundled)
            if found.member(ring.key, name) is None
        )


def _called_on_a_guess(reminder_id: str, rings: list[Ring], expectations: Expectations) -> Iterator[str]:
    again = expectations.called_again.get(reminder_id, 0)
    guesses = 0
    for former, latter in pairwise(rings):
        has_reached = _has_reached(former, expectations)
        reached_at = former.acknowledged_at if has_reached else None
        if reached_at is not None and reached_at < latter.at:
            yield f"{reminder_id}: called again after the patient was reached"
        was_told = former.disclosed_at is not None and former.disclosed_at < latter.at
        has_failed = former.end in NOT_REACHED or (former.end == "completed" and not has_reached)
        guesses += not (was_told and has_failed)
    if guesses > again + expectations.ring_again:
        yield f"{reminder_id}: called again {guesses} times while it was not known that the call before had failed"
    answered_at = expectations.answered.get(reminder_id)
    if answered_at is not None and any(ring.at > answered_at for ring in rings):
        yield f"{reminder_id}: called again after the patient had answered by a key"
    if len(rings) > expectations.max_calls * (1 + again):
        yield f"{reminder_id}: called {len(rings)} times"


def _has_reached(ring: Ring, expectations: Expectations) -> bool:
    """Return whether the message was certainly heard."""
    is_by_person = expectations.voicemail_is_reached or not ring.by_machine
    return ring.answered_by_key or (ring.end == "completed" and ring.heard is True and is_by_person)


def _may_have_reached(ring: Ring, expectations: Expectations) -> bool:
    is_by_person = expectations.voicemail_is_reached or not ring.by_machine
    is_heard = ring.has_listened or ring.end == "completed"
    return ring.answered_by_key or (is_heard and ring.heard is not False and is_by_person)


# Nothing is lost


def losses(record: Record, found: Snapshot, expectations: Expectations) -> Iterator[str]:
    """Yield what the provider did, or was asked to do, and the database does not have or never checks again."""
    for ring in record.rings:
        if ring.reminder_id not in found.reminders:
            yield f"{ring.reminder_id}: called, and gone from the database"
        elif ring.end is not None and (ring.acknowledged_at is not None or _was_asked(expectations)):
            yield from _end_not_kept(ring, found, expectations)
    for reminder in found.reminders.values():
        rings = record.rings_of(reminder.id)
        has_answered = reminder.id in expectations.answered
        is_reached = (
            has_answered
            or reminder.id in expectations.pressed
            or any(_may_have_reached(ring, expectations) for ring in rings)
        )
        if reminder.status is Status.CALLED and not is_reached:
            yield f"{reminder.id}: called, but nobody heard it"
        if has_answered and reminder.status is not Status.CALLED and reminder.id not in expectations.cancelled:
            yield f"{reminder.id}: answered by a key, but {reminder.status}"
        yield from _not_visible(reminder, found)
        if expectations.settled:
            yield from _not_concluded(reminder, found.calls_of(reminder.id), rings, expectations)


def _was_asked(expectations: Expectations) -> bool:
    return expectations.settled and expectations.tells_all


def _end_not_kept(ring: Ring, found: Snapshot, expectations: Expectations) -> Iterator[str]:
    names = (ring.reminder_id, *ring.bundled)
    calls = [call for call in found.calls.values() if call.reminder_id == ring.reminder_id]
    own = [call for call in calls if call.id == ring.key or not expectations.names_calls]
    if not any(call.status == ring.end and call.received_at is not None for call in own):
        yield f"{ring.key}: its end ({ring.end}) was reported and taken, but is not on the call"
    if ring.end != "completed":
        return
    if not any(call.transcript == ring.transcript for call in own):
        yield f"{ring.key}: its transcript is lost"
    if not _has_reached(ring, expectations):
        return
    for reminder in (found.reminders[name] for name in names if name in found.reminders):
        member = found.member(ring.key, reminder.id)
        is_about_it = member is not None and member.scheduled_at == reminder.scheduled_at
        if is_about_it and reminder.status is not Status.CALLED and reminder.id not in expectations.cancelled:
            yield f"{reminder.id}: heard, but {reminder.status}"


def _not_visible(reminder: Reminder, found: Snapshot) -> Iterator[str]:
    """Yield why a reminder is neither final with its reason, nor waits for a time, nor has an alive call."""
    calls = found.calls_of(reminder.id)
    is_followed = reminder.wake_at is not None or any(call.state.alive for call in calls)
    if not reminder.status.final and not is_followed:
        yield f"{reminder.id}: {reminder.status}, and nobody will look"
    if reminder.status.final and reminder.wake_at is None:
        needs_reason = reminder.status is not Status.CALLED
        if (reminder.end_code is not None) != needs_reason or (reminder.last_error is not None) != needs_reason:
            yield f"{reminder.id}: {reminder.status} with the reason {reminder.end_code}: {reminder.last_error}"
    newest = calls[-1] if calls else None
    is_unknown = newest is not None and newest.state is CallState.UNREPORTED and reminder.status is Status.FAILED
    if is_unknown and reminder.end_code not in UNKNOWN:
        yield f"{reminder.id}: nobody knows whether it was called, and staff are told: {reminder.end_code}"


def _not_concluded(
    reminder: Reminder, calls: tuple[Call, ...], rings: list[Ring], expectations: Expectations
) -> Iterator[str]:
    if not reminder.status.final:
        yield f"{reminder.id}: still {reminder.status} when all was over ({reminder.hold_code or 'no hold code'})"
    if any(call.state.alive for call in calls):
        yield f"{reminder.id}: a call is still alive when all was over"
    is_unknown = bool(rings) and rings[-1].disclosed_at is None
    may_guess = expectations.ring_again or reminder.id in {
        *expectations.called_again,
        *expectations.answered,
        *expectations.pressed,
        *expectations.cancelled,
    }
    if is_unknown and not may_guess and reminder.end_code not in UNKNOWN:
        yield f"{reminder.id}: its last call's end is unknown, but it is {reminder.status}: {reminder.end_code}"
    rang = bool(calls) and any(ring.key == calls[-1].id for ring in rings)
    if expectations.tells_all and rang and reminder.end_code is EndCode.UNCONFIRMED:
        yield f"{reminder.id}: to be called manually, but the provider would have reported that it rang"


# The database is in order


def disorder(record: Record, found: Snapshot, expectations: Expectations) -> Iterator[str]:
    """Yield contradictions in the database."""
    opened = Counter(call.phone_number for call in found.calls.values() if call.state.open)
    yield from (f"{number}: two open calls" for number, times in opened.items() if times > 1)
    for reminder in found.reminders.values():
        alive = [call for call in found.calls_of(reminder.id) if call.state.alive]
        if reminder.status.in_call and not alive and reminder.wake_at is None:
            yield f"{reminder.id}: {reminder.status}, and no call is alive"
    for call in found.calls.values():
        yield from _disorder_of(call, record, found, expectations)
    ends = {ring.call_id: (ring.reminder_id, ring.end) for ring in record.rings}
    for call_id, receipt in found.receipts.items():
        if ends.get(call_id) != receipt:
            yield f"{call_id}: a receipt for {receipt[1]}, but the provider's first report was {ends.get(call_id)}"


def _disorder_of(call: Call, record: Record, found: Snapshot, expectations: Expectations) -> Iterator[str]:
    if call.lease_token is not None and not call.state.alive:
        yield f"{call.id}: {call.state}, but leased"
    if call.state is CallState.DIALING and call.lease_token is None:
        yield f"{call.id}: dialing under no lease"
    is_over = call.wake_at is not None and call.wake_at < expectations.now
    if expectations.settled and call.state is CallState.DIALING and is_over:
        yield f"{call.id}: dialing past its lease"
    ids = {ring.call_id for ring in record.rings_of(call.reminder_id)}
    if call.external_call_id is not None and call.external_call_id not in ids:
        yield f"{call.id}: has an id that the provider never gave it"
    if (call.status in TERMINAL) > (call.received_at is not None):
        yield f"{call.id}: {call.status}, but nobody reported it"
    has_receipt = found.receipts.get(call.external_call_id or "", ("",))[0] == call.reminder_id
    if call.received_at is not None and call.external_call_id is not None and not has_receipt:
        yield f"{call.id}: its end was taken without a receipt"
