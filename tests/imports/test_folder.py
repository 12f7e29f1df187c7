"""Files in the drop folder: imported once they are whole, moved, and never lost, overwritten or read half-written."""

import errno
import os
import shutil
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reminderd.clock import Clock, SystemClock
from reminderd.config import Config, load_config
from reminderd.core.imports import FOLDER, ImportStatus
from reminderd.files import set_mode, temporary_file
from reminderd.imports.folder import (
    MOST_BYTES,
    ChangedError,
    Dropped,
    Folder,
    OpenBy,
    Result,
    _writer,
    delete_moved_files,
    import_dropped,
    reject,
)
from reminderd.imports.formats import format_of
from reminderd.imports.loop import CHUNK, import_rows
from reminderd.store.sqlite.opening import open_sync
from tests.imports.readings import SAMPLES
from tests.support.builders import HOUR
from tests.support.clock import HandClock

HEADER = "ref,phone,message,at\n"
GOOD = "7,+4930123456,Tomorrow at nine.,2040-01-07 09:30\n"
BAD = "8,030,Hello.,2040-01-07 09:30\n"


WRITTEN = SystemClock().now()
"""By the clock of the files: all of them have just been written."""


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    (tmp_path / "inbox").mkdir()
    return tmp_path / "inbox"


@pytest.fixture
def config(inbox: Path) -> Config:
    return configured(inbox)


def configured(inbox: Path, more: str = "") -> Config:
    text = f'[calling]\ntimezone = "Europe/Berlin"\n[import]\nfolder = "inbox"\n{more}'
    (inbox.parent / "config.toml").write_text(text)
    return load_config(None, {}, inbox.parent)


def whole(inbox: Path) -> list[Dropped]:
    """What is whole, as if nothing had changed for an hour."""
    looking = Folder(inbox)
    now = SystemClock().now()
    looking.complete_files(0, now)
    return looking.complete_files(3600, now)


def imported(inbox: Path, config: Config, clock: Clock | None = None) -> list[Result]:
    return [import_dropped(dropped, config, clock or SystemClock(), lambda: False) for dropped in whole(inbox)]


def files(inbox: Path) -> set[str]:
    return {str(path.relative_to(inbox)) for path in inbox.rglob("*") if not path.is_dir() or path.is_symlink()}


def rows(inbox: Path, statement: str) -> list[dict[str, Any]]:
    with open_sync(inbox.parent / "reminderd.db") as connection:
        return [dict(row) for row in connection.execute(statement).fetchall()]


def refs(inbox: Path) -> list[str]:
    return [row["ref"] for row in rows(inbox, "SELECT ref FROM reminders ORDER BY ref")]


def test_a_file_is_imported_and_moved_with_its_rejected_lines_next_to_it(inbox: Path, config: Config) -> None:
    (inbox / "list.csv").write_text(HEADER + GOOD + BAD)
    [result] = imported(inbox, config)
    assert result.text == ("imported list.csv: 1 added, 0 changed, 0 unchanged, 1 rejected; moved to done/list.csv")
    assert (result.status, result.rejected) == (ImportStatus.DONE, 1)
    assert files(inbox) == {"done/list.csv", "done/list.rejected.csv"}
    assert refs(inbox) == ["7"]
    [record] = rows(inbox, "SELECT file, actor, status, added, rejected FROM imports")
    assert record == {"file": "list.csv", "actor": FOLDER, "status": "done", "added": 1, "rejected": 1}
    [line] = rows(inbox, "SELECT actor, act, detail FROM audit")
    assert line == {"actor": FOLDER, "act": "add", "detail": "import of list.csv"}


def test_a_file_that_is_not_understood_is_moved_to_the_rejected_ones_with_a_text_that_says_why(
    inbox: Path, config: Config
) -> None:
    (inbox / "list.csv").write_text("Erika Mustermann,+49 30 123456\nMax,+49 30 123457\n")
    [result] = imported(inbox, config)
    assert result.status is ImportStatus.REFUSED
    assert "moved to rejected/list.csv" in result.text
    assert files(inbox) == {"rejected/list.csv", "rejected/list.csv.txt"}
    why = (inbox / "rejected" / "list.csv.txt").read_text()
    assert why.startswith("list.csv was not imported:\n- ")
    assert "- phone_number: no column; expected a header like phone" in why
    assert '"Erika Mustermann"' in why
    assert why.rstrip().endswith("docs/import.md has examples.")
    [record] = rows(inbox, "SELECT file, status, reason FROM imports")
    assert record["status"] == "refused"
    for text in (result.text, record["reason"]):
        assert "phone_number: no column" in text
        assert "Erika" not in text, "the first line may be a patient"


def test_the_first_profile_whose_pattern_matches_reads_the_file(inbox: Path) -> None:
    config = configured(
        inbox,
        '[import.profiles.lab]\nfiles = "lab*.csv"\ncolumns = { ref = "Nr" }\n'
        '[import.profiles.practice]\nfiles = "*.csv"\ncolumns = { ref = "No" }\n',
    )
    (inbox / "LAB-1.CSV").write_text((HEADER + GOOD).replace("ref", "Nr"))
    (inbox / "list.csv").write_text((HEADER + GOOD.replace("7,", "8,")).replace("ref", "No"))
    (inbox / "other").write_text(HEADER + GOOD.replace("7,", "9,"))
    assert [result.status for result in imported(inbox, config)] == [ImportStatus.DONE] * 3
    assert refs(inbox) == ["7", "8", "9"]
    found = rows(inbox, "SELECT file, profile FROM imports ORDER BY file")
    assert [tuple(row.values()) for row in found] == [
        ("LAB-1.CSV", "lab"),
        ("list.csv", "practice"),
        ("other", None),
    ]


def test_the_same_file_twice_changes_nothing_and_overwrites_nothing(inbox: Path, config: Config) -> None:
    for _ in range(3):
        (inbox / "list.csv").write_text(HEADER + GOOD + BAD)
        imported(inbox, config)
    assert files(inbox) == {
        f"done/{name}"
        for name in (
            *("list.csv", "list.rejected.csv", "list.2.csv", "list.2.rejected.csv"),
            *("list.3.csv", "list.3.rejected.csv"),
        )
    }
    assert [row["unchanged"] for row in rows(inbox, "SELECT unchanged FROM imports ORDER BY id")] == [0, 1, 1]


def test_rejected_lines_that_somebody_is_correcting_are_not_overwritten(inbox: Path, config: Config) -> None:
    (inbox / "done").mkdir()
    (inbox / "done" / "list.rejected.csv").write_text("half corrected")
    (inbox / "list.csv").write_text(HEADER + BAD)
    imported(inbox, config)
    assert (inbox / "done" / "list.rejected.csv").read_text() == "half corrected"
    assert {"done/list.2.csv", "done/list.2.rejected.csv"} < files(inbox)


def test_two_files_at_once_are_imported_in_the_order_of_their_times(inbox: Path, config: Config) -> None:
    (inbox / "b.csv").write_text(HEADER + GOOD)
    (inbox / "a.csv").write_text(HEADER + GOOD.replace("nine", "ten"))
    os.utime(inbox / "b.csv", (1_000_000, 1_000_000))
    assert [result.text.partition(";")[0] for result in imported(inbox, config)] == [
        "imported b.csv: 1 added, 0 changed, 0 unchanged, 0 rejected",
        "imported a.csv: 0 added, 1 changed, 0 unchanged, 0 rejected",
    ]


def test_a_file_is_whole_once_it_has_not_changed_for_a_while(inbox: Path) -> None:
    looking = Folder(inbox)
    (inbox / "list.csv").write_text(HEADER)
    assert looking.complete_files(0, WRITTEN) == []
    assert looking.complete_files(9, WRITTEN) == []
    (inbox / "list.csv").write_text(HEADER + GOOD)
    assert looking.complete_files(11, WRITTEN) == []
    assert looking.complete_files(20, WRITTEN) == []
    assert [dropped.path.name for dropped in looking.complete_files(21, WRITTEN)] == ["list.csv"]


def test_a_file_that_was_finished_elsewhere_and_moved_here_is_whole_at_once(inbox: Path) -> None:
    (inbox / "list.part").write_text(HEADER + GOOD)
    os.utime(inbox / "list.part", (1_000_000, 1_000_000))
    (inbox / "list.part").rename(inbox / "list.csv")
    assert [dropped.path.name for dropped in Folder(inbox).complete_files(0, WRITTEN)] == ["list.csv"]


def test_a_file_that_is_open_for_writing_is_not_whole(inbox: Path) -> None:
    looking = Folder(inbox)
    with (inbox / "list.csv").open("w") as file:
        file.write(HEADER)
        file.flush()
        assert looking.complete_files(0, WRITTEN) == []
        assert _writer(inbox / "list.csv") is OpenBy.SOMEBODY
        assert looking.complete_files(300, WRITTEN) == []
    assert _writer(inbox / "list.csv") is OpenBy.NOBODY
    assert [dropped.path.name for dropped in looking.complete_files(301, WRITTEN)] == ["list.csv"]


def test_a_file_that_stays_open_is_never_whole_and_is_named(inbox: Path) -> None:
    looking = Folder(inbox)
    with (inbox / "list.csv").open("w"):
        looking.complete_files(0, WRITTEN)
        assert (looking.complete_files(599, WRITTEN), looking.kept_open) == ([], [])
        assert (looking.complete_files(600, WRITTEN), looking.kept_open) == ([], ["list.csv"])
        assert (looking.complete_files(90_000, WRITTEN), looking.kept_open) == ([], ["list.csv"])
    [dropped] = looking.complete_files(90_001, WRITTEN)
    dropped.path.unlink()
    assert (looking.complete_files(90_002, WRITTEN), looking.kept_open) == ([], [])


def played(writer: OpenBy) -> Callable[[Path], OpenBy]:
    return lambda _path: writer


@pytest.mark.parametrize("writer", [OpenBy.UNKNOWN, OpenBy.SOMEBODY])
def test_where_the_kernel_can_not_tell_a_file_is_whole_that_is_silent_for_five_minutes(
    inbox: Path, monkeypatch: pytest.MonkeyPatch, writer: OpenBy
) -> None:
    """The kernel answers only a file's owner; and on some file systems every file seems to be open, our own one too."""
    monkeypatch.setattr("reminderd.imports.folder._writer", played(writer))
    looking = Folder(inbox)
    (inbox / "list.csv").write_text(HEADER + GOOD)
    looking.complete_files(0, WRITTEN)
    assert looking.complete_files(299, WRITTEN) == []
    assert [dropped.path.name for dropped in looking.complete_files(300, WRITTEN)] == ["list.csv"]
    assert files(inbox) == {"list.csv"}


def test_only_the_file_that_was_opened_is_read_whatever_its_name_leads_to_meanwhile(
    inbox: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "list.csv").write_text(HEADER + GOOD)
    (inbox.parent / "secret.csv").write_text(HEADER + GOOD.replace("7,", "9,"))
    real = format_of

    def swapped(file: Path, name: str) -> str:
        (inbox / "list.csv").unlink()
        (inbox / "list.csv").symlink_to(inbox.parent / "secret.csv")
        return real(file, name)

    monkeypatch.setattr("reminderd.imports.folder.format_of", swapped)
    [result] = imported(inbox, config)
    assert result.text.endswith("if it is still there, it will be imported again")
    assert refs(inbox) == ["7"]
    assert files(inbox) == {"list.csv"}
    monkeypatch.undo()
    [result] = imported(inbox, config)
    assert "it is a link or a device" in result.text
    assert refs(inbox) == ["7"]


def test_a_file_that_is_taken_away_before_its_turn_is_no_error(inbox: Path, config: Config) -> None:
    (inbox / "list.csv").write_text(HEADER + GOOD)
    [dropped] = whole(inbox)
    dropped.path.unlink()
    with pytest.raises(ChangedError):
        import_dropped(dropped, config, SystemClock(), lambda: False)


def test_a_folder_inside_that_is_missing_is_an_error_and_the_file_stays(inbox: Path, config: Config) -> None:
    (inbox / "list.csv").write_text(HEADER + GOOD)
    [dropped] = whole(inbox)
    (inbox / "done").rmdir()
    with pytest.raises(OSError, match="done"):
        import_dropped(dropped, config, SystemClock(), lambda: False)
    assert files(inbox) == {"list.csv"}


@pytest.mark.parametrize(
    "name", ["list.csv.part", "list.csv.filepart", ".list.csv", "~$list.xlsx", "list.tmp", "list~"]
)
def test_names_of_files_that_are_being_written_are_left_alone(inbox: Path, name: str) -> None:
    (inbox / name).write_text(HEADER + GOOD)
    assert whole(inbox) == []


def test_a_folder_that_is_missing_is_made_and_what_is_in_it_is_open_to_those_who_bring_files(tmp_path: Path) -> None:
    inbox = tmp_path / "srv" / "inbox"
    inbox.mkdir(parents=True)
    inbox.chmod(0o2770)
    before = os.umask(0o077)
    try:
        assert whole(inbox) == []
    finally:
        os.umask(before)
    assert [stat.S_IMODE((inbox / name).stat().st_mode) for name in ("done", "rejected")] == [0o2770, 0o2770]
    missing = tmp_path / "none" / "yet"
    with Folder(missing).lock() as is_alone:
        assert is_alone
        assert whole(missing) == []


def test_only_one_process_at_a_time_takes_files_out_and_those_who_bring_them_may_do_so_too(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    inbox.chmod(0o2770)
    with Folder(inbox).lock() as one, Folder(inbox).lock() as other:
        assert (one, other) == (True, False)
    with Folder(inbox).lock() as other:
        assert other
        assert whole(inbox) == [], "the lock is no file to import"
    assert stat.S_IMODE((inbox / ".reminderd.lock").stat().st_mode) == 0o660


def test_where_the_file_system_has_no_locks_every_process_counts_as_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_descriptor: int, _how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("reminderd.files.fcntl.flock", refused)
    with Folder(tmp_path).lock() as one, Folder(tmp_path).lock() as other:
        assert (one, other) == (True, True)


def link(path: Path) -> None:
    (path.parent.parent / "secret.csv").write_text(HEADER + GOOD)
    path.symlink_to(path.parent.parent / "secret.csv")


def huge(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MOST_BYTES + 1)


def broken_link(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("leave", "why"),
    [
        (link, "it is a link or a device; expected a file"),
        (broken_link, "it is a link or a device; expected a file"),
        (os.mkfifo, "it is a link or a device; expected a file"),
        (huge, "it is larger than 128 MiB"),
        (Path.touch, "it is empty; expected a header and rows below it"),
        (lambda path: path.write_bytes(b"PK\x03\x04"), "it is a ZIP archive"),
        (lambda path: path.write_bytes(b"\0" * 5000), "it contains NUL bytes"),
    ],
)
def test_what_is_no_table_is_rejected_with_the_reason(
    inbox: Path, config: Config, leave: Callable[[Path], object], why: str
) -> None:
    leave(inbox / "list.csv")
    [result] = imported(inbox, config)
    assert why in result.text
    assert why in (inbox / "rejected" / "list.csv.txt").read_text()
    assert files(inbox) == {"rejected/list.csv", "rejected/list.csv.txt"}
    assert rows(inbox, "SELECT * FROM reminders") == []


def test_a_file_that_cannot_be_read_is_rejected(inbox: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root reads everything, what the kernel says is played."""
    (inbox / "list.csv").write_text(HEADER + GOOD)
    real, there = os.open, whole(inbox)

    def refused(path: Any, *arguments: Any, **named: Any) -> int:
        if path == inbox / "list.csv":
            raise PermissionError
        return real(path, *arguments, **named)

    monkeypatch.setattr(os, "open", refused)
    [result] = [import_dropped(dropped, config, SystemClock(), lambda: False) for dropped in there]
    assert "it can't be read: permission denied; expected a file that the daemon's user may read" in result.text
    assert files(inbox) == {"rejected/list.csv", "rejected/list.csv.txt"}


def test_a_folder_inside_is_left_alone(inbox: Path) -> None:
    (inbox / "archive").mkdir()
    (inbox / "archive" / "list.csv").write_text(HEADER + GOOD)
    assert whole(inbox) == []


def test_a_file_that_is_replaced_while_it_is_imported_is_imported_again(
    inbox: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "list.csv").write_text(HEADER + GOOD + BAD)
    real = import_rows

    def replaced(*arguments: Any) -> ImportStatus:
        done = real(*arguments)
        (inbox / "list.part").write_text(HEADER + GOOD.replace("7,", "9,"))
        (inbox / "list.part").rename(inbox / "list.csv")
        return done

    monkeypatch.setattr("reminderd.imports.one_file.import_rows", replaced)
    [result] = imported(inbox, config)
    assert result.text.endswith("it has changed meanwhile; if it is still there, it will be imported again")
    assert files(inbox) == {"list.csv"}
    monkeypatch.undo()
    imported(inbox, config)
    assert refs(inbox) == ["7", "9"]


def test_a_file_that_is_written_again_before_its_turn_waits_until_it_is_whole_again(
    inbox: Path, config: Config
) -> None:
    (inbox / "list.csv").write_text(HEADER + GOOD)
    [dropped] = whole(inbox)
    (inbox / "list.csv").write_text(HEADER)
    with pytest.raises(ChangedError):
        import_dropped(dropped, config, SystemClock(), lambda: False)
    assert files(inbox) == {"list.csv"}
    assert rows(inbox, "SELECT id FROM imports") == []


def test_a_snapshot_that_changes_while_it_is_imported_cancels_nothing(
    inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = configured(inbox, "[import.profiles.practice]\nsnapshot_days = 30\n")
    (inbox / "list.csv").write_text(HEADER + GOOD + GOOD.replace("7,", "9,"))
    imported(inbox, config)
    (inbox / "list.csv").write_text(HEADER + GOOD)
    real = import_rows

    def rewritten(*arguments: Any) -> ImportStatus:
        done = real(*arguments)
        (inbox / "list.csv").write_text(HEADER + GOOD + GOOD.replace("7,", "9,"))
        return done

    monkeypatch.setattr("reminderd.imports.one_file.import_rows", rewritten)
    [result] = imported(inbox, config)
    assert "cancelled" not in result.text
    assert [row["status"] for row in rows(inbox, "SELECT status FROM reminders")] == ["scheduled"] * 2


def test_an_import_that_is_stopped_leaves_the_file_where_it_is(inbox: Path, config: Config) -> None:
    lines = "".join(f"{number},+49301{number:06},Hello.,2040-01-07 09:30\n" for number in range(2 * CHUNK))
    (inbox / "list.csv").write_text(HEADER + BAD + lines)
    [dropped] = whole(inbox)
    asked = iter([False, True])
    result = import_dropped(dropped, config, SystemClock(), lambda: next(asked))
    assert result.status is ImportStatus.INTERRUPTED
    assert files(inbox) == {"list.csv"}
    assert len(refs(inbox)) == CHUNK - 1
    [again] = imported(inbox, config)
    assert f"{CHUNK + 1:,} added, 0 changed, {CHUNK - 1:,} unchanged, 1 rejected" in again.text


def test_a_failure_leaves_the_file_and_nothing_next_to_it(
    inbox: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    (inbox / "list.csv").write_text(HEADER + GOOD + BAD)
    real = import_rows

    def failing(*arguments: Any) -> bool:
        real(*arguments)
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("reminderd.imports.one_file.import_rows", failing)
    with pytest.raises(OSError, match="Input/output"):
        imported(inbox, config)
    assert files(inbox) == {"list.csv"}
    assert [row["status"] for row in rows(inbox, "SELECT status FROM imports")] == ["failed"]


def test_a_text_for_a_file_that_is_gone_meanwhile_is_not_left_behind(inbox: Path) -> None:
    (inbox / "list.csv").write_text(HEADER)
    [dropped] = whole(inbox)
    (inbox / "list.csv").write_text(HEADER + GOOD)
    reject(dropped, ["it is empty"])
    assert files(inbox) == {"list.csv"}


def test_old_files_are_deleted_from_the_folders_inside_alone(inbox: Path, config: Config) -> None:
    for name in ("list.csv", "other.csv"):
        (inbox / name).write_text(HEADER + GOOD)
    [_, _] = imported(inbox, config)
    (inbox / "new.csv").write_text(HEADER + GOOD)
    now = SystemClock().now()
    assert delete_moved_files(inbox, now - HOUR) == 0
    assert delete_moved_files(inbox, now + HOUR) == 2
    assert files(inbox) == {"new.csv"}


APPOINTMENTS = """
[clinic]
country = "US"
[messages.templates]
visit = "Hello {name}, your appointment is on {date} at {time}."
[reminders]
before = ["1 day at 10:00"]
template = "visit"
[import.profiles.calendar]
files = "*.ics"
columns = { phone_number = "ATTENDEE", name = "ATTENDEE/CN" }
[import.profiles.others]
"""


def test_calendars_and_messages_are_imported_like_tables(inbox: Path) -> None:
    config = configured(inbox, APPOINTMENTS)
    for name in ("apple.ics", "hapi.json", "athena.hl7"):
        shutil.copyfile(SAMPLES / name, inbox / name)
    before_all = HandClock(time=datetime(2027, 3, 1, tzinfo=UTC))
    assert {result.status for result in imported(inbox, config, before_all)} == {ImportStatus.DONE}
    assert files(inbox) == {"done/apple.ics", "done/hapi.json", "done/athena.hl7"}
    found = rows(inbox, "SELECT ref, phone_number FROM appointments ORDER BY phone_number")
    assert [tuple(row.values()) for row in found] == [
        ("6A1B2C3D-0000-4444-8888-EXAMPLE00001", "+12025550108"),
        ("52", "+12025550116"),
        ("60001", "+12025550128"),
    ]


def test_a_file_of_messages_that_is_cut_books_nothing(inbox: Path) -> None:
    config = configured(inbox, APPOINTMENTS)
    (inbox / "athena.hl7").write_bytes((SAMPLES / "athena.hl7").read_bytes()[:-20])
    [result] = imported(inbox, config)
    assert result.status is ImportStatus.REFUSED
    assert "it ends before" in result.text
    assert rows(inbox, "SELECT ref FROM appointments") == []


def test_a_link_in_the_place_of_a_folder_inside_leads_to_no_file_that_is_deleted(tmp_path: Path, inbox: Path) -> None:
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "kept.csv").write_text("kept")
    (inbox / "done").symlink_to(tmp_path / "others")
    assert delete_moved_files(inbox, SystemClock().now() + HOUR) == 0
    assert (tmp_path / "others" / "kept.csv").exists()


def test_a_snapshot_of_a_profile_cancels_what_it_lacks_and_says_what_it_did_not(inbox: Path) -> None:
    config = configured(
        inbox,
        '[import.profiles.practice]\nsnapshot_days = 30\n[reminders]\nbefore = ["1 day"]\ntemplate = "checkup"\n'
        '[messages.templates]\ncheckup = "Please come."\n',
    )
    header = "ref,phone,appointment at\n"
    lines = [f"{number},+493012345{number},2040-01-0{number} 09:30\n" for number in range(1, 8)]

    def dropped(*some: str) -> Result:
        (inbox / "list.csv").write_text(header + "".join(some))
        [result] = imported(inbox, config)
        return result

    dropped(*lines)
    assert dropped(*lines[:5], lines[6]).text.startswith(
        "imported list.csv (profile practice): 0 added, 0 changed, 6 unchanged, 0 rejected, 1 cancelled;"
    )
    assert dropped(*lines[:5], "x,y\n".replace("x", "")).text.endswith(
        "; nothing that it lacks was cancelled, as line 7 is rejected or cut off, and may be about any of it"
    )
    assert "it has the same rows as the file" in dropped(*lines[:5], lines[6]).text
    assert dropped(*lines[:5], lines[6].replace("09:30", "09:40")).status is ImportStatus.DONE
    assert dropped(lines[0].replace("1,+", "99,+")).status is ImportStatus.REFUSED
    [row] = rows(inbox, "SELECT count(*) AS count FROM appointments WHERE status = 'booked'")
    assert row["count"] == 6


def test_those_who_may_read_a_file_may_read_what_is_next_to_it_whatever_the_daemons_umask_is(
    inbox: Path, config: Config
) -> None:
    (inbox / "list.csv").write_text(HEADER + BAD)
    (inbox / "other.csv").write_text("")
    for name in ("list.csv", "other.csv"):
        (inbox / name).chmod(0o640)
    before = os.umask(0o077)
    try:
        imported(inbox, config)
    finally:
        os.umask(before)
    names = ("done/list.rejected.csv", "rejected/other.csv.txt")
    assert [stat.S_IMODE((inbox / name).stat().st_mode) for name in names] == [0o640, 0o640]


def test_what_is_written_next_to_a_file_never_goes_through_a_link(
    inbox: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Programs that bring files may write into the folders, too, and could put a link where a file is being written."""
    secret = inbox.parent / "secret"
    secret.write_text("ours")
    secret.chmod(0o600)

    @contextmanager
    def swapped(target: Path, **named: Any) -> Iterator[Path]:
        with temporary_file(target, **named) as file:
            file.unlink()
            file.symlink_to(secret)
            yield file

    monkeypatch.setattr("reminderd.imports.rejected.temporary_file", swapped)
    monkeypatch.setattr("reminderd.imports.folder.temporary_file", swapped)
    for text in (HEADER + BAD, ""):
        (inbox / "list.csv").write_text(text)
        with pytest.raises(OSError, match="symbolic links"):
            imported(inbox, config)
        assert (secret.read_text(), stat.S_IMODE(secret.stat().st_mode)) == ("ours", 0o600)
    assert "list.csv" in files(inbox)


def test_a_link_gets_no_other_mode(tmp_path: Path) -> None:
    (tmp_path / "file").touch(mode=0o600)
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="symbolic links"):
        set_mode(tmp_path / "link", 0o666)
    set_mode(tmp_path / "file", 0o640)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640
