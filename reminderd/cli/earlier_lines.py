"""Remembers the lines of a table that came before, on disk: in memory they would grow with the table."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from reminderd.store.sqlite.driver import Connection, connect, translated


@frozen
class Earlier:
    """Remembers of every line what it is about and what it says, as two numbers, in a file without a name.

    In memory it would grow with the table.
    """

    _connection: Connection

    def first(self, lines: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
        """For each `(key, content, line)` the content and line that came first with this key: its own if none did.

        Raises:
            StoreUnavailableError: There is no room for temporary files.
        """
        with translated():
            return self._first(lines)

    def _first(self, lines: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
        cursor = self._connection.executemany("INSERT OR IGNORE INTO earlier VALUES (?, ?, ?)", lines)
        if cursor.rowcount == len(lines):
            return [(content, line) for _, content, line in lines]
        found = [
            self._connection.execute("SELECT content, line FROM earlier WHERE key = ?", (key,)).fetchone()
            for key, _, _ in lines
        ]
        return [(content, line) for content, line in found]


@contextmanager
def earlier_lines() -> Iterator[Earlier]:
    """A memory of lines that is gone at the end.

    Raises:
        StoreUnavailableError: There is no room for temporary files.
    """
    with translated(), TemporaryDirectory(prefix="reminderd-") as folder:
        # SQLite's own temporary databases may be kept in memory, however it is told.
        connection = connect(Path(folder) / "earlier.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("CREATE TABLE earlier (key INTEGER PRIMARY KEY, content INTEGER, line INTEGER)")
        connection.execute("BEGIN")  # never committed: nothing is to be kept
    # The file has no name any more: nothing stays behind, whatever ends the program.
    with closing(connection):
        yield Earlier(connection)
