"""A table chunk by chunk: one chunk is taken to the database on a thread while the next is being read."""

import signal
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from types import FrameType
from typing import Final

from attrs import define, field, frozen

from reminderd.cli.earlier_lines import Earlier, earlier_lines
from reminderd.cli.rejected import Rejected, Rejection
from reminderd.core.requests import ReminderRequest
from reminderd.core.tables.records import Record
from reminderd.core.upsert import Cancellation, Decision, Intake, content_of

CHUNK: Final = 2_000
"""Rows of one transaction: enough to make its commit cheap, few enough for the daemon not to notice."""

_ALWAYS: Final = (Intake.ADDED, Intake.CHANGED, Intake.UNCHANGED)
_IF_ANY: Final = (Intake.HELD, Intake.CANCELLED, Intake.NOT_NEEDED)

MOST_WARNINGS: Final = 20
"""How many are shown one by one."""

Asked = ReminderRequest | Cancellation
"""What a row asks for."""

ReadRow = Callable[[Sequence[str]], Asked | list[str]]


@frozen
class _Good:
    """A row that can be carried out."""

    record: Record
    wanted: Asked


@frozen
class Chunk:
    """Some rows, one transaction."""

    last_line: int
    good: Sequence[_Good]
    bad: Sequence[Rejection]
    repeated: int
    """Rows that say the same as an earlier one."""


Judge = Callable[[Chunk], list[Decision]]
"""Takes a chunk to the database; what became of its good rows, or why not."""


@define
class Outcome:
    """What became of the rows so far."""

    rejected: Rejected
    done: Counter[Intake] = field(factory=Counter)
    last_line: int = 1
    warnings: list[str] = field(factory=list)
    """The first of them, each with its line."""
    more_warnings: int = 0

    def add(self, chunk: Chunk, decisions: Sequence[Decision]) -> None:
        """Count a chunk that is through, and write down what was rejected of it."""
        refused = list(chunk.bad)
        for row, decision in zip(chunk.good, decisions, strict=True):
            if decision.refused:
                refused.append(Rejection(row.record, [decision.reason]))
            else:
                self.done[decision.intake] += 1
                self._warn(row.record.line, decision)
        self.done[Intake.UNCHANGED] += chunk.repeated
        self.rejected.write(sorted(refused, key=lambda rejection: rejection.record.line))
        self.last_line = chunk.last_line

    def _warn(self, line: int, decision: Decision) -> None:
        for warning in decision.warnings:
            if len(self.warnings) < MOST_WARNINGS:
                self.warnings.append(f"line {line}: warning: {warning}")
            else:
                self.more_warnings += 1

    def __str__(self) -> str:
        counts = ", ".join(f"{self.done[intake]:,} {intake}" for intake in _ALWAYS)
        others = "".join(f", {self.done[intake]:,} {intake}" for intake in _IF_ANY if self.done[intake])
        return f"{counts}, {self.rejected.lines:,} rejected{others}"


def all_through(
    rows: Iterator[Record], read: ReadRow, judge: Judge, outcome: Outcome, told: Callable[[], None]
) -> bool:
    """Take every row, telling after each chunk; False if SIGINT came: what was begun is whole, nothing more was."""
    with earlier_lines() as earlier, ThreadPoolExecutor(1) as desk, _interruptible() as interrupted:
        under_way: tuple[Chunk, Future[list[Decision]]] | None = None
        for chunk in _chunks(rows, read, earlier):
            if under_way is not None:
                _finish(*under_way, outcome, told)
                under_way = None
            if interrupted():
                return False
            under_way = (chunk, desk.submit(judge, chunk))
        if under_way is not None:
            _finish(*under_way, outcome, told)
    return True


def _finish(chunk: Chunk, future: Future[list[Decision]], outcome: Outcome, told: Callable[[], None]) -> None:
    outcome.add(chunk, future.result())
    told()


def _chunks(rows: Iterator[Record], read: ReadRow, earlier: Earlier) -> Iterator[Chunk]:
    """All rows; in each chunk those of which a reminder can be made, once each."""
    while some := list(islice(rows, CHUNK)):
        good, bad = _sorted_out(some, read)
        firsts = earlier.first([(*_numbers(row.wanted), row.record.line) for row in good])
        own, repeated = [], 0
        for row, (content, line) in zip(good, firsts, strict=True):
            if line == row.record.line:
                own.append(row)
            elif content == _numbers(row.wanted)[1]:
                repeated += 1
            else:
                bad.append(Rejection(row.record, [_second(row.wanted, line)]))
        yield Chunk(some[-1].line, own, bad, repeated)


def _sorted_out(some: Iterable[Record], read: ReadRow) -> tuple[list[_Good], list[Rejection]]:
    good: list[_Good] = []
    bad: list[Rejection] = []
    for record in some:
        wanted = [record.mistake] if record.mistake is not None else read(record.cells)
        if isinstance(wanted, list):
            bad.append(Rejection(record, wanted))
        else:
            good.append(_Good(record, wanted))
    return good, bad


def _numbers(wanted: Asked) -> tuple[int, int]:
    """What a row is about and what it says: two rows are about the same reminder if they share the first."""
    if isinstance(wanted, Cancellation):
        return hash(wanted.name), hash(Intake.CANCELLED)
    return hash(wanted.own_id if wanted.ref is None else wanted.ref), hash(content_of(wanted))


def _second(wanted: Asked, line: int) -> str:
    if wanted.ref is None:
        what = f"same as on line {line} except for its expiry, time zone or status"
        return f"message: {what}; expected one line for a reminder"
    return f"ref: line {line} has the same ref and other contents; expected one line for a ref"


@contextmanager
def _interruptible() -> Iterator[Callable[[], bool]]:
    """Whether SIGINT came; a second one ends the program as ever."""
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
