"""Play some days of a clinic in seconds: files are dropped, patients are called, and results are received.

The program is killed in the middle of an import, of planning, of a delivery of results, and of requests to the
provider. One call is planned an hour before each appointment, so that it comes seconds after the file.
"""

import csv
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from signal import SIGKILL
from typing import Any, Final

import httpx
import trio
from attrs import define, evolve, field, frozen
from standardwebhooks import Webhook

from reminderd.clock import SystemClock
from reminderd.core.model import Status
from reminderd.core.reasons import EndCode
from reminderd.databases import SqliteFile
from reminderd.results.webhook import AT_ONCE
from reminderd.store.connection import Connection, transaction
from reminderd.store.rows import from_ms, to_ms
from reminderd.store.sqlite.driver import OperationalError
from reminderd.store.sqlite.opening import open_sync
from tests.chaos.day_promises import Wanted, broken_calls, broken_results
from tests.chaos.invariants import Expectations, disorder, doubles, losses
from tests.chaos.provider import Clinic, Temper
from tests.chaos.record import Order, Ring
from tests.chaos.round import cancel_by_staff
from tests.chaos.snapshot import looking, reminder_of, response_to, snapshot_of
from tests.chaos.strikes import Strike, Target
from tests.chaos.twilio import ACCOUNT, PUBLIC, SENDER, TOKEN, TwilioChaos
from tests.support.hostile_provider import HostileProvider, Line, answer, hear, hostile
from tests.support.program import Program, running
from tests.support.waiting import until

DAYS: Final = 4
DAY_SECONDS: Final = 7.0
A_DAY: Final = 12
"""The number of appointments that are called on each day."""
CHANGES_A_DAY: Final = 3
LATER: Final = 700
"""The number of appointments that are called on none of these days: they make an import take a while."""

_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
_HOUR: Final = timedelta(hours=1)
_SECOND: Final = timedelta(seconds=1)
_PATIENCE: Final = 40.0
_AREA_CODES: Final = (202, 203, 205, 206, 207, 208, 209, 210)
_BY_FILE: Final = {EndCode.APPOINTMENT_MOVED, EndCode.APPOINTMENT_CANCELLED}

CONFIG: Final = """
[database]
url = "sqlite:///clinic.db"
[worker]
dialers = 4
lease_seconds = 2
outcome_timeout_seconds = 2
confirm_after_seconds = 0.5
[web]
port = 0
public_base_url = "{public}"
[provider]
kind = "twilio"
timeout_seconds = 1
calls_per_second = 0
[provider.twilio]
account_sid = "{account}"
auth_token = "{token}"
from_number = "{sender}"
[retry]
first_delay_seconds = 0.05
max_delay_seconds = 0.4
[redial]
delay_minutes = 0.002
[clinic]
country = "US"
[calling]
timezone = "America/New_York"
[messages]
templates = {{ visit = "Reminder for {{name}}: your appointment is on {{date}} at {{time}}." }}
[reminders]
before = ["1 hour"]
template = "visit"
[import]
folder = "inbox"
[import.profiles.practice]
files = "*.csv"
snapshot_days = 60
[results]
url = "{results}"
secret = "{secret}"
"""


@frozen
class Booking:
    """An appointment in the clinic's own book."""

    ref: str
    call_at: datetime
    """When the patient is to be called."""
    phone_number: str
    is_cancelled: bool = False


@define
class Received:
    """The clinic's own system: what it has received, and when it has the program killed."""

    server: HostileProvider
    kill: Callable[[str], None]
    kills_before: set[int] = field(factory=set)
    """The numbers of the requests before whose answer the program is killed."""
    kills_after: set[int] = field(factory=set)
    """The numbers of the requests after whose answer it is killed: before the answer is recorded, or later."""
    accepted: list[dict[str, Any]] = field(factory=list)
    refused: int = 0
    complaints: list[str] = field(factory=list)

    async def play(self, line: Line) -> None:
        """Accept one change, or refuse it: every eleventh is refused."""
        await hear(line)
        request, number = self.server.requests[-1], len(self.server.requests)
        event = Webhook(_SECRET).verify(request.body.decode(), dict(request.headers))["data"]
        if event["id"] != request.headers["webhook-id"]:
            self.complaints.append("the id in the header is another one")
        if number in self.kills_before:
            self.kill("killed at a delivery")
            return
        if number % 11 == 0:
            self.refused += 1
            await line.stream.send_all(answer(503))
            return
        self.accepted.append(event)
        await line.stream.send_all(answer(204))
        if number in self.kills_after:
            self.kill("killed at a delivery")


@define(kw_only=True)
class Patients(TwilioChaos):
    """A provider that also records at what time each phone rang."""

    rang_at: dict[str, datetime] = field(factory=dict)

    def rings(self, order: Order, draw: Random) -> Ring:
        ring = super().rings(order, draw)
        self.rang_at[ring.key] = SystemClock().now()
        return ring


@define(kw_only=True)
class Days:
    """The clinic, its program, and everything around them."""

    folder: Path
    seed: int
    provider: Patients
    api_url: str
    nursery: trio.Nursery
    received: Received = field(init=False)
    target: Target = field(factory=Target)
    book: dict[str, Booking] = field(factory=dict)
    wanted: dict[str, list[Wanted]] = field(factory=dict)
    happened: Counter[str] = field(factory=Counter)
    kills: int = 0
    errors: list[str] = field(factory=list)
    log: list[str] = field(factory=list)
    _numbers: "count[int]" = field(factory=lambda: count(1))
    _stopping: bool = False

    @property
    def database(self) -> Path:
        return self.folder / "clinic.db"

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    # The program

    async def keep_running(self) -> None:
        """Start the program again each time it was killed."""
        while not self._stopping:
            environ = {"REMINDERD__PROVIDER__TWILIO__API_URL": self.api_url}
            async with running("run", cwd=self.folder, env=environ) as program:
                self.target.program = program
                with trio.move_on_after(_PATIENCE):
                    async with trio.open_nursery() as nursery:
                        nursery.start_soon(self._opens, program)
                        await program.ended()
                        nursery.cancel_scope.cancel()
                self.target.program = self.target.web_url = None
                self.log += program.lines
                if program.process.returncode not in {0, -SIGKILL}:
                    self.errors.append(f"the program ended with {program.process.returncode}: {program.lines[-3:]}")
                self.errors += [f"the log has a traceback: {line}" for line in program.lines if "Traceback" in line]

    async def _opens(self, program: Program) -> None:
        self.provider.opens(self.target, await program.url())

    def kill(self, what: str) -> None:
        """Kill the program if it runs."""
        program = self.target.program
        if program is not None and program.process.returncode is None:
            program.process.kill()
            self.happened[what] += 1
            self.kills += 1

    async def kill_when(self, what: str, is_time: Callable[[Connection], bool]) -> None:
        """Kill the program as soon as another connection sees a certain state in its database."""
        while not self._stopping:
            if self.database.exists():
                try:
                    with looking(SqliteFile(self.database)) as connection:
                        while not self._stopping:
                            if is_time(connection):
                                self.kill(what)
                                return
                            await trio.sleep(0.002)
                except OperationalError:
                    pass  # it has no tables yet
            await trio.sleep(0.002)

    # The days

    async def live(self) -> None:
        """Let the days pass, then wait until everything is at rest."""
        self.inbox.mkdir()
        began = SystemClock().now()
        for number in range(LATER):
            ref = f"L-{number}"
            self.book[ref] = Booking(ref, began + timedelta(days=3, minutes=number), _phone(number))
        for day in range(DAYS + 1):
            start = SystemClock().now()
            if day < DAYS:
                self._books(start + DAY_SECONDS * _SECOND)
            self._changes(start)
            self._strikes(day)
            await self._drops(f"day{day}.csv")
            left = DAY_SECONDS - (SystemClock().now() - start).total_seconds()
            await trio.sleep(max(left, 0) if day < DAYS else 0)
        with suppress(trio.TooSlowError):  # the comparison at the end finds what was not done
            await until(self._is_at_rest)
        self._stopping = True
        if self.target.program is not None:
            self.target.program.process.terminate()

    def _books(self, start: datetime) -> None:
        """Book the appointments that are to be called on the day that starts then."""
        for place in range(A_DAY):
            number = next(self._numbers)
            call_at = start + (1.0 + place * 0.55) * _SECOND
            ref = f"A-{number}"
            self.book[ref] = Booking(ref, call_at.replace(microsecond=0), _phone(LATER + number))

    def _changes(self, start: datetime) -> None:
        """Move and cancel some of the appointments that are called last on this day, even if it begins late."""
        day = (start + _SECOND, start + DAY_SECONDS * _SECOND)
        called = [one for one in self.book.values() if day[0] <= one.call_at < day[1]]
        late = sorted(called, key=lambda one: one.call_at)[-CHANGES_A_DAY:]
        for one, change in zip(late, ("move", "cancel", "delete"), strict=False):
            self.happened[change] += 1
            if change == "move":
                self.book[one.ref] = evolve(one, call_at=one.call_at + DAY_SECONDS * _SECOND)
            elif change == "cancel":
                self.book[one.ref] = evolve(one, is_cancelled=True)
            else:
                del self.book[one.ref]

    def _strikes(self, day: int) -> None:
        if day == 0:
            self.nursery.start_soon(self.kill_when, "killed in an import", _is_half_imported)
        elif day == 1:
            self._another_program_books()
            self.nursery.start_soon(self.kill_when, "killed in planning", _is_half_planned)
        elif day == 2:
            number = len(self.received.server.requests)
            self.received.kills_before, self.received.kills_after = {number + 3}, {number + 8}
        elif day == 3:
            self.target.marked = Strike.REQUESTED

    def _another_program_books(self) -> None:
        """Write appointments with another program's SQL; the poll loop plans their reminders."""
        at = to_ms(SystemClock().now() + timedelta(days=40))
        rows = [(f"sql-{number}", f"+1404555{100 + number % 100:04}", at + number) for number in range(150)]
        self.nursery.start_soon(partial(trio.to_thread.run_sync, _insert, self.database, rows))

    async def _drops(self, name: str) -> None:
        """Write the file under another name, rename it, as the docs recommend, and wait until it was imported."""
        listed = dict(self.book)
        unfinished = self.inbox / f"{name}.part"
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(("Appointment ID", "Patient Name", "Phone", "Appointment at", "Appointment Status"))
            for one in listed.values():
                status = "Cancelled" if one.is_cancelled else "Booked"
                at = (one.call_at + _HOUR).isoformat()
                lines.writerow((one.ref, f"Patient {one.ref}", one.phone_number, at, status))
        before = SystemClock().now()
        os.utime(unfinished, (before.timestamp() - 60,) * 2)  # it was finished a minute ago
        unfinished.rename(self.inbox / name)
        done = self.inbox / "done" / name
        await until(done.exists)
        now = SystemClock().now()
        for ref in {*listed, *self.wanted}:
            booking = listed.get(ref)
            call_at = None if booking is None or booking.is_cancelled else booking.call_at
            facts = self.wanted.setdefault(ref, [])
            if not facts or facts[-1].call_at != call_at:
                facts.append(Wanted(since=now, before=before, call_at=call_at))

    def _is_at_rest(self) -> bool:
        soon = to_ms(SystemClock().now() + timedelta(minutes=10))
        with looking(SqliteFile(self.database)) as connection:
            waiting = connection.execute(
                "SELECT 1 FROM reminders WHERE wake_at < :soon UNION ALL SELECT 1 FROM call_logs WHERE wake_at < :soon"
                " UNION ALL SELECT 1 FROM appointments WHERE wake_at IS NOT NULL LIMIT 1",
                {"soon": soon},
            ).fetchone()
            stored = [row["event_id"] for row in connection.execute("SELECT event_id FROM changes")]
        are_received = {one["id"] for one in self.received.accepted} >= set(stored)
        return waiting is None and self.provider.undelivered == 0 and are_received

    # What must hold

    def broken(self) -> Iterator[str]:
        """Report what is wrong at the end."""
        yield from self.errors
        yield from self.received.complaints
        with looking(SqliteFile(self.database)) as connection:
            found = snapshot_of(connection)
            appointments = {
                row["id"]: str(row["ref"]) for row in connection.execute("SELECT id, ref FROM appointments")
            }
            belongs = {
                row["id"]: (appointments[row["appointment_id"]], from_ms(row["planned_at"]) - _HOUR)
                for row in connection.execute("SELECT id, appointment_id, planned_at FROM reminders")
            }
            stored = [
                (row["event_id"], row["subject_id"])
                for row in connection.execute("SELECT event_id, subject_id FROM changes ORDER BY seq")
            ]
        expectations = Expectations(
            now=SystemClock().now(),
            tells_all=True,
            voicemail_is_reached=False,
            answered=dict(self.provider.answered),
            pressed=frozenset(self.provider.pressed),
            cancelled=frozenset(one.id for one in found.reminders.values() if one.status == "cancelled"),
        )
        record = self.provider.record
        yield from record.complaints
        yield from doubles(record, found, expectations)
        yield from losses(record, found, expectations)
        yield from disorder(record, found, expectations)
        rang: dict[str, list[datetime]] = {ref: [] for ref in self.wanted}
        for ring in record.rings:
            rang.setdefault(belongs[ring.reminder_id][0], []).append(self.provider.rang_at[ring.key])
        by_staff = {
            belongs[one.id]
            for one in found.reminders.values()
            if one.status is Status.FAILED or (one.status is Status.CANCELLED and one.end_code not in _BY_FILE)
        }
        yield from broken_calls(self.wanted, rang, by_staff, SystemClock().now())
        yield from broken_results(
            stored, self.received.accepted, repeats=AT_ONCE * (self.kills + self.provider.strikes.total())
        )


def _phone(number: int) -> str:
    return f"+1{_AREA_CODES[number // 100]}555{100 + number % 100:04}"


def _is_half_imported(connection: Connection) -> bool:
    found = int(connection.execute("SELECT count(*) FROM appointments").fetchone()[0])
    return 0 < found < LATER


def _is_half_planned(connection: Connection) -> bool:
    row = connection.execute(
        "SELECT count(planned_at) AS planned, count(*) AS whole FROM appointments WHERE id LIKE 'sql-%'"
    ).fetchone()
    return 0 < int(row["planned"]) < int(row["whole"])


def _insert(database: Path, rows: list[tuple[str, str, int]]) -> None:
    insert = "INSERT INTO appointments (id, ref, phone_number, at, name) VALUES (?, ?, ?, ?, ?)"
    with open_sync(database) as connection:
        transaction(
            connection,
            lambda connection, _now: connection.executemany(
                insert, [(name, name, phone, at, "Patient") for name, phone, at in rows]
            ),
            SystemClock().now(),
        )


@asynccontextmanager
async def some_days(folder: Path, seed: int) -> AsyncIterator[Days]:
    """Play the days of a seed; yield them when they have ended."""
    database = folder / "clinic.db"

    async def calls(line: Line) -> None:
        await provider.serve(line)

    async def receives(line: Line) -> None:
        await received.play(line)

    async with (
        httpx.AsyncClient(timeout=5.0, trust_env=False) as client,
        hostile((calls,)) as asked,
        hostile((receives,)) as posted,
        trio.open_nursery() as nursery,
    ):
        provider = Patients(
            seed=seed,
            temper=Temper(look_up=True, loses_answers=0.05, fails=0.05, refuses=0.0, fails_look_ups=0.05, silent=0.1),
            clinic=Clinic(
                reminder_of=partial(reminder_of, SqliteFile(database)),
                response_to=partial(response_to, SqliteFile(database)),
                cancel=partial(cancel_by_staff, SqliteFile(database)),
            ),
            client=client,
            nursery=nursery,
        )
        days = Days(folder=folder, seed=seed, provider=provider, api_url=asked.url, nursery=nursery)
        received = days.received = Received(posted, kill=days.kill)
        provider.targets = [days.target]
        config = CONFIG.format(
            public=PUBLIC,
            account=ACCOUNT,
            token=TOKEN,
            sender=SENDER,
            results=f"{posted.url}/answers",
            secret=_SECRET,
        )
        (folder / "config.toml").write_text(config, encoding="utf-8")
        async with trio.open_nursery() as playing:
            playing.start_soon(days.keep_running)
            await days.live()
        yield days
        nursery.cancel_scope.cancel()
