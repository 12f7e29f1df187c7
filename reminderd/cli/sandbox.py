"""Run the simulated voice provider as a separate program, until a signal ends it."""

import re
from collections.abc import Callable
from functools import partial
from typing import Final, ParamSpec

import click
import trio
from loguru import logger

from reminderd.cli.common import fail, wrong_usage
from reminderd.daemon import watch_signals
from reminderd.logs.configure import configure_logs
from reminderd.sandbox.generic import Sandbox
from reminderd.sandbox.switchboard import SimulatedProvider, serve_sandbox
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from reminderd.startup import single_errors

P = ParamSpec("P")

_API_KEY: Final = "sandbox"

ACCOUNT_SID: Final = "AC" + "0" * 32

_DEVELOPMENT_TOKEN: Final = "0123456789abcdef" * 2  # belongs to no real account, so no secret

_OPTIONS: Final = {
    "generic": ("--webhook-url", "--webhook-secret", "--api-key"),
    "twilio": ("--account-sid", "--auth-token"),
}
"""Options for one dialect only."""


def dialect_option(summary: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Give a command `--dialect`: the API that the simulated provider speaks."""
    dialects = click.Choice(["generic", "twilio"])
    return click.option("--dialect", type=dialects, default="generic", show_default=True, help=summary)


@click.command()
@dialect_option("The API to imitate.")
@click.option("--port", type=click.IntRange(0, 65535), default=4010, show_default=True, help="Where to listen.")
@click.option(
    "--pace", type=click.FloatRange(0, 60), default=1.0, show_default=True, help="Seconds for each step of a call."
)
@click.option(
    "--webhook-url", help="For generic, required: where reports are sent, {public_base_url}/webhooks/call-status."
)
@click.option(
    "--webhook-secret", help="For generic, required: signs reports; the same as [provider.generic].webhook_secret."
)
@click.option("--api-key", help=f"For generic: the bearer token that requests must have.  [default: {_API_KEY}]")
@click.option("--account-sid", help=f"For twilio: the account.  [default: {ACCOUNT_SID}]")
@click.option(
    "--auth-token",
    help=f"For twilio: requests must have it, and it signs webhooks.  [default: {_DEVELOPMENT_TOKEN}]",
)
def sandbox(dialect: str, port: int, pace: float, **options: str | None) -> None:
    """Run the simulated voice provider alone, to develop against.

    With --dialect twilio, --webhook-url is not needed: each request to place a call has the address for its webhooks.
    """
    mistakes = _of_the_other_dialect(dialect, options)
    provider = _twilio(options, pace, mistakes) if dialect == "twilio" else _generic(options, pace, mistakes)
    if provider is None or mistakes:
        wrong_usage(mistakes)
    configure_logs(level="INFO", log_format="text")
    try:
        trio.run(_serve_until_stopped, provider, port)
    except* OSError as errors:
        error = next(single_errors(errors))
        fail(f"can't listen on port {port}: {getattr(error, 'strerror', None) or error}")


def _of_the_other_dialect(dialect: str, typed: dict[str, str | None]) -> list[str]:
    return [
        f"{option}: only with --dialect {other}"
        for other, names in _OPTIONS.items()
        for option in names
        if other != dialect and typed[option.removeprefix("--").replace("-", "_")] is not None
    ]


def _generic(options: dict[str, str | None], pace: float, mistakes: list[str]) -> Sandbox | None:
    url, secret, key = options["webhook_url"], options["webhook_secret"], options["api_key"]
    if not url:
        mistakes.append("--webhook-url: missing; expected {public_base_url}/webhooks/call-status")
    if not secret:
        mistakes.append("--webhook-secret: missing; expected base64 of 24 to 64 bytes")
        return None
    try:
        return Sandbox(url or "", secret, _API_KEY if key is None else key, pace=pace)
    except ValueError as error:
        mistakes.append(f"--webhook-secret: {error}; expected base64 of 24 to 64 bytes")
        return None


def _twilio(options: dict[str, str | None], pace: float, mistakes: list[str]) -> TwilioSandbox:
    sid = ACCOUNT_SID if options["account_sid"] is None else options["account_sid"]
    token = _DEVELOPMENT_TOKEN if options["auth_token"] is None else options["auth_token"]
    if not re.fullmatch("AC[0-9a-f]{32}", sid):
        mistakes.append("--account-sid: expected AC and 32 hexadecimal digits")
    if not token:
        mistakes.append("--auth-token: expected a text that is not empty")
    return TwilioSandbox(sid, token, pace=pace)


async def _serve_until_stopped(provider: SimulatedProvider, port: int) -> None:
    stopping = trio.Event()
    async with trio.open_nursery() as signals:
        signals.start_soon(watch_signals, stopping, signals.cancel_scope)
        async with trio.open_nursery() as serving:
            serve = partial(serve_sandbox, provider, port=port, shutdown_trigger=stopping.wait)
            url = await serving.start(serve)
            logger.info(f"the sandbox listens at {url}")
        signals.cancel_scope.cancel()
