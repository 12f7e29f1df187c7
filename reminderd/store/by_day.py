"""Count the reminders of each day by what has become of them, from indexes alone."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Final

from reminderd.core.model import Response, Status
from reminderd.core.outcomes import Figure, Figures, figure_of
from reminderd.store.connection import Connection, Row
from reminderd.store.queries import NEEDS_HUMAN
from reminderd.store.rows import sql_list, to_ms

_DAYS: Final = 31
"""How many days are read in one query."""

# Counted in two partial indexes, which have the reminders by status and by response, in the order of their times. That
# takes a third of the time of grouping a day's rows. Reminders that are `called` without a response are not counted:
# they are the rest of the total. SQLite uses a partial index only if the statement repeats its condition, such as
# `status <> 'called'`.
_OTHERS: Final = tuple(one for one in Status if one is not Status.CALLED)
_OF_DAY: Final = "(SELECT count(*) FROM reminders WHERE scheduled_at >= since AND scheduled_at < until{})"
_OF_STATUS: Final = _OF_DAY.format(" AND status = '{0}' AND status <> 'called'")
_ANSWERED: Final = _OF_DAY.format(" AND response = '{0}' AND response IS NOT NULL")
_ANSWERED_BUT_NOT_CALLED: Final = _OF_DAY.format(
    f" AND response = '{{0}}' AND response IS NOT NULL AND status IN {sql_list(_OTHERS)} AND status <> 'called'"
)
_COUNTED: Final = (
    *(f"{_OF_STATUS.format(one)} AS {one}" for one in _OTHERS),
    *(f"{_ANSWERED.format(one)} - {_ANSWERED_BUT_NOT_CALLED.format(one)} AS {one}" for one in Response),
    f"{_OF_DAY.format('')} AS reminders",
    f"{_OF_DAY.format(f' AND {NEEDS_HUMAN}')} AS need_human",
)
_DAY: Final = "({day}, CAST(:midnight{day} AS BIGINT), CAST(:midnight{next_day} AS BIGINT))"
_COUNTS: Final = f"""
WITH days (day, since, until) AS (VALUES {{}})
SELECT {", ".join(_COUNTED)} FROM days ORDER BY day
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
    moments = {f"midnight{place}": to_ms(one) for place, one in enumerate(midnights)}
    rows = connection.execute(_COUNTS.format(_listed(len(midnights) - 1)), moments).fetchall()
    return [Figures(_counts(row), row["need_human"]) for row in rows]


def _counts(row: Row) -> Counter[Figure]:
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
