"""Run the daemon until a signal ends it."""

import os
import sys
from functools import partial
from pathlib import Path
from typing import Final

import click
import trio
from loguru import logger

from reminderd.cli.common import FAILED, fail, with_config, wrong_usage
from reminderd.clock import SystemClock
from reminderd.config import FILE_NAME, Config, config_warnings, load_config
from reminderd.daemon import DaemonPart, Options, Reload, run, supervisor_of, watch_signals
from reminderd.logs.configure import configure_logs
from reminderd.startup import collect_what_loading_left, single_errors
from reminderd.store.any_engine import provider_of
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError

_ECHO_SECONDS: Final = 1.0

_COLLECTS_AFTER: Final = 1.0
"""Seconds from the start until the garbage of loading is collected; by then, everything runs."""


@click.command(name="run")
@click.option(
    "--only",
    type=click.Choice(["dial", "web"]),
    help="Run only one half, in a separate process: place calls, or receive webhooks.",
)
@click.option("--sandbox", is_flag=True, help="Simulate all calls, even with a database that a real provider has used.")
@with_config
def run_(config: Config, only: DaemonPart | None, *, sandbox: bool) -> None:
    """Run the daemon: claim what is due, place calls, receive webhooks.

    SIGTERM stops it gracefully; SIGHUP reloads the configuration.
    """
    if sandbox and config.provider.kind != "sandbox":
        wrong_usage([f"--sandbox: {config.path or 'the environment'} names a real provider; expected one or the other"])
    if only is not None and config.provider.kind == "sandbox":
        wrong_usage(["--only: the sandbox runs in one process; expected a real provider in [provider].kind"])
    log = config.log
    configure = partial(
        configure_logs, log_format=log.format, file=log.path, rotation=log.rotation, retention=log.retention
    )
    try:
        sinks = configure(level=log.level)
    except OSError as error:
        fail(f"[log].file: the log can't be written: {error.strerror}")

    if config.provider.kind == "sandbox":
        try:
            _guard_a_clinics_database(config, insists=sandbox or config.provider.is_stated)
        except (StoreUnusableError, StoreUnavailableError) as error:
            logger.error(f"{error}")
            sys.exit(FAILED)

    def set_level(level: str) -> None:
        nonlocal sinks
        sinks = configure(level=level, instead_of=sinks)

    reload = Reload(load=partial(load_config, config.path, os.environ, Path.cwd()), set_level=set_level)
    for concern in config_warnings(config):
        logger.warning(concern)
    sys.exit(trio.run(_until_stopped, config, only, reload))


def _guard_a_clinics_database(config: Config, *, insists: bool) -> None:
    """End with exit code 2 if the sandbox was not requested, and the database knows a real provider; otherwise warn.

    The sandbox calls nobody, but records patients as called.
    """
    if config.database.is_missing:
        return
    name = config.database.target.shown_name
    kind = provider_of(config.database.target)
    if kind is None:
        return
    if insists:
        logger.warning(
            f"all calls are simulated, though {name} has been in use with the provider {kind}:"
            " patients whom nobody calls are recorded as called"
        )
        return
    if config.path is None:
        where = f"there is no configuration file {Path.cwd() / FILE_NAME}"
    else:
        where = f"{config.path} names no provider"
    expected = "expected --config FILE with [provider], or --sandbox to simulate all calls"
    wrong_usage([f"{where}, but {name} has been in use with the provider {kind}; {expected}"])


async def _collect_later() -> None:
    """Collect the garbage of loading, 3 MB, only after the start, so as not to delay it."""
    await trio.sleep(_COLLECTS_AFTER)
    collect_what_loading_left()


async def _until_stopped(config: Config, only: DaemonPart | None, reload: Reload) -> int:
    """Run until a signal, and return the exit code: 0 only after a graceful shutdown."""
    code = FAILED
    stopping = trio.Event()
    try:
        async with trio.open_nursery() as nursery:
            echo_seconds = _ECHO_SECONDS if getattr(sys, "frozen", False) else 0.0
            nursery.start_soon(partial(watch_signals, stopping, nursery.cancel_scope, echo_seconds=echo_seconds))
            nursery.start_soon(_collect_later)
            options = Options(only=only, supervisor=supervisor_of(os.environ))
            if await run(config, clock=SystemClock(), stopping=stopping, options=options, reload=reload):
                code = 0
            nursery.cancel_scope.cancel()
    except* (StoreUnusableError, StoreUnavailableError, OSError) as errors:
        for error in single_errors(errors):
            logger.error(f"{error}")
    except* Exception:  # noqa: BLE001 - the outermost level: the log must get any error
        logger.exception("the daemon failed: unexpected error")
    return code
