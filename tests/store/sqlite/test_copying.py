import os
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from stat import S_ISREG

import pytest

from reminderd.store.errors import CopyError, StoreUnusableError
from reminderd.store.sqlite.copying import copy, open_copy
from reminderd.store.sqlite.driver import SqliteConnection, connect
from reminderd.store.sqlite.opening import open_as_it_is, open_sync
from tests.support import schemas
from tests.support.store import contents


@pytest.fixture
def target(tmp_path: Path) -> Path:
    (tmp_path / "copies").mkdir()
    return tmp_path / "copies" / "copy.db"


def files(target: Path) -> list[str]:
    return sorted(file.name for file in target.parent.iterdir())


def opt_out(connection: SqliteConnection, number: str) -> None:
    connection.execute("INSERT INTO opt_outs (phone_number) VALUES (?)", (number,))


def fill(connection: SqliteConnection) -> None:
    """Insert enough rows that reading them takes many steps."""
    connection.execute("BEGIN")
    connection.executemany("INSERT INTO settings VALUES (?, 'x')", [(f"{number}",) for number in range(20_000)])
    connection.execute("COMMIT")


def test_a_copy_is_one_private_file_with_all_committed_data(
    connection: SqliteConnection, path: Path, target: Path
) -> None:
    opt_out(connection, "+4930123456")
    with open_sync(path) as writer:
        writer.execute("BEGIN IMMEDIATE")
        opt_out(writer, "+4930123457")
        made = copy(connection, target)
        writer.execute("COMMIT")
    assert files(target) == ["copy.db"]
    assert (made.file, made.size, made.mistakes) == (target, target.stat().st_size, [])
    assert target.stat().st_mode & 0o777 == 0o600
    with open_copy(target) as copied:
        assert [row[0] for row in copied.execute("SELECT phone_number FROM opt_outs")] == ["+4930123456"]
    assert files(target) == ["copy.db"]


def test_deleted_data_is_not_in_a_copy(connection: SqliteConnection, target: Path) -> None:
    connection.execute("PRAGMA secure_delete = OFF").fetchall()
    opt_out(connection, "+4930777777777")
    connection.execute("DELETE FROM opt_outs")
    copy(connection, target)
    assert b"+4930777777777" not in target.read_bytes()


def test_an_earlier_copy_is_only_replaced_on_request(connection: SqliteConnection, target: Path) -> None:
    copy(connection, target)
    before = target.read_bytes()
    opt_out(connection, "+4930123451")
    with pytest.raises(CopyError, match="exists; --force replaces it"):
        copy(connection, target)
    assert target.read_bytes() == before
    copy(connection, target, replace=True)
    with open_copy(target) as copied:
        assert copied.execute("SELECT count(*) FROM opt_outs").fetchone()[0] == 1
    assert files(target) == ["copy.db"]


def what_is_there(target: Path) -> object:
    status = target.lstat()
    return status.st_ino, status.st_mode, target.read_bytes() if S_ISREG(status.st_mode) else None


def leave_a_socket(target: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(target))


def leave_a_database(target: Path) -> None:
    open_sync(target).__enter__().close()


def leave_a_foreign_copy(target: Path) -> None:
    with open_sync(target.with_name("another.db")) as another:
        copy(another, target)
    target.with_name("another.db").unlink()


def leave_a_link_to_a_copy(target: Path) -> None:
    leave_a_foreign_copy(target.with_name("elsewhere.db"))
    target.symlink_to("elsewhere.db")


@pytest.mark.parametrize(
    ("leave", "words"),
    [
        (lambda target: target.write_text("precious"), "is not an earlier backup of this database"),
        (lambda target: target.touch(), "is not an earlier backup of this database"),
        (lambda target: target.write_bytes(b"SQLite format 3\0" + bytes(100)), "is not an earlier backup"),
        (leave_a_database, "is not an earlier backup of this database"),
        (leave_a_foreign_copy, "is not an earlier backup of this database"),
        (leave_a_link_to_a_copy, "is a link; expected the name of a file"),
        (lambda target: target.symlink_to("nothing"), "is a link; expected the name of a file"),
        (os.mkfifo, "is a named pipe; expected the name of a file"),
        (leave_a_socket, "is a socket; expected the name of a file"),
        (Path.mkdir, "is a folder; expected the name of a file"),
    ],
    ids=[
        "text",
        "an empty file",
        "a truncated database",
        "a database",
        "another copy",
        "a link to a copy",
        "a dangling link",
        "a named pipe",
        "a socket",
        "a folder",
    ],
)
def test_only_an_earlier_copy_of_this_database_is_replaced(
    connection: SqliteConnection, target: Path, leave: Callable[[Path], object], words: str
) -> None:
    leave(target)
    before = what_is_there(target)
    for replace in (True, False):
        with pytest.raises(CopyError, match=words):
            copy(connection, target, replace=replace)
    assert what_is_there(target) == before
    assert not [name for name in files(target) if "partial" in name]


def test_a_device_is_never_replaced(connection: SqliteConnection) -> None:
    with pytest.raises(CopyError, match="is a device; expected the name of a file"):
        copy(connection, Path("/dev/full"), replace=True)


@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal"])
def test_no_copy_gets_a_name_that_sqlite_uses(connection: SqliteConnection, target: Path, ending: str) -> None:
    with pytest.raises(CopyError, match="has the name of a file that SQLite keeps next to a database"):
        copy(connection, target.with_name(f"other.db{ending}"))
    assert files(target) == []


def test_a_file_that_is_in_use_is_never_written_even_if_it_is_missing(
    connection: SqliteConnection, target: Path
) -> None:
    with pytest.raises(CopyError, match="is the configuration; expected another file"):
        copy(connection, target, never={target: "the configuration"})
    assert files(target) == []


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_the_database_itself_is_never_replaced(
    connection: SqliteConnection, path: Path, ending: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(path.parent)
    with pytest.raises(CopyError, match="is the database itself"):
        copy(connection, Path(path.name + ending), replace=True)


def test_an_impossible_target_is_an_error(connection: SqliteConnection, tmp_path: Path) -> None:
    with pytest.raises(CopyError, match="there is no folder"):
        copy(connection, tmp_path / "missing" / "copy.db")
    with pytest.raises(CopyError, match="is a folder; expected the name of a file"):
        copy(connection, tmp_path, replace=True)
    with pytest.raises(CopyError, match="File name too long"):
        copy(connection, tmp_path / ("x" * 250))


def test_no_copy_is_begun_if_the_disk_would_be_full(connection: SqliteConnection, target: Path) -> None:
    with pytest.raises(CopyError, match=r"copy\.db: not enough room: 10995116277\d\d\.\d MiB are needed"):
        copy(connection, target, spare=2**60)
    assert files(target) == []


def test_a_cancelled_copy_leaves_nothing(connection: SqliteConnection, target: Path) -> None:
    fill(connection)
    looks = 0

    def stopped() -> bool:
        nonlocal looks
        looks += 1
        return looks > 1

    with pytest.raises(CopyError, match="given up, as the program stops"):
        copy(connection, target, stopped=stopped)
    assert files(target) == []


def test_a_damaged_database_is_not_copied_and_the_last_copy_stays(path: Path, target: Path) -> None:
    with open_sync(path) as connection:
        copy(connection, target)
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'opt_outs'").fetchone()[0]
    before = target.read_bytes()
    content = bytearray(path.read_bytes())
    content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)
    with open_sync(path) as connection, pytest.raises(StoreUnusableError):
        copy(connection, target, replace=True)
    assert target.read_bytes() == before
    assert files(target) == ["copy.db"]


def test_errors_in_the_rows_are_listed_and_copied(connection: SqliteConnection, target: Path) -> None:
    connection.execute("CREATE TABLE clinics_own (call_id TEXT REFERENCES call_logs (id))")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO clinics_own VALUES ('gone')")
    assert copy(connection, target).mistakes == ["clinics_own: row 1 refers to a missing row of call_logs"]
    with open_copy(target) as copied:
        assert copied.execute("SELECT count(*) FROM clinics_own").fetchone()[0] == 1


def test_a_copy_has_the_schema_of_its_database(path: Path, target: Path) -> None:
    schemas.build(1, path)
    with closing(open_as_it_is(path)) as connection:
        copy(connection, target)
        before = contents(connection)
    with open_copy(target) as copied:
        assert copied.execute("PRAGMA user_version").fetchone()[0] == 1
        assert contents(copied) == before
    with closing(open_as_it_is(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1


def test_the_leftovers_of_a_killed_process_are_deleted_after_a_day(connection: SqliteConnection, target: Path) -> None:
    names = (".copy.db.killed", ".copy.db.working", ".another.db.killed")
    killed, working, foreign = (target.parent / f"{name}.reminderd-partial" for name in names)
    for file in (killed, working, foreign):
        file.touch()
    for file in (killed, foreign):
        os.utime(file, (0, 0))
    copy(connection, target)
    assert files(target) == [foreign.name, working.name, "copy.db"]


def test_an_unfinished_copy_is_never_found_under_its_name(
    connection: SqliteConnection, path: Path, target: Path
) -> None:
    """Killed while the copy is read through: the name is not there yet."""
    fill(connection)
    program = (
        "import os, signal, sys\n"
        "from contextlib import closing\n"
        "from pathlib import Path\n"
        "from reminderd.store.sqlite.copying import copy\n"
        "from reminderd.store.sqlite.opening import open_as_it_is\n"
        "target = Path(sys.argv[2])\n"
        "def stopped():\n"
        "    if any(file.stat().st_size for file in target.parent.iterdir()):\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return False\n"
        "with closing(open_as_it_is(Path(sys.argv[1]))) as source:\n"
        "    copy(source, target, stopped=stopped)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path, target], check=False, capture_output=True)
    assert done.returncode == -9
    assert "copy.db" not in files(target)
    assert files(target)


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_file_that_may_be_in_use_is_refused_as_a_copy(
    connection: SqliteConnection, target: Path, ending: str
) -> None:
    copy(connection, target)
    target.with_name(target.name + ending).touch()
    with pytest.raises(CopyError, match="is next to it, so it may be in use"), open_copy(target):
        pass


def test_a_file_that_is_not_a_copy_is_refused_by_name(target: Path) -> None:
    with pytest.raises(CopyError, match=r"copy\.db: there is no such file"), open_copy(target):
        pass
    target.touch()
    with pytest.raises(CopyError, match=r"copy\.db: is empty"), open_copy(target):
        pass
    target.write_bytes(b"nonsense" * 1000)
    with pytest.raises(CopyError, match=r"copy\.db: not a SQLite database"), open_copy(target):
        pass
    target.unlink()
    with closing(connect(str(target))) as other:
        other.execute("CREATE TABLE patients(name)")
    with pytest.raises(CopyError, match=r"copy\.db: made by another program"), open_copy(target):
        pass


def test_a_newer_copy_is_refused(connection: SqliteConnection, target: Path) -> None:
    copy(connection, target)
    with closing(connect(str(target))) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(CopyError, match=r"made by a newer reminderd \(schema 99"), open_copy(target):
        pass
