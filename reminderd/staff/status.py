"""Collect the status that `reminderd status` prints and the System page shows, and word a line for each fact."""

import shutil
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from pathlib import Path
from typing import Final

from attrs import asdict, frozen

from reminderd.config import Config, expected_of
from reminderd.core.changes import Backlog
from reminderd.core.daemons import Daemon, Job
from reminderd.core.imports import ImportRecord, file_with_result
from reminderd.core.monitoring import LAST_DAY, DaemonReport, Glance, StatusReport, part_error, refused_files
from reminderd.core.sentences import Sentence, TextValue
from reminderd.staff.obstacles import pauses
from reminderd.store.connection import Connection
from reminderd.store.daemon_rows import alive_daemons
from reminderd.store.errors import CopyError
from reminderd.store.import_records import imports_between, last_import, missing_file
from reminderd.store.outcome_changes import delivery_backlog
from reminderd.store.shared_state import database_id
from reminderd.store.sqlite.backups import newest_backup
from reminderd.store.stats import read_glance

_FOLDER: Final = "[backup].folder"
"""Shown instead of the configured value, in whose place somebody may have put a secret."""

_NONE: Final = Sentence("none")


@frozen(kw_only=True)
class DatabaseReport:
    """What the database shows of a status."""

    at: datetime
    glance: Glance
    pauses: tuple[Sentence, ...]
    uncallable: Mapping[str, int]
    database_id: str | None
    last_import: ImportRecord | None
    refused: tuple[ImportRecord, ...]
    missing_file: datetime | None
    daemons: tuple[Daemon, ...]
    backlog: Backlog | None


def look_at_database(
    connection: Connection, *, config: Config, now: datetime, uncallable: Mapping[str, int]
) -> DatabaseReport:
    """Return what the database shows, read in one transaction.

    Args:
        connection: in a transaction.
        config: the clinic's configuration.
        now: the time.
        uncallable: how many waiting reminders can't be called, by reason; a page gets this from `Examined`.
    """
    zone, expected = config.calling.zone, expected_of(config)
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
    recent = imports_between(connection, since=now - LAST_DAY, until=now)
    return DatabaseReport(
        at=now,
        glance=read_glance(connection, now=now, midnight=midnight),
        pauses=tuple(pauses(connection, config=config, now=now)),
        uncallable=uncallable,
        database_id=database_id(connection),
        last_import=last_import(connection),
        refused=tuple(refused_files(recent)),
        missing_file=None if expected is None else missing_file(connection, expected=expected, now=now),
        daemons=tuple(alive_daemons(connection, now)),
        backlog=delivery_backlog(connection) if config.results.url else None,
    )


def status_report(seen: DatabaseReport, daemon: DaemonReport | str, config: Config) -> StatusReport:
    """Return the whole status; this looks at the disk and into the folder of backups.

    Args:
        seen: what the database shows.
        daemon: the daemon's report, or why it could not be asked.
        config: the clinic's configuration.
    """
    file, found = config.database.path, asdict(seen, recurse=False)
    own_id = found.pop("database_id") or ""
    return StatusReport(
        **found,
        daemon=daemon,
        free_bytes=None if file is None else shutil.disk_usage(file.parent).free,
        backup=None if file is None else _backup(config, file, own_id, seen.at),
    )


def _backup(config: Config, file: Path, own_id: str, now: datetime) -> timedelta | str | None:
    """Return the newest backup's age, or why there is none; None if no backups are configured."""
    folder = config.backup.path
    if folder is None:
        return None
    try:
        newest = newest_backup(folder, file, own_id, now)
    except CopyError as error:
        return f"backup: {str(error).replace(str(folder), _FOLDER)}"
    return f"backup: there is none in {_FOLDER}" if newest is None else now - newest.made_at


def lines_of(report: StatusReport) -> list[tuple[Sentence, TextValue]]:
    """Return a line for each fact, with its name, in the order in which people read them."""
    seen, now = report.glance, report.at
    return [
        *_of_the_daemon(report.daemon, now),
        (Sentence("daemons"), [_of_one(one, now) for one in report.daemons] or _NONE),
        *([(Sentence("warning"), report.warnings)] if report.warnings else []),
        (Sentence("due next hour"), _due(seen, now)),
        (Sentence("in flight"), seen.in_flight),
        (Sentence("stuck"), seen.stuck),
        (Sentence("held"), _counted(seen.held)),
        (Sentence("failed today"), seen.failed_today),
        (Sentence("last report"), _ago(seen.last_report, now)),
        (Sentence("can't be called"), _counted(report.uncallable)),
        (Sentence("last import"), _imported(report.last_import)),
        (Sentence("dialing"), report.pauses or Sentence("not paused")),
        *([] if report.free_bytes is None else _of_the_file(report.free_bytes, report.backup)),
        *([] if report.backlog is None else [(Sentence("results"), _unsent(report.backlog, now))]),
    ]


def _of_the_file(free_bytes: int, backup: timedelta | str | None) -> list[tuple[Sentence, TextValue]]:
    """Return the lines that a database on a server does not have."""
    return [
        (Sentence("disk free"), Sentence("%(megabytes)s MB", {"megabytes": free_bytes // 1_000_000})),
        (Sentence("backup"), _age(backup)),
    ]


def _of_the_daemon(daemon: DaemonReport | str, now: datetime) -> list[tuple[Sentence, TextValue]]:
    if isinstance(daemon, str):
        return [(Sentence("daemon"), Sentence("unknown"))]
    since: dict[str, TextValue] = {"version": daemon.version, "since": daemon.started_at}
    error = daemon.parts.get("provider")
    provider: dict[str, TextValue] = {
        "provider": daemon.provider,
        "error": Sentence("no error") if error is None else part_error(error),
    }
    no_poll = Sentence("not by this process, which only receives webhooks")
    return [
        (Sentence("daemon"), Sentence("%(version)s, running since %(since)s", since)),
        (Sentence("last poll"), _ago(daemon.last_poll, now, no_poll)),
        (Sentence("last webhook"), _ago(daemon.last_webhook, now, Sentence("none since its start"))),
        (Sentence("provider"), Sentence("%(provider)s, %(error)s", provider)),
    ]


def _of_one(daemon: Daemon, now: datetime) -> Sentence:
    """Return where a daemon runs, since when, and which jobs it does for all daemons."""
    values: dict[str, TextValue] = {
        "place": daemon.place,
        "version": daemon.version,
        "since": daemon.started_at,
        "seconds": max(round((now - daemon.seen_at).total_seconds()), 0),
        "jobs": [job.sentence for job in Job if job in daemon.jobs] or _NONE,
    }
    return Sentence(
        "%(place)s, %(version)s, since %(since)s, seen %(seconds)s s ago, jobs for all: %(jobs)s", values, between=", "
    )


def _due(seen: Glance, now: datetime) -> TextValue:
    if seen.due_since is None:
        return seen.due_next_hour
    values = {"all": seen.due_next_hour, "due": seen.due, "seconds": round((now - seen.due_since).total_seconds())}
    return Sentence("%(all)s, %(due)s of them due now, the oldest for %(seconds)s s", values)


def _counted(reasons: Mapping[str, int]) -> TextValue:
    """Return the number of all reminders, and how many for each reason."""
    if not reasons:
        return 0
    each = [
        Sentence("%(reason)s (%(number)s)", {"number": reminders, "reason": Sentence(reason)})
        for reason, reminders in reasons.items()
    ]
    return Sentence("%(all)s: %(reasons)s", {"all": sum(reasons.values()), "reasons": each}, between=", ")


def _imported(record: ImportRecord | None) -> Sentence:
    if record is None:
        return Sentence("no file yet")
    return Sentence("%(at)s: %(file)s", {"at": record.at, "file": file_with_result(record)})


def _age(backup: timedelta | str | None) -> TextValue:
    if isinstance(backup, timedelta):
        return Sentence("%(hours)s hours old", {"hours": max(backup, timedelta(0)) // timedelta(hours=1)})
    if backup is None:
        return Sentence("none: [backup].folder is not set")
    return backup.removeprefix("backup: ")


def _unsent(waiting: Backlog, now: datetime) -> Sentence:
    """Return how many changes were not received yet, since when, and why."""
    since: TextValue = (
        "" if waiting.oldest is None else Sentence(", the oldest of %(at)s", {"at": _ago(waiting.oldest, now)})
    )
    error = "" if waiting.error is None else f"; {waiting.error}"
    values: dict[str, TextValue] = {"waiting": waiting.waiting, "since": since, "error": error}
    return Sentence("%(waiting)s not received yet%(since)s%(error)s", values)


def _ago(moment: datetime | None, now: datetime, never: Sentence = _NONE) -> Sentence:
    if moment is None:
        return never
    seconds = max(round((now - moment).total_seconds()), 0)
    return Sentence("%(at)s, %(seconds)s s ago", {"at": moment, "seconds": seconds})
