import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import reminderd
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.migrations import Migration
from reminderd.store.sqlite.driver import Error, SqliteConnection, connect
from reminderd.store.sqlite.migrate import APPLICATION_ID, migrate, migrations, schema_version

FIRST = Migration(
    1,
    "0001_first.sql",
    "CREATE TABLE parent(id INTEGER PRIMARY KEY);\nCREATE TABLE child(parent REFERENCES parent ON DELETE CASCADE);\n",
)
SECOND = Migration(2, "0002_second.sql", "ALTER TABLE parent ADD COLUMN name TEXT;\n")

REBUILD = """
CREATE TABLE new(id INTEGER PRIMARY KEY, name);
INSERT INTO new SELECT id, '' FROM parent;
DROP TABLE parent;
ALTER TABLE new RENAME TO parent;
"""

# Counts the steps that it finds in the archive named by its argument.
FROM_ARCHIVE = """
import sys
sys.path.insert(0, sys.argv[1])
from reminderd.store.sqlite import migrate
print(migrate.__file__, len(migrate.migrations()))
"""


@pytest.fixture
def plain(path: Path) -> Iterator[SqliteConnection]:
    """Yield a plain SQLite connection to an empty file."""
    connection = connect(str(path), isolation_level=None, timeout=0.02)
    connection.execute("PRAGMA foreign_keys = ON")
    yield connection
    connection.close()


def version(connection: SqliteConnection) -> int:
    return schema_version(connection, newest=99)


def tables(connection: SqliteConnection) -> set[str]:
    return {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def test_migrations_are_numbered_without_a_gap() -> None:
    steps = migrations()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert steps[0].name == "0001_first.sql"


def test_migrations_are_found_in_an_installed_package(tmp_path: Path) -> None:
    package = Path(next(iter(reminderd.__path__)))
    archive = tmp_path / "installed.zip"
    with zipfile.ZipFile(archive, "w") as files:
        for file in [*package.glob("*.py"), *package.glob("store/**/*.*"), *package.glob("core/**/*.py")]:
            files.write(file, file.relative_to(package.parent))
    done = subprocess.run(
        [sys.executable, "-c", FROM_ARCHIVE, archive], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.split() == [f"{archive}/reminderd/store/sqlite/migrate.py", str(len(migrations()))]


def test_an_empty_file_gets_all_migrations_and_our_application_id(plain: SqliteConnection) -> None:
    assert migrate(plain, [FIRST, SECOND]) == ["0001_first.sql", "0002_second.sql"]
    assert tables(plain) == {"parent", "child"}
    assert version(plain) == 2
    assert plain.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID


def test_only_missing_migrations_are_applied(plain: SqliteConnection) -> None:
    migrate(plain, [FIRST])
    plain.execute("INSERT INTO parent VALUES (1)")
    assert migrate(plain, [FIRST, SECOND]) == ["0002_second.sql"]
    assert migrate(plain, [FIRST, SECOND]) == []
    assert plain.execute("SELECT id, name FROM parent").fetchall() == [(1, None)]


def test_a_database_that_is_up_to_date_needs_no_lock(path: Path, plain: SqliteConnection) -> None:
    migrate(plain, [FIRST])
    plain.execute("PRAGMA journal_mode = WAL")
    other = connect(str(path), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert migrate(plain, [FIRST]) == []
    with pytest.raises(StoreUnavailableError, match="locked"):
        migrate(plain, [FIRST, SECOND])
    other.close()


def test_a_failed_migration_leaves_the_version_before_it(plain: SqliteConnection) -> None:
    broken = Migration(2, "0002_broken.sql", "CREATE TABLE half(x);\nCREATE TABLE half(x);\n")
    migrate(plain, [FIRST])
    with pytest.raises(Error, match="already exists"):
        migrate(plain, [FIRST, SECOND, attrs.evolve(broken, number=3)])
    assert not plain.in_transaction
    assert version(plain) == 1
    assert tables(plain) == {"parent", "child"}
    assert plain.execute("PRAGMA foreign_keys").fetchone()[0] == 1


def test_an_unfinished_statement_fails(plain: SqliteConnection) -> None:
    with pytest.raises(Error, match="incomplete input"):
        migrate(plain, [Migration(1, "0001_cut.sql", "CREATE TABLE cut(\n")])
    assert version(plain) == 0


def test_triggers_and_comments_are_executed_unchanged(plain: SqliteConnection) -> None:
    sql = """-- it's a comment; with a semicolon
CREATE TABLE t(x); -- and another
CREATE TRIGGER r AFTER INSERT ON t
BEGIN
    UPDATE t SET x = 'a;b';
    DELETE FROM t WHERE x = 'c';
END;
-- the end's comment
"""
    migrate(plain, [Migration(1, "0001_t.sql", sql)])
    plain.execute("INSERT INTO t VALUES (1)")
    assert plain.execute("SELECT x FROM t").fetchall() == [("a;b",)]


def test_a_migration_may_rebuild_a_referenced_table(plain: SqliteConnection) -> None:
    migrate(plain, [FIRST])
    plain.execute("INSERT INTO parent VALUES (1)")
    plain.execute("INSERT INTO child VALUES (1)")
    migrate(plain, [FIRST, Migration(2, "0002_rebuild.sql", REBUILD)])
    assert plain.execute("SELECT * FROM child").fetchall() == [(1,)]
    plain.execute("DELETE FROM parent")
    assert plain.execute("SELECT * FROM child").fetchall() == []


def test_a_migration_that_breaks_a_reference_is_undone(plain: SqliteConnection) -> None:
    migrate(plain, [FIRST])
    plain.execute("INSERT INTO parent VALUES (1)")
    plain.execute("INSERT INTO child VALUES (1)")
    with pytest.raises(StoreUnusableError, match=r"0002_careless\.sql would leave rows that refer to missing ones"):
        migrate(plain, [FIRST, Migration(2, "0002_careless.sql", "DELETE FROM parent;\n")])
    assert version(plain) == 1
    assert plain.execute("SELECT * FROM parent").fetchall() == [(1,)]


def test_a_newer_database_is_refused(plain: SqliteConnection) -> None:
    migrate(plain, [FIRST, SECOND])
    with pytest.raises(StoreUnusableError, match=r"made by a newer reminderd \(schema 2, this one knows 1\): upgrade"):
        migrate(plain, [FIRST])


def test_another_programs_database_is_refused(plain: SqliteConnection) -> None:
    plain.execute("CREATE TABLE patients(name)")
    with pytest.raises(StoreUnusableError, match="made by another program"):
        migrate(plain, [FIRST])
    assert tables(plain) == {"patients"}
