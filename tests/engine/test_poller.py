"""The poll loop and the dialer with a real database and a fake provider, on the real clock."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import uuid4

import pytest
import trio
from attrs import frozen

from reminderd.clock import SystemClock
from reminderd.core.answers import (
    Accepted,
    AccountRefused,
    Capabilities,
    Found,
    NoAnswer,
    NotPlaced,
    PlacingAnswer,
    Report,
    Unclear,
)
from reminderd.core.lifecycle.keypress import Key
from reminderd.core.lifecycle.transition import Action
from reminderd.core.model import Call, CallState, Status
from reminderd.core.reasons import EndCode
from reminderd.core.rules import Rules
from reminderd.core.script.prompts import Question
from reminderd.databases import Target
from reminderd.engine import poller
from reminderd.engine.context import Context
from reminderd.providers.base import Placement
from reminderd.store.appointments import replan_if_rules_changed
from reminderd.store.connection import Connection
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.opt_outs import opt_out
from reminderd.store.rows import to_ms
from reminderd.store.settle import settle_key, settle_pick_up, settle_report
from reminderd.store.shared_state import answering_since
from reminderd.store.sqlite import on_trio as sqlite_on_trio
from tests.support.clock import HandClock
from tests.support.engine import Engine, FakeProvider, accepts, an_engine
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.also_on_postgres

PHONE = "+12025550001"
Act = Callable[[Connection, datetime], object]
SOON = timedelta(milliseconds=100)
LONG = timedelta(hours=1)
"""Longer than any test waits."""
NEVER = datetime.fromtimestamp(0, UTC)
KEYS = Capabilities(honors_key=True, key_lifetime=timedelta(hours=1))


@frozen
class LaterClock(SystemClock):
    """A clock for transactions that is ahead, as after waiting for another program's lock."""

    wait: timedelta

    def now(self) -> datetime:
        return SystemClock().now() + self.wait


Start = Callable[..., AbstractAsyncContextManager[Engine]]


@pytest.fixture
def start(target: Target) -> Start:
    def starts(
        answers: Callable[[Placement], Awaitable[PlacingAnswer]] = accepts,
        *,
        capabilities: Capabilities | None = None,
        **options: Any,
    ) -> AbstractAsyncContextManager[Engine]:
        provider = FakeProvider(answers, capabilities=capabilities or Capabilities())
        return an_engine(target, SystemClock(), provider, **{"interval": LONG, **options})

    return starts


async def soon(engine: Engine, reminder_id: str) -> None:
    """Insert a reminder that is due in a moment."""
    await engine.insert(reminder_id, at=engine.clock.now() + SOON)


async def calls_at_rest(engine: Engine, reminder_id: str) -> tuple[Call, ...]:
    """Return all its calls, once none of them is being dialed."""

    async def at_rest() -> tuple[Call, ...] | None:
        calls = await engine.calls(reminder_id)
        return None if any(call.state is CallState.DIALING for call in calls) else calls

    return await until(at_rest)


async def test_a_reminder_is_called_at_its_time_even_with_a_longer_poll_interval(start: Start) -> None:
    async with start() as engine:
        await soon(engine, "r1")
        await engine.provider.asked(1)
        await engine.until("r1", Status.PROCESSING)
        [call] = await engine.calls("r1")
        assert call.external_call_id == f"ext-{engine.provider.placed[0].call_id}"


async def test_the_rules_of_planning_are_compared_once_the_database_is_available(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried, compared = trio.Event(), trio.Event()
    in_trio = partial(trio.from_thread.run_sync, trio_token=trio.lowlevel.current_trio_token())

    def unavailable_once(connection: Connection, now: datetime, *, digest: str) -> bool:
        if not tried.is_set():
            in_trio(tried.set)
            raise StoreUnavailableError("locked by another program")
        in_trio(compared.set)
        return replan_if_rules_changed(connection, now, digest=digest)

    monkeypatch.setattr(poller, "replan_if_rules_changed", unavailable_once)
    monkeypatch.setattr(poller, "FAILURE_PAUSE", 0.01)
    async with start():
        with trio.fail_after(PATIENCE):
            await compared.wait()


async def test_what_is_due_and_can_not_be_claimed_is_tried_again_after_a_pause(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another program may have locked it; without a pause, its transaction would keep a whole processor busy."""
    tries: list[float] = []

    def nothing(*_: object, **_facts: object) -> list[Any]:
        tries.append(time.monotonic())
        return []

    monkeypatch.setattr(poller, "claim", nothing)
    monkeypatch.setattr(poller, "LOCKED_PAUSE", LONG.total_seconds())
    async with start() as engine:
        await engine.insert("r1")
        await until(lambda: len(tries) >= 2)  # without a pause, as another daemon may have been faster
    tries.clear()
    monkeypatch.setattr(poller, "LOCKED_PAUSE", 0.2)
    async with start():
        await until(lambda: len(tries) >= 4)
    assert [later - earlier >= 0.2 for earlier, later in pairwise(tries[1:4])] == [True, True]


async def test_no_more_requests_are_in_flight_than_there_are_lines(start: Start) -> None:
    answer_now = trio.Event()

    async def when_released(placement: Placement) -> PlacingAnswer:
        await answer_now.wait()
        return await accepts(placement)

    async with start(when_released, dialers=2) as engine:
        for number in range(9):
            await engine.insert(f"r{number}")
        await engine.provider.asked(2)
        await engine.comes_round()
        answer_now.set()
        await engine.provider.asked(9)
        assert engine.provider.most_in_flight == 2


async def test_a_freed_line_takes_the_next_row_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not wait until the loop looks for commits, which on SQLite takes a quarter of a second."""
    monkeypatch.setattr(sqlite_on_trio, "LOOK_FOR_COMMITS", LONG.total_seconds())

    async def some(engine: Engine) -> None:
        for number in range(20):
            await engine.insert(f"r{number}")

    async with start(dialers=1, before_start=some) as engine:
        await engine.provider.asked(20)


async def test_requests_are_spaced_by_the_pacing(start: Start) -> None:
    async with start(per_second=20) as engine:
        began = trio.current_time()
        for number in range(5):
            await engine.insert(f"r{number}")
        await engine.provider.asked(5)
        assert trio.current_time() - began >= 4 / 20


@pytest.mark.also_on_postgres
async def test_two_processes_on_one_database_together_keep_the_pace(target: Target) -> None:
    spacing = timedelta(seconds=0.05)
    provider = FakeProvider()
    options: dict[str, Any] = {"per_second": 20, "interval": LONG}
    async with (
        an_engine(target, SystemClock(), provider, **options) as one,
        an_engine(target, SystemClock(), provider, before_start=with_ids_of_its_own, **options),
    ):
        for number in range(10):
            await one.insert(f"r{number}")
        await provider.asked(10)
        calls = [call for number in range(10) for call in await one.calls(f"r{number}")]
    claimed = sorted(call.created_at for call in calls)
    assert len(claimed) == 10
    assert all(later - earlier >= spacing - timedelta(milliseconds=1) for earlier, later in pairwise(claimed))


async def with_ids_of_its_own(engine: Engine) -> None:
    engine.poller.mint = lambda: uuid4().hex


async def test_a_resend_without_a_free_line_waits_for_one(start: Start) -> None:
    """The lines are counted before the claim's transaction, which may begin seconds later."""
    hang_up = trio.Event()

    async def talks(placement: Placement) -> PlacingAnswer:
        await hang_up.wait()
        return await accepts(placement)

    async def loses_the_second(placement: Placement) -> PlacingAnswer:
        return Unclear("lost") if len(engine.provider.placed) == 1 else await talks(placement)

    options = {"dialers": 1, "capabilities": KEYS, "confirm_after": timedelta(minutes=30)}
    async with start(loses_the_second, store_clock=LaterClock(timedelta(seconds=2)), **options) as engine:
        await engine.insert("r1")
        await engine.provider.asked(1)
        await engine.until("r1", Status.PROCESSING)
        await engine.insert("r2")
        await engine.provider.asked(2)
        [unsure] = await engine.calls("r1")
        assert unsure.state is CallState.UNCONFIRMED
        await engine.execute("UPDATE call_logs SET wake_at = 0 WHERE lease_token IS NULL")

        async def waits() -> Call | None:
            [call] = await engine.calls("r1")
            return None if call.wake_at == NEVER else call

        unsure = await until(waits)
        assert (unsure.state, unsure.lease_token) == (CallState.UNCONFIRMED, None), "claimed, and not sent again"
        assert len(engine.provider.placed) == 2
        hang_up.set()
        await engine.provider.asked(3)
        assert {one.call_id for one in engine.provider.placed} == {unsure.id, engine.provider.placed[1].call_id}


async def test_an_unexpected_error_in_one_dial_stops_no_other(start: Start) -> None:
    async def breaks_once(placement: Placement) -> PlacingAnswer:
        if placement.reminder_id == "r1":
            raise RuntimeError("a bug")
        return await accepts(placement)

    async with start(breaks_once) as engine:
        await engine.insert("r1")
        await engine.insert("r2")
        await engine.until("r2", Status.PROCESSING)
        await engine.until("r1", Status.DIALING)
        [call] = await engine.calls("r1")
        assert call.lease_token is not None


def opts_out_by_staff(connection: Connection, now: datetime) -> None:
    opt_out(connection, now, phone_number=PHONE, source="a letter", actor="anna", rules=Rules())


def opts_out_by_key(connection: Connection, now: datetime) -> None:
    """In the call of an earlier reminder to the same number, of which the key comes late."""
    connection.execute(
        "INSERT INTO call_logs (id, reminder_id, phone_number, external_call_id, state, last_sign_at, received_at)"
        " VALUES ('c0', 'r0', ?, 'ext-0', 'ended', 1, 1)",
        (PHONE,),
    )
    report = Report(external_call_id="ext-0", status="in-progress", attempt_id="c0")
    key = Key(digits="9", question=Question.MENU, repeats=0)
    settle_key(connection, now, report=report, key=key, rules=Rules(), mint=lambda: "c1")


@pytest.mark.parametrize(
    ("act", "status", "state"),
    [
        (None, Status.SCHEDULED, "not_placed"),
        ("UPDATE reminders SET status = 'cancelled'", Status.CANCELLED, "not_placed"),
        ("UPDATE reminders SET message = 'Other words.'", Status.SCHEDULED, "not_placed"),
        ("UPDATE reminders SET scheduled_at = scheduled_at + 9000000", None, "not_placed"),
        ("INSERT INTO opt_outs (phone_number) SELECT phone_number FROM reminders", Status.CANCELLED, "not_placed"),
        (opts_out_by_staff, Status.CANCELLED, "not_placed"),
        (opts_out_by_key, Status.CANCELLED, "not_placed"),
        ("INSERT INTO settings VALUES ('paused', 'true')", Status.SCHEDULED, "not_placed"),
        ("UPDATE call_logs SET lease_token = 'another', state = 'unconfirmed'", Status.SCHEDULED, "not_placed"),
        ("UPDATE call_logs SET wake_at = wake_at - 59000", Status.SCHEDULED, "not_placed"),
    ],
    ids=[
        "stopping",
        "cancelled",
        "other words",
        "moved",
        "opted out",
        "opted out by staff",
        "opted out by key",
        "paused by staff",
        "lease lost",
        "lease nearly over",
    ],
)
async def test_the_last_look_stops_a_request_that_must_not_be_sent(
    start: Start, act: str | Act | None, status: Status | None, state: str
) -> None:
    """The act lands between the claim and the request: the dial is held until it is committed.

    There is one line, so that nothing is claimed again before the stop.
    """
    kept_back = trio.Event()

    async with start(dialers=1) as engine:
        dial_now = engine.poller.dial

        async def act_first(action: Action, claimed_at: float, *, context: Context) -> None:
            engine.poller.dial = dial_now  # the turn under way may claim once more, after the stop
            if act is None:
                engine.stopping.set()
            elif isinstance(act, str):
                await engine.execute(act)
            else:
                await engine.database.write(act)
            await dial_now(action, claimed_at, context=context)
            engine.stopping.set()
            kept_back.set()

        engine.poller.dial = act_first
        await engine.insert("r1", phone_number=PHONE)
        with trio.fail_after(PATIENCE):
            await kept_back.wait()
        if status is not None:  # a moved one is looked at by the next process
            await engine.until("r1", status)
        calls = await calls_at_rest(engine, "r1")
        assert {call.state.value for call in calls} == {state}
        assert engine.provider.placed == []


async def test_a_stop_sends_no_more_requests_and_waits_for_those_in_flight(start: Start) -> None:
    answer_now = trio.Event()

    async def when_released(placement: Placement) -> PlacingAnswer:
        await answer_now.wait()
        return await accepts(placement)

    async with start(when_released, dialers=1) as engine:
        await engine.insert("r1")
        await engine.insert("r2")
        await engine.provider.asked(1)
        engine.stopping.set()
        answer_now.set()
        first = engine.provider.placed[0].reminder_id
        await engine.until(first, Status.PROCESSING)
        await engine.until("r2" if first == "r1" else "r1", Status.SCHEDULED)
        assert len(engine.provider.placed) == 1


async def test_an_error_of_the_account_pauses_dialing_and_one_probe_ends_it(start: Start) -> None:
    healthy = False

    async def refuses_us_first(placement: Placement) -> PlacingAnswer:
        return await accepts(placement) if healthy else AccountRefused("401: who are you?")

    async with start(refuses_us_first, dialers=1) as engine:
        for number in range(5):
            await engine.insert(f"r{number}")
        await engine.provider.asked(2)
        paused = [engine.poller.memory.breaker.paused]
        healthy = True
        await engine.provider.asked(2 + 5)
        paused.append(engine.poller.memory.breaker.paused)
        assert paused == [True, False]
        for number in range(5):
            await engine.until(f"r{number}", Status.PROCESSING)
        assert (await engine.reminder("r0")).tries == 0


async def test_after_forbidden_numbers_the_probe_is_a_good_one_and_only_they_fail(start: Start) -> None:
    async def refuses_a_country(placement: Placement) -> PlacingAnswer:
        if placement.reminder_id == "good":
            return await accepts(placement)
        if placement.reminder_id == "abroad2" and await engine.count("id = 'good'") == 0:
            await engine.insert("good")
        return NotPlaced("403: 21215", number_refused=True)

    async with start(refuses_a_country, dialers=1, max_tries=1) as engine:
        await engine.insert("abroad1")
        await engine.provider.asked(1)
        await engine.insert("abroad2")
        await engine.until("good", Status.PROCESSING)
        asked = [one.reminder_id for one in engine.provider.placed]
        refused = asked[: asked.index("good")]
        assert refused[-1] in {"abroad1", "abroad2"}
        assert len(refused) <= refused.index("abroad2") + 1, "the first probe of the pause was the good one"
        for name in ("abroad1", "abroad2"):
            failed = await engine.until(name, Status.FAILED)
            assert failed.last_error == f"not placed after {failed.tries} tries (403: 21215)"
        assert not engine.poller.memory.breaker.paused


async def test_the_probe_is_not_a_refused_number_even_if_that_is_due_earlier(
    target: Target,
) -> None:
    async def refuses_a_country(placement: Placement) -> PlacingAnswer:
        if placement.reminder_id == "good":
            return await accepts(placement)
        return NotPlaced("403: 21215", number_refused=True)

    clock = HandClock()
    async with an_engine(target, clock, FakeProvider(refuses_a_country)) as engine:
        await engine.insert("abroad1")
        await engine.insert("abroad2")
        await engine.until_all(2, "hold_code = 'not_placed'")
        assert engine.poller.memory.breaker.paused
        await engine.insert("good", at=clock.now() + timedelta(seconds=30))
        assert len(engine.provider.placed) == 2
        clock.advance(timedelta(minutes=1))
        assert (await engine.provider.asked(3))[2].reminder_id == "good"
        await engine.until("good", Status.PROCESSING)


async def test_one_forbidden_number_alone_does_not_pause_dialing_or_fail(start: Start) -> None:
    async def refuses_it(_placement: Placement) -> PlacingAnswer:
        return NotPlaced("403: 21215", number_refused=True)

    async with start(refuses_it, dialers=1, max_tries=1) as engine:
        await engine.insert("abroad")
        await engine.provider.asked(4)
        assert not engine.poller.memory.breaker.paused
        waits = await engine.reminder("abroad")
        assert waits.status in {Status.SCHEDULED, Status.DIALING}
        assert waits.tries == 0


async def test_too_many_requests_cost_no_reminder_a_try(start: Start) -> None:
    async def is_busy_six_times(placement: Placement) -> PlacingAnswer:
        busy = len(engine.provider.placed) <= 6
        return NotPlaced("429", rate_limited=True) if busy else await accepts(placement)

    async with start(is_busy_six_times, dialers=1, max_tries=1) as engine:
        await engine.insert("r1")
        await engine.until("r1", Status.PROCESSING)
        assert (await engine.reminder("r1")).tries == 0


async def test_a_probe_stopped_by_the_last_look_makes_room_for_another(start: Start) -> None:
    """Else dialing would stay paused for as long as the process lives."""

    async def refuses_us_once(placement: Placement) -> PlacingAnswer:
        first = len(engine.provider.placed) == 1
        return AccountRefused("401: who are you?") if first else await accepts(placement)

    async with start(refuses_us_once, dialers=1) as engine:
        dial_now = engine.poller.dial

        async def cancelled_as_a_probe(action: Action, claimed_at: float, *, context: Context) -> None:
            if context.memory.breaker.paused and action.call.reminder_id == "r1":
                await engine.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'r1'")
            await dial_now(action, claimed_at, context=context)

        engine.poller.dial = cancelled_as_a_probe
        await engine.insert("r1")
        await engine.until("r1", Status.CANCELLED)
        await engine.insert("r2")
        await engine.until("r2", Status.PROCESSING)
        assert not engine.poller.memory.breaker.paused


ASKING = Capabilities(look_up=True, asks_what_to_say=True)


async def silent_calls(engine: Engine, *reminder_ids: str) -> None:
    """Make answered calls of some length without a request to us; only look-ups report them."""
    for name in reminder_ids:
        engine.provider.finding = Found(
            Report(external_call_id=f"ext-{len(engine.provider.placed) + 1}", status="completed", duration_seconds=9)
        )
        await engine.insert(name)
        await engine.until_all(1, f"id = '{name}' AND status = 'scheduled' AND attempts = 1")


async def test_two_silent_calls_pause_dialing_until_one_asks_what_to_say(start: Start) -> None:
    async def numbered(_placement: Placement) -> PlacingAnswer:
        return Accepted(f"ext-{len(engine.provider.placed)}")

    options = {"capabilities": ASKING, "outcome_timeout": SOON, "redial_delays": (timedelta(hours=1),)}
    async with start(numbered, **options) as engine:
        await silent_calls(engine, "r1", "r2")
        pause = engine.poller.memory.breaker.address
        await until(lambda: pause.reason)
        await engine.insert("r3")
        await engine.insert("r4")
        await engine.comes_round()
        assert len(engine.provider.placed) == 2
        assert not engine.poller.memory.breaker.paused, "the provider is well"
        engine.provider.finding = NoAnswer("not now")
        pause.probe_soon(engine.clock.monotonic())
        engine.poller.memory.freed.set()
        await engine.provider.asked(3)
        probe = engine.provider.placed[2]
        await engine.comes_round()
        assert len(engine.provider.placed) == 3, "one probe alone"
        asks = Report(external_call_id="ext-3", status="in-progress", attempt_id=probe.call_id)
        await engine.database.write(partial(settle_pick_up, report=asks, rules=engine.rules, mint=lambda: "none"))
        await engine.provider.asked(4)


async def test_requests_that_could_not_be_recorded_still_prove_that_our_address_works(start: Start) -> None:
    """As on a full disk: those calls never asked, as far as the database knows."""

    async def numbered(_placement: Placement) -> PlacingAnswer:
        return Accepted(f"ext-{len(engine.provider.placed)}")

    options = {"capabilities": ASKING, "outcome_timeout": SOON, "redial_delays": (timedelta(hours=1),)}
    async with start(numbered, **options) as engine:
        engine.provider.finding = NoAnswer("not now")
        for name in ("r1", "r2"):
            await engine.insert(name)
        await engine.provider.asked(2)
        for name in ("r1", "r2"):
            await engine.until(name, Status.PROCESSING)
        pause = engine.poller.memory.breaker.address
        pause.asked_without_answer = True
        engine.poller.memory.freed.set()
        await until(lambda: not pause.asked_without_answer)
        for number in (1, 2):
            report = Report(
                external_call_id=f"ext-{number}",
                status="completed",
                duration_seconds=9,
                attempt_id=engine.provider.placed[number - 1].call_id,
            )
            await engine.database.write(partial(settle_report, report=report, rules=engine.rules, mint=lambda: "none"))
        await engine.comes_round()
        assert pause.reason is None


@pytest.mark.parametrize("stands_still", ["the process", "the machine"])
async def test_calls_during_a_standstill_do_not_count_against_the_address(target: Target, stands_still: str) -> None:
    clock = HandClock()
    async with an_engine(target, clock, FakeProvider(capabilities=ASKING)) as engine:
        await engine.polled()
        assert await engine.database.read(answering_since) is None
        if stands_still == "the process":
            clock.advance(timedelta(seconds=20))
        else:
            clock.time += timedelta(seconds=20)
        await engine.polled()
        assert await engine.database.read(answering_since) == clock.now()


async def test_an_unreported_call_is_looked_up(start: Start) -> None:
    async with start(capabilities=Capabilities(look_up=True), outcome_timeout=SOON) as engine:
        engine.provider.finding = Found(Report(external_call_id="ext-1", status="completed", transcript="Hello?"))
        await engine.insert("r1")
        assert (await engine.until("r1", Status.CALLED)).wake_at is None


async def test_a_sign_of_life_is_seen_soon_after_the_last_look_at_all_calls(start: Start) -> None:
    """The silence of the call is measured from then on: a minute late, its number would be busy a minute longer."""
    async with start() as engine:
        await soon(engine, "r1")
        await engine.until("r1", Status.PROCESSING)
        sign = to_ms(engine.clock.now() + timedelta(seconds=1))
        await engine.execute("UPDATE call_logs SET last_sign_at = ?", sign)
        (call,) = await engine.calls("r1")
        sightings = engine.poller.memory.sightings
        sightings.seen_at = engine.clock.monotonic()
        engine.poller.memory.freed.set()  # a line is free again: the loop turns, and it is too early for another look
        await until(lambda: to_ms(sightings.witness(0).signs.get(call.id, (NEVER, 0))[0]) == sign)


async def test_an_unreported_call_unknown_to_the_provider_fails_visibly(start: Start) -> None:
    async with start(outcome_timeout=SOON) as engine:
        await engine.insert("r1")
        assert (await engine.until("r1", Status.FAILED)).end_code is EndCode.NO_REPORT


async def test_rescheduled_rows_with_open_calls_are_checked_within_the_free_lines(
    start: Start,
) -> None:
    async with start(capabilities=Capabilities(look_up=True), dialers=2) as engine:
        engine.provider.finding = Found(Report(external_call_id="ext-x", status="completed"))
        for number in range(7):
            await engine.insert(f"r{number}")
        for number in range(7):
            await engine.until(f"r{number}", Status.PROCESSING)
        await engine.execute("UPDATE reminders SET status = 'scheduled', wake_at = 0")
        for number in range(7):
            await engine.until(f"r{number}", Status.PROCESSING)
        await engine.execute("UPDATE call_logs SET wake_at = 0, last_sign_at = 0")
        for number in range(7):
            await engine.until(f"r{number}", Status.CALLED)
        assert len(engine.provider.placed) == 7
