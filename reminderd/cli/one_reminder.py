"""Add, show, cancel, accept, call again or finish one reminder, at the front desk."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final, NoReturn
from uuid import uuid4
from zoneinfo import ZoneInfo

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
from reminderd.cli.output import moment_in_words, print_fields, print_json, print_table
from reminderd.clock import SystemClock
from reminderd.config import Config, reading_of, rules_of
from reminderd.core.requests import ReminderRequest, RequestText, note_mistake, read_request, why_too_late
from reminderd.core.sentences import NotAllowedError, text_of
from reminderd.staff.acts import RequestedAct, StaffAct, perform, reminders_to_act_on
from reminderd.staff.adding import add_one
from reminderd.staff.history import Event, record_of
from reminderd.store import queries
from reminderd.store.appointments import find_appointment
from reminderd.store.connection import Connection, snapshot
from reminderd.store.intake import RefTakenError, Source
from reminderd.store.queries import ShownValue
from reminderd.store.rows import CALLS, Audience

_OPTIONS = {"phone_number": "phone", "scheduled_at": "at", "expires_at": "expires", "appointment_at": "appointment"}
"""The options of `add` whose names are not those of their columns."""

_CODES: Final = frozenset({"hold_code", "end_code"})
"""Columns for programs: `hold_reason` and `last_error` are the sentences for people."""


@click.command()
@patients_phone
@click.option(
    "--at",
    "scheduled_at",
    required=True,
    help="When to call: YYYY-MM-DD HH:MM, in --timezone (default: the clinic's zone), or with an offset like +01:00.",
)
@click.option("--message", help="The message to be spoken. Either this or --template is required.")
@click.option("--template", help="The name of a template in [messages.templates], instead of --message.")
@click.option(
    "--appointment",
    "appointment_at",
    help="The appointment's time, local to the clinic, for a template that mentions it.",
)
@click.option("--ref", help="Your own unique name for the reminder; shown in lists.")
@click.option(
    "--expires", "expires_at", help="No calls from this time on. Default: [calling].max_lateness_minutes after --at."
)
@patients_zone
@patients_language
@click.option("--name", help="The patient's name, for a template that mentions it.")
@click.option("--provider", help="Who the patient sees, for a template that mentions it.")
@click.option("--place", help="Where the appointment is, for a template that mentions it.")
@as_json
@with_config
def add(
    config: Config,
    /,
    *,
    phone_number: str,
    scheduled_at: str,
    as_json: bool,
    **others: str | None,
) -> None:
    """Add one reminder, with a --message or a --template."""
    zone, rules, now = config.calling.zone, rules_of(config), SystemClock().now()
    text = RequestText(phone_number=phone_number, scheduled_at=scheduled_at, **others)
    wanted = read_request(text, reading_of(config))
    if not isinstance(wanted, ReminderRequest):
        wrong_fields(wanted, _OPTIONS)
    late = why_too_late(wanted, rules, now)
    if late is not None:
        fail(f"not added: {late}")
    source = Source(actor=actor())
    write = partial(add_one, request=wanted, reminder_id=str(uuid4()), rules=rules, source=source)
    with database(config) as connection:
        try:
            added = write_now(connection, write)
        except RefTakenError as error:
            fail(f"not added: the reminder {error} has this ref already")
    if as_json:
        print_json(added.reminder, zone)
    else:
        click.echo(f"added {added.reminder['id']}, due {moment_in_words(wanted.scheduled_at, zone)} ({zone})")
    for concern in added.warnings:
        click.echo(f"warning: {concern}", err=True)


@click.command()
@click.argument("reminder", metavar="ID")
@as_json
@with_config
def show(config: Config, reminder: str, *, as_json: bool) -> None:
    """Show one reminder, by id or ref, with every call and every action by staff."""
    zone = config.calling.zone
    with read_only_database(config) as connection:
        row = snapshot(connection, partial(queries.find_reminder, id_or_ref=reminder))
        if row is None:
            _fail_unknown(connection, reminder)
        found = snapshot(connection, partial(record_of, reminder=row))
        warn_if_paused(config, connection)
    if row["appointment_id"] is not None:
        row |= {"appointment_ref": None if found.appointment is None else found.appointment.appointment["ref"]}
    events = [_as_row(event) for event in found.events]
    if as_json:
        print_json(row | {"calls": found.calls, "audit": found.acts, "history": events}, zone)
        return
    print_fields({column: value for column, value in row.items() if column not in _CODES}, zone)
    if found.calls:
        print_table(found.calls, CALLS.shown_to(Audience.STAFF), zone, title="calls")
    for number, call in enumerate(found.calls, 1):
        if call["transcript"] is not None:
            print_fields({"call": number, "transcript": call["transcript"]}, zone)
    print_table(events, ("at", "what", "detail"), zone, title="history")


def _as_row(event: Event) -> dict[str, ShownValue]:
    detail = None if event.detail is None else text_of(event.detail, str)
    return {"at": event.at, "what": text_of(event.what, str), "detail": detail}


_WHICH: Final = (
    "\n\nID is the id or ref of the reminder. The id or ref of its appointment is enough, if only one of its reminders"
    " allows this."
)


def _staff_command(act: StaffAct, summary: str) -> click.Command:
    """Make a command by which staff change the state of one reminder."""

    @click.command(name=act.value, help=f"{summary}{_WHICH}")
    @click.argument("reminder", metavar="ID")
    @as_json
    @with_config
    def command(config: Config, reminder: str, *, as_json: bool) -> None:
        _perform(config, act, reminder, as_json=as_json)

    return command


cancel = _staff_command(StaffAct.CANCEL, "Cancel a reminder: the patient is no longer called.")
accept = _staff_command(
    StaffAct.ACCEPT,
    "Accept the new phone number of a reminder, so that it is called. It is held as an import or the API changed its"
    " number.",
)
call_again = _staff_command(
    StaffAct.CALL_AGAIN,
    "Call again for a reminder that failed, expired or was cancelled. Its calls are counted from 0 again.",
)


@click.command()
@click.argument("reminder", metavar="ID")
@click.option("--note", help="A short note. `show` prints it; it is kept forever, and phone numbers in it are masked.")
@as_json
@with_config
def done(config: Config, reminder: str, note: str | None, *, as_json: bool) -> None:
    """Note that you have called the patient of a reminder yourself.

    A reminder that waits is cancelled, so that the patient is not called again. One that failed or expired, or whose
    patient wants to cancel, keeps its status, and no longer needs a human. The other waiting reminders of its
    appointment are cancelled, too.

    ID is the id or ref of the reminder. The id or ref of its appointment is enough, if only one of its reminders
    allows this.
    """
    mistake = None if note is None else note_mistake(note)
    if mistake is not None:
        wrong_usage([f"--note: {mistake}"])
    _perform(config, StaffAct.DONE, reminder, note=note, as_json=as_json)


def _perform(config: Config, act: StaffAct, name: str, *, note: str | None = None, as_json: bool) -> None:
    """Perform the act on the reminder with this name, and print the reminder's new state."""
    with existing_database(config) as connection:
        asked = RequestedAct(act=act, reminder_id=_id(connection, config, name, act), actor=actor(), note=note)
        try:
            write_now(connection, partial(perform, asked=asked, rules=rules_of(config)))
        except NotAllowedError as error:
            fail(f"{act.refusal}: {error}")
        row = snapshot(connection, partial(queries.reminder_with_id, reminder_id=asked.reminder_id))
    if as_json:
        print_json(row, config.calling.zone)
        return
    row = row or {}
    held = f", and held: {row['hold_reason']}" if row.get("hold_reason") else ""
    done_with = ", and done" if row.get("done_at") else ""
    click.echo(f"{row.get('ref') or asked.reminder_id} is {row.get('status', 'deleted')}{held}{done_with}")


def _id(connection: Connection, config: Config, id_or_ref: str, act: StaffAct) -> str:
    """Return the id of the reminder with this name; of an appointment, return its only reminder that allows the act."""
    row = snapshot(connection, partial(queries.find_reminder, id_or_ref=id_or_ref))
    if row is not None:
        return str(row["id"])
    asked = partial(
        reminders_to_act_on, appointment=id_or_ref, act=act, rules=rules_of(config), now=SystemClock().now()
    )
    found = snapshot(connection, asked)
    if found is None:
        fail(f"no reminder has the id or ref {id_or_ref}")
    allowed = [(row, refusal) for row, refusal in found if refusal is None]
    if len(allowed) != 1:
        several = f"{len(allowed)} of the reminders of the appointment {id_or_ref} allow it; expected the id of one"
        none = f"no reminder of the appointment {id_or_ref} allows it"
        lines = [_choice(row, refusal, config.calling.zone) for row, refusal in allowed or found]
        fail("\n".join([f"{act.refusal}: {several if allowed else none}", *lines]))
    return str(allowed[0][0]["id"])


def _choice(row: Mapping[str, ShownValue], refusal: NotAllowedError | None, zone: ZoneInfo) -> str:
    at = row["scheduled_at"]
    due = f", due {moment_in_words(at, zone)}" if isinstance(at, datetime) else ""
    return f"  {row['id']}{due}: {row['status'] if refusal is None else refusal}"


def _fail_unknown(connection: Connection, name: str) -> NoReturn:
    """End with the error that no reminder has this name, and what to do if it is an appointment's, which lists show."""
    if snapshot(connection, partial(find_appointment, id_or_ref=name)) is not None:
        lists = f"reminderd appointment show {name} lists their ids"
        fail(f"{name} is an appointment, and may have several reminders; expected the id of one: {lists}")
    fail(f"no reminder has the id or ref {name}")
