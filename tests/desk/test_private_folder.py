"""The folder for uploaded files: nobody else's, and empty after every end of the program."""

import os
import stat
from multiprocessing import get_context
from pathlib import Path

import pytest

from reminderd.desk.private_folder import private_folder


def test_the_folder_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with private_folder(tmp_path / "uploads") as folder:
        (folder / "1.csv").write_text("a patient")
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert list((tmp_path / "uploads").iterdir()) == []


def test_the_folder_of_another_process_that_runs_stays(tmp_path: Path) -> None:
    with private_folder(tmp_path / "uploads") as first:
        (first / "1.csv").write_text("a patient")
        with private_folder(tmp_path / "uploads"):
            assert (first / "1.csv").exists()
        assert (first / "1.csv").exists()


def _leave_a_file(common: Path) -> None:
    with private_folder(common) as folder:
        (folder / "1.csv").write_text("a patient")
        os.kill(os.getpid(), 9)


def test_what_a_killed_process_left_is_removed_at_the_next_start(tmp_path: Path) -> None:
    killed = get_context("spawn").Process(target=_leave_a_file, args=(tmp_path / "uploads",))
    killed.start()
    killed.join()
    assert len(list((tmp_path / "uploads").rglob("*.csv"))) == 1
    with private_folder(tmp_path / "uploads") as folder:
        assert [path for path in folder.parent.rglob("*") if path != folder] == []


def test_what_is_no_folder_of_ours_is_never_followed_or_removed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "file").write_text("somebody's")
    common = tmp_path / "uploads"
    common.mkdir()
    (common / "link").symlink_to(tmp_path / "elsewhere")
    with private_folder(tmp_path / "uploads"):
        pass
    assert (tmp_path / "elsewhere" / "file").exists()
    (common / "link").unlink()
    common.rmdir()
    common.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotADirectoryError), private_folder(tmp_path / "uploads"):
        pass
