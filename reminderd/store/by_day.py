"""Count the reminders of each day by what has become of them, from indexes alone."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Final

from reminderd.core.figures import Figure, Figures, figure_of
from reminderd.core.model import Status
from reminderd.store.connection import Connection
from reminderd.store.queries import NEEDS_HUMAN
from reminderd.store.rows import to_ms

# Each day is asked for by itself: to sort a year's rows by their codes takes three times as long.
_OF_DAY: Final = "scheduled_at >= :since AND scheduled_at < :until"
_COUNTS: Final = f"""
SELECT status, response, count(*) AS reminders FROM reminders WHERE {_OF_DAY} GROUP BY status, response
"""
_NEED_HUMAN: Final = f"SELECT count(*) FROM reminders WHERE {NEEDS_HUMAN} AND {_OF_DAY}"


def figures_by_day(connection: Connection, *, midnights: Sequence[datetime]) -> list[Figures]:
    """Return the figures of each day, by the times of its reminders.

    Args:
        connection: in a transaction.
        midnights: when each day begins, and when the last one ends.
    """
    return [_of_day(connection, since, until) for since, until in pairwise(midnights)]


def _of_day(connection: Connection, since: datetime, until: datetime) -> Figures:
    span, counts = {"since": to_ms(since), "until": to_ms(until)}, Counter[Figure]()
    for row in connection.execute(_COUNTS, span).fetchall():
        counts[figure_of(Status(row["status"]), row["response"])] += row["reminders"]
    (need_human,) = connection.execute(_NEED_HUMAN, span).fetchone()
    return Figures(counts, need_human)
