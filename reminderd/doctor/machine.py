"""Check the machine, its files and its database: clock, time zone data, file modes, disks, rows and accounts."""

import ctypes
import os
import shutil
import zoneinfo
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Final, TypeVar
from urllib.parse import urlsplit

import trio
import tzdata

from reminderd.clock import Clock
from reminderd.config import Config, expected_of, files_with_secrets, numbering_of
from reminderd.core import diagnosis, server_diagnosis
from reminderd.core.diagnosis import Finding, good, unknown, warning, wrong
from reminderd.core.logins import Role
from reminderd.core.monitoring import missing_file_error
from reminderd.databases import PostgresServer
from reminderd.doctor.connections import DoctorClient
from reminderd.providers.http import HttpAnswer
from reminderd.store.any_engine import open_read_only
from reminderd.store.connection import Connection, snapshot
from reminderd.store.daemon_rows import alive_daemons
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.examination import Examination
from reminderd.store.import_records import missing_file
from reminderd.store.sqlite.driver import sqlite_warning
from reminderd.store.sqlite.integrity import examine
from reminderd.store.users import list_users
from reminderd.validators import is_this_machine

T = TypeVar("T")

_UNKEPT_MICROSECONDS: Final = 16_000_000
"""The kernel's estimate of the clock's error when nothing has set the clock for a long time: NTP_PHASE_LIMIT."""

_SHOWN: Final = 3


class Timex(ctypes.Structure):
    """The beginning of `struct timex` of adjtimex(2), with space for the rest."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("rest", ctypes.c_byte * 512),
    )


async def check_clock(config: Config, asking: DoctorClient, clock: Clock) -> list[Finding]:
    """Check the clock, by the kernel and the provider's answers, and the data for the clinic's time zone."""
    ahead = None
    url = config.provider.settings.server
    if url and not is_this_machine(urlsplit(url).hostname or ""):  # its clock would be ours
        ahead = await clock_ahead_of(url, asking, clock)
    version, source = zone_data(config.calling.zone.key)
    return [
        diagnosis.clock(kept=is_clock_synchronized(), ahead=ahead),
        diagnosis.time_zones(version, source, clock.now()),
    ]


def adjtimex(seen: Timex) -> int:
    """Ask the kernel for the state of the clock; the result is below 0 if that is not possible."""
    state: int = ctypes.CDLL(None).adjtimex(ctypes.byref(seen))
    return state


def is_clock_synchronized(ask: Callable[[Timex], int] = adjtimex) -> bool | None:
    """Return whether some program keeps the clock correct, judged as by `timedatectl`, by the kernel's estimated error.

    Return None if the kernel can't be asked, as in some containers. STA_UNSYNC is ignored, since it is also set to
    keep the kernel from writing the hardware's clock.
    """
    seen = Timex()
    try:
        state = ask(seen)
    except (AttributeError, OSError):  # another C library, or none
        return None
    return None if state < 0 else bool(seen.maxerror < _UNKEPT_MICROSECONDS)


async def clock_ahead_of(url: str, asking: DoctorClient, clock: Clock) -> timedelta | None:
    """Return by how much our clock is ahead of a server's, by its answers; None if that is unknown."""
    asked = trio.current_time()
    outcome = await asking.get(url)
    half_way = timedelta(seconds=(trio.current_time() - asked) / 2)
    if not isinstance(outcome, HttpAnswer):
        return None
    try:
        server_time: datetime = parsedate_to_datetime(outcome.headers["date"])
        return clock.now() - half_way - server_time
    except (KeyError, ValueError, TypeError):  # there is no date, or it is invalid or without an offset
        return None


def zone_data(zone: str) -> tuple[str | None, str]:
    """Return the version of the data for this zone, or None, and its place; the system's data has priority."""
    for folder in map(Path, zoneinfo.TZPATH):
        if (folder / zone).is_file():
            return _version_in(folder), str(folder)
    return tzdata.IANA_VERSION, "the package tzdata"


def _version_in(folder: Path) -> str | None:
    """Return the version in the first line of `tzdata.zi`, like `# version 2026a`."""
    try:
        with (folder / "tzdata.zi").open(encoding="utf-8", errors="replace") as lines:
            first = lines.readline()
    except OSError:
        return None
    return first.removeprefix("# version ").strip()


def check_files(config: Config) -> list[Finding]:
    """Check the modes of the database and of files with secrets, the folder of backups, and the disks in use."""
    secrets = [file for file in files_with_secrets(config) if file != config.path]
    private, shut = files_with_secrets(config), "secrets are closed to the machine's other users"
    if config.database.path is not None:
        database = config.database.path.resolve()
        private += [database, *(Path(f"{database}{ending}") for ending in ("-wal", "-shm"))]
        shut = "secrets and the database are closed to the machine's other users"
    found = [finding for file in private for finding in _modes(file.absolute(), is_secret=file in secrets)]
    return [*(found or [good("files", shut)]), *_backups(config), *_disks(config)]


def _modes(file: Path, *, is_secret: bool) -> list[Finding]:
    """Return what is wrong with the mode of a file or its folder; nothing if there is no such file.

    The configured name of a secret's file may be the secret itself, so it is shown only if the file exists.
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
    if diagnosis.open_to_others(mode, folders):
        found.append(wrong("files", f"{file} is open to every user of the machine", f"chmod o= {quote(str(file))}"))
    if diagnosis.replaceable(folders):
        text = f"every user of the machine can replace {file}"
        found.append(wrong("files", text, f"chmod o-w {quote(str(real.parent))}"))
    return found


def _backups(config: Config) -> list[Finding]:
    """Return why this user can't write a backup, if backups are configured.

    The folder may not exist yet, but the folder above it must: otherwise the daemon would fill the wrong disk if the
    right one is not mounted.
    """
    folder = config.backup.path
    if folder is None:
        return []
    place = folder if os.access(folder, os.F_OK) else folder.absolute().parent
    if os.access(place, os.W_OK | os.X_OK) and place.is_dir():
        return []
    fix = (
        "make the folder or mount its disk, and let the daemon's user write there, and its service as well;"
        " see operations.md, Back up"
    )
    return [wrong("backups", "no backup can be written to [backup].folder", fix)]


def _is_open_to_us(folder: Path, mode: int) -> bool:
    """Return whether this user has this access to a folder, or to the nearest existing one above it."""
    there = next(place for place in (folder.absolute(), *folder.absolute().parents) if os.access(place, os.F_OK))
    return there.is_dir() and os.access(there, mode)


def _disks(config: Config) -> list[Finding]:
    """Return one finding for each disk, even if several folders are on it."""
    found: dict[int, Finding] = {}
    own, log = config.database.uploads.parent, config.log.path
    folders = [(own, str(own))]
    if log is not None:
        folders.append((log.resolve().parent, "the folder of [log].file"))
    for folder, name in folders:
        try:
            device = folder.stat().st_dev
            found.setdefault(device, diagnosis.disk(shutil.disk_usage(folder).free, str(folder)))
        except OSError as error:
            text = f"{name} can't be read: {error.strerror}"
            return [wrong("disk", text, "create the folder, and let the daemon's user write to it")]
    return list(found.values())


async def check_database(config: Config, clock: Clock, *, seconds: float) -> list[Finding]:
    """Check that a database file can be opened, is sound and up to date; read it for at most these seconds."""
    file = config.database.path
    if file is None:
        return []
    if config.database.is_missing:
        fix = "nothing, if this is new: reminderd run or add creates it; else correct [database].url"
        return [unknown("database", f"there is none at {file}", fix)]
    if os.access(file, os.F_OK) and not file.is_file():
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
    found = [
        *judge_errors(seen, str(file), seconds),
        diagnosis.schema(seen.version, seen.newest),
        diagnosis.wal(seen.wal_bytes),
    ]
    bug = sqlite_warning()
    if bug is not None:
        found.append(warning("SQLite", bug, "see database.md, Which SQLite"))
    return [*found, *judge_rows(seen, str(file), config, clock)]


async def check_server(config: Config, clock: Clock, *, seconds: float) -> list[Finding]:
    """Check that a server answers, and is safe and up to date; read the rows for at most these seconds."""
    target = config.database.target
    if not isinstance(target, PostgresServer):
        return []
    try:
        from reminderd.store.postgres.examining import examine  # noqa: PLC0415 - psycopg is an extra

        look_at = partial(examine, target, seconds=seconds, numbering=numbering_of(config), clock=clock)
        seen = await trio.to_thread.run_sync(look_at)
    except StoreUnusableError as error:
        return [wrong("database", f"{error}", "correct [database].url, or the server: see postgresql.md")]
    except StoreUnavailableError as error:
        fix = "check that the server runs and has a free connection, and that this machine can reach it"
        return [wrong("database", f"{error}", fix)]
    found = [*judge_errors(seen, target.shown_name, seconds), server_diagnosis.schema(seen.version, seen.newest)]
    if seen.server is not None:
        found += server_diagnosis.server(seen.server, failover_is_lossless=config.database.failover_is_lossless)
    return [*found, *judge_rows(seen, target.shown_name, config, clock)]


def judge_rows(seen: Examination, name: str, config: Config, clock: Clock) -> list[Finding]:
    """Judge the rows of the database with this name."""
    found = []
    if seen.provider is not None and config.provider.kind == "sandbox" and not config.provider.is_stated:
        text = (
            f"{name} has been in use with the provider {seen.provider}, and none is configured: reminderd run refuses"
        )
        found.append(wrong("database", text, "use the configuration that names it: in its folder, or by --config FILE"))
    if seen.unreached_since is not None:
        found.append(diagnosis.unreached(seen.unreached_since, config.calling.zone))
    if config.results.url and seen.unsent is not None:
        found += diagnosis.results(seen.unsent, clock.now())
    return found + diagnosis.uncallable(seen.uncallable)


def judge_errors(seen: Examination, name: str, seconds: float) -> list[Finding]:
    """Judge the errors of the database with this name, which was read for at most these seconds."""
    if seen.mistakes is None:
        why = f"{name} opens; it could not be read through within {seconds:g} s"
        return [unknown("database", why, "reminderd db check has no time limit")]
    shown = [
        wrong("database", mistake, "see operations.md, Is all well?")
        for mistake in seen.mistakes[: _SHOWN if len(seen.mistakes) > _SHOWN + 1 else None]
    ]
    if len(shown) < len(seen.mistakes):
        shown.append(wrong("database", f"{len(seen.mistakes) - len(shown)} more", "reminderd db check lists them all"))
    return shown or [good("database", f"{name} opens and is sound")]


def check_daemons(config: Config, now: datetime) -> list[Finding]:
    """Check that all daemons on the database are alike; report nothing if it can't be read, as another check does."""
    seen = _in_database(config, partial(alive_daemons, now=now))
    return [] if seen is None else diagnosis.daemons(seen)


def check_accounts(config: Config) -> list[Finding]:
    """Check who may log in; report nothing without pages, or if the database can't be read, as another check does."""
    found = _in_database(config, list_users) if config.desk.port else None
    if found is None:
        return []
    return diagnosis.accounts([(str(one["name"]), one["role"] == Role.ADMIN, bool(one["totp"])) for one in found])


_IMPORTS: Final = "imports"


def check_drop_folder(config: Config, now: datetime) -> list[Finding]:
    """Check that files can be moved out of the import folder; report nothing if there is no folder."""
    folder = config.import_.path
    if folder is None:
        return []
    if not _is_open_to_us(folder, os.R_OK | os.W_OK | os.X_OK):
        fix = "let the daemon's user write there, and its service as well; see operations.md, Import from a folder"
        return [wrong(_IMPORTS, "no file can be taken out of [import].folder", fix)]
    expected = expected_of(config)
    missing = None if expected is None else _in_database(config, partial(missing_file, expected=expected, now=now))
    if missing is not None:
        fix = "see whether the other program has written it, and reminderd report for files that were refused"
        return [wrong(_IMPORTS, missing_file_error(missing, config.calling.zone), fix)]
    return [good(_IMPORTS, "files can be taken out of [import].folder")]


def check_results_folder(config: Config) -> list[Finding]:
    """Check that files with answers can be written; report nothing if they are not configured."""
    folder = config.results.path
    if folder is None:
        return []
    if os.access(folder, os.W_OK | os.X_OK) and folder.is_dir():
        return [good("results", "files can be written to [results].folder")]
    fix = "make the folder, and let the daemon's user write there, and its service as well; see operations.md, Back up"
    return [wrong("results", "no file can be written to [results].folder", fix)]


def _in_database(config: Config, read: Callable[[Connection], T]) -> T | None:
    """Return what is in the database; None if it can't be read, or does not have the newest schema."""
    if config.database.is_missing:
        return None
    try:
        with open_read_only(config.database.target) as connection:
            return snapshot(connection, read)
    except (StoreUnavailableError, StoreUnusableError):
        return None
