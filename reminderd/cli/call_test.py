"""One real call to a phone at hand, followed to its end: whether everything between here and that phone works."""

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
from attrs import evolve

from reminderd.cli.common import FAILED, actor, database, fail, say_if_paused, with_config, wrong
from reminderd.cli.following import Seen, news
from reminderd.clock import SystemClock
from reminderd.config import (
    AlertsConfig,
    ApiConfig,
    BackupConfig,
    CallingConfig,
    Config,
    DatabaseConfig,
    MetricsConfig,
    RetentionConfig,
    numbering_of,
    rules_of,
)
from reminderd.core.intake import ReminderRequest, mistakes
from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.model import Status
from reminderd.core.phone import patient_number
from reminderd.core.rules import Rules
from reminderd.daemon import Options, run, watch_signals
from reminderd.logs import configure_logs
from reminderd.store import reminders
from reminderd.store.ledger import load
from reminderd.store.opt_outs import opted_out
from reminderd.store.settings import paused
from reminderd.store.sqlite.driver import Connection
from reminderd.store.sqlite.transaction import snapshot, transaction
from reminderd.web.server import PortUnavailableError, bind

MESSAGE: Final = "This is a test call. If you can hear this, your patients can hear their reminders, too."

_GOOD_FOR: Final = timedelta(minutes=10)
"""Less than it takes to be called a second time."""

_TAKEN_UP_SECONDS: Final = 15.0
"""Within which a daemon that is running takes a reminder up."""

_LOOK_SECONDS: Final = 0.1

_TAKEN: Final = "queued"
"""What a call is until the provider has reported something of it."""

_SILENT_SECONDS: Final = 5.0
"""After which a provider that has taken a call has mostly reported something of it."""

_SILENT: Final = "no report so far; if the phone rings, webhooks don't arrive: run reminderd doctor"
_IN_A_PAUSE: Final = "the test call is placed all the same"
_STOP_IT: Final = "while reminderd is stopped, call-test calls at once, whatever the hours and limits"


@click.command(name="call-test")
@click.argument("phone", metavar="PHONE")
@click.option("--message", default=MESSAGE, show_default=True, help="The message to be spoken.")
@with_config
def call_test(config: Config, phone: str, message: str) -> None:
    """Call PHONE once with the configured provider, and show the progress of the call.

    If reminderd is running, it places the call and applies all its rules. If not, this command places it at once,
    whatever the calling hours. It then receives the webhooks of this call on the configured port, and nothing else: all
    other requests are answered with 503, so that the provider repeats them.
    """
    numbering = numbering_of(config)
    found = mistakes(phone_number=phone, message=message, timezone=None, numbering=numbering)
    if found:
        wrong([line.replace("phone_number:", "PHONE:", 1).replace("message:", "--message:", 1) for line in found])
    number = patient_number(phone, numbering)
    is_running = _is_running(config)
    _look_first(config, number, is_running=is_running)
    now = SystemClock().now()
    request = ReminderRequest(phone_number=number, message=message, scheduled_at=now, expires_at=now + _GOOD_FOR)
    configure_logs(level="WARNING", log_format="text")
    if is_running:
        click.echo("reminderd is running, and places the call")
        raise SystemExit(trio.run(_call, config, request, False))
    click.echo(f"reminderd is not running: placing the call from here, with the provider {config.provider.kind}")
    with TemporaryDirectory(prefix="reminderd-call-test-") as folder:
        raise SystemExit(trio.run(_call, _alone(config, Path(folder)), request, True))


def _look_first(config: Config, number: str, *, is_running: bool) -> None:
    """End if the number has opted out; say on stderr if dialing is paused."""
    if not config.database.path.exists():
        return
    with database(config) as connection:
        if snapshot(connection, partial(opted_out, phone_number=number)):
            fail("not called: this number has opted out")
        say_if_paused(config, connection)
        if not is_running and snapshot(connection, paused):
            click.echo(_IN_A_PAUSE, err=True)


def _is_running(config: Config) -> bool:
    """Whether somebody takes webhooks where we would."""
    try:
        bind(config.web.host, config.web.port).close()
    except PortUnavailableError:
        return True
    return False


def _alone(config: Config, folder: Path) -> Config:
    """Return the configuration of a daemon that has one reminder only, and calls for it once, at any hour.

    It takes no reminders, alerts nobody, and makes no backup of its own database; nobody can ask for its metrics.
    """
    return evolve(
        config,
        database=DatabaseConfig(url="sqlite:///call-test.db", folder=folder),
        calling=CallingConfig(timezone=config.calling.timezone),
        redial=evolve(config.redial, max_calls=1),
        api=ApiConfig(),
        alerts=AlertsConfig(),
        backup=BackupConfig(),
        retention=RetentionConfig(),
        metrics=MetricsConfig(),
    )


async def _call(config: Config, request: ReminderRequest, alone: bool) -> int:  # noqa: FBT001 - by trio.run, without names
    """Add the reminder, see it through, and return the exit code."""
    code = FAILED
    stopping, reminder_id, rules = trio.Event(), f"test-{uuid4()}", rules_of(config)
    add = partial(reminders.add, request=request, reminder_id=reminder_id, source=reminders.Source(actor=actor()))
    with database(config, is_ours_alone=alone) as connection:
        transaction(connection, add, SystemClock().now())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_signals, stopping, nursery.cancel_scope)
            if alone:
                options = Options(knows_one_call=True)
                await nursery.start(partial(run, config, clock=SystemClock(), stopping=stopping, options=options))
            code = await _followed(connection, reminder_id, rules, stopping)
            nursery.cancel_scope.cancel()
    return code


async def _followed(connection: Connection, reminder_id: str, rules: Rules, stopping: trio.Event) -> int:
    """Tell how the call goes until it has ended; the exit code."""
    seen = Seen()
    silent_from = float("inf")
    with trio.move_on_after(_TAKEN_UP_SECONDS) as patience:
        while not stopping.is_set():
            for line in _lines(connection, reminder_id, rules, seen):
                click.echo(f"{SystemClock().now():%H:%M:%S} {line}")
            is_over = not any(call.state.alive for call in seen.calls)  # a key ends the reminder, not yet the call
            if seen.reminder is not None and seen.reminder.status.final and is_over:
                if seen.reminder.status is Status.EXPIRED and not seen.calls:
                    click.echo(_STOP_IT, err=True)
                return 0 if seen.reminder.status is Status.CALLED else FAILED
            if seen.calls:
                patience.deadline = float("inf")
            if not any(call.status == _TAKEN for call in seen.calls):
                silent_from = trio.current_time() + _SILENT_SECONDS
            elif trio.current_time() >= silent_from:
                click.echo(_SILENT, err=True)
                silent_from = float("inf")
            await trio.sleep(_LOOK_SECONDS)
    hold = seen.reminder.hold_code if seen.reminder is not None else None
    with suppress(NotAllowedError):
        source = reminders.Source(actor=actor())
        cancel = partial(reminders.cancel, reminder_id=reminder_id, rules=rules, source=source)
        transaction(connection, cancel, SystemClock().now())
    if hold is not None:
        why = hold.sentence
    else:
        why = "dialing is paused" if snapshot(connection, paused) else "no process has claimed the call"
    click.echo(f"given up: {'interrupted' if stopping.is_set() else why}", err=True)
    return FAILED


def _lines(connection: Connection, reminder_id: str, rules: Rules, seen: Seen) -> Iterator[str]:
    def look(connection: Connection) -> Seen:
        ledger = load(connection, rules, SystemClock().now(), reminder_ids=[reminder_id])
        reminder = ledger.reminders.get(reminder_id)
        return Seen(reminder, () if reminder is None else tuple(call for _, call in ledger.history(reminder)))

    now = snapshot(connection, look)
    yield from news(seen, now)
    seen.reminder, seen.calls = now.reminder, now.calls
