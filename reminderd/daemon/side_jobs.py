"""Do what is not dialing: backups and the purge once a day, alerts when reminders need a human, files in the folder."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, closing
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

import trio
from attrs import field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.config import Config, expected_of
from reminderd.core.daemons import Job
from reminderd.core.imports import Expected, ImportStatus, missing_words
from reminderd.core.lifecycle.reconcile import UNREACHED
from reminderd.core.masking import without_numbers
from reminderd.core.model import CallOutcome
from reminderd.core.outcomes import Outcome
from reminderd.core.schedule.time_zones import Daily
from reminderd.databases import SqliteFile
from reminderd.imports.folder import ChangedError, Dropped, Folder, Result, import_dropped, reject
from reminderd.store.changes import WEBHOOK, forget_webhooks, trim
from reminderd.store.database import Database
from reminderd.store.erased import forget_erased
from reminderd.store.errors import CopyError, StoreUnavailableError, StoreUnusableError
from reminderd.store.import_records import file_alert, missing_file, note_file_alert
from reminderd.store.personal_data import Place, Traces, purge_batch, unscrubbed
from reminderd.store.queries import News, news, note_alerts
from reminderd.store.settings import address_alert, note_address_alert
from reminderd.store.sqlite.backups import back_up_unless, backups_in, newest_backup
from reminderd.store.sqlite.copying import size_of
from reminderd.store.sqlite.driver import Error
from reminderd.store.sqlite.opening import identify, open_as_it_is, open_connection, scrub
from reminderd.store.users import forget_old_log_ins

_FOLDER: Final = "[backup].folder"
"""Shown instead of what is configured there: a secret may have been put in its place."""

AGAIN_AFTER: Final = timedelta(hours=1)
"""How long after a failure it is tried again."""

ACTOR: Final = "reminderd"
"""Who purges, in the audit."""

SCRUBBED_BYTES: Final = 256 * 1024 * 1024
"""Of a larger database the daemon does not rewrite the file: that needs as much memory, and stops all writing."""

_LOOK: Final = timedelta(minutes=1)


class NotYetError(Exception):
    """The rest can't be done now, for a reason that is no error; the message names it."""


@frozen
class SideJob:
    """Something that is done next to the calls."""

    do: Callable[[], Awaitable[None]]
    """Returns when the setup ends."""
    job: Job | None = None
    """What it does for all daemons on the database; None: each of them does it for itself."""


@frozen(kw_only=True)
class DailyJob:
    """Something that is done once a day."""

    name: str
    """What was not done, in the log."""
    daily: Daily
    last: Callable[[], datetime | None]
    """When it was done last, as far as that is known from outside; None: never. Runs on a worker thread."""
    do: Callable[[], Awaitable[None]]
    clock: Clock
    stopping: trio.Event
    look: timedelta = _LOOK
    """How often the clock is read while it waits: it may be put on, or the machine sleep."""
    job: Job | None = None
    """What it does for all daemons on the database; None: each of them does it for itself."""
    turn: trio.Lock = field(factory=trio.Lock)
    """Held while it is done; jobs with the same one are done one after the other."""


async def do_daily(job: DailyJob) -> None:
    """Do it whenever it is due, until the stop. A failure is an ERROR in the log, and tried again after an hour.

    Whatever fails in it, the rest of the daemon goes on.
    """
    done: datetime | None = None
    while True:
        try:
            last = max(filter(None, (done, await trio.to_thread.run_sync(job.last))), default=None)
            if not await _reached(job.daily.due(last, job.clock.now()), job):
                return
            async with job.turn:
                if job.stopping.is_set():
                    return
                begun = job.clock.now()
                await job.do()
                done = begun
            continue
        except NotYetError as later:
            logger.warning(f"{later}; tried again in an hour")
        except (StoreUnavailableError, StoreUnusableError, Error, OSError) as error:
            if job.stopping.is_set():
                return
            logger.error(f"{job.name}: {error}; tried again in an hour")
        except Exception:  # noqa: BLE001 - a bug in a job that can wait must not stop the calls
            logger.exception(f"{job.name}: unexpected error; tried again in an hour")
        if not await _reached(job.clock.now() + AGAIN_AFTER, job):
            return


async def _reached(moment: datetime, job: DailyJob) -> bool:
    """Wait for a moment of the clock; False: the stop came first."""
    while not job.stopping.is_set():
        left = (moment - job.clock.now()).total_seconds()
        if left <= 0:
            return True
        with trio.move_on_after(min(left, job.look.total_seconds())):
            await job.stopping.wait()
    return False


def backups(database: Path, folder: Path, *, daily: Daily, keep: int, clock: Clock, stopping: trio.Event) -> DailyJob:
    """Return the job that makes a backup a day; the folder shows when the last one was made."""

    def last() -> datetime | None:
        newest = newest_backup(folder, database, _id_of(database), clock.now())
        return None if newest is None else newest.made_at

    def is_made() -> bool:
        return daily.due(last(), clock.now()) > clock.now()

    async def do() -> None:
        begun = clock.monotonic()
        back_up_once = partial(
            back_up_unless, is_made, database, folder, clock.now(), keep=keep, stopped=stopping.is_set
        )
        try:
            made = await trio.to_thread.run_sync(back_up_once)
        except CopyError as error:
            raise CopyError(str(error).replace(str(folder), _FOLDER)) from None
        if made is None:
            return
        logger.info(f"backup made: {made.file.name}, {made.size:,} bytes, in {clock.monotonic() - begun:.1f} s")
        if made.mistakes:
            logger.error(f"the database, and so its backup, has {len(made.mistakes)} errors: see reminderd db check")
        for odd in await trio.to_thread.run_sync(lambda: backups_in(folder, database, _id_of(database))):
            if odd.is_of_the_future(clock.now()):
                logger.warning(f"not counted and not deleted: {odd.file.name}, as its date is in the future")

    return DailyJob(name="no backup was made", daily=daily, last=last, do=do, clock=clock, stopping=stopping)


def retention(
    database: Database,
    *,
    daily: Daily,
    days: int,
    clock: Clock,
    stopping: trio.Event,
    most_bytes: int = SCRUBBED_BYTES,
) -> DailyJob:
    """Return the job that purges, once a day and at each start, what ended more than `days` ago; 0: nothing.

    What is left of old sessions and failed log-ins is deleted whatever `days` is.
    The file is written anew after it, if it has `most_bytes` at most; also if that was left undone before.
    """

    async def do() -> None:
        if days:
            await purge()
        await database.write(forget_erased)
        await database.write(forget_old_log_ins)
        if isinstance(database.target, SqliteFile) and await database.read(unscrubbed) is not None:
            await trio.to_thread.run_sync(_scrub, database.target.path, most_bytes)

    async def purge() -> None:
        before = clock.now() - timedelta(days=days)
        purged, calls, place = 0, 0, Place()
        await database.write(lambda connection, _now: connection.refresh_statistics())
        while not stopping.is_set():
            batch = partial(purge_batch, before=before, place=place, actor=ACTOR, cleaned=without_numbers)
            done = await database.write(batch)
            if done.reached is None:
                break
            purged, calls, place = purged + done.reminders, calls + done.calls, done.reached
        if purged:
            logger.info(f"purged: {purged} reminders of more than {days} days ago")
        if calls:
            logger.info(f"purged: {calls} calls of deleted or moved reminders of more than {days} days ago")

    return DailyJob(
        name="the purge failed",
        daily=daily,
        last=lambda: None,
        do=do,
        clock=clock,
        stopping=stopping,
        job=Job.RETENTION,
    )


def change_retention(
    database: Database, *, daily: Daily, days: int, ways: Sequence[str], clock: Clock, stopping: trio.Event
) -> DailyJob:
    """Return the job that deletes, once a day and at each start, changes of outcomes of more than `days` ago.

    What was not delivered yet in one of the ways out that are configured is kept; what waits for another is forgotten.
    """

    async def do() -> None:
        if WEBHOOK not in ways:
            waited = await database.write(forget_webhooks)
            if waited:
                logger.warning(f"results: [results].url is not set anymore, and {waited} changes were not sent to it")
        old = partial(trim, before=clock.now() - timedelta(days=days), ways=ways)
        while not stopping.is_set() and await database.write(old) > 0:
            pass

    return DailyJob(
        name="old changes of outcomes were not deleted",
        daily=daily,
        last=lambda: None,
        do=do,
        clock=clock,
        stopping=stopping,
        job=Job.RETENTION,
    )


def _id_of(database: Path) -> str:
    with closing(open_as_it_is(database)) as connection:
        return identify(connection)


def _scrub(path: Path, most_bytes: int) -> None:
    with closing(open_connection(path)) as connection:
        if unscrubbed(connection) is Traces.FILE and size_of(connection) > most_bytes:
            logger.warning("traces of purged reminders may be left in the file: run reminderd purge at a quiet time")
        elif not scrub(connection):
            raise NotYetError("traces of purged reminders are in the -wal file, as another program reads the database")


Send = Callable[[str, str], Awaitable[bool]]
"""Sends a title and a text; returns whether every service has accepted it."""

_PAUSED: Final = "dialing is paused"
_NO_FILE: Final = "no file has come"
_LINES: Final = 50
_ENDINGS: Final = {str(one): one for one in CallOutcome}
_SENDING_SECONDS: Final = 60.0
_LONGEST_PAUSE: Final = timedelta(hours=1)


@frozen(kw_only=True)
class Alerts:
    """What sending alerts needs."""

    database: Database
    clock: Clock
    send: Send
    every: timedelta
    """The shortest time between two messages; news that comes meanwhile waits for the next."""
    stopping: trio.Event
    expected: Expected | None = None
    """By when a file comes to the folder; None: none is expected."""


async def watch(alerts: Alerts) -> None:
    """Send what is new, again and again until the stop. News that could not be sent is sent the next time."""
    pause = alerts.every
    while not alerts.stopping.is_set():
        try:
            is_well = await _send_news(alerts)
        except StoreUnavailableError:
            is_well = True  # the poll loop logs it; the next turn tries again
        pause = alerts.every if is_well else min(2 * pause, max(_LONGEST_PAUSE, alerts.every))
        with trio.move_on_after(pause.total_seconds()):
            await alerts.stopping.wait()


async def _send_news(alerts: Alerts) -> bool:
    """Return False if there is news that could not be sent."""
    found = await alerts.database.read(partial(news, now=alerts.clock.now()))
    unreached = await alerts.database.read(address_alert)
    missing = await _missing(alerts)
    if not found and unreached is None and missing is None:
        return True
    title, text = message(found, is_unreached=unreached is not None, late_file=_late_file(alerts, missing))
    is_sent = False
    with trio.move_on_after(_SENDING_SECONDS):
        is_sent = await alerts.send(title, text)
    if not is_sent:
        logger.warning(f"an alert could not be sent ({title}); it will be sent again")
        return False
    await alerts.database.write(partial(note_alerts, alerts=found))
    if unreached is not None:
        await alerts.database.write(partial(note_address_alert, unreached=unreached))
    if missing is not None:
        await alerts.database.write(partial(note_file_alert, missing=missing))
    logger.info(f"an alert was sent: {title}")
    return True


async def _missing(alerts: Alerts) -> datetime | None:
    """Return the moment by which a file should have come, if it has not and no alert was sent for it yet."""
    if alerts.expected is None:
        return None
    return await alerts.database.read(partial(file_alert, expected=alerts.expected, now=alerts.clock.now()))


def _late_file(alerts: Alerts, missing: datetime | None) -> str | None:
    return None if missing is None or alerts.expected is None else missing_words(missing, alerts.expected.by.zone)


def message(found: Sequence[News], *, is_unreached: bool = False, late_file: str | None = None) -> tuple[str, str]:
    """Return title and text: that dialing is paused as the provider does not reach us, a file, then the reminders."""
    parts = [(_PAUSED, f"{UNREACHED}. Run reminderd doctor.")] if is_unreached else []
    parts += [(_NO_FILE, f"{late_file}. Run reminderd report.")] if late_file else []
    parts += [_of_reminders(found)] if found else []
    return "; ".join(title for title, _ in parts), "\n\n".join(text for _, text in parts)


def _of_reminders(found: Sequence[News]) -> tuple[str, str]:
    """Return how many reminders there are, and the outcome of each by its `ref` or id; nothing else about a patient."""
    counts = Counter(one.outcome for one in found)
    title = f"{len(found)} {'reminder needs' if len(found) == 1 else 'reminders need'} a human"
    lines = [", ".join(f"{counts[word]} {word}" for word in Outcome if counts[word])]
    lines += [f"{without_numbers(one.ref or one.id)}: {one.outcome}{_why(one)}" for one in found[:_LINES]]
    if len(found) > _LINES:
        lines.append(f"and {len(found) - _LINES} more")
    return title, "\n".join([*lines, "For details run reminderd report."])


def _why(one: News) -> str:
    """Return how the last call ended, if that is why nobody was reached."""
    ending = _ENDINGS.get(str(one.end_code))
    return f" ({ending.words})" if ending is not None and one.outcome is Outcome.NOT_REACHED else ""


def by_apprise(urls: Sequence[str]) -> Send:
    """Return a function that sends through Apprise, which supports a hundred services by their URLs."""
    import apprise  # noqa: PLC0415 - slow to import, and needed only where alerts are configured

    services = apprise.Apprise()
    services.add(list(urls))

    async def send(title: str, text: str) -> bool:
        # Abandoned at a stop: a service that never answers must not delay it.
        notify = partial(services.notify, title=title, body=text)
        return bool(await trio.to_thread.run_sync(notify, abandon_on_cancel=True))

    return send


_LOOK_AT_FILES: Final = timedelta(seconds=2)
_AGAIN_AFTER: Final = timedelta(minutes=1)
"""How long after a failure the folder is looked at again."""


@frozen(kw_only=True)
class DropFolder:
    """What importing from the folder needs."""

    folder: Folder
    config: Config
    database: Database
    clock: Clock
    stopping: trio.Event
    look: timedelta = _LOOK_AT_FILES
    again_after: timedelta = _AGAIN_AFTER


async def import_what_is_dropped(drop: DropFolder) -> None:
    """Import whatever comes, until the stop; whatever fails in it, the rest of the daemon goes on."""
    warned_of: datetime | None = None
    kept_open: list[str] = []
    while not drop.stopping.is_set():
        pause = drop.look
        try:
            async with _alone(drop.folder) as is_alone:
                kept_open = await _take_out(drop, kept_open) if is_alone else kept_open
            warned_of = await _warn_if_missing(drop, warned_of)
        except (StoreUnavailableError, StoreUnusableError, OSError) as error:
            if not drop.stopping.is_set():
                what = error.strerror if isinstance(error, OSError) else error
                logger.error(f"nothing is imported from [import].folder: {what}; tried again in a minute")
            pause = drop.again_after
        with trio.move_on_after(pause.total_seconds()):
            await drop.stopping.wait()


@asynccontextmanager
async def _alone(folder: Folder) -> AsyncIterator[bool]:
    """Yield whether no other daemon takes files out of the folder; on worker threads, as its disk may be slow."""
    alone = folder.alone()
    is_alone = await trio.to_thread.run_sync(alone.__enter__)
    try:
        yield is_alone
    finally:
        with trio.CancelScope(shield=True):
            await trio.to_thread.run_sync(alone.__exit__, None, None, None)


async def _take_out(drop: DropFolder, kept_open: list[str]) -> list[str]:
    """Import all files that are whole; return the names of those that a program keeps open."""
    whole = await trio.to_thread.run_sync(drop.folder.whole, drop.clock.monotonic(), drop.clock.now())
    found = _warn_of_open_files(drop.folder.kept_open, kept_open)
    for dropped in whole:
        await _import(dropped, drop)
    return found


async def _import(dropped: Dropped, drop: DropFolder) -> None:
    """Import one file on a worker thread, which a stop waits for: it ends with the chunk under way."""
    if drop.stopping.is_set():
        return
    try:
        result = await trio.to_thread.run_sync(import_dropped, dropped, drop.config, drop.clock, drop.stopping.is_set)
    except ChangedError:
        return  # somebody has taken it away again, or writes it anew: the next look finds out
    except (StoreUnavailableError, StoreUnusableError, OSError):
        raise
    except Exception:  # noqa: BLE001 - a bug that one file brings to light must not stop the calls, nor the next file
        logger.exception("a file from [import].folder could not be imported: unexpected error; moved to rejected/")
        why = "unexpected error of reminderd: its log has the details"
        await trio.to_thread.run_sync(reject, dropped, [why])
        return
    _log(result)


def _log(result: Result) -> None:
    if result.status is ImportStatus.REFUSED:
        logger.error(result.text)
    elif result.rejected or result.status is not ImportStatus.DONE:
        logger.warning(result.text)
    else:
        logger.info(result.text)


def _warn_of_open_files(names: list[str], before: list[str]) -> list[str]:
    """Log once for each file that it waits for the program that has it open; return the names."""
    for name in names:
        if name not in before:
            shown = without_numbers(name)
            logger.warning(f"{shown} is not imported: a program has had it open for writing for ten minutes; close it")
    return names


async def _warn_if_missing(drop: DropFolder, warned_of: datetime | None) -> datetime | None:
    """Log once that the file that is expected has not come; return for which moment that was logged."""
    expected = expected_of(drop.config)
    if expected is None:
        return None
    missing = await drop.database.read(partial(missing_file, expected=expected, now=drop.clock.now()))
    if missing is not None and missing != warned_of:
        logger.error(missing_words(missing, drop.config.calling.zone))
    return missing


@frozen
class FilesOfPatients:
    """Files of ours that may have personal data."""

    key: str
    """The key of the configuration that names their folder."""
    forget: Callable[[datetime], int]
    """Deletes those from before a moment, and returns how many; raises OSError. Runs on a worker thread."""


def old_files(files: FilesOfPatients, *, daily: Daily, days: int, clock: Clock, stopping: trio.Event) -> DailyJob:
    """Return the job that deletes files of more than `days` ago."""

    async def do() -> None:
        deleted = await trio.to_thread.run_sync(files.forget, clock.now() - timedelta(days=days))
        if deleted:
            logger.info(f"deleted from {files.key}: {deleted} files of more than {days} days ago")

    name = f"old files of {files.key} were not deleted"
    return DailyJob(name=name, daily=daily, last=lambda: None, do=do, clock=clock, stopping=stopping)
