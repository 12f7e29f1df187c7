"""What `report` and `status` say about the imports of a day."""

import json
import signal
from functools import partial
from typing import Any

import pytest

from reminderd.clock import SystemClock
from reminderd.core.imports import FOLDER, ImportStatus
from reminderd.imports import one_file
from reminderd.store.connection import transaction
from reminderd.store.import_records import begin_import, end_import
from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal

HEADER = "ref,phone,message,at\n"
GOOD = "7,+4930123456,Tomorrow at nine.,2040-01-07 09:30\n"
BAD = "8,030,Hello.,2040-01-07 09:30\n"


def test_the_report_has_a_line_for_each_import_of_the_day(terminal: Terminal) -> None:
    (terminal.folder / "list.csv").write_text(HEADER + GOOD + BAD)
    for code in (1, 1):
        terminal.type("import", "list.csv", code=code)
    said = terminal.type("report").stdout.splitlines()
    assert [line.partition(": ")[2] for line in said[-2:]] == [
        "list.csv: 1 added, 0 changed, 0 unchanged, 1 rejected",
        "list.csv: 0 added, 0 changed, 1 unchanged, 1 rejected",
    ]
    assert [one["file"] for one in terminal.json("report")["imports"]] == ["list.csv", "list.csv"]
    assert "list.csv" not in terminal.type("report", "--date", "yesterday").stdout


def test_the_status_has_the_last_import(terminal: Terminal) -> None:
    terminal.add()
    assert json.loads(terminal.type("status", "--json", code=1).stdout)["last_import"] is None
    (terminal.folder / "list.csv").write_text(HEADER + GOOD)
    terminal.type("import", "list.csv")
    found: dict[str, Any] = json.loads(terminal.type("status", "--json", code=1).stdout)["last_import"]
    assert (found["file"], found["status"], found["added"], found["rejected"]) == ("list.csv", "done", 1, 0)


def test_a_dry_run_is_not_recorded(terminal: Terminal) -> None:
    terminal.add()
    (terminal.folder / "list.csv").write_text(HEADER + GOOD)
    terminal.type("import", "list.csv", "--dry-run")
    assert terminal.json("report")["imports"] == []


def test_a_file_that_is_refused_as_a_whole_is_recorded_with_the_reason_and_without_its_cells(
    terminal: Terminal,
) -> None:
    (terminal.folder / "list.csv").write_text("Erika Mustermann,+49 30 123456\n")
    terminal.type("import", "list.csv", code=2)
    assert not (terminal.folder / "reminderd.db").exists(), "a wrong file makes no database"
    terminal.add()
    terminal.type("import", "list.csv", "--dry-run", code=2)
    assert terminal.json("report")["imports"] == []
    terminal.type("import", "list.csv", code=2)
    [refused] = terminal.json("report")["imports"]
    assert (refused["file"], refused["status"]) == ("list.csv", "refused")
    assert "phone_number: no column" in refused["reason"]
    assert "Erika" not in refused["reason"], "the first line may be a patient"
    assert json.loads(terminal.type("status", "--json", code=1).stdout)["last_import"]["status"] == "refused"


def test_a_file_is_refused_with_its_reason_though_that_can_not_be_recorded(terminal: Terminal) -> None:
    (terminal.folder / "list.csv").write_text("Erika Mustermann,+49 30 123456\n")
    (terminal.folder / "reminderd.db").write_text("no database")
    assert "phone_number: no column" in terminal.type("import", "list.csv", code=2).stderr


def test_an_import_that_is_interrupted_or_fails_is_recorded_as_that(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    (terminal.folder / "list.csv").write_text(HEADER + GOOD)

    def interrupted(*_arguments: object) -> ImportStatus:
        signal.raise_signal(signal.SIGINT)
        return ImportStatus.INTERRUPTED

    def failing(*_arguments: object) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(one_file, "import_rows", interrupted)
    terminal.type("import", "list.csv", code=130)
    monkeypatch.setattr(one_file, "import_rows", failing)
    terminal.type("import", "list.csv", code=1)
    first, second = terminal.json("report")["imports"]
    assert (first["status"], first["reason"]) == ("interrupted", None)
    assert (second["status"], second["reason"]) == ("failed", "No space left on device")


def test_the_status_is_an_error_while_no_file_has_come_in_time(terminal: Terminal) -> None:
    terminal.add()
    with (terminal.folder / "config.toml").open("a") as config:
        config.write('[import]\nfolder = "inbox"\nexpect_by = "00:00"\n')
    missing = "no file has arrived in [import].folder: one was expected by "
    assert missing in terminal.type("status", code=1).stdout
    with open_sync(terminal.folder / "reminderd.db") as connection:
        begin = partial(begin_import, file="list.csv", profile=None, actor=FOLDER)
        transaction(connection, begin, SystemClock().now())
    assert missing not in terminal.type("status", code=1).stdout


def test_the_status_is_an_error_until_a_refused_file_comes_again(terminal: Terminal) -> None:
    terminal.add()
    with open_sync(terminal.folder / "reminderd.db") as connection:
        begin = partial(begin_import, file="list.csv", profile=None, actor=FOLDER)
        import_id = transaction(connection, begin, SystemClock().now())
        status, why = ImportStatus.REFUSED, "no column: phone"
        end = partial(end_import, import_id=import_id, status=status, done={}, rejected=0, reason=why)
        transaction(connection, end, SystemClock().now())
    sentence = "a file was not imported, import it again: list.csv: refused: no column: phone"
    assert sentence in terminal.type("status", code=1).stdout
    assert sentence in json.loads(terminal.type("status", "--json", code=1).stdout)["errors"]
    (terminal.folder / "list.csv").write_text(HEADER + GOOD)
    terminal.type("import", "list.csv")
    assert sentence not in terminal.type("status", code=1).stdout
