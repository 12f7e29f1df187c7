"""Find the column of each field in a table, by its header. Nothing is guessed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from reminderd.core.phone import number_or_none
from reminderd.core.tables.words import PHONES, RowStatus, normal_header, role_of, row_status_of

FIELDS: Final = (
    "phone_number",
    "message",
    "template",
    "appointment_at",
    "appointment_date",
    "appointment_time",
    "scheduled_at",
    "date",
    "time",
    "ref",
    "expires_at",
    "timezone",
    "appointment_type",
    "language",
    "name",
    "provider",
    "place",
    "patient_ref",
    "status",
)
"""The fields for `--map`. `date` and `time` together are `scheduled_at`; the other pair is `appointment_at`."""

_NEEDED: Final = frozenset({"phone_number", "scheduled_at", "date", "time", "appointment_date", "appointment_time"})
MAY_BE_NONE: Final = tuple(field for field in FIELDS if field not in _NEEDED)
"""Fields that a table need not have: `--map ref=` means that the table has no `ref`."""

_SINGLE: Final = ("message", "template", "ref", "expires_at", "timezone", "language", "status")
_OTHERS: Final = ("name", "provider", "place")
"""Only templates use these fields. If two columns match a field, neither is used unless it is mapped."""
_OF_APPOINTMENTS: Final = ("appointment_type", "patient_ref")
"""Fields that only appointments have: in tables of reminders, these columns are ignored."""
_NOT_OF_APPOINTMENTS: Final = ("message", "expires_at")
"""Fields that planned calls do not have."""
_CALL: Final = ("scheduled_at", "date", "time")
_SPLIT: Final[Mapping[str, tuple[str, str]]] = {
    "scheduled_at": ("date", "time"),
    "appointment_at": ("appointment_date", "appointment_time"),
}
"""The times that may be in two columns, with the fields for the date and the time of day."""
_APPOINTMENT: Final = ("appointment_at", "appointment_date", "appointment_time")
_SOME: Final = ("some_at", "some_date", "some_time")
_DIGITS: Final = re.compile(r"\d{4,}")


_NO_TIME: Final = (
    "appointment_at: no column for the appointment's time; expected headers like appointment date and appointment time,"
    ' or --map appointment_at=HEADER, or the time to call in a column "call at"'
)
"""The mistake of a table without any time, if calls are planned."""

NO_WORDS: Final[Mapping[str, RowStatus]] = MappingProxyType({})


class ColumnsError(Exception):
    """The columns can't be distinguished, or one is missing; `mistakes` has a line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


@frozen
class Columns:
    """The columns of the fields in a table, and the ignored columns."""

    places: Mapping[str, tuple[int, ...]]
    """The columns of each field, from 0: `phone_number` in order of preference, a time as date and time of day."""
    ignored: tuple[str, ...]
    is_status_sure: bool = True
    """Whether the header of `status` shows that it is the appointment's status; otherwise, the words in it must."""
    are_appointments: bool = False
    """Whether the rows are appointments, whose calls are planned because no column has the time to call."""
    template: str | None = None
    """The template of every row without a message and a template; None if there is no such default."""
    words: Mapping[str, RowStatus] = NO_WORDS
    """What the clinic's own words in `status` mean; the words are as `normal_header` returns them."""

    def text(self, field: str, cells: Sequence[str]) -> str:
        """Return the text of a field in a row; empty if there is no such column, or the row is too short.

        A comma separates a date and a time of day, so that the time of day is not read as an offset in ISO 8601.
        """
        places = self.places.get(field, ())
        if len(places) == 1:  # the usual case, and this runs for every cell
            place = places[0]
            return cells[place] if place < len(cells) else ""
        if field == "phone_number":
            place = self.phone_place(cells)
            return cells[place] if place < len(cells) else ""
        filled = [cells[place].strip() for place in places if place < len(cells)]
        return ", ".join(cell for cell in filled if cell)

    def headers(self, header: Sequence[str]) -> dict[str, str]:
        """Return the header of each field, in the order of the columns, as `--map` takes them.

        If there are several columns for a phone number, this is the preferred one. A date and a time of day are two
        fields.
        """
        found: list[tuple[int, str]] = []
        for field, places in self.places.items():
            split = _SPLIT.get(field, ()) if len(places) == len(_SPLIT.get(field, ())) else ()
            found += list(zip(places, split, strict=True)) if split else [(places[0], field)]
        return {field: header[place] for place, field in sorted(found) if place < len(header)}

    def row_status(self, cells: Sequence[str]) -> RowStatus | None:
        """Return what a row's status means for its appointment; None if the word is unknown."""
        word = self.text("status", cells)
        return self.words.get(normal_header(word)) or row_status_of(word)

    def phone_place(self, cells: Sequence[str]) -> int:
        """Return the column whose number is called: the first one that is not empty, else the first one."""
        places = self.places["phone_number"]
        filled = (place for place in places if place < len(cells) and any(map(str.isalnum, cells[place])))
        return next(filled, places[0])


def columns_of(
    header: Sequence[str],
    chosen: Mapping[str, str],
    *,
    template: str | None = None,
    words: Mapping[str, RowStatus] = NO_WORDS,
    plans_calls: bool = False,
) -> Columns:
    """Find the fields in a header.

    Args:
        header: the header of the table.
        chosen: the header of a field, from `--map`; empty if the table has no such column.
        template: see `Columns`; with it, a table need not have messages.
        words: see `Columns`.
        plans_calls: whether calls are planned for appointments, if the table has no time to call.

    Raises:
        ColumnsError: a column is missing, several match, or one may be something else.
    """
    search = _Search(header, chosen, has_template=template is not None, plans_calls=plans_calls)
    return evolve(search.columns(), template=template, words=words)


class _Search:
    """The search for the fields in one header, with all mistakes in it."""

    def __init__(
        self, header: Sequence[str], chosen: Mapping[str, str], *, has_template: bool, plans_calls: bool
    ) -> None:
        self.header = header
        self.chosen = chosen
        self.has_template = has_template
        self.plans_calls = plans_calls
        self.are_appointments = False
        self.mistakes: list[str] = []
        self.found: dict[str, list[int]] = {}
        for field, name in chosen.items():
            self.found[field] = _named(header, name) if name else []
            if name and not self.found[field]:
                self.mistakes.append(f'{field}: there is no column "{name}"')
        used = {place for places in self.found.values() for place in places}
        for place, name in enumerate(header):
            role = role_of(name)
            if role is not None and role not in chosen and place not in used:
                self.found.setdefault(role, []).append(place)

    def columns(self) -> Columns:
        places = {field: tuple(self._one(field)) for field in _SINGLE}
        for field in _OTHERS:
            fit = self.found.get(field, [])
            places[field] = tuple(self._one(field)) if field in self.chosen or len(fit) == 1 else ()
        places["phone_number"] = self._phones()
        places |= self._times()
        if self.are_appointments:
            places |= {field: tuple(self._one(field)) for field in _OF_APPOINTMENTS}
        self._check_for_unclear_ref(places)
        is_status_sure = bool(places["status"]) or "status" in self.chosen
        if not is_status_sure:
            places["status"] = tuple(self._one("some_status", "status"))
        self.mistakes += [
            f"{field}: no column; expected a header like {example}, or --map {field}=HEADER"
            for field, example in (("phone_number", "phone"), ("message", "message, or template"))
            if not (places[field] or self.chosen.get(field) or (field == "message" and self._is_written(places)))
        ]
        self.mistakes += [
            f"{field}: {self._names(places[field])} is of a call, and the calls of appointments are planned;"
            f" expected --map {field}= to ignore it, or a column for the time to call"
            for field in _NOT_OF_APPOINTMENTS
            if self.are_appointments and places[field]
        ]
        if self.mistakes:
            raise ColumnsError([*self.mistakes, f"headers found: {_listed(self.header)}"])
        used = {place for field in places.values() for place in field}
        ignored = tuple(name for place, name in enumerate(self.header) if place not in used)
        found = {field: places[field] for field in FIELDS if places.get(field)}
        return Columns(found, ignored, is_status_sure, self.are_appointments)

    def _is_written(self, places: Mapping[str, tuple[int, ...]]) -> bool:
        """Return whether a template makes the messages."""
        return self.has_template or self.are_appointments or _NO_TIME in self.mistakes or bool(places["template"])

    def _one(self, role: str, field: str = "") -> list[int]:
        """Return the one column of a role; empty if there is none, or several, which is a mistake."""
        places = self.found.get(role, [])
        if len(places) > 1:
            self.mistakes.append(
                f"{field or role}: {len(places)} columns fit, {self._names(places)};"
                f" expected one, or --map {field or role}=HEADER"
            )
        return places[:1]

    def _phones(self) -> tuple[int, ...]:
        if "phone_number" in self.chosen:
            return tuple(self._one("phone_number"))
        return tuple(place for role in PHONES for place in self._one(role, "phone_number"))

    def _times(self) -> dict[str, tuple[int, ...]]:
        """Return the columns of the time to call and of the appointment's time, which is never used instead."""
        call, appointment = self._way(_CALL), self._way(_APPOINTMENT)
        some = [self.found.get(role, []) for role in _SOME]
        if not call and not self.chosen.keys() & set(_CALL):
            has_times = bool(appointment or any(some))
            self.are_appointments = self.plans_calls and has_times
            if not self.are_appointments:
                is_plain = self.plans_calls and not has_times
                self.mistakes.append(_NO_TIME if is_plain else self._no_time_to_call(appointment, *some))
                return {"scheduled_at": call, "appointment_at": appointment}
        if not appointment and not self.chosen.keys() & set(_APPOINTMENT):
            appointment = self._some_appointment(*some)
        return {"scheduled_at": call, "appointment_at": appointment}

    def _some_appointment(self, whole: list[int], dates: list[int], times: list[int]) -> tuple[int, ...]:
        """Return the columns of a time whose header may mean the call or the appointment."""
        is_clear = len(whole) + max(len(dates), len(times)) < 2
        if not is_clear:
            self.mistakes.append(
                f"appointment_at: more than one way to read it, {self._names((*whole, *dates, *times))};"
                " expected --map appointment_at=HEADER, or --map appointment_at= if it is none of them"
            )
        return (*whole, *dates, *times)

    def _way(self, roles: tuple[str, str, str]) -> tuple[int, ...]:
        """Return the columns of a time: one for all of it, or one for its date and one for its time of day."""
        field, *parts = roles
        whole = tuple(self._one(field))
        split = tuple(place for part in parts for place in self._one(part))
        if field in self.chosen:
            return whole
        if self.chosen.keys() & set(parts):
            return split
        if whole and split:
            self.mistakes.append(
                f"{field}: more than one way to read it, {self._names((*whole, *split))};"
                f" expected one, or --map {field}=HEADER"
            )
        return whole or split

    def _no_time_to_call(
        self, appointment: tuple[int, ...], whole: list[int], dates: list[int], times: list[int]
    ) -> str:
        expected = (
            "expected [reminders].before in the configuration, by which the calls are planned,"
            ' or a column added with the header "call at" and times like 2027-03-01 16:00'
        )
        some = (*whole, *dates, *times)
        if not some:
            missing = "no column for the time to call"
            if appointment:
                missing = f"no column for the time to call, only for the appointment's: {self._names(appointment)}"
            return f"scheduled_at: {missing}; {expected}, or --map scheduled_at=HEADER if there is one"
        fields = ("date", "time") if dates and times and not whole else ("scheduled_at",)
        chosen = (*dates[:1], *times[:1]) if len(fields) > 1 else whole if len(some) == 1 else ()
        names = [self.header[place].strip() for place in chosen] or ["HEADER"]
        maps = " ".join(f'--map {field}="{name}"' for field, name in zip(fields, names, strict=True))
        missing = f"no column for the time to call: {self._names(some)} may be the appointment's"
        return f"scheduled_at: {missing}; {expected}, or {maps} if that is the time to call"

    def _check_for_unclear_ref(self, places: Mapping[str, tuple[int, ...]]) -> None:
        """Add a mistake if there is no `ref`, but a column that may be the `ref` or something else."""
        used = {place for columns in places.values() for place in columns}
        unsure = [place for place in self.found.get("some_ref", []) if place not in used]
        if unsure and not places["ref"] and "ref" not in self.chosen:
            name = self.header[unsure[0]].strip()
            self.mistakes.append(
                f"ref: {self._names(unsure)} may be your own unique name of each reminder, or something else;"
                f' expected --map ref="{name}" if it is, or --map ref= if it is not'
            )

    def _names(self, places: Iterable[int]) -> str:
        return _listed(self.header[place] for place in places)


def _named(header: Sequence[str], name: str) -> list[int]:
    """Return the columns with exactly this header, else those whose header differs only in case and punctuation."""
    exact = [place for place, other in enumerate(header) if other.strip() == name.strip()]
    return exact or [place for place, other in enumerate(header) if normal_header(other) == normal_header(name) != ""]


def _listed(names: Iterable[str]) -> str:
    """Return the headers as a list, cut and without long numbers, as the first row may be a patient's."""
    return ", ".join(f'"{_DIGITS.sub("…", name.strip())[:40]}"' for name in names) or "nothing"


@frozen
class NumberColumns:
    """The columns of the numbers in a list of phone numbers."""

    places: tuple[int, ...]
    """The columns, from 0."""
    has_header: bool
    """Whether the first row is a header; otherwise it has a number already."""


def number_columns(first_row: Sequence[str], country: str) -> NumberColumns:
    """Return the columns of numbers, by the first row of a table: by its headers, else by the only number in it.

    Numbers without a country code are read in `country`, the clinic's country.

    Raises:
        ColumnsError: it is not certain which column is meant.
    """
    named = [place for place, name in enumerate(first_row) if role_of(name) in PHONES]
    numbers = [place for place, cell in enumerate(first_row) if number_or_none(cell, country) is not None]
    if named:
        return NumberColumns(tuple(named), has_header=True)
    if len(numbers) == 1:
        return NumberColumns(tuple(numbers), has_header=False)
    if len(first_row) == 1:  # one column, with any header, or with a first number that is wrong
        return NumberColumns((0,), has_header=not any(character.isdigit() for character in first_row[0]))
    if numbers:
        expected = "expected a header like phone above each column whose numbers are to be opted out"
        raise ColumnsError([f"more than one column of phone numbers, and no header; {expected}"])
    raise ColumnsError(["no column of phone numbers; expected one with a header like phone"])


def names_numbers(row: Sequence[str]) -> bool:
    """Return whether a row is the header of a list of phone numbers."""
    return any(role_of(cell) in PHONES for cell in row)
