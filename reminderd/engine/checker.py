"""Asks what became of one call, and settles the provider's answer."""

from functools import partial

from reminderd.core.answers import Candidates, Finding
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.engine.context import Context
from reminderd.logs.lifecycle import log_transition
from reminderd.providers.base import Provider, placement_of
from reminderd.store.database import until_stored
from reminderd.store.settle import settle_finding


async def check(action: Action, *, context: Context) -> None:
    """Make the look-up that a claimed call asks for, and record what it proves."""
    finding = await _look_up(action, context.provider)
    write = partial(settle_finding, action=action, finding=finding, rules=context.rules)
    log_transition(await until_stored(lambda: context.database.write(write)))


async def _look_up(action: Action, provider: Provider) -> Finding | Candidates:
    """Ask by the provider's id if it is known, else by ours."""
    external_call_id = action.call.external_call_id or ""
    match action.kind:
        case ActionKind.FETCH:
            return await provider.fetch(external_call_id)
        case ActionKind.DROP:
            return await provider.drop(external_call_id)
        case _:
            return await provider.find(placement_of(action))
