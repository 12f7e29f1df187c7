"""Add, show, cancel, accept, call again or finish one reminder, at the front desk."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from operator import itemgetter
from typing import Final, NoReturn, TypeVar
from uuid import uuid4
from zoneinfo import ZoneInfo

import click

from reminderd.cli.common import (
    actor,
    as_json,
    database,
    database_to_look_at,
    existing_database,
    fail,
    with_config,
    wrong,
)
from reminderd.cli.output import in_words, print_fields, print_json, print_table, spoken
from reminderd.cli.status import say_if_paused
from reminderd.clock import SystemClock
from reminderd.config import Config, numbering_of, rules_of, templates_of
from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.model import CallState, Status
from reminderd.core.phone import patient_number
from reminderd.core.requests import (
    Reading,
    ReminderRequest,
    RequestText,
    read_request,
    too_late,
    warnings_of,
    wrong_note,
)
from reminderd.core.rules import Rules
from reminderd.store import queries, reminders
from reminderd.store.appointments import find_appointment
from reminderd.store.opt_outs import opted_out
from reminderd.store.queries import Value
from reminderd.store.rows import CALLS, Shown
from reminderd.store.sqlite.driver import Connection, snapshot, transaction

T = TypeVar("T")

_OPTIONS = {"phone_number": "phone", "scheduled_at": "at", "expires_at": "expires", "appointment_at": "appointment"}
"""The options of `add` that have another name than their column."""

_CODES: Final = frozenset({"hold_code", "end_code"})
"""Columns for programs: `hold_reason` and `last_error` are the sentences for people."""

Row = Mapping[str, Value]

_NOBODY: Final[Mapping[str, Sequence[str]]] = {}
_CLOSED_BY_US: Final = frozenset({CallState.REFUSED, CallState.NOT_PLACED, CallState.UNREPORTED})


@click.command()
@click.option(
    "--phone",
    "phone_number",
    required=True,
    help="The patient's number, like +12025550147, or as dialed in your country.",
)
@click.option(
    "--at",
    "scheduled_at",
    required=True,
    help="When to call: YYYY-MM-DD HH:MM, in --timezone (default: the clinic's zone), or with an offset like +01:00.",
)
@click.option("--message", help="The message to be spoken.")
@click.option("--template", help="Or the name of a template in [messages.templates].")
@click.option(
    "--appointment",
    "appointment_at",
    help="The appointment's time, local to the clinic, for a template that mentions it.",
)
@click.option("--ref", help="Your own unique name for the reminder; shown in lists.")
@click.option(
    "--expires", "expires_at", help="No calls from this time on. Default: [calling].max_lateness_minutes after --at."
)
@click.option("--timezone", help="The patient's time zone, like America/New_York. Default: the clinic's.")
@click.option("--language", help="The patient's language, like es or pt-BR. Default: the clinic's.")
@click.option("--name", help="The patient's name, for a template that mentions it.")
@click.option("--provider", help="Whom the patient sees, for a template that mentions it.")
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
    """Add one reminder."""
    zone, rules, now = config.calling.zone, rules_of(config), SystemClock().now()
    text = RequestText(phone_number=phone_number, scheduled_at=scheduled_at, **others)
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
    """Yield what staff should look at again: why the patient will not be called as it stands, what is misspoken."""
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
            _fail_unknown(connection, reminder)
        calls = snapshot(connection, partial(queries.calls_of, reminder_id=str(row["id"])))
        others = snapshot(connection, partial(queries.bundled_with, reminder_id=str(row["id"])))
        acts = snapshot(connection, partial(queries.acts_on, reminder_id=str(row["id"])))
        if row["appointment_id"] is not None:
            ref_of = partial(queries.ref_of_appointment, appointment_id=str(row["appointment_id"]))
            row |= {"appointment_ref": snapshot(connection, ref_of)}
        say_if_paused(config, connection)
    events = history(row, calls, acts, others)
    if as_json:
        print_json(row | {"calls": calls, "audit": acts, "history": events}, zone)
        return
    print_fields({column: value for column, value in row.items() if column not in _CODES}, zone)
    if calls:
        print_table(calls, CALLS.shown_to(Shown.STAFF), zone, title="calls")
    for number, call in enumerate(calls, 1):
        if call["transcript"] is not None:
            print_fields({"call": number, "transcript": call["transcript"]}, zone)
    print_table(events, ("at", "what", "detail"), zone, title="history")


def _staff_command(name: str, change: Callable[..., object], done: str, summary: str) -> click.Command:
    """Make a command by which staff change the state of one reminder.

    Args:
        name: the command's.
        change: what it does, in the store.
        done: what a reminder is not if that is refused.
        summary: its help.
    """

    @click.command(name=name, help=summary)
    @click.argument("reminder", metavar="ID")
    @as_json
    @with_config
    def command(config: Config, reminder: str, *, as_json: bool) -> None:
        found, source = _id(config, reminder), reminders.Source(actor=actor())
        try:
            _write(config, partial(change, reminder_id=found, rules=rules_of(config), source=source))
        except NotAllowedError as error:
            fail(f"not {done}: {error}")
        _say(config, found, as_json=as_json)

    return command


cancel = _staff_command(
    "cancel", reminders.cancel, "cancelled", "Cancel a reminder, by id or ref: the patient is no longer called."
)
accept = _staff_command(
    "accept",
    reminders.accept,
    "accepted",
    "Accept the new phone number of a reminder, by id or ref, that is held because an import or the API changed it.",
)
call_again = _staff_command(
    "call-again",
    reminders.call_again,
    "called again",
    "Call again for a reminder, by id or ref, that failed, expired or was cancelled; its count of calls starts anew.",
)


@click.command()
@click.argument("reminder", metavar="ID")
@click.option("--note", help="What to remember of it; shown by show, and kept forever. Phone numbers in it are masked.")
@as_json
@with_config
def done(config: Config, reminder: str, note: str | None, *, as_json: bool) -> None:
    """Note that you have called the patient of a reminder yourself: nobody needs to call anymore.

    A reminder that waits is cancelled. One that failed or expired, or whose patient wants to cancel, keeps its status,
    and no longer needs a human.
    """
    mistake = None if note is None else wrong_note(note)
    if mistake is not None:
        wrong([f"--note: {mistake}"])
    found, source = _id(config, reminder), reminders.Source(actor=actor())
    write = partial(reminders.note_done, reminder_id=found, note=note, rules=rules_of(config), source=source)
    try:
        _write(config, write)
    except NotAllowedError as error:
        fail(f"not noted: {error}")
    _say(config, found, as_json=as_json)


def _option(mistake: str) -> str:
    """Name the option in a mistake that names a field."""
    field, colon, text = mistake.partition(":")
    return f"--{_OPTIONS.get(field, field)}{colon}{text}"


def _write(config: Config, fn: "partial[T]") -> T:
    with database(config) as connection:
        return transaction(connection, fn, SystemClock().now())


def _id(config: Config, id_or_ref: str) -> str:
    with existing_database(config) as connection:
        row = snapshot(connection, partial(queries.find_reminder, id_or_ref=id_or_ref))
        if row is None:
            _fail_unknown(connection, id_or_ref)
    return str(row["id"])


def _fail_unknown(connection: Connection, name: str) -> NoReturn:
    """Say that no reminder has this name, and what to do if an appointment has it: lists show that."""
    if snapshot(connection, partial(find_appointment, id_or_ref=name)) is not None:
        lists = f"reminderd appointment show {name} lists their ids"
        fail(f"{name} is an appointment, and may have several reminders; expected the id of one: {lists}")
    fail(f"no reminder has the id or ref {name}")


def _say(config: Config, reminder_id: str, *, as_json: bool) -> None:
    if as_json:
        _print_one(config, reminder_id, config.calling.zone)
        return
    with existing_database(config) as connection:
        row = snapshot(connection, partial(queries.reminder_with_id, reminder_id=reminder_id)) or {}
    held = f", and held: {row['hold_reason']}" if row.get("hold_reason") else ""
    done_with = ", and done" if row.get("done_at") else ""
    click.echo(f"{reminder_id} is {row.get('status', 'deleted')}{held}{done_with}")


def _print_one(config: Config, reminder_id: str, zone: ZoneInfo) -> None:
    with database(config) as connection:
        print_json(snapshot(connection, partial(queries.reminder_with_id, reminder_id=reminder_id)), zone)


def history(
    reminder: Row, calls: Sequence[Row], acts: Sequence[Row], others: Mapping[str, Sequence[str]] = _NOBODY
) -> list[dict[str, Value]]:
    """Return what has happened to a reminder, in order: a row each, with `at`, `what` and `detail`.

    Args:
        reminder: its row.
        calls: its rows of `call_logs`, oldest first.
        acts: its rows of `audit`.
        others: the names of the other reminders of each call, by the calls' ids.
    """
    events = [*_beginning(reminder, acts), *_acts(acts)]
    for number, call in enumerate(calls, 1):
        events += _of_call(call, f"call {number}", others.get(str(call["id"]), ()))
    events.sort(key=itemgetter("at"))
    return [*events, *_state(reminder)]


def _event(at: Value, what: str, detail: object = None) -> Iterator[dict[str, Value]]:
    if isinstance(at, datetime):
        yield {"at": at, "what": what, "detail": None if detail is None else str(detail)}


def _beginning(reminder: Row, acts: Sequence[Row]) -> Iterator[dict[str, Value]]:
    if not any(act["act"] == "add" for act in acts):
        yield from _event(reminder["created_at"], "added", "by another program, or an import")


def _acts(acts: Sequence[Row]) -> Iterator[dict[str, Value]]:
    for act in acts:
        yield from _event(act["at"], f"{act['act']} by {act['actor']}", act["detail"])


def _of_call(call: Row, name: str, others: Sequence[str] = ()) -> Iterator[dict[str, Value]]:
    if call["adopted"]:
        yield from _event(call["created_at"], f"{name} reported", "a call that reminderd did not know")
    else:
        bundled = f"bundled with {', '.join(others)}" if others else None
        yield from _event(call["created_at"], f"{name} created", bundled)
    word = call["status"] if call["received_at"] is not None else in_words(call["state"])
    if call["received_at"] is not None:
        yield from _event(call["received_at"], f"{name}: {word}", _how_it_ended(call))
    elif call["state"] in _CLOSED_BY_US:
        yield from _event(call["updated_at"], f"{name}: {word}", call["error"])
    else:
        yield from _event(call["updated_at"], f"{name}: {call['status'] or word}, not ended yet", call["error"])


def _how_it_ended(call: Row) -> str | None:
    words = [] if call["outcome"] is None else [in_words(call["outcome"])]
    known = (
        ("answered by", call["answered_by"]),
        ("seconds", call["duration_seconds"]),
        ("SIP", call["sip_response_code"]),
        ("error", call["error_code"]),
    )
    return ", ".join([*words, *(f"{name} {value}" for name, value in known if value is not None)]) or None


def _state(reminder: Row) -> Iterator[dict[str, Value]]:
    """Yield the state since its last change."""
    is_final = Status(str(reminder["status"])).final
    why = reminder["last_error"] if is_final else reminder["hold_reason"]
    response = f"; the patient's answer: {in_words(reminder['response'])}" if reminder["response"] is not None else ""
    yield from _event(reminder["updated_at"], f"{reminder['status']}{response}", why)
