"""How far an import is: a bar on a terminal, now and then a line elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from reminderd.logs.terminal import unguarded

_LINE_EVERY: Final = 10
"""Chunks; the first is always told."""

Told = Callable[[int, str], None]
"""Takes how many bytes are done, and a line that says what came of them."""


@contextmanager
def progress(total: int) -> Iterator[Told]:
    """Shows on stderr how far it is; `total` in bytes."""
    console = Console(file=unguarded(sys.stderr), highlight=False, markup=False)
    if not console.is_terminal:
        yield _lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("reading", total=total)
        yield lambda done, text: bar.update(task, completed=done, description=text)


def _lines() -> Told:
    chunks = 0

    def told(_: int, text: str) -> None:
        nonlocal chunks
        if chunks % _LINE_EVERY == 0:
            click.echo(text, err=True)
        chunks += 1

    return told
