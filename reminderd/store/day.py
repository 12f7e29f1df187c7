"""Read a day for the front desk (who needs a human, what waits, what is done), and the figures of several days."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Final

from attrs import frozen

from reminderd.core.model import Appointment, CallOutcome, CallState, Reminder, Response, Status
from reminderd.core.outcomes import Figure, Figures, Group, Outcome, figure_of, group_of, outcome, outcome_of_message
from reminderd.store.connection import Connection, Row
from reminderd.store.queries import NEEDS_HUMAN, ListPlace
from reminderd.store.rows import (
    APPOINTMENTS,
    CALL_OUTCOMES,
    END_CODES,
    HOLD_CODES,
    REMINDERS,
    from_ms,
    in_list,
    sql_list,
    to_ms,
)

PAGE: Final = 50
"""The number of reminders on a page of a list."""

MOST_COUNTED: Final = 1_000
"""The most reminders of other days that are counted."""

SLOT: Final = timedelta(minutes=10)
"""The length of each part of the day for which reminders are counted."""


class DayList(StrEnum):
    """A list of reminders. Its value is a part of URLs."""

    NEEDS_HUMAN = "open"
    IN_CALL = "calls"
    WAITING = "waiting"
    DONE = "done"
    EARLIER = "earlier"
    """Reminders of earlier days that still need a human."""
    LATER = "later"
    """Reminders of later days that already need a human: their number was changed, or can't be called."""


@frozen(kw_only=True)
class Day:
    """Which day, in the clinic's time."""

    since: datetime
    until: datetime
    """The first moment after it."""
    is_today: bool
    """Whether it is today, which also has the calls and the waiting reminders of other days."""


@frozen(kw_only=True)
class LastCall:
    """The newest call of a reminder as it is now."""

    state: CallState
    status: str | None
    """The provider's status; None before its first one."""
    outcome: CallOutcome | None
    """How it ended for this reminder's patient."""
    created_at: datetime


@frozen(kw_only=True)
class Entry:
    """One reminder of a list, with what staff need to see."""

    reminder: Reminder
    outcome: Outcome
    call: LastCall | None
    """None if there was no call."""
    call_outcome: CallOutcome | None
    """The outcome of the last call that has ended; None if no call has."""
    calls_ended: int
    """How many calls have ended: not `attempts`, which starts over when staff have the reminder called again."""
    appointment: Appointment | None
    """None if it belongs to no appointment, or the appointment was deleted."""

    @property
    def ref(self) -> str | None:
        """Return the name by which staff know it: its own, or that of its appointment."""
        return self.reminder.ref or (None if self.appointment is None else self.appointment.ref)


@frozen
class DayPage:
    """A part of a list."""

    entries: tuple[Entry, ...]
    following: ListPlace | None = None
    """Where the next page begins; None on the last page."""


@frozen
class Slot:
    """How many reminders of a group have their time in one part of a day."""

    number: int
    """The number of the part: it begins this many times `SLOT` after midnight."""
    group: Group
    reminders: int


@frozen(kw_only=True)
class Overview:
    """A whole day."""

    groups: Mapping[Group, int]
    """The number of reminders in each group."""
    outcomes: Mapping[Outcome, int]
    """The number of reminders of this day with each outcome."""
    slots: tuple[Slot, ...]
    """The same reminders, counted by their time."""
    lists: Mapping[DayList, DayPage]
    """The first page of each list."""
    earlier: int = 0
    """The length of the list of earlier days, up to `MOST_COUNTED`; 0 on any day but today."""
    later: int = 0
    """The length of the list of later days, in the same way."""


_OF_DAY: Final = "scheduled_at >= :since AND scheduled_at < :until"
_SCHEDULED: Final = f"status = 'scheduled' AND {NEEDS_HUMAN} IS NOT TRUE AND status <> 'called'"
_IN_CALL: Final = f"status IN {sql_list(one for one in Status if one.in_call)}"
_FINAL: Final = f"status IN {sql_list(one for one in Status if one.final)}"
_CONDITIONS: Final = {
    DayList.NEEDS_HUMAN: f"{NEEDS_HUMAN} AND {_OF_DAY}",
    DayList.IN_CALL: f"{_IN_CALL} AND {_OF_DAY}",
    DayList.WAITING: f"{_SCHEDULED} AND {_OF_DAY}",
    DayList.DONE: f"{_FINAL} AND {NEEDS_HUMAN} IS NOT TRUE AND {_OF_DAY}",
    DayList.EARLIER: f"{NEEDS_HUMAN} AND scheduled_at < :since AND phone_number <> ''",
    DayList.LATER: f"{NEEDS_HUMAN} AND scheduled_at >= :until AND phone_number <> ''",
}
_CONDITIONS_TODAY: Final = _CONDITIONS | {
    DayList.IN_CALL: f"{_IN_CALL} AND status <> 'called'",
    DayList.WAITING: f"{_SCHEDULED} AND scheduled_at < :until",
}
_NEWEST_FIRST: Final = frozenset({DayList.DONE, DayList.EARLIER})
_FIRST_PAGES: Final = (DayList.NEEDS_HUMAN, DayList.IN_CALL, DayList.WAITING, DayList.DONE)

_COUNTS: Final = f"""
SELECT status, response, end_code, hold_code, done_at IS NOT NULL AS is_done, (scheduled_at - :since) / :slot AS slot,
       count(*) AS reminders
  FROM reminders WHERE {_OF_DAY}
 GROUP BY status, response, end_code, hold_code, done_at IS NOT NULL, (scheduled_at - :since) / :slot
"""
_CALLS: Final = """
SELECT m.reminder_id, m.scheduled_at, m.spoken, c.phone_number, c.state, c.status, c.outcome, c.created_at
  FROM call_reminders AS m JOIN call_logs AS c ON c.id = m.call_id
 WHERE m.reminder_id IN {} AND m.deleted = 0 ORDER BY c.seq
"""
_APPOINTMENTS: Final = f"SELECT {APPOINTMENTS.names} FROM appointments WHERE id IN {{}}"


def read_day(connection: Connection, *, day: Day) -> Overview:
    """Return a day, with the first page of each of its lists. A transaction makes the numbers match the lists."""
    outcomes, slots = Counter[Outcome](), Counter[tuple[int, Group]]()
    for row in connection.execute(_COUNTS, _span(day) | {"slot": SLOT // timedelta(milliseconds=1)}).fetchall():
        word = outcome(
            Status(row["status"]),
            row["response"],
            END_CODES.get(row["end_code"]),
            HOLD_CODES.get(row["hold_code"]),
            is_done=bool(row["is_done"]),
        )
        outcomes[word] += row["reminders"]
        slots[row["slot"], group_of(word)] += row["reminders"]
    groups = Counter[Group]()
    for word, reminders in outcomes.items():
        groups[group_of(word)] += reminders
    if day.is_today:
        groups[Group.IN_CALL] = _count(connection, DayList.IN_CALL, day)
        groups[Group.WAITING] = _count(connection, DayList.WAITING, day)
    return Overview(
        groups={one: groups[one] for one in Group},
        outcomes=outcomes,
        slots=tuple(Slot(number, group, slots[number, group]) for number, group in sorted(slots)),
        lists={which: read_list(connection, which=which, day=day) for which in _FIRST_PAGES},
        earlier=_count(connection, DayList.EARLIER, day, MOST_COUNTED) if day.is_today else 0,
        later=_count(connection, DayList.LATER, day, MOST_COUNTED) if day.is_today else 0,
    )


def read_list(connection: Connection, *, which: DayList, day: Day, after: ListPlace | None = None) -> DayPage:
    """Return the page of a list that follows `after`, or the first page; each page takes equally long."""
    is_newest_first = which in _NEWEST_FIRST
    condition, parameters = _conditions(day)[which], _span(day) | {"limit": PAGE + 1}
    if after is not None:
        condition += f" AND (scheduled_at, id) {'<' if is_newest_first else '>'} (:after, :after_id)"
        parameters |= {"after": to_ms(after.at), "after_id": after.id}
    order = "scheduled_at DESC, id DESC" if is_newest_first else "scheduled_at, id"
    sql = f"SELECT {REMINDERS.names} FROM reminders WHERE {condition} ORDER BY {order} LIMIT :limit"
    rows = connection.execute(sql, parameters).fetchall()
    found = [REMINDERS.read(row) for row in rows[:PAGE]]
    last = found[-1] if len(rows) > PAGE else None
    return DayPage(
        entries=tuple(_entries(connection, found)),
        following=None if last is None else ListPlace(last.scheduled_at, last.id),
    )


def _count(connection: Connection, which: DayList, day: Day, most: int | None = None) -> int:
    limit = "" if most is None else " LIMIT :most"
    sql = f"SELECT count(*) FROM (SELECT 1 FROM reminders WHERE {_conditions(day)[which]}{limit}) AS counted"
    parameters = _span(day) if most is None else _span(day) | {"most": most}
    return int(connection.execute(sql, parameters).fetchone()[0])


def _conditions(day: Day) -> Mapping[DayList, str]:
    return _CONDITIONS_TODAY if day.is_today else _CONDITIONS


def _span(day: Day) -> dict[str, Any]:
    return {"since": to_ms(day.since), "until": to_ms(day.until)}


def _entries(connection: Connection, reminders: Sequence[Reminder]) -> Iterable[Entry]:
    """Yield what staff see of these reminders."""
    ids, parameters = in_list("id", (one.id for one in reminders))
    calls: dict[str, list[Row]] = {}
    for row in connection.execute(_CALLS.format(ids), parameters).fetchall():
        calls.setdefault(row["reminder_id"], []).append(row)
    names, parameters = in_list("id", {one.appointment_id for one in reminders if one.appointment_id is not None})
    rows = connection.execute(_APPOINTMENTS.format(names), parameters).fetchall()
    appointments = {row["id"]: APPOINTMENTS.read(row) for row in rows}
    for one in reminders:
        own = [_last_call(row) for row in calls.get(one.id, ()) if _is_about(row, one)]
        ends = [call.outcome for call in own if call.outcome is not None]
        yield Entry(
            reminder=one,
            outcome=outcome(one.status, one.response, one.end_code, one.hold_code, is_done=one.done_at is not None),
            call=own[-1] if own else None,
            call_outcome=ends[-1] if ends else None,
            calls_ended=len(ends),
            appointment=appointments.get(one.appointment_id or ""),
        )


def _is_about(call: Row, reminder: Reminder) -> bool:
    """Return whether a call is about a reminder as it is now: it may have been moved, or have a new number."""
    return bool(call["scheduled_at"] == to_ms(reminder.scheduled_at) and call["phone_number"] == reminder.phone_number)


def _last_call(row: Row) -> LastCall:
    return LastCall(
        state=CallState(row["state"]),
        status=row["status"],
        outcome=outcome_of_message(CALL_OUTCOMES.get(row["outcome"]), is_spoken=bool(row["spoken"])),
        created_at=from_ms(row["created_at"]),
    )


_DAYS: Final = 31
"""The most days that one query reads."""

# Counted in two partial indexes, which have the reminders by status and by response, in the order of their times. That
# takes a third of the time of grouping a day's rows. Reminders that are `called` without a response are not counted:
# they are the rest of the total. SQLite uses a partial index only if the statement repeats its condition, such as
# `status <> 'called'`.
_OTHERS: Final = tuple(one for one in Status if one is not Status.CALLED)
_COUNT_OF_DAY: Final = "(SELECT count(*) FROM reminders WHERE scheduled_at >= since AND scheduled_at < until{})"
_OF_STATUS: Final = _COUNT_OF_DAY.format(" AND status = '{0}' AND status <> 'called'")
_ANSWERED: Final = _COUNT_OF_DAY.format(" AND response = '{0}' AND response IS NOT NULL")
_ANSWERED_BUT_NOT_CALLED: Final = _COUNT_OF_DAY.format(
    f" AND response = '{{0}}' AND response IS NOT NULL AND status IN {sql_list(_OTHERS)} AND status <> 'called'"
)
_COUNTED: Final = (
    *(f"{_OF_STATUS.format(one)} AS {one}" for one in _OTHERS),
    *(f"{_ANSWERED.format(one)} - {_ANSWERED_BUT_NOT_CALLED.format(one)} AS {one}" for one in Response),
    f"{_COUNT_OF_DAY.format('')} AS reminders",
    f"{_COUNT_OF_DAY.format(f' AND {NEEDS_HUMAN}')} AS need_human",
)
_DAY: Final = "({day}, CAST(:midnight{day} AS BIGINT), CAST(:midnight{next_day} AS BIGINT))"
_FIGURES: Final = f"""
WITH days (day, since, until) AS (VALUES {{}})
SELECT {", ".join(_COUNTED)} FROM days ORDER BY day
"""


def figures_by_day(connection: Connection, *, midnights: Sequence[datetime]) -> list[Figures]:
    """Return the figures of each day, by the times of its reminders; `midnights` also has the end of the last day."""
    days = len(midnights) - 1
    return [
        one
        for first in range(0, days, _DAYS)
        for one in _of_days(connection, midnights[first : min(first + _DAYS, days) + 1])
    ]


def _of_days(connection: Connection, midnights: Sequence[datetime]) -> list[Figures]:
    moments = {f"midnight{place}": to_ms(one) for place, one in enumerate(midnights)}
    rows = connection.execute(_FIGURES.format(_listed(len(midnights) - 1)), moments).fetchall()
    return [Figures(_figures(row), row["need_human"]) for row in rows]


def _figures(row: Row) -> Counter[Figure]:
    """Return the figures of a day that are not 0."""
    counts = Counter[Figure]()
    for status in _OTHERS:
        counts[figure_of(status, None)] += row[status]
    for response in Response:
        counts[figure_of(Status.CALLED, response)] += row[response]
    counts[figure_of(Status.CALLED, None)] += row["reminders"] - counts.total()
    return +counts


@cache
def _listed(days: int) -> str:
    return ", ".join(_DAY.format(day=day, next_day=day + 1) for day in range(days))
