"""The command `import` with files that are no tables."""

import shutil
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from random import Random

import pytest

from reminderd.cli.main import reminderd
from reminderd.core.tables.columns import FIELDS
from tests.cli.conftest import Terminal
from tests.cli.test_import_command import rejected, stored
from tests.imports.mutations import mutated
from tests.imports.readings import CHOSEN, SAMPLES
from tests.imports.test_fuzz import ENDINGS, samples_of

pytestmark = pytest.mark.usefixtures("before_the_files_appointments")

FILES_BY_COMMAND = 15
"""Few, as each takes as long as a command; `tests/imports/test_fuzz.py` reads many."""

CONFIG = """
[clinic]
country = "US"
[calling]
timezone = "America/New_York"
[messages.templates]
visit = "Your appointment is soon."
[import.profiles.records]
template = "visit"
columns = { scheduled_at = "appointment_at", appointment_at = "" }
"""


APPOINTMENTS = """
[clinic]
country = "US"
[calling]
timezone = "America/New_York"
[messages.templates]
visit = "Hello {name}, your appointment is on {date} at {time}."
[reminders]
before = ["1 day at 10:00"]
template = "visit"
[import.profiles.google]
format = "ics"
columns = { phone_number = "DESCRIPTION", name = "SUMMARY" }
[import.profiles.outlook]
columns = { phone_number = "DESCRIPTION/Mobile", name = "DESCRIPTION/Name" }
[import.profiles.nextcloud]
columns = { phone_number = "CONTACT", name = "SUMMARY", language = "X-LANGUAGE", patient_ref = "X-PATIENT-ID" }
[import.profiles.apple]
columns = { phone_number = "ATTENDEE", name = "ATTENDEE/CN" }
"""


def copied(terminal: Terminal, name: str) -> Path:
    (terminal.folder / "config.toml").write_text(CONFIG)
    return Path(shutil.copy(SAMPLES / name, terminal.folder))


@pytest.mark.parametrize(
    ("name", "found", "numbers"),
    [
        ("epic.json", "FHIR, 3 entries", ["+12025550112"]),
        ("medplum.json", "FHIR, 2 entries", ["+12025550117", "+12025550118"]),
        ("bulk.ndjson", "FHIR, 2 entries", ["+12025550121"]),
        ("epic.hl7", "HL7 v2, 3 messages, 1 older than another one about the same appointment", ["+12025550123"]),
        ("cerner.hl7", "HL7 v2, 2 messages", ["+12025550126"]),
    ],
)
def test_records_become_reminders_like_lines_of_a_table(
    terminal: Terminal, name: str, found: str, numbers: list[str]
) -> None:
    path = copied(terminal, name)
    said = terminal.type("import", str(path), "--profile", "records").stdout
    assert found in said
    assert "  phone_number: mobile, else phone, else home_phone, else work_phone" in said
    assert "  ref: ref" not in said, "a format with names of our own has nothing to tell"
    assert sorted(row["phone_number"] for row in terminal.json("list")) == numbers
    again = terminal.type("import", str(path), "--profile", "records").stdout
    assert f"0 added, 0 changed, {len(numbers)} unchanged, 0 rejected" in again


@pytest.mark.parametrize(
    ("name", "profile", "booked", "code"),
    [
        (
            "google.ics",
            "google",
            [
                ("4q9hn2s7c1a8example0001@google.com", "+12025550101", "2027-03-01T14:30:00Z"),
                ("4q9hn2s7c1a8example0003@google.com/20270302T083000", "+12025550103", "2027-03-02T14:00:00Z"),
            ],
            1,  # a series, and a whole day
        ),
        (
            "nextcloud.ics",
            "nextcloud",
            [
                ("5d4f6a3e-0000-4c1b-9d2e-example00001", "+12025550106", "2027-03-04T20:30:00Z"),
                ("5d4f6a3e-0000-4c1b-9d2e-example00002", "+12025550107", "2027-03-04T21:15:00Z"),
            ],
            0,
        ),
        (
            "apple.ics",
            "apple",
            [("6A1B2C3D-0000-4444-8888-EXAMPLE00001", "+12025550108", "2027-03-05T14:30:00Z")],
            0,
        ),
        ("epic.json", None, [("eAbC.01", "+12025550112", "2027-03-08T14:00:00Z")], 0),
        ("oracle.json", None, [("4817517", "+12025550114", "2027-03-09T14:30:00Z")], 0),
        ("hapi.json", None, [("52", "+12025550116", "2027-03-11T15:15:00Z")], 0),
        ("bulk.ndjson", None, [("b-1", "+12025550121", "2027-03-15T13:00:00Z")], 0),
        ("epic.hl7", None, [("40001", "+12025550123", "2027-03-17T15:30:00Z")], 0),
        ("cerner.hl7", None, [("50001", "+12025550126", "2027-03-18T13:15:00Z")], 0),
        ("athena.hl7", None, [("60001", "+12025550128", "2027-03-19T18:00:00Z")], 0),
    ],
)
def test_appointments_are_booked_and_their_calls_planned(
    terminal: Terminal, name: str, profile: str | None, booked: list[tuple[str, str, str]], code: int
) -> None:
    path = copied(terminal, name)
    (terminal.folder / "config.toml").write_text(APPOINTMENTS)
    words = ("import", str(path), *(() if profile is None else ("--profile", profile)))
    terminal.type(*words, code=code)
    found = [
        (row["ref"], row["phone_number"], datetime.fromisoformat(row["at"]))
        for row in terminal.json("appointment", "list")
    ]
    assert found == [(ref, number, datetime.fromisoformat(at)) for ref, number, at in booked]
    reminders = terminal.json("list")
    assert sorted(row["phone_number"] for row in reminders) == sorted(number for _, number, _ in booked)
    assert all(row["message"].startswith("Hello ") for row in reminders)
    again = terminal.type(*words, code=code).stdout
    assert f"0 added, 0 changed, {len(booked)} unchanged" in again


def test_an_appointment_that_a_later_file_cancels_is_not_called_for(terminal: Terminal) -> None:
    path = copied(terminal, "epic.hl7")
    (terminal.folder / "config.toml").write_text(APPOINTMENTS)
    terminal.type("import", str(path))
    path.write_text(path.read_bytes().decode().replace("SIU^S13", "SIU^S15"))
    assert "1 cancelled" in terminal.type("import", str(path)).stdout
    [appointment] = terminal.json("appointment", "list")
    assert appointment["status"] == "cancelled"
    assert [row["status"] for row in terminal.json("list")] == ["cancelled"]


def test_messages_are_no_snapshot_as_they_contain_only_changes(terminal: Terminal) -> None:
    path = copied(terminal, "epic.hl7")
    (terminal.folder / "config.toml").write_text(f"{APPOINTMENTS}\n[import.profiles.messages]\nsnapshot_days = 30\n")
    said = terminal.type("import", str(path), "--profile", "messages", code=2).stderr
    assert "its messages contain only changes; expected all appointments, as it is a snapshot" in said


def test_a_rejected_record_can_be_corrected_in_its_file_and_imported_as_a_table(terminal: Terminal) -> None:
    path = copied(terminal, "hapi.json")
    path.write_text(path.read_text().replace("(202) 555-0116", "555-0116"))
    terminal.type("import", str(path), "--profile", "records", code=1)
    header, row = rejected(terminal, "hapi.rejected.csv")
    assert row[1].startswith("phone_number: ")
    assert row[header.index("ref")] == "52"
    corrected = terminal.folder / "hapi.rejected.csv"
    corrected.write_bytes(corrected.read_bytes().replace(b"555-0116", b"(202) 555-0116"))
    terminal.type("import", str(corrected), "--profile", "records", "--rejected", "again.csv")
    assert [row["phone_number"] for row in terminal.json("list")] == ["+12025550116"]


@pytest.mark.parametrize(
    ("name", "words", "mistake"),
    [
        ("epic.json", (), "it is no JSON, or not all of it"),
        ("athena.hl7", (), "it ends before BTS"),
        ("google.ics", ("--map", "phone_number=DESCRIPTION"), "it ends before END:VCALENDAR"),
        ("google.ics", (), "phone_number: iCalendar has no place of its own for it"),
    ],
)
def test_nothing_is_written_for_a_file_that_is_cut_or_not_understood(
    terminal: Terminal, name: str, words: tuple[str, ...], mistake: str
) -> None:
    path = copied(terminal, name)
    terminal.add("--phone", "+1 202 555 0100")
    before = stored(terminal)
    path.write_bytes(path.read_bytes()[:-80])
    said = terminal.type("import", str(path), *words, code=2).stderr
    assert mistake in said
    assert stored(terminal) == before
    assert not list(terminal.folder.glob("*.rejected.csv"))


def test_the_rejected_records_of_a_folder_are_next_to_it(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = terminal.folder / "export"
    folder.mkdir()
    path = copied(terminal, "hapi.json").rename(folder / "hapi.json")
    path.write_text(path.read_text().replace("(202) 555-0116", "555-0116"))
    monkeypatch.chdir(folder)
    said = terminal.type("import", ".", "--profile", "records", "--config", "../config.toml", code=1).stdout
    assert "FHIR, files: 1, 1 entry" in said
    assert len(rejected(terminal, "export.rejected.csv")) == 2


@pytest.mark.parametrize("form", ENDINGS)
def test_a_broken_file_is_imported_or_refused_without_a_trace(terminal: Terminal, form: str) -> None:
    samples = samples_of(form)
    path = terminal.folder / f"export{ENDINGS[form][0]}"
    (terminal.folder / "config.toml").write_text(CONFIG)
    terminal.add("--phone", "+1 202 555 0100")
    refused = 0
    for number in range(FILES_BY_COMMAND):
        random = Random(f"{form} {number}")
        path.write_bytes(mutated(random, [sample.read_bytes() for sample in samples]))
        chosen = CHOSEN.get(random.choice(samples).name, {}) if form == "ics" else {}
        words = [word for field, place in chosen.items() if field in FIELDS for word in ("--map", f"{field}={place}")]
        words += () if form in ("ics", "csv") else ("--profile", "records")
        before = stored(terminal)
        result = terminal.runner.invoke(reminderd, ["import", str(path), *words])
        assert result.exit_code in {0, 1, 2}, f"{form} {number}: {result.output}"
        assert result.exception is None or isinstance(result.exception, SystemExit), f"{form} {number}"
        if result.exit_code == 2:
            refused += 1
            assert stored(terminal) == before
            assert not path.with_suffix(".rejected.csv").exists()
        path.with_suffix(".rejected.csv").unlink(missing_ok=True)
    assert refused


def test_help_and_tables_do_not_load_the_readers_of_other_formats() -> None:

    source = (
        "import sys, reminderd.cli.import_command, reminderd.imports.formats;"
        "print([name for name in ('icalendar', 'hl7', 'dateutil') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
