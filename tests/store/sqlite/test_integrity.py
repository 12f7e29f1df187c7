import subprocess
import sys
from pathlib import Path

import pytest

from reminderd.core.changes import Backlog
from reminderd.core.phone import ANY_NUMBER
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.examination import Examination
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.driver import SqliteConnection, connect
from reminderd.store.sqlite.integrity import examine, integrity_errors
from reminderd.store.sqlite.migrate import migrations
from reminderd.store.sqlite.opening import open_sync
from tests.support.builders import NOW
from tests.support.rows import insert_row

NEWEST = migrations()[-1].number

# Writes one row into the database named by its argument, and dies with it in the write-ahead log.
CRASHED = """
import os, sys
from pathlib import Path
from reminderd.store.sqlite.opening import open_sync
with open_sync(Path(sys.argv[1])) as connection:
    connection.execute("INSERT INTO settings (key, value) VALUES ('x', 'y')")
    os._exit(0)
"""


def examined(path: Path, *, seconds: float = 30) -> Examination:
    return examine(path, seconds=seconds, numbering=ANY_NUMBER)


def insert(connection: SqliteConnection, reminder_id: str, **columns: str | int | None) -> None:
    row = {"id": reminder_id, "phone_number": "+12025550100", "message": "Hello.", "scheduled_at": to_ms(NOW)} | columns
    insert_row(connection, "reminders", row)


def test_a_database_that_is_open_elsewhere_is_seen_as_it_is(path: Path, connection: SqliteConnection) -> None:
    insert(connection, "r1")
    seen = examined(path)
    assert seen == Examination(
        version=NEWEST,
        newest=NEWEST,
        mistakes=[],
        uncallable={},
        wal_bytes=seen.wal_bytes,
        unsent=Backlog(waiting=0, oldest=None, error=None),
    )
    assert seen.wal_bytes > 0


def test_nothing_is_written_even_if_a_crash_left_a_wal(path: Path) -> None:
    subprocess.run([sys.executable, "-c", CRASHED, str(path)], check=True)
    wal = Path(f"{path}-wal")
    before = path.read_bytes(), wal.read_bytes()
    assert examined(path).wal_bytes == len(before[1]) > 0
    assert (path.read_bytes(), wal.read_bytes()) == before


def test_a_symbolic_link_leads_to_the_write_ahead_log_too(path: Path, connection: SqliteConnection) -> None:
    insert(connection, "r1")
    link = path.parent / "link.db"
    link.symlink_to(path)
    assert examined(link).wal_bytes > 0


def test_an_older_schema_is_not_migrated(path: Path) -> None:
    with open_sync(path):
        pass
    older = connect(str(path))
    older.execute(f"PRAGMA user_version = {NEWEST - 1}")
    older.close()
    assert (examined(path).version, examined(path).mistakes) == (NEWEST - 1, [])
    untouched = connect(str(path))
    assert untouched.execute("PRAGMA user_version").fetchone()[0] == NEWEST - 1
    untouched.close()


def test_an_empty_file_has_no_schema_yet(path: Path) -> None:
    path.touch()
    assert examined(path) == Examination(version=0, newest=NEWEST, mistakes=[], uncallable={}, wal_bytes=0)
    assert path.stat().st_size == 0


def test_a_row_that_would_wait_forever_is_an_error(path: Path, connection: SqliteConnection) -> None:
    insert(connection, "r1", status="called")
    connection.execute("UPDATE reminders SET status = 'processing', wake_at = NULL, revision = 1")
    assert examined(path).mistakes == ["a waiting reminder has no wake_at: r1"]


def test_damage_is_an_error(path: Path) -> None:
    with open_sync(path) as connection:
        for number in range(200):
            insert(connection, f"r{number}", message="x" * 1000)
    pages = bytearray(path.read_bytes())
    pages[-8192:] = bytes(range(256)) * 32
    path.write_bytes(pages)
    assert examined(path).mistakes


def test_a_database_that_cannot_be_read_in_time_is_not_called_sound(path: Path) -> None:
    with open_sync(path) as connection:
        connection.execute(
            "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)"
            " INSERT INTO reminders (id, phone_number, message, scheduled_at)"
            " SELECT 'r' || i, '+12025550100', 'Hello.', 0 FROM n"
        )
    assert examined(path, seconds=0).mistakes is None
    assert examined(path).mistakes == []


def test_waiting_reminders_that_cannot_be_called_are_counted_by_reason(
    path: Path, connection: SqliteConnection
) -> None:
    for number, zone in enumerate(["Asia/Tokyo", "EST", "EST", None]):
        insert(connection, f"r{number}", timezone=zone)
    insert(connection, "r8", phone_number="+15550100001")
    insert(connection, "r9", timezone="Moon/Sea", status="failed")
    by_zone, by_number = examined(path).uncallable.items()
    assert by_zone == ("timezone: EST has no daylight saving time; expected a zone like America/New_York", 2)
    assert by_number[0].startswith("phone_number: no such number can exist")
    assert by_number[1] == 1


def test_another_programs_database_and_a_newer_one_are_refused(path: Path) -> None:
    with open_sync(path) as connection:
        connection.execute(f"PRAGMA user_version = {NEWEST + 1}")
    with pytest.raises(StoreUnusableError, match="newer reminderd"):
        examined(path)
    other = connect(str(path.parent / "other.db"))
    other.execute("CREATE TABLE theirs (id)")
    other.close()
    with pytest.raises(StoreUnusableError, match="another program"):
        examined(path.parent / "other.db")


def test_a_file_that_is_not_a_database_is_refused(path: Path) -> None:
    path.write_text("This is no database, however much it looks like a file." * 100)
    with pytest.raises(StoreUnusableError, match="not a SQLite database"):
        examined(path)


def test_a_missing_file_is_not_created(path: Path) -> None:
    with pytest.raises(StoreUnavailableError):
        examined(path)
    assert not path.exists()


def test_a_sound_database_has_no_errors(connection: SqliteConnection) -> None:
    assert integrity_errors(connection) == []


def test_a_dangling_reference_of_the_clinics_own_table_is_named(connection: SqliteConnection) -> None:
    connection.execute("CREATE TABLE clinics_own (call_id TEXT REFERENCES call_logs (id))")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO clinics_own VALUES ('gone')")
    assert integrity_errors(connection) == ["clinics_own: row 1 refers to a missing row of call_logs"]


def test_an_index_that_does_not_match_its_table_is_found(path: Path) -> None:
    with open_sync(path) as connection:
        connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+4930123456')")
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_opt_outs%'"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[page * size - 3 : page * size - 2] = b"X"
    path.write_bytes(content)
    with open_sync(path) as connection:
        assert any("opt_outs" in sentence for sentence in integrity_errors(connection))


def test_a_corrupt_page_is_found(path: Path) -> None:
    with open_sync(path) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'opt_outs'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)
    with open_sync(path) as connection:
        assert integrity_errors(connection)


def test_an_unreadable_file_is_reported(path: Path) -> None:
    path.write_bytes(b"nonsense" * 1000)
    connection = connect(str(path))
    assert integrity_errors(connection) == ["it can't be read through: file is not a database"]
    connection.close()
