import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reminderd.core.imports import FileRefusedError
from reminderd.imports.formats import open_table
from tests.imports.readings import Read, read

Json = dict[str, Any]


def patient(**more: Any) -> Json:
    telecom = [{"system": "phone", "value": "202-555-0101", "use": "mobile"}]
    return {"resourceType": "Patient", "id": "p", "telecom": telecom} | more


def appointment(**more: Any) -> Json:
    participant = [{"actor": {"reference": "Patient/p"}, "status": "accepted"}]
    start = "2027-03-01T14:30:00Z"
    return {
        "resourceType": "Appointment",
        "id": "a",
        "status": "booked",
        "start": start,
        "participant": participant,
    } | more


def bundle(*resources: Json, **more: Any) -> Json:
    return {"resourceType": "Bundle", "type": "searchset", "entry": [{"resource": one} for one in resources]} | more


def read_text(folder: Path, text: str) -> list[Read]:
    path = folder / "appointments.json"
    path.write_text(text, encoding="utf-8")
    return read(path)


def read_json(folder: Path, *resources: Json, **more: Any) -> list[Read]:
    return read_text(folder, json.dumps(bundle(*resources, **more)))


def only(folder: Path, *resources: Json) -> Read:
    [found] = read_json(folder, *resources)
    return found


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ({"start": None}, "Appointment.start: no text"),
        ({"start": ""}, "Appointment.start: none, or no instant"),
        ({"start": "2027-03-01"}, "Appointment.start: none, or no instant"),
        ({"start": "2027-03-01T14:30:00"}, "Appointment.start: has no offset from UTC"),
        ({"start": 1804084200}, "Appointment.start: no text"),
        ({"status": ""}, "status: none; expected one like booked"),
        ({"status": ["booked"]}, "Appointment.status: no text"),
        ({"id": ""}, "ref: none"),
        ({"id": 5}, "ref: id: no text"),
        ({"id": "", "identifier": [{"value": "1"}, {"value": "2"}]}, "ref: none"),
        ({"participant": []}, "Appointment.participant: no patients"),
        ({"participant": "Patient/p"}, "Appointment.participant: no list of elements"),
        ({"participant": [{"actor": "Patient/p"}]}, "Appointment.participant.actor: no element"),
        ({"participant": [{"actor": {"reference": "Patient/q"}}]}, "Appointment.participant: its Patient is not in"),
        ({"participant": [{"actor": {"type": "Patient"}}]}, "Appointment.participant: its Patient is not in"),
        (
            {"participant": [{"actor": {"reference": "Patient/p"}}, {"actor": {"reference": "Patient/q"}}]},
            "Appointment.participant: 2 patients",
        ),
        (
            {"participant": [{"actor": {"reference": "Patient/p"}, "status": "declined"}]},
            "Appointment.participant: the patient has declined",
        ),
        ({"modifierExtension": [{"url": "https://example.org/not"}]}, "Appointment.modifierExtension"),
        ({"implicitRules": "https://example.org/rules"}, "Appointment.modifierExtension"),
        ({"description": "x", "meta": "new"}, "Appointment.meta: no element"),
    ],
)
def test_an_ambiguous_appointment_is_rejected(tmp_path: Path, more: Json, mistake: str) -> None:
    found = only(tmp_path, appointment(**more), patient())
    assert (found.mistake or "").startswith(mistake)


@pytest.mark.parametrize(
    ("more", "mistake"),
    [
        ({"active": False}, "Patient.active: false"),
        ({"active": "no"}, "Patient.active: neither true nor false"),
        ({"modifierExtension": [{}]}, "Patient.modifierExtension"),
        ({"telecom": []}, "phone_number: no phone in use on that day in Patient.telecom"),
        (
            {"telecom": [{"system": "email", "value": "p@example.org"}]},
            "phone_number: no phone in use on that day in Patient.telecom",
        ),
        (
            {"telecom": [{"system": "fax", "value": "202-555-0101"}]},
            "phone_number: no phone in use on that day in Patient.telecom",
        ),
        (
            {"telecom": [{"system": "phone", "value": "202-555-0101", "use": "old"}]},
            "phone_number: no phone in use on that day",
        ),
        ({"telecom": [{"value": "202-555-0101"}]}, "phone_number: no phone in use on that day in Patient.telecom"),
        ({"telecom": [{"system": "phone", "value": 2025550101}]}, "Patient.telecom.value: no text"),
        ({"name": "Ada"}, "Patient.name: no list of elements"),
    ],
)
def test_an_ambiguous_patient_is_rejected(tmp_path: Path, more: Json, mistake: str) -> None:
    found = only(tmp_path, appointment(), patient(**more))
    assert (found.mistake or "").startswith(mistake)


@pytest.mark.parametrize("status", ["cancelled", "noshow", "fulfilled", "arrived", "entered-in-error", "waitlist"])
def test_an_ended_appointment_only_needs_its_name(tmp_path: Path, status: str) -> None:
    found = only(tmp_path, {"resourceType": "Appointment", "id": "a", "status": status})
    assert (found.cells, found.mistake) == ({"ref": "a", "appointment_status": status}, None)


@pytest.mark.parametrize("died", [{"deceasedBoolean": True}, {"deceasedDateTime": "2027-01-01"}])
def test_nobody_is_called_for_a_patient_who_has_died(tmp_path: Path, died: Json) -> None:
    found = only(tmp_path, appointment(), patient(**died))
    assert (found.cells["appointment_status"], found.mistake) == ("deceased", None)


@pytest.mark.parametrize(
    ("telecom", "cells"),
    [
        ([{"use": "home", "value": "1"}, {"use": "mobile", "value": "2"}], {"home_phone": "1", "mobile": "2"}),
        ([{"use": "work", "value": "1"}, {"value": "2"}], {"work_phone": "1", "phone": "2"}),
        ([{"use": "home", "value": "1", "rank": 2}, {"use": "home", "value": "2", "rank": 1}], {"home_phone": "2"}),
        ([{"use": "home", "value": "1"}, {"use": "home", "value": "2"}], {"home_phone": "1"}),
        (
            [{"use": "home", "value": "1", "period": {"end": "2026-12-31"}}, {"use": "home", "value": "2"}],
            {"home_phone": "2"},
        ),
        (
            [{"use": "home", "value": "1", "period": {"start": "2027-04"}}, {"use": "home", "value": "2"}],
            {"home_phone": "2"},
        ),
        ([{"use": "home", "value": "1", "period": {"start": "2020", "end": "2027"}}], {"home_phone": "1"}),
    ],
)
def test_a_patients_numbers_are_distinguished_by_their_use(
    tmp_path: Path, telecom: list[Json], cells: dict[str, str]
) -> None:
    found = only(tmp_path, appointment(), patient(telecom=[{"system": "phone"} | one for one in telecom]))
    phones = ("mobile", "phone", "home_phone", "work_phone")
    assert {name: found.cells[name] for name in phones if name in found.cells} == cells


@pytest.mark.parametrize(
    ("communication", "language"),
    [
        ([{"language": {"coding": [{"code": "es"}]}}, {"language": {"text": "French"}, "preferred": True}], "French"),
        ([{"language": {"coding": [{"code": "es"}]}}, {"language": {"coding": [{"code": "fr"}]}}], None),
        ([{"language": {"coding": [{"code": "X9"}, {"code": "spa"}]}}], "spa"),
        ([{"language": {"coding": [{"code": "12", "display": "Spanish"}]}}], "Spanish"),
        ([{"language": {"text": "Unknown"}}], None),
    ],
)
def test_the_language_is_the_patients_preferred_one(
    tmp_path: Path, communication: list[Json], language: str | None
) -> None:
    found = only(tmp_path, appointment(), patient(communication=communication))
    assert found.cells.get("language") == language


def test_a_reference_means_the_resource_with_that_address(tmp_path: Path) -> None:
    here = {"fullUrl": "https://a.example/fhir/Patient/p", "resource": patient()}
    other = {"fullUrl": "https://b.example/fhir/Patient/p", "resource": patient(name=[{"text": "Other"}])}

    def named(reference: str) -> str | None:
        resource = appointment(participant=[{"actor": {"reference": reference}}])
        text = json.dumps({"resourceType": "Bundle", "entry": [{"resource": resource}, here, other]})
        [found] = read_text(tmp_path, text)
        return "rejected" if found.mistake else found.cells.get("name", "nameless")

    assert named("https://a.example/fhir/Patient/p") == "nameless"
    assert named("https://b.example/fhir/Patient/p") == "Other"
    assert named("https://b.example/fhir/Patient/p/_history/2") == "Other"
    assert named("Patient/p") == "rejected"  # which of the two
    assert named("https://c.example/fhir/Patient/p") == "rejected"


def test_a_relative_reference_means_a_resource_of_the_same_server(tmp_path: Path) -> None:
    def found(patients_address: str) -> Read:
        entries = [
            {"fullUrl": "https://a.example/fhir/Appointment/a", "resource": appointment()},
            {"fullUrl": patients_address, "resource": patient()},
        ]
        [read_] = read_text(tmp_path, json.dumps({"resourceType": "Bundle", "entry": entries}))
        return read_

    assert found("https://a.example/fhir/Patient/p").mistake is None
    assert found("urn:uuid:6f0b1d3c-52b1-4a51-9d2f-3f6a2f6f6d64").mistake is None
    assert (found("https://b.example/fhir/Patient/p").mistake or "").startswith("Appointment.participant: its Patient")


def test_a_contained_patient_is_one_and_has_an_id(tmp_path: Path) -> None:
    def mistake(reference: str, *contained: Json) -> str:
        actors = [{"actor": {"reference": reference}}]
        return only(tmp_path, appointment(contained=[*contained], participant=actors)).mistake or ""

    other = patient(telecom=[{"system": "phone", "value": "202-555-0199"}])
    assert mistake("#p", patient(), patient()) == ""
    assert mistake("#p", patient(), other).startswith("Patient: twice with different contents; expected one")
    assert mistake("#", patient(id="")).startswith("Appointment.participant: no patients")


def test_the_version_that_was_updated_last_counts(tmp_path: Path) -> None:
    old = appointment(meta={"lastUpdated": "2027-01-01T10:00:00Z"})
    new = appointment(meta={"lastUpdated": "2027-01-01T06:00:00-05:00"}, status="cancelled")
    for both in ((old, new), (new, old)):
        assert only(tmp_path, *both, patient()).cells["appointment_status"] == "cancelled"
    undated = [each.mistake or "" for each in read_json(tmp_path, old, appointment(status="cancelled"), patient())]
    assert [each[:22] for each in undated] == ["ref: 2 records have it"] * 2


def test_a_person_or_a_place_is_named_only_if_there_is_one(tmp_path: Path) -> None:
    doctor = {"resourceType": "Practitioner", "id": "d", "name": [{"prefix": ["Dr."], "family": "Noether"}]}
    role = {"resourceType": "PractitionerRole", "id": "r", "practitioner": {"display": "Dr. Meitner"}}
    actors = [{"actor": {"reference": name}} for name in ("Patient/p", "Practitioner/d")]
    found = only(tmp_path, appointment(participant=actors), patient(), doctor, role)
    assert (found.cells["provider"], found.mistake) == ("Dr. Noether", None)
    actors.append({"actor": {"reference": "PractitionerRole/r"}})
    found = only(tmp_path, appointment(participant=actors), patient(), doctor, role)
    assert (found.cells.get("provider"), found.mistake) == (None, None)


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"appointmentType": {"text": "Recall"}}, "Recall"),
        ({"serviceType": [{"coding": [{"code": "7"}]}]}, "7"),
        ({"serviceType": [{"text": "A"}, {"text": "B"}]}, None),
        ({"appointmentType": 5}, None),
        ({"appointmentType": {"coding": "5"}}, None),
    ],
)
def test_the_type_of_an_appointment_is_read_if_there_is_one(tmp_path: Path, more: Json, kind: str | None) -> None:
    assert only(tmp_path, appointment(**more), patient()).cells.get("appointment_type") == kind


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "it is empty"),
        ("{", "it is no JSON, or not all of it: .* at line 1"),
        ("[]", "it has something that is no FHIR resource"),
        ('{"resourceType": 5}', "it has something that is no FHIR resource"),
        ("[" * 100_000, "it is no JSON, or not all of it: nested too deeply"),
        ('{"resourceType": "Bundle", "resourceType": "Bundle"}', "a key twice in one object"),
        ('{"resourceType": "Appointment", "x": NaN}', "NaN is no JSON"),
        ('{"resourceType": "Appointment", "x": ' + "9" * 5_000 + "}", "it is no JSON, or not all of it"),
        ('{"resourceType": "Observation"}', "it has other resources, but no Appointment"),
        ('{"resourceType": "Patient"}', "it has other resources, but no Appointment"),
        (json.dumps(bundle(link=[{"relation": "next"}])), "it is one page of several"),
        (json.dumps(bundle(appointment(), total=2)), "its total is larger than what it has"),
        (json.dumps(bundle(bundle())), "it has a Bundle inside a Bundle"),
        (json.dumps(bundle() | {"entry": 5}), "Bundle.entry: no list of elements"),
        (
            json.dumps({"resourceType": "OperationOutcome", "issue": [{"severity": "error"}]}),
            "the server reported an error",
        ),
    ],
)
def test_a_file_that_is_not_all_appointments_is_refused(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(FileRefusedError, match=mistake):
        read_text(tmp_path, text)


def test_an_unreadable_line_is_rejected_alone(tmp_path: Path) -> None:
    lines = [json.dumps(appointment()), '{"resourceType": "Appoint', "", json.dumps(patient())]
    whole, broken = read_text(tmp_path, "\n".join(lines))
    assert whole.mistake is None
    assert (broken.mistake or "").startswith("JSON: line 2: ")


def test_an_entry_without_a_resource_is_rejected(tmp_path: Path) -> None:
    deleted = {"request": {"method": "DELETE", "url": "Appointment/a"}}
    [found] = read_text(tmp_path, json.dumps({"resourceType": "Bundle", "entry": [deleted]}))
    assert (found.mistake or "").startswith("Bundle.entry: entry 1 has no resource")


@pytest.mark.parametrize("kind", [None, 5, ["Appointment"], {}])
def test_an_entry_that_does_not_say_what_it_is_is_rejected(tmp_path: Path, kind: Any) -> None:
    [found] = read_json(tmp_path, {"resourceType": kind, "id": "a"})
    assert (found.mistake or "").startswith("resourceType: none")


def test_more_elements_than_make_sense_are_rejected(tmp_path: Path) -> None:
    found = only(tmp_path, appointment(participant=[{}] * 1_001), patient())
    assert (found.mistake or "").startswith("Appointment.participant: more than 1,000 elements")


def test_resources_may_be_in_several_files_of_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "Appointment.ndjson").write_text(json.dumps(appointment()) + "\n")
    (folder / "Patient.ndjson").write_text(json.dumps(patient()) + "\n")
    [found] = read(folder)
    assert (found.cells["mobile"], found.mistake) == ("202-555-0101", None)


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "appointments.json"
    with path.open("wb") as file:
        file.truncate(17 << 20)
    with pytest.raises(FileRefusedError, match="it is larger than 16 MiB"):
        read(path)


def test_half_of_a_surrogate_pair_is_never_written(tmp_path: Path) -> None:
    found = only(tmp_path, appointment(), patient(name=[{"text": "Ada \ud800"}]))
    assert "\ud800" not in found.cells["name"]
    assert (found.mistake or "").startswith("encoding: a letter can't be read")


@pytest.mark.parametrize(
    ("times", "made_at"),
    [
        (["2027-02-28T06:00:00+01:00"], datetime(2027, 2, 28, 5, tzinfo=UTC)),
        (["2027-02-28T06:00:00Z", "2027-03-01T06:00:00Z", None], datetime(2027, 3, 1, 6, tzinfo=UTC)),
        ([None], None),
        (["2027-02-28"], None),
        (["2027-02-28T06:00:00"], None),
        (["2027-02-30T06:00:00Z"], None),
        ([5], None),
    ],
)
def test_a_bundle_says_when_it_was_made(tmp_path: Path, times: list[Any], made_at: datetime | None) -> None:
    path = tmp_path / "appointments.ndjson"
    bundles = [bundle(appointment(), patient(), **({} if one is None else {"timestamp": one})) for one in times]
    path.write_text("".join(f"{json.dumps(one)}\n" for one in bundles))
    with open_table(path, {}) as table:
        assert table.made_at == made_at
