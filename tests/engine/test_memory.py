"""What outlives a reload: the next loop continues with the memory of the last one, whose requests may be in flight."""

from collections.abc import Callable
from functools import partial
from typing import TypeVar

import pytest
import trio
from attrs import define, field
from trio.testing import wait_all_tasks_blocked

from reminderd.core.answers import AccountRefused, PlacingAnswer
from reminderd.core.model import Status
from reminderd.core.rules import Backoff
from reminderd.databases import Target
from reminderd.engine.breaker import Breaker
from reminderd.engine.context import Memory
from reminderd.providers.base import Placement
from reminderd.store.connection import snapshot
from reminderd.store.threads import Runner, worker_threads
from tests.support.builders import HOUR, MINUTE, NOW
from tests.support.clock import HandClock
from tests.support.engine import FakeProvider, accepts, an_engine, restored_now

pytestmark = pytest.mark.also_on_postgres

LONG = Backoff(HOUR, HOUR)
T = TypeVar("T")


@define
class WritesThatWait:
    """Runs the database's calls; with `held`, a write waits until it is set, as for another program's lock."""

    held: trio.Event | None = None
    waiting: trio.Event = field(factory=trio.Event)
    """Set when a write waits."""
    _threads: Runner = field(factory=worker_threads)

    async def __call__(self, call: Callable[[], T], /) -> T:
        if self.held is not None and getattr(call, "func", None) is not snapshot:
            self.waiting.set()
            await self.held.wait()
        return await self._threads(call)


@pytest.fixture
def answer_now() -> trio.Event:
    return trio.Event()


@pytest.fixture
def slow(answer_now: trio.Event) -> FakeProvider:
    async def when_released(placement: Placement) -> PlacingAnswer:
        await answer_now.wait()
        return await accepts(placement)

    return FakeProvider(when_released)


@pytest.mark.parametrize("dialers", [3, 1])
async def test_requests_in_flight_at_a_reload_keep_their_lines_to_their_end(
    target: Target, slow: FakeProvider, answer_now: trio.Event, dialers: int
) -> None:
    async with an_engine(target, HandClock(), slow, dialers=3) as engine:
        for name in ("r1", "r2", "r3"):
            await engine.insert(name)
        await slow.asked(3)
        await engine.reload(dialers=dialers)
        await engine.insert("r4")
        await engine.polled()
        assert len(slow.placed) == 3
        answer_now.set()
        await slow.asked(4)
        await engine.until_all(4, "status = 'processing'")


async def test_a_reload_to_fewer_lines_waits_for_the_current_claim(
    target: Target, slow: FakeProvider, answer_now: trio.Event
) -> None:
    """The claim relies on the lines that were free when it began."""
    clock, threads = HandClock(), WritesThatWait()
    async with an_engine(target, clock, slow, dialers=3, runner=threads) as engine:
        for name in ("r1", "r2", "r3", "r4"):
            await engine.insert(name, at=NOW + MINUTE)
        await engine.polled()
        threads.held = trio.Event()
        clock.advance(MINUTE)
        await threads.waiting.wait()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(engine.reload, dialers=1))
            await wait_all_tasks_blocked()
            threads.held.set()
        answer_now.set()
        await engine.until_all(4, "status = 'processing'")
        assert sorted({one.reminder_id for one in slow.placed}) == ["r1", "r2", "r3", "r4"]
        assert len(slow.placed) == 4


async def test_a_line_is_free_for_the_next_request_while_an_answer_is_recorded(
    target: Target, slow: FakeProvider, answer_now: trio.Event
) -> None:
    """The lease of the answered request is kept until the answer is recorded."""
    threads = WritesThatWait()
    async with an_engine(target, HandClock(), slow, dialers=1, runner=threads) as engine:
        await engine.insert("r1")
        await slow.asked(1)
        await engine.insert("r2")
        memory = engine.poller.memory
        assert memory.free_lines == 0
        threads.waiting, threads.held = trio.Event(), trio.Event()
        answer_now.set()
        await threads.waiting.wait()
        assert memory.free_lines == 1
        assert len(memory.held) == 1
        threads.held.set()
        await engine.until_all(2, "status = 'processing'")
        assert slow.most_in_flight == 1


async def test_a_lease_of_a_request_in_flight_is_kept_after_a_reload(
    target: Target, slow: FakeProvider, answer_now: trio.Event
) -> None:
    """The answer to the request may come, and be settled, long after the lease would have expired."""
    clock = HandClock()
    async with an_engine(target, clock, slow) as engine:
        await engine.insert("r1")
        await slow.asked(1)
        await engine.reload()
        for _ in range(4):
            clock.advance(engine.rules.lease / 2)
            await engine.polled()
        assert (await engine.reminder("r1")).status is Status.DIALING
        answer_now.set()
        await engine.until("r1", Status.PROCESSING)


async def test_a_reload_does_not_end_the_pause_for_a_failing_provider(target: Target) -> None:
    async def refuses_us(_placement: Placement) -> PlacingAnswer:
        return AccountRefused("401: who are you?")

    provider = FakeProvider(refuses_us)
    async with an_engine(target, HandClock(), provider, dialers=1) as engine:
        engine.poller.memory.breaker.backoff = LONG
        await engine.insert("r1")
        await provider.asked(1)
        await engine.until_all(1, "id = 'r1' AND status = 'scheduled'")
        await engine.reload(backoff=LONG)
        await engine.insert("r2")
        await engine.polled()
        assert len(provider.placed) == 1
        engine.poller.memory.breaker.probe_soon(engine.clock.monotonic())
        await engine.polled()
        await provider.asked(2)


async def test_a_reload_does_not_end_the_quiet_time_early_if_the_wall_clock_was_changed(
    target: Target,
) -> None:
    clock = HandClock()
    async with an_engine(target, clock, before_start=restored_now, outcome_timeout=15 * MINUTE) as engine:
        await engine.insert("r1", at=NOW + MINUTE)
        await engine.polled()
        clock.time += HOUR
        await engine.reload()
        await engine.polled()
        assert engine.provider.placed == []
        clock.seconds += (15 * MINUTE).total_seconds()
        await engine.until("r1", Status.PROCESSING)


def test_with_fewer_lines_than_requests_in_flight_none_is_free() -> None:
    memory = Memory(breaker=Breaker(LONG), beat=0.0)
    memory.adjust(dialers=3, backoff=LONG)
    for number in range(3):
        memory.lines.acquire_on_behalf_of_nowait(number)
    memory.adjust(dialers=1, backoff=LONG)
    assert (memory.free_lines, memory.free_checkers) == (0, 1)
