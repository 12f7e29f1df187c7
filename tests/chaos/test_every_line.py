"""Crash before every line: whichever line ran last, nothing is lost and nobody is called on a guess.

One reminder's whole trip runs with the real store and dialer, and is cut off before the n-th line that they execute.
Then come a new process, a healthy provider, and the checker of all chaos tests.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from random import Random
from typing import Final, TypeVar

import pytest
import trio
from attrs import define, field, frozen

from reminderd.core.answers import Capabilities, LookUpAnswer, PlacingAnswer, Report
from reminderd.core.rules import Rules
from reminderd.databases import Target
from reminderd.engine.breaker import Breaker
from reminderd.engine.context import Context, Memory, Sightings
from reminderd.engine.dialer import check, dial
from reminderd.instruments import Instruments
from reminderd.providers.base import Placement, Webhook, json_object
from reminderd.providers.generic.webhooks import read_report
from reminderd.store.any_engine import open_sync
from reminderd.store.claims import Capacity, claim
from reminderd.store.database import Database, open_database
from reminderd.store.settle import settle_report
from reminderd.store.stats import Wakes, next_wakes
from tests.chaos.databases import an_empty_database
from tests.chaos.invariants import Expectations, broken
from tests.chaos.lines import Line, Lines
from tests.chaos.record import Ring
from tests.chaos.simulated import ANSWER_LOST, NOT_PLACED, PLACED, REFUSED, REQUEST_LOST, SimulatedProvider
from tests.chaos.snapshot import Snapshot, is_committed, looking, snapshot_of
from tests.support.builders import BOTH, KEY, LOOK_UP, SECOND, able
from tests.support.clock import HandClock
from tests.support.postgres import skip_without_postgres, what_is_missing
from tests.support.store import Store

pytestmark = pytest.mark.chaos

T = TypeVar("T")
SEED: Final = 1
CRASHES_ON_POSTGRES: Final = int(os.environ.get("REMINDERD_CRASHES_ON_POSTGRES", "36"))


@frozen(kw_only=True)
class Story:
    """The trip of one reminder."""

    capabilities: Capabilities = field(factory=Capabilities)
    moods: tuple[str, ...] = ()
    """The outcomes of its requests and look-ups, in order, until the crash; all later ones succeed."""
    ends: tuple[str, ...] = ()
    """How its calls end, one after another; all later calls are completed."""
    silent: bool = False
    """Whether the provider sends no webhooks."""
    early: bool = False
    """Whether webhooks come before the answer to the request."""
    ring_again: bool = False


STORIES: Final[Mapping[str, Story]] = {
    "placed, completed": Story(),
    "the webhook comes before the answer": Story(early=True),
    "busy, then no answer, then completed": Story(ends=("busy", "no-answer")),
    "not placed, placed": Story(moods=(NOT_PLACED,)),
    "refused": Story(moods=(REFUSED,)),
    "the answer is lost, and nobody can tell": Story(moods=(ANSWER_LOST,), silent=True),
    "the request is lost, called again": Story(moods=(REQUEST_LOST,), ring_again=True),
    "never reported, asked about": Story(capabilities=LOOK_UP, silent=True),
    "the answer is lost, the call found": Story(capabilities=LOOK_UP, moods=(ANSWER_LOST,), silent=True),
    "the answer is lost, sent again": Story(capabilities=KEY, moods=(ANSWER_LOST, NOT_PLACED)),
    "the request is lost, sent again": Story(capabilities=KEY, moods=(REQUEST_LOST,) * 3),
    "the request is lost, not found, dialed": Story(capabilities=BOTH, moods=(REQUEST_LOST,) * 2),
}


@define
class Trip:
    """A story that is being played. It is also the provider, and continues where a crash cut it off."""

    story: Story
    database: Target
    well: bool = False
    name: str = "generic"
    account: str = ""
    clock: HandClock = field(factory=HandClock)
    provider: SimulatedProvider = field(init=False)
    rules: Rules = field(init=False)
    _asked: int = 0
    _ids: "count[int]" = field(factory=lambda: count(1))
    _opened: Database | None = None
    _lines: Lines = field(factory=Lines)
    _sightings: Sightings = field(factory=Sightings)

    def __attrs_post_init__(self) -> None:
        self.provider = SimulatedProvider(capabilities=self.story.capabilities)
        self.rules = able(self.story.capabilities, call_again_when_unsure=self.story.ring_again)

    @property
    def capabilities(self) -> Capabilities:
        return self.story.capabilities

    async def live(self, lines: Lines) -> None:
        """Run one process until nothing is due anymore."""
        self._sightings = Sightings()
        async with open_database(self.database, self.clock, runner=lines.run) as database:
            self._opened, self._lines = database, lines
            await self._report_all()
            while await self._next_wake():
                await self._claim_and_do()
                await self._report_all()

    async def _next_wake(self) -> bool:
        assert self._opened is not None
        wakes = await self._wakes()
        times = [time for time in (wakes.reminder, wakes.call) if time is not None]
        self.clock.advance(max(min(times, default=self.clock.time) - self.clock.time, 0 * SECOND))
        return bool(times)

    async def _claim_and_do(self) -> None:
        assert self._opened is not None
        context = Context(
            database=self._opened,
            provider=self,
            memory=Memory(breaker=Breaker(self.rules.backoff), beat=self.clock.monotonic()),
            clock=self.clock,
            rules=self.rules,
            timeout=20 * SECOND,
            stopping=trio.Event(),
            instruments=Instruments(),
        )
        claimed_at = self.clock.monotonic()
        self._sightings.see((await self._wakes()).alive or (), claimed_at)
        witness = self._sightings.witness(claimed_at)
        capacity = Capacity(requests=1, checks=1, request_in=SECOND)
        take = partial(claim, capacity=capacity, rules=self.rules, witness=witness, mint=self._mint)
        for transition in await self._opened.write(take):
            action = transition.action
            if action is not None and action.kind.is_request:
                await dial(action, claimed_at, context=context)
            elif action is not None:
                await check(action, context=context)

    async def _wakes(self) -> Wakes:
        assert self._opened is not None
        now = self.clock.now()
        return await self._opened.read(lambda connection: next_wakes(connection, now))

    def _mint(self) -> str:
        return f"id-{next(self._ids)}"

    def _mood(self) -> str:
        asked, self._asked = self._asked, self._asked + 1
        return self.story.moods[asked] if asked < len(self.story.moods) and not self.well else PLACED

    async def place(self, placement: Placement) -> PlacingAnswer:
        self._lines.has_effect()
        rings = len(self.provider.record.rings)
        committed = is_committed(self.database, placement.call_id)
        answer = self.provider.place(placement, self._mood(), self.clock.time, committed=committed)
        for ring in self.provider.record.rings[rings:]:
            self.provider.ends(ring, self.story.ends[rings] if rings < len(self.story.ends) else "completed")
        if self.story.early:
            await self._report_all()
        return answer

    async def find(self, placement: Placement) -> LookUpAnswer:
        return self.provider.find(placement.call_id, self._mood(), self.clock.time)

    async def fetch(self, external_call_id: str) -> LookUpAnswer:
        [key] = [ring.key for ring in self.provider.record.rings if ring.call_id == external_call_id]
        return self.provider.find(key, self._mood(), self.clock.time)

    async def _report_all(self) -> None:
        """Send each report until it is answered with 200, and once more."""
        if self.story.silent:
            return
        for ring in self.provider.record.rings:
            while ring.acknowledged_at is None:
                await self._report(ring)
                ring.note_acknowledgment(self.provider.record.moment())
                await self._report(ring)

    async def _report(self, ring: Ring) -> None:
        assert self._opened is not None
        report = self.provider.tells(ring)
        await self._opened.write(partial(settle_report, report=report, rules=self.rules, mint=self._mint), wait=False)

    def verified(self, _webhook: Webhook) -> bool:
        return True

    def parse(self, webhook: Webhook) -> Report:
        return read_report(json_object(webhook.body))

    async def drop(self, external_call_id: str) -> LookUpAnswer:
        raise AssertionError(external_call_id)

    async def aclose(self) -> None:
        return

    def found(self, *, settled: bool, former: Snapshot | None = None) -> tuple[list[str], Snapshot]:
        """Return the broken promises, and a snapshot of the database."""
        can = self.story.capabilities
        expectations = Expectations(
            now=self.clock.time,
            settled=settled,
            tells_all=can.look_up,
            ring_again=self.story.ring_again,
        )
        with looking(self.database) as connection:
            return broken(self.provider.record, connection, expectations, former), snapshot_of(connection)


@contextmanager
def a_due_reminder(engine: str, folder: Path) -> Iterator[Target]:
    """Yield a database with one reminder that is due."""
    with an_empty_database(engine, folder) as database:
        with open_sync(database) as connection:
            Store(connection).insert()
        yield database


def played(story: Story, database: Target, lines: Lines) -> Trip:
    """Play a story until its crash, or to its end; return it."""
    trip = Trip(story, database)
    try:
        with lines.watched():
            trio.run(trip.live, lines)
    except BaseException:
        if not lines.crashed:
            raise
    return trip


def cut_off(story: Story, database: Target, crash_before: int) -> list[str]:
    """Return what does not hold right after the crash, or at the end."""
    lines = Lines(crash_before)
    trip = played(story, database, lines)
    errors, former = trip.found(settled=False)
    trip.well = True
    trip.clock.advance(trip.rules.lease + SECOND)
    trio.run(trip.live, Lines())
    errors += trip.found(settled=True, former=former)[0]
    where = "{}:{}".format(*lines.ran[-1])
    return [f"line {crash_before}, {where}: {sentence}" for sentence in errors]


def crashes(whole: Lines, covered: set[Line]) -> list[int]:
    """Return where to crash: before each new line when it first runs, and at a random place between any two effects."""
    first = {line: number for number, line in reversed(list(enumerate(whole.ran, 1))) if line not in covered}
    draw = Random(SEED)
    between = {draw.randint(former + 1, latter) for former, latter in pairwise((0, *whole.effects)) if former < latter}
    return sorted({*first.values(), *between, len(whole.ran)})


@pytest.fixture(scope="module")
def plans(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Mapping[str, list[int]]]:
    """Return the crashes of each story on each engine; together, they come before every line that any story runs."""
    folder, covered = tmp_path_factory.mktemp("whole"), set[Line]()
    engines = ["sqlite"] if what_is_missing() else ["sqlite", "postgres"]
    planned: dict[str, dict[str, list[int]]] = {engine: {} for engine in engines}
    for engine in engines:
        for name, story in STORIES.items():
            whole = Lines()
            with a_due_reminder(engine, folder) as database:
                assert played(story, database, whole).found(settled=True)[0] == []
            planned[engine][name] = crashes(whole, covered)
            covered.update(whole.ran)
    if "postgres" in planned:
        planned["postgres"] = some_of(planned["postgres"])
    return planned


def some_of(plan: Mapping[str, list[int]]) -> dict[str, list[int]]:
    """Choose some of the crashes on a server, where each takes a while; always the same ones."""
    every = [(name, number) for name, numbers in plan.items() for number in numbers]
    chosen = Random(SEED).sample(every, min(CRASHES_ON_POSTGRES, len(every)))
    return {name: sorted(number for one, number in chosen if one == name) for name in plan}


@pytest.mark.parametrize("name", STORIES)
@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_a_crash_before_any_line_loses_nothing_and_calls_nobody_on_a_guess(
    engine: str, name: str, plans: Mapping[str, Mapping[str, list[int]]], tmp_path: Path
) -> None:
    """On PostgreSQL, it crashes before lines that run only there, and between effects; in CI before some of them."""
    if engine == "postgres":
        skip_without_postgres()
    for number in plans[engine][name]:
        with a_due_reminder(engine, tmp_path) as database:
            assert cut_off(STORIES[name], database, number) == []
