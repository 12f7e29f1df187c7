"""Check the database, without creating, migrating or writing one."""

from functools import partial
from typing import Final

import trio

from reminderd.config import Config, numbering_of
from reminderd.core.diagnosis import Finding, good, schema, uncallable, unknown, unreached, wal, warning, wrong
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.sqlite.driver import sqlite_warning
from reminderd.store.sqlite.integrity import Examination, examine

_SHOWN: Final = 3


async def check_database(config: Config, *, seconds: float) -> list[Finding]:
    """Check that it opens, is sound and up to date; it is read for so many seconds at most."""
    file = config.database.path
    if not file.exists():
        fix = "nothing, if this is new: reminderd run or add creates it; else correct [database].url"
        return [unknown("database", f"there is none at {file}", fix)]
    if not file.is_file():
        return [wrong("database", f"{file} is no file", "correct [database].url")]
    look_at = partial(examine, file, seconds=seconds, numbering=numbering_of(config))
    try:
        seen = await trio.to_thread.run_sync(look_at)
    except StoreUnusableError as error:
        fix = "correct [database].url, or restore the last good copy; see operations.md"
        return [wrong("database", f"{file}: {error}", fix)]
    except StoreUnavailableError as error:
        fix = "run this as the daemon's user, who may write to the folder; or find the program that locks the file"
        return [wrong("database", f"{file}: {error}", fix)]
    found = [*_soundness(seen, str(file), seconds), schema(seen.version, seen.newest), wal(seen.wal_bytes)]
    if seen.provider is not None and config.provider.kind == "sandbox" and not config.provider.is_stated:
        says = (
            f"{file} has been in use with the provider {seen.provider}, and none is configured: reminderd run refuses"
        )
        found.append(wrong("database", says, "use the configuration that names it: in its folder, or by --config FILE"))
    if seen.unreached_since is not None:
        found.append(unreached(seen.unreached_since, config.calling.zone))
    bug = sqlite_warning()
    if bug is not None:
        found.append(warning("SQLite", bug, "see database.md, Which SQLite"))
    return found + uncallable(seen.uncallable)


def _soundness(seen: Examination, file: str, seconds: float) -> list[Finding]:
    if seen.mistakes is None:
        why = f"{file} opens; it could not be read through within {seconds:g} s"
        return [unknown("database", why, "reminderd db check has no time limit")]
    shown = [
        wrong("database", mistake, "see operations.md, db check")
        for mistake in seen.mistakes[: _SHOWN if len(seen.mistakes) > _SHOWN + 1 else None]
    ]
    if len(shown) < len(seen.mistakes):
        shown.append(wrong("database", f"{len(seen.mistakes) - len(shown)} more", "reminderd db check lists them all"))
    return shown or [good("database", f"{file} opens and is sound")]
