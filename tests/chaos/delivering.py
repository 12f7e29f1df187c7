"""Deliver changes in a process that kills itself right before or right after one of its writes."""

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import trio

from reminderd.clock import SystemClock
from reminderd.core.rules import Backoff
from reminderd.databases import SqliteFile
from reminderd.results.answer_files import Files, keep_writing
from reminderd.results.forms import Form
from reminderd.results.webhook import Destination, Sender
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database
from reminderd.store.feed import Feed
from reminderd.store.outcome_changes import FOLDER, delivery_backlog, read_progress
from tests.support.waiting import until

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
SOON = Backoff(first=timedelta(milliseconds=5), maximum=timedelta(milliseconds=20))


def die_at(write: int, *, after: bool) -> None:
    """Kill this process by SIGKILL right before, or right after, the database's n-th write; never if `write` is 0."""
    plain: Callable[..., Any] = Database.write
    made = 0

    async def counted(self: Database, fn: Callable[[Connection, datetime], Any], *, wait: bool = True) -> Any:
        nonlocal made
        made += 1
        number = made
        if number == write and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = await plain(self, fn, wait=wait)
        if number == write:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    Database.write = counted  # type: ignore[method-assign]  # only in this process


async def main(path: str, url: str, folder: str) -> None:
    """Deliver everything in both ways, then end."""
    clock, stopping = SystemClock(), trio.Event()
    async with open_database(SqliteFile(Path(path)), clock) as database, trio.open_nursery() as nursery:
        destination = Destination(url=url, secret=SECRET, backoff=SOON, pause=SOON)
        feed = Feed(database, stopping)
        sender = Sender(destination=destination, database=database, feed=feed, clock=clock, stopping=stopping)
        form = Form(format="csv", columns={}, zone=ZoneInfo("UTC"))
        files = Files(
            folder=Path(folder),
            form=form,
            profile="",
            due=lambda _last, now: now,
            database=database,
            clock=clock,
            stopping=stopping,
        )
        nursery.start_soon(sender.run)
        nursery.start_soon(keep_writing, files)
        await until(partial(database.read, has_caught_up))
        stopping.set()


def has_caught_up(connection: Connection) -> bool:
    cursor = read_progress(connection, FOLDER).cursor
    newest = int(connection.execute("SELECT coalesce(max(seq), 0) FROM changes").fetchone()[0])
    return delivery_backlog(connection).waiting == 0 and cursor is not None and cursor.seq >= newest


if __name__ == "__main__":
    die_at(int(sys.argv[4]), after=sys.argv[5] == "after")
    trio.run(main, sys.argv[1], sys.argv[2], sys.argv[3])
