"""Make whole trips as a daemon does, with a provider that takes no time.

    python -m bench.trip_worker FILE|URL

It prints "ready", begins when it gets a line of input, and prints how many trips it has made when nothing is due
anymore.
"""

import sys
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Final
from uuid import uuid4

import trio

from reminderd.clock import SystemClock
from reminderd.core.answers import Accepted, Report
from reminderd.core.lifecycle.reconcile import Witness
from reminderd.core.lifecycle.transition import Action
from reminderd.core.rules import Rules
from reminderd.databases import PostgresServer, SqliteFile, Target
from reminderd.store.claims import Capacity, claim
from reminderd.store.database import Database, open_database
from reminderd.store.settle import read_for_last_look, settle_answer, settle_report

LINES: Final = 8
"""The number of calls that are made at the same time."""

_RULES: Final = Rules()


async def main(target: Target) -> int:
    trips = 0
    async with open_database(target, SystemClock()) as database:
        print("ready", flush=True)
        await trio.to_thread.run_sync(sys.stdin.readline)
        while actions := await claimed(database, LINES):
            async with trio.open_nursery() as nursery:
                for action in actions:
                    nursery.start_soon(finished, database, action)
            trips += len(actions)
    return trips


async def claimed(database: Database, lines: int) -> list[Action]:
    """Claim what is due, at most this many reminders."""
    capacity = Capacity(requests=lines, checks=1, request_in=timedelta(seconds=1))
    fn = partial(claim, capacity=capacity, rules=_RULES, witness=Witness(), mint=lambda: str(uuid4()))
    return [one.action for one in await database.write(fn) if one.action is not None]


async def finished(database: Database, action: Action) -> None:
    """Make the last look, then record the provider's answer and its report."""
    await database.read(partial(read_for_last_look, action=action, rules=_RULES, now=SystemClock().now()))
    accepted = Accepted(f"at-{action.call.id}")
    answer = partial(settle_answer, action=action, answer=accepted, counts=True, rules=_RULES, draw=0.5)
    await database.write(answer)
    report = Report(
        external_call_id=accepted.external_call_id,
        status="completed",
        reminder_id=action.call.reminder_id,
        attempt_id=action.call.id,
        answered_by="human",
    )
    await database.write(partial(settle_report, report=report, rules=_RULES, mint=lambda: str(uuid4())))


if __name__ == "__main__":
    place = sys.argv[1]
    print(trio.run(main, PostgresServer(place) if "://" in place else SqliteFile(Path(place))))
