"""List reminders by status, answer, phone number, day or range of days."""

from collections.abc import Callable
from datetime import date, datetime
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import click

from reminderd.cli.common import as_json, read_only_database, warn_if_paused, with_config, wrong_usage
from reminderd.cli.output import print_json, print_table
from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.core.model import Response, Status
from reminderd.core.schedule.dates import DAY, day_of, midnight
from reminderd.store.connection import snapshot
from reminderd.store.queries import ReminderFilter, ShownValue, list_reminders, name_of

_COLUMNS: Final = ("id", "ref", "phone_number", "scheduled_at", "status", "response", "attempts", "wake_at", "why")
TABLE_LIMIT: Final = 200
at_most = click.option(
    "--limit",
    type=click.IntRange(1, 2**31),
    help=f"Show at most this many. Default: {TABLE_LIMIT} in a table; no limit in JSON.",
)


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
@at_most
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
    is_ending = phone is None or (phone.isascii() and phone.isdigit())
    mistakes = [] if is_ending else ["--phone: expected the last digits of a number, from 0 to 9"]
    since, until = span_of(day, first, last, zone, mistakes)
    if mistakes:
        wrong_usage(mistakes)
    wanted = ReminderFilter(
        status=None if status is None else Status(status),
        since=since,
        until=until,
        phone_ending=phone,
        response=filters["response"],
        needs_human=needs_human,
    )
    most = limit if limit is not None or as_json else TABLE_LIMIT
    with read_only_database(config) as connection:
        one_more = None if most is None else most + 1
        rows = snapshot(connection, partial(list_reminders, wanted=wanted, limit=one_more))
        warn_if_paused(config, connection)
    shown = rows[:most]
    if as_json:
        print_json(shown, zone)
    elif not shown:
        click.echo("no reminders")
    else:
        print_table([_for_people(row) for row in shown], _COLUMNS, zone)
        if len(rows) > len(shown):
            click.echo("there are more; --limit shows them")


def _for_people(row: dict[str, ShownValue]) -> dict[str, ShownValue]:
    """Return a row for people, with its reason; `wake_at` is shown only if it is another time than the reminder's."""
    wake_at = None if row["wake_at"] == row["scheduled_at"] else row["wake_at"]
    return row | {"ref": name_of(row), "why": row["last_error"] or row["hold_reason"], "wake_at": wake_at}


def span_of(
    day: str | None, first: str | None, last: str | None, zone: ZoneInfo, mistakes: list[str]
) -> tuple[datetime | None, datetime | None]:
    """Return the first moment and the first one after the span, or None for no limit. Add errors to `mistakes`."""
    if day is not None and (first is not None or last is not None):
        mistakes.append("--date: with --from or --to; expected the one or the other")
    begin = _date(first if day is None else day, "--from" if day is None else "--date", zone, mistakes)
    end = _date(last, "--to", zone, mistakes) if day is None else begin
    if begin is not None and end is not None and end < begin:
        mistakes.append("--to: before --from; expected the same day or a later one")
    return (
        None if begin is None else midnight(begin, zone),
        None if end is None else midnight(end + DAY, zone),
    )


def _date(text: str | None, option: str, zone: ZoneInfo, mistakes: list[str]) -> date | None:
    if text is None:
        return None
    try:
        return day_of(text, SystemClock().now().astimezone(zone).date())
    except ValueError as error:
        mistakes.append(f"{option}: {error}")
        return None
