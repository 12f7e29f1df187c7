"""What the store's modules need from a connection to a database, whatever the engine behind it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

Value = str | int | None
"""What a column contains."""


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
    """Runs statements with named parameters (`:name`), in a transaction that its owner begins and ends."""

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> Rows:
        """Run a statement once for each set of parameters."""
