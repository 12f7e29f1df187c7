"""List what a daemon does next to the calls, as its configuration says."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from attrs import frozen

from reminderd.config import Config
from reminderd.core.daemons import Job
from reminderd.daemon.daily_jobs import daily_jobs, do_daily
from reminderd.engine.context import Context
from reminderd.store.feed import Feed


@frozen
class SideJob:
    """Something that is done next to the calls."""

    do: Callable[[], Awaitable[None]]
    """Returns when the setup ends."""
    job: Job | None = None
    """What it does for all daemons on the database; None: each of them does it for itself."""


def side_jobs(config: Config, context: Context, feed: Feed) -> Iterator[SideJob]:
    """Yield everything that is done next to the calls. What a clinic does not use is not imported."""
    files = []
    if config.alerts.urls:
        from reminderd.daemon.alerts import alerts_of  # noqa: PLC0415

        yield alerts_of(config, context)
    if config.import_.path is not None:
        from reminderd.daemon.drop_folder import imported_files, imports_of  # noqa: PLC0415

        yield imports_of(config.import_.path, config, context)
        files.append(imported_files(config.import_.path))
    if config.results.url or config.results.path is not None:
        from reminderd.daemon.results_out import answer_files, results_of  # noqa: PLC0415

        yield from results_of(config, context, feed)
        files += [] if config.results.path is None else [answer_files(config.results.path)]
    database, clock, stopping = context.database, context.clock, context.stopping
    for daily in daily_jobs(config, files, database=database, clock=clock, stopping=stopping):
        yield SideJob(partial(do_daily, daily), daily.job)
