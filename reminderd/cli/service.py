"""The daemon's own commands: run, sandbox, check-config."""

import sys

import click
import trio
from loguru import logger

from reminderd.cli.common import FAILED, fail, with_config, wrong
from reminderd.clock import SystemClock
from reminderd.config import Config, risks
from reminderd.daemon import Part, run, watch_signals
from reminderd.logs import configure_logs
from reminderd.sandbox.app import Sandbox
from reminderd.sandbox.server import serve_sandbox
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError


@click.command(name="run")
@click.option("--only", type=click.Choice(["dial", "web"]), help="Do only one half; a second process does the other.")
@with_config
def run_(config: Config, only: Part | None) -> None:
    """Run the daemon: claim what is due, ring, take webhooks; SIGTERM stops it in order."""
    if only is not None and config.provider.kind == "sandbox":
        wrong(["--only: the sandbox lives in one process; expected a real provider in [provider].kind"])
    log = config.log
    try:
        configure_logs(
            level=log.level, log_format=log.format, file=log.path, rotation=log.rotation, retention=log.retention
        )
    except OSError as error:
        fail(f"{log.path}: the log can't be written: {error.strerror}")
    sys.exit(trio.run(_until_stopped, config, only))


async def _until_stopped(config: Config, only: Part | None) -> int:
    """Run until a signal; the exit code."""
    code = 0
    stopping = trio.Event()
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(watch_signals, stopping, nursery.cancel_scope)
            await run(config, clock=SystemClock(), stopping=stopping, only=only)
            nursery.cancel_scope.cancel()
    except* (StoreUnusableError, StoreUnavailableError, OSError) as errors:
        for error in _leaves(errors):
            logger.error(f"{error}")
        code = FAILED
    except* Exception:  # noqa: BLE001 - the very edge: whatever it is, the log has it
        logger.exception("the daemon broke")
        code = FAILED
    return code


def _leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves += _leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return leaves


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=4010, show_default=True, help="Where to listen.")
@click.option("--webhook-url", required=True, help="Where reports go: {public_base_url}/webhooks/call-status.")
@click.option("--webhook-secret", required=True, help="Signs reports; as [provider.generic].webhook_secret.")
@click.option("--api-key", default="sandbox", show_default=True, help="The bearer token that requests must carry.")
@click.option("--pace", type=click.FloatRange(0, 60), default=1.0, show_default=True, help="Seconds a step takes.")
def sandbox(port: int, webhook_url: str, webhook_secret: str, api_key: str, pace: float) -> None:
    """Run the simulated voice provider alone, to develop against."""
    try:
        provider = Sandbox(webhook_url, webhook_secret, api_key, pace=pace)
    except ValueError as error:
        wrong([f"--webhook-secret: {error}; expected base64 of 24 to 64 bytes"])
    configure_logs(level="INFO", log_format="text")
    try:
        trio.run(_serve_until_stopped, provider, port)
    except* OSError as errors:
        fail(f"port {port}: {_leaves(errors)[0]}")


async def _serve_until_stopped(provider: Sandbox, port: int) -> None:
    stopping = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch_signals, stopping, nursery.cancel_scope)
        url = await nursery.start(_serve, provider, port, stopping, nursery.cancel_scope)
        logger.info(f"the sandbox listens at {url}")


async def _serve(
    provider: Sandbox,
    port: int,
    stopping: trio.Event,
    everything: trio.CancelScope,
    *,
    task_status: trio.TaskStatus[str],
) -> None:
    await serve_sandbox(provider, port=port, shutdown_trigger=stopping.wait, task_status=task_status)
    everything.cancel()


@click.command(name="check-config")
@with_config
def check_config(config: Config) -> None:
    """Check the configuration, and say what must be set at the provider."""
    click.echo(f"configuration: {config.path or 'defaults and environment'}: no mistakes")
    click.echo(f"database: {config.database.path}")
    click.echo(f"provider: {config.provider.kind}")
    for risk in risks(config):
        click.echo(f"warning: {risk}")
    if config.provider.kind != "generic":
        return
    if config.web.public_base_url:
        click.echo(f"set at the provider, for its webhooks: {config.web.public_base_url}/webhooks/call-status")
    else:
        click.echo("[web].public_base_url is not set: with it, this prints the webhook URL to set at the provider")
