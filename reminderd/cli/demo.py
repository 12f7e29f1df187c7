"""Show every outcome of a reminder within seconds, or the front desk's pages on a busy day.

The real daemon runs with a temporary database, and with the sandbox instead of a provider. No files are left.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zoneinfo import ZoneInfo

import click
import trio
from attrs import evolve, frozen

from reminderd.cli.common import FAILED
from reminderd.cli.demo_day import place_of, write_day
from reminderd.cli.output import print_table
from reminderd.cli.sandbox import ACCOUNT_SID, dialect_option
from reminderd.clock import Clock, SystemClock
from reminderd.config import Config, load_config, rules_of, with_provider
from reminderd.config.installation import LANGUAGES
from reminderd.core.answers import Capabilities
from reminderd.core.logins import Role
from reminderd.core.model import CallState, Status
from reminderd.core.requests import ReminderRequest
from reminderd.daemon import Options, run, watch_signals
from reminderd.logs.configure import configure_logs
from reminderd.passwords import hash_password
from reminderd.providers.twilio.settings import TwilioSettings
from reminderd.sandbox.behaviors import example_number
from reminderd.sandbox.switchboard import PlacedCall, SimulatedProvider, serve_sandbox
from reminderd.sandbox.twilio.call import ACCOUNT_NUMBERS
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from reminderd.store import queries, reminders
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.intake import Source
from reminderd.store.queries import ReminderFilter, list_reminders
from reminderd.store.users import Secrets, add_user
from reminderd.web.server import PortUnavailableError, bind

_AUTH_TOKEN: Final = "demo"  # noqa: S105 - only the sandbox accepts it

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
    """One reminder of the demo, and its expected outcome."""

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
"""Scenes for a provider that asks what to speak; with the generic contract, they can't happen."""


@click.command()
@dialect_option("The API to imitate.")
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
        _show_desk(language, SystemClock())
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
        source = Source(actor="demo")
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
                provider = TwilioSandbox(ACCOUNT_SID, _AUTH_TOKEN, pace=_PACE)
                config = _with_twilio(config, await outer.start(serve_sandbox, provider))
            async with trio.open_nursery() as nursery:
                options = Options(sandbox_pace=_PACE)
                start = partial(run, config, clock=SystemClock(), stopping=stopping, options=options)
                running = await nursery.start(start)
                while not _all_ended(connection):  # noqa: ASYNC110 - looks as staff would, through the database
                    await trio.sleep(_LOOK_SECONDS)
                provider = provider or running.sandbox
                placed = () if provider is None else provider.calls
                stopping.set()
            outer.cancel_scope.cancel()
    return Counter(call.attempt_id for call in placed)


def _all_ended(connection: Connection) -> bool:
    """Return whether every reminder is final, and the end of every call is known."""
    rows = snapshot(connection, partial(list_reminders, wanted=ReminderFilter(), limit=None))
    calls = [one for row in rows for one in snapshot(connection, partial(queries.calls_of, reminder_id=str(row["id"])))]
    return all(Status(str(row["status"])).final for row in rows) and all(one["wake_at"] is None for one in calls)


def _outcome(connection: Connection, scene: _Scene, ring_counts: Counter[str | None]) -> dict[str, queries.ShownValue]:
    row = snapshot(connection, partial(queries.reminder_with_id, reminder_id=scene.behavior)) or {}
    calls = snapshot(connection, partial(queries.calls_of, reminder_id=scene.behavior))
    times = sum(ring_counts[str(call["id"])] for call in calls)
    placed = [call for call in calls if call["state"] != CallState.NOT_PLACED]
    expected_times = 0 if scene.behavior == "refused" else scene.calls
    has_expected_outcome = (row.get("status"), row.get("response")) == (scene.status, scene.response)
    is_as_expected = has_expected_outcome and len(placed) == scene.calls and times == expected_times
    return {
        "what happens": scene.story,
        "status": row.get("status"),
        "response": row.get("response"),
        "reason": row.get("last_error"),
        "phone rang": {0: "never", 1: "once", 2: "twice"}.get(times, f"{times} times"),
        "as expected": "yes" if is_as_expected else "NO",
    }


USER: Final = "demo"
PASSWORD: Final = "quiet-morning"  # noqa: S105 - it protects nobody: all of these patients are made up

_PORT: Final = 4020
"""The port of the pages if it is free, so that the documents can name their address."""
_DESK_PACE: Final = 0.5
"""Half of a call's usual time, so that a viewer sees many calls, and can still follow each."""

_CONFIG: Final = """
[database]
url = "sqlite:///demo.db"
[web]
port = 0
[clinic]
country = "US"
[calling]
timezone = "{zone}"
[redial]
max_calls = 2
delay_minutes = 20
[desk]
port = {port}
language = "{language}"
[reminders]
before = ["1 day"]
template = "visit"
[messages]
language = "{spoken}"
clinic = "{clinic}"
templates.visit = "{visit}"
"""
_TEXTS: Final = {
    "en": {
        "spoken": "en-US",
        "clinic": "Riverside Practice",
        "visit": "Your appointment is on {date} at {time}. Please bring your insurance card.",
        "room": "room",
    },
    "de": {
        "spoken": "de-DE",
        "clinic": "Praxis am Fluss",
        "visit": "Ihr Termin ist am {date} um {time}. Bitte bringen Sie Ihre Versichertenkarte mit.",
        "room": "Zimmer",
    },
}
"""What is spoken in the demo, by the language of its pages."""


def _show_desk(language: str, clock: Clock) -> None:
    """Show the pages of a clinic on a busy day until Ctrl-C, in a temporary folder."""
    with TemporaryDirectory(prefix="reminderd-demo-") as name, (Path(name) / "log").open("w") as log:
        configure_logs(level="INFO", log_format="text", stream=log)
        trio.run(_until_stopped, Path(name), language, clock)


async def _until_stopped(folder: Path, language: str, clock: Clock) -> None:
    stopping = trio.Event()
    async with trio.open_nursery() as signals:
        signals.start_soon(watch_signals, stopping, signals.cancel_scope)
        async with trio.open_nursery() as serving:
            config = configured(folder, language, place_of(clock.now()))
            url = await serving.start(serve_demo, config, clock, stopping)
            click.echo(f"address    {url}\nuser name  {USER}\npassword   {PASSWORD}\n\nCtrl-C ends it.")
        signals.cancel_scope.cancel()


async def serve_demo(
    config: Config, clock: Clock, stopping: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve the front desk's pages on a busy day, the current day of the clock.

    The configuration is from `configured`; its database is created here. `task_status` gets the address of the pages.
    """
    async with trio.open_nursery() as outer:
        provider = TwilioSandbox(ACCOUNT_SID, _AUTH_TOKEN, pace=_DESK_PACE)
        config = _with_twilio(config, await outer.start(serve_sandbox, provider))
        with open_sync(config.database.target) as connection:
            _write_day_and_user(connection, clock.now(), config)
        port = _free_port(config.desk.port)  # as late as possible, as another demo may take it meanwhile
        config = evolve(config, desk=evolve(config.desk, port=port))
        async with trio.open_nursery() as nursery:
            running = await nursery.start(partial(run, config, clock=clock, stopping=stopping))
            task_status.started(running.desk_url or "")
        outer.cancel_scope.cancel()


def _with_twilio(config: Config, api_url: str) -> Config:
    """Return the configuration of a clinic whose Twilio is the sandbox at this URL."""
    account = TwilioSettings(
        account_sid=ACCOUNT_SID, auth_token=_AUTH_TOKEN, from_number=ACCOUNT_NUMBERS[0], api_url=api_url
    )
    return with_provider(config, account)


def configured(folder: Path, language: str, zone: ZoneInfo, *, port: int = _PORT) -> Config:
    """Write the configuration of the demo into a folder, and return it; `serve_demo` replaces a port that is in use."""
    file = folder / "config.toml"
    file.write_text(_CONFIG.format(zone=zone.key, port=port, language=language, **_TEXTS[language]))
    return load_config(file, {}, folder)


def _write_day_and_user(connection: Connection, now: datetime, config: Config) -> None:
    twilio = Capabilities(look_up=True, drop=True, asks_what_to_say=True)
    rules = rules_of(config, provider="twilio", account=ACCOUNT_SID, capabilities=twilio)
    write_day(connection, now, rules, room=_TEXTS[config.desk.language]["room"])
    secrets = Secrets(password_hash=hash_password(PASSWORD), totp_secret=None)
    add = partial(add_user, name=USER, role=Role.ADMIN, secrets=secrets, actor="demo")
    transaction(connection, add, now)


def _free_port(wanted: int) -> int:
    """Return the wanted port, or a free one if it is in use."""
    try:
        listener = bind("127.0.0.1", wanted)
    except PortUnavailableError:
        listener = bind("127.0.0.1", 0)
    with listener:
        return int(listener.getsockname()[1])
