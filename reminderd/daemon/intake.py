"""Carries out what the API is asked for, in the database."""

from collections.abc import Sequence
from functools import partial

from attrs import frozen

from reminderd.config import Config, templates_of
from reminderd.core.imported import Decision
from reminderd.core.intake import ReminderRequest
from reminderd.core.phone import patient_number
from reminderd.core.rules import Rules
from reminderd.daemon.parts import mint
from reminderd.logs import log_transition
from reminderd.store.database import Database
from reminderd.store.reminders import API, Source, Stored, put_all, stored, withdraw
from reminderd.web.api import Api


@frozen(kw_only=True)
class _DatabaseService:
    """Stores reminders and looks them up; see `ReminderService`."""

    database: Database
    rules: Rules

    async def upsert(self, requests: Sequence[ReminderRequest]) -> list[tuple[Stored, Decision]]:
        """Add or update all reminders, or none."""
        source = Source(actor=API, detail="over HTTP")
        write = partial(put_all, requests=requests, rules=self.rules, mint=mint, source=source)
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


def api(config: Config, *, database: Database, rules: Rules) -> Api | None:
    """Return the API, if the clinic has set a token for it."""
    if not config.api.token:
        return None
    return Api(
        token=config.api.token,
        zone=config.calling.local_zone,
        templates=templates_of(config),
        normalize=partial(patient_number, numbering=rules.numbering),
        service=_DatabaseService(database=database, rules=rules),
    )
