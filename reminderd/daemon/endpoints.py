"""Connect the web server to the database: settle what a webhook reports, store and find what the API asks for."""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final, TypeVar
from uuid import uuid4

from attrs import frozen
from loguru import logger

from reminderd.config import Config, reading_of, templates_of
from reminderd.core.answers import Report
from reminderd.core.appointments import AppointmentRequest
from reminderd.core.lifecycle.keypress import NOT_NEEDED, Key
from reminderd.core.lifecycle.transition import Transition
from reminderd.core.phone import patient_number
from reminderd.core.reasons import EndCode
from reminderd.core.requests import ReminderRequest
from reminderd.core.rules import Rules
from reminderd.core.script.scripts import Scripts
from reminderd.core.upsert import Decision
from reminderd.engine.breaker import AddressPause, Breaker
from reminderd.engine.context import Context, log_transition
from reminderd.engine.dialer import log_pause_change
from reminderd.providers.base import WebhookProvider
from reminderd.store.appointments import (
    StoredAppointment,
    put_all_appointments,
    stored_appointment,
    withdraw_appointment,
)
from reminderd.store.connection import Connection
from reminderd.store.database import Database
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from reminderd.store.feed import Feed
from reminderd.store.intake import API, Source
from reminderd.store.reminders import Stored, finish, put_all, stored, withdraw
from reminderd.store.settle import Spoken, settle_key, settle_pick_up, settle_report, settle_unspoken
from reminderd.web.api import Api
from reminderd.web.appointments import AppointmentsView
from reminderd.web.webhooks import Webhooks

T = TypeVar("T")

_TURNED_AWAY: Final = {408, 503}
"""HTTP statuses of webhooks that came in too slowly, or could not be recorded."""


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
        """Return what is spoken around a message, and by which voice, in each language."""
        return self.rules.scripts

    async def report(self, report: Report) -> Transition:
        """Settle a report; return after the commit."""
        transition = await self._write(partial(settle_report, report=report, rules=self.rules, mint=mint))
        log_transition(transition)
        self._provider_lives()
        return transition

    async def pick_up(self, report: Report) -> Spoken:
        """Settle that a call was answered; return after the commit."""
        settle = partial(settle_pick_up, report=report, rules=self.rules, mint=mint)
        try:
            return self._logged(await self._write(settle))
        except UnknownReminderError:
            return _to_nobody(report)

    async def press(self, report: Report, key: Key) -> Spoken:
        """Settle a key; return after the commit."""
        settle = partial(settle_key, report=report, key=key, rules=self.rules, mint=mint)
        try:
            return self._logged(await self._write(settle))
        except UnknownReminderError:
            return _to_nobody(report)

    async def unspoken(self, call_id: str) -> None:
        """Settle that our answer to a call could not be used, if the database can be written now."""
        try:
            transition = await self._write(partial(settle_unspoken, call_id=call_id, rules=self.rules))
        except StoreUnavailableError as error:  # the person on the line hears who called all the same
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
            # The daemon may know the call: this program must not answer that it is unknown.
            raise StoreUnavailableError("it is not about the test call") from None

    def _logged(self, spoken: Spoken) -> Spoken:
        for transition in spoken.transitions:
            log_transition(transition)
        self._provider_lives()
        return spoken

    def _provider_lives(self) -> None:
        turn = self.breaker.webhook_came()
        if turn is not None:
            log_pause_change(turn, self.breaker)


def _to_nobody(report: Report) -> Spoken:
    """Return what is spoken in a call that we do not know: a person is on the line, so be polite."""
    logger.warning(f"an unknown call was answered: {report.attempt_id}")
    return Spoken(reply=NOT_NEEDED, message="", transitions=())


def note_answer(status: int, address: AddressPause) -> None:
    """Remember that the provider reached us without an answer, if a webhook was turned away with this HTTP status.

    It may have asked what to say: that the call was then silent does not show that our address is wrong.
    """
    if status in _TURNED_AWAY:
        address.asked_without_answer = True


def webhooks(context: Context, provider: WebhookProvider, *, knows_one_call: bool = False) -> Webhooks:
    """Return the webhooks of the configured provider.

    With `knows_one_call`, the database has one call only, and another database has all others.
    """
    recorder = DatabaseRecorder(
        database=context.database,
        rules=context.rules,
        breaker=context.memory.breaker,
        knows_one_call=knows_one_call,
    )
    return Webhooks(provider=provider, recorder=recorder)


@frozen(kw_only=True)
class DatabaseService:
    """Stores and finds reminders for the API; see `ReminderService`."""

    database: Database
    rules: Rules

    async def upsert(self, requests: Sequence[ReminderRequest]) -> list[tuple[Stored, Decision]]:
        """Add or update all reminders, or none."""
        write = partial(put_all, requests=requests, rules=self.rules, mint=mint, source=_OVER_HTTP)
        return await self.database.write(write, wait=False)

    async def find(self, id_or_ref: str) -> Stored | None:
        """Return a reminder, or None."""
        return await self.database.read(partial(stored, id_or_ref=id_or_ref))

    async def cancel(self, id_or_ref: str) -> Stored:
        """Cancel a reminder."""
        found, transition = await self.database.write(
            partial(withdraw, id_or_ref=id_or_ref, rules=self.rules), wait=False
        )
        if transition is not None:
            log_transition(transition)
        return found

    async def finish(self, id_or_ref: str, note: str | None) -> Stored:
        """Note that staff have called the patient manually."""
        write = partial(finish, id_or_ref=id_or_ref, note=note, rules=self.rules)
        found, transition = await self.database.write(write, wait=False)
        log_transition(transition)
        return found


@frozen(kw_only=True)
class DatabaseAppointments:
    """Stores and finds appointments for the API; see `AppointmentService`."""

    database: Database
    rules: Rules

    async def upsert(self, requests: Sequence[AppointmentRequest]) -> list[tuple[StoredAppointment, Decision]]:
        """Add or update all appointments with their reminders, or none."""
        write = partial(put_all_appointments, requests=requests, rules=self.rules, mint=mint, source=_OVER_HTTP)
        return await self.database.write(write, wait=False)

    async def find(self, id_or_ref: str) -> StoredAppointment | None:
        """Return an appointment, or None."""
        return await self.database.read(partial(stored_appointment, id_or_ref=id_or_ref))

    async def cancel(self, id_or_ref: str) -> StoredAppointment:
        """Cancel an appointment with its waiting reminders."""
        write = partial(withdraw_appointment, id_or_ref=id_or_ref, rules=self.rules, source=_OVER_HTTP)
        found, transition = await self.database.write(write, wait=False)
        if transition is not None:
            log_transition(transition)
        return found


_OVER_HTTP: Final = Source(actor=API, detail="over HTTP", cancels_as=EndCode.WITHDRAWN)


def api(config: Config, *, database: Database, rules: Rules, feed: Feed) -> Api | None:
    """Return the API for the clinic's own system; None if the clinic has set no token for it."""
    if not config.api.token:
        return None
    return Api(
        token=config.api.token,
        zone=config.calling.local_zone,
        templates=templates_of(config),
        normalize=partial(patient_number, numbering=rules.numbering),
        service=DatabaseService(database=database, rules=rules),
        appointments=AppointmentsView(
            service=DatabaseAppointments(database=database, rules=rules),
            reading=reading_of(config),
        ),
        feed=feed,
    )
