"""Find which column of a table has which field, by its header. Nothing is guessed."""

import re
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from attrs import evolve, frozen

from reminderd.core.phone import number_or_none
from reminderd.core.tables.words import PHONES, Standing, plain, role_of, standing_of

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
"""What `--map` can name. `date` and `time` together are `scheduled_at`, as the other pair is `appointment_at`."""

_NEEDED: Final = frozenset({"phone_number", "scheduled_at", "date", "time", "appointment_date", "appointment_time"})
MAY_BE_NONE: Final = tuple(field for field in FIELDS if field not in _NEEDED)
"""Fields that a table need not have: `--map ref=` says that the table has no such column."""

_SINGLE: Final = ("message", "template", "ref", "expires_at", "timezone", "language", "status")
_OTHERS: Final = ("name", "provider", "place")
"""Only templates use these. If two columns fit one, neither is used until it is mapped."""
_OF_APPOINTMENTS: Final = ("appointment_type", "patient_ref")
"""Fields that only appointments have: in tables of reminders, these columns are ignored."""
_NOT_OF_APPOINTMENTS: Final = ("message", "expires_at")
"""Fields that planned calls do not have."""
_CALL: Final = ("scheduled_at", "date", "time")
_SPLIT: Final[Mapping[str, tuple[str, str]]] = {
    "scheduled_at": ("date", "time"),
    "appointment_at": ("appointment_date", "appointment_time"),
}
"""The fields of a time whose date and time of day are in two columns."""
_APPOINTMENT: Final = ("appointment_at", "appointment_date", "appointment_time")
_SOME: Final = ("some_at", "some_date", "some_time")
_DIGITS: Final = re.compile(r"\d{4,}")


_NO_TIME: Final = (
    "appointment_at: no column for the appointment's time; expected headers like appointment date and appointment time,"
    ' or --map appointment_at=HEADER, or the time to call in a column "call at"'
)
"""What is wrong with a table without any time, if calls are planned."""

NO_WORDS: Final[Mapping[str, Standing]] = MappingProxyType({})


class ColumnsError(Exception):
    """The columns can't be distinguished, or one is missing; `mistakes` has a line for each."""

    def __init__(self, mistakes: list[str]) -> None:
        super().__init__("; ".join(mistakes))
        self.mistakes = mistakes


@frozen
class Columns:
    """Where the fields are, and what else is there."""

    places: Mapping[str, tuple[int, ...]]
    """The columns of each field, from 0; of `phone_number` in order of preference, of a time its date and its hour."""
    ignored: tuple[str, ...]
    is_status_sure: bool = True
    """Whether the header of `status` says that it is the appointment's; else the words below it must."""
    are_appointments: bool = False
    """Whether the rows are appointments whose calls are planned, as no column has the time to call."""
    template: str | None = None
    """The template of every row that has no message and names none."""
    words: Mapping[str, Standing] = NO_WORDS
    """What the clinic says that words of `status` mean, without case and punctuation, as `plain` gives them."""

    def text(self, field: str, cells: Sequence[str]) -> str:
        """Return what a row says in a field; empty if there is no such column or the row ends before it.

        A date and a time of day get a comma between them. ISO 8601 never has one: what follows it is not an offset.
        """
        places = self.places.get(field, ())
        if len(places) == 1:  # nearly always, and asked for every cell
            place = places[0]
            return cells[place] if place < len(cells) else ""
        if field == "phone_number":
            place = self.phone_place(cells)
            return cells[place] if place < len(cells) else ""
        filled = [cells[place].strip() for place in places if place < len(cells)]
        return ", ".join(cell for cell in filled if cell)

    def headers(self, header: Sequence[str]) -> dict[str, str]:
        """Return the table's header of each field, in the order of its columns: as `--map` names them.

        Of several columns for a phone number it is the preferred one; a date and a time of day have their own fields.
        """
        found: list[tuple[int, str]] = []
        for field, places in self.places.items():
            split = _SPLIT.get(field, ()) if len(places) == len(_SPLIT.get(field, ())) else ()
            found += list(zip(places, split, strict=True)) if split else [(places[0], field)]
        return {field: header[place] for place, field in sorted(found) if place < len(header)}

    def standing(self, cells: Sequence[str]) -> Standing | None:
        """Return what a row's status says of its appointment; None: its word is unknown."""
        word = self.text("status", cells)
        return self.words.get(plain(word)) or standing_of(word)

    def phone_place(self, cells: Sequence[str]) -> int:
        """Return the column whose number is called: the first with anything in it, else the first."""
        places = self.places["phone_number"]
        filled = (place for place in places if place < len(cells) and any(map(str.isalnum, cells[place])))
        return next(filled, places[0])


def columns_of(
    header: Sequence[str],
    chosen: Mapping[str, str],
    *,
    template: str | None = None,
    words: Mapping[str, Standing] = NO_WORDS,
    plans_calls: bool = False,
) -> Columns:
    """Find the fields in a header.

    Args:
        header: the table's.
        chosen: the header of a field, which overrules; empty: the table has no such column.
        template: see `Columns`; a table need not have messages then.
        words: see `Columns`.
        plans_calls: whether calls are planned for appointments, if the table has no time to call.

    Raises:
        ColumnsError: one is missing, more than one fit, or one may be something else.
    """
    search = _Search(header, chosen, has_template=template is not None, plans_calls=plans_calls)
    return evolve(search.columns(), template=template, words=words)


class _Search:
    """The search for the fields in one header, with everything that is wrong with it."""

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
        """Return whether a template says what is spoken."""
        return self.has_template or self.are_appointments or _NO_TIME in self.mistakes or bool(places["template"])

    def _one(self, role: str, field: str = "") -> list[int]:
        """Return the one column of a role; none: there is none, or more than one, which is a mistake."""
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
        """Return where the time to call and the appointment's are: the second is never read as the first."""
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
        """Return the columns of a time whose header does not say whether it is the call's or the appointment's."""
        is_clear = len(whole) + max(len(dates), len(times)) < 2
        if not is_clear:
            self.mistakes.append(
                f"appointment_at: more than one way to read it, {self._names((*whole, *dates, *times))};"
                " expected --map appointment_at=HEADER, or --map appointment_at= if it is none of them"
            )
        return (*whole, *dates, *times)

    def _way(self, roles: tuple[str, str, str]) -> tuple[int, ...]:
        """Return the columns of a time: one for all of it, or one for its date and one for its hour."""
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
        """Ask whether a column is the `ref` if nothing else is, as its header may mean another thing."""
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
    """Return the columns with exactly this header, else those that differ in case and punctuation only."""
    exact = [place for place, other in enumerate(header) if other.strip() == name.strip()]
    return exact or [place for place, other in enumerate(header) if plain(other) == plain(name) != ""]


def _listed(names: Iterable[str]) -> str:
    """List headers, short and without long numbers, as a file without a header begins with a patient."""
    return ", ".join(f'"{_DIGITS.sub("…", name.strip())[:40]}"' for name in names) or "nothing"


@frozen
class NumberColumns:
    """Where the numbers are in a list of phone numbers."""

    places: tuple[int, ...]
    """From 0."""
    has_header: bool
    """Whether the first row names them; else that row has a number already."""


def number_columns(first_row: Sequence[str], country: str) -> NumberColumns:
    """Return the columns of numbers, as the first row of a table shows: by headers, else by the only number in it.

    Numbers without a country code are those of `country`, the clinic's.

    Raises:
        ColumnsError: no column is meant for certain.
    """
    named = [place for place, name in enumerate(first_row) if role_of(name) in PHONES]
    numbers = [place for place, cell in enumerate(first_row) if number_or_none(cell, country) is not None]
    if named:
        return NumberColumns(tuple(named), has_header=True)
    if len(numbers) == 1:
        return NumberColumns(tuple(numbers), has_header=False)
    if len(first_row) == 1:  # one column, whatever its header, or a first number that is wrong
        return NumberColumns((0,), has_header=not any(character.isdigit() for character in first_row[0]))
    if numbers:
        expected = "expected a header like phone above each column whose numbers are to be opted out"
        raise ColumnsError([f"more than one column of phone numbers, and no header; {expected}"])
    raise ColumnsError(["no column of phone numbers; expected one with a header like phone"])


def names_numbers(row: Sequence[str]) -> bool:
    """Return whether a row is the header of a list of phone numbers."""
    return any(role_of(cell) in PHONES for cell in row)
