"""What practice software reads: a table in its own columns, FHIR resources, HL7 messages."""

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reminderd.core.changes import Change, ChangeKind
from reminderd.core.outcomes import Outcome
from reminderd.core.reasons import EndCode
from reminderd.results.forms import _HL7_CODES, Form
from reminderd.store.outcome_changes import NamedChange
from tests.support.builders import NOW

ZONE = ZoneInfo("Europe/Berlin")
ID = "0123456789abcdef" * 2
AT = datetime(2026, 3, 3, 8, 30, tzinfo=UTC)


def an_answer(facts: dict[str, Any] | None = None, **columns: Any) -> NamedChange:
    row: dict[str, Any] = {"seq": 7, "event_id": ID, "at": NOW, "kind": ChangeKind.REMINDER, "subject_id": "r1"}
    change = Change(**row | {"ref": "A|7", "status": "called", "response": "confirmed"} | columns)
    known: dict[str, Any] = {
        "phone_number": "+4930123456",
        "appointment_at": AT,
        "scheduled_at": NOW,
        "patient_ref": "P 1",
    }
    return NamedChange(change=change, facts=known | (facts or {}))


def a_form(name: str, columns: dict[str, str] | None = None) -> Form:
    return Form(format=name, columns=columns or {}, zone=ZONE)


def written(answer: NamedChange, form: str = "csv", columns: dict[str, str] | None = None) -> str:
    return a_form(form, columns).written([answer]).decode()


def table(answer: NamedChange, columns: dict[str, str] | None = None) -> dict[str, str]:
    [row] = csv.DictReader(io.StringIO(written(answer, columns=columns), newline=""))
    return row


def test_a_table_has_the_columns_of_the_profile_and_then_the_outcome() -> None:
    columns = {"ref": "Appt ID", "phone_number": "Mobile", "appointment_date": "Day", "appointment_time": "Status"}
    row = table(an_answer(), columns | {"status": "State"})
    assert row == {
        "Appt ID": "A|7",
        "Mobile": "'+4930123456",
        "Day": "2026-03-03",
        "Status": "09:30",
        "kind": "reminder",
        "reminderd status": "called",
        "response": "confirmed",
        "outcome": "confirmed",
        "why": "",
        "changed_at": "2026-03-02 11:00:00",
        "change_id": ID,
    }


def test_without_a_profile_a_table_has_no_phone_number() -> None:
    row = table(an_answer(response=None, status="failed", end_code=EndCode.NOT_ANSWERED, appointment_ref="App 1"))
    assert (row["ref"], row["appointment_ref"], row["patient_ref"]) == ("App 1", "App 1", "P 1")
    assert (row["appointment_at"], row["scheduled_at"]) == ("2026-03-03 09:30", "2026-03-02 11:00")
    assert (row["outcome"], row["why"]) == ("not reached", "not answered")
    assert "4930123456" not in str(row)


def test_a_profile_without_a_ref_or_that_ignores_a_column_still_shows_what_a_line_is_about() -> None:
    row = table(an_answer(), {"message": "", "date": "Date", "time": "Time", "patient_ref": "Ref"})
    assert list(row)[:5] == ["Date", "Time", "Ref", "reminderd ref", "appointment_ref"]
    assert (row["Date"], row["Time"], row["Ref"], row["reminderd ref"]) == ("2026-03-02", "11:00", "P 1", "A|7")


def test_no_cell_is_a_formula() -> None:
    assert table(an_answer(ref="=1+1"))["ref"] == "'=1+1"


@pytest.mark.parametrize(
    ("columns", "status"),
    [
        ({}, "accepted"),
        ({"response": "cancel_requested"}, "declined"),
        ({"response": None}, "needs-action"),
        ({"response": None, "status": "failed", "end_code": EndCode.NO_REPORT}, "needs-action"),
    ],
)
def test_a_fhir_bundle_has_a_response_for_each_change(columns: dict[str, Any], status: str) -> None:
    bundle = json.loads(written(an_answer(**columns), "fhir"))
    assert (bundle["resourceType"], bundle["type"]) == ("Bundle", "collection")
    [entry] = bundle["entry"]
    resource = entry["resource"]
    assert entry["fullUrl"] == f"urn:uuid:{resource['id']}"
    assert (resource["resourceType"], resource["participantStatus"]) == ("AppointmentResponse", status)
    assert resource["appointment"]["identifier"]["value"] == "A|7"
    assert resource["actor"]["identifier"]["value"] == "P 1"
    assert resource["start"] == "2026-03-03T08:30:00.000+00:00"
    assert "4930123456" not in json.dumps(bundle)


def test_a_fhir_response_says_only_what_is_known() -> None:
    answer = an_answer({"appointment_at": None, "patient_ref": None}, ref=None)
    [entry] = json.loads(written(answer, "fhir"))["entry"]
    assert entry["resource"]["appointment"]["identifier"]["value"] == "r1"
    assert {"start", "actor"} & entry["resource"].keys() == set()


def test_an_hl7_message_names_the_appointment_and_says_what_was_answered() -> None:
    text = written(an_answer({"name": "Müller^A"}, response="cancel_requested", appointment_id="p1"), "hl7")
    segments = {line.partition("|")[0]: line.split("|") for line in text.split("\r") if line}
    header, schedule, patient = segments["MSH"], segments["SCH"], segments["PID"]
    assert (header[1], header[8], header[9], header[11]) == ("^~\\&", "SIU^S14^SIU_S12", ID[:20], "2.5.1")
    assert header[6] == "20260302110000+0100"
    assert (schedule[1], schedule[2]) == ("A\\F\\7", "p1")
    assert (schedule[11], schedule[25]) == ("^^^20260303093000+0100", "CANCEL_REQUESTED^wants to cancel^L")
    assert (patient[3], patient[5], patient[13]) == ("P 1", "Müller\\S\\A", "+4930123456")
    assert list(segments) == ["MSH", "SCH", "PID", "RGS"]


def test_an_hl7_message_says_why_nobody_was_reached() -> None:
    text = written(an_answer(response=None, status="failed", end_code=EndCode.VOICEMAIL), "hl7")
    assert "NTE|1||answered by voicemail\r" in text
    assert "|NOT_REACHED^not reached^L\r" in text


@pytest.mark.parametrize("form", ["fhir", "hl7"])
def test_a_planned_call_that_is_not_made_is_no_answer_about_its_appointment(form: str) -> None:
    moved = an_answer(status="cancelled", response=None, appointment_id="p1", end_code=EndCode.APPOINTMENT_MOVED)
    appointment = an_answer(status="cancelled", response=None, kind=ChangeKind.APPOINTMENT, subject_id="p1")
    alone = an_answer(status="cancelled", response=None, end_code=EndCode.CANCELLED_BY_STAFF)
    assert a_form(form).about([moved, appointment, alone]) == [appointment, alone]


def test_a_table_has_every_change() -> None:
    moved = an_answer(status="cancelled", response=None, appointment_id="p1", end_code=EndCode.APPOINTMENT_MOVED)
    assert a_form("csv").about([moved]) == [moved]


def test_every_outcome_has_a_code() -> None:
    assert set(_HL7_CODES) == {*Outcome, "booked"}
