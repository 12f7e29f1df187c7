"""A table taken into the database as the command `import` does it, with the history's clock and connection."""

from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from attrs import define, field

from reminderd.cli.import_chunks import Asked, Chunk, Outcome, all_through
from reminderd.cli.rejected import rejected_lines
from reminderd.cli.spreadsheet import UnreadableError, day_order_of, opened
from reminderd.core.phone import ANY_NUMBER, patient_number
from reminderd.core.requests import ReminderRequest
from reminderd.core.script.templates import NO_TEMPLATES
from reminderd.core.tables.columns import columns_of
from reminderd.core.tables.headers import is_header
from reminderd.core.tables.rows import read_row
from reminderd.core.upsert import Cancellation, Decision
from reminderd.store.connection import Connection
from reminderd.store.reminders import Source, call_off, put
from tests.support.desk import Desk

READ_NUMBER: Final = partial(patient_number, numbering=ANY_NUMBER)
"""The reader of phone numbers of a clinic that has not set its country."""


@define
class Imported:
    """What became of the lines of a table, by their numbers in the file."""

    taken: dict[int, tuple[Asked, Decision]] = field(factory=dict)
    """All that could be read, also if they were refused then."""
    unreadable: dict[int, str] = field(factory=dict)


def import_table(file: Path, desk: Desk, *, zone: ZoneInfo, mint: Callable[[], str], source: Source) -> Imported | None:
    """Import a table; None: it was refused as a whole."""
    done = Imported()

    def write(connection: Connection, now: datetime, *, chunk: Chunk) -> list[Decision]:
        requests = [row.wanted for row in chunk.good if isinstance(row.wanted, ReminderRequest)]
        asked = [row.wanted for row in chunk.good if isinstance(row.wanted, Cancellation)]
        stored = put(connection, now, requests=requests, rules=desk.rules, mint=mint, source=source)
        over = call_off(connection, now, asked=asked, rules=desk.rules, source=source)
        of_requests, of_cancellations = iter(stored), iter(over)
        return [next(of_cancellations if isinstance(row.wanted, Cancellation) else of_requests) for row in chunk.good]

    def judge(chunk: Chunk) -> list[Decision]:
        done.unreadable |= {one.record.line: "; ".join(one.mistakes) for one in chunk.bad}
        decided = desk.write(partial(write, chunk=chunk))
        done.taken |= {
            row.record.line: (row.wanted, decision) for row, decision in zip(chunk.good, decided, strict=True)
        }
        return decided

    try:
        with opened(file, is_header) as sheet:
            columns = columns_of(sheet.header, {})
            read = partial(
                read_row,
                columns=columns,
                width=len(sheet.header),
                zone=zone,
                templates=NO_TEMPLATES,
                order=day_order_of(sheet, columns),
                normalise=READ_NUMBER,
            )
            rejected = file.with_suffix(".rejected.csv")
            with rejected_lines(rejected, sheet.header, sheet.layout.delimiter, like=None, never={}) as lines:
                all_through(sheet.rows(), read, judge, Outcome(lines), lambda: None)
    except UnreadableError:
        return None
    return done
