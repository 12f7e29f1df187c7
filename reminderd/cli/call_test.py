"""Place one real call to a phone that is at hand, and show its progress until it ends."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

import click
import trio
from attrs import evolve, frozen

from reminderd.cli.common import (
    FAILED,
    actor,
    database,
    fail,
    language_option,
    warn_if_paused,
    with_config,
    write_now,
    wrong_usage,
)
from reminderd.cli.output import code_as_words
from reminderd.cli.overview import another_database, ask_daemon
from reminderd.clock import SystemClock
from reminderd.config import Config, numbering_of, rules_of
from reminderd.core.model import Call, CallState, Reminder, Status
from reminderd.core.phone import Numbering, existing_number, patient_number
from reminderd.core.requests import ReminderRequest, content_mistakes
from reminderd.core.rules import Rules
from reminderd.core.sentences import NotAllowedError
from reminderd.daemon import Options, run, watch_signals
from reminderd.logs.configure import configure_logs
from reminderd.store import reminders
from reminderd.store.connection import Connection, snapshot
from reminderd.store.intake import Source
from reminderd.store.ledger import load
from reminderd.store.opt_outs import has_opted_out
from reminderd.store.shared_state import database_id, paused
from reminderd.web.server import PortUnavailableError, bind

MESSAGE: Final = "This is a test call. If you can hear this, your patients can hear their reminders, too."

_GOOD_FOR: Final = timedelta(minutes=10)
"""The time until the reminder expires, which is too short for a second call."""

_CLAIMED_SECONDS: Final = 15.0
"""The time within which a running daemon claims a reminder."""

_LOOK_SECONDS: Final = 0.1

_ACCEPTED: Final = "queued"
"""The status of a call until the provider has reported something about it."""

_SILENT_SECONDS: Final = 5.0
"""The time after which a provider has usually sent the first report about an accepted call."""

_SILENT: Final = "no report so far; if the phone rings, webhooks don't arrive: run reminderd doctor"
_IN_A_PAUSE: Final = "the test call is placed anyway"
_OWN: Final = (
    "PHONE: the clinic's own number ([messages].phone, or the number that places the calls), which is never called;"
    " use another phone at hand, such as a mobile"
)
_STOP_IT: Final = "while reminderd is stopped, call-test calls at once, whatever the hours and limits"

_STATES = {
    CallState.DIALING: "asking the provider for the call",
    CallState.UNCONFIRMED: "unconfirmed: the call may or may not have been placed; waiting for a report",
}
_WORDS = {
    "queued": "the provider has accepted the call",
    "initiated": "the provider is dialing",
    "ringing": "the phone is ringing",
    "in-progress": "answered",
    "answered": "answered",
    "completed": "the call is over",
}


@frozen
class CallProgress:
    """A reminder and its calls, as they were last read."""

    reminder: Reminder | None = None
    calls: tuple[Call, ...] = ()


@click.command(name="call-test")
@click.argument("phone", metavar="PHONE")
@click.option("--message", default=MESSAGE, show_default=True, help="The message to be spoken.")
@language_option("The language of the call, like es or pt-BR. Default: the clinic's.")
@with_config
def call_test(config: Config, phone: str, message: str, language: str | None) -> None:
    """Call PHONE once with the configured provider, and show the progress of the call.

    If reminderd is running, it places the call and applies all its rules. If not, this command places it at once,
    also outside the calling hours. It then receives the webhooks of this call on the configured port, and nothing else:
    all other requests are answered with 503.
    """
    numbering = numbering_of(config)
    if _is_own(phone, numbering):
        wrong_usage([_OWN])
    found = content_mistakes(phone_number=phone, message=message, timezone=None, numbering=numbering)
    if found:
        wrong_usage([line.replace("phone_number:", "PHONE:", 1).replace("message:", "--message:", 1) for line in found])
    number = patient_number(phone, numbering)
    is_running = _is_running(config)
    _refuse_or_warn(config, number, is_running=is_running)
    now = SystemClock().now()
    request = ReminderRequest(
        phone_number=number, message=message, scheduled_at=now, expires_at=now + _GOOD_FOR, language=language
    )
    configure_logs(level="WARNING", log_format="text")
    if is_running:
        click.echo("reminderd is running, and places the call")
        raise SystemExit(trio.run(_call, config, request, False))
    click.echo(f"reminderd is not running: placing the call from here, with the provider {config.provider.kind}")
    with TemporaryDirectory(prefix="reminderd-call-test-") as folder:
        raise SystemExit(trio.run(_call, _alone(config, Path(folder)), request, True))


def _is_own(phone: str, numbering: Numbering) -> bool:
    try:
        return existing_number(phone, numbering.country) in numbering.own
    except ValueError:
        return False


def _refuse_or_warn(config: Config, number: str, *, is_running: bool) -> None:
    """End if our daemon would never place the call; print on stderr if dialing is paused."""
    daemon = ask_daemon(config.web) if is_running else None
    if isinstance(daemon, str):
        fail(f"not called: {daemon}")
    if config.database.is_missing:
        if daemon is not None:
            fail(f"not called: {another_database(config)}")
        return
    with database(config) as connection:
        if daemon is not None and daemon.database_id != snapshot(connection, database_id):
            fail(f"not called: {another_database(config)}")
        if snapshot(connection, partial(has_opted_out, phone_number=number)):
            fail("not called: this number has opted out")
        warn_if_paused(config, connection)
        if not is_running and snapshot(connection, paused):
            click.echo(_IN_A_PAUSE, err=True)


def _is_running(config: Config) -> bool:
    """Return whether another program listens at our address for webhooks."""
    try:
        bind(config.web.host, config.web.port).close()
    except PortUnavailableError:
        return True
    return False


def _alone(config: Config, folder: Path) -> Config:
    """Return the configuration of a daemon that has only one reminder, and calls once for it, at any hour.

    It accepts no reminders, sends no alerts, makes no backup of its own database, and shows no metrics.
    """
    plain = Config()
    return evolve(
        config,
        database=evolve(plain.database, url="sqlite:///call-test.db", folder=folder),
        calling=evolve(plain.calling, timezone=config.calling.timezone),
        redial=evolve(config.redial, max_calls=1),
        api=plain.api,
        alerts=plain.alerts,
        backup=plain.backup,
        retention=plain.retention,
        metrics=plain.metrics,
    )


async def _call(config: Config, request: ReminderRequest, alone: bool) -> int:  # noqa: FBT001 - by trio.run, without names
    """Add the reminder, wait until it is final, and return the exit code."""
    code = FAILED
    stopping, reminder_id, rules = trio.Event(), f"test-{uuid4()}", rules_of(config)
    add = partial(reminders.add, request=request, reminder_id=reminder_id, source=Source(actor=actor()))
    with database(config, is_ours_alone=alone) as connection:
        write_now(connection, add)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_signals, stopping, nursery.cancel_scope)
            async with trio.open_nursery() as daemon:
                if alone:
                    options = Options(knows_one_call=True)
                    await daemon.start(partial(run, config, clock=SystemClock(), stopping=stopping, options=options))
                code = await _followed(connection, reminder_id, rules, stopping)
                stopping.set()  # gracefully: the answer to the last webhook must go out
            nursery.cancel_scope.cancel()
    return code


async def _followed(connection: Connection, reminder_id: str, rules: Rules, stopping: trio.Event) -> int:
    """Print the progress of the call until it has ended, and return the exit code."""
    seen = CallProgress()
    silent_from = float("inf")
    with trio.move_on_after(_CLAIMED_SECONDS) as patience:
        while not stopping.is_set():
            before, seen = seen, snapshot(connection, partial(progress_of, reminder_id=reminder_id, rules=rules))
            for line in progress_lines(before, seen):
                click.echo(f"{SystemClock().now():%H:%M:%S} {line}")
            is_over = not any(call.state.alive for call in seen.calls)  # a key ends the reminder, not yet the call
            if seen.reminder is not None and seen.reminder.status.final and is_over:
                if seen.reminder.status is Status.EXPIRED and not seen.calls:
                    click.echo(_STOP_IT, err=True)
                return 0 if seen.reminder.status is Status.CALLED else FAILED
            if seen.calls:
                patience.deadline = float("inf")
            if not any(call.status == _ACCEPTED for call in seen.calls):
                silent_from = trio.current_time() + _SILENT_SECONDS
            elif trio.current_time() >= silent_from:
                click.echo(_SILENT, err=True)
                silent_from = float("inf")
            await trio.sleep(_LOOK_SECONDS)
    hold = seen.reminder.hold_code if seen.reminder is not None else None
    with suppress(NotAllowedError):
        source = Source(actor=actor())
        cancel = partial(reminders.cancel, reminder_id=reminder_id, rules=rules, source=source)
        write_now(connection, cancel)
    if hold is not None:
        why = hold.sentence
    else:
        why = "dialing is paused" if snapshot(connection, paused) else "no process has claimed the call"
    click.echo(f"given up: {'interrupted' if stopping.is_set() else why}", err=True)
    return FAILED


def progress_of(connection: Connection, *, reminder_id: str, rules: Rules) -> CallProgress:
    """Return a reminder and its calls as they are now."""
    ledger = load(connection, rules, SystemClock().now(), reminder_ids=[reminder_id])
    reminder = ledger.reminders.get(reminder_id)
    return CallProgress(reminder, () if reminder is None else tuple(call for _, call in ledger.history(reminder)))


def progress_lines(before: CallProgress, now: CallProgress) -> Iterator[str]:
    """Yield a line for each change."""
    known = {call.id: call for call in before.calls}
    for call in now.calls:
        former = known.get(call.id)
        if former is None or (former.status, former.state) != (call.status, call.state):
            yield _line(call)
        if call.answered_by is not None and (former is None or former.answered_by is None):
            yield f"answered by: {call.answered_by}"
    was, reminder = before.reminder, now.reminder
    if reminder is None:
        return
    if reminder.response is not None and (was is None or was.response is None):
        yield f"a key was pressed: {code_as_words(reminder.response)}"
    if reminder.hold_code is not None and (was is None or was.hold_code is not reminder.hold_code):
        yield f"held: {reminder.hold_code.sentence}"
    if reminder.status.final and (was is None or was.status is not reminder.status):
        yield f"{reminder.status}" + (f": {reminder.last_error}" if reminder.last_error else "")


def _line(call: Call) -> str:
    text = _STATES.get(call.state) or _WORDS.get(call.status or "") or call.status or code_as_words(call.state)
    external = f" ({call.external_call_id})" if call.status == "queued" and call.external_call_id else ""
    lasted = f" after {call.duration_seconds} s" if call.duration_seconds and not call.state.alive else ""
    return f"{text}{external}{lasted}"
