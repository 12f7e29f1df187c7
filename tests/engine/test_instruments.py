"""What the poll loop and the dialer count while they work."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest
from attrs import evolve

from reminderd.core.answers import Accepted, NotPlaced, PlacingAnswer, Unclear
from reminderd.core.lifecycle.transition import Action
from reminderd.databases import Target
from reminderd.engine.context import Context
from reminderd.engine.dialer import dial
from reminderd.metrics import PrometheusInstruments, metrics_page
from reminderd.providers.base import Placement
from tests.support.clock import HandClock
from tests.support.engine import Engine, FakeProvider, an_engine
from tests.support.metrics_page import moment, value

pytestmark = pytest.mark.also_on_postgres

MINUTE = timedelta(minutes=1)


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


def counted(engine: Engine) -> Callable[..., float]:
    text = metrics_page(engine.poller.context.instruments, moment()).decode()
    return lambda name, **labels: value(text, f"reminderd_{name}", **labels)


def after(clock: HandClock, seconds: float, *answers: PlacingAnswer) -> Callable[[Placement], Awaitable[PlacingAnswer]]:
    """Return a provider that gives these answers in turn, each after this many seconds."""
    left = list(answers)

    async def answer(_placement: Placement) -> PlacingAnswer:
        clock.advance(timedelta(seconds=seconds))
        return left.pop(0)

    return answer


async def test_a_request_is_counted_with_its_lateness_and_the_time_its_answer_took(
    target: Target, clock: HandClock
) -> None:
    provider = FakeProvider(after(clock, 3, Accepted("ext-1")))
    async with an_engine(target, clock, provider) as engine:
        await engine.insert("r1", at=clock.now() - 2 * MINUTE, created_at=0)
        await engine.until("r1", "processing")
    counts = counted(engine)
    assert counts("lateness_seconds_sum") == 120
    assert counts("provider_request_seconds_sum", answer="accepted") == 3


async def test_a_repeated_request_is_timed_again_but_its_lateness_is_counted_once(
    target: Target, clock: HandClock
) -> None:
    provider = FakeProvider(after(clock, 1, NotPlaced("connection refused"), Unclear("timeout")))
    async with an_engine(target, clock, provider) as engine:
        await engine.insert("r1")
        await provider.asked(1)
        await engine.until_all(1, "id = 'r1' AND status = 'scheduled' AND hold_code = 'not_placed'")
        clock.advance(MINUTE)
        await provider.asked(2)
        await engine.until("r1", "processing")
    counts = counted(engine)
    assert counts("lateness_seconds_count") == 1
    assert counts("provider_request_seconds_count", answer="not_placed") == 1
    assert counts("provider_request_seconds_count", answer="unclear") == 1


async def test_a_lease_that_ran_out_is_counted_when_it_is_found(target: Target, clock: HandClock) -> None:
    async with an_engine(target, clock, dialers=1) as engine:
        await engine.insert("r1", at=clock.now() + timedelta(days=1))
        await engine.execute(
            "INSERT INTO call_logs (id, reminder_id, phone_number, state, lease_token, wake_at, last_sign_at)"
            " SELECT 'c1', id, phone_number, 'dialing', 'expired', 0, 0 FROM reminders"
        )
        await engine.until_all(1, "id = 'r1' AND EXISTS (SELECT 1 FROM call_logs WHERE state = 'unconfirmed')")
    assert counted(engine)("lease_recoveries_total") == 1


async def test_a_reminder_that_was_never_sent_is_neither_late_nor_timed(target: Target, clock: HandClock) -> None:
    async with an_engine(target, clock) as engine:
        await engine.execute("INSERT INTO settings VALUES ('paused', 'true')")
        await engine.insert("r1")
        await engine.polled()
    counts = counted(engine)
    assert counts("lateness_seconds_count") == 0
    assert counts("provider_request_seconds_count", answer="accepted") == 0


async def test_an_error_in_counting_does_not_lose_the_providers_answer(target: Target, clock: HandClock) -> None:
    class Broken(PrometheusInstruments):
        def lateness(self, late: timedelta) -> None:
            raise KeyError(late)

    provider = FakeProvider(after(clock, 1, Accepted("ext-1")))
    async with an_engine(target, clock, provider) as engine:

        async def miscounted(action: Action, claimed_at: float, *, context: Context) -> None:
            await dial(action, claimed_at, context=evolve(context, instruments=Broken()))

        engine.poller.dial = miscounted
        await engine.insert("r1")
        await engine.until("r1", "processing")
        assert [call.external_call_id for call in await engine.calls("r1")] == ["ext-1"]
