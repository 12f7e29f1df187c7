"""The state of the whole at a glance, for people and for monitors."""

import shutil
import sys
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import click
from attrs import asdict

from reminderd.cli.asking import ask
from reminderd.cli.common import FAILED, database_to_look_at, quiet_until, with_config
from reminderd.cli.output import print_fields, print_json, spoken
from reminderd.cli.reminders import as_json
from reminderd.clock import SystemClock
from reminderd.config import Config, numbering_of
from reminderd.core.lifecycle.address import UNREACHED
from reminderd.core.monitoring import Daemon, Glance, errors_in
from reminderd.store.errors import CopyError
from reminderd.store.queries import Value, uncallable
from reminderd.store.settings import database_id
from reminderd.store.sqlite.backups import backup_age
from reminderd.store.sqlite.transaction import snapshot
from reminderd.store.stats import glance
from reminderd.upkeep import FOLDER, without_folder


@click.command()
@as_json
@with_config
def status(config: Config, *, as_json: bool) -> None:
    """Show whether all is well: the daemon, what is due, in flight, stuck and held, the provider, the disk.

    The first line begins with OK or ERROR. Exit codes: 0 all is well, 1 there is an error.
    """
    zone, now = config.calling.zone, SystemClock().now()
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
    with database_to_look_at(config) as connection:
        seen = snapshot(connection, partial(glance, now=now, midnight=midnight))
        quiet = quiet_until(config, connection)
        reasons = snapshot(connection, partial(uncallable, numbering=numbering_of(config)))
        own_id = snapshot(connection, database_id)
    daemon = ask(config.web)
    free = shutil.disk_usage(config.database.path.parent).free
    backup = _backup(config, own_id or "", now)
    found = errors_in(daemon=daemon, glance=seen, free_bytes=free, backup=backup, now=now)
    if as_json:
        print_json(
            {
                "ok": not found,
                "errors": found,
                "daemon": None if isinstance(daemon, str) else asdict(daemon),
                **asdict(seen),
                "uncallable": reasons,
                "disk_free_bytes": free,
                "backup_age_seconds": int(backup.total_seconds()) if isinstance(backup, timedelta) else None,
            },
            zone,
        )
    else:
        click.echo(f"ERROR: {'; '.join(found)}" if found else "OK: all is well")
        print_fields(_told(daemon, seen, reasons, free, backup, now, zone) | _quiet(seen, quiet, zone), zone)
    if found:
        sys.exit(FAILED)


def _backup(config: Config, own_id: str, now: datetime) -> timedelta | str | None:
    """The newest backup's age; or why there is none, though there should be; None: none are wanted."""
    folder = config.backup.path
    if folder is None:
        return None
    try:
        age = backup_age(folder, config.database.path, own_id, now)
    except CopyError as error:
        return f"backup: {without_folder(error, folder)}"
    return f"backup: there is none in {FOLDER}" if age is None else age


def _told(
    daemon: Daemon | str,
    seen: Glance,
    reasons: Mapping[str, int],
    free: int,
    backup: timedelta | str | None,
    now: datetime,
    zone: ZoneInfo,
) -> dict[str, Value]:
    """A line for each thing."""
    return {
        **_of_the_daemon(daemon, now, zone),
        "due next hour": f"{seen.due_next_hour}{_since(seen, now)}",
        "in flight": seen.in_flight,
        "stuck": seen.stuck,
        "held": _counted(seen.held),
        "can't be called": _counted(reasons),
        "failed today": seen.failed_today,
        "last report": _ago(seen.last_report, now, zone),
        "dialing": _pause(seen, zone),
        "disk free": f"{free // 1_000_000} MB",
        "backup": _age(backup),
    }


def _of_the_daemon(daemon: Daemon | str, now: datetime, zone: ZoneInfo) -> dict[str, Value]:
    if isinstance(daemon, str):
        return {"daemon": "unknown"}
    error = daemon.parts.get("provider")
    return {
        "daemon": f"{daemon.version}, running since {spoken(daemon.started_at, zone)}",
        "last poll": _ago(daemon.last_poll, now, zone, never="not by this process, which only receives webhooks"),
        "last webhook": _ago(daemon.last_webhook, now, zone, never="none since its start"),
        "provider": f"{daemon.provider}, {error or 'no error'}",
    }


def _age(backup: timedelta | str | None) -> str:
    if isinstance(backup, timedelta):
        return f"{max(backup, timedelta(0)) // timedelta(hours=1)} hours old"
    return "none" if backup is None else backup.removeprefix("backup: ")


def _since(seen: Glance, now: datetime) -> str:
    if seen.due_since is None:
        return ""
    return f", {seen.due} of them due now, the oldest for {(now - seen.due_since).total_seconds():.0f} s"


def _counted(reasons: Mapping[str, int]) -> str:
    """All reminders, and how many for each reason."""
    if not reasons:
        return "0"
    each = [f"{reminders} {reason}" for reason, reminders in reasons.items()]
    return f"{sum(reasons.values())}: {', '.join(each)}"


def _pause(seen: Glance, zone: ZoneInfo) -> str:
    if not seen.paused:
        failing_since = seen.unreached_since
        return "running" if failing_since is None else f"paused since {spoken(failing_since, zone)}: {UNREACHED}"
    since = "" if seen.paused_since is None else f" since {spoken(seen.paused_since, zone)}"
    return f"paused by staff{since}; reminderd resume ends it"


def _quiet(seen: Glance, until: datetime | None, zone: ZoneInfo) -> dict[str, Value]:
    """The line about dialing while nobody is called after a restore, though staff have not paused it."""
    if seen.paused or until is None:
        return {}
    return {"dialing": f"a backup was restored: nobody is called before {spoken(until, zone)}"}


def _ago(moment: datetime | None, now: datetime, zone: ZoneInfo, never: str = "none") -> str:
    if moment is None:
        return never
    return f"{spoken(moment, zone)}, {max((now - moment).total_seconds(), 0):.0f} s ago"
