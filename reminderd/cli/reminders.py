"""The front desk's commands about one reminder: add, show, cancel, accept, call-again."""

from collections.abc import Iterator
from functools import partial
from typing import TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import click

from reminderd.cli.common import (
    actor,
    database,
    database_to_look_at,
    existing_database,
    fail,
    say_if_paused,
    with_config,
    wrong,
)
from reminderd.cli.history import history
from reminderd.cli.output import print_fields, print_json, print_table, spoken
from reminderd.clock import SystemClock
from reminderd.config import Config, numbering_of, rules_of, templates_of
from reminderd.core.phone import patient_number
from reminderd.core.requests import Reading, ReminderRequest, RequestText, read_request, too_late, warnings_of
from reminderd.core.rules import Rules
from reminderd.store import queries, reminders
from reminderd.store.opt_outs import opted_out
from reminderd.store.sqlite.transaction import snapshot, transaction

T = TypeVar("T")

_CALL_COLUMNS = ("state", "status", "outcome", "answered_by", "requests", "checks", "external_call_id", "error")
_OPTIONS = {"phone_number": "phone", "scheduled_at": "at", "expires_at": "expires", "appointment_at": "appointment"}
"""The options of `add` that are called otherwise than their column."""

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for programs.")


@click.command()
@click.option("--phone", required=True, help="The patient's number, like +12025550147, or as dialed in your country.")
@click.option(
    "--at",
    required=True,
    help="When to call: YYYY-MM-DD HH:MM, in --timezone, else in the clinic's zone, or with an offset like +01:00.",
)
@click.option("--message", help="The message to be spoken.")
@click.option("--template", help="Or the name of a template in [messages.templates].")
@click.option("--appointment", help="The appointment's time, local to the clinic, for a template that mentions it.")
@click.option("--ref", help="Your own unique name for the reminder; shown in lists.")
@click.option("--expires", help="Not to be called from this time on; else [calling].max_lateness_minutes after --at.")
@click.option("--timezone", help="The patient's time zone, like America/New_York; else the clinic's.")
@as_json
@with_config
def add(
    config: Config,
    phone: str,
    at: str,
    message: str | None,
    template: str | None,
    appointment: str | None,
    ref: str | None,
    expires: str | None,
    timezone: str | None,
    *,
    as_json: bool,
) -> None:
    """Add one reminder."""
    zone, rules, now = config.calling.zone, rules_of(config), SystemClock().now()
    text = RequestText(
        phone_number=phone,
        message=message,
        scheduled_at=at,
        expires_at=expires,
        timezone=timezone,
        ref=ref,
        template=template,
        appointment_at=appointment,
    )
    reading = Reading(
        zone=config.calling.local_zone,
        normalize=partial(patient_number, numbering=numbering_of(config)),
        templates=templates_of(config),
    )
    wanted = read_request(text, reading)
    if not isinstance(wanted, ReminderRequest):
        wrong([_option(line) for line in wanted])
    late = too_late(wanted, rules, now)
    if late is not None:
        fail(f"not added: {late}")
    reminder_id = str(uuid4())
    source = reminders.Source(actor=actor())
    try:
        _write(config, partial(reminders.add, request=wanted, reminder_id=reminder_id, source=source))
    except reminders.RefTakenError as error:
        fail(f"not added: the reminder {error} has this ref already")
    if as_json:
        _print_one(config, reminder_id, zone)
    else:
        click.echo(f"added {reminder_id}, due {spoken(wanted.scheduled_at, zone)} ({zone})")
    for concern in _concerns(config, wanted, rules):
        click.echo(f"warning: {concern}", err=True)


def _concerns(config: Config, wanted: ReminderRequest, rules: Rules) -> Iterator[str]:
    """Yield what staff should look at again: why the patient will not be called as things stand, what is misspoken."""
    with existing_database(config) as connection:
        is_out = snapshot(connection, partial(opted_out, phone_number=wanted.phone_number))
        rewritten = snapshot(connection, partial(reminders.look_alikes, added=[wanted]))
    yield from warnings_of(wanted, rules, opted_out=is_out)
    for warnings in rewritten.values():
        yield from warnings


@click.command()
@click.argument("reminder", metavar="ID")
@as_json
@with_config
def show(config: Config, reminder: str, *, as_json: bool) -> None:
    """Show one reminder, by id or ref, with every call and every action by staff."""
    zone = config.calling.zone
    with database_to_look_at(config) as connection:
        row = snapshot(connection, partial(queries.find_reminder, id_or_ref=reminder))
        if row is None:
            fail(f"no reminder has the id or ref {reminder}")
        calls = snapshot(connection, partial(queries.calls_of, reminder_id=str(row["id"])))
        others = snapshot(connection, partial(queries.bundled_with, reminder_id=str(row["id"])))
        acts = snapshot(connection, partial(queries.acts_on, reminder_id=str(row["id"])))
        say_if_paused(config, connection)
    events = history(row, calls, acts, others)
    if as_json:
        print_json(row | {"calls": calls, "audit": acts, "history": events}, zone)
        return
    print_fields(row, zone)
    if calls:
        print_table(calls, _CALL_COLUMNS, zone, title="calls")
    for number, call in enumerate(calls, 1):
        if call["transcript"] is not None:
            print_fields({"call": number, "transcript": call["transcript"]}, zone)
    print_table(events, ("at", "what", "detail"), zone, title="history")


@click.command()
@click.argument("reminder", metavar="ID")
@as_json
@with_config
def cancel(config: Config, reminder: str, *, as_json: bool) -> None:
    """Cancel a reminder: the patient is not called any more."""
    found = _id(config, reminder)
    source = reminders.Source(actor=actor())
    _write(config, partial(reminders.cancel, reminder_id=found, rules=rules_of(config), source=source))
    _say(config, found, as_json=as_json)


@click.command()
@click.argument("reminder", metavar="ID")
@as_json
@with_config
def accept(config: Config, reminder: str, *, as_json: bool) -> None:
    """Accept the new phone number of a reminder that is held because an import or the API changed it."""
    found = _id(config, reminder)
    source = reminders.Source(actor=actor())
    _write(config, partial(reminders.accept, reminder_id=found, rules=rules_of(config), source=source))
    _say(config, found, as_json=as_json)


@click.command(name="call-again")
@click.argument("reminder", metavar="ID")
@as_json
@with_config
def call_again(config: Config, reminder: str, *, as_json: bool) -> None:
    """Call again for a reminder that failed, expired or was cancelled; its count of calls starts anew."""
    found = _id(config, reminder)
    source = reminders.Source(actor=actor())
    _write(config, partial(reminders.call_again, reminder_id=found, rules=rules_of(config), source=source))
    _say(config, found, as_json=as_json)


def _option(mistake: str) -> str:
    """A mistake that names a field, naming the option instead."""
    field, colon, text = mistake.partition(":")
    return f"--{_OPTIONS.get(field, field)}{colon}{text}"


def _write(config: Config, fn: "partial[T]") -> T:
    with database(config) as connection:
        return transaction(connection, fn, SystemClock().now())


def _id(config: Config, id_or_ref: str) -> str:
    with existing_database(config) as connection:
        row = snapshot(connection, partial(queries.find_reminder, id_or_ref=id_or_ref))
    if row is None:
        fail(f"no reminder has the id or ref {id_or_ref}")
    return str(row["id"])


def _say(config: Config, reminder_id: str, *, as_json: bool) -> None:
    if as_json:
        _print_one(config, reminder_id, config.calling.zone)
        return
    with existing_database(config) as connection:
        row = snapshot(connection, partial(queries.reminder_with_id, reminder_id=reminder_id)) or {}
    held = f", and held: {row['hold_reason']}" if row.get("hold_reason") else ""
    click.echo(f"{reminder_id} is {row.get('status', 'deleted')}{held}")


def _print_one(config: Config, reminder_id: str, zone: ZoneInfo) -> None:
    with database(config) as connection:
        print_json(snapshot(connection, partial(queries.reminder_with_id, reminder_id=reminder_id)), zone)
