"""The practice software of a simulated clinic: its book for a month, the changes in it, and its files."""

import csv
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import count
from pathlib import Path
from random import Random
from typing import Final

from attrs import define, evolve, field, frozen

from tests.month.house import House
from tests.month.oracle import Known

A_DAY: Final = 40
"""The number of appointments on each day."""
SPAN_DAYS: Final = 30
"""The number of days that a file covers, including its first day."""

_FIRST_SLOT: Final = time(8)
_SLOT: Final = timedelta(minutes=15)
_AREA_CODES: Final = (
    202,
    203,
    205,
    206,
    207,
    208,
    209,
    210,
    212,
    213,
    214,
    215,
    216,
    217,
    218,
    219,
    224,
    225,
    228,
    229,
)
_HEADER: Final = (
    "Patient Name",
    "Patient Mobile Number",
    "Appointment Date",
    "Appointment Time",
    "Appointment ID",
    "Appointment Status",
)


class Kind(StrEnum):
    """What happens to appointments; each must occur in a month."""

    MOVED = "moved"
    MOVED_BACK = "moved back"
    MOVED_TO_NOW = "moved to a time that is over when the file comes"
    CANCELLED = "cancelled"
    CANCELLED_AT_ONCE = "cancelled by command while the phone rings"
    DELETED = "no longer in the file"
    BOOKED_AGAIN = "booked again"
    WALK_IN = "booked and over on the same day"
    LATE = "booked too late for some calls"
    TOO_LATE = "booked too late for all calls"
    SHARED_PHONE = "the phone of another patient"
    REJECTED = "a line with a mistake"
    CUT_SHORT = "a file with half of its lines"


@frozen(kw_only=True)
class Booking:
    """An appointment in the practice's own book."""

    ref: str
    name: str
    phone_number: str
    time: datetime
    is_cancelled: bool = False


@frozen(kw_only=True)
class Change:
    """A change in the practice's book at one moment."""

    at: datetime
    booking: Booking | None
    """The appointment from that moment on; None if it is deleted."""
    ref: str
    by_command: bool = False
    """Whether staff also enter the change with reminderd's own command."""


@frozen(kw_only=True)
class File:
    """A file that the practice software has written."""

    path: Path
    first: datetime
    """The first moment for which the file has all appointments."""
    end: datetime
    """The first moment after this span."""
    rows: tuple[Booking, ...]
    rejected: frozenset[str]
    """The refs of the lines with a mistake."""
    is_cut_short: bool


@define(kw_only=True)
class Practice:
    """The book, from its first day on."""

    house: House
    first: date
    days: int
    dice: Random
    book: dict[str, Booking] = field(factory=dict, init=False)
    happened: Counter[Kind] = field(factory=Counter, init=False)
    changes: list[Change] = field(factory=list, init=False)
    """The future changes, by their time."""
    _numbers: Iterator[int] = field(factory=lambda: count(1), init=False)
    _former_phone: str = field(default="", init=False)

    def __attrs_post_init__(self) -> None:
        for day in self._open_days():
            for slot in range(A_DAY):
                wall = datetime.combine(day, _FIRST_SLOT, tzinfo=self.house.zone) + slot * _SLOT
                self._books(wall.astimezone(UTC))
        self.changes.sort(key=lambda one: (one.at, one.ref))

    def passes(self, until: datetime) -> None:
        """Make all changes until a moment."""
        while self.changes and self.changes[0].at <= until:
            change = self.changes.pop(0)
            if change.booking is not None:
                self.book[change.ref] = change.booking
            else:
                self.book.pop(change.ref, None)

    def cancels(self, ref: str) -> None:
        """Have staff cancel an appointment, as its patient wants."""
        if ref in self.book:
            self.book[ref] = evolve(self.book[ref], is_cancelled=True)
            self.changes = [one for one in self.changes if one.ref != ref]

    @property
    def commands(self) -> list[Change]:
        """Return the changes that staff also enter with a command."""
        return [one for one in self.changes if one.by_command]

    def writes(self, path: Path, now: datetime, *, is_cut_short: bool = False) -> File:
        """Write a file at a moment, with all appointments from this day on."""
        day = now.astimezone(self.house.zone).date()
        first = self._midnight(day)
        end = self._midnight(day + timedelta(days=SPAN_DAYS))
        rows = sorted((one for one in self.book.values() if first <= one.time < end), key=lambda one: one.time)
        rejected = {one.ref for one in rows if self.dice.random() < 0.002}
        self.happened[Kind.REJECTED] += len(rejected)
        if is_cut_short:
            self.happened[Kind.CUT_SHORT] += 1
            rows = rows[: len(rows) // 2]
        with path.open("w", encoding="utf-8", newline="") as file:
            lines = csv.writer(file)
            lines.writerow(_HEADER)
            for one in rows:
                wall = one.time.astimezone(self.house.zone)
                phone = "see chart" if one.ref in rejected else one.phone_number
                status = "Cancelled" if one.is_cancelled else "Scheduled"
                lines.writerow((one.name, phone, f"{wall:%m/%d/%Y}", f"{wall:%I:%M %p}", one.ref, status))
        return File(
            path=path,
            first=first,
            end=end,
            rows=tuple(rows),
            rejected=frozenset(rejected),
            is_cut_short=is_cut_short,
        )

    # The script of a month

    def _open_days(self) -> Iterator[date]:
        for number in range(self.days):
            day = self.first + timedelta(days=number)
            if self.house.span(day) is not None:
                yield day

    def _midnight(self, day: date) -> datetime:
        return datetime.combine(day, time(0), tzinfo=self.house.zone).astimezone(UTC)

    def _books(self, at: datetime) -> None:
        """Book an appointment, and decide what will happen to it."""
        dice, number = self.dice, next(self._numbers)
        booked_at = at - self._lead()
        phone = self._former_phone
        if not phone or dice.random() >= 0.05:
            area = _AREA_CODES[number // 100 % len(_AREA_CODES)]
            phone = f"({area}) 555-{100 + number % 100:04}"
        else:
            self.happened[Kind.SHARED_PHONE] += 1
        self._former_phone = phone
        booking = Booking(ref=f"A-{number}", name=f"Patient {number}", phone_number=phone, time=at)
        self._happens(booked_at, booking)
        room = at - booked_at
        if room > timedelta(hours=6):
            self._goes_on(booking, booked_at, room)

    def _lead(self) -> timedelta:
        """Return how long before its time an appointment is booked."""
        dice = self.dice
        draw = dice.random()
        if draw < 0.65:
            return timedelta(minutes=dice.randrange(5 * 1440, 20 * 1440))
        if draw < 0.82:
            self.happened[Kind.LATE] += 1
            return timedelta(minutes=dice.randrange(1 * 1440, 4 * 1440))
        if draw < 0.92:
            self.happened[Kind.TOO_LATE] += 1
            return timedelta(minutes=dice.randrange(60, 16 * 60))
        self.happened[Kind.WALK_IN] += 1
        return timedelta(minutes=dice.randrange(1, 60))

    def _goes_on(self, booking: Booking, booked_at: datetime, room: timedelta) -> None:
        dice = self.dice
        draw, at = dice.random(), booked_at + dice.uniform(0.05, 0.95) * room
        later = at + dice.uniform(0.05, 0.9) * (booking.time - at)
        if draw < 0.07:
            self.happened[Kind.MOVED] += 1
            self._happens(at, evolve(booking, time=self._another_time(booking.time, at)))
        elif draw < 0.10:
            self.happened[Kind.MOVED_BACK] += 1
            self._happens(at, evolve(booking, time=self._another_time(booking.time, at)))
            self._happens(later, booking)
        elif draw < 0.12:
            self.happened[Kind.MOVED_TO_NOW] += 1
            wall = (booking.time - timedelta(days=3)).astimezone(self.house.zone).replace(hour=9, minute=50)
            moved_at = max(wall.astimezone(UTC), booked_at + timedelta(minutes=1))
            self._happens(moved_at, evolve(booking, time=self._just_over(moved_at)))
        elif draw < 0.14:
            self.happened[Kind.CANCELLED_AT_ONCE] += 1
            moment = dice.choice(self.house.planned(booking.time)) + timedelta(seconds=3)
            cancelled = evolve(booking, is_cancelled=True)
            at = max(moment, booked_at + timedelta(minutes=1))
            self.changes.append(Change(at=at, booking=cancelled, ref=booking.ref, by_command=True))
        elif draw < 0.16:
            self.happened[Kind.CANCELLED] += 1
            self._happens(at, evolve(booking, is_cancelled=True))
        elif draw < 0.20:
            self.happened[Kind.DELETED] += 1
            self.changes.append(Change(at=at, booking=None, ref=booking.ref))
        elif draw < 0.23:
            self.happened[Kind.BOOKED_AGAIN] += 1
            if dice.random() < 0.5:
                self._happens(at, evolve(booking, is_cancelled=True))
            else:
                self.changes.append(Change(at=at, booking=None, ref=booking.ref))
            self._happens(later, booking)

    def _another_time(self, at: datetime, now: datetime) -> datetime:
        """Return another future time on an open day."""
        while True:
            minutes = self.dice.randrange(-6 * 1440, 8 * 1440)
            moved = at + timedelta(minutes=minutes - minutes % 5)
            wall = moved.astimezone(self.house.zone)
            if moved > now and self.house.span(wall.date()) is not None and 8 <= wall.hour < 18:
                return moved.replace(second=0, microsecond=0)

    def _just_over(self, now: datetime) -> datetime:
        over = (now - timedelta(minutes=5)).replace(second=0, microsecond=0)
        wall = over.astimezone(self.house.zone)
        return over if wall.hour or wall.minute else over - timedelta(minutes=1)  # midnight looks like no time at all

    def _happens(self, at: datetime, booking: Booking) -> None:
        self.changes.append(Change(at=at, booking=booking, ref=booking.ref))


def learned(file: File, now: datetime, known: dict[str, list[Known]]) -> None:
    """Record for the oracle what a file states, by docs/import.md: the snapshot of its days, and each of its rows."""
    if file.is_cut_short:
        return  # refused as a whole: far more than a fifth would be cancelled
    for one in file.rows:
        if one.ref in file.rejected:
            continue  # counts as in the file
        former = known[one.ref][-1] if known[one.ref] else None
        if one.is_cancelled:
            if former is not None and former.time is not None:
                known[one.ref].append(Known(since=now, time=None, phone_number=former.phone_number))
        elif former is None or former.time != one.time:
            is_booked = former is not None and former.time is not None
            if one.time > now or is_booked:  # a new appointment in the past is refused
                known[one.ref].append(Known(since=now, time=one.time, phone_number=e164(one.phone_number)))
    listed = {one.ref for one in file.rows}
    for ref, facts in known.items():
        if ref not in listed and facts and facts[-1].time is not None and file.first <= facts[-1].time < file.end:
            facts.append(Known(since=now, time=None, phone_number=facts[-1].phone_number))


def e164(phone_number: str) -> str:
    """Return a United States number with its country code."""
    return "+1" + "".join(one for one in phone_number if one.isdigit())
