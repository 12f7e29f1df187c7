"""Carry out one action: send the request to place a call, or look a call up, and settle what the provider answers."""

from datetime import datetime, timedelta
from functools import partial
from random import random

from loguru import logger

from reminderd.core.answers import Candidates, LookUpAnswer, PlacingAnswer
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.monitoring import lateness
from reminderd.engine.breaker import Breaker, PauseChange
from reminderd.engine.context import Context, log_transition
from reminderd.providers.base import Provider, placement_of
from reminderd.store.database import until_stored
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.settle import read_for_last_look, settle_answer, settle_finding, settle_not_sent


async def dial(action: Action, claimed_at: float, *, context: Context) -> None:
    """Send the claimed request, if the last look allows it, and settle the provider's answer.

    Args:
        action: a request to place a call, or its repetition.
        claimed_at: the monotonic time before the claim, from which its lease counts.
        context: what the engine works with.
    """
    try:
        reason = await _last_look(action, claimed_at, context)
        if reason is None:
            now, sent_at = context.now(), context.clock.monotonic()
            answer = await context.provider.place(placement_of(action))
            took = context.clock.monotonic() - sent_at
            await _settle(action, answer, context)
            _count(action, answer, now, took, context)  # last, so that no mistake in it can lose the provider's answer
        else:
            write = partial(settle_not_sent, action=action, reason=reason, rules=context.rules)
            log_transition(await until_stored(lambda: context.database.write(write)))
    finally:
        context.memory.breaker.note_withdrawn(action.call.id)


async def _last_look(action: Action, claimed_at: float, context: Context) -> str | None:
    """Return why the request must not be sent, or None."""
    try:
        looks = partial(read_for_last_look, action=action, rules=context.rules, now=context.now())
        seen = await context.database.read_together(looks)
    except StoreUnavailableError as error:
        return str(error)
    now = context.now()
    by_monotonic = context.rules.lease - timedelta(seconds=context.clock.monotonic() - claimed_at)
    call = seen.ledger.calls.get(action.call.id)
    by_wall = by_monotonic if call is None or call.wake_at is None else call.wake_at - now
    return last_look(
        seen.ledger,
        action,
        paused=seen.paused,
        stopping=context.stopping.is_set(),
        time_left=min(by_monotonic, by_wall) - context.timeout,
        rules=context.rules,
        now=now,
    )


def _count(action: Action, answer: PlacingAnswer, sent: datetime, took: float, context: Context) -> None:
    """Count how late the request was sent, and how many seconds the provider took."""
    for reminder in action.reminders:
        is_first = reminder.attempts == 0 and reminder.tries == 0
        late = lateness(reminder, action.call, is_first=is_first, rules=context.rules, now=sent)
        if late is not None:
            context.instruments.lateness(late)
    context.instruments.request(answer, took)


async def _settle(action: Action, answer: PlacingAnswer, context: Context) -> None:
    """Record the answer. From the request to this commit, only the row shows that the phone may be ringing."""
    breaker, monotonic = context.memory.breaker, context.clock.monotonic()
    change = breaker.note_answer(action.call, answer, monotonic, random())  # noqa: S311 - jitter
    if change is not None:  # logged at once: it may change again before the answer is written
        log_pause_change(change, breaker)
    context.memory.free_line(action)  # before the write below, so that the next claim can share its transaction
    write = partial(
        settle_answer,
        action=action,
        answer=answer,
        counts=breaker.counts(action.call, answer),
        rules=context.rules,
        draw=random(),  # noqa: S311 - jitter
    )
    log_transition(await until_stored(lambda: context.database.write(write)))


async def check(action: Action, *, context: Context) -> None:
    """Make the look-up that a claimed call asks for, and record what it proves."""
    finding = await _look_up(action, context.provider)
    write = partial(settle_finding, action=action, finding=finding, rules=context.rules)
    log_transition(await until_stored(lambda: context.database.write(write)))


async def _look_up(action: Action, provider: Provider) -> LookUpAnswer | Candidates:
    """Ask by the provider's id if we have it, or by ours."""
    external_call_id = action.call.external_call_id or ""
    match action.kind:
        case ActionKind.FETCH:
            return await provider.fetch(external_call_id)
        case ActionKind.DROP:
            return await provider.drop(external_call_id)
        case _:
            return await provider.find(placement_of(action))


def log_pause_change(change: PauseChange, breaker: Breaker) -> None:
    """Log the beginning or the end of the provider's failure."""
    if change is PauseChange.BEGAN:
        logger.warning(f"the provider is failing, dialing pauses: {breaker.reason}")
    else:
        logger.info("the provider accepts calls again, dialing resumes")
