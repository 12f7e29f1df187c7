"""Claim what is due, and decide in the same transaction what it needs."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from attrs import frozen
from loguru import logger

from reminderd.core.lifecycle.claim import NewIds, claim_reminder, unexpected_error
from reminderd.core.lifecycle.reconcile import CheckLimits, Witness, claim_call
from reminderd.core.lifecycle.transition import Ledger, Transition
from reminderd.core.model import Call, Reminder, Status
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Pace, Rules
from reminderd.store.audit import audit
from reminderd.store.connection import Connection, Rows, is_of_savepoint, savepoint
from reminderd.store.ledger import load, note_settled, save
from reminderd.store.rows import CALLS, REMINDERS, in_list, to_ms
from reminderd.store.shared_state import (
    LAST_REQUEST_AT,
    STANDSTILL,
    last_request_at,
    note_pace,
    setting_values,
    standstill,
)

MOST_ROWS: Final = 200
"""The most rows without an action that one transaction settles, so that a backlog does not keep others waiting."""

MOST_BUNDLED: Final = 500
"""The most other waiting reminders that are read to be bundled with a batch; the rest get separate calls."""

# Rows that another program has locked are left out (`skip_locked`), and claimed after its transaction: otherwise a
# transaction that stays open would stop all calls. The limits are `:limit + 0`: with a plain parameter
# there, SQLite prepares the statement again for each run, which takes several times as long as the run itself.
_TAKE_CALLS: Final = f"""
WITH due AS (
    SELECT id FROM call_logs
     WHERE wake_at IS NOT NULL AND wake_at <= :now ORDER BY wake_at, id LIMIT :limit + 0{{skip_locked}}
)
UPDATE call_logs SET wake_at = :later WHERE id IN (SELECT id FROM due) RETURNING {CALLS.names}
"""
_TAKE_REMINDERS: Final = f"""
WITH due AS (
    SELECT id FROM reminders
     WHERE wake_at IS NOT NULL AND wake_at <= :now{{except_for}} ORDER BY wake_at, id LIMIT :limit + 0{{skip_locked}}
)
UPDATE reminders SET wake_at = :later WHERE id IN (SELECT id FROM due) RETURNING {REMINDERS.names}
"""
_NOT_TO: Final = " AND phone_number NOT IN {}"
_KEEP_HELD: Final = """
WITH held AS (
    SELECT id FROM call_logs WHERE wake_at IS NOT NULL AND wake_at <= :now AND lease_token IN {tokens}{skip_locked}
)
UPDATE call_logs SET wake_at = :later WHERE id IN (SELECT id FROM held)
"""
_ENDED_AHEAD: Final = """
WITH ended AS (
    SELECT id FROM reminders
     WHERE end_code = 'too_late' AND ended_at > :now AND (wake_at IS NULL OR wake_at > :now){skip_locked}
)
UPDATE reminders SET wake_at = :now WHERE id IN (SELECT id FROM ended)
"""
_WAITING: Final = f"""
SELECT {REMINDERS.names} FROM reminders
 WHERE status = 'scheduled' AND scheduled_at BETWEEN :since AND :until AND phone_number IN {{numbers}}
 ORDER BY scheduled_at, id LIMIT :limit + 0{{skip_locked}}
"""
_WAKE: Final = """
WITH woken AS (SELECT id FROM {table} WHERE {condition}{skip_locked})
UPDATE {table} SET wake_at = :now WHERE id IN (SELECT id FROM woken)
"""


@frozen(kw_only=True)
class Capacity:
    """How much the caller can do at once."""

    requests: int
    """The most requests; 0 while no line or no provider is available. The pace limits them further."""
    checks: int
    """The most look-ups."""
    request_in: timedelta
    """The time until a request that can't be sent now is checked again; never zero."""
    held: frozenset[str] = frozenset()
    """The lease tokens under which this process works; their leases are extended, never treated as abandoned."""
    last: frozenset[str] = frozenset()
    """Phone numbers that come after all others: the provider refused them, and another call should end the pause."""


def claim(
    connection: Connection,
    now: datetime,
    *,
    capacity: Capacity,
    rules: Rules,
    witness: Witness,
    mint: Callable[[], str],
) -> list[Transition]:
    """Claim what is due and decide what it needs: calls first, then reminders. Actions are leased to the caller.

    Args:
        connection: in a write transaction.
        now: the time of the transaction.
        capacity: what can be done at once.
        rules: the clinic's rules.
        witness: what this process has seen of alive calls.
        mint: gives a new unguessable id.
    """
    claims = _Claims(connection, now, rules, witness, mint)
    # All statements until the first result is read reach a server in one round trip.
    asked = connection.execute(STANDSTILL)
    claims.keep(capacity.held)
    due = claims.due_call() if capacity.checks else None
    settings = setting_values(asked)
    paused, quiet_until = standstill(settings, rules)
    pace = Pace(rules.request_spacing, last_request_at(settings.get(LAST_REQUEST_AT)))
    may_send = requests = 0 if paused else min(capacity.requests, pace.available(now))
    not_before = max(now + capacity.request_in, pace.ready_at(now))

    def room() -> CheckLimits:
        return CheckLimits(paused=paused, request_from=None if requests > 0 else not_before)

    transitions: list[Transition] = []
    while due is not None and (
        rows := due.fetchall()
    ):  # all rows: SQLite sets no savepoint while a statement is unfinished
        decided = claims.decide_call(CALLS.read(rows[0]), room())
        requests -= sum(one.action is not None and one.action.kind.is_request for one in decided)
        transitions += decided
        is_free = sum(one.action is not None for one in transitions) < capacity.checks and len(transitions) < MOST_ROWS
        due = claims.due_call() if is_free else None
    if not (paused or (quiet_until is not None and now < quiet_until)):
        connection.execute(_ENDED_AHEAD.format(skip_locked=connection.skip_locked), {"now": to_ms(now)})
        for numbers in (capacity.last, frozenset()) if capacity.last else (frozenset(),):
            claimed = claims.reminders(requests, except_for=numbers)
            requests -= sum(one.action is not None for one in claimed)
            transitions += claimed
    if rules.request_spacing and requests < may_send:
        note_pace(connection, now)
    return transitions


@frozen
class _Claims:
    """One claim: its transaction, and everything that its decisions need."""

    connection: Connection
    now: datetime
    rules: Rules
    witness: Witness
    mint: Callable[[], str]

    def keep(self, held: frozenset[str]) -> None:
        """Extend the leases of the calls that this process still works on, even if they have run out by the clock."""
        if held:
            listed, parameters = in_list("token", sorted(held))
            keep = _KEEP_HELD.format(tokens=listed, skip_locked=self.connection.skip_locked)
            self.connection.execute(keep, {**parameters, **self._times(1)})

    def due_call(self) -> Rows:
        """Claim one call that is due; return no row if there is none."""
        take = _TAKE_CALLS.format(skip_locked=self.connection.skip_locked)
        return self.connection.execute(take, self._times(1))

    def decide_call(self, call: Call, room: CheckLimits) -> list[Transition]:
        """Decide what an alive call needs; after an unexpected error, it is checked again later."""
        try:
            with savepoint(self.connection):
                before = load(self.connection, self.rules, self.now, calls=[call])
                transition = claim_call(
                    before, call, token=self.mint(), room=room, witness=self.witness, rules=self.rules, now=self.now
                )
                save(self.connection, before, transition.ledger, self.now)
        except Exception as error:  # whatever another program wrote, the rows after it must be checked
            if not is_of_savepoint(self.connection, error):
                raise  # an error of the database, not of this row
            self._log(error, "this call", reminder=call.reminder_id, call=call.id)
            transition = Transition(ledger=Ledger(), call=call)
        return [transition]

    def reminders(self, requests: int, *, except_for: frozenset[str] = frozenset()) -> list[Transition]:
        """Claim reminders for this many requests, until nothing more is due or one transaction has enough.

        Reminders for the numbers in `except_for` are not claimed.
        """
        listed, numbers = in_list("number", sorted(except_for))
        others = _NOT_TO.format(listed) if except_for else ""
        take = _TAKE_REMINDERS.format(except_for=others, skip_locked=self.connection.skip_locked)
        transitions: list[Transition] = []
        left = requests
        while left > 0 and len(transitions) < MOST_ROWS:
            rows = self.connection.execute(take, {**numbers, **self._times(left)}).fetchall()
            claimed = sorted(map(REMINDERS.read, rows), key=lambda one: (one.scheduled_at, one.id))
            decided = self._decide_reminders(claimed)
            transitions += decided
            if len(claimed) < left:
                break
            left -= sum(one.action is not None for one in decided)
        return transitions

    def _decide_reminders(self, claimed: Sequence[Reminder]) -> list[Transition]:
        """Decide what each reminder needs, with one read for all; an error in one does not affect the others."""
        if not claimed:
            return []
        try:
            with savepoint(self.connection):
                return self._decide_together(claimed)
        except Exception as error:  # whatever another program wrote, the reminders after it must be called
            if not is_of_savepoint(self.connection, error):
                raise
            if len(claimed) > 1:
                return [transition for one in claimed for transition in self._decide_reminders([one])]
            self._log(error, "this reminder", reminder=claimed[0].id)
            is_locked = self.connection.store_error(error) is not None
            return [] if is_locked else self._unexpected_error(claimed[0])

    def _unexpected_error(self, reminder: Reminder) -> list[Transition]:
        """End a reminder after an unexpected error; if that fails, too, it is checked again after a lease."""
        before = Ledger().put(reminder)
        transition = unexpected_error(before, reminder, self.now)
        try:
            with savepoint(self.connection):
                save(self.connection, before, transition.ledger, self.now)
        except Exception as error:
            if not is_of_savepoint(self.connection, error):
                raise
            self._log(error, "this reminder", reminder=reminder.id)
            return []
        return [transition]

    def _log(self, error: Exception, what: str, **ids: str) -> None:
        """Log why a row is checked again only after its lease: a bug, or another program's lock on it."""
        locked = self.connection.store_error(error)
        if locked is None:
            logger.bind(**ids).exception(f"unexpected error with {what}")
        else:
            logger.bind(**ids).warning(f"{what} is checked again later: {locked}")

    def _decide_together(self, claimed: Sequence[Reminder]) -> list[Transition]:
        before = load(self.connection, self.rules, self.now, reminders=[*self._bundled(claimed), *claimed])
        ledger, decided = before, []
        for one in claimed:
            reminder = ledger.reminders[one.id]
            if reminder.status is Status.DIALING and reminder != one:
                continue  # bundled with one that was decided earlier
            transition = claim_reminder(
                ledger,
                reminder,
                new_ids=NewIds(self.mint(), self.mint()),
                witness=self.witness,
                rules=self.rules,
                now=self.now,
            )
            ledger = transition.ledger
            decided.append(transition)
        save(self.connection, before, ledger, self.now)
        for one in ledger.reminders.values():
            if one.end_code is EndCode.OPTED_OUT and one != before.reminders[one.id]:  # by another program's SQL
                audit(self.connection, self.now, actor="another program", act="opt-out", reminder_id=one.id)
        note_settled(self.connection, self.now, before, ledger, actor="another program")
        return decided

    def _bundled(self, claimed: Sequence[Reminder]) -> list[Reminder]:
        """Return the other waiting reminders of these reminders' numbers that may belong to the same calls."""
        within = self.rules.group_within
        if not within:
            return []
        listed, parameters = in_list("number", sorted({one.phone_number for one in claimed}))
        times = [one.scheduled_at for one in claimed]
        rows = self.connection.execute(
            _WAITING.format(numbers=listed, skip_locked=self.connection.skip_locked),
            {
                **parameters,
                "since": to_ms(min(times) - within),
                "until": to_ms(max(times) + within),
                "limit": MOST_BUNDLED,
            },
        ).fetchall()
        return [REMINDERS.read(row) for row in rows]

    def _times(self, limit: int) -> dict[str, int]:
        return {"now": to_ms(self.now), "later": to_ms(self.now + self.rules.lease), "limit": limit}


def wake_waiting(connection: Connection, now: datetime, *, lease: timedelta | None = None) -> None:
    """Have every row that waits for a reason checked now: the hours, the limits or the clock may have changed.

    This never changes who is called: every claim decides again. With `lease`, calls whose lease lasts longer are
    checked, too: a clock that was ahead set its end, and the call of a killed process would wait as long.
    """
    wake = partial(_wake, connection, {"now": to_ms(now)})
    wake("reminders", "wake_at > :now AND status = 'scheduled' AND hold_code IS NOT NULL")
    # A row that another program changed while the clock was ahead waits until that time.
    wake("reminders", "wake_at > :now AND wake_at > scheduled_at AND hold_code IS NULL")
    wake("call_logs", "wake_at > :now AND lease_token IS NULL")
    # A clock that was ahead may have left out their calls as too late.
    wake("appointments", "status = 'booked' AND at > :now AND updated_at > :now")
    if lease is not None:
        _wake(connection, {"now": to_ms(now), "latest": to_ms(now + lease)}, "call_logs", "wake_at > :latest")


def _wake(connection: Connection, times: Mapping[str, int], table: str, condition: str) -> None:
    """Have rows checked now; those that another program has locked are checked at their own time."""
    connection.execute(_WAKE.format(table=table, condition=condition, skip_locked=connection.skip_locked), times)
