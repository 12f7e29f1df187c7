"""Read FHIR R4 appointments: a Bundle in JSON, or resources line by line (NDJSON, as bulk export writes them).

An Appointment names its patient; the Patient has the numbers, and is in the same file, contained or next to it.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from attrs import define, evolve, field, frozen

from reminderd.core.tables.words import PHONES
from reminderd.imports.fhir_json import EXPECTED, Json, concept, one, resources, several, text_of, truth
from reminderd.imports.table import (
    RECORD_FIELDS,
    Record,
    Records,
    UnreadableError,
    check_count,
    in_file,
    language_of,
    table_of,
)

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DAY: Final = re.compile(r"(\d{4}(?:-\d\d(?:-\d\d)?)?)(?:T.*)?", re.ASCII)
_REFERENCE: Final = re.compile(r"(.*/)?([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?", re.ASCII)
_ROLES: Final = {"mobile": "mobile", "": "phone", "temp": "phone", "home": "home_phone", "work": "work_phone"}
"""What the use of a number makes it; one of any other use, like `old`, is not called."""
_NAMES: Final = ("usual", "official", "")
"""The uses of a name that are read, the best first; the others are of former times, or not the patient's own."""
_ACTORS: Final = frozenset({"Patient", "Practitioner", "PractitionerRole", "Location"})
_NO_RANK: Final = 1_000

Wrong = Callable[[str], None]
"""Takes a mistake."""


@frozen
class _Number:
    """A phone number of a patient."""

    role: str
    rank: int
    value: str
    first: str
    """The day from which it is the patient's, or its month or year; empty: it always was."""
    last: str
    """The same for the end."""

    def is_of(self, day: str) -> bool:
        return day[: len(self.first)] >= self.first and (not self.last or day[: len(self.last)] <= self.last)


@define
class _Actor:
    """One who takes part in appointments."""

    kind: str
    url: str = ""
    """Its `fullUrl` in the bundle; empty: it has none."""
    id: str = ""
    name: str = ""
    language: str = ""
    numbers: Sequence[_Number] = ()
    is_deceased: bool = False
    mistakes: list[str] = field(factory=list)


@frozen
class _Participant:
    """How an appointment names one who takes part in it."""

    kind: str
    """The type of the resource; empty: it does not say."""
    reference: str
    display: str
    status: str


@frozen
class _Appointment:
    """An appointment, before it is known who takes part in it."""

    record: Record
    participants: Sequence[_Participant]
    contained: Mapping[str, _Actor]


@define
class _Found:
    """What was found so far, resource by resource."""

    appointments: list[_Appointment] = field(factory=list)
    records: list[Record] = field(factory=list)
    has_others: bool = False
    """Whether there are resources that are no appointments."""
    made_at: datetime | None = None
    """The newest time of a Bundle; None: none has one."""
    _by_url: dict[str, _Actor] = field(factory=dict)
    _by_name: dict[str, list[_Actor]] = field(factory=dict)
    """By type and id, like `Patient/42`; several where they differ."""

    def add(self, resource: Json, url: str) -> None:
        """Add a resource with its `fullUrl`."""
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            self.record().wrong("resourceType: none; expected one, like Appointment", always=True)
        elif kind == "Appointment":
            self.appointments.append(_appointment(resource, self.record()))
        else:
            self.has_others = True
            if kind in _ACTORS:
                check_count(len(self._by_name))
                self._add(_actor(resource, kind, url))

    def note_time(self, bundle: Json) -> None:
        """Note when a Bundle was made."""
        made_at = _instant(text_of(bundle, "timestamp", lambda _mistake: None))
        if made_at is not None:
            self.made_at = max(self.made_at or made_at, made_at)

    def record(self) -> Record:
        """Begin the next record."""
        check_count(len(self.records))
        self.records.append(Record(len(self.records) + 1))
        return self.records[-1]

    def _add(self, actor: _Actor) -> None:
        """Add one who takes part; the same one twice must be described alike."""
        if actor.url and self._by_url.setdefault(actor.url, actor) != actor:
            self._by_url[actor.url].mistakes.append(f"{actor.kind}: twice with different contents; expected one")
        same = self._by_name.setdefault(f"{actor.kind}/{actor.id}", [])
        if actor not in same:
            same.append(actor)

    def actor(self, reference: str, contained: Mapping[str, _Actor]) -> _Actor | None:
        """Return whom a reference means; None: the file does not tell, or not for sure."""
        if reference.startswith("#"):
            return contained.get(reference[1:])
        found = _REFERENCE.fullmatch(reference)
        if reference in self._by_url or found is None:
            return self._by_url.get(reference)
        base, kind, name = found.groups()
        same = self._by_name.get(f"{kind}/{name}", [])
        right = [actor for actor in same if not base or not actor.url or actor.url.startswith(base)]
        return right[0] if len(right) == 1 else None


def read(files: Iterable[tuple[str, Iterable[bytes]]], encoding: str | None) -> Records:
    """Return the table of some files.

    Args:
        files: the lines of each, after its name in a folder, or an empty one.
        encoding: of all of them; None: UTF-8, or UTF-16 where a file begins with its mark.

    Raises:
        UnreadableError: A file can't be read as a whole.
    """
    found = _Found()
    names: list[str] = []
    for name, lines in files:
        names.append(name)
        with in_file(name):
            for resource, url in resources(lines, encoding, found.note_time):
                if isinstance(resource, str):
                    found.record().wrong(resource, always=True)
                else:
                    found.add(resource, url)
    if not found.records and found.has_others:
        raise UnreadableError(f"it has other resources, but no Appointment; {EXPECTED}")
    for appointment in found.appointments:
        _join(appointment, found)
    table = table_of(found.records, RECORD_FIELDS, "entry", f"FHIR, files: {len(names)}" if any(names) else "FHIR")
    return evolve(table, made_at=found.made_at)


def _appointment(resource: Json, record: Record) -> _Appointment:
    """Read an appointment; who takes part in it may come later in the file."""

    def wrong(mistake: str) -> None:
        record.wrong(f"Appointment.{mistake}")

    if resource.get("modifierExtension") or resource.get("implicitRules"):
        record.wrong(
            "Appointment.modifierExtension: it may mean the opposite of what it says; expected none", always=True
        )
    record.put("ref", _ref(resource, record))
    record.put("status", text_of(resource, "status", wrong))
    if not record["status"]:
        record.wrong("status: none; expected one like booked")
    record.put("appointment_at", _start(text_of(resource, "start", wrong), wrong))
    types = [resource[name] for name in ("appointmentType", "serviceType") if resource.get(name)]
    record.put("appointment_type", concept(types[0]) if types else "")
    record.version = _version(text_of(one(resource, "meta", wrong), "lastUpdated", wrong))
    participants = []
    for each in several(resource, "participant", wrong):
        actor = one(each, "actor", wrong)
        reference, kind = text_of(actor, "reference", wrong), text_of(actor, "type", wrong)
        named = _REFERENCE.fullmatch(reference)
        participants.append(
            _Participant(
                kind=kind or (named[2] if named else ""),
                reference=reference,
                display=text_of(actor, "display", wrong),
                status=text_of(each, "status", wrong),
            )
        )
    contained = {}
    for each in several(resource, "contained", wrong):
        kind = text_of(each, "resourceType", wrong)
        if kind in _ACTORS:
            actor_ = _actor(each, kind, "")
            contained[actor_.id] = actor_
    return _Appointment(record, participants, contained)


def _ref(resource: Json, record: Record) -> str:
    """Return the name of an appointment: its id, or else its only identifier."""

    def wrong(mistake: str) -> None:
        record.wrong(f"ref: {mistake}", always=True)

    own = text_of(resource, "id", wrong)
    identifiers = [text_of(each, "value", wrong) for each in several(resource, "identifier", wrong)]
    return own or (identifiers[0] if len(identifiers) == 1 else "")


def _start(start: str, wrong: Wrong) -> str:
    found = _INSTANT.fullmatch(start)
    if found is None:
        wrong("start: none, or no instant; expected one like 2027-03-01T16:00:00-05:00")
        return ""
    if found[1] is None:
        wrong("start: has no offset from UTC; expected an instant like 2027-03-01T16:00:00-05:00")
    return start


def _version(last_updated: str) -> tuple[datetime] | None:
    """Return what tells the newer of two records about the same appointment; None: nothing does."""
    moment = _instant(last_updated)
    return None if moment is None else (moment,)


def _instant(text: str) -> datetime | None:
    """Return the moment that is written with its offset; None: it is none."""
    found = _INSTANT.fullmatch(text)
    if found is None or found[1] is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _actor(resource: Json, kind: str, url: str) -> _Actor:
    """Read a patient, or another who takes part in appointments."""
    mistakes: list[str] = []

    def wrong(mistake: str) -> None:
        mistakes.append(f"{kind}.{mistake}")

    actor = _Actor(kind, url, text_of(resource, "id", wrong), mistakes=mistakes)
    if kind == "Location":
        actor.name = text_of(resource, "name", wrong)
    elif kind == "PractitionerRole":
        actor.name = text_of(one(resource, "practitioner", wrong), "display", wrong)
    else:
        actor.name = _name(resource, wrong, with_title=kind == "Practitioner")
    if kind != "Patient":
        return actor
    if resource.get("modifierExtension") or resource.get("implicitRules"):
        wrong("modifierExtension: it may mean the opposite of what it says; expected none")
    if truth(resource, "active", wrong) is False:
        wrong("active: false, so this record of the patient is not in use; expected one that is")
    actor.is_deceased = bool(truth(resource, "deceasedBoolean", wrong) or resource.get("deceasedDateTime"))
    actor.language = _language(several(resource, "communication", wrong), wrong)
    actor.numbers = tuple(_numbers(several(resource, "telecom", wrong), wrong))
    return actor


def _name(resource: Json, wrong: Wrong, *, with_title: bool) -> str:
    """Return a name as it is spoken."""
    best: dict[str, str] = {}
    for each in several(resource, "name", wrong):
        parts = [
            *(_first(each, "prefix") if with_title else ()),
            *_first(each, "given"),
            text_of(each, "family", wrong),
        ]
        name = " ".join(part for part in parts if part) or text_of(each, "text", wrong)
        if name:
            best.setdefault(text_of(each, "use", wrong), name)
    return next((best[use] for use in _NAMES if use in best), "")


def _first(name: Json, part: str) -> Sequence[str]:
    found = name.get(part)
    return [each for each in found[:1] if isinstance(each, str)] if isinstance(found, list) else []


def _language(spoken: Sequence[Json], wrong: Wrong) -> str:
    """Return the language that a patient prefers, or the only one; empty: not known."""
    preferred = [each for each in spoken if truth(each, "preferred", wrong)] or spoken
    if len(preferred) != 1:
        return ""
    language = one(preferred[0], "language", wrong)
    codings = several(language, "coding", wrong)
    codes, names = ([text_of(coding, part, wrong) for coding in codings] for part in ("code", "display"))
    return language_of((*codes, text_of(language, "text", wrong), *names))


def _numbers(telecom: Sequence[Json], wrong: Wrong) -> list[_Number]:
    """Return the phone numbers that may be a patient's."""
    numbers = []
    for each in telecom:
        role = _ROLES.get(text_of(each, "use", wrong))
        if role is None or text_of(each, "system", wrong) != "phone":
            continue
        period, rank = one(each, "period", wrong), each.get("rank")
        first, last = (_DAY.fullmatch(text_of(period, end, wrong)) for end in ("start", "end"))
        numbers.append(
            _Number(
                role=role,
                rank=rank if type(rank) is int else _NO_RANK,
                value=text_of(each, "value", wrong),
                first=first[1] if first else "",
                last=last[1] if last else "",
            )
        )
    return sorted(numbers, key=lambda number: number.rank)


def _join(appointment: _Appointment, found: _Found) -> None:
    """Fill in what those who take part in an appointment say."""
    record = appointment.record
    patients: dict[str, _Participant] = {}
    others: dict[str, set[str]] = {"provider": set(), "place": set()}
    for participant in appointment.participants:
        actor = found.actor(participant.reference, appointment.contained)
        kind = actor.kind if actor is not None else participant.kind
        name = participant.display or (actor.name if actor is not None else "")
        if kind == "Patient":
            patients.setdefault(participant.reference, participant)
        elif kind in _ACTORS and name:
            others["place" if kind == "Location" else "provider"].add(name)
    for field_, names in others.items():  # of several, none is the one
        record.put(field_, names.pop() if len(names) == 1 else "")
    if len(patients) != 1:
        record.wrong(f"Appointment.participant: {len(patients) or 'no'} patients; expected one")
        return
    [participant] = patients.values()
    if participant.status == "declined":
        record.wrong("Appointment.participant: the patient has declined; expected another status of the appointment")
    patient = found.actor(participant.reference, appointment.contained)
    if patient is None:
        record.wrong(
            "Appointment.participant: its Patient is not in the file, or not only once; expected it there,"
            " like by _include=Appointment:patient"
        )
        return
    _fill_patient(record, patient)


def _fill_patient(record: Record, patient: _Actor) -> None:
    for mistake in patient.mistakes:
        record.wrong(mistake)
    if patient.is_deceased:
        record.put("status", "deceased")
    record.put("patient_ref", patient.id)
    record.put("name", patient.name)
    record.put("language", patient.language)
    day = record["appointment_at"][:10]
    for number in patient.numbers:
        if not record[number.role] and number.is_of(day):
            record.put(number.role, number.value)
    if not any(record[role] for role in PHONES):
        record.wrong("phone_number: none in Patient.telecom that is a phone and of today; expected the patient's")
