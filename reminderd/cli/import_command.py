"""Import a clinic's table as reminders, while the daemon may be running."""

import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any, Final
from zoneinfo import ZoneInfo

import click
from attrs import evolve, frozen
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from reminderd.cli.common import (
    FAILED,
    actor,
    database,
    fail,
    files_in_use,
    read_by,
    read_only_database,
    with_config,
    wrong_usage,
)
from reminderd.cli.lists import span_of
from reminderd.cli.output import moment_in_words
from reminderd.clock import SystemClock
from reminderd.config import Config, codec_of
from reminderd.core.booking import AppointmentRequest
from reminderd.core.imports import MOST_CANCELLED, FileRefusedError, ImportStatus, WaitingEntry
from reminderd.core.requests import ReminderRequest
from reminderd.core.schedule.dates import DayOrder
from reminderd.core.tables.columns import FIELDS, MAY_BE_NONE, Columns, ColumnsError
from reminderd.core.tables.row_reader import RowRequest
from reminderd.imports.formats import Profile, profile_of
from reminderd.imports.loop import ReadRow, ShowProgress, Tally
from reminderd.imports.one_file import FileImport, ImportResult, OpenImport, refusal_of
from reminderd.imports.rejected import may_be_rejected
from reminderd.imports.snapshot import Coverage
from reminderd.imports.table import STDIN, Table
from reminderd.logs.terminal import raw_stream
from reminderd.store.any_engine import open_sync
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.validators import did_you_mean

INTERRUPTED: Final = 130

_STDIN_DESCRIPTOR: Final = 0
_LINE_EVERY: Final = 200
"""How many chunks are imported between two lines of progress, where there is no terminal for a bar."""
_SHOWN: Final = 10
"""How many lines and appointments a dry run shows."""
_AGAIN: Final = "to continue, run the same command again: what was imported stays as it is"


def _codec(name: str) -> str:
    try:
        return codec_of(name)
    except ValueError as error:
        raise ValueError(f'"{name}" {error}') from None


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
        wrong_usage(mistakes)
    return headers


def _percent(text: str) -> int:
    """Return a number from 0 to 100, written with or without a percent sign."""
    digits = text.strip().removesuffix("%").strip()
    if not (digits.isascii() and digits.isdigit() and int(digits) <= 100):
        raise ValueError(f'"{text}"; expected a number from 0% to 100%')
    return int(digits)


@frozen(kw_only=True)
class _Options:
    """The options that are typed with the file."""

    profile: str | None
    headers: Mapping[str, str]
    encoding: str | None
    dates: str | None
    rejected_file: Path | None
    dry_run: bool
    snapshot: bool
    first: str | None
    last: str | None
    max_cancelled: int
    even_if_older: bool


@click.command(name="import")
@click.argument("file", type=click.Path(exists=True, allow_dash=True, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Change nothing in the database; show what would be done.")
@click.option("--profile", metavar="NAME", help="Read FILE as [import.profiles.NAME] in the configuration describes.")
@click.option(
    "--map",
    "headers",
    multiple=True,
    callback=_headers,
    metavar="COLUMN=HEADER",
    help="Read COLUMN from the column of FILE with this HEADER: needed if the header is not recognized. May be"
    f" repeated. COLUMN is one of: {', '.join(FIELDS)}. COLUMN= without a HEADER says that FILE has no such column.",
)
@click.option(
    "--encoding",
    callback=read_by(_codec),
    metavar="NAME",
    help="The encoding of FILE, like windows-1250: needed if its bytes don't show it.",
)
@click.option(
    "--dates",
    type=click.Choice([order.value for order in DayOrder]),
    help="How to read dates like 3/1/2027. dmy: the day comes first; mdy: the month. Default: as the other dates in"
    " FILE show. If they don't, FILE is refused.",
)
@click.option(
    "--rejected",
    "rejected_file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file for rejected lines. Default: NAME.rejected.csv in the folder of FILE.",
)
@click.option(
    "--snapshot",
    is_flag=True,
    help="FILE has all appointments of a span of days. Cancel what an earlier file of this --profile had in that span"
    " and FILE no longer has.",
)
@click.option(
    "--from",
    "first",
    metavar="DATE",
    help="The first day of that span. --from and --to are required, unless the profile has snapshot_days.",
)
@click.option("--to", "last", metavar="DATE", help="The last day of that span.")
@click.option(
    "--max-cancelled",
    callback=read_by(_percent),
    default=f"{MOST_CANCELLED:.0%}",
    show_default=True,
    metavar="PERCENT",
    help="Refuse a snapshot that would cancel more than this share of what is stored in its span. Up to 5 may"
    " be cancelled even if they are more than this share, but not more than half.",
)
@click.option(
    "--even-if-older", is_flag=True, help="Import a snapshot even if a newer one of the profile was imported."
)
@with_config
def import_(config: Config, /, file: Path, **typed: Any) -> None:  # noqa: ANN401 - click passes each with its type
    """Import reminders or appointments from FILE; - is standard input.

    FILE is a CSV table with a header, a calendar (.ics), FHIR or HL7 v2.

    The command may be run again at any time. A line that was imported before changes nothing. An edited line updates
    its reminder, as long as the patient was not called.

    \b
    Exit codes:
        0  every line was imported
        1  some lines were rejected, or the import failed
        2  wrong usage, or FILE can't be read
      130  interrupted (SIGINT)
    """  # noqa: D301 - click's mark for lines that it must not join
    options = _Options(**typed)
    profile = _profile(config, options)
    is_piped = str(file) == STDIN
    one = FileImport(
        file=file,
        name="standard input" if is_piped else file.name,
        profile=profile,
        coverage=_coverage(config, options, profile),
        dated_at=datetime.fromtimestamp(file.stat().st_mtime, UTC) if file.is_file() else None,
        rejected=_rejected_path(file, options.rejected_file),
        never=files_in_use(config),
        actor=actor(),
        config=config,
        clock=SystemClock(),
    )
    try:
        may_be_rejected(one.rejected, one.never)
    except OSError as error:
        wrong_usage([f"--rejected: {error.filename}: {error.strerror}"])
    with _one_line_for_errors(one, dry_run=options.dry_run), one.opened(partial(_say_what_was_found, file)) as opened:
        result = (_compared if options.dry_run else _written)(opened, config)
    tally = result.tally
    if result.why_nothing_cancelled is not None:
        tally.warnings.append(result.why_nothing_cancelled)
    if options.dry_run and result.missing:
        _say_what_is_missing(result.missing, config.calling.zone)
    _say_what_was_done(tally, dry_run=options.dry_run)
    if len(opened.columns.places["phone_number"]) > 1:
        header, places = opened.table.header, Counter(result.numbers_from).most_common()
        chosen_from = ", ".join(f"{lines:,} from {header[place].strip()}" for place, lines in places)
        click.echo(f"phone numbers: {chosen_from or 'none'}")
    if result.status is ImportStatus.INTERRUPTED:
        fail(f"interrupted after {opened.table.unit} {tally.last_line}; {_AGAIN}", INTERRUPTED)
    if tally.rejected.lines:
        raise SystemExit(FAILED)


def _written(opened: OpenImport, config: Config) -> ImportResult:
    with database(config) as connection:
        missing = opened.missing(connection)
        with interruptible() as is_interrupted, show_progress(opened.table.size, opened.table.position) as show:
            return opened.write(connection, missing, show, is_interrupted)


def _compared(opened: OpenImport, config: Config) -> ImportResult:
    """Show what an import would do; create no database."""
    _say_how_lines_are_read(opened.table, opened.read, config.calling.zone)
    is_missing = config.database.is_missing
    with nullcontext() if is_missing else read_only_database(config, changes_nothing=True) as connection:
        missing = opened.missing(connection)
        with interruptible() as is_interrupted, show_progress(opened.table.size, opened.table.position) as show:
            return opened.compare(connection, missing, show, is_interrupted)


@contextmanager
def _one_line_for_errors(one: FileImport, *, dry_run: bool) -> Iterator[None]:
    """End with the exit code and a line for each error, and for what to do about it."""
    file = one.file
    try:
        yield
    except (FileRefusedError, ColumnsError) as error:
        refusal = refusal_of(error)
        if not dry_run and not one.config.database.is_missing:
            with (
                suppress(StoreUnavailableError, StoreUnusableError),
                open_sync(one.config.database.target) as connection,
            ):
                one.refused(connection, refusal)  # what is wrong with the file is shown in any case
        more = ["nothing was imported"] if isinstance(error, ColumnsError) else []
        wrong_usage([*(f"{file}: {mistake}" for mistake in refusal.mistakes), *more])
    except StoreUnavailableError as error:
        fail(f"{error}; {_AGAIN}")
    except PermissionError as error:
        fail(f"{error.filename or file}: {error.strerror}; for rejected lines name a file with --rejected")
    except OSError as error:
        fail(f"{error.filename or file}: {error.strerror}; {_AGAIN}")
    except KeyboardInterrupt:  # before the first chunk, or the second one
        fail(f"interrupted; {_AGAIN}", INTERRUPTED)


def _rejected_path(file: Path, named: Path | None) -> Path:
    """Return the path for rejected lines: never the file itself."""
    if named is None and str(file) == STDIN:
        wrong_usage(["--rejected: missing; expected a file for rejected lines, as standard input has no name"])
    table = file.resolve() if file.is_dir() else file  # "." has no name of its own
    path = named or table.parent / f"{table.stem}.rejected.csv"
    if _is_same(path, file):
        wrong_usage(["--rejected: it is FILE itself; expected another file"])
    return path


def _is_same(path: Path, file: Path) -> bool:
    """Return whether a path leads to the table itself, even if the table is a file on standard input."""
    try:
        table = os.fstat(_STDIN_DESCRIPTOR) if str(file) == STDIN else file.stat()
        return os.path.samestat(path.stat(), table)
    except OSError:  # nothing is there, or standard input is closed
        return False


def _profile(config: Config, options: _Options) -> Profile:
    """Return how the file is read: by its profile, which typed options override."""
    known = config.import_.profiles
    if options.profile is not None and options.profile not in known:
        expected = f"expected one of {', '.join(known)}" if known else "expected a section [import.profiles.NAME]"
        wrong_usage([f'--profile: "{options.profile}" is unknown{did_you_mean(options.profile, known)}; {expected}'])
    profile = profile_of(config, options.profile)
    return evolve(
        profile,
        headers={**profile.headers, **options.headers},
        encoding=options.encoding or profile.encoding,
        order=DayOrder(options.dates) if options.dates else profile.order,
    )


def _coverage(config: Config, options: _Options, profile: Profile) -> Coverage | None:
    """Return the span of a snapshot from the options or from the profile; None if the file is no snapshot."""
    mistakes: list[str] = []
    start, end = span_of(None, options.first, options.last, config.calling.zone, mistakes)
    if (start is None) is not (end is None):
        mistakes.append("--from, --to: one without the other; expected both")
    is_wanted = options.snapshot or start is not None or end is not None
    if is_wanted and not options.snapshot:
        mistakes.append("--from, --to: without --snapshot; expected it, too")
    if options.snapshot and options.profile is None:
        mistakes.append("--snapshot: expected --profile, as only what came from files of the same profile is cancelled")
    if options.snapshot and start is None and not profile.snapshot_days:
        mistakes.append("--snapshot: of which days? expected --from and --to, or snapshot_days in the profile")
    if mistakes:
        wrong_usage(mistakes)
    if not options.snapshot and not profile.snapshot_days:
        return None
    return Coverage(
        start=start,
        end=end,
        days=profile.snapshot_days,
        most=options.max_cancelled / 100,
        even_if_older=options.even_if_older,
    )


def _say_how_lines_are_read(table: Table, read: ReadRow, zone: ZoneInfo) -> None:
    """Show the first lines in words, so that a person can check how they are read."""
    click.echo(f"the first {table.unit}s are read as:" if table.unit != "entry" else "the first entries are read as:")
    for row in islice(table.rows(), _SHOWN):
        click.echo(f"  {table.unit} {row.line}: {request_in_words(read(row), zone)}")


def _say_what_is_missing(missing: Sequence[WaitingEntry], zone: ZoneInfo) -> None:
    """Show the appointments that are missing in a snapshot, and would be cancelled."""
    click.echo(f"it lacks {len(missing):,} of what is stored, which would be cancelled:")
    for one in missing[:_SHOWN]:
        click.echo(f"  {one.name}: {moment_in_words(one.at, zone)}")
    if len(missing) > _SHOWN:
        click.echo(f"  and {len(missing) - _SHOWN:,} more")


def _say_what_was_found(file: Path, table: Table, columns: Columns) -> None:
    first, *others = table.found
    click.echo(f"{file}: {first}")
    for other in others:
        click.echo(f"  {other}")
    for name, places in columns.places.items():
        if [table.header[place] for place in places] == [name]:  # a format with our own names: nothing to report
            continue
        between = ", else " if name == "phone_number" else " and "
        click.echo(f"  {name}: {between.join(table.header[place].strip() for place in places)}")
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


@contextmanager
def show_progress(total: int, position: Callable[[], int]) -> Iterator[ShowProgress]:
    """Show the progress of an import on stderr: a bar on a terminal, or a line from time to time.

    `position` returns how many bytes of the table, of the `total`, are imported.
    """
    console = Console(file=raw_stream(sys.stderr), highlight=False, markup=False)
    if not console.is_terminal:
        chunks = 0

        def line(tally: Tally, is_end: bool) -> None:  # noqa: FBT001 - see ShowProgress
            nonlocal chunks
            if chunks % _LINE_EVERY == 0 and not is_end:  # the counts at the end are on stdout
                click.echo(f"{tally}", err=True)
            chunks += 1

        yield line
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda tally, _is_end: bar.update(task, completed=position(), description=f"{tally}")


@contextmanager
def interruptible() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether SIGINT has arrived; a second SIGINT ends the program as usual."""
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


def request_in_words(asked: RowRequest | list[str], zone: ZoneInfo) -> str:
    """Return what a row asks for, with times in the clinic's time zone; or why the row is rejected."""
    if isinstance(asked, list):
        return f"rejected: {'; '.join(asked)}"
    named = "" if asked.ref is None else f" ({asked.ref})"
    if isinstance(asked, ReminderRequest):
        return f'call {asked.phone_number} on {_day(asked.scheduled_at, zone)}: "{asked.message}"{named}'
    if isinstance(asked, AppointmentRequest):
        what = " ".join(filter(None, (asked.type, asked.name and f"of {asked.name}")))
        whose = f"{what}, {asked.phone_number}" if what else asked.phone_number
        return f"appointment on {_day(asked.at, zone)}: {whose}{named}"
    return f"does not take place: its waiting reminders are cancelled{named}"


def _day(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%A, %Y-%m-%d %H:%M}"
