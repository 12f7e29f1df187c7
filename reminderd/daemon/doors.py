"""The provider's door, with the database behind it: what a webhook says is settled, and told in the log."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

from attrs import evolve, frozen

from reminderd.config import Config, script_of
from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.rules import Rules
from reminderd.daemon.parts import mint
from reminderd.engine.breaker import Breaker
from reminderd.engine.dialer import log_turn
from reminderd.logs import log_transition
from reminderd.providers.generic import GenericProvider
from reminderd.providers.twilio.client import TwilioProvider
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.store.settle import Spoken, settle_key, settle_pick_up, settle_report, settle_unspoken
from reminderd.store.sqlite.driver import Connection
from reminderd.web.door import Door
from reminderd.web.twilio import twilio_door
from reminderd.web.webhooks import generic_door

T = TypeVar("T")


@frozen(kw_only=True)
class _Desk:
    """What every webhook needs."""

    database: Database
    rules: Rules
    breaker: Breaker
    knows_one_call: bool

    async def record(self, report: Report) -> Transition:
        """Settle a report; returns after the commit."""
        transition = await self._write(partial(settle_report, report=report, rules=self.rules, new_call_id=mint()))
        log_transition(transition)
        self._provider_lives()
        return transition

    async def pick_up(self, report: Report) -> Spoken:
        """Settle that a call was answered; returns after the commit."""
        settle = partial(settle_pick_up, report=report, rules=self.rules, new_call_id=mint())
        try:
            return self._logged(await self._write(settle))
        except StoreUnavailableError:
            self.breaker.address.asked_in_vain = True
            raise

    async def press(self, report: Report, key: Key) -> Spoken:
        """Settle a key; returns after the commit."""
        settle = partial(settle_key, report=report, key=key, rules=self.rules, new_call_id=mint())
        return self._logged(await self._write(settle))

    async def unused(self, call_id: str) -> None:
        """Settle that our answer to a call could not be used; returns after the commit."""
        transition = await self._write(partial(settle_unspoken, call_id=call_id, rules=self.rules))
        if transition is not None:
            log_transition(transition)

    async def _write(self, fn: Callable[[Connection, datetime], T]) -> T:
        try:
            return await self.database.write(fn, wait=False)
        except UnknownReminderError:
            if not self.knows_one_call:
                raise
            # The daemon may know the call: whoever answers for it now must not say that nobody does.
            raise StoreUnavailableError("it is not about the test call") from None

    def _logged(self, spoken: Spoken) -> Spoken:
        for transition in spoken.transitions:
            log_transition(transition)
        self._provider_lives()
        return spoken

    def _provider_lives(self) -> None:
        turn = self.breaker.webhook_came()
        if turn is not None:
            log_turn(turn, self.breaker)


def door(
    config: Config,
    *,
    provider: GenericProvider | TwilioProvider,
    database: Database,
    rules: Rules,
    breaker: Breaker,
    knows_one_call: bool = False,
) -> Door:
    """The door of the provider that is configured; no other provider's is there.

    With `knows_one_call`, the database has one call only, and another database has all others.
    """
    desk = _Desk(database=database, rules=rules, breaker=breaker, knows_one_call=knows_one_call)
    if isinstance(provider, TwilioProvider):
        script = script_of(config, from_number=config.provider.twilio.from_number)
        found = twilio_door(
            provider,
            script=script,
            record=desk.record,
            pick_up=desk.pick_up,
            press=desk.press,
            unused=desk.unused,
        )
    else:
        found = generic_door(provider, desk.record)
    # What is asked for by GET, Twilio's fallback, is the same for every call.
    return evolve(found, routes=[one for one in found.routes if one[0] == "POST"]) if knows_one_call else found
