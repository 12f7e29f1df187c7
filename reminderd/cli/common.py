"""Share among commands: the configuration, the database, common options, exit codes, and the name of the user."""

import getpass
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from functools import partial, update_wrapper
from pathlib import Path
from typing import Concatenate, NoReturn, ParamSpec, TypeVar
from zoneinfo import ZoneInfo

import click

from reminderd.clock import SystemClock
from reminderd.config import FILE_NAME, Config, ConfigError, files_with_secrets, load_config
from reminderd.core.sentences import NotAllowedError, text_of
from reminderd.files import companions
from reminderd.staff.obstacles import pauses
from reminderd.store.any_engine import open_read_only, open_sync
from reminderd.store.connection import Connection, snapshot, transaction
from reminderd.store.errors import AmbiguousError, StoreUnavailableError, StoreUnusableError, UnknownReminderError
from reminderd.store.shared_state import real_provider, remember_real_provider

P = ParamSpec("P")
T = TypeVar("T")

FAILED = 1
WRONG_USAGE = 2

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout, for programs.")
patients_phone = click.option(
    "--phone",
    "phone_number",
    required=True,
    help="The patient's number, like +12025550147, or as dialed in your country.",
)
patients_language = click.option("--language", help="The patient's language, like es or pt-BR. Default: the clinic's.")
patients_zone = click.option(
    "--timezone", help="The patient's time zone, like America/New_York. Default: the clinic's."
)
_as_csv = click.option("--csv", "as_csv", is_flag=True, help="A table for a spreadsheet.")


def fail(message: str, code: int = FAILED) -> NoReturn:
    """End with this exit code and one line on stderr."""
    click.echo(message, err=True)
    raise SystemExit(code)


def wrong_usage(mistakes: list[str]) -> NoReturn:
    """End with exit code 2 and a line for each mistake on stderr."""
    for mistake in mistakes:
        click.echo(mistake, err=True)
    raise SystemExit(WRONG_USAGE)


def wrong_fields(mistakes: list[str], options: Mapping[str, str]) -> NoReturn:
    """End with mistakes that begin with a field: name its option instead, by `options` or by the field's own name."""
    fields = [mistake.partition(":") for mistake in mistakes]
    wrong_usage([f"--{options.get(field, field)}{colon}{text}" for field, colon, text in fields])


def language_option(summary: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Give a command the option `--language`; the command gets a language tag, or None."""
    return click.option("--language", callback=read_by(_read_language), help=summary)


def _read_language(text: str) -> str:
    from reminderd.core.script.languages import read_language  # noqa: PLC0415 - slow to import, and few commands need it

    return read_language(text)


def read_by(read: Callable[[str], T]) -> Callable[[click.Context, click.Parameter, str | None], T | None]:
    """Return an option's callback that reads its text; a ValueError of `read` is reported as wrong usage."""

    def callback(_context: click.Context, _option: click.Parameter, text: str | None) -> T | None:
        try:
            return None if text is None else read(text)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return callback


def as_json_or_csv(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command `--json` and `--csv`, and pass it `form`: "json", "csv" or None. Both together are wrong usage."""

    def wrapped(*args: object, as_json: bool, as_csv: bool, **kwargs: object) -> None:
        if as_json and as_csv:
            wrong_usage(["--csv: with --json; expected one or the other"])
        command(*args, form="json" if as_json else "csv" if as_csv else None, **kwargs)

    return as_json(_as_csv(update_wrapper(wrapped, command)))


def with_config(command: Callable[Concatenate[Config, P], None], *, needs_all: bool = True) -> Callable[..., None]:
    """Give a command `--config F` and, as its first argument, the configuration; errors become exit codes."""

    @click.option(
        "--config",
        "config_file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="The configuration file. Default: $REMINDERD_CONFIG, then ./config.toml.",
    )
    def wrapped(config_file: Path | None, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            config = load_config(config_file, os.environ, Path.cwd())
        except ConfigError as error:
            if needs_all or error.rest is None:
                wrong_usage(error.errors)
            config = error.rest
            for mistake in (*error.errors, f"only the database is used: {config.database.target.shown_name}"):
                click.echo(mistake, err=True)
        with store_errors():
            command(config, *args, **kwargs)

    return update_wrapper(wrapped, command)


with_database_of_config = partial(with_config, needs_all=False)
"""Does the same for a command that needs only the database: errors in other keys are shown, but do not stop it."""


@contextmanager
def store_errors() -> Iterator[None]:
    """End with exit code 1 and one line if the database, a reminder's state or its name stops the command."""
    try:
        yield
    except (StoreUnusableError, StoreUnavailableError, AmbiguousError) as error:
        fail(f"{error}")
    except NotAllowedError as error:
        fail(f"not done: {error}")
    except UnknownReminderError as error:  # another program has deleted it since it was found
        fail(f"not done: no reminder has the id {error}")


@contextmanager
def database(config: Config, *, is_ours_alone: bool = False) -> Iterator[Connection]:
    """Open the database, or create it, and record in it whether a real provider is configured.

    A new database is named on stderr, as the command may have been typed in a wrong folder, unless it `is_ours_alone`.
    """
    is_new = not is_ours_alone and config.database.is_missing
    with open_sync(config.database.target) as connection:
        if is_new:
            click.echo(f"there was no database yet: created {config.database.target.shown_name}", err=True)
        if _has_new_provider(config, connection):
            write_now(connection, partial(remember_real_provider, kind=config.provider.kind))
        yield connection


@contextmanager
def existing_database(config: Config) -> Iterator[Connection]:
    """Open the database for changes, but don't create it: after a typing error in its name, it would look empty."""
    _must_exist(config)
    with database(config) as connection:
        yield connection


@contextmanager
def read_only_database(config: Config, *, changes_nothing: bool = False) -> Iterator[Connection]:
    """Open the database for reading only; so it is not upgraded while a daemon runs.

    Record in it whether a real provider is configured, unless the command promises that it `changes_nothing`.
    """
    _must_exist(config)
    with open_read_only(config.database.target) as connection:
        if not changes_nothing and _has_new_provider(config, connection):
            with database(config):
                pass  # this connection only reads
        yield connection


def _has_new_provider(config: Config, connection: Connection) -> bool:
    """Return whether the configuration has a real provider that the database does not know yet."""
    return config.provider.kind not in {"sandbox", snapshot(connection, real_provider)}


def _must_exist(config: Config) -> None:
    if config.database.is_missing:
        fail(f"{config.database.target.shown_name}: there is no database yet; reminderd run or add creates one")


def write_now(connection: Connection, write: Callable[[Connection, datetime], T]) -> T:
    """Write in one transaction with the current time, and return the result."""
    return transaction(connection, write, SystemClock().now())


def in_zone(zone: ZoneInfo, part: datetime | int) -> str:
    """Return a moment or a number as a person at the clinic reads it in English."""
    return f"{part:,}" if isinstance(part, int) else f"{part.astimezone(zone):%Y-%m-%d %H:%M:%S}"


def warn_if_paused(config: Config, connection: Connection) -> None:
    """Print a line on stderr for each reason why no calls are placed."""
    found = snapshot(connection, partial(pauses, config=config, now=SystemClock().now()))
    for reason in found:
        click.echo(text_of(reason, partial(in_zone, config.calling.zone)), err=True)


def files_in_use(config: Config) -> dict[Path, str]:
    """Return the files that no command may overwrite, each with a description."""
    configuration = {config.path or Path.cwd() / FILE_NAME: "the configuration"}
    secrets = dict.fromkeys(files_with_secrets(config), "a file with secrets")
    log = {} if config.log.path is None else {config.log.path: "the log"}
    database = {} if config.database.path is None else companions(config.database.path, "the database")
    return secrets | log | configuration | database


def actor() -> str:
    """Return the login name of the user, for the audit."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user, as in some containers
        return f"user {os.getuid()}"
