from collections.abc import Callable
from datetime import time
from pathlib import Path

import pytest

from reminderd.config import Config, daily_at


def test_by_default_no_backup_is_made_and_nothing_is_purged(load: Callable[..., Config]) -> None:
    config = load("")
    assert config.backup.path is None
    assert (config.retention.days, config.retention.changes_days) == (0, 60)


def test_the_backup_folder_is_relative_to_the_configuration_file(load: Callable[..., Config], tmp_path: Path) -> None:
    config = load('[backup]\nfolder = "copies/"\nat = "23:15"\nkeep = 3\n[retention]\ndays = 8\nat = "00:00"')
    assert config.backup.path == tmp_path / "copies"
    assert (daily_at(config, config.backup.at).at, config.backup.keep) == (time(23, 15), 3)
    assert (config.retention.days, daily_at(config, config.retention.at).at) == (8, time(0, 0))
    assert load('[backup]\nfolder = "/mnt/copies"').backup.path == Path("/mnt/copies")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[backup]\nat = "24:00"', '[backup].at: is not a time of day; expected a time from "00:00" to "23:59"'),
        ("[backup]\nkeep = 0", "[backup].keep: is too small; expected a whole number from 1 to 10000"),
        ('[backup]\nfolder = "a\\tb"', "[backup].folder: contains a control character; expected the path of a folder"),
        ("[retention]\ndays = 7", "[retention].days: is too small; expected 0 (forever) or a whole number from 8 to"),
        ("[retention]\ndays = 99999", "[retention].days: is too large"),
        ("[retention]\nchanges_days = 0", "[retention].changes_days: is too small; expected a whole number from 1 to"),
        ('[retention]\nat = "3"', "[retention].at: is not a time of day"),
    ],
)
def test_each_error_is_reported(errors: Callable[..., list[str]], toml: str, message: str) -> None:
    (line,) = errors(toml)
    assert message in line
