"""Tables as practices really send them, each imported by the real command; a column `right` says what must come out."""

import csv
import re
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reminderd.cli.main import reminderd
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.usefixtures("before_the_files_appointments")

FILES = Path(__file__).parent / "files"
NEW_YORK = ZoneInfo("America/New_York")


@pytest.fixture
def clinic(terminal: Terminal) -> Terminal:
    (terminal.folder / "config.toml").write_text(
        '[clinic]\ncountry = "US"\nallowed_countries = ["US", "DE"]\n[calling]\ntimezone = "America/New_York"\n'
        '[messages]\ntemplates.checkup = "On {date} at {time}."\n'
    )
    return terminal


def place(clinic: Terminal, name: str) -> str:
    shutil.copy(FILES / name, clinic.folder / name)
    return name


def write(clinic: Terminal, text: str) -> str:
    (clinic.folder / "list.csv").write_text(text)
    return "list.csv"


def imported(clinic: Terminal, name: str, *options: str, code: int = 0) -> str:
    """Import a file after a dry run with the same output; return it."""
    dry = clinic.type("import", name, *options, "--dry-run", code=code)
    done = clinic.type("import", name, *options, code=code)
    said = re.sub(
        r"(?ms)^the first \w+ are read as:\n.*?^dry run, nothing was changed; the import would be: ", "", dry.stdout
    )
    assert said == done.stdout
    return done.stdout + done.stderr


def refused(clinic: Terminal, name: str, *options: str) -> str:
    """Import a file that is refused as a whole; return the reason."""
    said = imported(clinic, name, *options, code=2)
    assert not (clinic.folder / "reminderd.db").exists()
    return said


def stored(clinic: Terminal, *columns: str) -> list[tuple[Any, ...]]:
    with open_sync(clinic.folder / "reminderd.db") as connection:
        rows = connection.execute("SELECT * FROM reminders ORDER BY phone_number").fetchall()
    return [tuple(local(row[name]) if name.endswith("_at") else row[name] for name in columns) for row in rows]


def local(milliseconds: int | None) -> str:
    if milliseconds is None:
        return ""
    return f"{datetime.fromtimestamp(milliseconds / 1000, UTC).astimezone(NEW_YORK):%Y-%m-%d %H:%M}"


def reasons(clinic: Terminal, name: str) -> dict[str, str]:
    """Return the reason of each rejected line, by its last column."""
    with (clinic.folder / name).open(encoding="utf-8-sig", newline="") as file:
        _, *rows = csv.reader(file)
    return {row[-1]: row[1] for row in rows}


def lines_of(name: str) -> list[dict[str, str]]:
    with (FILES / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("line", lines_of("times.csv"), ids=lambda line: line["ref"])
def test_a_time_is_read_exactly_or_rejected(clinic: Terminal, line: dict[str, str]) -> None:
    right = line.pop("right")
    with (clinic.folder / "list.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, line)
        writer.writeheader()
        writer.writerow(line)
    result = clinic.runner.invoke(reminderd, ["import", "list.csv"])
    if result.exit_code == 0:
        [(at,)] = stored(clinic, "scheduled_at")
        assert at in accepted(right)
    else:
        assert "refused" in right
        assert result.exit_code == 1
        assert "scheduled_at" in result.stdout


def accepted(right: str) -> list[str]:
    """Return the local times that a `right` allows."""
    if right == "the first of the two":
        return ["2027-11-07 01:30"]
    moments = re.findall(r"(\d{4}-\d\d-\d\d \d\d:\d\d)( UTC)?", right)
    return [
        f"{datetime.fromisoformat(text).replace(tzinfo=UTC if utc else NEW_YORK).astimezone(NEW_YORK):%Y-%m-%d %H:%M}"
        for text, utc in moments
    ]


def test_a_time_that_occurs_twice_on_a_clock_change_is_read_as_the_first(clinic: Terminal) -> None:
    clinic.type("import", write(clinic, "phone,message,at\n+1 202 555 0147,Hi,2027-11-07 01:30\n"))
    [row] = clinic.json("list")
    assert row["scheduled_at"] == "2027-11-07T01:30:00.000-04:00"


def test_times_with_and_without_am_or_pm_in_one_column_are_not_read(clinic: Terminal) -> None:
    header, number = "phone,message,call date,call time\n", "+1 202 555 0147,Hi"
    table = f"{header}{number},3/15/2027,9:00 AM\n{number},3/15/2027,13:30\n{number},3/15/2027,1:30\n"
    said = refused(clinic, write(clinic, table))
    what = "some times have AM or PM (line 2) and some have neither (line 4)"
    assert f"{what}; expected all of them in one form" in said
    in_iso = f"{header}{number},3/15/2027,9:00 AM\n{number},2027-03-15T09:30,\n"
    assert "2 added" in imported(clinic, write(clinic, in_iso))


def test_a_time_slot_is_read_as_its_start_not_as_an_offset(clinic: Terminal) -> None:
    said = imported(clinic, place(clinic, "time-slots.csv"), "--map", "date=date", "--map", "time=time", code=1)
    assert "7 added, 0 changed, 0 unchanged, 3 rejected" in said
    assert dict(stored(clinic, "ref", "scheduled_at")) == {
        "A1": "2027-03-01 09:00",
        "A2": "2027-03-01 14:00",
        "A3": "2027-03-01 16:30",
        "A4": "2027-03-01 09:00",
        "A6": "2027-03-01 09:00",
        "A7": "2027-03-15 09:00",
        "A10": "2027-03-01 09:00",
    }
    assert reasons(clinic, "time-slots.rejected.csv").keys() == {"A5", "A8", "A9"}


def test_unlabeled_date_and_time_columns_are_not_read_as_the_time_to_call(clinic: Terminal) -> None:
    said = refused(clinic, place(clinic, "time-slots.csv"))
    assert 'no column for the time to call: "date", "time" may be the appointment\'s' in said
    assert '--map date="date" --map time="time" if that is the time to call' in said


@pytest.mark.parametrize("header", ["Termin", "Rendez-vous", "Appt Date"])
def test_the_time_of_an_appointment_is_not_the_time_to_call(clinic: Terminal, header: str) -> None:
    text = (FILES / "termin.csv").read_text().replace("Termin;", f"{header};")
    said = refused(clinic, write(clinic, text))
    assert f'no column for the time to call, only for the appointment\'s: "{header}"' in said


def test_the_number_of_an_appointment_is_the_ref(clinic: Terminal) -> None:
    text = (FILES / "termin.csv").read_text().replace("Termin;", "Anruf am;")
    imported(clinic, write(clinic, text))
    assert stored(clinic, "ref", "scheduled_at") == [("4711", "2027-03-15 16:00")]


def test_a_file_with_only_an_appointments_date_and_time_lists_what_is_missing(clinic: Terminal) -> None:
    said = refused(clinic, place(clinic, "practice-export.csv"))
    assert 'no column for the time to call, only for the appointment\'s: "Appointment Date", "Appointment Time"' in said
    assert "expected [reminders].before in the configuration, by which the calls are planned" in said
    assert 'or a column added with the header "call at" and times like 2027-03-01 16:00' in said
    assert "phone_number:" not in said
    assert "ref:" not in said


def test_the_practice_export_with_a_time_to_call_is_imported_mobile_first(clinic: Terminal) -> None:
    header, *rows = (FILES / "practice-export.csv").read_text().splitlines()
    calls = [f"{header},Call Date,Call Time", *(f"{row},03/14/2027,10:00 AM" for row in rows)]
    said = imported(clinic, write(clinic, "".join(f"{line}\n" for line in calls)))
    assert "phone_number: Patient Mobile Number, else Patient Home Phone" in said
    assert "ignored: Patient Account Number" in said
    assert "phone numbers: 1 from Patient Mobile Number, 1 from Patient Home Phone" in said
    assert stored(clinic, "phone_number", "message", "scheduled_at", "ref") == [
        ("+12025550141", "On Monday, March 15 at 9:30 AM.", "2027-03-14 10:00", None),
        ("+12025550147", "On Monday, March 15 at 9:00 AM.", "2027-03-14 10:00", None),
    ]


def test_call_time_and_appointment_time_may_each_have_two_columns(clinic: Terminal) -> None:
    imported(clinic, place(clinic, "appointment-and-call-columns.csv"))
    [row] = stored(clinic, "phone_number", "message", "scheduled_at", "ref")
    assert row == ("+12025550147", "On Monday, March 15 at 9:00 AM.", "2027-03-14 10:00", "1001")


def test_the_time_to_call_may_be_split_into_date_and_time_columns(clinic: Terminal) -> None:
    imported(clinic, place(clinic, "call-date-and-time.csv"))
    assert stored(clinic, "phone_number", "scheduled_at") == [("+4930123456", "2027-03-15 16:00")]


def test_a_file_with_only_appointments_lists_everything_that_is_missing(clinic: Terminal) -> None:
    said = refused(clinic, place(clinic, "appointment-only.csv"))
    assert 'no column for the time to call, only for the appointment\'s: "ApptDate"' in said
    assert "message: no column" in said


def test_the_first_filled_phone_column_of_three_is_called(clinic: Terminal) -> None:
    said = imported(clinic, place(clinic, "three-phones.csv"), "--dates", "mdy")
    assert "phone_number: mobile phone, else home phone, else work phone" in said
    assert stored(clinic, "phone_number", "scheduled_at") == [("+12025550140", "2027-03-15 09:00")]


def test_one_invalid_number_of_three_rejects_its_line(clinic: Terminal) -> None:
    text = (FILES / "three-phones.csv").read_text().replace("+1 ", "")
    imported(clinic, write(clinic, text), "--dates", "mdy")
    assert stored(clinic, "phone_number") == [("+12025550140",)]
    text = text.replace("202 555 0140", "555 0140")
    imported(clinic, write(clinic, text), "--dates", "mdy", code=1)
    expected = "phone_number: not a number as it is dialed in United States (US)"
    assert reasons(clinic, "list.rejected.csv")["3/15/2027 9:00 AM"].startswith(expected)


def test_a_german_practice_writes_numbers_as_they_are_dialed_there(clinic: Terminal) -> None:
    (clinic.folder / "config.toml").write_text(
        '[clinic]\ncountry = "DE"\n[calling]\ntimezone = "Europe/Berlin"\n', encoding="utf-8"
    )
    text = (FILES / "termin.csv").read_text().replace("Termin;", "Anruf am;")
    imported(clinic, write(clinic, text.replace("+49 30", "030")))
    assert stored(clinic, "phone_number") == [("+4930123456",)]
    assert "1 unchanged" in imported(clinic, write(clinic, text))
    said = imported(clinic, write(clinic, text.replace("+49 30 123456", "+1 202 555 0147")), code=1)
    assert "phone_number: a number of United States (US), and the clinic's own country is DE" in said


def test_rows_above_the_header_are_skipped_and_counted(clinic: Terminal) -> None:
    said = imported(clinic, place(clinic, "title-rows.csv"))
    assert "above the header: 1 row skipped" in said
    assert stored(clinic, "phone_number", "scheduled_at") == [("+12025550147", "2027-03-15 09:00")]
    imported(clinic, write(clinic, "Report 2027\n\nphone,message,at\n+1 202 555 0148,Hi,soon\n"), code=1)
    assert reasons(clinic, "list.rejected.csv")["soon"].startswith("scheduled_at: not a time")
    assert "\n4," in (clinic.folder / "list.rejected.csv").read_text()


def test_cells_may_be_separated_by_pipes(clinic: Terminal) -> None:
    assert "pipes between cells" in imported(clinic, place(clinic, "pipes.csv"))
    assert stored(clinic, "phone_number", "scheduled_at") == [("+12025550147", "2027-03-15 09:00")]


@pytest.mark.parametrize("header", ["Appointment", "ID", "Booking"])
def test_an_ambiguous_ref_column_must_be_mapped_before_anything_is_imported(clinic: Terminal, header: str) -> None:
    name = write(clinic, f"phone,message,at,{header}\n+1 202 555 0147,Hi,2027-03-15 09:00,P1\n")
    assert f'ref: "{header}" may be your own unique name of each reminder' in refused(clinic, name)
    imported(clinic, name, "--map", f"ref={header}")
    assert stored(clinic, "ref") == [("P1",)]


def test_a_column_mapped_to_an_empty_ref_is_ignored(clinic: Terminal) -> None:
    name = write(clinic, "phone,message,at,ID\n+1 202 555 0147,Hi,2027-03-15 09:00,P1\n")
    assert "ignored: ID" in imported(clinic, name, "--map", "ref=")
    assert stored(clinic, "ref") == [(None,)]


TOLD = ("--map", "date=Date", "--map", "time=Time")


def test_a_cancelled_appointment_is_not_added(clinic: Terminal) -> None:
    said = imported(clinic, place(clinic, "status-column.csv"), *TOLD)
    assert "1 added, 0 changed, 0 unchanged, 0 rejected, 2 not needed" in said
    assert "status: Status" in said
    assert stored(clinic, "ref", "scheduled_at") == [("B1", "2027-03-01 16:00")]


def test_a_cancelled_appointment_cancels_its_waiting_reminder(clinic: Terminal) -> None:
    text = (FILES / "status-column.csv").read_text()
    imported(clinic, write(clinic, text.replace("Cancelled", "Booked")), *TOLD)
    said = imported(clinic, write(clinic, text), *TOLD)
    assert "0 added, 0 changed, 1 unchanged, 0 rejected, 1 cancelled, 1 not needed" in said
    assert stored(clinic, "ref", "status") == [("B1", "scheduled"), ("B2", "cancelled")]
    [line] = clinic.json("show", "B2")["audit"][1:]
    assert (line["act"], line["detail"]) == ("cancel", "import of list.csv")


@pytest.mark.parametrize("header", ["Status", "Estado", "Statut"])
def test_an_ambiguous_status_column_must_be_mapped_before_anything_is_imported(clinic: Terminal, header: str) -> None:
    rows = "+1 202 555 0147,Hi,2027-03-15 09:00,cancelled\n+1 202 555 0148,Hi,2027-03-15 09:00,privat\n"
    text = f"phone,message,at,{header}\n{rows}"
    said = refused(clinic, write(clinic, text))
    assert f'status: "{header}" may be the status of the appointment or of something else: line 3 has' in said
    assert f'expected --map status="{header}" if it is the appointment\'s, or --map status= to ignore it' in said
    assert "privat" not in said
    assert f"ignored: {header}" in imported(clinic, write(clinic, text), "--map", "status=")
    assert len(stored(clinic, "ref")) == 2


def test_an_unknown_status_rejects_its_line(clinic: Terminal) -> None:
    text = (FILES / "status-column.csv").read_text().replace("Cancelled", "Rescheduled")
    assert "status:" in refused(clinic, write(clinic, text), *TOLD)
    text = text.replace("Status", "Appointment Status")
    imported(clinic, write(clinic, text), *TOLD, code=1)
    assert reasons(clinic, "list.rejected.csv")["Rescheduled"].startswith("status: unknown word")
    assert "2 added" in imported(clinic, write(clinic, text.replace("No show", "?")), *TOLD, "--map", "status=")


def test_a_reminder_and_its_cancellation_in_one_file_are_a_contradiction(clinic: Terminal) -> None:
    text = "phone,message,at,status\n" + "".join(
        f"+1 202 555 0147,Hi,2027-03-15 10:00,{status}\n" for status in ("confirmed", "cancelled", "confirmed")
    )
    said = imported(clinic, write(clinic, text), code=1)
    assert "1 added, 0 changed, 1 unchanged, 1 rejected" in said
    assert "same as on line 2 except for" in reasons(clinic, "list.rejected.csv")["cancelled"]


def test_a_ref_that_lost_its_leading_zeros_causes_a_warning_with_both_refs(clinic: Terminal) -> None:
    assert "warning" not in imported(clinic, place(clinic, "leading-zero-1.csv"))
    said = imported(clinic, place(clinic, "leading-zero-2.csv"))
    assert "line 2: warning: ref: 47 may be 0047, rewritten by a spreadsheet" in said
    assert "1 added" in said


def test_unfilled_placeholders_cause_warnings(clinic: Terminal) -> None:
    said = imported(clinic, place(clinic, "unfilled-fields.csv"))
    assert "line 2: warning: message: ***NAME***, ***PROVIDER***, ***DATE*** would be read aloud as it stands" in said
    assert "line 3: warning: message: [NameF], [apptDate], [apptTime] would be read" in said
    assert "line 4: warning: message: {{first_name}}, &amp;, {date} would be read" in said
    assert len(stored(clinic, "ref")) == 3


def test_a_dry_run_shows_at_most_twenty_warnings(clinic: Terminal) -> None:
    rows = "".join(f"+1 202 555 01{n},Dear {{name}},2027-03-15 10:00\n" for n in range(10, 32))
    dry = clinic.type("import", write(clinic, f"phone,message,at\n{rows}"), "--dry-run")
    assert dry.stderr.count(": warning: ") == 20
    assert "2 more warnings" in dry.stderr


def test_a_changed_phone_number_for_a_ref_is_held_for_staff(clinic: Terminal) -> None:
    text = "ref,phone,message,at\nA1,+1 202 555 0147,Hi,2099-03-15 10:00\n"
    imported(clinic, write(clinic, text))
    said = imported(clinic, write(clinic, text.replace("0147", "0148")))
    assert "0 added, 0 changed, 0 unchanged, 0 rejected, 1 held" in said
    assert "line 2: warning: phone_number: not the one that its ref had before" in said
    report = clinic.json("report", "--date", "2099-03-15")
    assert report["totals"]["number changed"] == 1
    assert "the former one ended in 47: accept the new one, or cancel" in report["reminders"][0]["why"]
    assert "1 needs a human" in clinic.type("report", "--date", "2099-03-15").stdout
    assert [row["ref"] for row in clinic.json("list", "--needs-human")] == ["A1"]
    assert clinic.type("accept", "A1").stdout.endswith("is scheduled\n")
    assert clinic.json("report", "--date", "2099-03-15")["totals"]["waiting"] == 1
    assert "no new phone number waits to be accepted" in clinic.type("accept", "A1", code=1).stderr


def test_a_held_reminder_is_reported_by_each_import_and_released_by_its_former_number(
    clinic: Terminal,
) -> None:
    text = "ref,phone,message,at\nA1,+1 202 555 0147,Hi,2099-03-15 10:00\n"
    imported(clinic, write(clinic, text))
    imported(clinic, write(clinic, text.replace("0147", "0148")))
    said = imported(clinic, "list.csv")
    assert "0 added, 0 changed, 0 unchanged, 0 rejected, 1 held" in said
    assert "line 2: warning: held, nobody is called: phone number changed (import of list.csv), the former one" in said
    assert "0 added, 1 changed, 0 unchanged, 0 rejected\n" in imported(clinic, write(clinic, text))
    assert clinic.json("report", "--date", "2099-03-15")["totals"]["waiting"] == 1
    assert "0 added, 0 changed, 1 unchanged" in imported(clinic, "list.csv")


def test_a_held_reminder_can_be_cancelled(clinic: Terminal) -> None:
    text = "ref,phone,message,at\nA1,+1 202 555 0147,Hi,2099-03-15 10:00\n"
    imported(clinic, write(clinic, text))
    imported(clinic, write(clinic, text.replace("0147", "0148")))
    assert clinic.type("cancel", "A1").stdout.endswith("is cancelled\n")


def test_the_documentations_sample_table_is_imported_unchanged(clinic: Terminal) -> None:
    guide = (Path(__file__).parents[2] / "docs/import.md").read_text(encoding="utf-8")
    header = guide.index("    Terminnummer;")
    table = guide[header : guide.index("\n\n", header)].replace("\n    ", "\n").strip() + "\n"
    (clinic.folder / "list.csv").write_text(table, encoding="utf-8")
    imported(clinic, "list.csv")
    assert stored(clinic, "ref", "scheduled_at") == [("4711", "2027-03-01 16:00"), ("4712", "2027-03-01 16:15")]
