"""Check the folder from which files are imported, and whether the one that is expected has come."""

import os
from contextlib import closing
from datetime import datetime
from functools import partial

from reminderd.config import Config, expected_of
from reminderd.core.diagnosis import Finding, good, wrong
from reminderd.core.imports import missing_words
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.imports import missing_file
from reminderd.store.sqlite.driver import snapshot
from reminderd.store.sqlite.opening import open_to_look

_ABOUT = "imports"


def check_drop_folder(config: Config, now: datetime) -> list[Finding]:
    """Check that files can be taken out of the folder; nothing is reported if there is none."""
    folder = config.import_.path
    if folder is None:
        return []
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.access(place, os.F_OK))
    if not (there.is_dir() and os.access(there, os.R_OK | os.W_OK | os.X_OK)):
        fix = "let the daemon's user write there, and its service as well; see operations.md, Import from a folder"
        return [wrong(_ABOUT, "no file can be taken out of [import].folder", fix)]
    missing = _missing(config, now)
    if missing is not None:
        fix = "see whether the other program has written it, and reminderd report for files that were refused"
        return [wrong(_ABOUT, missing_words(missing, config.calling.zone), fix)]
    return [good(_ABOUT, "files can be taken out of [import].folder")]


def _missing(config: Config, now: datetime) -> datetime | None:
    """Return by when a file should have come; None: it has, or the database, which others check, can't be read."""
    expected = expected_of(config)
    if expected is None or not config.database.path.is_file():
        return None
    try:
        with closing(open_to_look(config.database.path)) as connection:
            return snapshot(connection, partial(missing_file, expected=expected, now=now))
    except (StoreUnavailableError, StoreUnusableError):
        return None
