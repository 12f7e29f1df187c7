"""Decide whether a server still has the history that we know, or may have forgotten calls that were made.

A restart, a VACUUM FULL or an upgrade of reminderd changes nothing of what is compared here. A restored dump has new
tables, a restore to an earlier time and a failover begin a new timeline, and another server has another number.
"""

import json
from datetime import datetime
from typing import Final

from attrs import asdict, evolve, field, frozen

_COMPARED: Final = ("system", "database", "table")


@frozen(kw_only=True)
class ServerIdentity:
    """What distinguishes a server and its history. None: this server, or our role there, does not let us know."""

    system: int | None = None
    """A number that each server gets when it is made, and that its physical copies share."""
    timeline: int | None = None
    """A server counts one further when it stops being a copy, or was restored to an earlier time."""
    database: int | None = None
    """The database's own number on the server."""
    table: int | None = None
    """The number of the table `settings`: a restored dump makes the tables anew."""
    forgotten_at: datetime | None = field(default=None, eq=False)
    """When it had confirmed something to this process that it lacks now; None: it lacks nothing. This is not kept."""

    @property
    def written(self) -> str:
        """Return it as it is kept in the database."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "forgotten_at"})


def read_identity(text: str | None) -> ServerIdentity:
    """Return an identity that was kept; what is missing or can't be read is unknown."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = {}
    known = found if isinstance(found, dict) else {}
    names = (*_COMPARED, "timeline")
    return ServerIdentity(**{name: known[name] for name in names if isinstance(known.get(name), int)})


def merged(known: ServerIdentity, found: ServerIdentity) -> ServerIdentity:
    """Return an identity as it was found, with what was known of it where nothing can be found out now."""
    return evolve(known, **{name: value for name, value in asdict(found).items() if value is not None})


def why_restored(
    known: ServerIdentity, found: ServerIdentity, *, restored_at: datetime | None, failover_is_lossless: bool
) -> str | None:
    """Return why calls may have been made that the server has no record of; None: nothing shows that.

    Args:
        known: as it was kept.
        found: as it is now.
        restored_at: when this was noticed last, and who may have been called was held back; None: never.
        failover_is_lossless: whether the clinic has a standby that confirms each commit: then a new timeline alone,
            which a failover begins, means nothing.
    """
    if any(_differs(getattr(known, name), getattr(found, name)) for name in _COMPARED):
        return "the database was restored from a dump, or moved to another server"
    if found.forgotten_at is not None and (restored_at is None or found.forgotten_at > restored_at):
        return "the server has lost what it had confirmed"
    if not _differs(known.timeline, found.timeline):
        return None
    if (found.timeline or 0) < (known.timeline or 0):
        return "a server from before the last failover has taken over again"
    return None if failover_is_lossless else "a standby has taken over, or the server was restored to an earlier time"


def _differs(known: int | None, found: int | None) -> bool:
    return known is not None and found is not None and known != found
