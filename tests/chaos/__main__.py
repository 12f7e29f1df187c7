"""Play round after round for a long time: `python -m tests.chaos --seed N --minutes M`, with seeds N, N + 1, …

`--engine postgres` plays them on the tests' own server; `--only storm` plays a thousand reminders in one round.

Each round prints a line, and the totals follow at the end. At the first invariant that does not hold, the exit code is
1, and the seed is named.
"""

import argparse
import sys
from collections import Counter
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from typing import Final

import click
import trio

from reminderd.clock import SystemClock
from tests.chaos.round import play
from tests.chaos.scenario import SCENARIOS, STORM, Scenario, Tally
from tests.chaos.servers import ENGINES, Engine

_COUNTED: Final = ("rings", "requests", "webhooks", "doubles", "losses", "restarts", "cuts")


def main() -> int:
    """Run rounds as the arguments say; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.chaos", description="Kill reminderd for as long as you like."
    )
    parser.add_argument("--seed", type=int, default=SystemRandom().randrange(1_000_000), help="of the first round")
    parser.add_argument("--minutes", type=float, default=10.0, help="no round begins after so long")
    words = [scenario.word for scenario in (*SCENARIOS, STORM)]
    parser.add_argument("--only", choices=words, help="one kind of provider, or the storm, only")
    parser.add_argument("--engine", choices=ENGINES, default="sqlite", help="where the database is")
    chosen = parser.parse_args()
    scenarios = [one for one in (*SCENARIOS, STORM) if chosen.only == one.word] or list(SCENARIOS)
    return _run(scenarios, chosen.engine, chosen.seed, chosen.minutes * 60)


def _run(scenarios: list[Scenario], engine: Engine, seed: int, seconds: float) -> int:
    """Play rounds until the time is over or one of them fails; at least one round of each scenario."""
    clock = SystemClock()
    until = clock.monotonic() + seconds
    totals: Counter[str] = Counter()
    while True:
        for scenario in scenarios:
            began = clock.monotonic()
            with TemporaryDirectory(prefix="reminderd-chaos-") as folder:
                tally = trio.run(play, scenario, seed, Path(folder), engine)
            _count(totals, tally)
            click.echo(f"seed {seed} {engine} {scenario.word:<7} {clock.monotonic() - began:5.1f} s  {_said(tally)}")
            if tally.broken:
                click.echo("\n".join(tally.broken), err=True)
                click.echo(f"broken: --seed {seed} --engine {engine} --only {scenario.word}", err=True)
                return 1
        seed += 1
        if clock.monotonic() > until:
            break
    click.echo("total: " + ", ".join(f"{times} {what}" for what, times in totals.items()))
    return 0


def _count(totals: Counter[str], tally: Tally) -> None:
    totals["rounds"] += 1
    totals["kills"] += tally.kills.total()
    for name in _COUNTED:
        totals[name] += getattr(tally, name)


def _said(tally: Tally) -> str:
    statuses = ", ".join(f"{times} {status}" for status, times in sorted(tally.statuses.items()))
    return (
        f"{tally.kills.total()} kills, {tally.requests} requests, {tally.rings} rings, {tally.webhooks} webhooks: "
        f"{statuses}, {tally.unconfirmed} unconfirmed, {tally.doubles} doubles, {tally.losses} losses"
        + (f"; {tally.restarts} restarts of the server, {tally.cuts} COMMITs cut off" if tally.restarts else "")
    )


if __name__ == "__main__":
    sys.exit(main())
