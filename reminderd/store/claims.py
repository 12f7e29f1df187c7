"""Claiming: taking due rows under a lease, and deciding in the same transaction what each of them needs."""

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from attrs import evolve
from loguru import logger

from reminderd.core.lifecycle import Errand, Step, Surroundings, Waiting, may_have_been_rung, put_aside, wake
from reminderd.core.reminder import Call, Reminder, Status, newest_call
from reminderd.core.rules import Rules
from reminderd.store.company import beside, leading_of, riders_of
from reminderd.store.driver import Connection, trouble
from reminderd.store.facts import free_from, number_busy, opted_out, paused, restored_at
from reminderd.store.rows import load_calls, load_reminder, reminder_from, save, save_other, to_ms

PAUSE_RECHECK: Final = timedelta(minutes=1)
"""During a staff's pause, requests that wait for its end look again so often."""

MOST_ROWS: Final = 200
"""Rows without an errand that one transaction settles at most, so that a backlog does not keep others waiting."""

_TAKE: Final = """
UPDATE reminders SET lease_token = :token || '.' || rowid, wake_at = :lease_end
 WHERE id IN (SELECT id FROM reminders
               WHERE wake_at IS NOT NULL AND wake_at <= :now AND status {which} 'scheduled'
               ORDER BY wake_at, id LIMIT :limit)
RETURNING *
"""
TAKE_TO_DIAL: Final = _TAKE.format(which="=")
TAKE_TO_CHECK: Final = _TAKE.format(which="<>")

_KEEP_HELD: Final = """
UPDATE reminders SET wake_at = :lease_end
 WHERE wake_at IS NOT NULL AND wake_at <= :now AND status <> 'scheduled'
   AND lease_token IN (SELECT value FROM json_each(:held))
"""


def claim(
    connection: Connection,
    now: datetime,
    *,
    dials: int,
    checks: int,
    dial_in: timedelta,
    held: frozenset[str],
    rules: Rules,
    mint: Callable[[], str],
) -> list[Step]:
    """Take what is due and decide what it needs; the steps with an errand are leased to the caller.

    Args:
        connection: inside a write transaction.
        now: the time of the transaction.
        dials: requests that can be sent at once; 0 while a line, a pacing token or the provider is missing.
        checks: look-ups that can be made at once.
        dial_in: how long, from `now`, until a request that can't be sent now is worth looking at again; not nothing.
        held: the tokens this process works under; their rows are never declared dead here, but leased on.
        rules: the clinic's.
        mint: gives a new unguessable id.
    """
    is_paused = paused(connection)
    if is_paused:
        dials, dial_in = 0, PAUSE_RECHECK
    _keep_held(connection, now, held, rules)
    resends_left = dials

    def decide_check(reminder: Reminder) -> list[Step]:
        nonlocal resends_left
        dial_from = None if resends_left > 0 else now + dial_in
        steps = _decide(connection, now, reminder, Surroundings(paused=is_paused, dial_from=dial_from), rules, mint)
        resends_left -= sum(step.errand is Errand.RESEND for step in steps)
        return steps

    def decide_dial(reminder: Reminder) -> list[Step]:
        return _decide(connection, now, reminder, Surroundings(paused=is_paused), rules, mint)

    take = partial(_take, connection, now=now, rules=rules, mint=mint)
    steps = _take_and_decide(partial(take, TAKE_TO_CHECK), decide_check, checks)
    return steps + _take_and_decide(partial(take, TAKE_TO_DIAL), decide_dial, resends_left)


def _take_and_decide(
    take: Callable[[int], list[Reminder]], decide: Callable[[Reminder], list[Step]], room: int
) -> list[Step]:
    """Take rows until there is an errand for all of `room`, nothing more is due, or it has been enough for one go."""
    steps: list[Step] = []
    errands = 0
    while errands < room and len(steps) < MOST_ROWS:
        limit = room - errands
        taken = take(limit)
        decided = [step for reminder in taken for step in decide(reminder)]
        steps += decided
        errands += sum(step.errand is not None for step in decided)
        if len(taken) < limit:
            break
    return steps


def _take(
    connection: Connection, sql: str, limit: int, *, now: datetime, rules: Rules, mint: Callable[[], str]
) -> list[Reminder]:
    rows = connection.execute(
        sql, {"token": mint(), "lease_end": to_ms(now + rules.lease), "now": to_ms(now), "limit": limit}
    ).fetchall()  # all of them before anything else: SQLite applies the update as rows are fetched
    order = sorted(rows, key=lambda row: (row["scheduled_at"], row["id"]))
    return [reminder_from(row) for row in order]


def _decide(
    connection: Connection,
    now: datetime,
    reminder: Reminder,
    around: Surroundings,
    rules: Rules,
    mint: Callable[[], str],
) -> list[Step]:
    """What one row needs, and what becomes of others with it; nothing if it has joined another's call meanwhile.

    A row that breaks us is put aside alone, with the traceback in the log.
    """
    if rules.group_within and not _is_still_taken(connection, reminder):
        return []
    connection.execute("SAVEPOINT row")
    try:
        calls = load_calls(connection, reminder.id)
        around = _looked_around(connection, now, reminder, calls, around, rules)
        step = wake(
            reminder,
            calls,
            around=around,
            rules=rules,
            now=now,
            token=reminder.lease_token or "",
            new_call_id=mint(),
        )
        save(connection, reminder, calls, step, now)
        for other in step.others:
            save_other(connection, other, now)
    except Exception as error:  # whatever a foreign program wrote, the rows behind it must be rung
        if trouble(error) is not None:
            raise  # the database's, not this row's
        logger.bind(reminder=reminder.id).exception("this row broke us")
        connection.execute("ROLLBACK TO row")
        step = put_aside(reminder, now)
        save(connection, reminder, (), step, now)
    connection.execute("RELEASE row")
    return [step, *step.others]


def _looked_around(
    connection: Connection,
    now: datetime,
    reminder: Reminder,
    calls: tuple[Call, ...],
    around: Surroundings,
    rules: Rules,
) -> Surroundings:
    """All that the decision on a row must know beyond it."""
    is_busy = number_busy(connection, reminder.phone_number, except_for=reminder.id)
    free = free_from(connection, reminder, rules, now)
    may_lead = rules.group_within and reminder.status is Status.SCHEDULED and not is_busy and free is None
    return evolve(
        around,
        opted_out=opted_out(connection, reminder.phone_number),
        number_busy=is_busy,
        number_free_from=free,
        restored_at=restored_at(connection, reminder.id),
        beside=_beside(connection, reminder, rules) if may_lead else (),
        riders=riders_of(connection, newest_call(calls)),
        leading=None if reminder.said_with is None else leading_of(connection, reminder),
    )


def _beside(connection: Connection, reminder: Reminder, rules: Rules) -> tuple[Waiting, ...]:
    """Those that may be said along with this one: not what may have been rung before a restore."""
    return tuple(
        other
        for other in beside(connection, reminder, rules.group_within)
        if not may_have_been_rung(
            other.reminder, other.calls, restored_at(connection, other.reminder.id), rules.group_within
        )
    )


def _is_still_taken(connection: Connection, reminder: Reminder) -> bool:
    """Whether the row is as it was taken: one that was decided on before it may have taken it along."""
    row = load_reminder(connection, reminder.id)
    return row is not None and row.lease_token == reminder.lease_token


def _keep_held(connection: Connection, now: datetime, held: frozenset[str], rules: Rules) -> None:
    """Lease on what this process still works on, though the clock says that its time is over."""
    if not held:
        return
    connection.execute(
        _KEEP_HELD, {"lease_end": to_ms(now + rules.lease), "now": to_ms(now), "held": json.dumps(sorted(held))}
    )
