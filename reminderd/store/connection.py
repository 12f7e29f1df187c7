"""What the store needs from a connection of any engine, and one transaction on it: all or nothing."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from reminderd.core.server_identity import ServerIdentity
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError

T = TypeVar("T")
C = TypeVar("C", bound="Connection")

Parameters = Mapping[str, Any] | Sequence[Any]
"""The values of a statement."""


class Row(Protocol):
    """One row, with its columns by name and by place."""

    def __getitem__(self, column: str | int | slice, /) -> Any:  # noqa: ANN401 - a column's type is its table's
        """Return the value of a column, by its name or its place from 0; of a slice, a tuple of values."""

    def keys(self) -> Sequence[str]:
        """Return the names of the columns."""


class Rows(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """Return how many rows it has written."""

    def fetchone(self) -> Any:  # noqa: ANN401 - a `Row`, or None
        """Return the next row; None: there is no more."""

    def fetchall(self) -> list[Any]:
        """Return all remaining rows."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over all remaining rows."""


class Connection(Protocol):
    """Runs statements with named parameters (`:name`). Only its owner begins and ends transactions.

    Parameters in a sequence, for the `?` of a statement, are for programs other than the store.
    """

    is_hopeful: bool
    """Whether the transaction is tried without savepoints: its owner makes it again, with them, if anything fails."""
    has_skipped_savepoint: bool
    """Whether that has made a difference to it."""

    @property
    def for_update(self) -> str:
        """Return what a SELECT of rows that will be saved ends with: it keeps other programs from changing them."""

    @property
    def skip_locked(self) -> str:
        """Return the same, for rows that may be left out while another program is changing them."""

    @property
    def leaves_traces(self) -> bool:
        """Return whether deleted data can still be read in the files until we rewrite them."""

    @property
    def identity(self) -> ServerIdentity | None:
        """Return which server this is, from the first transaction that writes; another object for each session of ours.

        None: the database is a file.
        """

    @property
    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Rows:
        """Run a statement once for each set of parameters."""

    def begin(self) -> datetime | None:
        """Begin a transaction that writes, once no other one does; return the server's time, None: it has none."""

    def server_time(self) -> datetime | None:
        """Return the server's time, in a transaction that reads; None: it has no clock of its own, so ours counts."""

    def begin_snapshot(self) -> None:
        """Begin a transaction that only reads, and sees one state of the database."""

    def commit(self) -> None:
        """End the transaction: everything is written if this returns, and nothing if it raises.

        Raises:
            StoreUnavailableError: Nothing was written, or the message says that nobody can know.
        """

    def roll_back(self) -> None:
        """End the transaction without its work, if one is still open; never raise."""

    def close(self) -> None:
        """Close the connection."""

    def store_error(self, error: BaseException) -> StoreUnavailableError | StoreUnusableError | None:
        """Return our error for an error of the database, or None if it is a bug or a broken constraint."""

    def spoils_all(self, error: BaseException) -> bool:
        """Return whether this error of one statement means that nothing else of its transaction can be written."""

    def is_passing(self, error: BaseException) -> bool:
        """Return whether a transaction that failed with this error has left nothing, and may succeed at once."""

    def refresh_statistics(self) -> None:
        """Have the engine count its rows anew if the tables have grown a lot: it chooses its ways by them."""

    def make_room(self) -> None:
        """Prepare for large transactions."""

    def relieve(self) -> None:
        """After a transaction that could not be written, do outside of one what may help the next; never raise."""

    def skip_seq(self) -> int:
        """Return a `seq` that no call has or has had, and that those of all later calls exceed."""

    def touch(self) -> None:
        """Write something without changing anything."""


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what the block has written if it raises, and nothing else; not in a hopeful transaction."""
    if connection.is_hopeful:
        connection.has_skipped_savepoint = True
        yield
        return
    connection.execute("SAVEPOINT part")
    try:
        yield
        connection.execute("RELEASE part")
    except Exception as error:
        if not connection.spoils_all(error):
            connection.execute("ROLLBACK TO part")
            connection.execute("RELEASE part")
        raise


def is_of_savepoint(connection: Connection, error: Exception) -> bool:
    """Return whether an error that left a savepoint's block has done no harm outside of it.

    It is a bug, a broken constraint, or a row that another program has locked: see `store_error`.
    """
    return not connection.is_hopeful and not connection.spoils_all(error)


def transaction(connection: C, fn: Callable[[C, datetime], T], now: datetime) -> T:
    """Run `fn(connection, now)` in a transaction that writes; any exception undoes everything.

    Args:
        connection: with no transaction open.
        fn: plain sync code without other effects: it may run twice.
        now: the time by this machine's clock; a server's own time takes its place.

    Raises:
        StoreUnavailableError: The disk is full, another program holds the lock …; nothing was written.
        StoreUnusableError: The database is damaged, or not ours.
    """

    def attempt() -> T:
        begun = connection.begin()
        result = fn(connection, now if begun is None else begun)
        connection.commit()
        return result

    return _attempted(connection, attempt)


def snapshot(connection: C, fn: Callable[[C], T]) -> T:
    """Run `fn(connection)`, which only reads, so that all its queries see the same state of the database.

    Raises:
        StoreUnavailableError: It can't be read right now.
        StoreUnusableError: The database is damaged, or not ours.
    """

    def attempt() -> T:
        connection.begin_snapshot()
        return fn(connection)

    return _attempted(connection, attempt)


def _attempted(connection: Connection, attempt: Callable[[], T]) -> T:
    """Return the result of an attempt, of a second one if the first failed for a reason that has passed."""
    try:
        try:
            return attempt()
        except Exception as error:
            connection.roll_back()
            if not connection.is_passing(error):
                raise
            return attempt()
    except Exception as error:
        ours = connection.store_error(error)
        if ours is None:
            raise
        raise ours from error
    finally:
        connection.roll_back()
