"""Days and nights on a clock that the test moves: by the provider's own record no phone rings outside its hours."""

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from attrs import define, field
from loguru import logger

from reminderd.core.answers import PlacingAnswer, Report
from reminderd.core.lifecycle.transition import Action
from reminderd.core.model import CallState
from reminderd.core.schedule.calling_hours import CallingHours, Span
from reminderd.engine.context import Context
from reminderd.providers.base import Placement
from reminderd.store.rows import to_ms
from reminderd.store.settle import settle_report
from tests.support.builders import DAY, HOUR, MINUTE, SECOND, hours
from tests.support.clinic import Clinic
from tests.support.clock import HandClock, may_ring
from tests.support.engine import Engine, FakeProvider, accepts, an_engine
from tests.support.program import running

BERLIN = "Europe/Berlin"
ZONES = (None, "America/New_York", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")


@define
class Recorder:
    """Accepts every call, and records its time."""

    clock: HandClock
    rings: list[tuple[datetime, str]] = field(factory=list)

    async def __call__(self, placement: Placement) -> PlacingAnswer:
        self.rings.append((self.clock.now(), placement.reminder_id))
        return await accepts(placement)


@contextmanager
def the_log() -> Iterator[list[str]]:
    lines: list[str] = []
    sink = logger.add(lines.append, format="{level} {message}")
    try:
        yield lines
    finally:
        logger.remove(sink)


def at_home(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)


async def nobody_answers(engine: Engine, placed: Placement) -> None:
    report = Report(external_call_id=f"ext-{placed.call_id}", status="no-answer", reminder_id=placed.reminder_id)
    await engine.database.write(partial(settle_report, report=report, rules=engine.rules, mint=lambda: "none"))


async def polled(engine: Engine) -> None:
    """Wait for another poll with nothing in flight: a request sent after the clock moves would be late."""
    await engine.polled()
    await engine.until_all(0, "status = 'dialing'")


async def test_no_phone_rings_outside_its_hours_across_clock_changes_holidays_and_zones(
    tmp_path: Path,
) -> None:
    """The clock jumps by minutes and hours, and nobody ever answers, so that every phone rings three times."""
    draw = random.Random(5)
    clock = HandClock(at_home("2026-03-27 06:00"))
    recorder = Recorder(clock)
    weekday, night = (Span(9 * 60, 12 * 60), Span(14 * 60, 19 * 60)), (Span(22 * 60, 26 * 60 + 30),)
    calling_hours = CallingHours(
        ZoneInfo(BERLIN), (*(weekday,) * 4, (*weekday, *night), night, ()), frozenset({"03-31"})
    )
    zones = {f"r{number}": ZONES[number % len(ZONES)] for number in range(36)}
    async with an_engine(
        tmp_path / "db",
        clock,
        FakeProvider(recorder),
        dialers=50,
        interval=timedelta(seconds=0.001),
        calling_hours=calling_hours,
        max_lateness=36 * HOUR,
    ) as engine:
        for name, zone in zones.items():
            due = clock.now() + draw.randrange(4 * 24 * 60) * MINUTE
            await engine.insert(name, at=due, timezone=zone)
        answered = 0
        while clock.now() < at_home("2026-04-03 06:00"):
            clock.advance(timedelta(minutes=draw.choice([7, 31, 61, 150]), seconds=draw.randrange(60)))
            await engine.polled()
            # Before the clock goes on: a request that is still under way would be out for hours.
            while await engine.count("status = 'dialing'") or answered < len(engine.provider.placed):
                for placed in engine.provider.placed[answered:]:
                    answered += 1
                    await engine.until(placed.reminder_id, "processing")
                    await nobody_answers(engine, placed)
        assert await engine.count("status NOT IN ('failed', 'expired')") == 0
    for rang_at, name in recorder.rings:
        zone = zones[name] or BERLIN
        assert may_ring(calling_hours, rang_at, ZoneInfo(zone)), (name, f"{rang_at.astimezone(ZoneInfo(zone))}")
    called = Counter(name for _, name in recorder.rings)
    assert len(called) > 20
    assert max(called.values()) == 3


async def test_calls_that_wait_for_the_morning_are_paced(
    tmp_path: Path,
) -> None:
    clock = HandClock(at_home("2026-03-28 18:59:50"))  # in the night after it the clock is put forward
    recorder = Recorder(clock)
    engine_by_day = partial(
        an_engine,
        tmp_path / "db",
        clock,
        dialers=50,
        per_second=0.5,
        calling_hours=hours(9 * HOUR, 19 * HOUR, zone=BERLIN),
        max_lateness=24 * HOUR,
    )
    async with engine_by_day(FakeProvider(recorder)) as engine:
        for number in range(12):
            await engine.insert(f"r{number:02}", at=clock.now() + number * timedelta(milliseconds=1))
        while clock.now() < at_home("2026-03-28 19:00:10"):
            await polled(engine)
            clock.advance(SECOND)
        await engine.until_all(7, "hold_code = 'hours'")
    in_the_evening = len(recorder.rings)
    assert in_the_evening == 5  # every other second until seven

    clock.advance(at_home("2026-03-29 05:00") - clock.now())
    async with engine_by_day(FakeProvider(recorder)) as engine:
        await polled(engine)
        clock.advance(at_home("2026-03-29 08:59:59") - clock.now())
        await polled(engine)
        assert len(recorder.rings) == in_the_evening
        while clock.now() < at_home("2026-03-29 09:00:15"):
            clock.advance(SECOND)
            await polled(engine)
    nine = at_home("2026-03-29 09:00")
    assert [rang_at for rang_at, _ in recorder.rings[in_the_evening:]] == [nine + n * 2 * SECOND for n in range(7)]
    assert [name for _, name in recorder.rings] == [f"r{number:02}" for number in range(12)]


async def test_a_machine_that_wakes_after_the_calling_hours_calls_nobody(tmp_path: Path) -> None:
    """It sleeps between the claim and the request, but not long enough for the lease to expire."""
    clock = HandClock(at_home("2026-03-02 18:59:50"))
    calling_hours = hours(9 * HOUR, 19 * HOUR, zone=BERLIN)
    async with an_engine(tmp_path / "db", clock, calling_hours=calling_hours, max_lateness=DAY) as engine:
        dial = engine.poller.dial

        async def sleep_first(action: Action, claimed_at: float, *, context: Context) -> None:
            clock.advance(20 * SECOND)
            await dial(action, claimed_at, context=context)

        engine.poller.dial = sleep_first
        await engine.insert("r1")
        await engine.until_all(1, "status = 'scheduled' AND hold_code = 'hours'")
        await engine.polled()
        assert (await engine.reminder("r1")).wake_at == at_home("2026-03-03 09:00")
        assert [call.state for call in await engine.calls("r1")] == [CallState.NOT_PLACED]
    assert engine.provider.placed == []


async def test_after_a_long_outage_only_current_reminders_are_called_and_the_rest_are_counted(
    tmp_path: Path,
) -> None:
    clock = HandClock(at_home("2026-03-02 10:00"))
    async with an_engine(tmp_path / "db", clock) as engine:
        for number in range(41):
            await engine.insert(f"r{number}", at=clock.now() + (number + 1) * MINUTE)
        await engine.insert("good for long", at=clock.now() + HOUR, expires_at=to_ms(clock.now() + 7 * HOUR))
        await engine.insert("fresh", at=clock.now() + 5 * HOUR)
    clock.advance(6 * HOUR)
    with the_log() as lines:
        async with an_engine(tmp_path / "db", clock) as engine:
            await engine.until_all(41, "status = 'expired' AND end_code = 'too_late'")
            await engine.until_all(2, "status = 'processing'")
    assert sorted(placement.reminder_id for placement in engine.provider.placed) == ["fresh", "good for long"]
    summaries = [line for line in lines if "reminders" in line]
    assert summaries == [
        "ERROR 41 reminders expired before they could be called: see reminderd list --status expired\n"
    ]
    assert sum("expired: too late" in line for line in lines) == 41


async def test_a_start_with_a_real_provider_and_no_calling_hours_logs_a_warning(clinic: Clinic) -> None:
    async with running("run", cwd=clinic.folder) as program:
        await program.line("WARNING.*no calling hours are set, so patients may be called at night")
        await program.url()
