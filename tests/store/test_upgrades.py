"""From every schema there has been to the newest: no row is lost, and a crash leaves the one or the other."""

import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from reminderd.store.connection import Connection
from reminderd.store.errors import CopyError
from reminderd.store.sqlite.driver import connect
from reminderd.store.sqlite.integrity import integrity_errors
from reminderd.store.sqlite.migrate import migrations
from reminderd.store.sqlite.opening import open_as_it_is, open_connection, open_sync, path_of_older_copy
from tests.support import schemas

NEWEST = migrations()[-1].number

pytestmark = pytest.mark.sqlite_only("PostgreSQL is upgraded only when the admin says so")

# In as many processes as the migration of the database named by the first argument has statements, each on a copy of
# its own: dies by SIGKILL right before its first, second, … statement. Says what is in the copy then, and how many
# processes died.
KILLED = """
import os, shutil, signal, sys
from contextlib import closing
from pathlib import Path
from reminderd.store.sqlite.driver import connect
from reminderd.store.migrations import Migration
from reminderd.store.sqlite.migrate import migrate, migrations

steps = [*migrations(), Migration(migrations()[-1].number + 1, 'made_up.sql', sys.argv[3])]
old, folder = Path(sys.argv[1]), Path(sys.argv[2])

def opened(path):
    return closing(connect(str(path), isolation_level=None))

def die_at(number, path):
    seen = 0
    def count(statement):
        nonlocal seen
        seen += 1
        if seen == number:
            os.kill(os.getpid(), signal.SIGKILL)
    with opened(path) as connection:
        connection.execute("PRAGMA cache_size = 1").fetchall()  # so that pages reach the file before the commit
        connection.set_trace_callback(count)
        migrate(connection, steps)

number = 0
while True:
    number += 1
    path = folder / f"{number}.db"
    shutil.copy(old, path)
    child = os.fork()
    if child == 0:
        die_at(number, path)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    with opened(path) as connection:
        rows = connection.execute("SELECT count(*) FROM reminders").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        schema = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        sound = connection.execute("PRAGMA integrity_check").fetchone()[0]
    print(int(os.WIFSIGNALED(status)), rows, version, schema, sound)
    if not os.WIFSIGNALED(status):
        break
"""


def schema(connection: Connection) -> list[tuple[str, str, str]]:
    """Return every table, index and trigger, with normalized spaces."""
    found = connection.execute("SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE '%stat%'")
    return sorted((kind, name, " ".join(sql.split())) for kind, name, sql in map(tuple, found))


def rows(connection: Connection, columns: dict[str, list[str]]) -> dict[str, list[tuple[Any, ...]]]:
    return {
        table: [tuple(row) for row in connection.execute(f"SELECT {', '.join(names)} FROM {table} ORDER BY {names[0]}")]
        for table, names in columns.items()
    }


def test_every_released_schema_has_a_stored_copy() -> None:
    assert schemas.versions() == list(range(1, len(schemas.versions()) + 1))
    assert schemas.versions()[-1] == NEWEST


@pytest.mark.parametrize("version", schemas.versions())
def test_a_database_of_every_schema_is_migrated_to_the_newest_with_its_rows(version: int, tmp_path: Path) -> None:
    schemas.build(version, tmp_path / "old.db")
    with closing(connect(str(tmp_path / "old.db"))) as old:
        columns = schemas.tables(old)
        before = rows(old, columns)
    assert sum(map(len, before.values())) >= 12
    with open_sync(tmp_path / "old.db") as upgraded, open_sync(tmp_path / "new.db") as new:
        assert rows(upgraded, columns) == before
        assert schema(upgraded) == schema(new)
        assert upgraded.execute("PRAGMA user_version").fetchone()[0] == NEWEST
        assert integrity_errors(upgraded) == []


def test_an_older_database_is_copied_before_it_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas.one_more(monkeypatch)
    schemas.build(1, path)
    with closing(connect(str(path))) as old:
        before = rows(old, schemas.tables(old))
    open_connection(path).close()
    kept = path_of_older_copy(path, 1)
    assert kept.stat().st_mode & 0o777 == 0o600
    with closing(connect(str(kept))) as copied:
        assert copied.execute("PRAGMA user_version").fetchone()[0] == 1
        assert rows(copied, schemas.tables(copied)) == before
    assert sorted(file.name for file in path.parent.iterdir()) == [path.name, kept.name]


def test_without_that_copy_nothing_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas.one_more(monkeypatch)
    schemas.build(1, path)
    path_of_older_copy(path, 1).mkdir()
    with pytest.raises(CopyError, match=r"reminderd\.db\.schema-1: is a folder"):
        open_connection(path)
    with closing(open_as_it_is(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1


def test_a_new_or_newest_database_is_not_copied(path: Path) -> None:
    for _ in range(2):
        open_connection(path).close()
    assert [file.name for file in path.parent.iterdir()] == [path.name]


def test_kill_9_during_a_migration_leaves_the_old_or_the_new_schema(tmp_path: Path) -> None:
    old = tmp_path / "old.db"
    schemas.build(1, old)
    with closing(connect(str(old))) as connection:
        before = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with open_sync(tmp_path / "new.db") as new:
        after, newest = new.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] + 25, NEWEST + 1
    (tmp_path / "killed").mkdir()
    command = [sys.executable, "-c", KILLED, str(old), str(tmp_path / "killed"), schemas.MADE_UP]
    done = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    assert len(done) > 20
    killed = {line.removeprefix("1 ") for line in done if line.startswith("1 ")}
    assert f"4 1 {before} ok" in killed
    assert killed <= {f"4 1 {before} ok", f"4 {newest} {after} ok"}
    assert done[-1] == f"0 4 {newest} {after} ok"


def test_another_file_in_place_of_the_copy_prevents_the_migration(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    schemas.one_more(monkeypatch)
    schemas.build(1, path)
    path_of_older_copy(path, 1).write_text("precious")
    with pytest.raises(CopyError, match="exists, and is not an earlier backup of this database"):
        open_connection(path)
    assert path_of_older_copy(path, 1).read_text() == "precious"
    with closing(open_as_it_is(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone()[0] == 1
