"""Asks what became of one call, and settles what the provider says."""

from collections.abc import Callable
from functools import partial

from attrs import frozen

from reminderd.core.answers import Candidates, Finding
from reminderd.core.lifecycle import Claimed, Errand
from reminderd.core.rules import Rules
from reminderd.logs import tell
from reminderd.providers.base import Provider, placement_of
from reminderd.store.database import Database
from reminderd.store.patience import until_stored
from reminderd.store.settles import settle_finding


@frozen(kw_only=True)
class Checker:
    """What every check needs."""

    database: Database
    provider: Provider
    rules: Rules
    mint: Callable[[], str]
    """Gives a new unguessable id."""


async def check(claimed: Claimed, *, checker: Checker) -> None:
    """Make the look-up that the claimed row asks for, and record what it proves."""
    write = partial(
        settle_finding,
        claimed=claimed,
        finding=await _look_up(claimed, checker.provider),
        rules=checker.rules,
        new_call_id=checker.mint(),
    )
    tell(await until_stored(lambda: checker.database.write(write)))


async def _look_up(claimed: Claimed, provider: Provider) -> Finding | Candidates:
    """By the provider's id where it is known, else by ours."""
    external_call_id = claimed.call.external_call_id or ""
    match claimed.errand:
        case Errand.FETCH:
            return await provider.fetch(external_call_id)
        case Errand.DROP:
            return await provider.drop(external_call_id)
        case _:
            return await provider.find(placement_of(claimed))
