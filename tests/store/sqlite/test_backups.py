from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from reminderd.store.errors import CopyError
from reminderd.store.sqlite.backups import back_up, backup_age, backups_in
from reminderd.store.sqlite.copying import reading
from reminderd.store.sqlite.driver import Connection
from tests.support.nouns import DAY, NOW


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "copies"


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


def test_backups_are_named_by_their_utc_time_in_a_folder_of_their_own(
    connection: Connection, path: Path, folder: Path
) -> None:
    connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+4930123456')")
    made = back_up(path, folder, NOW.astimezone(timezone(timedelta(hours=2))), keep=3)
    assert made.file == folder / "reminderd-20260302T100000Z.db"
    assert folder.stat().st_mode & 0o777 == 0o700
    with reading(made.file) as copied:
        assert copied.execute("SELECT count(*) FROM opt_outs").fetchone()[0] == 1


@pytest.mark.usefixtures("connection")
def test_the_oldest_go_once_there_are_more_than_are_kept_and_nothing_else_goes(path: Path, folder: Path) -> None:
    folder.mkdir()
    others = ["notes.txt", "other-20200101T000000Z.db", "reminderd-20200101T000000Z.db.old"]
    for name in others:
        (folder / name).touch()
    for day in range(5):
        back_up(path, folder, NOW + day * DAY, keep=2)
    assert names(folder) == sorted([*others, "reminderd-20260305T100000Z.db", "reminderd-20260306T100000Z.db"])


@pytest.mark.usefixtures("connection")
def test_a_backup_that_fails_deletes_none(path: Path, folder: Path) -> None:
    back_up(path, folder, NOW, keep=1)
    with pytest.raises(CopyError, match="given up"):
        back_up(path, folder, NOW + DAY, keep=1, stopped=lambda: True)
    assert names(folder) == ["reminderd-20260302T100000Z.db"]


@pytest.mark.usefixtures("connection")
def test_the_age_of_the_newest_is_told_by_its_name(path: Path, folder: Path) -> None:
    assert backup_age(folder, path, NOW) is None
    for day in (1, 0):
        back_up(path, folder, NOW + day * DAY, keep=9)
    assert backup_age(folder, path, NOW + 3 * DAY) == 2 * DAY
    assert [backup.made_at for backup in backups_in(folder, path)] == [NOW, NOW + DAY]


@pytest.mark.usefixtures("connection")
def test_a_name_more_than_a_day_ahead_neither_counts_nor_costs_the_new_backup_its_place(
    path: Path, folder: Path
) -> None:
    folder.mkdir()
    (folder / "reminderd-20990101T000000Z.db").touch()
    assert backup_age(folder, path, NOW) is None
    for day in range(3):
        back_up(path, folder, NOW + day * DAY, keep=1)
    assert backup_age(folder, path, NOW + 3 * DAY) == DAY
    assert names(folder) == ["reminderd-20260304T100000Z.db", "reminderd-20990101T000000Z.db"]


@pytest.mark.usefixtures("connection")
def test_the_new_backup_stays_also_if_the_clock_was_put_back(path: Path, folder: Path) -> None:
    for hours in (2, 1):
        back_up(path, folder, NOW + timedelta(hours=hours), keep=1)
    assert names(folder) == ["reminderd-20260302T110000Z.db"]


def test_a_file_that_is_no_folder_and_a_name_that_is_no_date_are_said_so(path: Path, folder: Path) -> None:
    folder.touch()
    with pytest.raises(CopyError, match="Not a directory"):
        backups_in(folder, path)
    with pytest.raises(CopyError, match="File exists"):
        back_up(path, folder, datetime.fromtimestamp(0, UTC), keep=1)
    folder.unlink()
    folder.mkdir()
    (folder / "reminderd-20269999T000000Z.db").touch()
    with pytest.raises(CopyError, match="no date"):
        backups_in(folder, path)
