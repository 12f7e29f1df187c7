"""Looks at the files: who may read what must not be read, where backups go, and the room that is left on the disk."""

import os
import shutil
from pathlib import Path
from shlex import quote

from reminderd.config import Config, files_with_secrets
from reminderd.core.diagnosis.finding import Finding, good, unknown, wrong
from reminderd.core.diagnosis.machine import disk, open_to_others, replaceable


def look(config: Config) -> list[Finding]:
    """The modes of files with secrets and of the database, the folder of backups, and the disk of database and log."""
    database = config.database.path.resolve()
    secrets = [file for file in files_with_secrets(config) if file != config.path]
    private = [*files_with_secrets(config), database, *(Path(f"{database}{ending}") for ending in ("-wal", "-shm"))]
    found = [finding for file in private for finding in _modes(file.absolute(), is_secret=file in secrets)]
    shut = "secrets and the database are closed to the machine's other users"
    return [*(found or [good("files", shut)]), *_backups(config), *_disks(config)]


def _modes(file: Path, *, is_secret: bool) -> list[Finding]:
    """What is wrong with a file's mode or its folder's; nothing of a file that is not there.

    What should be the name of a secret's file may be the secret itself: it is shown only if there is such a file.
    """
    try:
        real = file.resolve(strict=True)
        mode, folders = real.stat().st_mode, [folder.stat().st_mode for folder in real.parents]
    except FileNotFoundError:
        return []
    except OSError as error:
        shown = "a file with a secret" if is_secret else str(file)
        return [unknown("files", f"{shown} can't be read: {error.strerror}", "run this as the daemon's user")]
    found = []
    if open_to_others(mode, folders):
        found.append(wrong("files", f"{file} is open to every user of the machine", f"chmod o= {quote(str(file))}"))
    if replaceable(folders):
        says = f"every user of the machine can replace {file}"
        found.append(wrong("files", says, f"chmod o-w {quote(str(real.parent))}"))
    return found


def _backups(config: Config) -> list[Finding]:
    """What keeps this user from writing a backup, if any are to be made; the folder itself may yet have to be made."""
    folder = config.backup.path
    if folder is None:
        return []
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.access(place, os.F_OK))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return []
    fix = "let the daemon's user write there, and its service as well; see operations.md, Back up"
    return [wrong("backups", "no backup can be written to [backup].folder", fix)]


def _disks(config: Config) -> list[Finding]:
    """A line for each disk, not for each folder."""
    found: dict[int, Finding] = {}
    database, log = config.database.path.resolve().parent, config.log.path
    folders = [(database, str(database))]
    if log is not None:
        folders.append((log.resolve().parent, "the folder of [log].file"))
    for folder, name in folders:
        try:
            device = folder.stat().st_dev
            found.setdefault(device, disk(shutil.disk_usage(folder).free, str(folder)))
        except OSError as error:
            says = f"{name} can't be read: {error.strerror}"
            return [wrong("disk", says, "create the folder, and let the daemon's user write to it")]
    return list(found.values())
