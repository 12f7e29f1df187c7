"""The import of a table that is no spreadsheet: its rows are entries, and everything is said about entries."""

import csv
from collections.abc import Iterable, Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import get_ident

import pytest

from reminderd.clock import SystemClock
from reminderd.core.imports import ImportStatus
from reminderd.core.phone import ANY_NUMBER, patient_number
from reminderd.core.requests import Reading
from reminderd.core.tables.columns import columns_of
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.row_reader import read_row
from reminderd.core.upsert import Decision, Intake
from reminderd.imports.loop import CHUNK, Chunk, Tally, Write, _earlier_rows, chunk_comparer, import_rows
from reminderd.imports.rejected import may_be_rejected, rejected_lines
from reminderd.imports.table import Table
from reminderd.store.intake import Source
from tests.support.builders import RULES


def entries(rows: Iterable[CsvRow]) -> Table:
    """Return a table whose rows are entries of a file in another format."""
    return Table(
        header=("ref", "phone_number", "message", "scheduled_at", "name"),
        unit="entry",
        found=("some entries",),
        rows=lambda: iter(rows),
        size=100,
        position=lambda: 100,
    )


AT = f"{SystemClock().now() + timedelta(days=3):%Y-%m-%d %H:%M}Z"
GOOD = ["A-1", "+4930123456", "Tomorrow at nine.", AT, "Erika"]


def imported(
    folder: Path,
    *given: CsvRow,
    rows: Iterator[CsvRow] | None = None,
    write: Write | None = None,
    is_stopped: bool = False,
    tallies: list[Tally] | None = None,
) -> tuple[Tally, ImportStatus]:
    table = entries(given if rows is None else rows)
    columns = columns_of(table.header, {})
    reading = Reading(zone=None, normalize=partial(patient_number, numbering=ANY_NUMBER))
    read = partial(read_row, columns=columns, width=len(table.header), reading=reading)
    with rejected_lines(folder / "rejected.csv", table, like=None, never={}) as rejected:
        tally = Tally(rejected)
        if tallies is not None:
            tallies.append(tally)
        compare = chunk_comparer(None, rules=RULES, source=Source(actor="anna"))
        status = import_rows(table, read, write or compare, tally, lambda _tally, _is_end: None, lambda: is_stopped)
    return tally, status


def rejected_rows(folder: Path) -> list[list[str]]:
    with (folder / "rejected.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_entries_are_imported_and_rejected_like_lines(tmp_path: Path) -> None:
    other = [*GOOD[:2], "Tomorrow at ten.", *GOOD[3:]]
    tally, status = imported(
        tmp_path,
        CsvRow(1, GOOD),
        CsvRow(2, ["A-2"], "phone_number: none of the participants has one; expected one"),
        CsvRow(3, other),
    )
    assert status is ImportStatus.DONE
    assert (tally.done[Intake.ADDED], tally.rejected.lines) == (1, 2)
    header, second, third = rejected_rows(tmp_path)
    assert header[:3] == ["entry", "reason", "ref"]
    assert second == ["2", "phone_number: none of the participants has one; expected one", "A-2"]
    assert third[:2] == ["3", "ref: entry 1 has the same ref and other contents; expected one entry for a ref"]
    assert may_be_rejected(tmp_path / "rejected.csv", {})


def test_a_warning_names_the_entry(tmp_path: Path) -> None:
    tally, _ = imported(tmp_path, CsvRow(7, ["A-1", "+4930123456", "Hello ***NAME***.", AT]))
    assert tally.warnings[0].startswith("entry 7: warning: message: ")


def test_no_row_is_read_while_others_are_written(tmp_path: Path) -> None:
    threads = set()

    def write(chunk: Chunk) -> list[Decision]:
        threads.add(get_ident())
        return [Decision(Intake.ADDED)] * len(chunk.good)

    def rows() -> Iterator[CsvRow]:
        for line in range(1, 3 * CHUNK):
            threads.add(get_ident())
            yield CsvRow(line, [f"A-{line}", *GOOD[1:]])

    tally, status = imported(tmp_path, rows=rows(), write=write)
    assert status is ImportStatus.DONE
    assert tally.done[Intake.ADDED] == 3 * CHUNK - 1
    assert threads == {get_ident()}, "a second thread would read during the transaction, and prolong it"


def test_all_that_was_written_is_counted_though_the_next_rows_cant_be_read(tmp_path: Path) -> None:
    written: list[int] = []
    tallies: list[Tally] = []

    def write(chunk: Chunk) -> list[Decision]:
        written.append(len(chunk.good))
        return [Decision(Intake.ADDED)] * len(chunk.good)

    def rows() -> Iterator[CsvRow]:
        for line in range(1, 2 * CHUNK + 10):
            yield CsvRow(line, [f"A-{line}", *GOOD[1:]])
        raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        imported(tmp_path, rows=rows(), write=write, tallies=tallies)
    assert written == [CHUNK, CHUNK]
    assert tallies[0].done[Intake.ADDED] == 2 * CHUNK


def test_an_import_that_is_stopped_begins_no_chunk(tmp_path: Path) -> None:
    tally, status = imported(tmp_path, CsvRow(1, GOOD), is_stopped=True)
    assert status is ImportStatus.INTERRUPTED
    assert not tally.done


def test_the_first_row_with_a_key_is_remembered() -> None:
    with _earlier_rows() as seen_before:
        assert seen_before([(1, 10, 2), (-(2**63), 20, 3)]) == [(10, 2), (20, 3)]
        assert seen_before([(1, 11, 4), (3, 30, 5), (3, 31, 6)]) == [(10, 2), (30, 5), (30, 5)]
        assert seen_before([]) == []
