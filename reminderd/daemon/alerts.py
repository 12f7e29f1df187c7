"""Send a message when reminders need a human, when a file is missing, and when the provider can't reach us."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from functools import partial
from typing import Final

import apprise
import trio
from attrs import frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.config import Config, expected_of
from reminderd.core.daemons import Job
from reminderd.core.masking import mask_numbers
from reminderd.core.model import CallOutcome
from reminderd.core.monitoring import missing_file_error
from reminderd.core.outcomes import Outcome
from reminderd.core.reasons import UNREACHED
from reminderd.core.rules import ExpectedFile
from reminderd.daemon.side_jobs import SideJob
from reminderd.engine.context import Context
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.import_records import file_alert, note_file_alert
from reminderd.store.queries import AlertedReminder, note_alerts, reminders_to_alert
from reminderd.store.shared_state import address_alert, note_address_alert

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
    """What sending alerts depends on."""

    database: Database
    clock: Clock
    send: Send
    every: timedelta
    """The shortest time between two messages; news in the meantime waits for the next message."""
    stopping: trio.Event
    expected: ExpectedFile | None = None
    """By when a file is expected in the folder; None if no file is expected."""


async def send_alerts(alerts: Alerts) -> None:
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
    found = await alerts.database.read(partial(reminders_to_alert, now=alerts.clock.now()))
    unreached = await alerts.database.read(address_alert)
    expected, missing, late_file = alerts.expected, None, None
    if expected is not None:
        missing = await alerts.database.read(partial(file_alert, expected=expected, now=alerts.clock.now()))
        late_file = None if missing is None else missing_file_error(missing, expected.by.zone)
    if not found and unreached is None and missing is None:
        return True
    title, text = alert_text(found, is_unreached=unreached is not None, late_file=late_file)
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


def alert_text(
    found: Sequence[AlertedReminder], *, is_unreached: bool = False, late_file: str | None = None
) -> tuple[str, str]:
    """Return title and text: first a pause because the provider does not reach us, then a late file, then reminders."""
    parts = [(_PAUSED, f"{UNREACHED}. Run reminderd doctor.")] if is_unreached else []
    parts += [(_NO_FILE, f"{late_file}. Run reminderd report.")] if late_file else []
    parts += [_of_reminders(found)] if found else []
    return "; ".join(title for title, _ in parts), "\n\n".join(text for _, text in parts)


def _of_reminders(found: Sequence[AlertedReminder]) -> tuple[str, str]:
    """Return how many reminders there are, and the outcome of each by its `ref` or id; nothing else about a patient."""
    counts = Counter(one.outcome for one in found)
    title = f"{len(found)} {'reminder needs' if len(found) == 1 else 'reminders need'} a human"
    lines = [", ".join(f"{counts[word]} {word}" for word in Outcome if counts[word])]
    lines += [f"{mask_numbers(one.ref or one.id)}: {one.outcome}{_why(one)}" for one in found[:_LINES]]
    if len(found) > _LINES:
        lines.append(f"and {len(found) - _LINES} more")
    return title, "\n".join([*lines, "For details run reminderd report."])


def _why(one: AlertedReminder) -> str:
    """Return how the last call ended, if that is why nobody was reached."""
    ending = _ENDINGS.get(str(one.end_code))
    return f" ({ending.words})" if ending is not None and one.outcome is Outcome.NOT_REACHED else ""


def by_apprise(urls: Sequence[str]) -> Send:
    """Return a function that sends through Apprise, which supports a hundred services by their URLs."""
    services = apprise.Apprise()
    services.add(list(urls))

    async def send(title: str, text: str) -> bool:
        # Abandoned at a stop: a service that never answers must not delay it.
        notify = partial(services.notify, title=title, body=text)
        return bool(await trio.to_thread.run_sync(notify, abandon_on_cancel=True))

    return send


def alerts_of(config: Config, context: Context) -> SideJob:
    """Return the job that sends alerts; one daemon does it for all."""
    alerts = Alerts(
        database=context.database,
        clock=context.clock,
        send=by_apprise(config.alerts.urls),
        every=timedelta(seconds=config.alerts.every_seconds),
        stopping=context.stopping,
        expected=expected_of(config),
    )
    return SideJob(partial(send_alerts, alerts), Job.ALERTS)
