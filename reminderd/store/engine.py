"""What `open_database` needs from an engine: connections on Trio, and a sign of each commit."""

from collections.abc import Sequence
from typing import Protocol

from attrs import frozen

from reminderd.store.threads import OnThread


class Commits(Protocol):
    """Shows that something was committed, by any process."""

    async def version(self) -> int:
        """Return a number that changes with each commit.

        Raises:
            StoreUnavailableError: It can't be read right now.
        """

    async def another(self, since: int) -> bool:
        """Wait a moment, and return whether something may have been committed since the number was `since`.

        Raises:
            StoreUnavailableError: It can't be read right now.
        """


@frozen(kw_only=True)
class Connections:
    """An open database: the connection that writes, one that reads, and the sign of each commit."""

    writes: OnThread
    reads: OnThread
    commits: Commits
    warnings: Sequence[str] = ()
    """What the admin should know about this engine, a sentence each."""
