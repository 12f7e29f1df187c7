"""Files in the shape of several vendors come to what they say; names are made up, numbers are of a reserved range."""

from datetime import datetime
from pathlib import Path

import pytest
from icalendar import Calendar

from reminderd.imports.formats import format_of
from tests.imports.readings import SAMPLES, read

NUMBERS = ("phone_number", "mobile", "phone", "home_phone", "work_phone")

OUTLOOK = (
    "040000008200E00074C5B7101A82E00800000000B0A5C3F2D1E4DA01000000000000000010000000EXAMPLE000000000000000000000000"
)

EXPECTED: dict[str, list[tuple[str, str, str, str] | str]] = {
    "apple.ics": [("6A1B2C3D-0000-4444-8888-EXAMPLE00001", "2027-03-05T09:30:00-05:00", "+1-202-555-0108", "")],
    "google.ics": [
        ("4q9hn2s7c1a8example0001@google.com", "2027-03-01T14:30:00Z", "(202) 555-0101", "confirmed"),
        ("4q9hn2s7c1a8example0002@google.com", "2027-03-01T15:00:00Z", "+1 202-555-0102", "cancelled"),
        (
            "4q9hn2s7c1a8example0003@google.com/20270302T083000",
            "2027-03-02T09:00:00-05:00",
            "202.555.0103",
            "confirmed",
        ),
        "RRULE: a series, whose single appointments it does not list",
        "appointment_at: a whole day; expected a time of day",
    ],
    "nextcloud.ics": [
        ("5d4f6a3e-0000-4c1b-9d2e-example00001", "2027-03-04T15:30:00-05:00", "+1 202 555 0106", "confirmed"),
        ("5d4f6a3e-0000-4c1b-9d2e-example00002", "2027-03-04 16:15:00", "+1 202 555 0107", ""),
    ],
    "outlook.ics": [
        (
            f"{OUTLOOK}1",
            "2027-03-12T10:00:00-05:00",
            "202-555-0104",
            "confirmed",
        ),
        (
            f"{OUTLOOK}2",
            "2027-03-15T11:30:00-04:00",
            "202-555-0105",
            "cancelled",
        ),
    ],
    "epic.json": [
        ("eAbC.01", "2027-03-08T14:00:00Z", "202-555-0112", "booked"),
        ("eAbC.02", "2027-03-08T15:00:00Z", "202-555-0112", "cancelled"),
        ("eAbC.03", "2027-03-07T15:00:00Z", "202-555-0112", "noshow"),
    ],
    "oracle.json": [
        ("4817517", "2027-03-09T09:30:00.000-05:00", "+1 202 555 0114", "booked"),
        ("4817518", "2027-03-10T11:00:00.000-05:00", "+1 202 555 0114", "arrived"),
    ],
    "hapi.json": [("52", "2027-03-11T10:15:00-05:00", "(202) 555-0116", "booked")],
    "medplum.json": [
        ("0f9e8d7c-0000-4000-8000-00000000000b", "2027-03-12T15:00:00.000Z", "+12025550117", "pending"),
        ("0f9e8d7c-0000-4000-8000-00000000000c", "2027-03-12T16:00:00Z", "+12025550118", "booked"),
    ],
    "bulk.ndjson": [
        ("b-1", "2027-03-15T09:00:00-04:00", "+1-202-555-0121", "booked"),
        ("b-2", "2027-03-01T09:00:00-05:00", "+1-202-555-0121", "fulfilled"),
    ],
    "epic.hl7": [
        ("40001", "2027-03-17T11:30:00", "(202)555-0123", "Scheduled"),
        ("40002", "2027-02-26T08:00:00", "(202)555-0125", "no show"),
    ],
    "cerner.hl7": [
        ("50001", "2027-03-18T09:15:00-04:00", "+12025550126", "CONFIRMED"),
        ("50002", "2027-03-18T10:15:00-04:00", "+1 (202) 5550127", "cancelled"),
    ],
    "athena.hl7": [
        ("60001", "2027-03-19T14:00:00", "2025550128", "Booked"),
        ("60002", "2027-03-19T15:00:00", "2025550130", "deleted"),
    ],
}
"""Ref, time, the number that is called, and status of each record; or how its mistake begins."""


@pytest.mark.parametrize("name", EXPECTED)
def test_a_vendors_sample_is_read_as_expected(name: str) -> None:
    for each, expected in zip(read(SAMPLES / name), EXPECTED[name], strict=True):
        number = next((each.cells[role] for role in NUMBERS if role in each.cells), "")
        found = (
            each.cells["ref"],
            each.cells.get("appointment_at", ""),
            number,
            each.cells.get("appointment_status", ""),
        )
        if isinstance(expected, str):
            assert each.mistake is not None
            assert each.mistake.startswith(expected)
        else:
            assert (found, each.mistake) == (expected, None)


def test_every_sample_is_expected() -> None:
    assert {path.name for path in SAMPLES.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize(
    ("name", "number", "expected"),
    [
        ("apple.ics", 1, {"name": "Evelyn Boyd"}),
        ("google.ics", 1, {"name": "Ada Lovelace", "place": "Main Street 5, room 2"}),
        ("outlook.ics", 1, {"name": "Katherine Johnson", "appointment_type": "Cleaning", "place": "Room 3"}),
        ("nextcloud.ics", 2, {"name": "Joséphine Müller", "language": "fr", "patient_ref": "P-1007"}),
        (
            "epic.json",
            1,
            {
                "name": "Ada Lovelace",
                "language": "en",
                "appointment_type": "Office Visit",
                "place": "EMC Family Medicine",
                "provider": "Physician Family Medicine, MD",
                "patient_ref": "ePat.01",
                "home_phone": "202-555-0111",
            },
        ),
        ("oracle.json", 1, {"language": "es", "appointment_type": "Follow Up", "place": "MX Clinic 1"}),
        ("medplum.json", 1, {"language": "fr-CA", "name": "Rosalind Franklin"}),
        ("medplum.json", 2, {"name": "Chien-Shiung Wu", "patient_ref": "p1"}),
        ("bulk.ndjson", 1, {"language": "German", "place": "North office", "name": "Emmy Noether"}),
        (
            "epic.hl7",
            2,
            {
                "name": "ELIZABETH SCOTT",
                "language": "ENG",
                "appointment_type": "OFFICE VISIT",
                "place": "EMC FAMILY MEDICINE",
                "provider": "DR. ELIZABETH BLACKWELL",
                "patient_ref": "Z1001",
            },
        ),
        ("cerner.hl7", 1, {"name": "JOSÉPHINE MÜLLER", "language": "spa", "place": "North clinic"}),
        ("athena.hl7", 1, {"name": "Maria Goeppert", "place": "BOSTON OFFICE", "work_phone": "2025550129"}),
    ],
)
def test_the_other_fields_of_a_record_are_read_too(name: str, number: int, expected: dict[str, str]) -> None:
    [found] = [each for each in read(SAMPLES / name) if each.number == number]
    assert {field: found.cells.get(field) for field in expected} == expected


@pytest.mark.parametrize("name", [name for name in EXPECTED if name.endswith(".ics")])
def test_another_calendar_library_finds_the_same_entries_and_times(name: str) -> None:
    judged = []
    for entry in Calendar.from_ical((SAMPLES / name).read_bytes()).walk("VEVENT"):
        start = entry["DTSTART"].dt
        judged.append((str(entry["UID"]), start if isinstance(start, datetime) else None))
    read_here = []
    for each in read(SAMPLES / name):
        moment = each.cells.get("appointment_at")
        read_here.append((each.cells["ref"].partition("/")[0], moment and datetime.fromisoformat(moment)))
    assert read_here == judged


@pytest.mark.parametrize("name", EXPECTED)
def test_the_format_is_found_by_the_ending_or_else_by_the_beginning(name: str, tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_bytes((SAMPLES / name).read_bytes())
    assert format_of(path) == format_of(SAMPLES / name) != "csv"
