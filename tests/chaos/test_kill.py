"""Kill the real program, in separate processes, at every moment, with a provider that does its worst.

`python -m tests.chaos --seed N` plays the same with other seeds, for as long as you like, and on either engine.
"""

from pathlib import Path

import pytest
from attrs import evolve

from tests.chaos.round import play
from tests.chaos.scenario import BLIND, KEYS, LOOK_UP, SCENARIOS, TWILIO, Scenario, Tally
from tests.chaos.strikes import Strike

pytestmark = pytest.mark.chaos

SEED = 1


async def played(scenario: Scenario, folder: Path) -> Tally:
    tally = await play(scenario, SEED, folder)
    assert not tally.broken, f"seed {SEED}, {scenario.word}: " + "\n".join(tally.broken)
    assert (tally.doubles, tally.losses) == (0, 0)
    assert set(tally.kills) == set(Strike), "not every moment was met"
    assert tally.kills.total() == scenario.kills
    assert tally.statuses.total() == scenario.reminders
    assert sum("accepted" in line for line in tally.log) > scenario.reminders / 4, "hardly anything was logged"
    assert {"called", "failed"} <= set(tally.statuses) <= {"called", "failed", "cancelled"}
    return tally


async def test_with_idempotency_keys_twenty_kills_lose_nothing_and_call_nobody_twice(
    tmp_path: Path,
) -> None:
    tally = await played(KEYS, tmp_path)
    assert tally.requests > tally.rings, "no request was sent again"
    assert tally.unconfirmed == 0, "the key would have told"


async def test_without_keys_and_look_ups_nobody_is_called_twice_and_staff_decide(
    tmp_path: Path,
) -> None:
    tally = await played(BLIND, tmp_path)
    assert tally.unconfirmed > 0, "no call became unconfirmed"


async def test_with_look_ups_the_placed_calls_are_found_and_reconciled(
    tmp_path: Path,
) -> None:
    tally = await played(LOOK_UP, tmp_path)
    assert tally.found > 0, "no call was found"


async def test_with_twilio_and_lost_webhooks_nobody_is_called_twice_and_the_transcripts_are_kept(
    tmp_path: Path,
) -> None:
    """A tenth of its callbacks is lost for good, and so is each that is answered with 503 or cut off; look-ups lag."""
    tally = await played(TWILIO, tmp_path)
    assert tally.requests > tally.rings, "nothing was ever refused or failed"
    assert tally.found > 0, "no call was found by asking"
    assert tally.unconfirmed > 0, "no call became unconfirmed"
    assert tally.statuses["cancelled"] > 0, "staff cancelled nothing"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.word)
async def test_with_a_server_that_crashes_and_commits_that_are_cut_off_nobody_is_called_twice(
    tmp_path: Path, scenario: Scenario
) -> None:
    short, seed = evolve(scenario, reminders=30, kills=2), SCENARIOS.index(scenario)
    tally = await play(short, seed, tmp_path, "postgres")
    assert not tally.broken, f"seed {seed}, {scenario.word}: " + "\n".join(tally.broken)
    assert (tally.doubles, tally.losses, tally.restarts) == (0, 0, 1)
    assert tally.kills.total() == short.kills
    assert tally.cuts > 0, "no COMMIT was cut off"
    assert tally.statuses.total() == short.reminders
    assert tally.statuses["called"] > short.reminders / 3
