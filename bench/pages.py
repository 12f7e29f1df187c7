"""Measure whether the time of each query and page of staff depends on how many years are in the database."""

import math
import re
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from attrs import frozen

from bench.clinic import fill, fill_server
from bench.figure import Bar, Figure
from bench.postgres import not_measured, postgres
from bench.program import cpu_seconds, daemon, free_port, server
from reminderd.clock import SystemClock
from reminderd.core.logins import Role
from reminderd.core.model import Status
from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.desk.login import COOKIE
from reminderd.passwords import hash_password
from reminderd.store.any_engine import open_sync
from reminderd.store.audit import acts_on
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.day import Day, DayList, read_day, read_list
from reminderd.store.import_records import imports_between, last_import
from reminderd.store.opt_outs import page_of_opt_outs
from reminderd.store.outcome_changes import changes_after, changes_of, delivery_backlog
from reminderd.store.queries import (
    ListPlace,
    ReminderFilter,
    bundled_with,
    calls_of,
    find_reminder,
    ids_named,
    list_reminders,
    reminders_to_alert,
    waiting_to_examine,
)
from reminderd.store.shared_state import last_pause, set_pause
from reminderd.store.stats import next_wakes, read_counts, read_glance
from reminderd.store.users import Secrets, add_user, find_user, open_session
from tests.support.postgres import USER, PostgresDatabase

MANY: Final = 1_000_000
FEW: Final = 1_000
ROUNDS: Final = 15
QUICK: Final = 20
"""The most milliseconds that a query may take."""
LONGEST: Final = 100
"""The most milliseconds of CPU time that a page may take."""

Read = Callable[[Connection], object]


@frozen
class _Clinic:
    """A filled database, and a folder for the daemon that uses it."""

    folder: Path
    server: PostgresDatabase | None = None
    """The database; None if it is a file in the folder."""

    @property
    def on_server(self) -> PostgresServer | None:
        return None if self.server is None else PostgresServer(self.server.url)

    @property
    def target(self) -> Target:
        return self.on_server or SqliteFile(self.folder / "bench.db")

    def cpu_seconds(self) -> float:
        """Return the CPU time that the database server has used for us."""
        if self.server is None:
            return 0.0
        with self.server.connect() as connection:
            rows = connection.execute("SELECT pid FROM pg_stat_activity WHERE usename = %s", (USER,)).fetchall()
        return sum(cpu_seconds(pid) for (pid,) in rows)


def measure(folder: Path) -> list[Figure]:
    many, few = _Clinic(folder / "many"), _Clinic(folder / "few")
    for one, rows in ((many, MANY), (few, FEW)):
        one.folder.mkdir()
        fill(one.folder / "bench.db", rows)
    figures = [*of_queries(many, few), *of_pages(many, few)]
    with postgres() as found:
        if found is None:
            return [*figures, not_measured("pages, PostgreSQL")]
        many, few = _Clinic(folder / "pg-many", found.create()), _Clinic(folder / "pg-few", found.create())
        for database, rows in ((many.server, MANY), (few.server, FEW)):
            assert database is not None
            fill_server(database, rows)
        figures += [*of_queries(many, few), *of_pages(many, few)]
    return figures


def of_queries(many: _Clinic, few: _Clinic) -> list[Figure]:
    """Return the figures of the queries of the pages, the commands and the daemon."""
    with open_sync(many.target) as of_many, open_sync(few.target) as of_few:
        reads_of_many, reads_of_few = _reads(of_many), _reads(of_few)
        times = {
            name: (_time(of_many, reads_of_many[name]), _time(of_few, reads_of_few[name])) for name in reads_of_many
        }
    return [_figure(_named(name, many), *pair, QUICK) for name, pair in times.items()]


def of_pages(many: _Clinic, few: _Clinic) -> list[Figure]:
    """Return the figures of the pages themselves, as a browser gets them from the daemon."""
    of_many, of_few = _pages(many), _pages(few)
    return [_figure(_named(f"page: {name}", many), of_many[name], of_few[name], LONGEST) for name in of_many]


def _named(name: str, clinic: _Clinic) -> str:
    return name if clinic.server is None else f"PostgreSQL, {name}"


def _figure(name: str, many: float, few: float, most: float) -> Figure:
    meaning = f"among {MANY:,} reminders; {many / max(few, 0.01):.1f} times the {few:.1f} ms among {FEW:,}"
    return Figure(name=name, value=many, unit="ms", bar=Bar("at most", most), meaning=meaning)


def _pages(clinic: _Clinic) -> dict[str, float]:
    """Return how many milliseconds of CPU time each page takes; other programs may be busy at the same time."""
    with open_sync(clinic.target) as connection:
        now = SystemClock().now()
        token = transaction(connection, _logged_in, now)
        # Nobody is called meanwhile, so that all rounds see the same rows.
        transaction(connection, partial(set_pause, on=True, reason=None, actor="bench"), now)
    port = free_port()
    with (
        server("bench.raw_provider", "0") as raw,
        daemon(clinic.folder, provider_url=raw, desk_port=port, database=clinic.on_server) as ours,
    ):
        browser, found = _Browser(port, token), {}
        _until_idle(ours.pid)
        for name, path in _paths(browser, now).items():
            browser.get(path)  # from now on, the rows that it reads are in memory
            before = cpu_seconds(ours.pid) + clinic.cpu_seconds()
            for _ in range(ROUNDS):
                browser.get(path)
            found[name] = (cpu_seconds(ours.pid) + clinic.cpu_seconds() - before) / ROUNDS * 1000
        return found


def _until_idle(pid: int) -> None:
    """Wait until the daemon has done the work of its start, such as examining what waits."""
    used = -math.inf
    while cpu_seconds(pid) - used > 0.02:
        used = cpu_seconds(pid)
        time.sleep(0.5)


def _logged_in(connection: Connection, now: datetime) -> str:
    secrets = Secrets(password_hash=hash_password("four plain words here"), totp_secret=None)
    add_user(connection, now, name="eve", role=Role.ADMIN, secrets=secrets, actor="bench")
    user = find_user(connection, "eve")
    assert user is not None
    token = open_session(connection, now, user=user, address="127.0.0.1", step=None)
    assert token is not None
    return token


class _Browser:
    def __init__(self, port: int, token: str) -> None:
        self._connection = HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Cookie": f"{COOKIE}={token}"}

    def get(self, path: str) -> str:
        self._connection.request("GET", path, headers=self._headers)
        answer = self._connection.getresponse()
        text = answer.read().decode()
        assert answer.status == 200, f"{path}: {answer.status}"
        return text

    def search(self, **written: str) -> str:
        """Fill in the search form; return the path of its results."""
        token = re.search(r'name="csrf" value="([^"]+)"', self.get("/search"))
        assert token is not None
        headers = self._headers | {"Content-Type": "application/x-www-form-urlencoded"}
        self._connection.request("POST", "/search", urlencode({"csrf": token[1], **written}), headers)
        answer = self._connection.getresponse()
        answer.read()
        assert answer.status == 303, f"search: {answer.status}"
        return answer.headers["Location"]


def _paths(browser: _Browser, now: datetime) -> dict[str, str]:
    """Return the path of every page of the navigation, and of the pages that these link to."""
    today = browser.get("/")
    yesterday = (now - timedelta(days=1)).date()
    nav = re.findall(r'<li><a href="(/[^"]*)"', today)
    record = re.search(r'href="(/r/[^"/]+)"', today)
    assert record is not None
    return {path: path for path in nav} | {
        "yesterday": f"/?date={yesterday}",
        "a year ago": f"/?date={yesterday - timedelta(days=365)}",
        "list of what is done": "/day?list=done",
        "list of earlier days": "/day?list=earlier",
        "a reminder": record[1],
        "search by last digits": browser.search(digits="0147"),
        "search by status": browser.search(status="expired"),
        "search by answer": browser.search(response="cancel_requested"),
        "search by name": browser.search(name="visit-0000100"),
        "report of a week": f"/report?of=week&date={yesterday}",
        "report of a month": f"/report?of=month&date={yesterday}",
        "report of a year": f"/report?of=range&date={yesterday - timedelta(days=365)}&to={yesterday}",
    }


def _time(connection: Connection, read: Read) -> float:
    """Return the least milliseconds that a query takes once its rows are in memory; the rest is other load."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        snapshot(connection, read)
        taken.append(time.perf_counter() - began)
    return min(taken) * 1000


def _reads(connection: Connection) -> Mapping[str, Read]:
    """Return the queries of the pages, the commands and the daemon, by name."""
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
        wanted = ReminderFilter(**asked)  # type: ignore[arg-type]
        place = None if after is None else ListPlace(after, "")
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
        "report of a day": partial(
            list_reminders, wanted=ReminderFilter(since=midnight, until=midnight + day), limit=None
        ),
        "alerts": partial(reminders_to_alert, now=now),
        "metrics": partial(read_counts, now=now),
        "status: numbers": partial(read_glance, now=now, midnight=midnight),
        "status: those that wait": waiting_to_examine,
        "status: last import": last_import,
        "status: imports of a day": partial(imports_between, since=now - day, until=now),
        "status: pause": last_pause,
        "status: changes not received": delivery_backlog,
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
