"""Places one call: the last look, one request, and the provider's answer settled."""

from datetime import datetime, timedelta
from functools import partial
from random import random

import trio
from attrs import frozen
from loguru import logger

from reminderd.breaker import Breaker, Turn
from reminderd.clock import Clock
from reminderd.core.answers import Answer
from reminderd.core.intake import zone_of
from reminderd.core.lifecycle import Claimed, kept_back
from reminderd.core.rules import Rules
from reminderd.core.watching import lateness
from reminderd.logs import tell
from reminderd.metrics import Instruments
from reminderd.providers.base import Provider, placement_of
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.facts import last_look
from reminderd.store.patience import until_stored
from reminderd.store.settles import settle_answer, settle_not_sent


@frozen(kw_only=True)
class Dialer:
    """What every dial needs."""

    database: Database
    provider: Provider
    breaker: Breaker
    clock: Clock
    rules: Rules
    timeout: timedelta
    """The longest that a request can take."""
    stopping: trio.Event
    instruments: Instruments


async def dial(claimed: Claimed, claimed_at: float, *, dialer: Dialer) -> None:
    """Send the claimed request, if the last look allows it, and settle what the provider says.

    Args:
        claimed: a row with the errand to dial, or to send again.
        claimed_at: the monotonic time before the claim, from which its lease counts.
        dialer: what every dial needs.
    """
    try:
        reason = await _kept_back(claimed, claimed_at, dialer)
        if reason is None:
            now, sent_at = dialer.clock.now(), dialer.clock.monotonic()
            answer = await dialer.provider.place(placement_of(claimed))
            took = dialer.clock.monotonic() - sent_at
            await _settle(claimed, answer, dialer)
            _count(claimed, answer, now, took, dialer)  # last: no mistake in it may cost us what the provider said
        else:
            write = partial(settle_not_sent, claimed=claimed, reason=reason)
            tell(await until_stored(lambda: dialer.database.write(write)))
    finally:
        dialer.breaker.withdrawn(claimed.call.id)


async def _kept_back(claimed: Claimed, claimed_at: float, dialer: Dialer) -> str | None:
    """The last look: why the request must not go out, or None."""
    try:
        look = await dialer.database.read(
            partial(last_look, claimed=claimed, rules=dialer.rules, now=dialer.clock.now())
        )
    except StoreUnavailableError as error:
        return str(error)
    by_monotonic = dialer.rules.lease - timedelta(seconds=dialer.clock.monotonic() - claimed_at)
    now, wake_at = dialer.clock.now(), None if look.reminder is None else look.reminder.wake_at
    by_wall = by_monotonic if wake_at is None else wake_at - now
    return kept_back(
        look.reminder,
        token=claimed.token,
        opted_out=look.opted_out,
        parted=look.parted,
        paused=look.paused,
        window_open=dialer.rules.window.is_open(now, zone_of(claimed.reminder, dialer.rules)),
        stopping=dialer.stopping.is_set(),
        lease_left=min(by_monotonic, by_wall),
        needed=dialer.timeout,
    )


def _count(claimed: Claimed, answer: Answer, sent: datetime, took: float, dialer: Dialer) -> None:
    """Count how late the request went out, and how many seconds the provider took."""
    late = lateness(claimed.reminder, claimed.call, rules=dialer.rules, now=sent)
    if late is not None:
        dialer.instruments.lateness(late)
    dialer.instruments.request(answer, took)


async def _settle(claimed: Claimed, answer: Answer, dialer: Dialer) -> None:
    """Record the answer. From the request to this commit only the row says that the phone may be ringing."""
    turn = dialer.breaker.heard(claimed.call.id, answer, dialer.clock.monotonic(), random())  # noqa: S311 - jitter
    if turn is not None:
        tell_turn(turn, dialer.breaker)  # at once: the breaker has turned again, perhaps, before the answer is written
    write = partial(
        settle_answer,
        claimed=claimed,
        answer=answer,
        burns_try=not dialer.breaker.paused,
        rules=dialer.rules,
        draw=random(),  # noqa: S311 - jitter
    )
    tell(await until_stored(lambda: dialer.database.write(write)))


def tell_turn(turn: Turn, breaker: Breaker) -> None:
    """Say that the provider's trouble began or ended."""
    if turn is Turn.BEGAN:
        logger.warning(f"the provider is in trouble, dialing pauses: {breaker.reason}")
    else:
        logger.info("the provider takes calls again, dialing goes on")
