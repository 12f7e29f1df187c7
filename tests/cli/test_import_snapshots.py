"""`import --snapshot`: what a file no longer contains was cancelled, if that is certain."""

import json
import os
from zoneinfo import ZoneInfo

import pytest

from reminderd.cli.import_command import request_in_words
from reminderd.clock import SystemClock
from reminderd.core.imports import ImportStatus
from reminderd.core.upsert import ReminderCancellation
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.cli.test_import_appointments import CONFIG, calls, configure, rows

HEADER = "ApptGUID,ApptDate,Phone,Appt status\n"
SPAN = ("--profile", "practice", "--snapshot", "--from", "2040-03-12", "--to", "2040-03-14")


def line(number: int, day: int = 13, status: str = "") -> str:
    return f"g{number},3/{day}/2040 16:{number % 60:02},20255501{number:02},{status}\n"


def write(clinic: Terminal, *lines: str) -> None:
    (clinic.folder / "list.csv").write_text(HEADER + "".join(lines))


@pytest.fixture
def clinic(terminal: Terminal) -> Terminal:
    (terminal.folder / "config.toml").write_text(f"{CONFIG}[import.profiles.practice]\n[import.profiles.lab]\n")
    write(terminal, *map(line, range(10)))
    terminal.type("import", "list.csv", "--profile", "practice")
    return terminal


def booked(clinic: Terminal) -> set[str]:
    return {ref for (ref,) in rows(clinic, "SELECT ref FROM appointments WHERE status = 'booked'")}


def refs(*numbers: int) -> set[str]:
    return {f"g{number}" for number in numbers}


def test_what_the_file_no_longer_holds_is_cancelled_with_its_calls(clinic: Terminal) -> None:
    write(clinic, *map(line, range(2, 11)))
    printed = clinic.type("import", "list.csv", *SPAN).stdout
    assert "1 added, 0 changed, 8 unchanged, 0 rejected, 2 cancelled" in printed
    assert booked(clinic) == refs(*range(2, 11))
    assert {number for number, _, _ in calls(clinic)} == {f"+120255501{number:02}" for number in range(2, 11)}
    assert rows(clinic, "SELECT cancelled FROM imports ORDER BY id DESC LIMIT 1") == [(2,)]
    again = clinic.type("import", "list.csv", *SPAN).stdout
    assert "0 added, 0 changed, 9 unchanged, 0 rejected" in again


def test_what_a_later_snapshot_has_again_is_booked_again(clinic: Terminal) -> None:
    write(clinic, *map(line, range(2, 10)))
    clinic.type("import", "list.csv", *SPAN)
    write(clinic, *map(line, range(10)))
    assert "2 changed" in clinic.type("import", "list.csv", *SPAN).stdout
    assert booked(clinic) == refs(*range(10))


def test_what_is_outside_of_the_span_or_came_from_another_profile_stays(clinic: Terminal) -> None:
    write(clinic, line(20, day=11), line(21, day=15))
    clinic.type("import", "list.csv", "--profile", "practice")
    write(clinic, line(30))
    clinic.type("import", "list.csv", "--profile", "lab")
    write(clinic, line(40))
    clinic.type("import", "list.csv")
    write(clinic, *map(line, range(9)))
    assert "1 cancelled" in clinic.type("import", "list.csv", *SPAN).stdout
    assert booked(clinic) == refs(*range(9), 20, 21, 30, 40)


def test_what_was_moved_out_of_the_span_is_moved_and_not_cancelled(clinic: Terminal) -> None:
    write(clinic, *map(line, range(9)), line(9, day=20))
    assert "1 changed" in clinic.type("import", "list.csv", *SPAN).stdout
    assert booked(clinic) == refs(*range(10))


def test_a_rejected_line_with_a_ref_counts_as_still_there(clinic: Terminal) -> None:
    write(clinic, *map(line, range(8)), "g8,soon,202555,\n")
    printed = clinic.type("import", "list.csv", *SPAN, code=1).stdout
    assert "1 rejected, 1 cancelled" in printed
    assert booked(clinic) == refs(*range(9))


@pytest.mark.parametrize("bad", [",soon,202555,\n", "g8,soon,202555,,,,x\n", '"g8"x,soon,202555,\n'])
def test_a_rejected_line_without_a_certain_ref_keeps_everything_and_says_so(clinic: Terminal, bad: str) -> None:
    write(clinic, *map(line, range(8)), bad)
    result = clinic.type("import", "list.csv", *SPAN, code=1)
    assert "nothing that it lacks was cancelled, as line 10 is rejected or cut off" in result.stderr
    assert booked(clinic) == refs(*range(10))


@pytest.mark.parametrize("rest", ["g9,3/13/2040 16:09,2025550109,Sched", "g9,3/13/2040 16:09,2025550109,Scheduled,x"])
def test_a_snapshot_that_may_be_cut_off_cancels_nothing_and_its_last_line_is_rejected(
    clinic: Terminal, rest: str
) -> None:
    write(clinic, *map(line, range(7)), rest)
    result = clinic.type("import", "list.csv", *SPAN, code=1)
    assert "0 added, 0 changed, 7 unchanged, 1 rejected" in result.stdout
    assert "nothing that it lacks was cancelled, as line 9 is rejected or cut off" in result.stderr
    assert booked(clinic) == refs(*range(10))


def test_the_program_of_a_profile_may_never_write_the_last_line_end(clinic: Terminal) -> None:
    config = clinic.folder / "config.toml"
    config.write_text(config.read_text().replace("[import.profiles.lab]", "last_line_end = false"))
    write(clinic, *map(line, range(8)), line(8).rstrip("\n"))
    assert "9 unchanged, 0 rejected, 1 cancelled" in clinic.type("import", "list.csv", *SPAN).stdout
    assert booked(clinic) == refs(*range(9))


def test_a_file_that_lacks_too_many_is_refused_whole(clinic: Terminal) -> None:
    write(clinic, *map(line, range(4)), line(50))
    printed = clinic.type("import", "list.csv", *SPAN, code=2).stderr
    assert "6 of 10 in its span would be cancelled, more than 20%; expected a whole file" in printed
    assert booked(clinic) == refs(*range(10))
    assert "1 added, 0 changed, 4 unchanged, 0 rejected, 6 cancelled" in (
        clinic.type("import", "list.csv", *SPAN, "--max-cancelled", "60%").stdout
    )


def test_an_old_snapshot_that_comes_again_is_refused_unless_somebody_insists(clinic: Terminal) -> None:
    first, second = [*map(line, range(10))], [*map(line, range(1, 11))]
    for lines in (first, second, second):
        write(clinic, *lines)
        clinic.type("import", "list.csv", *SPAN)
    assert booked(clinic) == refs(*range(1, 11))
    write(clinic, *first)
    for options in ((), ("--dry-run",)):
        refused = clinic.type("import", "list.csv", *SPAN, *options, code=2).stderr
        assert "list.csv: it has the same rows as the file that was imported on" in refused
        assert "expected a newer file, as it is a snapshot, or --even-if-older" in refused
    assert booked(clinic) == refs(*range(1, 11))
    assert "1 changed, 9 unchanged" in clinic.type("import", "list.csv", *SPAN, "--even-if-older").stdout
    assert booked(clinic) == refs(*range(10))


def test_a_snapshot_that_was_written_before_the_last_one_is_refused(clinic: Terminal) -> None:
    clinic.type("import", "list.csv", *SPAN)
    write(clinic, *map(line, range(9)))
    os.utime(clinic.folder / "list.csv", (800_000_000, 800_000_000))
    assert "it was written on 1995-" in clinic.type("import", "list.csv", *SPAN, code=2).stderr
    assert booked(clinic) == refs(*range(10))


def test_a_file_that_says_when_it_was_made_is_older_by_that_whatever_the_time_of_its_copy(clinic: Terminal) -> None:
    def written(day: int, *numbers: int) -> None:
        entries = [
            {
                "resourceType": "Appointment",
                "id": f"f{number}",
                "status": "booked",
                "start": f"2040-03-13T16:{number:02}:00Z",
                "participant": [{"actor": {"reference": "#p"}}],
                "contained": [
                    {
                        "resourceType": "Patient",
                        "id": "p",
                        "telecom": [{"system": "phone", "use": "mobile", "value": f"(202) 555-01{number:02}"}],
                    }
                ],
            }
            for number in numbers
        ]
        bundle = {"resourceType": "Bundle", "timestamp": f"2026-03-{day:02}T06:00:00Z"}
        content = bundle | {"entry": [{"resource": one} for one in entries]}
        (clinic.folder / "list.json").write_text(json.dumps(content))

    lab = ("--profile", "lab", *SPAN[2:])
    written(2, 1, 2)
    clinic.type("import", "list.json", *lab)
    written(1, 1)
    assert "it was written on 2026-03-01" in clinic.type("import", "list.json", *lab, code=2).stderr
    written(3, 1)
    assert "1 cancelled" in clinic.type("import", "list.json", *lab).stdout


def test_a_file_from_the_future_keeps_no_later_one_out(clinic: Terminal) -> None:
    os.utime(clinic.folder / "list.csv", (4_000_000_000, 4_000_000_000))
    clinic.type("import", "list.csv", *SPAN)
    write(clinic, *map(line, range(9)))
    future = SystemClock().now().timestamp() + 60
    os.utime(clinic.folder / "list.csv", (future, future))
    assert "1 cancelled" in clinic.type("import", "list.csv", *SPAN).stdout


def test_an_unfinished_import_cancels_nothing(clinic: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    write(clinic, *map(line, range(8)))
    monkeypatch.setattr("reminderd.imports.one_file.import_rows", lambda *_: ImportStatus.INTERRUPTED)
    clinic.type("import", "list.csv", *SPAN, code=130)
    assert booked(clinic) == refs(*range(10))


def test_an_empty_file_is_refused(clinic: Terminal) -> None:
    write(clinic)
    assert "it has no row at all" in clinic.type("import", "list.csv", *SPAN, code=2).stderr


def test_a_row_that_says_that_its_appointment_is_over_cancels_it_once(clinic: Terminal) -> None:
    write(clinic, *map(line, range(9)), line(9, status="cancelled"))
    assert "1 cancelled" in clinic.type("import", "list.csv", *SPAN).stdout


def test_a_dry_run_shows_what_would_be_cancelled_and_how_the_lines_are_read(clinic: Terminal) -> None:
    write(clinic, "g0,soon,2025550100,\n", *map(line, range(1, 8)), line(8, status="cancelled"))
    printed = clinic.type("import", "list.csv", *SPAN, "--dry-run", code=1).stdout
    assert "the first lines are read as:\n  line 2: rejected: appointment_at: " in printed
    assert "  line 3: appointment on Tuesday, 2040-03-13 16:01: +12025550101 (g1)\n" in printed
    assert "  line 10: does not take place: its waiting reminders are cancelled (g8)\n" in printed
    assert "it lacks 1 of what is stored, which would be cancelled:\n  g9: " in printed
    assert "2 cancelled" in printed
    assert booked(clinic) == refs(*range(10))


def test_a_dry_run_without_a_database_shows_how_the_lines_are_read(terminal: Terminal) -> None:
    configure(terminal, "")
    write(terminal, *map(line, range(12)))
    printed = terminal.type("import", "list.csv", *SPAN, "--dry-run").stdout
    assert printed.count("  line ") == 10
    assert not (terminal.folder / "reminderd.db").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--snapshot"], "--snapshot: expected --profile"),
        (["--snapshot", "--profile", "practice"], "--snapshot: of which days?"),
        (["--profile", "practice", "--from", "2040-03-12", "--to", "2040-03-13"], "without --snapshot"),
        (["--snapshot", "--profile", "practice", "--from", "2040-03-12"], "one without the other"),
        (["--snapshot", "--profile", "practice", "--from", "soon", "--to", "2040-03-13"], "--from: not a date"),
        ([*SPAN, "--max-cancelled", "a few"], "expected a number from 0% to 100%"),
    ],
)
def test_a_snapshot_needs_a_profile_and_a_span(clinic: Terminal, options: list[str], words: str) -> None:
    assert words in clinic.type("import", "list.csv", *options, code=2).stderr


REMINDERS = "ref,phone,message,at\n"


def call(number: int, ref: str = "") -> str:
    return f"{ref},20255501{number:02},Hello.,2040-03-13 10:{number:02}\n"


def test_a_file_of_reminders_may_be_a_snapshot_too(clinic: Terminal) -> None:
    list_ = clinic.folder / "list.csv"
    list_.write_text(REMINDERS + "".join([*map(call, range(4)), call(4, "r4"), call(5, "r5"), call(6, "r6")]))
    clinic.type("import", "list.csv")
    list_.write_text(REMINDERS + "".join([call(0), call(1), call(4, "r4"), call(5, "r5"), call(7)]))
    clinic.type("import", "list.csv", "--profile", "practice")
    list_.write_text(REMINDERS + "".join([call(1), call(5, "r5")]))
    printed = clinic.type("import", "list.csv", *SPAN, "--max-cancelled", "60%").stdout
    assert "0 added, 0 changed, 2 unchanged, 0 rejected, 3 cancelled" in printed
    waiting = rows(
        clinic,
        "SELECT phone_number, source FROM reminders WHERE status = 'scheduled' AND appointment_id IS NULL ORDER BY 1",
    )
    assert waiting == [
        ("+12025550101", "practice"),
        ("+12025550102", None),
        ("+12025550103", None),
        ("+12025550105", "practice"),
        ("+12025550106", None),
    ]
    assert len(booked(clinic)) == 10


def test_a_reminder_that_a_row_with_the_same_contents_names_is_still_there(clinic: Terminal) -> None:
    """A reminder that the clinic's system withdrew and asked for again has another id than its contents have."""
    list_ = clinic.folder / "list.csv"
    list_.write_text(REMINDERS + call(0))
    clinic.type("import", "list.csv", "--profile", "practice")
    with open_sync(clinic.folder / "reminderd.db") as connection:
        connection.execute("UPDATE reminders SET id = 'another' WHERE appointment_id IS NULL")
    assert "nothing" not in clinic.type("import", "list.csv", *SPAN).stdout
    assert rows(clinic, "SELECT count(*) FROM reminders WHERE status = 'cancelled'") == [(0,)]


def test_the_days_of_a_profile_make_each_of_its_files_a_snapshot(clinic: Terminal) -> None:
    configure(clinic, "snapshot_days = 2")
    write(clinic, line(30, day=14), line(31, day=15))
    clinic.type("import", "list.csv", "--profile", "practice", "--max-cancelled", "100")
    write(clinic, line(0), line(1, day=14))
    printed = clinic.type("import", "list.csv", "--profile", "practice", "--max-cancelled", "100").stdout
    assert "9 cancelled" in printed, "of the 13th and 14th; the 15th is not covered"
    assert booked(clinic) == refs(0, 1, 31)


def test_a_file_that_was_cut_off_says_nothing_of_the_days_after_its_last_line(clinic: Terminal) -> None:
    configure(clinic, "snapshot_days = 30")
    write(clinic, *map(line, range(10)), line(30, day=20), line(31, day=21))
    clinic.type("import", "list.csv", "--profile", "practice")
    write(clinic, *map(line, range(10)))
    printed = clinic.type("import", "list.csv", "--profile", "practice").stdout
    assert "cancelled" not in printed
    assert {"g30", "g31"} <= booked(clinic)


def test_a_reminder_is_shown_with_its_time_and_message(clinic: Terminal) -> None:
    (clinic.folder / "list.csv").write_text("phone,message,at\n2025550147,Hello.,2040-03-12 10:00\n")
    printed = clinic.type("import", "list.csv", "--dry-run").stdout
    assert '  line 2: call +12025550147 on Monday, 2040-03-12 10:00: "Hello."\n' in printed


def test_what_has_no_ref_is_shown_without_one() -> None:
    shown = request_in_words(ReminderCancellation(ref=None), ZoneInfo("UTC"))
    assert shown == "does not take place: its waiting reminders are cancelled"
