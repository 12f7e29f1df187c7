"""Convert our statements for psycopg, and its results for the store."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final, TypeAlias

import psycopg
from attrs import define
from psycopg.abc import PQGen
from psycopg.adapt import Loader

from reminderd.store.connection import Parameters
from reminderd.store.errors import StoreUnavailableError

Raw: TypeAlias = psycopg.Connection[Any]

_TOKEN: Final = re.compile(r"'(?:[^']|'')*'|--[^\n]*|::|:([A-Za-z_]\w*)|(\?)|%")


class PostgresRow(tuple[Any, ...]):
    """One row, with its columns by name and by place."""

    __slots__ = ()
    places: dict[str, int]

    def __getitem__(self, column: Any) -> Any:  # noqa: ANN401 - a column's type is its table's
        """Return the value of a column, by its name or its place from 0; for a slice, a tuple of values."""
        return tuple.__getitem__(self, self.places[column] if isinstance(column, str) else column)

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return [*self.places]


class _NumberLoader(Loader):
    """Loads a sum of integers as an integer, as SQLite does."""

    def load(self, data: Any) -> Any:  # noqa: ANN401 - as psycopg has it
        """Return an integer if the value is a whole number."""
        text = bytes(data).decode()
        return float(text) if "." in text or "N" in text else int(text)


@define(eq=False)
class LazyRows:
    """The result of a statement, which is sent when the result is read, or with a later statement."""

    sql: str
    parameters: Parameters
    is_verb: bool
    """Whether it begins or ends a transaction: such a statement is never prepared, so that a proxy sees its text."""
    _settle: Callable[[], None]
    cursor: psycopg.Cursor[Any] | None = None
    """None until the statement is sent."""

    @property
    def rowcount(self) -> int:
        """Return how many rows it has written."""
        return self._sent().rowcount

    def fetchone(self) -> Any:  # noqa: ANN401 - a `PostgresRow`, or None
        """Return the next row; None if there is no more, or the statement returns no rows."""
        cursor = self._sent()
        return cursor.fetchone() if _columns(cursor) else None

    def fetchall(self) -> list[Any]:
        """Return all remaining rows."""
        cursor = self._sent()
        return cursor.fetchall() if _columns(cursor) else []

    def __iter__(self) -> Iterator[Any]:
        """Iterate over all remaining rows."""
        return iter(self.fetchall())

    def send(self, raw: Raw) -> None:
        """Send the statement."""
        cursor = raw.cursor()
        cursor.execute(with_placeholders(self.sql), self.parameters, prepare=False if self.is_verb else None)
        self.cursor = cursor

    def _sent(self) -> psycopg.Cursor[Any]:
        if self.cursor is None:
            self._settle()
        if self.cursor is None:
            raise StoreUnavailableError("the transaction of this statement is over")
        return self.cursor


@define(eq=False)
class ManyRows:
    """The results of one statement with several sets of parameters."""

    _each: Sequence[LazyRows]

    @property
    def rowcount(self) -> int:
        """Return how many rows they have written."""
        return sum(one.rowcount for one in self._each)

    def fetchone(self) -> None:
        """Return None: a statement with several sets of parameters returns no rows."""

    def fetchall(self) -> list[Any]:
        """Return an empty list."""
        return []

    def __iter__(self) -> Iterator[Any]:
        """Iterate over nothing."""
        return iter(())


class _WithoutFlush(psycopg.Pipeline):
    def _fetch_gen(self, *, flush: bool) -> PQGen[None]:  # noqa: ARG002 - psycopg names it
        return super()._fetch_gen(flush=False)


@contextmanager
def pipeline(connection: Raw) -> Iterator[None]:
    """Have the block's statements sent in one message; at the block's end, all results are there.

    This is psycopg's pipeline without its Flush at the end. After a Flush, a server does not count how long the
    transaction is idle: the cluster write lock of a process that was suspended then, or of a machine that has died,
    would be kept for hours. The Sync before it has all results sent anyway.
    """
    connection._pipeline = _WithoutFlush(connection)  # noqa: SLF001 - psycopg has no other way to it
    with connection.pipeline():
        yield


@lru_cache(maxsize=2048)
def with_placeholders(sql: str) -> str:
    """Return a statement with psycopg's placeholders in place of `:name` and `?`."""

    def replaced(token: "re.Match[str]") -> str:
        name, is_unnamed = token[1], token[2]
        if name:
            return f"%({name})s"
        return "%s" if is_unnamed else token[0].replace("%", "%%")

    return _TOKEN.sub(replaced, sql)


def named_rows(cursor: psycopg.Cursor[Any]) -> Callable[[Sequence[Any]], Any]:
    """Return the function that makes a row of a cursor's values, as psycopg's row factory."""
    columns, result = _columns(cursor), cursor.pgresult
    if not columns or result is None:
        return tuple
    return _kind_of_row(tuple((result.fname(place) or b"").decode() for place in range(columns)))


def _columns(cursor: psycopg.Cursor[Any]) -> int:
    """Return how many columns a result has. psycopg's own description makes an object for each, which takes longer."""
    return 0 if cursor.pgresult is None else cursor.pgresult.nfields


@lru_cache(maxsize=512)
def _kind_of_row(names: tuple[str, ...]) -> type[PostgresRow]:
    places: dict[str, int] = {}
    for place, name in enumerate(names):
        places.setdefault(name, place)
    return type("PostgresRow", (PostgresRow,), {"__slots__": (), "places": places})


def read_sums_as_integers(raw: Raw) -> None:
    """Have a connection return a sum of integers as an integer, as SQLite does."""
    raw.adapters.register_loader("numeric", _NumberLoader)
