"""Import the rows of a table: read some, write them in one transaction, and go on with the next.

A thread writes while the next rows are read.
"""

import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from datetime import datetime
from functools import partial
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import Final
from uuid import uuid4

import click
from attrs import define, field, frozen
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from reminderd.cli.common import actor, database, database_to_look_at
from reminderd.cli.rejected import Rejected, Rejection
from reminderd.clock import SystemClock
from reminderd.config import Config, rules_of
from reminderd.core.masking import without_numbers
from reminderd.core.requests import ReminderRequest
from reminderd.core.rules import Rules
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.upsert import Cancellation, Decision, Intake, content_of, decide, decide_cancellation
from reminderd.logs.terminal import unguarded
from reminderd.store import reminders
from reminderd.store.reminders import Source
from reminderd.store.rows import Connection
from reminderd.store.sqlite.driver import connect, translated
from reminderd.store.sqlite.housekeeping import make_room
from reminderd.store.sqlite.transaction import snapshot, transaction

CHUNK: Final = 2_000
"""Rows of one transaction: enough to make its commit cheap, few enough for the daemon not to notice."""

MOST_WARNINGS: Final = 20
"""How many are shown one by one."""

_PAUSE: Final = 0.02
"""Seconds after each transaction in which others can write, too; the next rows are being read meanwhile."""

_LINE_EVERY: Final = 10
"""Chunks; off a terminal, the first of so many is followed by a line."""

_ALWAYS: Final = (Intake.ADDED, Intake.CHANGED, Intake.UNCHANGED)
_IF_ANY: Final = (Intake.HELD, Intake.CANCELLED, Intake.NOT_NEEDED)

Asked = ReminderRequest | Cancellation
"""What a row asks for."""

ReadRow = Callable[[Sequence[str]], Asked | list[str]]
"""Returns what a row asks for, or everything that is wrong with it."""

SeenBefore = Callable[[Sequence[tuple[int, int, int]]], list[tuple[int, int]]]
"""Takes `(key, content, line)` of lines; returns for each the content and line that came first with its key."""

ShowProgress = Callable[[str, bool], None]
"""Takes the counts so far, and whether the import is at its end."""


@frozen
class Chunk:
    """Some rows, one transaction."""

    last_line: int
    good: Sequence[tuple[CsvRow, Asked]]
    """Rows that can be carried out."""
    bad: Sequence[Rejection]
    repeated: int
    """Rows with the same contents as an earlier one."""


Write = Callable[[Chunk], list[Decision]]
"""Writes the good rows of a chunk; returns for each what was done, or why it is refused."""


@define
class Tally:
    """Counts what became of the rows so far."""

    rejected: Rejected
    done: Counter[Intake] = field(factory=Counter)
    last_line: int = 1
    warnings: list[str] = field(factory=list)
    """The first of them, each with its line."""
    more_warnings: int = 0

    def add(self, chunk: Chunk, decisions: Sequence[Decision]) -> None:
        """Count a chunk that was written, and write down what was rejected of it."""
        refused = list(chunk.bad)
        for (row, _), decision in zip(chunk.good, decisions, strict=True):
            if decision.refused:
                refused.append(Rejection(row, [decision.reason]))
                continue
            self.done[decision.intake] += 1
            room = MOST_WARNINGS - len(self.warnings)
            self.warnings += [f"line {row.line}: warning: {warning}" for warning in decision.warnings[:room]]
            self.more_warnings += len(decision.warnings[room:])
        self.done[Intake.UNCHANGED] += chunk.repeated
        self.rejected.write(sorted(refused, key=lambda rejection: rejection.row.line))
        self.last_line = chunk.last_line

    def __str__(self) -> str:
        counts = ", ".join(f"{self.done[intake]:,} {intake}" for intake in _ALWAYS)
        others = "".join(f", {self.done[intake]:,} {intake}" for intake in _IF_ANY if self.done[intake])
        return f"{counts}, {self.rejected.lines:,} rejected{others}"


def import_rows(rows: Iterator[CsvRow], read: ReadRow, write: Write, tally: Tally, show: ShowProgress) -> bool:
    """Import every row; return False if SIGINT came: chunks that were begun are whole, and no other was begun."""
    with _earlier_lines() as seen_before, ThreadPoolExecutor(1) as writer, _interruptible() as interrupted:
        under_way: tuple[Chunk, Future[list[Decision]]] | None = None
        while some := list(islice(rows, CHUNK)):
            chunk = _chunk_of(some, read, seen_before)
            if under_way is not None:
                tally.add(under_way[0], under_way[1].result())
                show(f"{tally}", False)
                under_way = None
            if interrupted():
                return False
            under_way = chunk, writer.submit(write, chunk)
        if under_way is not None:
            tally.add(under_way[0], under_way[1].result())
            show(f"{tally}", True)
    return True


@contextmanager
def writing(config: Config, name: str) -> Iterator[Write]:
    """Write chunks into the database, each change with its audit line; `name` is the file's."""
    source = Source(actor=actor(), detail=f"import of {without_numbers(name)}")
    fixed = partial(put_and_cancel, rules=rules_of(config), mint=lambda: str(uuid4()), source=source)

    def write(chunk: Chunk) -> list[Decision]:
        if not chunk.good:
            return []
        asked = [asked for _, asked in chunk.good]
        decided = transaction(connection, partial(fixed, asked=asked), SystemClock().now())
        time.sleep(_PAUSE)
        return decided

    with database(config) as connection:
        make_room(connection)
        yield write


def put_and_cancel(
    connection: Connection,
    now: datetime,
    *,
    asked: Sequence[Asked],
    rules: Rules,
    mint: Callable[[], str],
    source: Source,
) -> list[Decision]:
    """Write what some rows ask for; return for each what was done. See `reminders.put` for the arguments."""
    return _in_order(
        asked,
        lambda requests: reminders.put(connection, now, requests=requests, rules=rules, mint=mint, source=source),
        lambda over: reminders.call_off(connection, now, asked=over, rules=rules, source=source),
    )


@contextmanager
def dry_run(config: Config) -> Iterator[Write]:
    """Compare chunks with what is stored, and write nothing; where there is no database, none is made."""
    rules = rules_of(config)

    def with_nothing(asked: Sequence[Asked]) -> list[Decision]:
        now = SystemClock().now()
        return _in_order(
            asked,
            lambda requests: [decide(one, None, rules, now, opted_out=False) for one in requests],
            lambda over: [decide_cancellation(one, None) for one in over],
        )

    def with_what_is_stored(connection: Connection, *, asked: Sequence[Asked]) -> list[Decision]:
        now = SystemClock().now()
        return _in_order(
            asked,
            lambda requests: [
                decision for _, decision in reminders.decisions(connection, now, requests=requests, rules=rules)
            ],
            lambda over: [decision for _, decision in reminders.cancellations(connection, over)],
        )

    if not config.database.path.exists():
        yield lambda chunk: with_nothing([asked for _, asked in chunk.good])
        return
    with database_to_look_at(config, changes_nothing=True) as connection:
        yield lambda chunk: snapshot(connection, partial(with_what_is_stored, asked=[asked for _, asked in chunk.good]))


def _in_order(
    asked: Sequence[Asked],
    of_requests: Callable[[Sequence[ReminderRequest]], list[Decision]],
    of_cancellations: Callable[[Sequence[Cancellation]], list[Decision]],
) -> list[Decision]:
    """Decide about both kinds, and return the decisions in the order of the rows."""
    requests = iter(of_requests([one for one in asked if isinstance(one, ReminderRequest)]))
    cancellations = iter(of_cancellations([one for one in asked if isinstance(one, Cancellation)]))
    return [next(cancellations if isinstance(one, Cancellation) else requests) for one in asked]


@contextmanager
def progress(total: int, position: Callable[[], int]) -> Iterator[ShowProgress]:
    """Show on stderr how far an import is: a bar on a terminal, now and then a line elsewhere.

    Args:
        total: bytes of the table.
        position: returns how many of them are done.
    """
    console = Console(file=unguarded(sys.stderr), highlight=False, markup=False)
    if not console.is_terminal:
        chunks = 0

        def line(text: str, is_end: bool) -> None:  # noqa: FBT001 - see ShowProgress
            nonlocal chunks
            if chunks % _LINE_EVERY == 0 and not is_end:  # the counts at the end are on stdout
                click.echo(text, err=True)
            chunks += 1

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda text, _is_end: bar.update(task, completed=position(), description=text)


def _chunk_of(some: Sequence[CsvRow], read: ReadRow, seen_before: SeenBefore) -> Chunk:
    """Read some rows: those that can be carried out, once each, and those that can't."""
    readable: list[tuple[CsvRow, Asked]] = []
    bad: list[Rejection] = []
    for row in some:
        asked = [row.mistake] if row.mistake is not None else read(row.cells)
        if isinstance(asked, list):
            bad.append(Rejection(row, asked))
        else:
            readable.append((row, asked))
    keys = [_key_and_content(asked) for _, asked in readable]
    firsts = seen_before([(*key, row.line) for key, (row, _) in zip(keys, readable, strict=True)])
    good, repeated = [], 0
    for (row, asked), (_, content), (first, line) in zip(readable, keys, firsts, strict=True):
        if line == row.line:
            good.append((row, asked))
        elif first == content:
            repeated += 1
        else:
            bad.append(Rejection(row, [_why_second(asked, line)]))
    return Chunk(some[-1].line, good, bad, repeated)


def _key_and_content(asked: Asked) -> tuple[int, int]:
    """Return a key and a content for a row: two rows with the same key are about the same reminder."""
    if isinstance(asked, Cancellation):
        return hash(asked.name), hash(Intake.CANCELLED)
    return hash(asked.own_id if asked.ref is None else asked.ref), hash(content_of(asked))


def _why_second(asked: Asked, line: int) -> str:
    if asked.ref is None:
        what = f"same as on line {line} except for its expiry, time zone or status"
        return f"message: {what}; expected one line for a reminder"
    return f"ref: line {line} has the same ref and other contents; expected one line for a ref"


@contextmanager
def _earlier_lines() -> Iterator[SeenBefore]:
    """Remember the key and the content of every line, as two numbers, in a file without a name.

    In memory it would grow with the table.

    Raises:
        StoreUnavailableError: There is no room for temporary files.
    """
    with translated(), TemporaryDirectory(prefix="reminderd-") as folder:
        # SQLite's own temporary databases may be kept in memory, whatever its settings.
        connection = connect(Path(folder) / "earlier.db", isolation_level=None)
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("CREATE TABLE earlier (key INTEGER PRIMARY KEY, content INTEGER, line INTEGER)")
        connection.execute("BEGIN")  # never committed: nothing is to be kept

    def seen_before(lines: Sequence[tuple[int, int, int]]) -> list[tuple[int, int]]:
        with translated():
            cursor = connection.executemany("INSERT OR IGNORE INTO earlier VALUES (?, ?, ?)", lines)
            if cursor.rowcount == len(lines):
                return [(content, line) for _, content, line in lines]
            statement = "SELECT content, line FROM earlier WHERE key = ?"
            found = [connection.execute(statement, (key,)).fetchone() for key, _, _ in lines]
            return [(content, line) for content, line in found]

    # The file no longer has a name: nothing is left behind, however the program ends.
    with closing(connection):
        yield seen_before


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT came; a second one ends the program as usual."""
    came = False

    def note(_number: int, _frame: FrameType | None) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, before)

    before = signal.signal(signal.SIGINT, note)
    try:
        yield lambda: came
    finally:
        signal.signal(signal.SIGINT, before)
