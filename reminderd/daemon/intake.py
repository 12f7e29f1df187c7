"""The clinic's own system's door, with the database behind it."""

from collections.abc import Sequence
from functools import partial

from attrs import frozen

from reminderd.config import Config, templates_of
from reminderd.core.phone import patient_number
from reminderd.core.requests import ReminderRequest
from reminderd.core.rules import Rules
from reminderd.core.upsert import Decision
from reminderd.daemon.parts import mint
from reminderd.logs import log_transition
from reminderd.store.database import Database
from reminderd.store.reminders import API, Source, Stored, put_all, stored, withdraw
from reminderd.web.api import Api


@frozen(kw_only=True)
class _Desk:
    """Stores and looks up; see `IntakeDesk`."""

    database: Database
    rules: Rules

    async def put(self, requests: Sequence[ReminderRequest]) -> list[tuple[Stored, Decision]]:
        """Store all that is asked for, or nothing."""
        source = Source(actor=API, detail="over HTTP")
        write = partial(put_all, requests=requests, rules=self.rules, mint=mint, source=source)
        return await self.database.write(write, wait=False)

    async def find(self, id_or_ref: str) -> Stored | None:
        """A reminder, or None."""
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
    """The door, if the clinic has made a token for it."""
    if not config.api.token:
        return None
    desk = _Desk(database=database, rules=rules)
    return Api(
        token=config.api.token,
        zone=config.calling.local_zone,
        templates=templates_of(config),
        normalise=partial(patient_number, numbering=rules.numbering),
        desk=desk,
    )
