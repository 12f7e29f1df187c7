"""Show whether all is well, for people and for monitors; pause all dialing and resume it."""

import shutil
import sys
from collections.abc import Mapping
from datetime import datetime, time, timedelta
from functools import partial
from typing import Any, Final
from zoneinfo import ZoneInfo

import cattrs
import click
from attrs import asdict

from reminderd.cli.common import (
    FAILED,
    actor,
    as_json,
    database_to_look_at,
    existing_database,
    with_config,
    with_database_of_config,
)
from reminderd.cli.output import import_columns, print_fields, print_json, spoken
from reminderd.clock import SystemClock
from reminderd.config import Config, WebConfig, expected_of, numbering_of, rules_of
from reminderd.core.changes import Backlog
from reminderd.core.imports import missing_words, summary
from reminderd.core.lifecycle.reconcile import UNREACHED
from reminderd.core.monitoring import DaemonReport, Glance, errors
from reminderd.store.changes import backlog
from reminderd.store.claims import standstill
from reminderd.store.errors import CopyError
from reminderd.store.import_records import last_import, missing_file
from reminderd.store.queries import Value, uncallable
from reminderd.store.settings import database_id, last_pause, paused, set_pause, unreached_since
from reminderd.store.sqlite.backups import backup_age
from reminderd.store.sqlite.driver import Connection, snapshot, transaction
from reminderd.store.stats import glance
from reminderd.validators import shown_host

PATIENCE: Final = 5.0
"""Seconds that its answer may take."""

_FOLDER: Final = "[backup].folder"
"""Shown instead of what is configured there: a secret may have been put in its place."""

_converter: Final = cattrs.Converter()
_converter.register_structure_hook(datetime, lambda text, _type: datetime.fromisoformat(text))


@click.command()
@as_json
@with_config
def status(config: Config, *, as_json: bool) -> None:
    """Show whether all is well: the daemon, what is due, in flight, stuck and held, the provider, the disk.

    The first line begins with OK or ERROR, and says why nobody is called while dialing is paused. Exit codes: 0 OK,
    1 there is an error.
    """
    zone, now = config.calling.zone, SystemClock().now()
    midnight = datetime.combine(now.astimezone(zone).date(), time(), zone)
    with database_to_look_at(config) as connection:
        seen = snapshot(connection, partial(glance, now=now, midnight=midnight))
        pauses = reasons_for_silence(config, connection)
        reasons = snapshot(connection, partial(uncallable, numbering=numbering_of(config)))
        own_id = snapshot(connection, database_id)
        imported = snapshot(connection, last_import)
        late_file = _late_file(config, connection, now)
        unsent = snapshot(connection, backlog) if config.results.url else None
    daemon = _asked(config, own_id)
    free = shutil.disk_usage(config.database.path.parent).free
    backup = _backup(config, own_id or "", now)
    found = errors(
        daemon=daemon,
        glance=seen,
        uncallable=sum(reasons.values()),
        free_bytes=free,
        backup=backup,
        backlog=unsent,
        now=now,
    )
    found += [] if late_file is None else [late_file]
    if as_json:
        print_json(
            {
                "ok": not found,
                "errors": found,
                "pauses": pauses,
                "daemon": None if isinstance(daemon, str) else asdict(daemon),
                **asdict(seen),
                "uncallable": reasons,
                "results": None if unsent is None else asdict(unsent),
                "last_import": None if imported is None else import_columns(imported),
                "disk_free_bytes": free,
                "backup_age_seconds": int(backup.total_seconds()) if isinstance(backup, timedelta) else None,
            },
            zone,
        )
    else:
        click.echo(_verdict(found, pauses))
        lines = {
            **_of_the_daemon(daemon, now, zone),
            **_of_the_database(seen, now, zone),
            "can't be called": _counted(reasons),
            "last import": "none" if imported is None else f"{spoken(imported.at, zone)}: {summary(imported)}",
            "dialing": "; ".join(reason.removeprefix("dialing is ") for reason in pauses) or "running",
            "disk free": f"{free // 1_000_000} MB",
            "backup": _age(backup),
            **({} if unsent is None else {"results": _unsent(unsent, now, zone)}),
        }
        print_fields(lines, zone)
    if found:
        sys.exit(FAILED)


def _late_file(config: Config, connection: Connection, now: datetime) -> str | None:
    expected = expected_of(config)
    missing = None if expected is None else snapshot(connection, partial(missing_file, expected=expected, now=now))
    return None if missing is None else missing_words(missing, config.calling.zone)


def _verdict(found: list[str], pauses: list[str]) -> str:
    if found:
        return f"ERROR: {'; '.join(found)}"
    return f"OK, but {'; '.join(pauses)}" if pauses else "OK: all is well"


def _asked(config: Config, own_id: str | None) -> DaemonReport | str:
    """Return the status of our own daemon; or a sentence that says why it is unknown."""
    daemon = ask(config.web)
    if isinstance(daemon, DaemonReport) and daemon.database_id != own_id:
        return another(config)
    return daemon


def _backup(config: Config, own_id: str, now: datetime) -> timedelta | str | None:
    """Return the newest backup's age; or why there is none, though there should be; None: none are wanted."""
    folder = config.backup.path
    if folder is None:
        return None
    try:
        age = backup_age(folder, config.database.path, own_id, now)
    except CopyError as error:
        return f"backup: {str(error).replace(str(folder), _FOLDER)}"
    return f"backup: there is none in {_FOLDER}" if age is None else age


def _of_the_database(seen: Glance, now: datetime, zone: ZoneInfo) -> dict[str, Value]:
    return {
        "due next hour": f"{seen.due_next_hour}{_since(seen, now)}",
        "in flight": seen.in_flight,
        "stuck": seen.stuck,
        "held": _counted(seen.held),
        "failed today": seen.failed_today,
        "last report": _ago(seen.last_report, now, zone),
    }


def _of_the_daemon(daemon: DaemonReport | str, now: datetime, zone: ZoneInfo) -> dict[str, Value]:
    if isinstance(daemon, str):
        return {"daemon": "unknown"}
    error = daemon.parts.get("provider")
    return {
        "daemon": f"{daemon.version}, running since {spoken(daemon.started_at, zone)}",
        "last poll": _ago(daemon.last_poll, now, zone, never="not by this process, which only receives webhooks"),
        "last webhook": _ago(daemon.last_webhook, now, zone, never="none since its start"),
        "provider": f"{daemon.provider}, {error or 'no error'}",
    }


def _unsent(waiting: Backlog, now: datetime, zone: ZoneInfo) -> str:
    """Return how many changes were not received yet, since when, and why."""
    since = "" if waiting.oldest is None else f", the oldest of {_ago(waiting.oldest, now, zone)}"
    return f"{waiting.waiting} not received yet{since}" + ("" if waiting.error is None else f"; {waiting.error}")


def _age(backup: timedelta | str | None) -> str:
    if isinstance(backup, timedelta):
        return f"{max(backup, timedelta(0)) // timedelta(hours=1)} hours old"
    return f"none: {_FOLDER} is not set" if backup is None else backup.removeprefix("backup: ")


def _since(seen: Glance, now: datetime) -> str:
    if seen.due_since is None:
        return ""
    return f", {seen.due} of them due now, the oldest for {(now - seen.due_since).total_seconds():.0f} s"


def _counted(reasons: Mapping[str, int]) -> str:
    """Return the number of all reminders, and how many for each reason."""
    if not reasons:
        return "0"
    each = [f"{reminders} {reason}" for reason, reminders in reasons.items()]
    return f"{sum(reasons.values())}: {', '.join(each)}"


def _ago(moment: datetime | None, now: datetime, zone: ZoneInfo, never: str = "none") -> str:
    if moment is None:
        return never
    return f"{spoken(moment, zone)}, {max((now - moment).total_seconds(), 0):.0f} s ago"


def ask(web: WebConfig, *, patience: float = PATIENCE) -> DaemonReport | str:
    """Return the status of the daemon, waiting so many seconds; or a sentence that says why it is unknown."""
    import httpx  # noqa: PLC0415 - slow to import, and only this command asks the daemon

    if web.local_url is None:
        return "nobody can be asked: [web].port is 0, a port that the daemon chooses at each start"
    url = f"{web.local_url}/health/status"
    place = url if shown_host(web.host) == web.host else f"the configured host, port {web.port}"
    try:
        answer = httpx.get(url, timeout=patience, trust_env=False)
        document: dict[str, Any] = answer.raise_for_status().json()
        return _converter.structure(document, DaemonReport)
    except httpx.HTTPStatusError as error:
        return f"what answers at {place} is not this version of reminderd: HTTP {error.response.status_code}"
    except httpx.TimeoutException:
        return f"the daemon does not answer at {place} within {patience:g} s"
    except httpx.TransportError as error:
        return f"the daemon does not answer at {place}: {str(error).rpartition('] ')[2]}"  # without "[Errno 111] "
    except (ValueError, TypeError, cattrs.BaseValidationError):
        return f"what answers at {place} is not this version of reminderd"


def another(config: Config) -> str:
    """Return a sentence about a daemon that answers where ours should, and uses another database."""
    answers = f"another reminderd answers at port {config.web.port}"
    return f"{answers}: it does not use {config.database.path}; name its configuration by --config FILE"


@click.command()
@click.option("--reason", help="Why; shown by list and show. Phone numbers in it are masked.")
@with_database_of_config
def pause(config: Config, reason: str | None) -> None:
    """Pause all dialing, now and after every restart, until resume; calls under way end as usual."""
    if _set(config, on=True, reason=reason):
        click.echo("dialing is paused; reminderd resume ends it")
    else:
        click.echo("dialing was paused already" + ("" if reason is None else "; the reason is recorded"))


@click.command()
@with_database_of_config
def resume(config: Config) -> None:
    """Resume dialing; reminders that have become too late meanwhile expire."""
    click.echo("dialing is resumed" if _set(config, on=False, reason=None) else "dialing was not paused")
    with existing_database(config) as connection:
        say_if_paused(config, connection)


def say_if_paused(config: Config, connection: Connection) -> None:
    """Print a line on stderr for each reason why no calls are placed."""
    for reason in reasons_for_silence(config, connection):
        click.echo(reason, err=True)


def reasons_for_silence(config: Config, connection: Connection) -> list[str]:
    """Return a sentence for each reason in the database why no calls are placed now; empty: there is none."""
    zone, found = config.calling.zone, []
    failing_since = snapshot(connection, unreached_since)
    if failing_since is not None:
        since = spoken(failing_since, zone)
        found.append(f"dialing is paused since {since}: {UNREACHED}; reminderd doctor shows more")
    if snapshot(connection, paused):
        act = snapshot(connection, last_pause)
        who = "" if act is None else f" by {act['actor']}"
        since = f" since {spoken(act['at'], zone)}" if act is not None and isinstance(act["at"], datetime) else ""
        why = f" ({act['detail']})" if act is not None and act["detail"] else ""
        found.append(f"dialing is paused{who}{since}{why}; reminderd resume ends it")
    else:
        _, until = snapshot(connection, partial(standstill, rules=rules_of(config)))
        if until is not None and SystemClock().now() < until:
            found.append(f"a backup was restored: nobody is called before {spoken(until, zone)}")
    return found


def _set(config: Config, *, on: bool, reason: str | None) -> bool:
    with existing_database(config) as connection:
        return transaction(connection, partial(set_pause, on=on, reason=reason, actor=actor()), SystemClock().now())
