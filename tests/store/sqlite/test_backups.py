import os
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from reminderd.store.errors import CopyError, StoreUnusableError
from reminderd.store.sqlite.backups import back_up, backups_in, newest_backup
from reminderd.store.sqlite.copying import open_copy
from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.sqlite.opening import ensured_database_id, open_sync
from tests.support.builders import DAY, NOW


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copies"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def id_of(database: Path) -> str:
    with open_sync(database) as connection:
        return ensured_database_id(connection)


def backup_name(database: Path, stamp: str) -> str:
    """Return a backup's name, with the first eight characters of the database's id."""
    return f"reminderd-{id_of(database)[:8]}-{stamp}.db"


def newest(folder: Path, path: Path) -> datetime | None:
    found = newest_backup(folder, path, id_of(path), NOW + 3 * DAY)
    return None if found is None else found.made_at


def test_backups_are_named_by_their_utc_time_in_a_folder_of_their_own(
    connection: SqliteConnection, path: Path, folder: Path
) -> None:
    connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+4930123456')")
    made = back_up(path, folder, NOW.astimezone(timezone(timedelta(hours=2))), keep=3)
    assert made.file == folder / backup_name(path, "20260302T100000Z")
    assert folder.stat().st_mode & 0o777 == 0o700
    with open_copy(made.file) as copied:
        assert copied.execute("SELECT count(*) FROM opt_outs").fetchone()[0] == 1


@pytest.mark.usefixtures("connection")
def test_only_the_oldest_backups_beyond_the_limit_are_deleted(path: Path, folder: Path) -> None:
    folder.mkdir()
    others = [
        "notes.txt",
        "other-20200101T000000Z.db",
        "reminderd-20200101T000000Z.db",
        f"{backup_name(path, '20200101T000000Z')}.old",
    ]
    for name in others:
        (folder / name).touch()
    for day in range(5):
        back_up(path, folder, NOW + day * DAY, keep=2)
    assert names(folder) == sorted(
        [*others, backup_name(path, "20260305T100000Z"), backup_name(path, "20260306T100000Z")]
    )


@pytest.mark.usefixtures("connection")
def test_a_backup_that_fails_deletes_none(path: Path, folder: Path) -> None:
    back_up(path, folder, NOW, keep=1)
    with pytest.raises(CopyError, match="given up"):
        back_up(path, folder, NOW + DAY, keep=1, stopped=lambda: True)
    assert names(folder) == [backup_name(path, "20260302T100000Z")]


@pytest.mark.usefixtures("connection")
def test_the_age_of_the_newest_backup_is_read_from_its_name(path: Path, folder: Path) -> None:
    assert newest_backup(folder, path, id_of(path), NOW) is None
    for day in (1, 0):
        back_up(path, folder, NOW + day * DAY, keep=9)
    assert newest(folder, path) == NOW + DAY
    assert [backup.made_at for backup in backups_in(folder, path, id_of(path))] == [NOW, NOW + DAY]


@pytest.mark.usefixtures("connection")
def test_a_backup_dated_in_the_future_is_not_counted(path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / backup_name(path, "20990101T000000Z")).touch()
    assert newest_backup(folder, path, id_of(path), NOW) is None
    for day in range(3):
        back_up(path, folder, NOW + day * DAY, keep=1)
    assert newest(folder, path) == NOW + 2 * DAY
    assert names(folder) == [
        backup_name(path, "20260304T100000Z"),
        backup_name(path, "20990101T000000Z"),
    ]


@pytest.mark.usefixtures("connection")
def test_the_new_backup_stays_even_if_the_clock_was_set_back(path: Path, folder: Path) -> None:
    for hours in (2, 1):
        back_up(path, folder, NOW + timedelta(hours=hours), keep=1)
    assert names(folder) == [backup_name(path, "20260302T110000Z")]


def test_an_invalid_folder_or_date_is_an_error(path: Path, folder: Path) -> None:
    folder.touch()
    with pytest.raises(CopyError, match="Not a directory"):
        backups_in(folder, path, id_of(path))
    with pytest.raises(CopyError, match="File exists"):
        back_up(path, folder, datetime.fromtimestamp(0, UTC), keep=1)
    folder.unlink()
    folder.mkdir()
    (folder / backup_name(path, "20269999T000000Z")).touch()
    with pytest.raises(CopyError, match="not a date"):
        backups_in(folder, path, id_of(path))


def test_two_clinics_in_one_folder_do_not_count_or_delete_each_others_backups(tmp_path: Path, folder: Path) -> None:
    ours, theirs = (tmp_path / clinic / "reminderd.db" for clinic in ("ours", "theirs"))
    for clinic in (ours, theirs):
        clinic.parent.mkdir()
        open_sync(clinic).__enter__().close()
        back_up(clinic, folder, NOW, keep=1)
    assert len(names(folder)) == 2, "at the same second, and with the same name of the database"
    unfinished = folder / f".{backup_name(theirs, '20200101T000000Z')}.1a2b3c4d.reminderd-partial"
    unfinished.touch()
    os.utime(unfinished, (0, 0))
    for day in (1, 2):
        back_up(ours, folder, NOW + day * DAY, keep=1)
    assert names(folder) == sorted(
        [unfinished.name, backup_name(theirs, "20260302T100000Z"), backup_name(ours, "20260304T100000Z")]
    )
    assert newest(folder, theirs) == NOW


def test_another_file_with_the_name_of_a_backup_is_not_replaced(path: Path, folder: Path) -> None:
    folder.mkdir()
    file = folder / backup_name(path, "20260302T100000Z")
    file.write_text("somebody's")
    with pytest.raises(CopyError, match="exists, and is not an earlier backup of this database"):
        back_up(path, folder, NOW, keep=1)
    assert file.read_text() == "somebody's"


def test_a_database_without_an_id_gets_one_for_its_next_backup(path: Path, folder: Path) -> None:
    before = id_of(path)
    with open_sync(path) as connection:
        connection.execute("DELETE FROM settings WHERE key = 'database_id'")
        made = back_up(path, folder, NOW, keep=1)
    with open_copy(made.file) as copied:
        now = copied.execute("SELECT value FROM settings WHERE key = 'database_id'").fetchone()[0]
    assert now == id_of(path) != before


def test_an_empty_file_is_not_backed_up(path: Path, folder: Path) -> None:
    path.touch()
    with pytest.raises(StoreUnusableError, match="the database is empty"):
        back_up(path, folder, NOW, keep=1)
    assert names(folder) == []


def test_a_link_or_folder_with_the_name_of_a_backup_is_not_counted_or_deleted(path: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "elsewhere").touch()
    link, inner = (folder / backup_name(path, f"2020010{day}T000000Z") for day in (1, 2))
    link.symlink_to("elsewhere")
    inner.mkdir()
    back_up(path, folder, NOW, keep=1)
    assert names(folder) == sorted(["elsewhere", link.name, inner.name, backup_name(path, "20260302T100000Z")])
