"""What the store's modules need of a connection to a database, whichever engine is behind it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

Value = str | int | None
"""What a column holds."""


class Row(Protocol):
    """One row, its columns by name."""

    def __getitem__(self, name: str, /) -> Any:  # noqa: ANN401 - a column's type is its table's
        """Return the value of a column."""

    def keys(self) -> Sequence[str]:
        """Return the names of the columns."""


class Rows(Protocol):
    """What a statement has found."""

    @property
    def rowcount(self) -> int:
        """How many rows it has written."""

    def fetchone(self) -> Any:  # noqa: ANN401 - a `Row`, or None
        """Return the next row; None: there is no other."""

    def fetchall(self) -> list[Any]:
        """Return all rows that are left."""

    def __iter__(self) -> Iterator[Any]:
        """Go through all rows that are left."""


class Connection(Protocol):
    """Runs statements with named parameters (`:name`), in a transaction that its owner begins and ends."""

    def execute(self, sql: str, parameters: Mapping[str, Any] = ..., /) -> Rows:
        """Run one statement."""

    def executemany(self, sql: str, parameters: Iterable[Mapping[str, Any]], /) -> Rows:
        """Run a statement once for each set of parameters."""
