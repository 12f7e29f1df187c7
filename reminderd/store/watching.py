"""Questions of those who watch: how much waits, what has become of the last day's, what is stuck.

Each is answered from an index, and counts no more than it says: a scrape every few seconds holds nobody up, however
large the file is.
"""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final

from reminderd.core.health import STUCK_AFTER, Glance
from reminderd.core.outcomes import NEED_A_HUMAN, Outcome, outcome
from reminderd.core.reminder import Status
from reminderd.core.watching import LAST_DAY, Counts, call_word
from reminderd.store.driver import Connection
from reminderd.store.facts import paused
from reminderd.store.pauses import last_pause
from reminderd.store.rows import from_ms, to_ms

MOST_WAITING: Final = 100_000
"""So many reminders that are not final are counted at most …"""

MOST_OF_A_DAY: Final = 10_000
"""… and so many of the last day, the latest first."""

_WAITING: Final = """
SELECT status, count(*) FROM (
    SELECT status FROM reminders WHERE wake_at IS NOT NULL AND status = 'scheduled' LIMIT :most
) GROUP BY status
UNION ALL
SELECT status, count(*) FROM (
    SELECT status FROM reminders WHERE wake_at IS NOT NULL AND status <> 'scheduled' LIMIT :most
) WHERE status IN ('dialing', 'processing') GROUP BY status
"""

_DAY: Final = """
SELECT id, status, response FROM reminders
 WHERE scheduled_at > :since AND scheduled_at <= :now ORDER BY scheduled_at DESC, id DESC LIMIT :most
"""
_ENDED: Final = f"""
SELECT status, response, count(*) AS reminders FROM ({_DAY})
 WHERE status IN ('called', 'failed', 'expired', 'cancelled') GROUP BY status, response
"""
_CALLS: Final = f"""
SELECT call_logs.status, count(*) FROM ({_DAY}) AS day JOIN call_logs ON call_logs.reminder_id = day.id
 GROUP BY call_logs.status
"""
_DUE: Final = """
SELECT count(*), min(wake_at) FROM (
    SELECT wake_at FROM reminders
     WHERE wake_at IS NOT NULL AND wake_at <= :now AND status = 'scheduled' ORDER BY wake_at LIMIT :most
)
"""
_UNATTENDED: Final = """
SELECT min(wake_at) FROM reminders WHERE wake_at IS NOT NULL AND wake_at <= :now AND status <> 'scheduled'
"""

_DUE_BEFORE: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM reminders WHERE wake_at IS NOT NULL AND wake_at <= :until AND status = 'scheduled' LIMIT :most
)
"""
_STUCK: Final = """
SELECT count(*) FROM (
    SELECT 1 FROM reminders WHERE wake_at IS NOT NULL AND wake_at <= :until AND status <> 'scheduled' LIMIT :most
)
"""
_HELD_BACK: Final = """
SELECT hold_reason, count(*) FROM (
    SELECT hold_reason FROM reminders WHERE wake_at IS NOT NULL AND status = 'scheduled' ORDER BY wake_at LIMIT :most
) WHERE hold_reason IS NOT NULL GROUP BY hold_reason ORDER BY count(*) DESC, hold_reason
"""
_FAILED: Final = """
SELECT count(*) FROM reminders WHERE scheduled_at >= :since AND scheduled_at <= :now AND status IN ('failed', 'expired')
"""
# Receipts are only added, so that the last row is the newest; there is no index by time.
_LAST_REPORT: Final = "SELECT received_at FROM webhook_receipts ORDER BY rowid DESC LIMIT 1"


def counts(connection: Connection, *, now: datetime) -> Counts:
    """The numbers for a scrape."""
    day = {"now": to_ms(now), "since": to_ms(now - LAST_DAY), "most": MOST_OF_A_DAY}
    waiting = {"now": to_ms(now), "most": MOST_WAITING}
    ended, need_human, calls = Counter[Status](), Counter[Outcome](), Counter[str]()
    for status, response, reminders in connection.execute(_ENDED, day).fetchall():
        ended[Status(status)] += reminders
        need_human[outcome(Status(status), response, None)] += reminders
    for status, times in connection.execute(_CALLS, day).fetchall():
        calls[call_word(status)] += times
    due, due_since = connection.execute(_DUE, waiting).fetchone()
    (unattended_since,) = connection.execute(_UNATTENDED, waiting).fetchone()
    return Counts(
        waiting={Status(status): reminders for status, reminders in connection.execute(_WAITING, waiting).fetchall()},
        ended=ended,
        calls=calls,
        need_human={word: need_human[word] for word in NEED_A_HUMAN},
        due=due,
        due_since=None if due_since is None else from_ms(due_since),
        unattended_since=None if unattended_since is None else from_ms(unattended_since),
        paused=paused(connection),
    )


def glance(connection: Connection, *, now: datetime, midnight: datetime) -> Glance:
    """The numbers for `reminderd status`; `midnight` is when the clinic's day began."""
    found = counts(connection, now=now)

    def count(sql: str, **moments: datetime) -> int:
        parameters = {name: to_ms(moment) for name, moment in moments.items()} | {"most": MOST_WAITING}
        return int(connection.execute(sql, parameters).fetchone()[0])

    report = connection.execute(_LAST_REPORT).fetchone()
    at = (last_pause(connection) or {}).get("at")
    return Glance(
        due_next_hour=count(_DUE_BEFORE, until=now + timedelta(hours=1)),
        due=found.due,
        due_since=found.due_since,
        in_flight=found.waiting.get(Status.DIALING, 0) + found.waiting.get(Status.PROCESSING, 0),
        stuck=count(_STUCK, until=now - STUCK_AFTER),
        held_back=dict(connection.execute(_HELD_BACK, {"most": MOST_WAITING}).fetchall()),
        failed_today=count(_FAILED, since=midnight, now=now),
        last_report=None if report is None else from_ms(report[0]),
        paused=found.paused,
        paused_since=at if isinstance(at, datetime) else None,
    )
