"""The import of a table that is no spreadsheet: its rows are entries, and everything is said about entries."""

import csv
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from attrs import frozen

from reminderd.clock import SystemClock
from reminderd.core.phone import ANY_NUMBER, patient_number
from reminderd.core.requests import Reading
from reminderd.core.tables.columns import columns_of
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.row_reader import read_row
from reminderd.core.upsert import Intake
from reminderd.imports.loop import Tally, _earlier_rows, import_rows
from reminderd.imports.rejected import may_be_rejected, rejected_lines
from reminderd.imports.writing import comparing
from reminderd.store.reminders import Source
from tests.support.builders import RULES


@frozen
class Entries:
    """A table whose rows are entries of a file in a format of its own."""

    given: Sequence[CsvRow]
    header: Sequence[str] = ("ref", "phone_number", "message", "scheduled_at", "name")
    unit: str = "entry"
    delimiter: str = ","
    made_at: datetime | None = None
    found: Sequence[str] = ("some entries",)
    size: int = 100

    def rows(self) -> Iterator[CsvRow]:
        yield from self.given

    def position(self) -> int:
        return self.size


AT = f"{SystemClock().now() + timedelta(days=3):%Y-%m-%d %H:%M}Z"
GOOD = ["A-1", "+4930123456", "Tomorrow at nine.", AT, "Erika"]


def imported(folder: Path, *rows: CsvRow, is_stopped: bool = False) -> tuple[Tally, bool]:
    table = Entries(rows)
    columns = columns_of(table.header, {})
    reading = Reading(zone=None, normalize=partial(patient_number, numbering=ANY_NUMBER))
    read = partial(read_row, columns=columns, width=len(table.header), reading=reading)
    with rejected_lines(folder / "rejected.csv", table, like=None, never={}) as rejected:
        tally = Tally(rejected)
        write = comparing(None, rules=RULES, source=Source(actor="anna"))
        whole = import_rows(table, read, write, tally, lambda _tally, _is_end: None, lambda: is_stopped)
    return tally, whole


def rejected_rows(folder: Path) -> list[list[str]]:
    with (folder / "rejected.csv").open(encoding="utf-8-sig", newline="") as file:
        return list(csv.reader(file))


def test_entries_are_imported_and_rejected_like_lines(tmp_path: Path) -> None:
    other = [*GOOD[:2], "Tomorrow at ten.", *GOOD[3:]]
    tally, whole = imported(
        tmp_path,
        CsvRow(1, GOOD),
        CsvRow(2, ["A-2"], "phone_number: none of the participants has one; expected one"),
        CsvRow(3, other),
    )
    assert whole
    assert (tally.done[Intake.ADDED], tally.rejected.lines) == (1, 2)
    header, second, third = rejected_rows(tmp_path)
    assert header[:3] == ["entry", "reason", "ref"]
    assert second == ["2", "phone_number: none of the participants has one; expected one", "A-2"]
    assert third[:2] == ["3", "ref: entry 1 has the same ref and other contents; expected one entry for a ref"]
    assert may_be_rejected(tmp_path / "rejected.csv", {})


def test_a_warning_names_the_entry(tmp_path: Path) -> None:
    tally, _ = imported(tmp_path, CsvRow(7, ["A-1", "+4930123456", "Hello ***NAME***.", AT]))
    assert tally.warnings[0].startswith("entry 7: warning: message: ")


def test_an_import_that_is_stopped_begins_no_chunk(tmp_path: Path) -> None:
    tally, whole = imported(tmp_path, CsvRow(1, GOOD), is_stopped=True)
    assert not whole
    assert not tally.done


def test_the_first_row_with_a_key_is_remembered() -> None:
    with _earlier_rows() as seen_before:
        assert seen_before([(1, 10, 2), (-(2**63), 20, 3)]) == [(10, 2), (20, 3)]
        assert seen_before([(1, 11, 4), (3, 30, 5), (3, 31, 6)]) == [(10, 2), (30, 5), (30, 5)]
        assert seen_before([]) == []
