"""Decide whether a database server still has the history that we know, or may have forgotten placed calls.

A restart, a VACUUM FULL or an upgrade of reminderd changes nothing that is compared here. A restored dump has new
tables, a restore to an earlier time and a failover begin a new timeline, and another server has another identifier.
"""

import json
from datetime import datetime
from typing import Final

from attrs import asdict, evolve, field, frozen

_COMPARED: Final = ("system", "database", "table")


@frozen(kw_only=True)
class ServerIdentity:
    """What distinguishes a server and its history; a value is None if the server does not show it to us."""

    system: int | None = None
    """The system identifier, which a server gets at `initdb` and shares with its physical copies."""
    timeline: int | None = None
    """The number of the timeline; it grows when a server is promoted, or was restored to an earlier time."""
    database: int | None = None
    """The OID of the database."""
    table: int | None = None
    """The OID of the table `settings`: a restored dump creates the tables again."""
    forgotten_at: datetime | None = field(default=None, eq=False)
    """When it confirmed a commit to this process that is missing now; None if none is. This is not stored."""

    @property
    def written(self) -> str:
        """Return the identity as it is stored in the database."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "forgotten_at"})


def read_identity(text: str | None) -> ServerIdentity:
    """Return a stored identity; values that are missing or can't be read are None."""
    try:
        found = json.loads(text or "{}")
    except ValueError:
        found = {}
    known = found if isinstance(found, dict) else {}
    names = (*_COMPARED, "timeline")
    return ServerIdentity(**{name: known[name] for name in names if isinstance(known.get(name), int)})


def merged(known: ServerIdentity, found: ServerIdentity) -> ServerIdentity:
    """Return an identity with the values that were found; values that were not found stay as they were known."""
    return evolve(known, **{name: value for name, value in asdict(found).items() if value is not None})


def why_restored(
    known: ServerIdentity, found: ServerIdentity, *, restored_at: datetime | None, failover_is_lossless: bool
) -> str | None:
    """Return why the server may have no record of some placed calls; None if nothing shows that.

    `restored_at` is when a restore was last noticed, and its reminders were marked as failed; None if never. If
    `failover_is_lossless`, a standby confirms each commit: then a new timeline alone, which a failover begins, does not
    mean that calls were forgotten.
    """
    if any(_differs(getattr(known, name), getattr(found, name)) for name in _COMPARED):
        return "the database was restored from a dump, or moved to another server"
    if found.forgotten_at is not None and (restored_at is None or found.forgotten_at > restored_at):
        return "the server has lost a commit that it had confirmed"
    if not _differs(known.timeline, found.timeline):
        return None
    if (found.timeline or 0) < (known.timeline or 0):
        return "a server from before the last failover has taken over again"
    return None if failover_is_lossless else "a standby has taken over, or the server was restored to an earlier time"


def _differs(known: int | None, found: int | None) -> bool:
    return known is not None and found is not None and known != found
