"""What a row of a table asks for, and whether a column of statuses is the appointment's."""

from datetime import UTC, datetime
from functools import partial
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.booking import AppointmentCancellation, AppointmentRequest
from reminderd.core.imports import FileRefusedError
from reminderd.core.phone import ANY_NUMBER, patient_number
from reminderd.core.requests import Reading, ReminderRequest
from reminderd.core.rules import CallPlan, Planning
from reminderd.core.schedule.cadence import read_cadence
from reminderd.core.schedule.dates import DayOrder
from reminderd.core.script.templates import Templates
from reminderd.core.tables.columns import ColumnsError, columns_of
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.row_reader import CUT, RowRequest, check_status, of_one_table, read_row
from reminderd.core.tables.words import RowStatus
from reminderd.core.upsert import ReminderCancellation

HEADER = ["phone", "message", "at", "ref", "expires", "timezone"]


READING = Reading(
    zone=ZoneInfo("Europe/Berlin"),
    order=DayOrder.DAY_FIRST,
    normalize=partial(patient_number, numbering=ANY_NUMBER),
)


def read(*cells: str) -> RowRequest | list[str]:
    return read_row(
        CsvRow(2, list(cells)),
        columns_of(HEADER, {}),
        width=len(HEADER),
        reading=READING,
    )


def test_a_rows_times_are_in_the_clinics_zone() -> None:
    assert read("+49 30 123456", "Hello.", "1/3/2027 16:00", " 7 ", "1/3/2027 17:00", " ") == ReminderRequest(
        phone_number="+4930123456",
        message="Hello.",
        scheduled_at=datetime(2027, 3, 1, 15, tzinfo=UTC),
        ref="7",
        expires_at=datetime(2027, 3, 1, 16, tzinfo=UTC),
    )


def test_a_rows_own_time_zone_is_used_for_its_times() -> None:
    found = read("+4930123456", "Hello.", "2027-03-01 16:00", "", "", "America/New_York")
    assert isinstance(found, ReminderRequest)
    assert (found.timezone, found.scheduled_at) == ("America/New_York", datetime(2027, 3, 1, 21, tzinfo=UTC))


def test_the_missing_cells_of_a_short_row_are_empty() -> None:
    found = read("+4930123456", "Hello.", "2027-03-01 16:00")
    assert isinstance(found, ReminderRequest)
    assert (found.ref, found.expires_at, found.timezone) == (None, None, None)


def test_every_error_of_a_row_is_listed() -> None:
    found = read("030", "", "soon", "a\nb", "late", "Berlin")
    assert isinstance(found, list)
    assert [line.partition(":")[0] for line in found] == [
        "phone_number",
        "message",
        "timezone",
        "scheduled_at",
        "expires_at",
        "ref",
    ]


def test_extra_cells_are_an_error_unless_they_are_empty() -> None:
    assert isinstance(read("+4930123456", "Hello.", "2027-03-01 16:00", "", "", "", "", ""), ReminderRequest)
    [mistake] = read("+4930123456", "Hello, you", "2027-03-01 16:00", "", "", "", "x")  # type: ignore[misc] # a list
    assert mistake.startswith("cells: more than the header has")


WITH_STATUS = ["phone", "message", "at", "ref", "status"]


def read_status(*cells: str) -> RowRequest | list[str]:
    columns = columns_of(WITH_STATUS, {})
    return read_row(
        CsvRow(2, list(cells)),
        columns,
        width=len(WITH_STATUS),
        reading=READING,
    )


def test_a_row_of_a_booked_appointment_asks_for_a_reminder() -> None:
    for status in ("Confirmed", ""):
        assert isinstance(read_status("+4930123456", "Hello.", "2027-03-01 16:00", "7", status), ReminderRequest)


def test_a_row_of_an_ended_appointment_cancels_its_reminder() -> None:
    whole = read_status("+4930123456", "Hello.", "2027-03-01 16:00", "7", "cancelled")
    assert isinstance(whole, ReminderCancellation)
    assert whole.name == "7"
    assert read_status("", "", "soon", "7", "cancelled") == ReminderCancellation(ref="7")


def test_a_cancellation_keeps_its_number_even_if_the_rest_is_unreadable() -> None:
    """Another patient's row may have the same ref."""
    assert read_status("+4930123457", "", "soon", "7", "cancelled") == ReminderCancellation(
        ref="7", phone_number="+4930123457"
    )
    assert isinstance(read_status("030 123457", "Hello.", "2027-03-01 16:00", "7", "cancelled"), list)


def test_without_a_ref_a_cancellation_is_matched_by_the_row_itself() -> None:
    found = read_status("+4930123456", "Hello.", "2027-03-01 16:00", "", "cancelled")
    assert isinstance(found, ReminderCancellation)
    assert found.request is not None
    assert found.name == found.request.own_id
    assert isinstance(read_status("", "Hello.", "2027-03-01 16:00", "", "cancelled"), list)
    assert isinstance(read_status("", "Hello.", "2027-03-01 16:00", "a\tb", "cancelled"), list)


def test_an_unknown_status_rejects_its_row() -> None:
    told = read_status("030", "Hello.", "2027-03-01 16:00", "7", "rescheduled")
    assert isinstance(told, list)
    assert [line.partition(":")[0] for line in told] == ["phone_number", "status"]
    assert isinstance(read_status("+4930123456", "Hello.", "2027-03-01 16:00", "7", "rescheduled"), list)


def check(header: str, *words: str, **chosen: str) -> dict[str, tuple[int, ...]]:
    """Check a column of words under this header; return where the fields are."""
    names = ["phone", "message", "at", header]
    columns = columns_of(names, chosen)
    rows = [CsvRow(line, ["+4930123456", "Hello.", "2027-03-01 16:00", word]) for line, word in enumerate(words, 2)]
    check_status(names, columns, rows, "line")
    return dict(columns.places)


def test_a_status_column_with_only_known_words_is_the_appointments() -> None:
    assert check("Status", "Confirmed", "", "abgesagt")["status"] == (3,)


def test_a_status_column_with_an_unknown_word_may_be_about_something_else() -> None:
    with pytest.raises(ColumnsError, match=r'status: "Status" may be .* line 3 has an unknown word; .*--map'):
        check("Status", "Confirmed", "insured")
    names = ["phone", "message", "at", "Status"]
    with pytest.raises(ColumnsError, match="entry 7 has an unknown word"):
        check_status(names, columns_of(names, {}), [CsvRow(7, ["", "", "", "insured"])], "entry")


@pytest.mark.parametrize(
    ("header", "chosen", "found"),
    [("Appointment status", {}, (3,)), ("Status", {"status": "Status"}, (3,)), ("Status", {"status": ""}, None)],
)
def test_in_a_certain_status_column_each_word_only_concerns_its_row(
    header: str, chosen: dict[str, str], found: tuple[int, ...] | None
) -> None:
    assert check(header, "insured", **chosen).get("status") == found


def test_an_unreadable_row_says_nothing_about_its_status_column() -> None:
    names = ["phone", "message", "at", "status"]
    check_status(names, columns_of(names, {}), [CsvRow(2, ["", "", "", "insured"], "quotes")], "line")


def test_the_appointments_own_status_column_takes_precedence() -> None:
    columns = columns_of(["phone", "message", "at", "Status", "Appointment status"], {})
    assert (columns.places["status"], columns.ignored) == ((4,), ("Status",))


def test_a_template_of_the_profile_is_spoken_where_a_row_has_no_message() -> None:
    names = ["phone", "at", "template", "message"]
    reading = evolve(READING, templates=Templates(by_name={"checkup": "Your check-up.", "lab": "Your blood test."}))

    def message(*cells: str, header: list[str] = names) -> str:
        columns = columns_of(header, {}, template="checkup")
        found = read_row(CsvRow(2, list(cells)), columns, width=len(header), reading=reading)
        assert isinstance(found, ReminderRequest)
        return found.message

    number, at = "+4930123456", "2027-03-01 16:00"
    assert message(number, at, header=names[:2]) == "Your check-up."
    assert message(number, at, "", "") == "Your check-up."
    assert message(number, at, "lab", "") == "Your blood test."
    assert message(number, at, "", "Hello.") == "Hello."


def test_the_clinics_own_words_for_a_status_overrule_the_known_ones() -> None:
    own = {"verschoben": RowStatus.OVER, "completed": RowStatus.STANDS}
    columns = columns_of(WITH_STATUS, {}, words=own)
    rows = [CsvRow(2, ["", "", "", "", word]) for word in ("Verschoben", "Completed", "cancelled", "odd")]
    assert [columns.row_status(row.cells) for row in rows] == [RowStatus.OVER, RowStatus.STANDS, RowStatus.OVER, None]
    check_status(WITH_STATUS, columns, rows[:3], "line")


APPOINTMENTS = ["Phone", "Appointment at", "Appointment ID", "Appointment type", "Patient name", "Status", "Template"]
PLANNED = evolve(
    READING,
    planning=Planning(
        default=CallPlan(before=(read_cadence("1 day"),), template="checkup"),
        by_type={"lab": CallPlan(before=(read_cadence("2 days"),), template="blood")},
        templates=Templates(by_name={"checkup": "Check-up, {name}.", "blood": "Blood test.", "own": "Come at once."}),
    ),
)


def read_appointment_row(*cells: str, template: str | None = None) -> RowRequest | list[str]:
    columns = columns_of(APPOINTMENTS, {}, template=template, plans_calls=True)
    assert columns.are_appointments
    return read_row(CsvRow(2, list(cells)), columns, width=len(APPOINTMENTS), reading=PLANNED)


BOOKED = ("+49 30 123456", "1/3/2027 16:00", "A-1", "Check", "Erika", "booked")


def test_a_row_of_a_table_without_a_time_to_call_is_an_appointment() -> None:
    assert read_appointment_row(*BOOKED) == AppointmentRequest(
        phone_number="+4930123456",
        at=datetime(2027, 3, 1, 15, tzinfo=UTC),
        ref="A-1",
        type="Check",
        name="Erika",
    )


def test_what_is_wrong_with_an_appointment_is_listed_under_the_names_of_a_table() -> None:
    found = read_appointment_row("030", "soon", "A-1", "C\x00", "", "booked")
    assert isinstance(found, list)
    assert [line.partition(":")[0] for line in found] == ["phone_number", "appointment_at", "appointment_type", "name"]


def test_a_row_whose_appointment_is_over_cancels_it() -> None:
    found = read_appointment_row(*BOOKED[:5], "cancelled")
    assert isinstance(found, AppointmentCancellation)
    assert (found.name, found.phone_number) == ("A-1", "+4930123456")
    assert read_appointment_row("", "soon", "A-1", "", "", "cancelled") == AppointmentCancellation(ref="A-1")
    assert isinstance(read_appointment_row("030 1", "soon", "A-1", "", "", "cancelled"), list)
    assert isinstance(read_appointment_row("", "soon", "", "", "", "cancelled"), list)
    assert isinstance(read_appointment_row(*BOOKED[:5], "moved"), list)


@pytest.mark.parametrize(
    ("kind", "own", "template"), [("Check", "", "own"), ("LAB", "", None), ("Check", "blood", "blood")]
)
def test_the_template_of_a_row_or_of_its_type_comes_before_the_profiles(
    kind: str, own: str, template: str | None
) -> None:
    found = read_appointment_row(*BOOKED[:3], kind, "Erika", "booked", own, template="own")
    assert isinstance(found, AppointmentRequest)
    assert found.template == template


PHONE_LAST = ["message", "at", "note", "phone"]


@pytest.mark.parametrize(
    ("header", "cells", "whole", "is_cut"),
    [
        (PHONE_LAST, ["Hello.", "2027-03-01 16:00", "", "+49 30 123456"], 3, True),
        (PHONE_LAST, ["Hello.", "2027-03-01 16:00", "", "+49 30 123456"], 4, False),
        # no number of this country is longer
        (PHONE_LAST, ["Hello.", "2027-03-01 16:00", "", "+1 202 555 0100"], 3, False),
        ([*PHONE_LAST, "Ward"], ["Hello.", "2027-03-01 16:00", "", "+49 30 123456", "N"], 4, False),
        ([*PHONE_LAST, "Ward"], ["Hello.", "2027-03-01 16:00", "", "+49 30 123456"], 3, True),
        ([*PHONE_LAST, "status"], ["Hello.", "2027-03-01 16:00", "", "+49 30 123456", "no"], 4, True),
        # the status may be missing: the appointment may be cancelled
        ([*PHONE_LAST, "status"], ["Hello.", "2027-03-01 16:00", "", "+1 202 555 0100"], 3, True),
        (
            ["message", "at", "mobile", "home phone"],
            ["Hello.", "2027-03-01 16:00", "+49 151 23456789", "030"],
            3,
            False,
        ),
        (["message", "at", "mobile", "home phone"], ["Hello.", "2027-03-01 16:00", "", "+49 30 123456"], 3, True),
        (["phone", "at", "message"], ["+49 30 123456", "2027-03-01 16:00", "Tomorrow at"], 2, True),
    ],
)
def test_a_row_that_may_be_cut_off_is_rejected(header: list[str], cells: list[str], whole: int, is_cut: bool) -> None:
    columns = columns_of(header, {})
    read = partial(read_row, columns=columns, width=len(header), reading=READING)
    found = read(CsvRow(2, cells, whole_cells=whole))
    mistakes = [one for one in found if one.startswith(CUT)] if isinstance(found, list) else []
    assert len(mistakes) == is_cut
    if not is_cut:
        assert found == read(CsvRow(2, cells))


def test_a_cut_row_has_its_other_mistakes_too() -> None:
    found = read_row(
        CsvRow(2, ["Hello.", "soon", "", "03"], whole_cells=3),
        columns_of(PHONE_LAST, {}),
        width=4,
        reading=READING,
    )
    assert isinstance(found, list)
    assert [line.partition(":")[0] for line in found] == ["phone_number", "scheduled_at", CUT]


def test_a_row_that_can_not_be_read_is_rejected_with_why() -> None:
    row = CsvRow(2, ["x"], "quotes: odd")
    assert read_row(row, columns_of(HEADER, {}), width=len(HEADER), reading=READING) == ["quotes: odd"]


TWO_TIMES = ["Mobile", "Home phone", "Message", "Call at", "Appointment at", ""]


@pytest.mark.parametrize(
    "below",
    [
        ["Home phone", "Mobile", "Message", "Call at", "Appointment at"],
        ["Mobile", "Home phone", "Message", "Appointment at", "Call at", ""],
        ["Fax", "Mobile", "Message", "Call at"],
        ["Wann anrufen", "Ref", "Own"],
        ["Phone 1", "Phone 2", "Message", "Call at"],
    ],
)
def test_below_a_header_with_other_columns_no_cell_is_under_its_header(below: list[str]) -> None:
    columns = columns_of(TWO_TIMES, {})
    rows = [CsvRow(2, ["+4930123456", "", "Hello.", "2027-03-01 16:00", "2027-03-02 16:00"]), CsvRow(4, below)]
    with pytest.raises(FileRefusedError, match=r"^line 4 is a header with other columns; expected one table in a file"):
        list(of_one_table(TWO_TIMES, columns, rows, "line", also=frozenset({"wannanrufen", "own"})))


@pytest.mark.parametrize(
    "row",
    [
        CsvRow(4, ["MOBILE", " Home phone", "Message", "Call at", "Appointment-at"]),  # the same header again
        CsvRow(4, ["", "", "Text", "", ""]),
        CsvRow(4, ["n/a", "", "Text", "n/a", "", "Mobile"]),
        CsvRow(4, ["+4930123456", "Mobile", "Text", "2027-03-01 16:00"]),
        CsvRow(4, ["Mobile", "", "Phone", "2027-03-01 16:00"]),  # a patient whose number is missing
        CsvRow(4, ["Mobile", "", "Phone", "", "9:00"]),
        CsvRow(4, ["Mobile"]),
        CsvRow(4, ["Home phone", "Mobile"], "quotes: odd"),
    ],
)
def test_a_row_that_is_no_other_header_is_left_to_its_reader(row: CsvRow) -> None:
    assert list(of_one_table(TWO_TIMES, columns_of(TWO_TIMES, {}), [row], "line")) == [row]
