"""Import a file from the folder as the daemon does, with a separate clock; kill the process during the import."""

import os
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copy

from attrs import define

from reminderd.config import Config
from reminderd.core.imports import ImportStatus
from reminderd.imports.folder import Folder, Result, import_dropped


class KilledError(BaseException):
    """The process was killed."""


@define
class ImportClock:
    """A clock that stands still; after this many readings of it, the process is killed."""

    time: datetime
    dies_after: int | None = None
    reads: int = 0

    def now(self) -> datetime:
        self.reads += 1
        if self.dies_after is not None and self.reads > self.dies_after:
            raise KilledError
        return self.time

    def monotonic(self) -> float:
        return self.time.timestamp()


def drop(file: Path, inbox: Path, now: datetime) -> None:
    """Let another program put a file into the folder that was finished a minute ago."""
    os.utime(copy(file, inbox / file.name), ((now - timedelta(minutes=1)).timestamp(),) * 2)


def import_next(inbox: Path, config: Config, now: datetime, *, dies_after: int | None = None) -> ImportStatus | None:
    """Import the file in the folder; return None if the process was killed meanwhile."""
    clock = ImportClock(now, dies_after)
    [dropped] = Folder(inbox).complete_files(now.timestamp(), now)
    try:
        result: Result = import_dropped(dropped, config, clock, lambda: False)
    except KilledError:
        return None
    return result.status
