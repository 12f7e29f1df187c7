"""Reload the configuration at SIGHUP: check it whole, build everything anew from it, and put that in force."""

import os
import signal
from collections.abc import Callable
from functools import partial
from typing import Final

import trio
from attrs import evolve, frozen
from loguru import logger

from reminderd.config import Changes, Config, ConfigError, changes, config_warnings, written
from reminderd.daemon.readiness import warn_of_uncallable
from reminderd.daemon.setup import Daemon, Setup, address_of, set_up
from reminderd.early_signals import taken
from reminderd.store.address import follow_address
from reminderd.store.database import until_stored

_LOG_LEVEL: Final = ("log", "level")


@frozen(kw_only=True)
class Reload:
    """Where the configuration comes from, and what it decides beyond the daemon."""

    load: Callable[[], Config]
    """Reads it again, in a thread; raises ConfigError."""
    set_level: Callable[[str], None]
    """Sets the log's level; raises OSError, and then changes nothing, if the log can't be written."""


async def watch_hangups(
    daemon: Daemon, reload: Reload, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Reload the configuration at each SIGHUP; those that come during a reload are one more.

    A terminal that is closed sends the same signal to what was started in it. Then it is a stop, as nobody is left to
    look at this process; unless SIGHUP was ignored, as under nohup.
    """
    in_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    with trio.open_signal_receiver(signal.SIGHUP) as hangups:
        task_status.started()
        if taken(signal.SIGHUP) is not None:  # it came during the start, which may have read the file before it
            await _act(daemon, reload, in_terminal=in_terminal)
        async for _ in hangups:
            await _act(daemon, reload, in_terminal=in_terminal)


async def _act(daemon: Daemon, reload: Reload, *, in_terminal: bool) -> None:
    if in_terminal and not _has_terminal():
        logger.info("SIGHUP: the terminal is closed; stopping, requests in flight may end")
        daemon.stopping.set()
    elif not daemon.stopping.is_set():
        await _reload(daemon, reload)


async def _reload(daemon: Daemon, reload: Reload) -> None:
    """Put the new configuration in force, or leave everything as it is if there is a mistake in it."""
    built = await _build(daemon, reload)
    if built is None or daemon.stopping.is_set():
        return
    setup, found = built
    before = daemon.switch_to(setup)
    await before.claims_ended()  # what the log announces is true from then on
    _tell(found, before.config)
    if address_of(setup.config) != address_of(before.config):
        remember = partial(follow_address, address=address_of(setup.config))
        await until_stored(lambda: daemon.database.write(remember))
    await warn_of_uncallable(daemon.database, setup.context.rules.numbering)


async def _build(daemon: Daemon, reload: Reload) -> tuple[Setup, Changes] | None:
    """Return the new setup, and how its configuration differs; None: it can't be built, and the log says why."""
    before = daemon.current.config
    try:
        wanted = await trio.to_thread.run_sync(reload.load)
        found = changes(before, wanted)
        setup = set_up(found.config, daemon)
    except ConfigError as error:
        count = len(error.errors)
        errors = "1 error" if count == 1 else f"{count} errors"
        logger.error(f"configuration not reloaded ({errors}); still using the previous one")
        for mistake in error.errors:
            logger.error(f"not reloaded: {mistake}")
        return None
    except Exception:  # noqa: BLE001 - a running daemon is worth more than a new configuration
        logger.exception("configuration not reloaded (unexpected error); still using the previous one")
        return None
    if found.config.log.level != before.log.level:
        try:
            reload.set_level(found.config.log.level)
        except OSError as error:
            logger.error(f"[log].file: the log can't be written, so its level stays: {error.strerror}")
            # What holds is not what was wanted: at the next signal it is tried again.
            setup = evolve(setup, config=evolve(setup.config, log=before.log))
            found = evolve(found, at_once=tuple(path for path in found.at_once if path != _LOG_LEVEL))
    return setup, found


def _tell(found: Changes, before: Config) -> None:
    """Say which keys have changed, never their values, and what is risky now that was not."""
    if found.at_once or not found.later:
        names = ", ".join(written(path) for path in found.at_once)
        logger.info(f"configuration reloaded, changed: {names or 'nothing'}")
    if found.later:
        names = ", ".join(written(path) for path in found.later)
        logger.warning(f"configuration reloaded, takes effect at the next start: {names}")
    earlier = config_warnings(before)
    for warning in config_warnings(found.config):
        if warning not in earlier:
            logger.warning(warning)


def _has_terminal() -> bool:
    """Return whether this process has a terminal that is still there."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
