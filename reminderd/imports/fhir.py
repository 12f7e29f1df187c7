"""Read FHIR R4 appointments: a Bundle in JSON, or resources line by line (NDJSON, as a bulk export writes them).

An Appointment names its patient; the Patient has the numbers, and is in the same file, contained or next to it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from attrs import define, field, frozen

from reminderd.core.imports import FileRefusedError
from reminderd.core.tables.words import PHONES
from reminderd.imports.fhir_json import EXPECTED, Element, Json, concept_text, resources
from reminderd.imports.table import (
    RECORD_FIELDS,
    Record,
    Table,
    check_count,
    language_of,
    naming_file,
    table_of,
    titled,
)

_INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?", re.ASCII)
_DAY: Final = re.compile(r"(\d{4}(?:-\d\d(?:-\d\d)?)?)(?:T.*)?", re.ASCII)
_REFERENCE: Final = re.compile(r"(.*/)?([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-.]{1,64})(?:/_history/.*)?", re.ASCII)
_ROLES: Final = {"mobile": "mobile", "": "phone", "temp": "phone", "home": "home_phone", "work": "work_phone"}
"""Our field for each use of a number; a number of another use, like `old`, is not called."""
_NAMES: Final = ("usual", "official", "")
"""The uses of a name that are read, the best first; other names are former ones, or not the patient's own."""
_ACTORS: Final = frozenset({"Patient", "Practitioner", "PractitionerRole", "Location"})
_NO_RANK: Final = 1_000
_TWICE: Final = "{}: twice with different contents; expected one"
_MODIFIED: Final = "modifierExtension: it may mean the opposite of what it says; expected none"


@frozen
class _Number:
    """A phone number of a patient."""

    role: str
    rank: int
    value: str
    first: str
    """The day, month or year from which it is the patient's; empty if it always was."""
    last: str
    """The day, month or year until which it is the patient's; empty if there is no end."""

    def is_of(self, day: str) -> bool:
        return day[: len(self.first)] >= self.first and (not self.last or day[: len(self.last)] <= self.last)


@define
class _Actor:
    """A patient, or another participant in appointments."""

    kind: str
    url: str = ""
    """Its `fullUrl` in the bundle; empty if it has none."""
    id: str = ""
    name: str = ""
    language: str = ""
    numbers: Sequence[_Number] = ()
    is_deceased: bool = False
    mistakes: list[str] = field(factory=list)


@frozen
class _Participant:
    """How an appointment names one of its participants."""

    kind: str
    """The type of the resource; empty if not given."""
    reference: str
    display: str
    status: str


@frozen
class _Appointment:
    """An appointment, before its participants are known."""

    record: Record
    participants: Sequence[_Participant]
    contained: Mapping[str, _Actor]
    base: str
    """The address of its server, to which relative references belong; empty if not known."""

    def is_here(self, actor: _Actor, base: str) -> bool:
        """Return whether a participant may belong to the server with this address, or to the appointment's for ""."""
        if base or not actor.url.startswith("http"):
            return not base or not actor.url or actor.url.startswith(base)
        return actor.url.startswith(self.base)


@define
class _Found:
    """What was found so far, resource by resource."""

    appointments: list[_Appointment] = field(factory=list)
    records: list[Record] = field(factory=list)
    has_others: bool = False
    """Whether there are resources that are no appointments."""
    made_at: datetime | None = None
    """When the newest Bundle was made; None if no Bundle has its time."""
    _by_url: dict[str, _Actor] = field(factory=dict)
    _by_name: dict[str, list[_Actor]] = field(factory=dict)
    """The participants by type and id, like `Patient/42`; several if their descriptions differ."""

    def add(self, resource: Json, url: str) -> None:
        """Add a resource with its `fullUrl`."""
        kind = resource.get("resourceType")
        if not isinstance(kind, str):
            self.record().add_mistake("resourceType: none; expected one, like Appointment", always=True)
        elif kind == "Appointment":
            self.appointments.append(_appointment(resource, self.record(), url))
        elif kind == "Bundle":
            made_at = _instant(Element(resource, lambda _mistake: None).text("timestamp"))
            if made_at is not None:
                self.made_at = max(self.made_at or made_at, made_at)
        else:
            self.has_others = True
            if kind in _ACTORS:
                check_count(len(self._by_name))
                self._add(_actor(resource, kind, url))

    def record(self) -> Record:
        """Begin the next record."""
        check_count(len(self.records))
        self.records.append(Record(len(self.records) + 1))
        return self.records[-1]

    def _add(self, actor: _Actor) -> None:
        """Add a participant; if it occurs twice, both descriptions must be the same."""
        if actor.url and self._by_url.setdefault(actor.url, actor) != actor:
            self._by_url[actor.url].mistakes.append(_TWICE.format(actor.kind))
        same = self._by_name.setdefault(f"{actor.kind}/{actor.id}", [])
        if actor not in same:
            same.append(actor)

    def actor(self, reference: str, appointment: _Appointment) -> _Actor | None:
        """Return the participant of a reference in an appointment; None if the file does not have exactly one."""
        if reference.startswith("#"):
            return appointment.contained.get(reference[1:])
        found = _REFERENCE.fullmatch(reference)
        if reference in self._by_url or found is None:
            return self._by_url.get(reference)
        base, kind, name = found.groups()
        same = self._by_name.get(f"{kind}/{name}", [])
        right = [actor for actor in same if appointment.is_here(actor, base or "")]
        return right[0] if len(right) == 1 else None


def read(files: Sequence[tuple[str, Iterable[bytes]]], encoding: str | None) -> Table:
    """Return the table of some files: each has its name in a folder, or an empty name, and its lines.

    Raises:
        FileRefusedError: A file can't be read as a whole.
    """
    found = _Found()
    for name, lines in files:
        with naming_file(name):
            for resource, url in resources(lines, encoding):
                if isinstance(resource, str):
                    found.record().add_mistake(resource, always=True)
                else:
                    found.add(resource, url)
    if not found.records and found.has_others:
        raise FileRefusedError(f"it has other resources, but no Appointment; {EXPECTED}")
    for appointment in found.appointments:
        _join(appointment, found)
    return table_of(found.records, RECORD_FIELDS, "entry", titled("FHIR", files), found.made_at)


def _appointment(json: Json, record: Record, url: str) -> _Appointment:
    """Read an appointment; its participants may come later in the file."""
    resource = Element(json, lambda mistake: record.add_mistake(f"Appointment.{mistake}"))
    if json.get("modifierExtension") or json.get("implicitRules"):
        record.add_mistake(f"Appointment.{_MODIFIED}", always=True)
    record.put("ref", _ref(Element(json, lambda mistake: record.add_mistake(f"ref: {mistake}", always=True))))
    record.put("status", resource.text("status"))
    if not record["status"]:
        record.add_mistake("status: none; expected one like booked")
    record.put("appointment_at", _start(resource))
    types = [json[name] for name in ("appointmentType", "serviceType") if json.get(name)]
    record.put("appointment_type", concept_text(types[0]) if types else "")
    newer = _instant(resource.one("meta").text("lastUpdated"))
    record.version = None if newer is None else (newer,)
    participants = []
    for each in resource.several("participant"):
        actor = each.one("actor")
        reference = actor.text("reference")
        named = _REFERENCE.fullmatch(reference)
        kind = actor.text("type") or (named[2] if named else "")
        participants.append(_Participant(kind, reference, actor.text("display"), each.text("status")))
    kinds = [(each.text("resourceType"), each) for each in resource.several("contained")]
    contained: dict[str, _Actor] = {}
    for inner in (_actor(each.json, kind, "") for kind, each in kinds if kind in _ACTORS):
        if inner.id and contained.setdefault(inner.id, inner) != inner:
            contained[inner.id].mistakes.append(_TWICE.format(inner.kind))
    of_server = _REFERENCE.fullmatch(url) if url.startswith("http") else None
    return _Appointment(record, participants, contained, of_server[1] if of_server else "")


def _ref(resource: Element) -> str:
    """Return the name of an appointment: its id, or its only identifier."""
    own, identifiers = resource.text("id"), [each.text("value") for each in resource.several("identifier")]
    return own or (identifiers[0] if len(identifiers) == 1 else "")


def _start(resource: Element) -> str:
    start = resource.text("start")
    found = _INSTANT.fullmatch(start)
    if found is None:
        resource.wrong("start: none, or no instant; expected one like 2027-03-01T16:00:00-05:00")
        return ""
    if found[1] is None:
        resource.wrong("start: has no offset from UTC; expected an instant like 2027-03-01T16:00:00-05:00")
    return start


def _instant(text: str) -> datetime | None:
    """Return a written moment in UTC; None if it is none, or has no offset."""
    found = _INSTANT.fullmatch(text)
    if found is None or found[1] is None:
        return None
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _actor(json: Json, kind: str, url: str) -> _Actor:
    """Read a patient, or another participant."""
    mistakes: list[str] = []
    resource = Element(json, lambda mistake: mistakes.append(f"{kind}.{mistake}"))
    actor = _Actor(kind, url, resource.text("id"), mistakes=mistakes)
    if kind == "Location":
        actor.name = resource.text("name")
    elif kind == "PractitionerRole":
        actor.name = resource.one("practitioner").text("display")
    else:
        actor.name = _name(resource, with_title=kind == "Practitioner")
    if kind != "Patient":
        return actor
    if json.get("modifierExtension") or json.get("implicitRules"):
        resource.wrong(_MODIFIED)
    if resource.truth("active") is False:
        resource.wrong("active: false, so this record of the patient is not in use; expected one that is")
    actor.is_deceased = bool(resource.truth("deceasedBoolean") or json.get("deceasedDateTime"))
    actor.language = _language(resource.several("communication"))
    actor.numbers = tuple(_numbers(resource.several("telecom")))
    return actor


def _name(resource: Element, *, with_title: bool) -> str:
    """Return a name as it is spoken."""
    best: dict[str, str] = {}
    for each in resource.several("name"):
        titles = _first(each, "prefix") if with_title else ()
        parts = (*titles, *_first(each, "given"), each.text("family"))
        name = " ".join(filter(None, parts)) or each.text("text")
        if name:
            best.setdefault(each.text("use"), name)
    return next((best[use] for use in _NAMES if use in best), "")


def _first(name: Element, part: str) -> Sequence[str]:
    found = name.json.get(part)
    return [each for each in found[:1] if isinstance(each, str)] if isinstance(found, list) else []


def _language(spoken: Sequence[Element]) -> str:
    """Return the language that a patient prefers, or the only one; empty if unknown."""
    preferred = [each for each in spoken if each.truth("preferred")] or spoken
    if len(preferred) != 1:
        return ""
    language = preferred[0].one("language")
    codings = language.several("coding")
    codes, names = ([coding.text(part) for coding in codings] for part in ("code", "display"))
    return language_of((*codes, language.text("text"), *names))


def _numbers(telecom: Sequence[Element]) -> list[_Number]:
    """Return the phone numbers that may be a patient's."""
    numbers = []
    for each in telecom:
        role = _ROLES.get(each.text("use"))
        if role is None or each.text("system") != "phone":
            continue
        period, rank = each.one("period"), each.json.get("rank")
        first, last = (_DAY.fullmatch(period.text(end)) for end in ("start", "end"))
        numbers.append(
            _Number(
                role=role,
                rank=rank if type(rank) is int else _NO_RANK,
                value=each.text("value"),
                first=first[1] if first else "",
                last=last[1] if last else "",
            )
        )
    return sorted(numbers, key=lambda number: number.rank)


def _join(appointment: _Appointment, found: _Found) -> None:
    """Fill in what the participants of an appointment contain."""
    record = appointment.record
    patients: dict[str, _Participant] = {}
    others: dict[str, set[str]] = {"provider": set(), "place": set()}
    for participant in appointment.participants:
        actor = found.actor(participant.reference, appointment)
        kind = actor.kind if actor is not None else participant.kind
        name = participant.display or (actor.name if actor is not None else "")
        if kind == "Patient":
            patients.setdefault(participant.reference, participant)
        elif kind in _ACTORS and name:
            others["place" if kind == "Location" else "provider"].add(name)
    for field_, names in others.items():  # it is not known which of several is meant
        record.put(field_, names.pop() if len(names) == 1 else "")
    if len(patients) != 1:
        record.add_mistake(f"Appointment.participant: {len(patients) or 'no'} patients; expected one")
        return
    [participant] = patients.values()
    if participant.status == "declined":
        record.add_mistake(
            "Appointment.participant: the patient has declined; expected another status of the appointment"
        )
    patient = found.actor(participant.reference, appointment)
    if patient is None:
        record.add_mistake(
            "Appointment.participant: its Patient is not in the file, or not only once; expected it there,"
            " like by _include=Appointment:patient"
        )
        return
    _fill_patient(record, patient)


def _fill_patient(record: Record, patient: _Actor) -> None:
    for mistake in patient.mistakes:
        record.add_mistake(mistake)
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
        record.add_mistake("phone_number: no phone in use on that day in Patient.telecom; expected the patient's")
