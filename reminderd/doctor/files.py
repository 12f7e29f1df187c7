"""Looks at the files: who may read what must not be read, and the room that is left on the disk."""

import shutil
from pathlib import Path
from shlex import quote

from reminderd.config import Config, files_with_secrets
from reminderd.core.diagnosis.finding import Finding, good, untold, wrong
from reminderd.core.diagnosis.machine import disk, open_to_others, replaceable


def look(config: Config) -> list[Finding]:
    """The modes of files with secrets and of the database, and the disk that the database and the log are on."""
    database = config.database.path.resolve()
    private = [*files_with_secrets(config), database, *(Path(f"{database}{ending}") for ending in ("-wal", "-shm"))]
    found = [finding for file in private for finding in _modes(file.absolute())]
    shut = "secrets and the database are closed to the machine's other users"
    return [*(found or [good("files", shut)]), *_disks(config)]


def _modes(file: Path) -> list[Finding]:
    """What is wrong with a file's mode or its folder's; nothing of a file that is not there."""
    try:
        real = file.resolve(strict=True)
        mode, folders = real.stat().st_mode, [folder.stat().st_mode for folder in real.parents]
    except FileNotFoundError:
        return []
    except OSError as error:
        return [untold("files", f"{file} can't be looked at: {error.strerror}", "run this as the daemon's user")]
    found = []
    if open_to_others(mode, folders):
        found.append(wrong("files", f"{file} is open to every user of the machine", f"chmod o= {quote(str(file))}"))
    if replaceable(folders):
        says = f"every user of the machine may replace {file}"
        found.append(wrong("files", says, f"chmod o-w {quote(str(real.parent))}"))
    return found


def _disks(config: Config) -> list[Finding]:
    """A line for each disk, not for each folder."""
    paths = [config.database.path] if config.log.path is None else [config.database.path, config.log.path]
    found: dict[int, Finding] = {}
    for folder in (path.resolve().parent for path in paths):
        try:
            device = folder.stat().st_dev
            found.setdefault(device, disk(shutil.disk_usage(folder).free, str(folder)))
        except OSError as error:
            says = f"{folder} can't be looked at: {error.strerror}"
            return [wrong("disk", says, "make the folder, and let the daemon's user write to it")]
    return list(found.values())
