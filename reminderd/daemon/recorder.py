"""Records what webhooks say in the database, and in the log."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import TypeVar

from attrs import frozen
from loguru import logger

from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import NOT_NEEDED, Key
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.rules import Rules
from reminderd.core.wording import Wording
from reminderd.daemon.parts import mint
from reminderd.engine.breaker import Breaker
from reminderd.engine.dialer import log_turn
from reminderd.logs import log_transition
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.store.settle import Spoken, settle_key, settle_pick_up, settle_report, settle_unspoken
from reminderd.store.sqlite.driver import Connection

T = TypeVar("T")


@frozen(kw_only=True)
class DatabaseRecorder:
    """Records webhooks in the clinic's database; see `Recorder`."""

    database: Database
    rules: Rules
    breaker: Breaker
    wording: Wording
    knows_one_call: bool = False
    """Whether the database has one call only, and another database has all others."""

    async def report(self, report: Report) -> Transition:
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
        except UnknownReminderError:
            return _to_nobody(report)
        except StoreUnavailableError:
            self.breaker.address.asked_in_vain = True
            raise

    async def press(self, report: Report, key: Key) -> Spoken:
        """Settle a key; returns after the commit."""
        settle = partial(settle_key, report=report, key=key, rules=self.rules, new_call_id=mint())
        try:
            return self._logged(await self._write(settle))
        except UnknownReminderError:
            return _to_nobody(report)

    async def unspoken(self, call_id: str) -> None:
        """Settle that our answer to a call could not be used, if the database can be written now."""
        try:
            transition = await self._write(partial(settle_unspoken, call_id=call_id, rules=self.rules))
        except StoreUnavailableError as error:  # whoever is on the line hears who called all the same
            logger.warning(f"not recorded that our answer to the call {call_id} could not be used: {error}")
            return
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


def _to_nobody(report: Report) -> Spoken:
    """Return what is spoken in a call that we do not know: a person is on the line, so be polite."""
    logger.warning(f"an unknown call was answered: {report.attempt_id}")
    return Spoken(reply=NOT_NEEDED, message="", transitions=())
