"""Send tables to the import and requests to the HTTP API, and note them in the clinic's own book.

The book records what the clinic meant by a line, whatever the program has read.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from typing import Any, Final
from zoneinfo import ZoneInfo

from attrs import define, evolve, field, frozen

from reminderd.core.requests import Reading
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import Decision, Intake
from reminderd.store.intake import API, RequestsRefusedError, Source
from reminderd.store.reminders import put_all, stored_reminder, withdraw
from reminderd.web.api import read_requests
from reminderd.web.documents import ProblemError
from tests.chaos.carrier import message_for
from tests.chaos.imports import READ_NUMBER, import_table
from tests.chaos.other_programs import Book, Wanted
from tests.chaos.readings import (
    broken_by_a_line,
    broken_by_a_request,
    broken_by_a_table,
    broken_by_refusing,
    broken_by_showing,
)
from tests.chaos.tables import BERLIN, SPOILED, SPOILED_PHONES, Line, Shape, number_of, rendered, spelled, zone_of
from tests.chaos.two_processes import TwoProcesses, holds
from tests.support.builders import MINUTE
from tests.support.store import Store

PHONES: Final = ("+12025550001", "+12025550002", "+12025550003")
MOST_REMINDERS: Final = 8


@frozen(kw_only=True)
class Ask:
    """The parts of a line to be written that do not depend on the clinic's present reminders."""

    which: int | None = None
    """Which of the reminders that have a `ref`; None for a new one."""
    phone_number: str | None = None
    """The phone number; None to keep the present one."""
    after: timedelta | None = None
    """The time after which to call; None to keep the present time."""
    lasts: timedelta | None = None
    """How long the reminder may be called; None for the clinic's maximum lateness."""
    timezone: str | None = None
    has_ref: bool = True
    is_called_off: bool = False
    spoiled: str | None = None


CHOICES: Final[Mapping[str, Sequence[Any]]] = {
    "which": (None, None, *range(5)),
    "phone_number": (None, None, None, *PHONES[:2]),
    "after": (None, *(by * MINUTE for by in (-60, 0, 0, 10, 60, 24 * 60))),
    "lasts": (None, None, None, 20 * MINUTE, 30 * 60 * MINUTE),
    "timezone": (None, None, "America/New_York", "Asia/Kolkata"),
    "has_ref": (True, True, False),
    "is_called_off": (False, False, False, True),
    "spoiled": (*(None,) * 3 * len(SPOILED), *SPOILED),
}
"""The possible values of each attribute."""


@define(kw_only=True)
class FrontDesk:
    """The ways in for tables and requests; the names of new reminders are numbered."""

    program: TwoProcesses
    zone: ZoneInfo = BERLIN
    posted: list[tuple[Line, ...]] = field(factory=list)
    """All lines that were ever sent, by request."""
    _names: "count[int]" = field(factory=lambda: count(1))
    _ids: "count[int]" = field(factory=lambda: count(1))

    @property
    def book(self) -> Book:
        return self.program.book

    @property
    def named(self) -> list[Wanted]:
        """Return the reminders that have a `ref`."""
        return [one for one in self.book.reminders.values() if one.ref is not None]

    def lines(self, asks: Iterable[Ask]) -> tuple[Line, ...]:
        """Return one line for each reminder in `asks`; leave out those for which there is no room."""
        found: dict[str, Line] = {}
        for ask in asks:
            former = None if ask.which is None or not self.named else self.named[ask.which % len(self.named)]
            if former is None and len(self.book.reminders) + len(found) >= MOST_REMINDERS:
                continue
            name = f"handed-in-{next(self._names)}" if former is None else former.name
            at = self._now + (ask.after or timedelta(0))
            if former is not None and ask.after is None:
                at = former.scheduled_at
            known = PHONES[0] if former is None else former.phone_number
            at = at.replace(second=0, microsecond=0)
            found.setdefault(
                name,
                Line(
                    name=name,
                    phone_number=ask.phone_number or known,
                    message=message_for(name),
                    at=at,
                    until=None if ask.lasts is None else at + ask.lasts,
                    timezone=ask.timezone,
                    has_ref=ask.has_ref or former is not None,
                    is_called_off=ask.is_called_off,
                    spoiled=ask.spoiled,
                ),
            )
        return tuple(found.values())

    # Tables

    def imports(self, lines: Sequence[Line], shape: Shape) -> None:
        """Have staff import a table."""
        if not lines:
            return
        file = self.program.folder / "table.csv"
        file.write_bytes(rendered(lines, shape))
        source = Source(actor="staff", detail="import of table.csv")
        done = import_table(file, self._store, zone=shape.zone, mint=self._mint, source=source)
        if done is None:
            return
        holds(broken_by_a_table(lines, shape, done))
        for place, line in enumerate(lines):
            found = done.taken.get(number_of(place, shape))
            if found is not None:
                self._notes(line, found[1], self._id_of(line.name))

    # The HTTP API

    def posts(self, lines: Sequence[Line]) -> None:
        """Have the clinic's own system send some reminders in one request, which can't cancel a reminder."""
        if not lines:
            return
        lines = [evolve(line, is_called_off=False) for line in lines]
        self.posted.append(tuple(lines))
        body = json.dumps([self._written(line, place) for place, line in enumerate(lines)]).encode()
        try:
            requests, _ = read_requests(body, Reading(zone=self.zone, normalize=READ_NUMBER))
        except ProblemError:
            holds(broken_by_a_request(lines, self.zone, is_read=False))
            return
        holds(broken_by_a_request(lines, self.zone, is_read=True))
        put = partial(put_all, rules=self._store.rules, mint=self._mint, source=Source(actor=API))
        try:
            done = self._store.write(partial(put, requests=requests))
        except RequestsRefusedError as error:
            for refusal in error.refusals:
                self._notes(lines[refusal.place], refusal.decision, None)
            return
        for line, (found, decision) in zip(lines, done, strict=True):
            self._notes(line, decision, str(found.reminder["id"]))

    def gets(self, wanted: Wanted) -> None:
        """Have the clinic's own system read a reminder."""
        found = self._store.write(lambda connection, _now: stored_reminder(connection, wanted.ref or wanted.id))
        shown = None if found is None else (found.reminder["phone_number"], found.reminder["scheduled_at"])
        holds(broken_by_showing(wanted, shown))

    def deletes(self, wanted: Wanted, *, by_ref: bool) -> None:
        """Have the clinic's own system cancel a reminder."""
        name = wanted.ref if by_ref and wanted.ref is not None else wanted.id
        with suppress(NotAllowedError):
            self._store.write(partial(withdraw, id_or_ref=name, rules=self._store.rules))
            wanted.is_cancelled = True

    def _written(self, line: Line, which: int) -> dict[str, str]:
        spoils = SPOILED_PHONES.get(line.spoiled or "")
        local = line.at.astimezone(zone_of(line, self.zone))
        times = (local.isoformat(timespec="minutes"), f"{local:%Y-%m-%d %H:%M}", line.at.isoformat())
        body = {
            "phone_number": spelled(line.phone_number, which) if spoils is None else spoils(line.phone_number),
            "message": line.message,
            "scheduled_at": times[int(line.at.minute) % len(times)],
        }
        if line.spoiled is not None and spoils is None:
            body["scheduled_at"] = f"{local:%Y-%m-%dT%H:%M}+01:37"
        if line.until is not None:
            body["expires_at"] = line.until.isoformat()
        if line.timezone is not None:
            body["timezone"] = line.timezone
        return body | ({"ref": line.name} if line.has_ref else {})

    # The clinic's book

    def _notes(self, line: Line, decision: Decision, reminder_id: str | None) -> None:
        """Write into the book what a line has changed, by what the clinic meant."""
        former, intake = self.book.reminders.get(line.name), decision.intake
        holds(broken_by_refusing(line, intake, line.until or line.at + self._store.rules.max_lateness, self._now))
        if decision.refused or intake in {Intake.UNCHANGED, Intake.NOT_NEEDED}:
            return
        holds(broken_by_a_line(line, intake, former))
        if intake is Intake.CANCELLED:
            self.book.reminders[line.name].is_cancelled = True
            return
        ref = line.name if line.has_ref else None
        former_number = None if former is None else former.former_number if former.is_held else former.phone_number
        if former is not None and former.id != reminder_id:
            self.book.retires(former)
            former = None
        written = {"id": reminder_id or "", "ref": ref, "expires_at": line.until, "timezone": line.timezone}
        wanted = self.book.new(line.name, line.phone_number, line.at, **written)
        wanted.is_held = intake is Intake.HELD
        wanted.former_number = former_number if wanted.is_held else None
        if former is not None:
            wanted.life, wanted.again_until = former.life, former.again_until  # a limit that staff have extended stays

    @property
    def _store(self) -> Store:
        return self.program.processes[0].store

    @property
    def _now(self) -> datetime:
        return self.program.time.now

    def _mint(self) -> str:
        return f"{next(self._ids):032x}"

    def _id_of(self, ref: str) -> str | None:
        found = self._store.connection.execute("SELECT id FROM reminders WHERE ref = :ref", {"ref": ref}).fetchone()
        return None if found is None else str(found["id"])
