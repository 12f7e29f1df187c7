"""List reminders, and report the outcome of a day: by status, answer, phone number, day or range of days."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import click

from reminderd.cli.common import as_json, as_json_or_csv, database_to_look_at, with_config, wrong
from reminderd.cli.output import import_columns, print_csv, print_json, print_table, spoken
from reminderd.cli.status import say_if_paused
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.core.imports import ImportRecord, summary
from reminderd.core.model import Response, Status
from reminderd.core.outcomes import NEED_A_HUMAN, Outcome, outcome
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.schedule.dates import FIRST_YEAR, LAST_YEAR
from reminderd.store.import_records import imports_between
from reminderd.store.queries import Value, Wanted, list_reminders
from reminderd.store.sqlite.driver import Connection, snapshot

_COLUMNS: Final = ("id", "ref", "phone_number", "scheduled_at", "status", "response", "attempts", "wake_at", "why")
_TABLE_LIMIT: Final = 200
_DAY: Final = timedelta(days=1)

Row = dict[str, Value]

_REPORT_COLUMNS: Final = ("outcome", "call_outcome", "scheduled_at", "ref", "phone_number", "why", "attempts", "id")

_UNDECIDED: Final = Wanted(status=Status.SCHEDULED, needs_human=True)
"""Those that wait for staff to accept a changed phone number, or to cancel."""

_ORDER: Final = {word: place for place, word in enumerate(Outcome)}

_CODES: Final = {str(code): code for code in EndCode}

_HOLDS: Final = {str(code): code for code in HoldCode}


def of_days(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options for a day, or a range of days."""
    for option in (
        click.option("--to", "last", metavar="DATE", help="The last day of a range."),
        click.option("--from", "first", metavar="DATE", help="The first day of a range."),
        click.option("--date", "day", metavar="DATE", help="One day: YYYY-MM-DD, today, tomorrow or yesterday."),
    ):
        command = option(command)
    return command


@click.command(name="list")
@click.option("--status", type=click.Choice([status.value for status in Status]), help="Only those with this status.")
@click.option(
    "--response", type=click.Choice([word.value for word in Response]), help="Only those with this answer by key press."
)
@click.option("--phone", metavar="DIGITS", help="Only those whose phone number ends with these digits.")
@click.option("--needs-human", is_flag=True, help="Only those that need a human.")
@of_days
@click.option(
    "--limit", type=click.IntRange(1, 2**31), help=f"At most this many; else {_TABLE_LIMIT} in a table, all in JSON."
)
@as_json
@with_config
def list_(
    config: Config,
    /,
    day: str | None,
    first: str | None,
    last: str | None,
    limit: int | None,
    *,
    needs_human: bool,
    as_json: bool,
    **filters: str | None,
) -> None:
    """List reminders by their time."""
    status, phone = filters["status"], filters["phone"]
    zone = config.calling.zone
    mistakes = [] if phone is None or phone.isdigit() else ["--phone: expected the last digits of a number"]
    since, until = span_of(day, first, last, zone, mistakes)
    if mistakes:
        wrong(mistakes)
    wanted = Wanted(
        status=None if status is None else Status(status),
        since=since,
        until=until,
        phone_ending=phone,
        response=filters["response"],
        needs_human=needs_human,
    )
    most = limit if limit is not None or as_json else _TABLE_LIMIT
    with database_to_look_at(config) as connection:
        one_more = None if most is None else most + 1
        rows = snapshot(connection, partial(list_reminders, wanted=wanted, limit=one_more))
        say_if_paused(config, connection)
    shown = rows[:most]
    if as_json:
        print_json(shown, zone)
    elif not shown:
        click.echo("no reminders")
    else:
        print_table([_for_people(row) for row in shown], _COLUMNS, zone)
        if len(rows) > len(shown):
            click.echo("there are more; --limit shows them")


def _for_people(row: dict[str, Value]) -> dict[str, Value]:
    """Return a row for people: with its reason, and with `wake_at` only where that is another time."""
    wake_at = None if row["wake_at"] == row["scheduled_at"] else row["wake_at"]
    return row | {"ref": _ref(row), "why": row["last_error"] or row["hold_reason"], "wake_at": wake_at}


def _ref(row: Row) -> Value:
    """Return the name by which staff know a reminder: its own, or that of its appointment."""
    return row["ref"] or row.get("appointment_ref")


def span_of(
    day: str | None, first: str | None, last: str | None, zone: ZoneInfo, mistakes: list[str]
) -> tuple[datetime | None, datetime | None]:
    """Return the first moment, and the one after the last, in `zone`; None: no limit. Errors go to `mistakes`."""
    if day is not None and (first is not None or last is not None):
        mistakes.append("--date: with --from or --to; expected the one or the other")
    begin = _date(first if day is None else day, "--from" if day is None else "--date", zone, mistakes)
    end = _date(last, "--to", zone, mistakes) if day is None else begin
    if begin is not None and end is not None and end < begin:
        mistakes.append("--to: before --from; expected the same day or a later one")
    return (
        None if begin is None else _midnight(begin, zone),
        None if end is None else _midnight(end + _DAY, zone),
    )


def _date(text: str | None, option: str, zone: ZoneInfo, mistakes: list[str]) -> date | None:
    if text is None:
        return None
    today = SystemClock().now().astimezone(zone).date()
    spoken = {"yesterday": today - _DAY, "today": today, "tomorrow": today + _DAY}
    if text in spoken:
        return spoken[text]
    try:
        asked = date.fromisoformat(text)
    except ValueError:
        mistakes.append(f"{option}: not a date; expected YYYY-MM-DD, today, tomorrow or yesterday")
        return None
    if not FIRST_YEAR <= asked.year <= LAST_YEAR:
        mistakes.append(f"{option}: the year {asked.year}; expected one from {FIRST_YEAR} to {LAST_YEAR}")
        return None
    return asked


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time.min, tzinfo=zone)


@click.command()
@of_days
@as_json_or_csv
@with_config
def report(config: Config, day: str | None, first: str | None, last: str | None, form: str | None) -> None:
    """Report the outcome of a day's reminders, today's by default; those that need a human first.

    Reminders of other days that wait for a decision, because their phone number was changed, are listed at the end.
    """
    zone = config.calling.zone
    mistakes: list[str] = []
    since, until = span_of("today" if day is first is last is None else day, first, last, zone, mistakes)
    if mistakes:
        wrong(mistakes)
    wanted = Wanted(since=since, until=until)
    with database_to_look_at(config) as connection:
        rows, undecided = (
            [_with_outcome(row) for row in snapshot(connection, partial(list_reminders, wanted=each, limit=None))]
            for each in (wanted, _UNDECIDED)
        )
        say_if_paused(config, connection)
        imports = _imports_of(connection, since, until)
    of_the_day = {row["id"] for row in rows}
    others = [row for row in undecided if row["id"] not in of_the_day]
    rows.sort(key=lambda row: _ORDER[Outcome(str(row["outcome"]))])  # a stable sort: by time within an outcome
    counts = Counter(Outcome(str(row["outcome"])) for row in rows)
    if form == "json":
        totals = {word.value: counts[word] for word in Outcome}
        print_json(
            {
                "totals": totals,
                "reminders": [_columns(row) for row in rows],
                "other_days": [_columns(row) for row in others],
                "imports": [import_columns(record) for record in imports],
            },
            zone,
        )
    elif form == "csv":
        print_csv([_in_words(row) for row in (*rows, *others)], _REPORT_COLUMNS, partial(_as_text, zone=zone))
    else:
        if rows:
            print_table([_in_words(row) for row in rows], _REPORT_COLUMNS, zone)
        click.echo(", ".join(f"{counts[word]} {word}" for word in Outcome if counts[word]) or "no reminders")
        if others:
            needs = "needs a decision, on another day" if len(others) == 1 else "need a decision, on other days"
            click.echo(f"also {needs}: accept the new number, or cancel")
            print_table([_in_words(row) for row in others], _REPORT_COLUMNS, zone)
        need = sum(counts[word] for word in NEED_A_HUMAN) + len(others)
        if rows or others:
            click.echo(f"{need} {'needs' if need == 1 else 'need'} a human" if need else "nobody needs a human")
        for record in imports:
            click.echo(f"imported {spoken(record.at, zone)}: {summary(record)}")


def _imports_of(connection: Connection, since: datetime | None, until: datetime | None) -> list[ImportRecord]:
    """Return the imports of the days of a report."""
    span = partial(imports_between, since=since or datetime.min.replace(tzinfo=UTC), until=until or SystemClock().now())
    return snapshot(connection, span)


def _with_outcome(row: Row) -> Row:
    response, code = row["response"], row["end_code"]
    word = outcome(
        Status(str(row["status"])),
        None if response is None else str(response),
        _CODES.get(str(code)),
        _HOLDS.get(str(row["hold_code"])),
        is_done=row["done_at"] is not None,
    )
    return row | {"outcome": word.value, "ref": _ref(row), "why": row["last_error"] or row["hold_reason"]}


def _in_words(row: Row) -> Row:
    """Return a row for people: no code is left in it."""
    return row | {"call_outcome": None if row["call_outcome"] is None else str(row["call_outcome"]).replace("_", " ")}


def _columns(row: Row) -> Row:
    return {name: row[name] for name in _REPORT_COLUMNS}


def _as_text(value: Value, zone: ZoneInfo) -> str:
    if isinstance(value, datetime):
        return f"{value.astimezone(zone):%Y-%m-%d %H:%M}"
    return "" if value is None else str(value)
