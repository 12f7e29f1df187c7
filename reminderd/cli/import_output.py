"""Show what a row of a file asks for, and how far an import is; let SIGINT stop it between two chunks."""

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from types import FrameType
from typing import Final
from zoneinfo import ZoneInfo

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from reminderd.core.appointments import AppointmentRequest
from reminderd.core.requests import ReminderRequest
from reminderd.core.tables.row_reader import Asked
from reminderd.imports.loop import ShowProgress, Tally
from reminderd.logs.terminal import unguarded

_LINE_EVERY: Final = 200
"""Chunks; off a terminal, the first of so many is followed by a line."""


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


def in_words(asked: Asked | list[str], zone: ZoneInfo) -> str:
    """Return what a row asks for, with times on the clinic's clock; or why it is rejected."""
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
