import os
from datetime import datetime
from functools import partial
from pathlib import Path

import pytest

from reminderd.config import Config, load_config
from reminderd.core.diagnosis import Mark
from reminderd.core.imports import FOLDER
from reminderd.doctor.machine import check_drop_folder
from reminderd.store.connection import transaction
from reminderd.store.import_records import begin_import
from reminderd.store.sqlite.opening import open_sync
from tests.support.builders import HOUR, NOW


def loaded(folder: Path, text: str = 'folder = "inbox"\nexpect_by = "06:30"') -> Config:
    (folder / "config.toml").write_text(f'[calling]\ntimezone = "Europe/Berlin"\n[import]\n{text}\n')
    return load_config(None, {}, folder)


def marks(config: Config, now: datetime = NOW) -> list[tuple[Mark, str]]:
    return [(finding.mark, finding.text) for finding in check_drop_folder(config, now)]


def test_without_a_folder_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert marks(loaded(tmp_path, "")) == []


def test_a_folder_from_which_files_can_be_taken_is_good_also_before_it_is_there(tmp_path: Path) -> None:
    good = [(Mark.GOOD, "files can be taken out of [import].folder")]
    assert marks(loaded(tmp_path, 'folder = "inbox"')) == good
    assert marks(loaded(tmp_path)) == good, "there is no database yet"


def test_a_folder_in_which_we_may_not_write_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As root writes everywhere, what the kernel says is played."""
    (tmp_path / "inbox").mkdir()
    monkeypatch.setattr(os, "access", lambda _path, mode: mode == os.F_OK)
    [finding] = check_drop_folder(loaded(tmp_path), NOW)
    assert (finding.mark, finding.text) == (Mark.WRONG, "no file can be taken out of [import].folder")
    assert "operations.md, Import from a folder" in finding.fix


def test_a_file_that_has_not_come_is_wrong(tmp_path: Path) -> None:
    config = loaded(tmp_path)
    with open_sync(tmp_path / "reminderd.db") as connection:
        missing = (Mark.WRONG, "no file has arrived in [import].folder: one was expected by 2026-03-02 06:30")
        assert marks(config) == [missing]
        transaction(connection, partial(begin_import, file="x", profile=None, actor=FOLDER), NOW - HOUR)
        assert marks(config) == [(Mark.GOOD, "files can be taken out of [import].folder")]


def test_a_database_that_cannot_be_read_is_for_others_to_report(tmp_path: Path) -> None:
    (tmp_path / "reminderd.db").write_text("this is no database, however long it is" * 100)
    assert [mark for mark, _ in marks(loaded(tmp_path))] == [Mark.GOOD]
