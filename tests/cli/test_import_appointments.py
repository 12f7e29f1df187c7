"""Tables as practices send them, with an appointment's time and no time to call: their calls are planned."""

import re
import shutil
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reminderd.store.rows import from_ms
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal

pytestmark = pytest.mark.usefixtures("before_the_files_appointments")

FILES = Path(__file__).parent / "files"

CONFIG = """
[clinic]
country = "US"
allowed_countries = ["US", "DE"]
[calling]
timezone = "America/New_York"
start = "09:00"
end = "19:00"
[messages.templates]
checkup = "Your check-up is on {date} at {time}."
other = "Please come."
[reminders]
before = ["3 days", "1 day at 10:00"]
template = "checkup"
"""


@pytest.fixture
def clinic(terminal: Terminal) -> Terminal:
    (terminal.folder / "config.toml").write_text(CONFIG)
    return terminal


def configure(clinic: Terminal, profile: str) -> None:
    (clinic.folder / "config.toml").write_text(f"{CONFIG}[import.profiles.practice]\n{profile}\n")


def place(clinic: Terminal, name: str) -> str:
    shutil.copy(FILES / name, clinic.folder / name)
    return name


def rows(clinic: Terminal, statement: str) -> list[tuple[Any, ...]]:
    with open_sync(clinic.folder / "reminderd.db") as connection:
        return [tuple(row) for row in connection.execute(statement).fetchall()]


def calls(clinic: Terminal) -> list[tuple[Any, ...]]:
    """Whom the planned reminders call, when in New York, and what the message is."""
    found = rows(
        clinic,
        "SELECT phone_number, scheduled_at, message FROM reminders"
        " WHERE status = 'scheduled' ORDER BY phone_number, scheduled_at",
    )
    local = [from_ms(at).astimezone(ZoneInfo("America/New_York")) for _, at, _ in found]
    return [(one[0], f"{at:%Y-%m-%d %H:%M}", one[2]) for one, at in zip(found, local, strict=True)]


def imported(clinic: Terminal, name: str, *options: str) -> str:
    """Import a file after a dry run that must print the same, apart from how it reads the first lines."""
    dry = clinic.type("import", name, *options, "--dry-run").stdout
    done = clinic.type("import", name, *options).stdout
    dry = re.sub(r"^the first \w+ are read as:\n(?:  .*\n)+", "", dry, flags=re.MULTILINE)
    assert dry.replace("dry run, nothing was changed; the import would be: ", "") == done
    return done


def test_the_practice_export_is_imported_as_it_is(clinic: Terminal) -> None:
    printed = imported(clinic, place(clinic, "practice-export.csv"))
    assert "appointment_at: Appointment Date and Appointment Time" in printed
    assert "patient_ref: Patient Account Number" in printed
    assert "2 added" in printed
    message = "Your check-up is on Monday, March 15 at 9:{} AM."
    assert calls(clinic) == [
        ("+12025550141", "2027-03-12 09:30", message.format("30")),
        ("+12025550141", "2027-03-14 10:00", message.format("30")),
        ("+12025550147", "2027-03-12 09:00", message.format("00")),
        ("+12025550147", "2027-03-14 10:00", message.format("00")),
    ]
    assert rows(clinic, "SELECT patient_ref, name, provider, template FROM appointments ORDER BY patient_ref") == [
        ("1001", "Patient One", "Dr. A", "checkup"),
        ("1002", "Patient Two", "Dr. B", "checkup"),
    ]
    assert "2 unchanged" in imported(clinic, "practice-export.csv")


def test_the_file_with_only_an_appointments_time_and_type_needs_no_cell_edited(clinic: Terminal) -> None:
    configure(clinic, 'files = "appointment-only*.csv"')
    assert "1 added" in imported(clinic, place(clinic, "appointment-only.csv"), "--profile", "practice")
    assert rows(clinic, "SELECT ref, type, name, source FROM appointments") == [
        ("g1", "EVAL-NEW", "Patient One", "practice")
    ]
    assert [call[1] for call in calls(clinic)] == ["2027-03-12 16:00", "2027-03-14 10:00"]


def test_the_file_with_a_message_and_statuses_is_read_by_a_profile_that_ignores_the_message(clinic: Terminal) -> None:
    name = place(clinic, "status-column.csv")
    printed = clinic.type("import", name, code=2).stderr
    assert (
        'message: "Message" is of a call, and the calls of appointments are planned; expected --map message=' in printed
    )
    configure(clinic, 'columns = { message = "", ref = "Booking ID" }')
    assert "1 added, 0 changed, 0 unchanged, 0 rejected, 2 not needed" in imported(
        clinic, name, "--profile", "practice"
    )
    assert [call[:2] for call in calls(clinic)] == [
        ("+12025550147", "2027-02-26 16:00"),
        ("+12025550147", "2027-02-28 10:00"),
    ]


def test_the_german_file_with_a_message_is_read_by_a_profile_that_ignores_it(clinic: Terminal) -> None:
    configure(clinic, 'columns = { message = "" }\ntemplate = "other"')
    assert "1 added" in imported(clinic, place(clinic, "termin.csv"), "--profile", "practice")
    assert [(number, message) for number, _, message in calls(clinic)] == [("+4930123456", "Please come.")] * 2


def test_a_moved_and_a_cancelled_appointment_are_planned_again(clinic: Terminal) -> None:
    header = "ApptGUID,ApptDate,Phone,Appt status\n"
    (clinic.folder / "list.csv").write_text(header + "g1,3/15/2027 16:00,2025550147,booked\n")
    imported(clinic, "list.csv")
    (clinic.folder / "list.csv").write_text(header + "g1,3/16/2027 16:00,2025550147,booked\n")
    assert "0 added, 1 changed" in imported(clinic, "list.csv")
    assert [call[1] for call in calls(clinic)] == ["2027-03-13 16:00", "2027-03-15 10:00"]
    (clinic.folder / "list.csv").write_text(header + "g1,3/16/2027 16:00,2025550147,cancelled\n")
    assert "1 cancelled" in imported(clinic, "list.csv")
    assert calls(clinic) == []


def test_rejected_lines_name_the_columns_of_the_table(clinic: Terminal) -> None:
    (clinic.folder / "list.csv").write_text("ApptGUID,ApptDate,Phone\ng1,soon,2025550147\n")
    printed = clinic.type("import", "list.csv", code=1).stdout
    assert "  appointment_at: " in printed


def test_two_lines_about_the_same_patient_number_and_time_need_refs(clinic: Terminal) -> None:
    (clinic.folder / "list.csv").write_text(
        "ApptDate,Phone,Doctor Name\n3/15/2027 16:00,2025550147,Dr. A\n3/15/2027 16:00,2025550147,Dr. B\n"
    )
    printed = clinic.type("import", "list.csv", code=1).stdout
    assert "1 added, 0 changed, 0 unchanged, 1 rejected" in printed
    assert "ref: none, and line … has the same patient, number and time" in printed


def test_more_appointments_than_one_transaction_takes_are_all_booked(clinic: Terminal) -> None:
    lines = "".join(f"g{number},3/15/2027 16:00,202555{1000 + number}\n" for number in range(450))
    (clinic.folder / "list.csv").write_text("ApptGUID,ApptDate,Phone\n" + lines)
    assert "450 added" in clinic.type("import", "list.csv").stdout
    assert rows(clinic, "SELECT count(*) FROM reminders") == [(900,)]
