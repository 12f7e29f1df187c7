"""Settle in the database what webhooks report, and decide what is spoken next."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from uuid import uuid4

from attrs import frozen
from loguru import logger

from reminderd.core.answers import Report
from reminderd.core.lifecycle.keypress import CALL_NOT_NEEDED, Key
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.rules import Rules
from reminderd.core.script.scripts import Scripts
from reminderd.engine.breaker import AddressPause, Breaker
from reminderd.engine.context import log_transition
from reminderd.engine.dialer import log_pause_change
from reminderd.store.connection import Connection
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.store.settle import Spoken, settle_key, settle_pick_up, settle_report, settle_unspoken

T = TypeVar("T")

_TURNED_AWAY: Final = {408, 503}
"""The HTTP statuses for webhooks that arrived too slowly, or could not be recorded."""


def mint() -> str:
    """Return a new unguessable id."""
    return str(uuid4())


@frozen(kw_only=True)
class DatabaseRecorder:
    """Records what webhooks report; see `Recorder`."""

    database: Database
    rules: Rules
    breaker: Breaker
    knows_one_call: bool = False
    """Whether the database has one call only, and another database has all others."""

    @property
    def scripts(self) -> Scripts:
        """Return what is spoken before and after a message, and with which voice, in each language."""
        return self.rules.scripts

    async def report(self, report: Report) -> Transition:
        """Settle a report; return after the commit."""
        transition = await self._write(partial(settle_report, report=report, rules=self.rules, mint=mint))
        log_transition(transition)
        self._provider_lives()
        return transition

    async def pick_up(self, report: Report) -> Spoken:
        """Settle that a call was answered; return after the commit."""
        return await self._spoken(report, partial(settle_pick_up, report=report, rules=self.rules, mint=mint))

    async def press(self, report: Report, key: Key) -> Spoken:
        """Settle a key; return after the commit."""
        return await self._spoken(report, partial(settle_key, report=report, key=key, rules=self.rules, mint=mint))

    async def unspoken(self, call_id: str) -> None:
        """Settle that our answer to a call could not be used, if the database can be written now."""
        try:
            transition = await self._write(partial(settle_unspoken, call_id=call_id, rules=self.rules))
        except StoreUnavailableError as error:  # the person on the line hears who called anyway
            logger.warning(f"not recorded that our answer to the call {call_id} could not be used: {error}")
            return
        if transition is not None:
            log_transition(transition)

    async def _spoken(self, report: Report, settle: Callable[[Connection, datetime], Spoken]) -> Spoken:
        try:
            spoken = await self._write(settle)
        except UnknownReminderError:  # a person is on the line, so be polite
            logger.warning(f"an unknown call was answered: {report.attempt_id}")
            return Spoken(reply=CALL_NOT_NEEDED, message="", transitions=())
        for transition in spoken.transitions:
            log_transition(transition)
        self._provider_lives()
        return spoken

    async def _write(self, fn: Callable[[Connection, datetime], T]) -> T:
        try:
            return await self.database.write(fn, wait=False)
        except UnknownReminderError:
            if not self.knows_one_call:
                raise
            # The daemon may know the call: this program must not answer that it is unknown.
            raise StoreUnavailableError("it is not about the test call") from None

    def _provider_lives(self) -> None:
        change = self.breaker.webhook_came()
        if change is not None:
            log_pause_change(change, self.breaker)


def note_answer(status: int, address: AddressPause) -> None:
    """Remember that the provider reached us but got no answer, if a webhook was refused with this HTTP status.

    It may have asked what to say. If the call was then silent, that does not show that our address is wrong.
    """
    if status in _TURNED_AWAY:
        address.asked_without_answer = True
