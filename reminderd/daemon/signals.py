"""Act on signals: SIGTERM and SIGINT stop the daemon, SIGHUP reloads its configuration.

The first stop is graceful: nothing more is claimed, requests and webhooks end, and after some time the rest is cut off.
A second stop ends the process at once. A reload checks the whole new configuration, builds everything from it again,
and switches to that.
"""

import math
import os
import signal
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Final

import trio
from attrs import evolve, field, frozen
from loguru import logger

from reminderd.config import Changes, Config, ConfigError, config_warnings, reload_changes, shown_key
from reminderd.daemon.readiness import warn_of_uncallable
from reminderd.daemon.setup import DaemonState, Setup, asking_address, set_up
from reminderd.startup import early_signal
from reminderd.store.database import until_stored
from reminderd.store.shared_state import note_public_address

GRACE: Final = timedelta(seconds=5)
"""The time that a stop has after the longest request, to settle its answer and to answer the last webhooks."""

_AFTER_GRACE: Final = timedelta(seconds=5)

_LOG_LEVEL: Final = ("log", "level")


@frozen(kw_only=True)
class Ended:
    """What has ended in a graceful shutdown, in this order."""

    requests: trio.Event = field(factory=trio.Event)
    """Nothing more is claimed, and every request has its answer."""
    webhooks: trio.Event = field(factory=trio.Event)
    """No more webhooks are accepted, and the last ones are answered."""

    async def both(self) -> None:
        """Wait until both have ended."""
        await self.requests.wait()
        await self.webhooks.wait()

    @property
    def is_complete(self) -> bool:
        """Return whether both have ended."""
        return self.requests.is_set() and self.webhooks.is_set()


def shutdown_grace(config: Config) -> timedelta:
    """Return how long a graceful shutdown may take."""
    return timedelta(seconds=config.provider.timeout_seconds) + GRACE


def time_to_stop(config: Config) -> timedelta:
    """Return how long the supervisor is asked to wait; after the grace, answers are still written and files closed."""
    return shutdown_grace(config) + _AFTER_GRACE


async def cut_off(everything: trio.CancelScope, stopping: trio.Event, ended: Ended, within: timedelta) -> None:
    """Once `stopping` is set, wait for requests and webhooks to end, at most `within` this time; then end the rest."""
    await stopping.wait()
    everything.deadline = trio.current_time() + within.total_seconds()
    await ended.both()
    everything.cancel()  # nothing can be lost: the rest only waits


async def watch_signals(stopping: trio.Event, everything: trio.CancelScope, *, echo_seconds: float = 0.0) -> None:
    """Stop gracefully at the first SIGTERM or SIGINT, even during the start; at the second, end at once, as by a crash.

    Args:
        stopping: set at the first signal.
        everything: cancelled at the second signal.
        echo_seconds: the time after the first signal in which others are ignored as its echo. The single file's first
            process forwards each signal to this process, to which a terminal or systemd has sent it as well.
    """
    first_at = -math.inf
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        early = early_signal(signal.SIGTERM, signal.SIGINT)
        if early is not None:
            logger.info(f"{signal.Signals(early).name}: stopping, it came during the start")
            stopping.set()
            first_at = trio.current_time()
        async for number in signals:
            name = signal.Signals(number).name
            if trio.current_time() < first_at + echo_seconds:
                continue
            if stopping.is_set():
                logger.warning(f"{name} again: ending at once")
                everything.cancel()
                return
            logger.info(f"{name}: stopping, requests in flight may end")
            stopping.set()
            first_at = trio.current_time()


@frozen(kw_only=True)
class Reload:
    """How a reload reads the configuration, and applies it outside of the daemon."""

    load: Callable[[], Config]
    """Reads the configuration again, in a thread; raises ConfigError."""
    set_level: Callable[[str], None]
    """Sets the log's level; if the log can't be written, raises OSError and changes nothing."""


async def watch_hangups(
    daemon: DaemonState, reload: Reload, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Reload the configuration at each SIGHUP; all signals during a reload cause one more reload.

    A closing terminal sends the same signal to processes that were started in it. Then it is a stop, as nobody watches
    this process anymore; unless SIGHUP was ignored, as under nohup.
    """
    in_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    with trio.open_signal_receiver(signal.SIGHUP) as hangups:
        task_status.started()
        if early_signal(signal.SIGHUP) is not None:  # it came during the start, which may have read the file before it
            await _act(daemon, reload, in_terminal=in_terminal)
        async for _ in hangups:
            await _act(daemon, reload, in_terminal=in_terminal)


async def _act(daemon: DaemonState, reload: Reload, *, in_terminal: bool) -> None:
    if in_terminal and not _has_terminal():
        logger.info("SIGHUP: the terminal is closed; stopping, requests in flight may end")
        daemon.stopping.set()
    elif not daemon.stopping.is_set():
        await _reload(daemon, reload)


async def _reload(daemon: DaemonState, reload: Reload) -> None:
    """Switch to the new configuration; if there is a mistake in it, change nothing."""
    built = await _build(daemon, reload)
    if built is None or daemon.stopping.is_set():
        return
    setup, found = built
    before = daemon.switch_to(setup)
    await before.claims_ended()  # what the log announces is true from then on
    _log_changes(found, before.config)
    if asking_address(setup.config) != asking_address(before.config):
        remember = partial(note_public_address, address=asking_address(setup.config))
        await until_stored(lambda: daemon.database.write(remember))
    await warn_of_uncallable(daemon.database, setup.examined)


async def _build(daemon: DaemonState, reload: Reload) -> tuple[Setup, Changes] | None:
    """Return the new setup and what its configuration changes; None, with a line in the log, if it can't be built."""
    before = daemon.current.config
    try:
        wanted = await trio.to_thread.run_sync(reload.load)
        found = reload_changes(before, wanted)
        setup = set_up(found.config, daemon)
    except ConfigError as error:
        count = len(error.errors)
        errors = "1 error" if count == 1 else f"{count} errors"
        logger.error(f"configuration not reloaded ({errors}); still using the previous one")
        for mistake in error.errors:
            logger.error(f"not reloaded: {mistake}")
        return None
    except Exception:  # noqa: BLE001 - a running daemon matters more than a new configuration
        logger.exception("configuration not reloaded (unexpected error); still using the previous one")
        return None
    if found.config.log.level != before.log.level:
        try:
            reload.set_level(found.config.log.level)
        except OSError as error:
            logger.error(f"[log].file: the log can't be written, so its level stays: {error.strerror}")
            # The level in use is not the configured one: the next signal tries again.
            setup = evolve(setup, config=evolve(setup.config, log=before.log))
            found = evolve(found, at_once=tuple(path for path in found.at_once if path != _LOG_LEVEL))
    return setup, found


def _log_changes(found: Changes, before: Config) -> None:
    """Log which keys have changed, without their values, and new warnings."""
    if found.at_once or not found.later:
        names = ", ".join(shown_key(path) for path in found.at_once)
        logger.info(f"configuration reloaded, changed: {names or 'nothing'}")
    if found.later:
        names = ", ".join(shown_key(path) for path in found.later)
        logger.warning(f"configuration reloaded, takes effect at the next start: {names}")
    earlier = config_warnings(before)
    for warning in config_warnings(found.config):
        if warning not in earlier:
            logger.warning(warning)


def _has_terminal() -> bool:
    """Return whether this process has a terminal that still exists."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
