"""Show in seconds what can become of a reminder: a temporary database, the sandbox, the real daemon."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import click
import trio
from attrs import frozen

from reminderd.cli.common import FAILED
from reminderd.cli.demo_desk import ACCOUNT_SID, AUTH_TOKEN, show_desk, with_twilio
from reminderd.cli.output import print_table
from reminderd.clock import SystemClock
from reminderd.config import Config, load_config
from reminderd.config.schema import LANGUAGES
from reminderd.core.model import CallState, Status
from reminderd.core.requests import ReminderRequest
from reminderd.daemon import Options, run
from reminderd.logs.configure import configure_logs
from reminderd.sandbox.behaviors import example_number
from reminderd.sandbox.switchboard import PlacedCall, SimulatedProvider, serve_sandbox
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from reminderd.store import queries, reminders
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.opening import open_sync
from reminderd.store.queries import Wanted, list_reminders

_PACE: Final = 0.1
_LONGEST_SECONDS: Final = 60.0
_LOOK_SECONDS: Final = 0.1
_ENVIRONMENT: Final = {
    "REMINDERD__DATABASE__URL": "sqlite:///demo.db",
    "REMINDERD__WEB__PORT": "0",
    "REMINDERD__WORKER__CONFIRM_AFTER_SECONDS": "1",
    "REMINDERD__REDIAL__DELAY_MINUTES": "0.02",
    "REMINDERD__REDIAL__MAX_CALLS": "2",
    "REMINDERD__MESSAGES__CLINIC": "Doctor Brown's practice",
}


@frozen
class _Scene:
    """One reminder of the demo, and what must become of it."""

    behavior: str
    story: str
    status: Status
    calls: int = 1
    response: str | None = None


_SCENES: Final = (
    _Scene("answered", "the patient answers", Status.CALLED),
    _Scene("busy then answered", "busy, called again a little later, answered", Status.CALLED, calls=2),
    _Scene("no answer", "nobody answers, twice: the reminder fails, for staff", Status.FAILED, calls=2),
    _Scene("refused", "the provider refuses the number", Status.FAILED),
    _Scene("down then up", "the provider is down, then up: the request is sent again", Status.CALLED),
    _Scene("lost answer", "the provider's answer is lost: no second call, the webhook reports the rest", Status.CALLED),
    _Scene("repeated webhook", "the webhook comes three times and counts once", Status.CALLED),
    _Scene("early webhook", "the webhook comes before the provider's own answer", Status.CALLED),
)

_KEY_SCENES: Final = (
    _Scene("confirms", "the patient presses 1", Status.CALLED, response="confirmed"),
    _Scene("asks to cancel", "the patient presses 2, and 2 again", Status.CALLED, response="cancel_requested"),
    _Scene("opts out", "the patient presses 9", Status.CALLED, response="opted_out"),
    _Scene("hangs up", "the patient hangs up during the message: the reminder fails, for staff", Status.FAILED),
    _Scene("hears nothing", "answered, twice, but nobody asks what to speak: not reached", Status.FAILED, calls=2),
    _Scene("voicemail", "a machine answers, twice, and gets no message", Status.FAILED, calls=2),
)
"""What only a provider can show that asks what to speak."""


@click.command()
@click.option(
    "--dialect",
    type=click.Choice(["generic", "twilio"]),
    default="generic",
    show_default=True,
    help="The API that the simulated provider imitates.",
)
@click.option("--desk", is_flag=True, help="Show the front desk's pages of a clinic on a busy day, until Ctrl-C.")
@click.option(
    "--language",
    type=click.Choice(LANGUAGES),
    default=LANGUAGES[0],
    show_default=True,
    help="The language of these pages.",
)
def demo(dialect: str, language: str, *, desk: bool) -> None:
    """Show every type of call within seconds; needs no setup and leaves nothing behind."""
    if desk:
        show_desk(language, SystemClock())
        return
    configure_logs(level="INFO", log_format="text")
    scenes = _SCENES if dialect == "generic" else _SCENES + _KEY_SCENES
    with TemporaryDirectory(prefix="reminderd-demo-") as folder:
        config = load_config(None, _ENVIRONMENT, Path(folder))
        with open_sync(config.database.target) as connection:
            _add_reminders(connection, scenes)
            ring_counts = trio.run(_play_all, config, connection, dialect)
            outcome = [_outcome(connection, scene, ring_counts) for scene in scenes]
    columns = ["what happens", "status", "reason", "phone rang", "as expected"]
    if dialect == "twilio":
        columns.insert(2, "response")
    click.echo()
    print_table(outcome, columns, config.calling.zone, title=f"{len(scenes)} reminders through a simulated provider")
    if any(row["as expected"] != "yes" for row in outcome):
        raise SystemExit(FAILED)
    click.echo("All ended as expected. Next: reminderd run, or a config.toml for a real provider.")


def _add_reminders(connection: Connection, scenes: Sequence[_Scene]) -> None:
    now = SystemClock().now()
    for number, scene in enumerate(scenes):
        request = ReminderRequest(
            phone_number=example_number(scene.behavior),
            message="This is your clinic. Your appointment is tomorrow at nine.",
            scheduled_at=now + timedelta(milliseconds=number),
        )
        source = reminders.Source(actor="demo")
        write = partial(reminders.add, request=request, reminder_id=scene.behavior, source=source)
        transaction(connection, write, now)


async def _play_all(config: Config, connection: Connection, dialect: str) -> Counter[str | None]:
    """Run the real daemon until every reminder is final, and return how often the provider placed each call."""
    stopping = trio.Event()
    placed: Sequence[PlacedCall] = ()
    with trio.move_on_after(_LONGEST_SECONDS):
        async with trio.open_nursery() as outer:
            provider: SimulatedProvider | None = None
            if dialect == "twilio":
                provider = TwilioSandbox(ACCOUNT_SID, AUTH_TOKEN, pace=_PACE)
                config = with_twilio(config, await outer.start(serve_sandbox, provider))
            async with trio.open_nursery() as nursery:
                options = Options(sandbox_pace=_PACE)
                start = partial(run, config, clock=SystemClock(), stopping=stopping, options=options)
                running = await nursery.start(start)
                while not _all_over(connection):  # noqa: ASYNC110 - looks as staff would, through the database
                    await trio.sleep(_LOOK_SECONDS)
                provider = provider or running.sandbox
                placed = () if provider is None else provider.calls
                stopping.set()
            outer.cancel_scope.cancel()
    return Counter(call.attempt_id for call in placed)


def _all_over(connection: Connection) -> bool:
    """Return whether every reminder is final, and the end of every call is known."""
    rows = snapshot(connection, partial(list_reminders, wanted=Wanted(), limit=None))
    calls = [one for row in rows for one in snapshot(connection, partial(queries.calls_of, reminder_id=str(row["id"])))]
    return all(Status(str(row["status"])).final for row in rows) and all(one["wake_at"] is None for one in calls)


def _outcome(connection: Connection, scene: _Scene, ring_counts: Counter[str | None]) -> dict[str, queries.Value]:
    row = snapshot(connection, partial(queries.reminder_with_id, reminder_id=scene.behavior)) or {}
    calls = snapshot(connection, partial(queries.calls_of, reminder_id=scene.behavior))
    times = sum(ring_counts[str(call["id"])] for call in calls)
    placed = [call for call in calls if call["state"] != CallState.NOT_PLACED]
    wanted_times = 0 if scene.behavior == "refused" else scene.calls
    as_expected = (row.get("status"), row.get("response")) == (scene.status, scene.response)
    right = as_expected and len(placed) == scene.calls and times == wanted_times
    return {
        "what happens": scene.story,
        "status": row.get("status"),
        "response": row.get("response"),
        "reason": row.get("last_error"),
        "phone rang": {0: "never", 1: "once", 2: "twice"}.get(times, f"{times} times"),
        "as expected": "yes" if right else "NO",
    }
