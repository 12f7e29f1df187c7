import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.sqlite.driver import SqliteConnection, connect
from reminderd.store.sqlite.migrate import APPLICATION_ID
from reminderd.store.sqlite.opening import open_alone, open_connection, open_sync

SHORT = timedelta(milliseconds=20)

# Opens the database named by its argument as somebody who isn't root, and says what came of it.
AS_NOBODY = """
import os, sys
from pathlib import Path
from reminderd.store.errors import StoreUnusableError
from reminderd.store.sqlite.opening import open_sync
if os.geteuid() == 0:
    os.setgid(65534)
    os.setuid(65534)
try:
    with open_sync(Path(sys.argv[1])):
        print("opened")
except StoreUnusableError as error:
    print(error)
"""

# Opens the database named by its argument twice, and names every file that Python itself opened meanwhile.
WATCHED = """
import sys
from pathlib import Path
from reminderd.store.sqlite.opening import open_sync
path = Path(sys.argv[1])
sys.addaudithook(lambda event, args: print(event, args[0]) if event == "open" and path.name in str(args[0]) else None)
with open_sync(path), open_sync(path):
    print("opened twice")
"""

ALL_AT_ONCE = """
import sys
from pathlib import Path
from reminderd.store.sqlite.opening import open_sync
for line in sys.stdin:
    try:
        with open_sync(Path(line.rstrip())) as connection:
            print(connection.execute("SELECT count(*) FROM reminders").fetchone()[0], flush=True)
    except Exception as error:
        print(repr(error), flush=True)
"""


def run(program: str, *arguments: Path) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def refusal(path: Path) -> str:
    with pytest.raises(StoreUnusableError) as caught:
        open_connection(path, busy_timeout=SHORT)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.fixture
def public_folder() -> Iterator[Path]:
    """Return a folder that other users may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder
        folder.chmod(0o755)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("journal_mode", "wal"),
        ("synchronous", 2),
        ("foreign_keys", 1),
        ("secure_delete", 1),
        ("trusted_schema", 0),
        ("cell_size_check", 1),
        ("mmap_size", 0),
        ("temp_store", 2),
        ("journal_size_limit", 64 * 1024 * 1024),
        ("busy_timeout", 20),
        ("query_only", 0),
        ("application_id", APPLICATION_ID),
    ],
)
def test_a_connection_has_these_settings(connection: SqliteConnection, setting: str, expected: object) -> None:
    assert connection.execute(f"PRAGMA {setting}").fetchone()[0] == expected


def test_a_query_only_connection_cannot_write(path: Path) -> None:
    connection = open_connection(path, query_only=True)
    with pytest.raises(Exception, match="readonly"):
        connection.execute("INSERT INTO settings VALUES ('a', 'b')")
    connection.close()


def test_rows_know_their_columns(connection: SqliteConnection) -> None:
    row = connection.execute("SELECT 1 AS one, 'x' AS word").fetchone()
    assert (row["one"], row["word"]) == (1, "x")


def test_text_that_is_not_utf8_is_read_with_replacement_characters(connection: SqliteConnection) -> None:
    assert connection.execute("SELECT CAST(x'4DFC6C' AS TEXT)").fetchone()[0] == "M\ufffdl"


def test_the_files_are_accessible_only_to_their_owner(path: Path) -> None:
    before = os.umask(0)
    try:
        with open_sync(path) as connection:
            connection.execute("INSERT INTO settings VALUES ('a', 'b')")
            files = sorted(path.parent.iterdir())
            assert [file.name for file in files] == ["reminderd.db", "reminderd.db-shm", "reminderd.db-wal"]
            assert [mode(file) for file in files] == [0o600] * 3
    finally:
        os.umask(before)


def test_an_existing_files_mode_is_left_to_its_owner(path: Path) -> None:
    with open_sync(path):
        pass
    path.chmod(0o660)
    with open_sync(path) as connection:
        connection.execute("INSERT INTO settings VALUES ('a', 'b')")
        assert mode(path) == 0o660
        assert mode(path.with_name("reminderd.db-wal")) == 0o660


def test_an_existing_file_is_opened_by_sqlite_alone(path: Path) -> None:
    with open_sync(path):
        pass
    assert run(WATCHED, path) == "opened twice"


def test_an_empty_file_becomes_a_database(path: Path) -> None:
    path.touch()
    with open_sync(path) as connection:
        assert connection.execute("SELECT count(*) FROM reminders").fetchone()[0] == 0


@pytest.mark.parametrize("name", ["ünï 100%.db", "what?.db", "a#b.db", "%41.db", ":memory:", "file:x.db"])
def test_any_file_name_can_be_used(tmp_path: Path, name: str) -> None:
    with open_sync(tmp_path / name):
        assert (tmp_path / name).is_file()


def test_a_relative_path_and_a_symbolic_link_lead_to_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.db").symlink_to("real.db")
    with open_sync(Path("link.db")) as connection, open_sync(Path("real.db")) as same:
        connection.execute("INSERT INTO settings VALUES ('a', 'b')")
        assert same.execute("SELECT value FROM settings WHERE key = 'a'").fetchone()["value"] == "b"


def test_a_connection_is_closed_at_the_end_and_after_an_error(path: Path) -> None:
    with pytest.raises(ValueError, match="a bug"), open_sync(path) as connection:
        raise ValueError("a bug")
    with pytest.raises(Exception, match="closed"):
        connection.execute("SELECT 1")
    assert [file.name for file in path.parent.iterdir()] == ["reminderd.db"]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / "missing" / "x.db") == f"there is no folder {tmp_path / 'missing'}"


def test_a_folder_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path) == "is a folder, not a database"


def test_a_path_that_is_not_a_regular_file_is_refused(path: Path) -> None:
    os.mkfifo(path)
    assert refusal(path) == "is no regular file"


def test_an_impossible_name_is_refused(tmp_path: Path) -> None:
    assert refusal(tmp_path / ("x" * 300)) == "File name too long"


def test_a_dangling_link_is_refused(path: Path) -> None:
    path.symlink_to(path)
    assert refusal(path)


def test_a_folder_that_may_not_be_written_is_refused(public_folder: Path) -> None:
    public_folder.chmod(0o555)
    path = public_folder / "x.db"
    assert run(AS_NOBODY, path) == f"{path}: no permission to write to the folder {public_folder}"


@pytest.mark.parametrize("permissions", [0o000, 0o444])
def test_a_file_that_may_not_be_written_is_refused(public_folder: Path, permissions: int) -> None:
    path = public_folder / "x.db"
    with open_sync(path):
        pass
    public_folder.chmod(0o777)
    path.chmod(permissions)
    assert run(AS_NOBODY, path) == f"{path}: no permission to read and write it"


@pytest.mark.parametrize("content", [b"hello", b"x" * 5000, b"SQLite format 3\x00" + b"\xff" * 5000])
def test_a_file_that_is_not_a_database_is_refused_unchanged(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert refusal(path).startswith("not a SQLite database")
    assert path.read_bytes() == content


def test_a_damaged_database_is_refused(path: Path) -> None:
    with open_sync(path):
        pass
    content = path.read_bytes()
    path.write_bytes(content[:100] + b"\xff" * 2000 + content[2100:])
    assert refusal(path).startswith("the database is damaged")


@pytest.mark.parametrize(
    "sql",
    [
        "CREATE TABLE patients(name)",
        "PRAGMA application_id = 7",
        "PRAGMA user_version = 3",
        "CREATE VIEW v AS SELECT 1",
    ],
)
def test_another_programs_database_is_refused_unchanged(path: Path, sql: str) -> None:
    other = connect(str(path))
    other.execute(sql)
    other.close()
    content = path.read_bytes()
    assert refusal(path) == "made by another program, not by reminderd"
    assert path.read_bytes() == content


def test_a_newer_reminderds_database_is_refused(path: Path) -> None:
    with open_sync(path) as connection:
        connection.execute("PRAGMA user_version = 7000")
    assert refusal(path).startswith("made by a newer reminderd (schema 7000, this one knows ")
    assert refusal(path).endswith("): upgrade")


def test_a_file_system_without_write_ahead_logging_is_refused(path: Path) -> None:
    # SQLite can't do WAL without shared memory; a folder in the way of the -shm file is such a place.
    path.with_name("reminderd.db-shm").mkdir()
    with pytest.raises((StoreUnusableError, StoreUnavailableError), match=r"reminderd\.db: "):
        open_connection(path, busy_timeout=SHORT)


def test_a_database_that_another_program_holds_alone_is_unavailable(path: Path) -> None:
    other = connect(str(path), isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailableError, match="locked by another program"):
        open_connection(path, busy_timeout=SHORT)
    other.execute("ROLLBACK")
    other.close()
    with open_sync(path):
        pass


def test_a_reader_delays_the_change_to_wal_only_for_a_while(path: Path) -> None:
    with open_sync(path) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")
    reader = connect(str(path), isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT * FROM reminders").fetchall()
    with pytest.raises(StoreUnavailableError, match="locked"):
        open_connection(path, busy_timeout=SHORT)
    reader.close()
    with open_sync(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_simultaneous_starts_on_a_missing_file_all_succeed(tmp_path: Path) -> None:
    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", ALL_AT_ONCE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )

    with start() as one, start() as two, start() as three:
        starters = [(starter.stdin, starter.stdout) for starter in (one, two, three)]
        for number in range(40):
            for requests, _ in starters:
                print(tmp_path / f"{number}.db", file=requests)
            assert [answers.readline().strip() for _, answers in starters if answers] == ["0"] * 3


def test_open_alone_locks_out_others_and_empties_the_wal(path: Path) -> None:
    with open_sync(path) as connection:
        connection.execute("INSERT INTO settings VALUES ('a', 'b')")
        with pytest.raises(StoreUnavailableError, match="locked"):
            open_alone(path)
    alone = open_alone(path)
    try:
        with pytest.raises(StoreUnavailableError, match="locked"):
            open_connection(path, busy_timeout=SHORT)
        assert not path.with_name("reminderd.db-wal").exists()
        assert alone.execute("SELECT value FROM settings WHERE key = 'a'").fetchone()[0] == "b"
    finally:
        alone.close()
    open_connection(path, busy_timeout=SHORT).close()
