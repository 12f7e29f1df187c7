from collections.abc import Mapping
from pathlib import Path

import pytest

from reminderd.core.imports import FileRefusedError
from reminderd.core.tables.columns import ColumnsError
from tests.imports.readings import Read, read

PHONE = {"phone_number": "DESCRIPTION"}


def entry(**properties: str) -> str:
    lines = {
        "UID": "one@example.org",
        "DTSTART": "20270301T143000Z",
        "DESCRIPTION": "202-555-0101",
    } | {name.replace("_", "-"): value for name, value in properties.items()}
    shown = [f"{name}{'' if value.startswith(';') else ':'}{value}" for name, value in lines.items() if value]
    return "\r\n".join(["BEGIN:VEVENT", *shown, "END:VEVENT"])


def calendar(*entries: str, head: str = "VERSION:2.0") -> str:
    return "\r\n".join(["BEGIN:VCALENDAR", head, *entries, "END:VCALENDAR", ""])


def read_text(folder: Path, text: str, chosen: Mapping[str, str] = PHONE) -> list[Read]:
    path = folder / "calendar.ics"
    path.write_bytes(text.encode())
    return read(path, chosen)


def only(folder: Path, text: str, chosen: Mapping[str, str] = PHONE) -> Read:
    [found] = read_text(folder, text, chosen)
    return found


@pytest.mark.parametrize(
    ("start", "moment"),
    [
        ("20270301T143000Z", "2027-03-01T14:30:00Z"),
        ("20270301T143000", "2027-03-01 14:30:00"),
        (";TZID=America/New_York:20270301T143000", "2027-03-01T14:30:00-05:00"),
        (";TZID=Eastern Standard Time:20270701T143000", "2027-07-01T14:30:00-04:00"),
        (';TZID="W. Europe Standard Time":20270701T143000', "2027-07-01T14:30:00+02:00"),
        (";TZID=/freeassociation.sourceforge.net/Europe/Berlin:20270301T143000", "2027-03-01T14:30:00+01:00"),
        (";TZID=/mozilla.org/20070129_1/Europe/Berlin:20270301T143000", "2027-03-01T14:30:00+01:00"),
        (";TZID=UTC:20270301T143000", "2027-03-01T14:30:00+00:00"),
        (";TZID=America/New_York:20271107T013000", "2027-11-07T01:30:00-04:00"),  # comes twice: the first
    ],
)
def test_a_start_is_read_with_its_zone(tmp_path: Path, start: str, moment: str) -> None:
    found = only(tmp_path, calendar(entry(DTSTART=start)))
    assert (found.cells["appointment_at"], found.mistake) == (moment, None)


@pytest.mark.parametrize(
    ("properties", "mistake"),
    [
        ({"DTSTART": ";VALUE=DATE:20270301"}, "appointment_at: a whole day"),
        ({"DTSTART": "20270301"}, "appointment_at: a whole day"),
        ({"DTSTART": "20271301T250000"}, "appointment_at: no such day or hour"),
        ({"DTSTART": "soon"}, "appointment_at: DTSTART is not a time"),
        ({"DTSTART": ""}, "appointment_at: DTSTART is not a time"),
        ({"DTSTART": ";TZID=Customized Time Zone:20270301T143000"}, 'appointment_at: TZID "Customized Time Zone"'),
        ({"DTSTART": ";TZID=EST:20270301T143000"}, 'appointment_at: TZID "EST" is not a known time zone'),
        ({"DTSTART": ";TZID=America/New_York:20270301T143000Z"}, "appointment_at: DTSTART has a TZID and ends with Z"),
        ({"DTSTART": ";TZID=America/New_York:20270314T023000"}, "appointment_at: that local time does not exist"),
        ({"RRULE": "FREQ=WEEKLY"}, "RRULE: a series"),
        ({"RDATE": "20270302T143000Z"}, "RRULE: a series"),
        ({"RECURRENCE_ID": ";RANGE=THISANDFUTURE:20270301T143000Z"}, "ref: RECURRENCE-ID with a RANGE"),
        ({"UID": ""}, "ref: none"),
        ({"DESCRIPTION": ""}, 'phone_number: none in "DESCRIPTION"'),
        ({"DESCRIPTION": "bring your records"}, "phone_number: no phone number in it"),
        ({"DESCRIPTION": "202-555-0101 or 202-555-0102"}, "phone_number: more than one number in it"),
        ({"SEQUENCE": "1\r\nSEQUENCE:2"}, "SEQUENCE: twice in one entry"),
        ({"LOCATION": "Room\r\n1, first floor"}, "entry: a line in it is not a property"),
        ({"LOCATION": "x" * 6_000}, "place: longer than 5,000 characters"),
        ({"STATUS": "CONFIRMED\0"}, "encoding: a letter can't be read"),
    ],
)
def test_an_ambiguous_entry_is_rejected(tmp_path: Path, properties: Mapping[str, str], mistake: str) -> None:
    found = only(tmp_path, calendar(entry(**properties)))
    assert (found.mistake or "").startswith(mistake)


def test_offsets_that_contradict_the_known_zone_are_not_overridden(tmp_path: Path) -> None:
    zone = "BEGIN:VTIMEZONE\r\nTZID:Europe/Berlin\r\nBEGIN:STANDARD\r\nTZOFFSETTO:{}\r\nEND:STANDARD\r\nEND:VTIMEZONE"
    start = entry(DTSTART=";TZID=Europe/Berlin:20270301T143000")
    assert only(tmp_path, calendar(zone.format("+0100"), start)).mistake is None
    found = only(tmp_path, calendar(zone.format("+0300"), start))
    assert (found.mistake or "").startswith('appointment_at: TZID "Europe/Berlin" has other offsets')


@pytest.mark.parametrize(
    ("head", "properties", "status"),
    [
        ("METHOD:PUBLISH", {}, None),
        ("METHOD:PUBLISH", {"STATUS": "TENTATIVE"}, "tentative"),
        ("METHOD:CANCEL", {}, "cancelled"),
        ("METHOD:PUBLISH", {"SUMMARY": "Canceled: Ada Lovelace"}, "cancelled"),
        ("METHOD:PUBLISH", {"SUMMARY": "Abgesagt: Ada Lovelace", "STATUS": "CONFIRMED"}, "cancelled"),
    ],
)
def test_a_calendar_says_what_was_cancelled(
    tmp_path: Path, head: str, properties: Mapping[str, str], status: str | None
) -> None:
    assert only(tmp_path, calendar(entry(**properties), head=head)).cells.get("appointment_status") == status


def test_a_cancelled_entry_only_needs_its_name(tmp_path: Path) -> None:
    found = only(tmp_path, calendar(entry(STATUS="CANCELLED", DESCRIPTION="", DTSTART=";VALUE=DATE:20270301")))
    assert (found.cells["ref"], found.mistake) == ("one@example.org", None)


def test_an_answer_to_an_invitation_says_nothing_about_the_appointment(tmp_path: Path) -> None:
    found = only(tmp_path, calendar(entry(STATUS="CANCELLED"), head="METHOD:REPLY"))
    assert (found.mistake or "").startswith('METHOD: "REPLY" says nothing for sure')


def test_the_newest_of_several_entries_counts(tmp_path: Path) -> None:
    old = entry(SEQUENCE="1", DTSTAMP="20270102T000000Z")
    new = entry(SEQUENCE="2", DTSTAMP="20270101T000000Z", DTSTART="20270302T143000Z")
    for entries in ((old, new), (new, old), (new, new, old)):
        found = only(tmp_path, calendar(*entries))
        assert (found.cells["appointment_at"], found.mistake) == ("2027-03-02T14:30:00Z", None)


def test_two_entries_of_the_same_age_are_both_rejected(tmp_path: Path) -> None:
    found = read_text(tmp_path, calendar(entry(), entry(DTSTART="20270302T143000Z")))
    assert [each.mistake for each in found] == [
        "ref: 2 records have it, and nothing says which is the newest; expected one"
    ] * 2


def test_each_appointment_of_a_series_has_its_own_name(tmp_path: Path) -> None:
    instances = [entry(RECURRENCE_ID=f"2027030{day}T143000Z", DTSTART=f"2027030{day}T150000Z") for day in (1, 8)]
    found = read_text(tmp_path, calendar(*instances))
    assert [each.cells["ref"] for each in found] == [
        "one@example.org/20270301T143000Z",
        "one@example.org/20270308T143000Z",
    ]


@pytest.mark.parametrize(
    ("place", "properties", "number"),
    [
        ("X-Phone", {"X_PHONE": "+1 202 555 0102"}, "+1 202 555 0102"),
        ("description/mobile", {"DESCRIPTION": r"Home: 202-555-0101\nMobile: 202-555-0102"}, "202-555-0102"),
        ("CONTACT", {"CONTACT": r"Jane\, (202) 555-0102"}, "(202) 555-0102"),
        ("URL", {"URL": "tel:+1-202-555-0102"}, "+1-202-555-0102"),
        ("ORGANIZER", {"ORGANIZER": ";CN=Jane:tel:+1%20202%20555%200102"}, "+1 202 555 0102"),
    ],
)
def test_the_number_is_where_the_clinic_says(
    tmp_path: Path, place: str, properties: Mapping[str, str], number: str
) -> None:
    found = only(tmp_path, calendar(entry(**properties)), {"phone_number": place})
    assert (found.cells["phone_number"], found.mistake) == (number, None)


@pytest.mark.parametrize(
    ("attendees", "mistake"),
    [
        ("mailto:jane@example.org", "phone_number: 0 tel: addresses"),
        ("tel:+12025550101\r\nATTENDEE:tel:+12025550102", "phone_number: 2 tel: addresses"),
        ("tel:+12025550101;ext=5", "phone_number: a tel: address with an extension"),
    ],
)
def test_an_attendees_number_needs_exactly_one_plain_tel_address(tmp_path: Path, attendees: str, mistake: str) -> None:
    found = only(tmp_path, calendar(entry(ATTENDEE=attendees)), {"phone_number": "ATTENDEE"})
    assert (found.mistake or "").startswith(mistake)


@pytest.mark.parametrize(
    ("chosen", "mistake"),
    [
        ({}, "phone_number: iCalendar has no place of its own for it"),
        (PHONE | {"name": "DESCRIPTION"}, 'name: another field is in "DESCRIPTION", too'),
        (PHONE | {"scheduled_at": "DTSTART"}, "scheduled_at: the time of an entry is its appointment's"),
        (PHONE | {"appointment_at": "DTEND"}, "appointment_at: the time of an entry is its appointment's"),
        (PHONE | {"name": "Patient name"}, 'name: "Patient name" is not a place in an entry'),
    ],
)
def test_a_property_that_cannot_hold_the_field_is_refused(
    tmp_path: Path, chosen: Mapping[str, str], mistake: str
) -> None:
    with pytest.raises(ColumnsError, match=mistake):
        read_text(tmp_path, calendar(entry()), chosen)


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "it ends before END:VCALENDAR"),
        ("hello", "it does not begin with BEGIN:VCALENDAR"),
        (calendar(entry()).removesuffix("END:VCALENDAR\r\n"), "it ends before END:VCALENDAR"),
        (calendar(entry().removesuffix("END:VEVENT")), "END:VCALENDAR is in a wrong place, in or after entry 1"),
        (calendar("END:VEVENT"), "END:VEVENT is in a wrong place, before the first entry"),
        (calendar("BEGIN:VALARM", entry(), "END:VALARM"), "BEGIN:VEVENT is in a wrong place"),
        (calendar(*["BEGIN:X"] * 1_000), "a line that begins with BEGIN is in a wrong place"),
    ],
)
def test_an_incomplete_calendar_is_refused(tmp_path: Path, text: str, mistake: str) -> None:
    with pytest.raises(FileRefusedError, match=mistake):
        read_text(tmp_path, text)


def test_folded_lines_are_one_line(tmp_path: Path) -> None:
    text = calendar(entry(LOCATION="Ro\r\n om\r\n\t 1, fi\r\n rst floor"))
    for folded in (text, text.replace("\r\n", "\n")):
        assert only(tmp_path, folded).cells["place"] == "Room 1, first floor"


def test_more_attendees_than_make_sense_are_rejected(tmp_path: Path) -> None:
    found = only(
        tmp_path,
        calendar(entry(ATTENDEE="\r\n".join(["tel:1", *["ATTENDEE:tel:1"] * 600]))),
        {"phone_number": "ATTENDEE"},
    )
    assert (found.mistake or "").startswith("ATTENDEE: more than 500 in one entry")


def test_a_calendar_without_entries_is_a_table_without_rows(tmp_path: Path) -> None:
    assert read_text(tmp_path, calendar()) == []


def test_a_folder_of_calendars_is_one_table(tmp_path: Path) -> None:
    folder = tmp_path / "calendars"
    folder.mkdir()
    (folder / "b.ics").write_text(calendar(entry(SEQUENCE="1", STATUS="CANCELLED")))
    (folder / "a.ics").write_text(calendar(entry(), entry(UID="two@example.org")))
    (folder / "notes.txt").write_text("not a calendar")
    found = read(folder, PHONE)
    assert [(each.cells["file"], each.cells["ref"], each.cells.get("appointment_status")) for each in found] == [
        ("a.ics", "two@example.org", None),
        ("b.ics", "one@example.org", "cancelled"),
    ]
    (folder / "b.ics").write_text("BEGIN:VCALENDAR")
    with pytest.raises(FileRefusedError, match=r"^b\.ics: it ends before"):
        read(folder, PHONE)


def test_a_copy_of_an_entry_in_another_file_of_a_folder_says_nothing_new(tmp_path: Path) -> None:
    for name in ("a.ics", "b.ics"):
        (tmp_path / name).write_text(calendar(entry()))
    [found] = read(tmp_path, PHONE)
    assert (found.cells["file"], found.mistake) == ("a.ics", None)


def test_a_folder_without_calendars_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileRefusedError, match="it is a folder, and has no files that are imported from one"):
        read(tmp_path, PHONE)


def test_a_field_that_the_clinic_does_not_have_is_left_out(tmp_path: Path) -> None:
    found = only(tmp_path, calendar(entry(CATEGORIES="Cleaning")), PHONE | {"appointment_type": ""})
    assert "appointment_type" not in found.cells
    assert only(tmp_path, calendar(entry(CATEGORIES="A,B"))).cells.get("appointment_type") is None
    assert only(tmp_path, calendar(entry(CATEGORIES=r"A\, B"))).cells["appointment_type"] == "A, B"


def test_another_encoding_is_read_if_it_is_named(tmp_path: Path) -> None:
    path = tmp_path / "calendar.ics"
    path.write_bytes(calendar(entry(SUMMARY="Müller")).encode("cp1252"))
    chosen = PHONE | {"name": "SUMMARY"}
    [found] = read(path, chosen, "cp1252")
    assert found.cells["name"] == "Müller"
    [found] = read(path, chosen)
    assert (found.mistake or "").startswith("encoding: a letter can't be read")
    path.write_bytes(calendar(entry(SUMMARY="Müller")).encode("utf-16"))
    [found] = read(path, chosen)
    assert found.cells["name"] == "Müller"
