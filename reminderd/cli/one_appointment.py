"""Add, list, show, move or cancel appointments at the front desk; `[reminders]` decides which calls are planned."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final
from uuid import uuid4

import click

from reminderd.cli.common import (
    actor,
    as_json,
    database,
    existing_database,
    fail,
    patients_language,
    patients_phone,
    patients_zone,
    read_only_database,
    warn_if_paused,
    with_config,
    write_now,
    wrong_fields,
    wrong_usage,
)
from reminderd.cli.lists import TABLE_LIMIT, at_most, of_days, span_of
from reminderd.cli.output import moment_in_words, print_fields, print_json, print_table
from reminderd.config import Config, reading_of, rules_of
from reminderd.core.booking import AppointmentRequest, AppointmentText, read_appointment
from reminderd.core.model import Status
from reminderd.core.requests import read_moment
from reminderd.core.sentences import NotAllowedError
from reminderd.core.upsert import Intake
from reminderd.store.appointments import (
    StoredAppointment,
    add_appointment,
    cancel_appointment,
    find_appointment,
    list_appointments,
    move_appointment,
    stored_appointment,
)
from reminderd.store.connection import snapshot
from reminderd.store.intake import RefTakenError, Source

_COLUMNS: Final = ("ref", "at", "phone_number", "name", "type", "status", "response", "why", "id")
_REMINDER_COLUMNS: Final = ("cadence", "scheduled_at", "status", "response", "attempts", "why", "id")
_OPTIONS: Final = {"phone_number": "phone"}


@click.group()
def appointment() -> None:
    """Add, list, show, move or cancel appointments.

    Their calls are planned as [reminders] in the configuration says.
    """


@appointment.command(short_help="Add an appointment, and plan its calls.")
@patients_phone
@click.option("--at", required=True, help="When it is: YYYY-MM-DD HH:MM in the clinic's zone, or with an offset.")
@click.option("--ref", help="Your own unique name for it; shown in lists.")
@click.option("--type", help="What kind of appointment it is, in your own words.")
@click.option("--template", help="The name of a template in [messages.templates]. Default: that of [reminders].")
@click.option("--name", help="The patient's name, as it is to be spoken.")
@click.option("--provider", help="Who the patient sees.")
@click.option("--place", help="Where it is.")
@click.option("--patient", "patient_ref", help="Your own name for the patient.")
@patients_language
@patients_zone
@as_json
@with_config
def add(config: Config, /, *, phone_number: str, at: str, as_json: bool, **others: str | None) -> None:
    """Add an appointment, and plan its calls."""
    wanted = read_appointment(AppointmentText(phone_number=phone_number, at=at, **others), reading_of(config))
    if not isinstance(wanted, AppointmentRequest):
        wrong_fields(wanted, _OPTIONS)
    by = Source(actor=actor())
    put = partial(add_appointment, request=wanted, rules=rules_of(config), mint=_new_id, source=by)
    with database(config) as connection:
        try:
            decision, found = write_now(connection, put)
        except RefTakenError as error:
            taken = f"not added: the appointment {error} has this ref already"
            fail(f"{taken}; to give it another time: reminderd appointment move")
    if found is None:
        fail(f"not added: {decision.reason}")
    if as_json:
        print_json(_document(found), config.calling.zone)
    else:
        done = "is there already, unchanged" if decision.intake is Intake.UNCHANGED else "added"
        click.echo(f"{done}: {found.appointment['id']}")
        _print_plan(config, found)
        if not any(str(found.appointment["last_error"]) in warning for warning in decision.warnings):
            _print_note(found)
    for warning in decision.warnings:
        click.echo(f"warning: {warning}", err=True)


@appointment.command(name="list")
@of_days
@at_most
@as_json
@with_config
def list_(
    config: Config, /, day: str | None, first: str | None, last: str | None, limit: int | None, *, as_json: bool
) -> None:
    """List appointments by their time."""
    zone, mistakes = config.calling.zone, list[str]()
    since, until = span_of(day, first, last, zone, mistakes)
    if mistakes:
        wrong_usage(mistakes)
    most = limit if limit is not None or as_json else TABLE_LIMIT
    with read_only_database(config) as connection:
        rows = snapshot(connection, partial(list_appointments, since=since, until=until, limit=most))
    if as_json:
        print_json(rows, zone)
    elif rows:
        print_table([row | {"why": row["last_error"]} for row in rows], _COLUMNS, zone)
    else:
        click.echo("no appointments")


@appointment.command(short_help="Show an appointment with all its reminders.")
@click.argument("name", metavar="ID")
@as_json
@with_config
def show(config: Config, name: str, *, as_json: bool) -> None:
    """Show an appointment, by id or ref, with all its reminders. reminderd show shows the calls of one reminder."""
    zone = config.calling.zone
    with read_only_database(config) as connection:
        found = snapshot(connection, partial(stored_appointment, id_or_ref=name))
        warn_if_paused(config, connection)
    if found is None:
        fail(f"no appointment has the id or ref {name}")
    if as_json:
        print_json(_document(found), zone)
        return
    print_fields(found.appointment, zone)
    if found.reminders:
        rows = [row | {"why": row["last_error"] or row["hold_reason"]} for row in found.reminders]
        print_table(rows, _REMINDER_COLUMNS, zone, title="reminders")
    else:
        click.echo("no reminders")


@appointment.command(short_help="Give an appointment another time.")
@click.argument("name", metavar="ID")
@click.option("--to", "at", required=True, help="When it is now: YYYY-MM-DD HH:MM, or with an offset.")
@as_json
@with_config
def move(config: Config, name: str, at: str, *, as_json: bool) -> None:
    """Give an appointment, by id or ref, another time.

    Its calls are planned again. No more calls are placed for the old time.
    """
    mistakes: list[str] = []
    moment = read_moment("--to", at, config.calling.local_zone, None, mistakes)
    if moment is None:
        wrong_usage(mistakes)
    _change(config, name, partial(move_appointment, at=moment, mint=_new_id), "moved", as_json=as_json)


@appointment.command(short_help="Cancel an appointment: nobody is called for it.")
@click.argument("name", metavar="ID")
@as_json
@with_config
def cancel(config: Config, name: str, *, as_json: bool) -> None:
    """Cancel an appointment, by id or ref, with its waiting reminders; nobody is called for it."""
    _change(config, name, cancel_appointment, "cancelled", as_json=as_json)


def _change(config: Config, name: str, change: Callable[..., object], done: str, *, as_json: bool) -> None:
    """Change the appointment with this name, and print its new state, or that the change is not `done`."""
    with existing_database(config) as connection:
        one = snapshot(connection, partial(find_appointment, id_or_ref=name))
        if one is None:
            fail(f"no appointment has the id or ref {name}")
        by = Source(actor=actor())
        try:
            write_now(connection, partial(change, appointment_id=one.id, rules=rules_of(config), source=by))
        except NotAllowedError as error:
            fail(f"not {done}: {error}")
        found = snapshot(connection, partial(stored_appointment, id_or_ref=one.id))
    if found is None:
        fail(f"{one.id} is deleted")
    if as_json:
        print_json(_document(found), config.calling.zone)
        return
    click.echo(f"{found.appointment['ref'] or one.id} is {done}")
    _print_plan(config, found)
    _print_note(found)


def _new_id() -> str:
    return str(uuid4())


def _print_plan(config: Config, found: StoredAppointment) -> None:
    zone = config.calling.zone
    for one in found.reminders:
        at = one["scheduled_at"]
        if one["status"] == Status.SCHEDULED and isinstance(at, datetime):
            held = "" if one["hold_reason"] is None else f", held: {one['hold_reason']}"
            click.echo(f"call planned for {moment_in_words(at, zone)} ({one['cadence']}){held}")


def _print_note(found: StoredAppointment) -> None:
    if found.appointment["last_error"] is not None:
        click.echo(f"note: {found.appointment['last_error']}")


def _document(found: StoredAppointment) -> dict[str, object]:
    return {**found.appointment, "reminders": found.reminders}
