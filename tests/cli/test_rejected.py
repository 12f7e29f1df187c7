"""Where `import` writes rejected lines: to a new file, or over its own earlier file."""

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from stat import S_ISREG

import pytest

from reminderd.store.sqlite.opening import open_sync
from tests.cli.conftest import Terminal
from tests.support.program import clean_environment
from tests.support.store import contents

HEADER = "ref,phone,message,at\n"
GOOD = "7,+4930123456,Tomorrow at nine.,2030-01-07 09:30\n"
BAD = "8,030,Hello.,2030-01-07 09:30\n"


@pytest.fixture
def table(terminal: Terminal) -> Path:
    file = terminal.folder / "list.csv"
    file.write_text(HEADER + GOOD + BAD)
    return file


def what_is_there(folder: Path) -> dict[str, object]:
    """Return everything in a folder except SQLite's own files next to a database."""
    found: dict[str, object] = {}
    for file in folder.iterdir():
        status = file.lstat()
        if not file.name.startswith("reminderd.db-"):
            found[file.name] = status.st_ino, file.read_bytes() if S_ISREG(status.st_mode) else status.st_mode
    return found


def leave_a_socket(target: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(target))


def leave_a_link(target: Path) -> None:
    target.with_name("elsewhere.csv").write_bytes(b"\xef\xbb\xbfline,reason,ref\r\n")
    target.symlink_to("elsewhere.csv")


NOT_OURS = "exists, and is not a file of rejected lines; expected another name, or move it away"


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("leave", "words"),
    [
        (lambda target: target.write_text("line,reason,ref\n"), NOT_OURS),
        (lambda target: target.write_text("a table that took a day to write"), NOT_OURS),
        (lambda target: target.touch(), NOT_OURS),
        (leave_a_link, "is a link; expected the name of a file"),
        (lambda target: target.symlink_to("nothing"), "is a link; expected the name of a file"),
        (os.mkfifo, "is a named pipe; expected the name of a file"),
        (leave_a_socket, "is a socket; expected the name of a file"),
    ],
    ids=[
        "no byte order mark",
        "another table",
        "an empty file",
        "a link",
        "a dangling link",
        "a named pipe",
        "a socket",
    ],
)
def test_an_import_refuses_to_replace_anything_but_a_rejected_file(
    terminal: Terminal, table: Path, leave: Callable[[Path], object], words: str, dry: list[str]
) -> None:
    leave(terminal.folder / "bad.csv")
    before = what_is_there(terminal.folder)
    said = terminal.type("import", table.name, "--rejected", "bad.csv", *dry, code=2).stderr
    assert said == f"--rejected: bad.csv: {words}\n"
    assert what_is_there(terminal.folder) == before


@pytest.mark.parametrize("dry", [["--dry-run"], []])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("reminderd.db", "is the database; expected another file"),
        ("reminderd.db-wal", "is the database; expected another file"),
        ("./reminderd.db-shm", "is the database; expected another file"),
        ("reminderd.db-journal", "is the database; expected another file"),
        ("hard-link.db", "is the database; expected another file"),
        ("config.toml", "is the configuration; expected another file"),
        ("clinic.log", "is the log; expected another file"),
        ("token", "is a file with secrets; expected another file"),
        ("backup.db", NOT_OURS),
        ("another.db", NOT_OURS),
        ("another.db-wal", "has the name of a file that SQLite keeps next to a database; expected another name"),
        ("/dev/full", "is a device; expected the name of a file"),
    ],
)
def test_databases_their_files_backups_and_the_configuration_are_never_replaced(
    terminal: Terminal, table: Path, name: str, words: str, dry: list[str]
) -> None:
    (terminal.folder / "token").write_text("t" * 32)
    (terminal.folder / "config.toml").write_text(
        '[calling]\ntimezone = "Europe/Berlin"\n[log]\nfile = "clinic.log"\n[api]\ntoken_file = "token"\n'
    )
    terminal.add()
    terminal.type("db", "backup", "backup.db")
    with open_sync(terminal.folder / "another.db"):
        pass
    (terminal.folder / "hard-link.db").hardlink_to(terminal.folder / "reminderd.db")
    with open_sync(terminal.folder / "reminderd.db") as open_elsewhere:
        before, rows = what_is_there(terminal.folder), contents(open_elsewhere)
        assert terminal.type("import", table.name, "--rejected", name, *dry, code=2).stderr.endswith(f"{words}\n")
        assert what_is_there(terminal.folder) == before
        assert contents(open_elsewhere) == rows


def test_a_name_that_sqlite_will_use_is_refused(terminal: Terminal, table: Path) -> None:
    for name in ("reminderd.db", "reminderd.db-journal", "other.db-journal"):
        terminal.type("import", table.name, "--rejected", name, code=2)
    assert [file.name for file in terminal.folder.glob("*.db*")] == []


def test_the_table_on_standard_input_cannot_be_the_rejected_file(terminal: Terminal) -> None:
    rejected = terminal.folder / "bad.csv"
    rejected.write_text("line,reason," + HEADER + "2,corrected," + BAD, encoding="utf-8-sig")
    before = rejected.read_bytes()
    with rejected.open() as table:
        done = subprocess.run(
            [sys.executable, "-m", "reminderd", "import", "-", "--rejected", "bad.csv"],
            cwd=terminal.folder,
            env=clean_environment(),
            stdin=table,
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (2, "--rejected: it is FILE itself; expected another file\n")
    assert rejected.read_bytes() == before


def test_a_dry_run_writes_only_the_rejected_file(terminal: Terminal, table: Path) -> None:
    terminal.add()
    with (terminal.folder / "config.toml").open("a") as config:
        config.write(
            '[provider.generic]\napi_url = "https://voice.example.com"\napi_key = "key"\nwebhook_auth = "none"\n'
        )
    before = what_is_there(terminal.folder)
    with open_sync(terminal.folder / "reminderd.db") as connection:
        rows = contents(connection)
        terminal.type("import", table.name, "--dry-run", code=1)
        assert contents(connection) == rows
    after = what_is_there(terminal.folder)
    assert after.pop("list.rejected.csv") is not None
    assert after == before


def test_a_full_disk_keeps_the_earlier_rejected_file_whole(terminal: Terminal, table: Path) -> None:
    terminal.type("import", table.name, code=1)
    before = (terminal.folder / "list.rejected.csv").read_bytes()
    table.write_text(HEADER + BAD * 4_000)
    done = subprocess.run(
        [sys.executable, "-m", "reminderd", "import", "--dry-run", "list.csv"],
        cwd=terminal.folder,
        env=clean_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000)),
    )
    assert done.returncode == 1
    assert "File too large" in done.stderr
    assert "Traceback" not in done.stderr
    assert (terminal.folder / "list.rejected.csv").read_bytes() == before
    assert not [file.name for file in terminal.folder.iterdir() if "partial" in file.name]
