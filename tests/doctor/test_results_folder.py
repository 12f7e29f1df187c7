from pathlib import Path

from reminderd.config import Config, load_config
from reminderd.core.diagnosis import Mark
from reminderd.doctor.machine import check_results_folder


def loaded(folder: Path, text: str) -> Config:
    (folder / "config.toml").write_text(f'[calling]\ntimezone = "Europe/Berlin"\n[results]\n{text}\n')
    return load_config(None, {}, folder)


def test_without_a_folder_there_is_nothing_to_check(tmp_path: Path) -> None:
    assert check_results_folder(loaded(tmp_path, "")) == []


def test_a_folder_that_is_not_there_is_wrong_as_the_daemon_does_not_make_it(tmp_path: Path) -> None:
    config = loaded(tmp_path, 'folder = "answers"')
    [missing] = check_results_folder(config)
    assert (missing.mark, missing.text) == (Mark.WRONG, "no file can be written to [results].folder")
    assert missing.fix.startswith("make the folder")
    (tmp_path / "answers").mkdir()
    assert [finding.mark for finding in check_results_folder(config)] == [Mark.GOOD]
