"""Import a clinic's table as reminders, while the daemon may be running."""

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, NoReturn

import click
from attrs import evolve, frozen

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
from reminderd.config import Config, rules_of
from reminderd.core.appointments import AppointmentRequest
from reminderd.core.imports import ImportStatus
from reminderd.core.requests import ReminderRequest
from reminderd.core.schedule.dates import DayOrder
from reminderd.core.tables.columns import FIELDS, MAY_BE_NONE, Columns, ColumnsError
from reminderd.core.tables.rows import Asked
from reminderd.imports.formats import opened
from reminderd.imports.loop import ReadRow, Tally, Write, import_rows
from reminderd.imports.profiles import Profile, profile_of
from reminderd.imports.recording import Ending, recorded
from reminderd.imports.rejected import may_be_rejected, rejected_lines
from reminderd.imports.table import Table, UnreadableError
from reminderd.imports.writing import comparing, source_of, writing
from reminderd.store.errors import StoreUnavailableError
from reminderd.validators import codec_of, did_you_mean

INTERRUPTED: Final = 130

_STDIN: Final = "-"
_STDIN_DESCRIPTOR: Final = 0
_AGAIN: Final = "to continue, run the same command again: what was imported stays as it is"


def _codec(_context: click.Context, _option: click.Parameter, name: str | None) -> str | None:
    try:
        return None if name is None else codec_of(name)
    except ValueError as error:
        raise click.BadParameter(f'"{name}" {error}') from None


def _headers(_context: click.Context, _option: click.Parameter, chosen: Sequence[str]) -> Mapping[str, str]:
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


@frozen(kw_only=True)
class _Options:
    """What is typed along with the file."""

    profile: str | None
    headers: Mapping[str, str]
    encoding: str | None
    dates: str | None
    rejected_file: Path | None
    dry_run: bool


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Change nothing in the database; show what would be done.")
@click.option("--profile", metavar="NAME", help="Read it as [import.profiles.NAME] of the configuration says.")
@click.option(
    "--map",
    "headers",
    multiple=True,
    callback=_headers,
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
def import_(config: Config, /, file: Path, **typed: Any) -> None:  # noqa: ANN401 - click passes each with its type
    """Import reminders from FILE: a CSV table with a header, a calendar (.ics), FHIR or HL7 v2; - is standard input.

    It may be run again at any time: a line that was imported before changes nothing, and an edited line updates its
    reminder as long as the patient was not called.

    Exit codes: 0 every line was imported, 1 some were rejected, or it failed, 2 wrong usage, or the file can't be
    read, 130 interrupted (SIGINT).
    """
    options = _Options(**typed)
    profile = _profile(config, options)
    rejected_path, never = _rejected_path(file, options.rejected_file), files_in_use(config)
    try:
        may_be_rejected(rejected_path, never)
    except OSError as error:
        wrong([f"--rejected: {error.filename}: {error.strerror}"])
    with _one_line_for_errors(file), opened(file, profile.headers, profile.encoding, form=profile.form) as table:
        columns = profile.columns_of(table)
        _say_what_was_found(file, table, columns)
        read = profile.reader_of(table, columns)
        is_piped = str(file) == _STDIN
        name = "standard input" if is_piped else file.name
        with (
            rejected_lines(rejected_path, table, like=None if is_piped else file, never=never) as rejected,
            _started(config, name, options, tally := Tally(rejected)) as (write, ending),
            interruptible() as is_interrupted,
            progress(table.size, table.position) as show,
        ):
            used = Counter[int]()
            read_and_count = partial(_read_and_count, read=read, columns=columns, used=used)
            if not import_rows(table, read_and_count, write, tally, show, is_interrupted):
                ending.status = ImportStatus.INTERRUPTED
    _say_what_was_done(tally, dry_run=options.dry_run)
    if len(columns.places["phone_number"]) > 1:
        chosen_from = ", ".join(f"{lines:,} from {table.header[place].strip()}" for place, lines in used.most_common())
        click.echo(f"phone numbers: {chosen_from or 'none'}")
    if ending.status is ImportStatus.INTERRUPTED:
        _stop(f"interrupted after {table.unit} {tally.last_line}; {_AGAIN}")
    if tally.rejected.lines:
        raise SystemExit(FAILED)


@contextmanager
def _started(config: Config, name: str, options: _Options, tally: Tally) -> Iterator[tuple[Write, Ending]]:
    """Yield what writes chunks, and how the import ends. A dry run only compares, and makes no database."""
    rules = rules_of(config)
    source = source_of(name, options.profile, actor())
    if not options.dry_run:
        with (
            database(config) as connection,
            recorded(connection, tally, file=name, profile=options.profile, actor=source.actor) as ending,
        ):
            yield writing(connection, rules=rules, source=source), ending
    elif config.database.path.exists():
        with database_to_look_at(config, changes_nothing=True) as connection:
            yield comparing(connection, rules=rules, source=source), Ending()
    else:
        yield comparing(None, rules=rules, source=source), Ending()


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
    table = file.resolve() if file.is_dir() else file  # "." has no name of its own
    path = named or table.parent / f"{table.stem}.rejected.csv"
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


def _profile(config: Config, options: _Options) -> Profile:
    """Return how the file is read: as its profile says, or as it is typed, which overrules it."""
    known = config.import_.profiles
    if options.profile is not None and options.profile not in known:
        expected = f"expected one of {', '.join(known)}" if known else "expected a section [import.profiles.NAME]"
        wrong([f'--profile: "{options.profile}" is unknown{did_you_mean(options.profile, known)}; {expected}'])
    profile = profile_of(config, options.profile)
    return evolve(
        profile,
        headers={**profile.headers, **options.headers},
        encoding=options.encoding or profile.encoding,
        order=DayOrder(options.dates) if options.dates else profile.order,
    )


def _read_and_count(cells: Sequence[str], *, read: ReadRow, columns: Columns, used: Counter[int]) -> Asked | list[str]:
    """Read a row, and count from which column its number came."""
    asked = read(cells)
    if isinstance(asked, ReminderRequest | AppointmentRequest):
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
