"""The one checker: what must hold of the provider's record and our database together, after whatever has happened.

Three groups, each a list of sentences about what is broken: somebody was rung twice by guess (`doubles`), something
was lost (`losses`), or the database is in disorder (`disorder`). `broken` is all of them.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import datetime
from itertools import pairwise
from typing import Final

from attrs import field, frozen

from reminderd.core.lifecycle import together
from reminderd.core.lifecycle.check import NO_REPORT, RING_BY_HAND
from reminderd.core.reminder import TERMINAL, Call, Reminder, Status, newest_call, open_call
from reminderd.store.driver import Connection
from reminderd.store.integrity import check
from reminderd.store.queries import broken_promises
from reminderd.store.rows import to_ms
from tests.chaos.record import Record, Ring
from tests.chaos.snapshot import Snapshot, changes, snapshot_of

NOT_REACHED: Final = frozenset({"busy", "no-answer", "canceled"})
"""The ends of a call that make another call right."""

_UNKNOWN: Final = frozenset({RING_BY_HAND, NO_REPORT})


@frozen(kw_only=True)
class Expectations:
    """What the checker must know beyond the record and the database."""

    now: datetime
    settled: bool = False
    """Since the last trouble, a daemon has been at work until nothing was due, and every webhook got its 200."""
    honours_key: bool = False
    look_up: bool = False
    tells_all: bool = False
    """Asked about a call, the provider always tells at once what is true of it."""
    names_calls: bool = True
    """The provider's reports repeat our `attempt_id`."""
    max_calls: int = 3
    ring_again: bool = False
    """`when_unsure` is `"ring_again"`: once a reminder, a ring may follow one of unknown fate."""
    called_again: Mapping[str, int] = field(factory=dict)
    """How often staff have had each reminder called again: they may know better."""
    voicemail_is_reached: bool = True
    answered: Mapping[str, int] = field(factory=dict)
    """By which moment of the record patients had answered by a key, each for the reminder that they were told."""
    pressed: frozenset[str] = frozenset()
    """Reminders for which a key was pressed that may be on record, though the patient never heard so."""
    cancelled: frozenset[str] = frozenset()
    """The reminders that staff or an opt-out have cancelled."""


def broken(
    record: Record, connection: Connection, expectations: Expectations, former: Snapshot | None = None
) -> list[str]:
    """What does not hold, a sentence each; empty: all is well.

    Args:
        record: the provider's.
        connection: to the database, in a transaction if others are at work.
        expectations: what was to be expected.
        former: the database as it was at an earlier instant, to compare with.
    """
    found = snapshot_of(connection)
    return [
        *record.complaints,
        *doubles(record, found, expectations),
        *losses(record, found, expectations),
        *disorder(record, found, expectations),
        *check(connection),
        *broken_promises(connection, long_ago=to_ms(expectations.now)),
        *([] if former is None else changes(former, found, called_again=expectations.called_again)),
    ]


# Nobody is rung twice by guess


def doubles(record: Record, found: Snapshot, expectations: Expectations) -> Iterator[str]:
    """Who was rung, or might have been, without leave."""
    for key, times in Counter(ring.key for ring in record.rings).items():
        if times > 1:
            yield f"{key}: the phone rang {times} times for one call"
    for reminder_id in {ring.reminder_id for ring in record.rings}:
        yield from _rung_by_guess(reminder_id, record.rings_of(reminder_id), expectations)
    yield from _other_words(record)
    for order in record.orders:
        if not order.committed:
            yield f"{order.key}: asked to be placed before the call was in the database"
        reminder = found.reminders.get(order.reminder_id)
        said = [found.reminders[one].message for one in (order.reminder_id, *order.riders) if one in found.reminders]
        message = None if order.message is None else together(said)
        if reminder is None or (order.phone_number, order.message) != (reminder.phone_number, message):
            yield f"{order.key}: asked for another number or message than its reminder's"
    for ring in record.rings:
        call = found.calls.get(ring.key)
        if call is None or call.reminder_id != ring.reminder_id:
            yield f"{ring.key}: rang without a row of its own in call_logs"
        elif call.status == "refused" or (call.status == "not-placed" and not expectations.honours_key):
            yield f"{ring.key}: is {call.status}, but the phone has rung"


def _other_words(record: Record) -> Iterator[str]:
    for key in {order.key for order in record.orders}:
        if len({order.message for order in record.orders if order.key == key}) > 1:
            yield f"{key}: asked to say other words under the same key"


def _rung_by_guess(reminder_id: str, rings: list[Ring], expectations: Expectations) -> Iterator[str]:
    again = expectations.called_again.get(reminder_id, 0)
    guesses = along = 0
    for former, latter in pairwise(rings):
        reached_at = former.acknowledged_at if _has_reached(former, expectations) else None
        if reached_at is not None and reached_at < latter.at:
            yield f"{reminder_id}: rung again after the patient was reached"
        was_told = former.disclosed_at is not None and former.disclosed_at < latter.at
        has_failed = former.end in NOT_REACHED or (former.end == "completed" and not _has_reached(former, expectations))
        guesses += not (was_told and has_failed)
        along += not (was_told and has_failed) and former.reminder_id != reminder_id
    if guesses > again + expectations.ring_again:
        yield f"{reminder_id}: rung again {guesses} times while it was not known that the call before had failed"
    if along > again:
        yield f"{reminder_id}: rung again by guess after a call of another reminder that was to say it"
    answered_at = expectations.answered.get(reminder_id)
    if answered_at is not None and any(ring.at > answered_at for ring in rings):
        yield f"{reminder_id}: rung again after the patient had answered by a key"
    times = sum(reminder_id not in ring.early for ring in rings)
    if times > expectations.max_calls * (1 + again):
        yield f"{reminder_id}: rung {times} times"


def _has_reached(ring: Ring, expectations: Expectations) -> bool:
    return ring.end == "completed" and (expectations.voicemail_is_reached or not ring.by_machine)


# Nothing is lost


def losses(record: Record, found: Snapshot, expectations: Expectations) -> Iterator[str]:
    """What the provider did, or was told to do, that the database doesn't know or will never come back to."""
    for ring in record.rings:
        if ring.reminder_id not in found.reminders:
            yield f"{ring.reminder_id}: rung, and gone from the database"
        elif ring.end is not None and (ring.acknowledged_at is not None or _was_asked(expectations)):
            yield from _end_not_kept(ring, found, expectations)
    for reminder in found.reminders.values():
        rings = record.rings_of(reminder.id)
        has_answered = reminder.id in expectations.answered
        is_reached = (
            has_answered
            or reminder.id in expectations.pressed
            or any(_has_reached(ring, expectations) for ring in rings)
        )
        if reminder.status is Status.CALLED and not is_reached:
            yield f"{reminder.id}: called, but no call was completed"
        if has_answered and reminder.status is not Status.CALLED and reminder.id not in expectations.cancelled:
            yield f"{reminder.id}: answered by a key, but {reminder.status}"
        yield from _not_visible(reminder, found)
        along = [ring for ring in rings if reminder.said_with == ring.key and ring.acknowledged_at is not None]
        has_no_call = not found.calls_of(reminder.id)  # where it has, staff may be told of that one's end instead
        was_heard = has_no_call and any(_has_reached(ring, expectations) for ring in along)
        if expectations.settled and was_heard and reminder.status not in {Status.CALLED, Status.CANCELLED}:
            yield f"{reminder.id}: said in a call that was completed, but {reminder.status}"
        if expectations.settled:
            yield from _not_concluded(reminder, found.calls_of(reminder.id), rings, expectations)


def _was_asked(expectations: Expectations) -> bool:
    return expectations.settled and expectations.tells_all


def _end_not_kept(ring: Ring, found: Snapshot, expectations: Expectations) -> Iterator[str]:
    reminder, calls = found.reminders[ring.reminder_id], found.calls_of(ring.reminder_id)
    own = [call for call in calls if call.id == ring.key or not expectations.names_calls]
    if not any(call.status == ring.end and call.received_at is not None for call in own):
        yield f"{ring.key}: its end ({ring.end}) was reported and taken, but is not on the call"
    if ring.end != "completed":
        return
    if not any(call.transcript == ring.transcript for call in own):
        yield f"{ring.key}: its transcript is lost"
    is_reached = _has_reached(ring, expectations)
    if is_reached and reminder.status is not Status.CALLED and reminder.id not in expectations.cancelled:
        yield f"{reminder.id}: completed, but {reminder.status}"


def _not_visible(reminder: Reminder, found: Snapshot) -> Iterator[str]:
    """A reminder is final with its reason, or waits for a time, or its open call is followed."""
    calls = found.calls_of(reminder.id)
    has_open_call = open_call(calls) is not None
    along = found.calls.get(reminder.said_with or "")
    was_given_up = reminder.status in {Status.FAILED, Status.EXPIRED} and reminder.wake_at is not None
    may_be_woken = was_given_up and along is not None and along.status == "completed"  # to be put right
    if (reminder.wake_at is None) != (reminder.status.final and not has_open_call) and not may_be_woken:
        why = "nobody will look" if reminder.wake_at is None else "woken for nothing"
        yield f"{reminder.id}: {reminder.status}, and {why}"
    if (reminder.last_error is not None) != (reminder.status.final and reminder.status is not Status.CALLED):
        yield f"{reminder.id}: {reminder.status} with the reason {reminder.last_error}"
    newest = newest_call(calls)
    is_unknown = newest is not None and newest.status == "unreported" and reminder.status is Status.FAILED
    if is_unknown and reminder.last_error not in _UNKNOWN:
        yield f"{reminder.id}: nobody knows whether it was rung, and staff are told: {reminder.last_error}"


def _not_concluded(
    reminder: Reminder, calls: tuple[Call, ...], rings: list[Ring], expectations: Expectations
) -> Iterator[str]:
    if not reminder.status.final:
        yield f"{reminder.id}: still {reminder.status} when all was over ({reminder.hold_reason or 'no hold reason'})"
    if open_call(calls) is not None:
        yield f"{reminder.id}: a call is still open when all was over"
    trusts_the_key = expectations.honours_key and expectations.look_up  # "not placed" then means: safe to send again
    unknown = rings and rings[-1].disclosed_at is None and not trusts_the_key
    may_guess = expectations.ring_again or reminder.id in {
        *expectations.called_again,
        *expectations.answered,
        *expectations.pressed,
    }
    if unknown and not may_guess and reminder.id not in expectations.cancelled and reminder.last_error not in _UNKNOWN:
        yield f"{reminder.id}: its last call's end is unknown, but it is {reminder.status}: {reminder.last_error}"
    newest = newest_call(calls)
    rang = newest is not None and any(ring.key == newest.id for ring in rings)
    if expectations.tells_all and rang and reminder.last_error == RING_BY_HAND:
        yield f"{reminder.id}: to be rung by hand, but the provider would have told that it rang"


# The database is in order


def disorder(record: Record, found: Snapshot, expectations: Expectations) -> Iterator[str]:  # noqa: C901, PLR0912 - a list of sentences
    """What contradicts itself in the database."""
    for reminder in found.reminders.values():
        calls = found.calls_of(reminder.id)
        if sum(call.open for call in calls) > 1:
            yield f"{reminder.id}: two open calls"
        attempts = [call.attempt for call in calls if call.attempt is not None]
        if attempts != list(range(1, len(attempts) + 1)):
            yield f"{reminder.id}: its calls are numbered {attempts}"
        if (reminder.status is Status.DIALING) > (reminder.lease_token is not None):
            yield f"{reminder.id}: dialing under no lease"
        if reminder.status is Status.SCHEDULED and reminder.lease_token is not None:
            yield f"{reminder.id}: scheduled, but leased"
        is_over = reminder.wake_at is not None and reminder.wake_at < expectations.now
        if expectations.settled and reminder.status is Status.DIALING and is_over:
            yield f"{reminder.id}: dialing past its lease"
        if reminder.external_call_id is not None and reminder.external_call_id not in _ids(record, reminder.id):
            yield f"{reminder.id}: has an id that the provider never gave it"
    for call in found.calls.values():
        if call.external_call_id is not None and call.external_call_id not in _ids(record, call.reminder_id):
            yield f"{call.id}: has an id that the provider never gave it"
        if (call.status in TERMINAL) > (call.received_at is not None):
            yield f"{call.id}: {call.status}, but nobody reported it"
        has_receipt = found.receipts.get(call.external_call_id or "", ("",))[0] == call.reminder_id
        if call.received_at is not None and call.external_call_id is not None and not has_receipt:
            yield f"{call.id}: its end was taken without a receipt"
    ends = {ring.call_id: (ring.reminder_id, ring.end) for ring in record.rings}
    for call_id, receipt in found.receipts.items():
        if ends.get(call_id) != receipt:
            yield f"{call_id}: a receipt for {receipt[1]}, but the provider's first report was {ends.get(call_id)}"


def _ids(record: Record, reminder_id: str) -> set[str]:
    return {ring.call_id for ring in record.rings_of(reminder_id)}
