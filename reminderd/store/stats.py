"""Read when the next row is due, for each turn of the poll loop, and the numbers that are watched.

These are what waits, what is alive, and the outcomes of the last day. Each query uses an index and has an upper bound,
so a scrape every few seconds delays nobody, however large the file is.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from attrs import frozen

from reminderd.core.model import CallState, Status
from reminderd.core.monitoring import LAST_DAY, STUCK_AFTER, Counts, Glance
from reminderd.core.outcomes import NEED_A_HUMAN, Outcome, outcome
from reminderd.core.reasons import HoldCode
from reminderd.store.connection import Connection
from reminderd.store.rows import CALL_OUTCOMES, END_CODES, from_ms, sql_list, to_ms
from reminderd.store.shared_state import last_pause, last_request_at, paused, unreached_since

MOST_WAITING: Final = 100_000
"""The most reminders that are counted among those that are not final."""

MOST_OF_A_DAY: Final = 10_000
"""The most reminders of the last day that are counted, the latest first."""

_WAKES: Final = """
SELECT (SELECT min(wake_at) FROM reminders WHERE wake_at IS NOT NULL) AS reminder,
       (SELECT min(wake_at) FROM call_logs WHERE wake_at IS NOT NULL) AS call,
       EXISTS (SELECT 1 FROM appointments WHERE wake_at IS NOT NULL) AS unplanned,
       EXISTS (SELECT 1 FROM reminders WHERE end_code = 'too_late' AND ended_at > :now) AS ended_ahead,
       (SELECT value FROM settings WHERE key = 'paused') AS paused,
       (SELECT value FROM settings WHERE key = 'restored_at') AS restored_at,
       (SELECT value FROM settings WHERE key = 'unreached_since') AS unreached_since,
       (SELECT value FROM settings WHERE key = 'last_request_at') AS last_request_at
"""
_ALIVE: Final = "SELECT id, last_sign_at FROM call_logs WHERE wake_at IS NOT NULL ORDER BY wake_at"

_WAITING: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM reminders WHERE wake_at IS NOT NULL AND status = 'scheduled' LIMIT :most
) AS waiting
"""
_IN_CALLS: Final = f"""
SELECT status, count(*) AS reminders FROM reminders
 WHERE status IN {sql_list(one for one in Status if one.in_call)}
   AND id IN (SELECT reminder_id FROM call_reminders
               WHERE call_id IN (SELECT id FROM call_logs WHERE wake_at IS NOT NULL))
 GROUP BY status
"""
_DAY: Final = """
SELECT id, status, response, end_code, done_at IS NOT NULL AS is_done FROM reminders
 WHERE scheduled_at > :since AND scheduled_at <= :now ORDER BY scheduled_at DESC, id DESC LIMIT :most
"""
_ENDED: Final = f"""
SELECT status, response, end_code, is_done, count(*) AS reminders FROM ({_DAY}) AS day
 WHERE status IN {sql_list(one for one in Status if one.final)} GROUP BY status, response, end_code, is_done
"""
_CALLS: Final = f"""
SELECT state, count(*) AS calls FROM call_logs
 WHERE id IN (SELECT call_id FROM call_reminders WHERE reminder_id IN (SELECT id FROM ({_DAY}) AS day))
 GROUP BY state
"""
_OUTCOMES: Final = f"""
SELECT outcome, count(*) AS calls FROM call_logs
 WHERE id IN (SELECT call_id FROM call_reminders WHERE reminder_id IN (SELECT id FROM ({_DAY}) AS day))
   AND outcome IS NOT NULL GROUP BY outcome
"""
_DUE: Final = """
SELECT count(*) AS reminders, min(wake_at) AS since FROM (
    SELECT wake_at FROM reminders
     WHERE wake_at IS NOT NULL AND wake_at <= :now AND status = 'scheduled' ORDER BY wake_at LIMIT :most
) AS due
"""
_UNATTENDED: Final = "SELECT min(wake_at) FROM call_logs WHERE wake_at IS NOT NULL AND wake_at <= :now"
_DUE_BEFORE: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM reminders WHERE wake_at IS NOT NULL AND wake_at <= :until AND status = 'scheduled' LIMIT :most
) AS due
"""
_STUCK: Final = """
SELECT count(*) FROM (SELECT 1 FROM call_logs WHERE wake_at IS NOT NULL AND wake_at <= :until LIMIT :most) AS stuck
"""
_HELD: Final = """
SELECT hold_code, count(*) AS reminders FROM (
    SELECT hold_code FROM reminders WHERE hold_code IS NOT NULL AND wake_at IS NOT NULL ORDER BY wake_at LIMIT :most
) AS held GROUP BY hold_code ORDER BY count(*) DESC, hold_code
"""
_FAILED: Final = f"""
SELECT count(*) FROM reminders
 WHERE scheduled_at >= :since AND scheduled_at <= :now
   AND status IN {sql_list(one for one in Status if outcome(one, None, None) in NEED_A_HUMAN)} AND done_at IS NULL
"""
_NUMBER_CHANGED: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM reminders
     WHERE hold_code = 'number_changed' AND status = 'scheduled' AND wake_at IS NOT NULL LIMIT :most
) AS held
"""
_LAST_REPORT: Final = "SELECT max(received_at) FROM webhook_receipts"


@frozen
class Wakes:
    """When the next row must be checked (None if no row must be), and the current state."""

    reminder: datetime | None
    call: datetime | None
    paused: bool
    """Whether staff have paused dialing."""
    restored_at: datetime | None = None
    """When a backup was last restored; None if never."""
    alive: tuple[tuple[str, datetime], ...] | None = ()
    """The id of each alive call, with its last sign of life; None if they were not read."""
    unreached_since: datetime | None = None
    """Since when the provider does not reach our address; None if it does."""
    unplanned: bool = False
    """Whether there are appointments to be planned."""
    last_request_at: datetime | None = None
    """When the last request was sent, if calls per second are limited; None if none was sent."""


def next_wakes(connection: Connection, now: datetime, *, alive: bool = True) -> Wakes:
    """Return the earliest `wake_at` among reminders and among calls.

    A reminder that expired because the clock was ahead is due now. Alive calls, of which there may be thousands, are
    read only with `alive`, or if one of them is due.
    """
    wakes = connection.execute(_WAKES, {"now": to_ms(now)})
    calls = connection.execute(_ALIVE) if alive else None  # sent in one round trip
    row = wakes.fetchone()
    call = None if row["call"] is None else from_ms(row["call"])
    if calls is None and call is not None and call <= now:
        calls = connection.execute(_ALIVE)
    reminder = None if row["reminder"] is None else from_ms(row["reminder"])
    if row["ended_ahead"]:
        reminder = now if reminder is None else min(reminder, now)
    return Wakes(
        reminder=reminder,
        call=call,
        paused=row["paused"] == "true",
        restored_at=None if row["restored_at"] is None else from_ms(int(row["restored_at"])),
        alive=None if calls is None else tuple((one["id"], from_ms(one["last_sign_at"])) for one in calls.fetchall()),
        unreached_since=None if row["unreached_since"] is None else from_ms(int(row["unreached_since"])),
        unplanned=bool(row["unplanned"]),
        last_request_at=last_request_at(row["last_request_at"]),
    )


def read_counts(connection: Connection, *, now: datetime) -> Counts:
    """Return the numbers for a scrape."""
    day = {"now": to_ms(now), "since": to_ms(now - LAST_DAY), "most": MOST_OF_A_DAY}
    waiting = {"now": to_ms(now), "most": MOST_WAITING}
    ended, need_human = Counter[Status](), Counter[Outcome]()
    for row in connection.execute(_ENDED, day).fetchall():
        status = Status(row["status"])
        ended[status] += row["reminders"]
        code, is_done = END_CODES.get(row["end_code"]), bool(row["is_done"])
        need_human[outcome(status, row["response"], code, is_done=is_done)] += row["reminders"]
    (need_human[Outcome.NUMBER_CHANGED],) = connection.execute(_NUMBER_CHANGED, {"most": MOST_WAITING}).fetchone()
    due = connection.execute(_DUE, waiting).fetchone()
    (unattended_since,) = connection.execute(_UNATTENDED, {"now": to_ms(now)}).fetchone()
    in_calls = {Status(row["status"]): row["reminders"] for row in connection.execute(_IN_CALLS).fetchall()}
    (scheduled,) = connection.execute(_WAITING, {"most": MOST_WAITING}).fetchone()
    return Counts(
        waiting={Status.SCHEDULED: scheduled, **in_calls},
        ended=ended,
        calls={CallState(row["state"]): row["calls"] for row in connection.execute(_CALLS, day).fetchall()},
        outcomes={
            CALL_OUTCOMES[row["outcome"]]: row["calls"]
            for row in connection.execute(_OUTCOMES, day).fetchall()
            if row["outcome"] in CALL_OUTCOMES
        },
        need_human={word: need_human[word] for word in NEED_A_HUMAN},
        due=due["reminders"],
        due_since=None if due["since"] is None else from_ms(due["since"]),
        unattended_since=None if unattended_since is None else from_ms(unattended_since),
        paused=paused(connection),
    )


def read_glance(connection: Connection, *, now: datetime, midnight: datetime) -> Glance:
    """Return the numbers for `reminderd status`; `midnight` is the beginning of the clinic's day."""
    found = read_counts(connection, now=now)

    def count(sql: str, **moments: datetime) -> int:
        parameters = {name: to_ms(moment) for name, moment in moments.items()} | {"most": MOST_WAITING}
        return int(connection.execute(sql, parameters).fetchone()[0])

    (report,) = connection.execute(_LAST_REPORT).fetchone()
    at = (last_pause(connection) or {}).get("at")
    codes = {str(code): code.sentence for code in HoldCode}
    held = connection.execute(_HELD, {"most": MOST_WAITING}).fetchall()
    return Glance(
        due_next_hour=count(_DUE_BEFORE, until=now + timedelta(hours=1)),
        due=found.due,
        due_since=found.due_since,
        in_flight=sum(found.waiting.get(one, 0) for one in Status if one.in_call),
        stuck=count(_STUCK, until=now - STUCK_AFTER),
        held={codes.get(row["hold_code"], row["hold_code"]): row["reminders"] for row in held},
        failed_today=count(_FAILED, since=midnight, now=now),
        last_report=None if report is None else from_ms(report),
        paused=found.paused,
        paused_since=at if isinstance(at, datetime) else None,
        unreached_since=unreached_since(connection),
    )
