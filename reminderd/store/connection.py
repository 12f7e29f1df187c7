"""The connection that the store needs from each engine, and a transaction on it: all or nothing."""

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
        """Return the value of a column, by its name or its place from 0; for a slice, a tuple of values."""

    def keys(self) -> Sequence[str]:
        """Return the names of the columns."""


class Rows(Protocol):
    """The result of a statement."""

    @property
    def rowcount(self) -> int:
        """Return how many rows it has written."""

    def fetchone(self) -> Any:  # noqa: ANN401 - a `Row`, or None
        """Return the next row; None if there is no more."""

    def fetchall(self) -> list[Any]:
        """Return all remaining rows."""

    def __iter__(self) -> Iterator[Any]:
        """Iterate over all remaining rows."""


class Connection(Protocol):
    """Runs statements with named parameters (`:name`). Only its owner begins and ends transactions.

    A statement with `?` takes a sequence; only code outside of the store uses that.
    """

    is_optimistic: bool
    """Whether the transaction is tried without savepoints. If anything fails, its owner repeats it with savepoints."""
    has_skipped_savepoint: bool
    """Whether the optimistic transaction has left out a savepoint."""

    @property
    def for_update(self) -> str:
        """Return the end of a SELECT that locks its rows, so that no other program changes them meanwhile."""

    @property
    def skip_locked(self) -> str:
        """Return the end of a SELECT that locks its rows, and leaves out those that another program has locked."""

    @property
    def leaves_traces(self) -> bool:
        """Return whether deleted data can be read in the files until we rewrite them."""

    @property
    def identity(self) -> ServerIdentity | None:
        """Return which server this is, known from the first write transaction on; a new object for each session.

        None if the database is a file.
        """

    @property
    def in_transaction(self) -> bool:
        """Return whether a transaction is open."""

    def execute(self, sql: str, parameters: Parameters = ..., /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Parameters], /) -> Rows:
        """Run a statement once for each set of parameters."""

    def begin(self) -> datetime | None:
        """Begin a transaction that writes, once no other does; return the server's time, or None without a server."""

    def server_time(self) -> datetime | None:
        """Return the server's time, in a transaction that reads; None without a server: then our clock counts."""

    def begin_snapshot(self) -> None:
        """Begin a transaction that only reads, and sees one state of the database."""

    def commit(self) -> None:
        """End the transaction: everything is written if this returns, and nothing if it raises.

        Raises:
            StoreUnavailableError: Nothing was written, or the message says that this is unknown.
        """

    def roll_back(self) -> None:
        """Undo the transaction, if one is still open; never raise."""

    def close(self) -> None:
        """Close the connection."""

    def store_error(self, error: BaseException) -> StoreUnavailableError | StoreUnusableError | None:
        """Return our error for an error of the database, or None if it is a bug or a broken constraint."""

    def spoils_all(self, error: BaseException) -> bool:
        """Return whether this error of one statement makes the whole transaction fail."""

    def is_passing(self, error: BaseException) -> bool:
        """Return whether a transaction that failed with this error has written nothing, and may succeed if repeated."""

    def refresh_statistics(self) -> None:
        """Have the engine update its statistics, from which it plans its queries, if the tables have grown a lot."""

    def make_room(self) -> None:
        """Prepare for large transactions."""

    def relieve(self) -> None:
        """Do what may help the next transaction, after one that could not be written; never raise."""

    def skip_seq(self) -> int:
        """Return a `seq` that no call has or has had, and that is lower than those of all later calls."""

    def touch(self) -> None:
        """Write something without changing anything."""


@contextmanager
def savepoint(connection: Connection) -> Iterator[None]:
    """Undo what the block has written if it raises, and nothing else; not in an optimistic transaction."""
    if connection.is_optimistic:
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

    Such an error is a bug, a broken constraint, or a row that another program has locked: see `store_error`.
    """
    return not connection.is_optimistic and not connection.spoils_all(error)


def transaction(connection: C, fn: Callable[[C, datetime], T], now: datetime) -> T:
    """Run `fn(connection, now)` in a transaction that writes; any exception undoes everything.

    Args:
        connection: with no transaction open.
        fn: plain sync code without other effects, as it may run twice.
        now: the time by this machine's clock; with a server, the server's time is used instead.

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
    """Return the result of an attempt; repeat it once if it may succeed then (`is_passing`)."""
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
