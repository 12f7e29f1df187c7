"""Run a made-up clinic with the front desk's pages, until it is stopped; nothing of it is left."""

import socket
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from zoneinfo import ZoneInfo

import click
import trio
from attrs import evolve

from reminderd.cli.demo_day import place_of, write_day
from reminderd.clock import Clock
from reminderd.config import Config, load_config, rules_of, with_provider
from reminderd.core.answers import Capabilities
from reminderd.core.logins import Role
from reminderd.daemon import run, watch_signals
from reminderd.logs.configure import configure_logs
from reminderd.passwords import hash_password
from reminderd.providers.twilio.settings import TwilioSettings
from reminderd.sandbox.switchboard import serve_sandbox
from reminderd.sandbox.twilio.call import ACCOUNT_NUMBERS
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from reminderd.store.connection import Connection, transaction
from reminderd.store.opening import open_sync
from reminderd.store.users import Secrets, add_user

ACCOUNT_SID: Final = "AC" + "0" * 32
AUTH_TOKEN: Final = "demo"  # noqa: S105 - only the sandbox accepts it

USER: Final = "demo"
PASSWORD: Final = "quiet-morning"  # noqa: S105 - it protects nobody: all of these patients are made up

_PORT: Final = 4020
"""If it is free: an address that the documents can name."""
_PACE: Final = 0.5
"""A call in half of its time, so that much happens, and is still seen to happen."""

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


def show_desk(language: str, clock: Clock) -> None:
    """Show the pages of a clinic on a busy day until Ctrl-C, in a temporary folder."""
    with TemporaryDirectory(prefix="reminderd-demo-") as name, (Path(name) / "log").open("w") as log:
        configure_logs(level="INFO", log_format="text", stream=log)
        trio.run(_until_stopped, Path(name), language, clock)


async def _until_stopped(folder: Path, language: str, clock: Clock) -> None:
    stopping = trio.Event()
    async with trio.open_nursery() as signals:
        signals.start_soon(watch_signals, stopping, signals.cancel_scope)
        async with trio.open_nursery() as serving:
            url = await serving.start(
                serve_demo, configured(folder, language, daytime_place(clock.now())), clock, stopping
            )
            click.echo(f"address    {url}\nuser name  {USER}\npassword   {PASSWORD}\n\nCtrl-C ends it.")
        signals.cancel_scope.cancel()


async def serve_demo(
    config: Config, clock: Clock, stopping: trio.Event, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED
) -> None:
    """Serve the pages of a clinic on a busy day.

    Args:
        config: the demo's, as `configured` returns it; there is no database yet.
        clock: the day is the one that it shows.
        stopping: ends it.
        task_status: is given the address of the pages.
    """
    async with trio.open_nursery() as outer:
        provider = TwilioSandbox(ACCOUNT_SID, AUTH_TOKEN, pace=_PACE)
        config = with_twilio(config, await outer.start(serve_sandbox, provider))
        with open_sync(config.database.target) as connection:
            _fill(connection, clock.now(), config)
        port = _free_port(config.desk.port)  # only now: another demo may take it meanwhile
        config = evolve(config, desk=evolve(config.desk, port=port))
        async with trio.open_nursery() as nursery:
            running = await nursery.start(partial(run, config, clock=clock, stopping=stopping))
            task_status.started(running.desk_url or "")
        outer.cancel_scope.cancel()


def with_twilio(config: Config, api_url: str) -> Config:
    """Return the configuration of a clinic whose Twilio is the sandbox at this URL."""
    account = TwilioSettings(
        account_sid=ACCOUNT_SID, auth_token=AUTH_TOKEN, from_number=ACCOUNT_NUMBERS[0], api_url=api_url
    )
    return with_provider(config, account)


def configured(folder: Path, language: str, zone: ZoneInfo, *, port: int = _PORT) -> Config:
    """Write the configuration of the demo into a folder, and return it; if the port is in use, it will get another."""
    file = folder / "config.toml"
    file.write_text(_CONFIG.format(zone=zone.key, port=port, language=language, **_TEXTS[language]))
    return load_config(file, {}, folder)


def _fill(connection: Connection, now: datetime, config: Config) -> None:
    twilio = Capabilities(look_up=True, drop=True, asks_what_to_say=True)
    rules = rules_of(config, provider="twilio", account=ACCOUNT_SID, capabilities=twilio)
    write_day(connection, now, rules, room=_TEXTS[config.desk.language]["room"])
    secrets = Secrets(password_hash=hash_password(PASSWORD), totp_secret=None)
    add = partial(add_user, name=USER, role=Role.ADMIN, secrets=secrets, actor="demo")
    transaction(connection, add, now)


def daytime_place(now: datetime) -> ZoneInfo:
    """Return a time zone in which it is daytime, if possible with the offset of this machine's own."""
    return place_of(now, now.astimezone().utcoffset() or timedelta(0))


def _free_port(wanted: int) -> int:
    """Return the wanted port, or if it is in use, one that is free."""
    for port in (wanted, 0):
        with socket.socket() as tried:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                tried.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(tried.getsockname()[1])
    return wanted
