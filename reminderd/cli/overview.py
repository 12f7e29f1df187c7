"""Show whether all is well, and the outcomes of a day's reminders; pause all dialing and resume it."""

import sys
from datetime import datetime, timedelta
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
    as_json_or_csv,
    existing_database,
    in_zone,
    read_only_database,
    warn_if_paused,
    with_config,
    with_database_of_config,
    write_now,
    wrong_usage,
)
from reminderd.cli.lists import of_days, span_of
from reminderd.cli.output import moment_in_words, print_fields, print_json, print_table
from reminderd.clock import SystemClock
from reminderd.config import Config, numbering_of
from reminderd.config.installation import WebConfig
from reminderd.core.imports import file_with_result_text
from reminderd.core.monitoring import DaemonReport, StatusReport, errors, verdict
from reminderd.core.outcomes import Outcome
from reminderd.core.sentences import text_of
from reminderd.staff.standing import COLUMNS, report_csv, report_of, row_in_words
from reminderd.staff.status import lines_of, look_at_database, status_report
from reminderd.store.connection import snapshot
from reminderd.store.import_records import import_columns
from reminderd.store.queries import uncallable
from reminderd.store.shared_state import set_pause
from reminderd.validators import shown_host

PATIENCE: Final = 5.0
"""The seconds within which the daemon must answer."""

_converter: Final = cattrs.Converter()
_converter.register_structure_hook(datetime, lambda text, _type: datetime.fromisoformat(text))


@click.command()
@as_json
@with_config
def status(config: Config, *, as_json: bool) -> None:
    """Show whether all is well: the daemon, the reminders, the provider, the disk.

    The first line begins with OK or ERROR; while dialing is paused, it states why nobody is called. Some of the lines
    after it:

    \b
    in flight  reminders whose call is being placed, or has no report of its end yet
    stuck      calls that should have been checked at least two minutes ago
    held       reminders that wait longer than their time, and why

    Exit codes: 0 OK, 1 there is an error.
    """  # noqa: D301 - click's mark for lines that it must not join
    zone, now = config.calling.zone, SystemClock().now()
    with read_only_database(config) as connection:
        reasons = snapshot(connection, partial(uncallable, numbering=numbering_of(config)))
        seen = snapshot(connection, partial(look_at_database, config=config, now=now, uncallable=reasons))
    daemon = ask_daemon(config.web)
    if isinstance(daemon, DaemonReport) and daemon.database_id != seen.database_id:
        daemon = another_database(config)
    report = status_report(seen, daemon, config)
    found = errors(report)
    if as_json:
        print_json(_document(report, zone), zone)
    else:
        show = partial(in_zone, zone)
        click.echo(text_of(verdict(report), show))
        lines = {text_of(name, show): text_of(line, show) for name, line in lines_of(report)}
        lines["dialing"] = lines["dialing"].replace("dialing is paused", "paused")  # the name says so already
        print_fields(lines, zone)
    if found:
        sys.exit(FAILED)


def _document(report: StatusReport, zone: ZoneInfo) -> dict[str, object]:
    """Return the status for programs."""
    show, daemon, backup = partial(in_zone, zone), report.daemon, report.backup
    found = errors(report)
    return {
        "ok": not found,
        "errors": [text_of(each, show) for each in found],
        "pauses": [text_of(each, show) for each in report.pauses],
        "warnings": [text_of(each, show) for each in report.warnings],
        "daemon": None if isinstance(daemon, str) else asdict(daemon),
        "daemons": [
            {name: getattr(each, name) for name in _SHOWN} | {"jobs": sorted(each.jobs)} for each in report.daemons
        ],
        **asdict(report.glance),
        "uncallable": report.uncallable,
        "results": None if report.backlog is None else asdict(report.backlog),
        "last_import": None if report.last_import is None else import_columns(report.last_import),
        "disk_free_bytes": report.free_bytes,
        "backup_age_seconds": int(backup.total_seconds()) if isinstance(backup, timedelta) else None,
    }


_SHOWN: Final = ("host", "pid", "part", "version", "started_at", "seen_at")
"""What the document for programs has about each daemon, in addition to its jobs."""


def ask_daemon(web: WebConfig, *, patience: float = PATIENCE) -> DaemonReport | str:
    """Return the status of the daemon, after at most `patience` seconds, or a sentence on why it is unknown."""
    import ssl  # noqa: PLC0415 - slow to import, and only this command asks the daemon

    import httpx  # noqa: PLC0415 - the same

    if web.local_url is None:
        return "nobody can be asked: [web].port is 0, a port that the daemon chooses at each start"
    url = f"{web.local_url}/health/status"
    place = url if shown_host(web.host) == web.host else f"the configured host, port {web.port}"
    try:
        # The address is plain HTTP: a context that trusts nobody saves reading all certificates.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        answer = httpx.get(url, timeout=patience, trust_env=False, verify=context)
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


def another_database(config: Config) -> str:
    """Return a sentence about a daemon that answers at our address, but uses another database."""
    answers = f"another reminderd answers at port {config.web.port}"
    return f"{answers}: it does not use {config.database.target.shown_name}; name its configuration by --config FILE"


@click.command()
@click.option("--reason", help="Why; shown by list and show. Phone numbers in it are masked.")
@with_database_of_config
def pause(config: Config, reason: str | None) -> None:
    """Pause all dialing, now and after every restart, until resume; calls under way end as usual."""
    with existing_database(config) as connection:
        is_new = write_now(connection, partial(set_pause, on=True, reason=reason, actor=actor()))
    if is_new:
        click.echo("dialing is paused; reminderd resume ends it")
    else:
        click.echo("dialing was paused already" + ("" if reason is None else "; the reason is recorded"))


@click.command()
@with_database_of_config
def resume(config: Config) -> None:
    """Resume dialing. Reminders whose time limit has passed meanwhile expire."""
    with existing_database(config) as connection:
        was_paused = write_now(connection, partial(set_pause, on=False, reason=None, actor=actor()))
        click.echo("dialing is resumed" if was_paused else "dialing was not paused")
        warn_if_paused(config, connection)


@click.command()
@of_days
@as_json_or_csv
@with_config
def report(config: Config, day: str | None, first: str | None, last: str | None, form: str | None) -> None:
    """Report the outcome of a day's reminders, today's by default. Those that need a human come first.

    Reminders of other days that wait for a decision, because their phone number was changed, are listed at the end.
    """
    zone = config.calling.zone
    mistakes: list[str] = []
    since, until = span_of("today" if day is first is last is None else day, first, last, zone, mistakes)
    if mistakes:
        wrong_usage(mistakes)
    with read_only_database(config) as connection:
        found = snapshot(connection, partial(report_of, since=since, until=until, now=SystemClock().now()))
        warn_if_paused(config, connection)
    rows, others, counts = found.rows, found.others, found.totals
    if form == "json":
        shown: dict[str, object] = {"totals": {word.value: counts[word] for word in Outcome}}
        for name, some in (("reminders", rows), ("other_days", others)):
            shown[name] = [{column: row[column] for column in COLUMNS} for row in some]
        print_json(shown | {"imports": [import_columns(record) for record in found.imports]}, zone)
    elif form == "csv":
        sys.stdout.write(report_csv((*rows, *others), zone))
    else:
        if rows:
            print_table([row_in_words(row) for row in rows], COLUMNS, zone)
        click.echo(", ".join(f"{counts[word]} {word}" for word in Outcome if counts[word]) or "no reminders")
        if others:
            needs = "needs a decision, on another day" if len(others) == 1 else "need a decision, on other days"
            click.echo(f"also {needs}: accept the new number, or cancel")
            print_table([row_in_words(row) for row in others], COLUMNS, zone)
        need = found.need_human
        if rows or others:
            click.echo(f"{need} {'needs' if need == 1 else 'need'} a human" if need else "nobody needs a human")
        for record in found.imports:
            click.echo(f"imported {moment_in_words(record.at, zone)}: {file_with_result_text(record)}")
