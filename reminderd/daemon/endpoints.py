"""Connect the web server to the database: settle what a webhook reports, store and find what the API asks for."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import TypeVar
from uuid import uuid4

from attrs import evolve, frozen

from reminderd.config import Config, script_of, templates_of
from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.phone import patient_number
from reminderd.core.requests import ReminderRequest
from reminderd.core.rules import Rules
from reminderd.core.upsert import Decision
from reminderd.engine.breaker import Breaker
from reminderd.engine.context import Context
from reminderd.engine.dialer import log_turn
from reminderd.logs.lifecycle import log_transition
from reminderd.providers.twilio.client import TwilioProvider
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.store.reminders import API, Source, Stored, put_all, stored, withdraw
from reminderd.store.settle import Spoken, settle_key, settle_pick_up, settle_report, settle_unspoken
from reminderd.store.sqlite.driver import Connection
from reminderd.web.api import Api
from reminderd.web.door import Door
from reminderd.web.twilio import twilio_door
from reminderd.web.webhooks import generic_door

T = TypeVar("T")


def mint() -> str:
    """Return a new unguessable id."""
    return str(uuid4())


@frozen(kw_only=True)
class Settling:
    """Settles what webhooks report."""

    database: Database
    rules: Rules
    breaker: Breaker
    knows_one_call: bool

    async def record(self, report: Report) -> Transition:
        """Settle a report; return after the commit."""
        transition = await self._write(partial(settle_report, report=report, rules=self.rules, new_call_id=mint()))
        log_transition(transition)
        self._provider_lives()
        return transition

    async def pick_up(self, report: Report) -> Spoken:
        """Settle that a call was answered; return after the commit."""
        settle = partial(settle_pick_up, report=report, rules=self.rules, new_call_id=mint())
        try:
            return self._logged(await self._write(settle))
        except StoreUnavailableError:
            self.breaker.address.asked_in_vain = True
            raise

    async def press(self, report: Report, key: Key) -> Spoken:
        """Settle a key; return after the commit."""
        settle = partial(settle_key, report=report, key=key, rules=self.rules, new_call_id=mint())
        return self._logged(await self._write(settle))

    async def unused(self, call_id: str) -> None:
        """Settle that our answer to a call could not be used; return after the commit."""
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


def webhooks(config: Config, context: Context, *, knows_one_call: bool = False) -> Door:
    """Return the webhooks of the configured provider, and of no other.

    With `knows_one_call`, the database has one call only, and another database has all others.
    """
    provider = context.provider
    settling = Settling(
        database=context.database,
        rules=context.rules,
        breaker=context.memory.breaker,
        knows_one_call=knows_one_call,
    )
    if isinstance(provider, TwilioProvider):
        found = twilio_door(
            provider,
            script=script_of(config, from_number=config.provider.twilio.from_number),
            record=settling.record,
            pick_up=settling.pick_up,
            press=settling.press,
            unused=settling.unused,
        )
    else:
        found = generic_door(provider, settling.record)
    # What is asked for by GET, Twilio's fallback, is the same for every call.
    return evolve(found, routes=[one for one in found.routes if one[0] == "POST"]) if knows_one_call else found


@frozen(kw_only=True)
class ReminderIntake:
    """Stores and finds reminders for the API; see `IntakeDesk`."""

    database: Database
    rules: Rules

    async def put(self, requests: Sequence[ReminderRequest]) -> list[tuple[Stored, Decision]]:
        """Store all that is asked for, or nothing."""
        source = Source(actor=API, detail="over HTTP")
        write = partial(put_all, requests=requests, rules=self.rules, mint=mint, source=source)
        return await self.database.write(write, wait=False)

    async def find(self, id_or_ref: str) -> Stored | None:
        """Return a reminder, or None."""
        return await self.database.read(partial(stored, id_or_ref=id_or_ref))

    async def withdraw(self, id_or_ref: str) -> Stored:
        """Cancel a reminder."""
        found, transition = await self.database.write(
            partial(withdraw, id_or_ref=id_or_ref, rules=self.rules), wait=False
        )
        if transition is not None:
            log_transition(transition)
        return found


def api(config: Config, *, database: Database, rules: Rules) -> Api | None:
    """Return the API for the clinic's own system; None if the clinic has set no token for it."""
    if not config.api.token:
        return None
    intake = ReminderIntake(database=database, rules=rules)
    return Api(
        token=config.api.token,
        zone=config.calling.local_zone,
        templates=templates_of(config),
        normalise=partial(patient_number, numbering=rules.numbering),
        desk=intake,
    )
