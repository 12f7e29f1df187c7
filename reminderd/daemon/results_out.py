"""Deliver changes of outcomes while the daemon runs: to the clinic's own system, and into files."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import time
from functools import partial
from pathlib import Path
from typing import Final

import trio
from loguru import logger

from reminderd.config import Config
from reminderd.core.daemons import Job
from reminderd.core.schedule.time_zones import Daily
from reminderd.daemon.daily_jobs import FilesOfPatients
from reminderd.daemon.side_jobs import SideJob
from reminderd.engine.context import Context
from reminderd.results.answer_files import Files, every, forget_answers, keep_writing
from reminderd.results.forms import Form
from reminderd.results.webhook import Destination, Sender
from reminderd.store.feed import Feed

_AFTER_AN_ERROR: Final = 60.0
"""Seconds before a delivery that has failed unexpectedly is started again."""


async def _keep_running(deliver: Callable[[], Awaitable[None]], stopping: trio.Event) -> None:
    """Deliver changes until `stopping` is set, whatever goes wrong: no calls depend on it."""
    while not stopping.is_set():
        try:
            await deliver()
        except Exception:  # noqa: BLE001 - a bug in what can wait must not stop the calls
            logger.exception("results: unexpected error; tried again in a minute")
            with trio.move_on_after(_AFTER_AN_ERROR):
                await stopping.wait()


def results_of(config: Config, context: Context, feed: Feed) -> Iterator[SideJob]:
    """Yield what delivers changes of outcomes, for each way that is configured."""
    results, zone = config.results, config.calling.zone
    database, clock, stopping = context.database, context.clock, context.stopping
    if results.url:
        destination = Destination(url=results.url, secret=results.secret)

        async def send() -> None:
            sender = Sender(destination=destination, database=database, feed=feed, clock=clock, stopping=stopping)
            await sender.run()

        yield SideJob(partial(_keep_running, send, stopping), Job.RESULTS_WEBHOOK)
    if results.path is not None:
        profile = config.import_.profiles.get(results.profile)
        named = {} if profile is None else profile.columns
        columns = {field: header for field, header in named.items() if header}
        form = Form(format=results.format, columns=columns, zone=zone)
        due = every(results.every_minutes) if results.every_minutes else Daily(at=time(), zone=zone).due
        files = Files(
            folder=results.path,
            form=form,
            profile=results.profile,
            due=due,
            database=database,
            clock=clock,
            stopping=stopping,
        )
        yield SideJob(partial(_keep_running, partial(keep_writing, files), stopping), Job.RESULTS_FOLDER)


def answer_files(path: Path) -> FilesOfPatients:
    """Return the files of results in the folder, which are deleted once they are old."""
    return FilesOfPatients("[results].folder", partial(forget_answers, path))
