"""The clinic's own system's door, with the database behind it."""

from collections.abc import Sequence
from functools import partial

from attrs import frozen

from reminderd.config import Config, kinds_of
from reminderd.core.intake import Wish
from reminderd.core.rules import Rules
from reminderd.daemon.parts import mint
from reminderd.logs import tell
from reminderd.store.database import Database
from reminderd.store.intake import Taken, Whole, take_all, whole, withdraw
from reminderd.web.api import Api


@frozen(kw_only=True)
class _Desk:
    """Stores and looks up; see `IntakeDesk`."""

    database: Database
    rules: Rules

    async def take(self, wanted: Sequence[Wish]) -> list[Taken]:
        """Store all that is wanted, or nothing."""
        return await self.database.write(partial(take_all, wanted=wanted, rules=self.rules, mint=mint), wait=False)

    async def find(self, id_or_ref: str) -> Whole | None:
        """A reminder, or None."""
        return await self.database.read(partial(whole, id_or_ref=id_or_ref))

    async def withdraw(self, id_or_ref: str) -> Whole:
        """Cancel a reminder."""
        found, step = await self.database.write(partial(withdraw, id_or_ref=id_or_ref), wait=False)
        if step is not None:
            tell(step)
        return found


def api(config: Config, *, database: Database, rules: Rules) -> Api | None:
    """The door, if the clinic has made a token for it."""
    if not config.api.token:
        return None
    desk = _Desk(database=database, rules=rules)
    return Api(token=config.api.token, zone=config.calling.zone, kinds=kinds_of(config), desk=desk)
