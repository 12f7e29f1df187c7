"""Test clocks that jump, machines that sleep, nights with an hour more or less: no burst, no call lost, none twice."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trio

from reminderd.core.answers import PlacingAnswer
from reminderd.core.lifecycle.transition import Action
from reminderd.core.model import CallState, Status
from reminderd.engine.context import Context
from reminderd.providers.base import Placement
from tests.support.builders import HOUR, NOW, SECOND, hours
from tests.support.clock import HandClock
from tests.support.engine import FakeProvider, accepts, an_engine

Jump = Callable[[HandClock], None]


def wall(by: timedelta) -> Jump:
    """Return a jump of the wall clock only, as when somebody sets it."""

    def jump(clock: HandClock) -> None:
        clock.time += by

    return jump


def suspend(by: timedelta) -> Jump:
    """Return a jump of both clocks, as when the machine sleeps."""
    return lambda clock: clock.advance(by)


def suspend_and_set(asleep: timedelta, by: timedelta) -> Jump:
    """Return a sleep of the machine at whose end its wall clock is set."""

    def jump(clock: HandClock) -> None:
        clock.advance(asleep)
        clock.time += by

    return jump


@pytest.mark.parametrize(
    "jump", [wall(3 * HOUR), wall(-3 * HOUR), suspend(3 * HOUR)], ids=["forward", "back", "suspend"]
)
async def test_a_jump_of_the_clock_does_not_give_up_a_request_in_flight(tmp_path: Path, jump: Jump) -> None:
    """The loop would consider the row's lease expired, if it did not remember which calls it still works on."""
    clock, answer_now = HandClock(), trio.Event()

    async def when_released(placement: Placement) -> PlacingAnswer:
        await answer_now.wait()
        return await accepts(placement)

    async with an_engine(tmp_path / "db", clock, FakeProvider(when_released)) as engine:
        await engine.insert("r1")
        [placed] = await engine.provider.asked(1)
        [before] = await engine.calls("r1")
        jump(clock)
        await engine.polled()
        assert (await engine.reminder("r1")).status is Status.DIALING
        [during] = await engine.calls("r1")
        assert (during.state, during.lease_token) == (CallState.DIALING, before.lease_token)
        answer_now.set()
        await engine.until("r1", "processing")
        await engine.polled()
        [call] = await engine.calls("r1")
        assert (call.state, call.external_call_id) == (CallState.PLACED, f"ext-{placed.call_id}")
    assert len(engine.provider.placed) == 1


@pytest.mark.parametrize(
    "jump",
    [wall(50 * SECOND), suspend(50 * SECOND), suspend_and_set(50 * SECOND, -3 * HOUR)],
    ids=["by the wall clock", "by both", "by the monotonic clock alone"],
)
async def test_the_last_look_stops_a_request_with_an_expired_lease_by_either_clock(tmp_path: Path, jump: Jump) -> None:
    """The clock jumps between the claim and the request: 10 of the lease's 60 s are left, and a request may take 20 s.

    There is one line, so that nothing is claimed again before the test has looked.
    """
    clock = HandClock()
    async with an_engine(tmp_path / "db", clock, dialers=1) as engine:
        dial = engine.poller.dial
        looked = trio.Event()

        async def jump_first(action: Action, claimed_at: float, *, context: Context) -> None:
            engine.poller.dial = dial
            jump(clock)
            await dial(action, claimed_at, context=context)
            assert engine.provider.placed == []
            assert (await engine.reminder("r1")).status is Status.SCHEDULED
            looked.set()

        engine.poller.dial = jump_first
        await engine.insert("r1", at=NOW - 3 * HOUR)
        await engine.until("r1", "processing")
        assert looked.is_set()
        assert [call.state for call in await engine.calls("r1")] == [CallState.NOT_PLACED, CallState.PLACED]
    assert len(engine.provider.placed) == 1


async def test_reminders_due_while_the_machine_slept_are_called_one_by_one(tmp_path: Path) -> None:
    """The unused calls per second of three hours do not add up."""
    clock = HandClock()
    async with an_engine(tmp_path / "db", clock, dialers=50, per_second=1) as engine:
        for number in range(10):
            await engine.insert(f"r{number}", at=NOW + (number + 1) * 10 * timedelta(minutes=1))
        await engine.polled()
        assert engine.provider.placed == []
        clock.advance(3 * HOUR)
        for placed in range(1, 11):
            await engine.provider.asked(placed)
            await engine.polled()
            assert len(engine.provider.placed) == placed
            clock.advance(SECOND)
        await engine.until_all(10, "status = 'processing'")
    assert [placement.reminder_id for placement in engine.provider.placed] == [f"r{number}" for number in range(10)]


async def test_after_a_long_sleep_calls_in_flight_do_not_exceed_the_lines(tmp_path: Path) -> None:
    clock, answer_now = HandClock(), trio.Event()

    async def when_released(placement: Placement) -> PlacingAnswer:
        await answer_now.wait()
        return await accepts(placement)

    async with an_engine(tmp_path / "db", clock, FakeProvider(when_released), dialers=3) as engine:
        for number in range(12):
            await engine.insert(f"r{number}", at=NOW + HOUR)
        clock.advance(3 * HOUR)
        await engine.provider.asked(3)
        await engine.polled()
        assert len(engine.provider.placed) == 3
        answer_now.set()
        await engine.until_all(12, "status = 'processing'")
    assert len(engine.provider.placed) == 12


@pytest.mark.parametrize("jump", [wall(HOUR), wall(-HOUR)], ids=["forward", "back"])
async def test_setting_the_clock_ends_no_call_that_may_be_ringing(tmp_path: Path, jump: Jump) -> None:
    """A call is given up when it was silent for `outcome_timeout` by the process's own clock."""
    clock = HandClock()
    phone = "+12025550001"
    async with an_engine(tmp_path / "db", clock) as engine:
        await engine.insert("r1", phone_number=phone)
        await engine.until("r1", "processing")
        await engine.insert("r2", at=NOW - HOUR, phone_number=phone)
        clock.advance(SECOND)  # alive calls are read four times a second: from now on, this process knows this call
        await engine.polled()
        jump(clock)
        await engine.polled()
        clock.advance(engine.rules.outcome_timeout - SECOND)
        await engine.polled()
        assert [call.state for call in await engine.calls("r1")] == [CallState.PLACED]
        assert [one.reminder_id for one in engine.provider.placed] == ["r1"]
        clock.advance(2 * SECOND)
        await engine.until("r1", "failed")
        await engine.until("r2", "processing")


async def test_a_reminder_expired_by_a_wrong_clock_at_boot_is_called_once_it_is_right(tmp_path: Path) -> None:
    clock = HandClock(time=NOW + timedelta(days=9))
    async with an_engine(tmp_path / "db", clock) as engine:
        await engine.insert("due", at=NOW)
        await engine.insert("later", at=NOW + HOUR)
        await engine.until_all(2, "status = 'expired'")
        clock.time = NOW
        await engine.until("due", "processing")
        await engine.until("later", "scheduled")
        clock.advance(HOUR)
        await engine.until("later", "processing")


@pytest.mark.parametrize("jump", [wall(5 * HOUR), suspend(5 * HOUR)], ids=["clock set", "slept"])
async def test_a_reminder_that_is_too_late_after_a_sleep_is_not_called_and_has_a_reason(
    tmp_path: Path, jump: Jump
) -> None:
    """By default, a reminder expires after four hours: after that, an unexpected call helps nobody."""
    clock = HandClock()
    async with an_engine(tmp_path / "db", clock) as engine:
        for number in range(5):
            await engine.insert(f"r{number}", at=NOW + number * timedelta(minutes=1) + SECOND)
        await engine.polled()
        jump(clock)
        await engine.until_all(5, "status = 'expired' AND end_code = 'too_late'")
    assert engine.provider.placed == []


async def test_a_clock_that_jumps_and_returns_calls_nobody_twice_and_loses_nothing(tmp_path: Path) -> None:
    """A reminder that was called early, by a wrong clock, is not called again at its time; later ones still are."""
    clock = HandClock()
    async with an_engine(tmp_path / "db", clock) as engine:
        await engine.insert("early", at=NOW + HOUR)
        await engine.insert("later", at=NOW + 3 * HOUR)
        await engine.polled()
        clock.time += 2 * HOUR
        await engine.until("early", "processing")
        clock.time -= 2 * HOUR
        await engine.polled()
        for _ in range(4):
            clock.advance(HOUR - SECOND)
            await engine.polled()
        await engine.until("later", "processing")
    assert [placement.reminder_id for placement in engine.provider.placed] == ["early", "later"]


@pytest.mark.parametrize(
    ("evening", "opens"),
    [
        (datetime(2026, 3, 28, 20, 0, tzinfo=UTC), datetime(2026, 3, 29, 7, 0, tzinfo=UTC)),
        (datetime(2026, 10, 24, 20, 0, tzinfo=UTC), datetime(2026, 10, 25, 8, 0, tzinfo=UTC)),
    ],
    ids=["an hour less", "an hour more"],
)
async def test_after_an_overnight_clock_change_no_phone_rings_before_nine(
    tmp_path: Path, evening: datetime, opens: datetime
) -> None:
    """They are due in the evening, and called when the calling hours open at the patient's place, not in UTC."""
    clock = HandClock(evening)
    calling_hours = hours(9 * HOUR, 18 * HOUR, zone="Europe/Berlin")
    async with an_engine(tmp_path / "db", clock, calling_hours=calling_hours, max_lateness=24 * HOUR) as engine:
        await engine.insert("r1")
        await engine.until_all(1, "hold_code = 'hours'")
        while clock.time < opens - SECOND:
            clock.advance(min(HOUR, opens - SECOND - clock.time))
            await engine.polled()
        assert engine.provider.placed == []
        clock.advance(SECOND)
        await engine.until("r1", "processing")
        clock.advance(HOUR)
        await engine.polled()
    assert len(engine.provider.placed) == 1
