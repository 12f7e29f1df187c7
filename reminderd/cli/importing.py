"""Import a clinic's table as reminders, while the daemon may be running."""

import codecs
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import Final, NoReturn

import click

from reminderd.cli.common import (
    FAILED,
    actor,
    database,
    database_to_look_at,
    fail,
    files_in_use,
    with_config,
    wrong,
)
from reminderd.cli.import_progress import interruptible, progress
from reminderd.config import Config, numbering_of, rules_of, templates_of
from reminderd.core.masking import without_numbers
from reminderd.core.phone import patient_number
from reminderd.core.reasons import EndCode
from reminderd.core.requests import Reading, ReminderRequest
from reminderd.core.schedule.dates import DayOrder
from reminderd.core.tables.columns import FIELDS, MAY_BE_NONE, Columns, ColumnsError, check_status, columns_of, read_row
from reminderd.imports.formats import opened
from reminderd.imports.loop import Asked, ReadRow, Tally, Write, comparing, import_rows, writing
from reminderd.imports.rejected import may_be_rejected, rejected_lines
from reminderd.imports.spreadsheet import ENCODINGS
from reminderd.imports.table import Table, UnreadableError, day_order_of
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.reminders import Source

INTERRUPTED: Final = 130

_STDIN: Final = "-"
_STDIN_DESCRIPTOR: Final = 0
_PHONES_REMEMBERED: Final = 50_000
_AGAIN: Final = "to continue, run the same command again: what was imported stays as it is"


def _codec(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    if name is None:
        return None
    try:
        codec = codecs.lookup(name).name
    except LookupError:
        codec = ""
    if codec not in ENCODINGS:
        raise click.BadParameter(f'"{name}" is unknown; expected a name like utf-8, windows-1252 or iso-8859-2')
    return codec


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Change nothing in the database; show what would be done.")
@click.option(
    "--map",
    "chosen",
    multiple=True,
    metavar="COLUMN=HEADER",
    help=f"The header of a column, where it is not recognized; may be repeated. Columns: {', '.join(FIELDS)}."
    " Without a HEADER the table has no such column.",
)
@click.option(
    "--encoding",
    callback=_codec,
    metavar="NAME",
    help="The encoding of FILE, like windows-1250, where its bytes don't show it.",
)
@click.option(
    "--dates",
    type=click.Choice([order.value for order in DayOrder]),
    help="Whether dates like 3/1/2027 are day first or month first; else the file as a whole must show it.",
)
@click.option(
    "--rejected",
    "rejected_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file for rejected lines; else NAME.rejected.csv in the folder of FILE.",
)
@with_config
def import_(
    config: Config,
    file: Path,
    chosen: tuple[str, ...],
    encoding: str | None,
    dates: str | None,
    rejected_file: Path | None,
    *,
    dry_run: bool,
) -> None:
    """Import reminders from FILE, a CSV table with a header; - is standard input.

    It may be run again at any time: a line that was imported before changes nothing, and an edited line updates its
    reminder as long as the patient was not called.

    Exit codes: 0 every line was imported, 1 some were rejected, or it failed, 2 wrong usage, or the file can't be
    read, 130 interrupted (SIGINT).
    """
    rejected_path, never = _rejected_path(file, rejected_file), files_in_use(config)
    try:
        may_be_rejected(rejected_path, never)
    except OSError as error:
        wrong([f"--rejected: {error.filename}: {error.strerror}"])
    headers = _headers(chosen)
    with _one_line_for_errors(file), opened(file, headers, encoding) as table:
        columns = columns_of(table.header, headers)
        _say_what_was_found(file, table, columns)
        check_status(table.header, columns, table.rows())
        reading = Reading(
            zone=config.calling.local_zone,
            templates=templates_of(config),
            order=day_order_of(table, columns) if dates is None else DayOrder(dates),
            # The same patients come again.
            normalize=lru_cache(_PHONES_REMEMBERED)(partial(patient_number, numbering=numbering_of(config))),
        )
        read = partial(read_row, columns=columns, width=len(table.header), reading=reading)
        is_piped = str(file) == _STDIN
        with (
            rejected_lines(rejected_path, table, like=None if is_piped else file, never=never) as rejected,
            _comparing(config) if dry_run else _writing(config, "standard input" if is_piped else file.name) as write,
            interruptible() as is_interrupted,
            progress(table.size, table.position) as show,
        ):
            tally, used = Tally(rejected), Counter[int]()
            read_and_count = partial(_read_and_count, read=read, columns=columns, used=used)
            whole = import_rows(table, read_and_count, write, tally, show, is_interrupted)
    _say_what_was_done(tally, dry_run=dry_run)
    if len(columns.places["phone_number"]) > 1:
        chosen_from = ", ".join(f"{lines:,} from {table.header[place].strip()}" for place, lines in used.most_common())
        click.echo(f"phone numbers: {chosen_from or 'none'}")
    if not whole:
        _stop(f"interrupted after {table.unit} {tally.last_line}; {_AGAIN}")
    if tally.rejected.lines:
        raise SystemExit(FAILED)


@contextmanager
def _writing(config: Config, name: str) -> Iterator[Write]:
    detail = f"import of {without_numbers(name)}"
    source = Source(actor=actor(), detail=detail, cancels_as=EndCode.APPOINTMENT_CANCELLED)
    with database(config) as connection:
        yield writing(connection, rules=rules_of(config), source=source)


@contextmanager
def _comparing(config: Config) -> Iterator[Write]:
    """Compare with what is stored; where there is no database, none is made."""
    if not config.database.path.exists():
        yield comparing(None, rules=rules_of(config))
        return
    with database_to_look_at(config, changes_nothing=True) as connection:
        yield comparing(connection, rules=rules_of(config))


@contextmanager
def _one_line_for_errors(file: Path) -> Iterator[None]:
    """End with the exit code and a line for each thing that is in the way, and for what to do about it."""
    try:
        yield
    except UnreadableError as error:
        wrong([f"{file}: {error}"])
    except ColumnsError as error:
        wrong([*(f"{file}: {mistake}" for mistake in error.mistakes), "nothing was imported"])
    except StoreUnavailableError as error:
        fail(f"{error}; {_AGAIN}")
    except PermissionError as error:
        fail(f"{error.filename or file}: {error.strerror}; for rejected lines name a file with --rejected")
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}; {_AGAIN}")
    except KeyboardInterrupt:  # before the first chunk, or the second one
        _stop(f"interrupted; {_AGAIN}")


def _stop(message: str) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(INTERRUPTED)


def _rejected_path(file: Path, named: Path | None) -> Path:
    """Return the path for rejected lines: never the file itself."""
    if named is None and str(file) == _STDIN:
        wrong(["--rejected: missing; expected a file for rejected lines, as standard input has no name"])
    path = named or file.with_suffix(".rejected.csv")
    if _is_same(path, file):
        wrong(["--rejected: it is FILE itself; expected another file"])
    return path


def _is_same(path: Path, file: Path) -> bool:
    """Return whether a path leads to the table itself, also if that comes from a file on standard input."""
    try:
        table = os.fstat(_STDIN_DESCRIPTOR) if str(file) == _STDIN else file.stat()
        return os.path.samestat(path.stat(), table)
    except OSError:  # nothing is there, or standard input is closed
        return False


def _headers(chosen: Sequence[str]) -> Mapping[str, str]:
    """Return the header for each column that `--map` names."""
    headers: dict[str, str] = {}
    mistakes = []
    for entry in chosen:
        field, equals, header = entry.partition("=")
        if not equals or field not in FIELDS or not (header.strip() or field in MAY_BE_NONE):
            mistakes.append(f'--map: "{entry}"; expected COLUMN=HEADER, COLUMN one of {", ".join(FIELDS)}')
        elif field in headers:
            mistakes.append(f"--map: {field} twice; expected one header for it")
        headers[field] = header.strip()
    if mistakes:
        wrong(mistakes)
    return headers


def _read_and_count(cells: Sequence[str], *, read: ReadRow, columns: Columns, used: Counter[int]) -> Asked | list[str]:
    """Read a row, and count from which column its number came."""
    asked = read(cells)
    if isinstance(asked, ReminderRequest):
        used[columns.phone_place(cells)] += 1
    return asked


def _say_what_was_found(file: Path, table: Table, columns: Columns) -> None:
    first, *others = table.found
    click.echo(f"{file}: {first}")
    for other in others:
        click.echo(f"  {other}")
    for field, places in columns.places.items():
        between = ", else " if field == "phone_number" else " and "
        click.echo(f"  {field}: {between.join(table.header[place].strip() for place in places)}")
    if columns.ignored:
        click.echo(f"  ignored: {', '.join(name.strip() for name in columns.ignored if name.strip())}")


def _say_what_was_done(tally: Tally, *, dry_run: bool) -> None:
    click.echo(f"{'dry run, nothing was changed; the import would be: ' if dry_run else ''}{tally}")
    rejected = tally.rejected
    for reason, lines in rejected.reasons.most_common():
        click.echo(f"{lines:>9,}  {reason}")
    for warning in tally.warnings:
        click.echo(warning, err=True)
    if tally.more_warnings:
        click.echo(f"{tally.more_warnings:,} more warnings", err=True)
    if rejected.lines:
        click.echo(f"rejected lines, each with its reason: {rejected.path}")
