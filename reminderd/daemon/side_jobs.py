"""List the side jobs, which a daemon does in addition to the calls, by its configuration."""

from collections.abc import Awaitable, Callable, Iterator
from datetime import time
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import frozen
from loguru import logger

from reminderd.config import Config
from reminderd.core.daemons import Job
from reminderd.core.schedule.time_zones import Daily
from reminderd.daemon.daily_jobs import FilesOfPatients, daily_jobs, do_daily
from reminderd.engine.context import Context
from reminderd.store.feed import Feed

_AFTER_AN_ERROR: Final = 60.0
"""Seconds before a job that has failed unexpectedly is started again."""


@frozen
class SideJob:
    """A job that is done in addition to the calls."""

    do: Callable[[], Awaitable[None]]
    """Returns when the setup ends."""
    job: Job | None = None
    """The job if one daemon does it for all; None if each daemon does it for itself."""


def side_jobs(config: Config, context: Context, feed: Feed) -> Iterator[SideJob]:
    """Yield all side jobs. Modules that the clinic does not use are not imported."""
    files: list[FilesOfPatients] = []
    if config.alerts.urls:
        from reminderd.daemon.alerts import alerts_of  # noqa: PLC0415

        yield _kept("alerts", alerts_of(config, context), context)
    if config.import_.path is not None:
        from reminderd.daemon.drop_folder import imports_of  # noqa: PLC0415
        from reminderd.imports.folder import delete_moved_files  # noqa: PLC0415

        yield _kept("[import].folder", imports_of(config.import_.path, config, context), context)
        files.append(FilesOfPatients("[import].folder", partial(delete_moved_files, config.import_.path)))
    if config.results.url:
        yield _results_by_webhook(config, context, feed)
    if config.results.path is not None:
        from reminderd.results.answer_files import forget_answers  # noqa: PLC0415

        yield _results_in_files(config.results.path, config, context)
        files.append(FilesOfPatients("[results].folder", partial(forget_answers, config.results.path)))
    database, clock, stopping = context.database, context.clock, context.stopping
    for daily in daily_jobs(config, files, database=database, clock=clock, stopping=stopping):
        yield SideJob(partial(do_daily, daily), daily.job)


def _results_by_webhook(config: Config, context: Context, feed: Feed) -> SideJob:
    """Return the job that delivers changes of outcomes to the clinic's own system."""
    from reminderd.results.webhook import Destination, Sender  # noqa: PLC0415

    async def send() -> None:
        sender = Sender(
            destination=Destination(url=config.results.url, secret=config.results.secret),
            database=context.database,
            feed=feed,
            clock=context.clock,
            stopping=context.stopping,
        )
        await sender.run()

    return _kept("results", SideJob(send, Job.RESULTS_WEBHOOK), context)


def _results_in_files(folder: Path, config: Config, context: Context) -> SideJob:
    """Return the job that writes changes of outcomes into files."""
    from reminderd.results.answer_files import Files, due_every, keep_writing  # noqa: PLC0415
    from reminderd.results.forms import Form  # noqa: PLC0415

    results, zone = config.results, config.calling.zone
    profile = config.import_.profiles.get(results.profile)
    named = {} if profile is None else profile.columns
    columns = {field: header for field, header in named.items() if header}
    files = Files(
        folder=folder,
        form=Form(format=results.format, columns=columns, zone=zone),
        profile=results.profile,
        due=due_every(results.every_minutes) if results.every_minutes else Daily(at=time(), zone=zone).due,
        database=context.database,
        clock=context.clock,
        stopping=context.stopping,
    )
    return _kept("results", SideJob(partial(keep_writing, files), Job.RESULTS_FOLDER), context)


def _kept(name: str, one: SideJob, context: Context) -> SideJob:
    """Return a job that continues whatever goes wrong in it; its name is for the log."""
    return SideJob(partial(_keep_running, name, one.do, context.stopping), one.job)


async def _keep_running(name: str, do: Callable[[], Awaitable[None]], stopping: trio.Event) -> None:
    """Do a job until `stopping` is set, whatever goes wrong: no calls depend on it."""
    while not stopping.is_set():
        try:
            await do()
        except Exception:  # noqa: BLE001 - a bug here must not stop the calls
            logger.exception(f"{name}: unexpected error; tried again in a minute")
            with trio.move_on_after(_AFTER_AN_ERROR):
                await stopping.wait()
