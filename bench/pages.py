"""What staff read: does the time of each query, and of each page, depend on how many years are in the database?"""

import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import median
from typing import Final

from bench.clinic import fill
from bench.figure import Bar, Figure
from reminderd.clock import SystemClock
from reminderd.core.model import Status
from reminderd.core.phone import Numbering
from reminderd.store.changes import backlog, changes_after, changes_of
from reminderd.store.day import Day, DayList, read_day, read_list
from reminderd.store.import_records import imports_between, last_import
from reminderd.store.opt_outs import page_of_opt_outs
from reminderd.store.queries import (
    Place,
    Wanted,
    acts_on,
    bundled_with,
    calls_of,
    find_reminder,
    ids_named,
    list_reminders,
    news,
    uncallable,
)
from reminderd.store.settings import last_pause
from reminderd.store.sqlite.driver import Connection, snapshot
from reminderd.store.sqlite.opening import open_sync
from reminderd.store.stats import counts, glance, next_wakes

MANY: Final = 1_000_000
FEW: Final = 1_000
ROUNDS: Final = 15
QUICK: Final = 20
"""Milliseconds that a query may take."""
STEADY: Final = 3

Read = Callable[[Connection], object]


def measure(folder: Path) -> list[Figure]:
    for name, rows in (("many", MANY), ("few", FEW)):
        fill(folder / f"{name}.db", rows)
    return compared(folder / "many.db", folder / "few.db")


def compared(many: Path, few: Path) -> list[Figure]:
    """The figures of two databases."""
    found: list[Figure] = []
    with open_sync(many) as much, open_sync(few) as little:
        reads_of_many, reads_of_few = _reads(much), _reads(little)
        for name in reads_of_many:
            long, short = _time(much, reads_of_many[name]), _time(little, reads_of_few[name])
            found += [
                Figure(name=name, value=long, unit="ms", bar=Bar("at most", QUICK), meaning=f"among {MANY:,}"),
                Figure(name=f"{name}, ratio", value=long / short, unit="", meaning=f"to {short:.2f} ms among {FEW:,}"),
            ]
    return found


def _time(connection: Connection, read: Read) -> float:
    """The milliseconds that a query takes, once what it reads is in memory."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        snapshot(connection, read)
        taken.append(time.perf_counter() - began)
    return median(taken) * 1000


def _reads(connection: Connection) -> Mapping[str, Read]:
    """What the pages, the commands and the daemon ask, by name."""
    now = SystemClock().now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    day = timedelta(days=1)
    (reminder_id, ref, number) = connection.execute(
        "SELECT id, ref, phone_number FROM reminders WHERE scheduled_at < :now ORDER BY scheduled_at DESC LIMIT 1",
        {"now": int(now.timestamp() * 1000) - 86_400_000},
    ).fetchone()
    today = Day(since=midnight, until=midnight + day, is_today=True)
    yesterday = Day(since=midnight - day, until=midnight, is_today=False)

    def page(*, after: datetime | None = None, **asked: object) -> Read:
        wanted = Wanted(**asked)  # type: ignore[arg-type]
        place = None if after is None else Place(after, "")
        return partial(list_reminders, wanted=wanted, limit=51, newest_first=True, after=place)

    return {
        "day: today": partial(read_day, day=today),
        "day: yesterday": partial(read_day, day=yesterday),
        **{f"day: {one}": partial(read_list, which=one, day=today) for one in DayList},
        "list: newest": page(),
        "list: of a year ago": page(after=now - 365 * day),
        "list: of a day": page(since=midnight, until=midnight + day),
        "list: needs a human": page(needs_human=True),
        **{f"list: {one}": page(status=one) for one in Status},
        **{f"list: {one} of a month": page(status=one, since=now - 30 * day, until=now) for one in Status},
        "list: cancel_requested": page(response="cancel_requested"),
        "list: called and cancel_requested": page(status=Status.CALLED, response="cancel_requested"),
        "list: last 4 digits": page(phone_ending=number[-4:]),
        "list: last 7 digits": page(phone_ending=number[-7:]),
        "list: last 4 digits, no such": page(phone_ending="abcd"),
        "list: last 2 digits": page(phone_ending=number[-2:]),
        "list: last 4 digits, failed": page(phone_ending=number[-4:], status=Status.FAILED),
        "report of a day": partial(list_reminders, wanted=Wanted(since=midnight, until=midnight + day), limit=None),
        "alerts": partial(news, now=now),
        "metrics": partial(counts, now=now),
        "status: numbers": partial(glance, now=now, midnight=midnight),
        "status: can't be called": partial(uncallable, numbering=Numbering(country="DE")),
        "status: last import": last_import,
        "status: imports of a day": partial(imports_between, since=now - day, until=now),
        "status: pause": last_pause,
        "status: changes not received": backlog,
        "poll": partial(next_wakes, now=now),
        "record: by id": partial(find_reminder, id_or_ref=reminder_id),
        "record: by ref": partial(find_reminder, id_or_ref=ref),
        "record: no such": partial(find_reminder, id_or_ref="nobody"),
        "record: calls": partial(calls_of, reminder_id=reminder_id),
        "record: bundles": partial(bundled_with, reminder_id=reminder_id),
        "record: acts": partial(acts_on, reminder_id=reminder_id),
        "search: a name": partial(ids_named, name=ref),
        "search: no such name": partial(ids_named, name="nobody"),
        "list: failed and confirmed": page(status=Status.FAILED, response="confirmed"),
        "record: changes": partial(changes_of, reminder_id=reminder_id),
        "opt-outs: newest": partial(page_of_opt_outs, limit=50),
        "opt-outs: last 4 digits": partial(page_of_opt_outs, limit=50, ending=number[-4:]),
        "changes": partial(changes_after, cursor=None, limit=100),
    }
