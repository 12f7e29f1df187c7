"""Count the reminders of each day by what has become of them, from indexes alone."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Final

from reminderd.core.figures import Figure, Figures, figure_of
from reminderd.core.model import Status
from reminderd.store.connection import Connection
from reminderd.store.queries import NEEDS_HUMAN
from reminderd.store.rows import to_ms

_DAYS: Final = 31
"""How many days are read in one query."""

# Each day is counted by itself: sorting a year's rows by their codes takes three times as long.
_COUNTS_OF_DAY: Final = """
SELECT {day} AS day, status, response, count(*) AS reminders FROM reminders
 WHERE scheduled_at >= :midnight{day} AND scheduled_at < :midnight{next_day} GROUP BY status, response
"""
_DAY: Final = "({day}, CAST(:midnight{day} AS BIGINT), CAST(:midnight{next_day} AS BIGINT))"
_NEED_HUMAN: Final = f"""
WITH days (day, since, until) AS (VALUES {{}})
SELECT (SELECT count(*) FROM reminders WHERE {NEEDS_HUMAN} AND scheduled_at >= since AND scheduled_at < until)
       AS reminders
  FROM days ORDER BY day
"""


def figures_by_day(connection: Connection, *, midnights: Sequence[datetime]) -> list[Figures]:
    """Return the figures of each day, by the times of its reminders.

    Args:
        connection: in a transaction.
        midnights: when each day begins, and when the last one ends.
    """
    days = len(midnights) - 1
    return [
        one
        for first in range(0, days, _DAYS)
        for one in _of_days(connection, midnights[first : min(first + _DAYS, days) + 1])
    ]


def _of_days(connection: Connection, midnights: Sequence[datetime]) -> list[Figures]:
    days = len(midnights) - 1
    moments = {f"midnight{place}": to_ms(one) for place, one in enumerate(midnights)}
    ended = connection.execute(_for_each(_COUNTS_OF_DAY, days, " UNION ALL "), moments)
    need_human = connection.execute(_NEED_HUMAN.format(_for_each(_DAY, days, ", ")), moments)
    counts = [Counter[Figure]() for _ in range(days)]
    for row in ended.fetchall():
        counts[row["day"]][figure_of(Status(row["status"]), row["response"])] += row["reminders"]
    return [Figures(one, row["reminders"]) for one, row in zip(counts, need_human.fetchall(), strict=True)]


@cache
def _for_each(statement: str, days: int, between: str) -> str:
    return between.join(statement.format(day=day, next_day=day + 1) for day in range(days))
