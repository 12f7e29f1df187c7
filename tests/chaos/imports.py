"""Import a table as the command `import` does, with the history's clock and connection."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from attrs import define, field

from reminderd.core.imports import FileRefusedError
from reminderd.core.phone import ANY_NUMBER, patient_number
from reminderd.core.requests import Reading
from reminderd.core.tables.columns import columns_of
from reminderd.core.tables.row_reader import RowRequest, read_row
from reminderd.core.upsert import Decision
from reminderd.imports.formats import open_table
from reminderd.imports.loop import Chunk, Tally, import_rows, put_and_cancel
from reminderd.imports.rejected import rejected_lines
from reminderd.imports.table import day_order_of
from reminderd.store.intake import Source
from tests.support.store import Store

READ_NUMBER: Final = partial(patient_number, numbering=ANY_NUMBER)
"""The reader of phone numbers for a clinic that has not set its country."""


@define
class Imported:
    """The results for the lines of a table, by their line numbers in the file."""

    taken: dict[int, tuple[RowRequest, Decision]] = field(factory=dict)
    """All lines that could be read, including those that were refused later."""
    unreadable: dict[int, str] = field(factory=dict)


def import_table(
    file: Path, store: Store, *, zone: ZoneInfo, mint: Callable[[], str], source: Source
) -> Imported | None:
    """Import a table; return None if it was refused as a whole."""
    done = Imported()

    def write(chunk: Chunk) -> list[Decision]:
        done.unreadable |= {one.row.line: "; ".join(one.mistakes) for one in chunk.bad}
        asked = [asked for _, asked in chunk.good]
        decided = store.write(partial(put_and_cancel, asked=asked, rules=store.rules, mint=mint, source=source))
        done.taken |= {row.line: (asked, decision) for (row, asked), decision in zip(chunk.good, decided, strict=True)}
        return decided

    try:
        with open_table(file, {}) as table:
            columns = columns_of(table.header, {})
            reading = Reading(zone=zone, order=day_order_of(table.rows(), columns, table.unit), normalize=READ_NUMBER)
            read = partial(read_row, columns=columns, width=len(table.header), reading=reading)
            rejected = file.with_suffix(".rejected.csv")
            with rejected_lines(rejected, table, like=None, never={}) as lines:
                import_rows(table, read, write, Tally(lines), lambda _text, _is_end: None, lambda: False)
    except FileRefusedError:
        return None
    return done
