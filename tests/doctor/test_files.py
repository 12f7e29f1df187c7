import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from reminderd.config import Config, load_config
from reminderd.core.diagnosis import Mark
from reminderd.doctor.machine import check_files
from reminderd.store.sqlite.opening import open_sync

CONFIG = """
[provider.generic]
api_url = "https://voice.example.com"
api_key = "a-provider-key"
webhook_auth = "bearer"
webhook_secret_file = "secret"
[log]
file = "logs/reminderd.log"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that every user may read, unlike pytest's own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        (folder / "logs").mkdir()
        (folder / "config.toml").write_text(CONFIG)
        (folder / "secret").write_text("a-token-of-the-provider")
        for file in (folder / "config.toml", folder / "secret"):
            file.chmod(0o600)
        yield folder


def loaded(folder: Path) -> Config:
    return load_config(None, {}, folder)


def mistakes(folder: Path) -> list[str]:
    return [finding.text for finding in check_files(loaded(folder)) if finding.mark is Mark.WRONG]


def test_files_readable_only_by_their_owner_are_good(folder: Path) -> None:
    with open_sync(folder / "reminderd.db"):
        found = check_files(loaded(folder))
    assert [(finding.about, finding.mark) for finding in found] == [("files", Mark.GOOD), ("disk", Mark.GOOD)]


@pytest.mark.parametrize("name", ["config.toml", "secret", "reminderd.db", "reminderd.db-wal", "reminderd.db-shm"])
def test_a_file_readable_by_every_user_is_named(name: str, folder: Path) -> None:
    with open_sync(folder / "reminderd.db"):
        (folder / name).chmod(0o644)
        found = [finding for finding in check_files(loaded(folder)) if finding.mark is Mark.WRONG]
    assert [finding.text for finding in found] == [f"{folder / name} is open to every user of the machine"]
    assert found[0].fix == f"chmod o= {folder / name}"


def test_a_private_folder_protects_its_files(folder: Path) -> None:
    (folder / "secret").chmod(0o644)
    folder.chmod(0o750)
    assert mistakes(folder) == []


def test_a_configuration_without_secrets_may_be_readable_by_all(folder: Path) -> None:
    (folder / "config.toml").write_text('[log]\nlevel = "INFO"\n')
    (folder / "config.toml").chmod(0o644)
    assert mistakes(folder) == []


def test_a_symbolic_link_is_checked_by_its_target(folder: Path) -> None:
    (folder / "logs" / "secret").write_text("a-token-of-the-provider")
    (folder / "logs" / "secret").chmod(0o644)
    (folder / "secret").unlink()
    (folder / "secret").symlink_to("logs/secret")
    assert mistakes(folder) == [f"{folder / 'secret'} is open to every user of the machine"]
    (folder / "logs").chmod(0o700)
    assert mistakes(folder) == []


def test_a_folder_writable_by_every_user_is_named(folder: Path) -> None:
    folder.chmod(0o777)
    assert mistakes(folder) == [
        f"every user of the machine can replace {folder / name}" for name in ("config.toml", "secret")
    ]


def test_a_missing_folder_is_an_error(folder: Path) -> None:
    (folder / "logs").rmdir()
    assert mistakes(folder) == ["the folder of [log].file can't be read: No such file or directory"]


def test_each_disk_has_its_own_line(folder: Path) -> None:
    memory = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there
    if not memory.is_dir():
        pytest.skip("no second disk")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        if Path(other).stat().st_dev == folder.stat().st_dev:
            pytest.skip("one disk only")
        (folder / "config.toml").write_text(f"{CONFIG}".replace("logs/reminderd.log", f"{other}/reminderd.log"))
        found = check_files(loaded(folder))
    assert [finding.about for finding in found] == ["files", "disk", "disk"]


def test_a_backup_folder_that_is_a_file_or_inside_one_is_an_error(folder: Path) -> None:
    for name in ("secret", "secret/backups", "secret/backups/daily"):
        (folder / "config.toml").write_text(f'{CONFIG}[backup]\nfolder = "{name}"\n')
        assert mistakes(folder) == ["no backup can be written to [backup].folder"]


def test_a_backup_folder_that_can_be_created_is_good(folder: Path) -> None:
    (folder / "config.toml").write_text(f'{CONFIG}[backup]\nfolder = "backups"\n')
    assert mistakes(folder) == []


def test_a_backup_folder_on_a_disk_that_is_not_mounted_is_an_error(folder: Path) -> None:
    (folder / "config.toml").write_text(f'{CONFIG}[backup]\nfolder = "disk/backups"\n')
    assert mistakes(folder) == ["no backup can be written to [backup].folder"]
    (folder / "disk").mkdir()
    assert mistakes(folder) == []


def said_without_roots_powers(script: str, folder: Path) -> list[str]:
    """Return the lines that a script about a folder prints, in a process that may do only what its owner may do."""
    beyond = "-dac_override,-dac_read_search"
    command = [sys.executable, "-c", script, str(folder)]
    if os.geteuid() == 0:
        command = ["setpriv", f"--bounding-set={beyond}", f"--inh-caps={beyond}", *command]
    result = subprocess.run(command, check=True, capture_output=True, text=True, cwd=Path.cwd())
    folder.chmod(0o700)
    return result.stdout.splitlines()


# Looks at the files of the configuration in the folder named by its argument, which is shut after it is loaded.
FILES = """
import sys
from pathlib import Path
from reminderd.config import load_config
from reminderd.doctor.machine import check_files
config = load_config(None, {}, Path(sys.argv[1]))
Path(sys.argv[1]).chmod(0)
for finding in check_files(config):
    print(finding.mark, finding.text)
"""


def test_a_backup_folder_that_the_daemon_cannot_write_to_is_an_error(folder: Path) -> None:
    (folder / "config.toml").write_text(f'{CONFIG}[backup]\nfolder = "backups"\n')
    (folder / "backups").mkdir(0o555)
    said = said_without_roots_powers(FILES.replace("chmod(0)", "chmod(0o755)"), folder)
    assert "wrong no backup can be written to [backup].folder" in said


# Checks the database and the results in the folder named by its argument, which is shut after it is loaded.
CONTENTS = """
import sys
from pathlib import Path
import trio
from reminderd.clock import SystemClock
from reminderd.config import load_config
from reminderd.doctor.machine import check_database, check_results_folder
config = load_config(None, {}, Path(sys.argv[1]))
Path(sys.argv[1]).chmod(0)
print("missing", config.database.is_missing)
for finding in [*trio.run(lambda: check_database(config, SystemClock(), seconds=1)), *check_results_folder(config)]:
    print(finding.mark, finding.about)
"""


def test_a_folder_that_this_user_may_not_enter_is_an_error_and_not_empty(folder: Path) -> None:
    (folder / "config.toml").write_text(f'{CONFIG}[results]\nfolder = "answers"\n')
    with open_sync(folder / "reminderd.db"):
        pass
    said = said_without_roots_powers(CONTENTS, folder)
    assert said == ["missing False", "wrong database", "wrong results"]


def test_unreadable_files_are_not_called_good(folder: Path) -> None:
    said = said_without_roots_powers(FILES, folder)
    assert "unknown a file with a secret can't be read: Permission denied" in said
    assert not [line for line in said if "good" in line]
