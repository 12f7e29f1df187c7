"""The poll loop, the dialer and the checker with a real database and a provider written by hand, on the real clock."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve, field, frozen

from reminderd.breaker import Breaker
from reminderd.checker import Checker, check
from reminderd.clock import SystemClock
from reminderd.core.answers import (
    Accepted,
    AccountTrouble,
    Answer,
    Capabilities,
    Finding,
    Found,
    NotFound,
    NotPlaced,
    Report,
)
from reminderd.core.backoff import Backoff
from reminderd.core.conversation import Question
from reminderd.core.lifecycle import Key
from reminderd.core.reminder import Call, Reminder, Status
from reminderd.core.rules import Rules
from reminderd.dialer import Dialer, dial
from reminderd.metrics import Instruments
from reminderd.pacing import Pacing
from reminderd.poller import Duties, Poller
from reminderd.providers.base import Placement, Webhook
from reminderd.store.conversations import settle_key
from reminderd.store.database import Database, open_database
from reminderd.store.driver import Connection
from reminderd.store.optouts import opt_out
from reminderd.store.rows import load_calls, load_reminder, to_ms

PHONE = "+15550100001"
Act = Callable[[Connection, datetime], None]
SOON = timedelta(milliseconds=100)


@define
class FakeProvider:
    """Answers as told, and remembers what it was asked."""

    answers: Callable[[Placement], Awaitable[Answer]]
    name: str = "fake"
    capabilities: Capabilities = field(factory=Capabilities)
    finding: Finding = field(factory=NotFound)
    placed: list[Placement] = field(factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    news: trio.Event = field(factory=trio.Event)

    async def place(self, placement: Placement) -> Answer:
        self.placed.append(placement)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.news.set()
        self.news = trio.Event()
        try:
            return await self.answers(placement)
        finally:
            self.in_flight -= 1

    async def fetch(self, external_call_id: str) -> Finding:  # noqa: ARG002 - the protocol's
        return self.finding

    async def find(self, placement: Placement) -> Finding:  # noqa: ARG002 - the protocol's
        return self.finding

    def verified(self, webhook: Webhook) -> bool:
        raise AssertionError(webhook)

    def parse(self, webhook: Webhook) -> Report:
        raise AssertionError(webhook)

    async def drop(self, external_call_id: str) -> Finding:
        raise AssertionError(external_call_id)

    async def aclose(self) -> None:
        pass

    async def asked(self, times: int) -> None:
        with trio.fail_after(10):
            while len(self.placed) < times:
                await self.news.wait()


async def accepts(placement: Placement) -> Answer:
    return Accepted(f"ext-{placement.call_id}")


@define
class House:
    """The running rooms, and what a test needs of them."""

    database: Database
    provider: FakeProvider
    poller: Poller
    breaker: Breaker

    async def insert(self, reminder_id: str, *, due_in: timedelta = timedelta(0), phone: str | None = None) -> None:
        number = phone or f"+1555010{1000 + sum(map(ord, reminder_id)) * 7 % 9000}"

        def write(connection: Connection, now: Any) -> None:
            connection.execute(
                "INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES (?, ?, 'Hello.', ?)",
                (reminder_id, number, to_ms(now + due_in)),
            )

        await self.database.write(write)

    async def execute(self, sql: str) -> None:
        await self.database.write(lambda connection, _now: connection.execute(sql).fetchall())

    async def until(self, reminder_id: str, status: Status) -> Reminder:
        return await self._until(reminder_id, lambda reminder: reminder.status is status)

    async def calls_at_rest(self, reminder_id: str) -> tuple[Call, ...]:
        """All its calls, once none of them is being dialled."""
        with trio.fail_after(10):
            while True:
                calls = await self.database.read(partial(load_calls, reminder_id=reminder_id))
                if all(call.status != "dialing" for call in calls):
                    return calls
                await trio.sleep(0.01)

    async def until_held(self, reminder_id: str, reason: str) -> Reminder:
        return await self._until(reminder_id, lambda reminder: reminder.hold_reason == reason)

    async def _until(self, reminder_id: str, is_so: Callable[[Reminder], bool]) -> Reminder:
        with trio.fail_after(10):
            while True:
                version = await self.database.data_version()
                found = await self.database.read(partial(load_reminder, reminder_id=reminder_id))
                if found is not None and is_so(found):
                    return found
                while await self.database.data_version() == version:  # noqa: ASYNC110 - SQLite has no event for it
                    await trio.sleep(0.005)


@frozen
class LaterClock(SystemClock):
    """The transactions' clock, as it is after they have waited for another program's lock."""

    wait: timedelta

    def now(self) -> datetime:
        return SystemClock().now() + self.wait


Start = Callable[..., Any]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    return partial(a_house, tmp_path)


@asynccontextmanager
async def a_house(
    folder: Path,
    answers: Callable[[Placement], Awaitable[Answer]] = accepts,
    *,
    dialers: int = 4,
    per_second: float = 0,
    before_start: Callable[[House], Awaitable[None]] | None = None,
    writes_wait: timedelta = timedelta(0),
    **rules: Any,
) -> AsyncIterator[House]:
    clock, stopping, ids = SystemClock(), trio.Event(), count(1)
    provider = FakeProvider(answers)
    provider.capabilities = rules.pop("capabilities", Capabilities())
    the_rules = evolve(Rules(backoff=Backoff(SOON, SOON)), provider="fake", capabilities=provider.capabilities, **rules)
    breaker, instruments = Breaker(the_rules.backoff), Instruments()
    async with (
        open_database(folder / "reminderd.db", LaterClock(writes_wait)) as database,
        trio.open_nursery() as nursery,
    ):
        dialer = Dialer(
            database=database,
            provider=provider,
            breaker=breaker,
            clock=clock,
            rules=the_rules,
            timeout=timedelta(seconds=5),
            stopping=stopping,
            instruments=instruments,
        )

        def mint() -> str:
            return f"id-{next(ids)}"

        checker = Checker(database=database, provider=provider, rules=the_rules, mint=mint)
        poller = Poller(
            database=database,
            clock=clock,
            rules=the_rules,
            pacing=Pacing(per_second),
            breaker=breaker,
            duties=Duties(dial=partial(dial, dialer=dialer), check=partial(check, checker=checker)),
            lines=trio.CapacityLimiter(dialers),
            checkers=trio.CapacityLimiter(dialers),
            interval=timedelta(seconds=60),
            stopping=stopping,
            mint=mint,
            beat=clock.monotonic(),
            instruments=instruments,
        )
        house = House(database, provider, poller, breaker)
        if before_start is not None:
            await before_start(house)
        nursery.start_soon(poller.run)
        yield house
        stopping.set()


async def test_a_row_is_dialled_when_its_time_comes_though_the_interval_is_a_minute(start: Start) -> None:
    async with start() as house:
        await house.insert("r1", due_in=SOON)
        await house.provider.asked(1)
        assert (
            await house.until("r1", Status.PROCESSING)
        ).external_call_id == f"ext-{house.provider.placed[0].call_id}"


async def test_no_more_requests_are_in_flight_than_there_are_lines(start: Start) -> None:
    async def slowly(placement: Placement) -> Answer:
        await trio.sleep(0.02)
        return await accepts(placement)

    async with start(slowly, dialers=2) as house:
        for number in range(9):
            await house.insert(f"r{number}")
        await house.provider.asked(9)
        assert house.provider.most_in_flight == 2


async def test_a_line_that_frees_takes_the_next_row_at_once(start: Start) -> None:
    async def some(house: House) -> None:
        for number in range(20):
            await house.insert(f"r{number}")

    async with start(dialers=1, before_start=some) as house:
        with trio.fail_after(3):  # with a quarter of a second's wait between them it were five
            await house.provider.asked(20)


async def test_requests_are_spaced_by_the_pacing(start: Start) -> None:
    async with start(per_second=20) as house:
        began = trio.current_time()
        for number in range(5):
            await house.insert(f"r{number}")
        await house.provider.asked(5)
        assert trio.current_time() - began >= 4 / 20


async def test_a_resend_without_a_line_waits_for_one_however_long_the_claim_has_waited_for_a_lock(start: Start) -> None:
    """The lines are counted before the claim's transaction, which may begin seconds later."""
    hang_up = trio.Event()

    async def talks(placement: Placement) -> Answer:
        await hang_up.wait()
        return await accepts(placement)

    can = Capabilities(honours_key=True, key_lifetime=timedelta(hours=1))
    async with start(talks, dialers=1, capabilities=can, writes_wait=timedelta(seconds=2)) as house:
        await house.insert("r1")
        await house.provider.asked(1)
        await house.insert("r2", due_in=timedelta(hours=1))
        await house.execute(
            "INSERT INTO call_logs (id, reminder_id, attempt, provider, status, tries)"
            " VALUES ('c2', 'r2', 1, 'fake', 'unconfirmed', 1)"
        )
        await house.execute("UPDATE reminders SET status = 'processing', wake_at = 0 WHERE id = 'r2'")
        await house.until_held("r2", "unconfirmed, to be asked again")
        assert len(house.provider.placed) == 1
        hang_up.set()
        await house.provider.asked(2)
        assert house.provider.placed[1].call_id == "c2"


async def test_a_bug_in_one_dial_stops_nobody_else(start: Start) -> None:
    async def breaks_once(placement: Placement) -> Answer:
        if placement.reminder_id == "r1":
            raise RuntimeError("a bug")
        return await accepts(placement)

    async with start(breaks_once) as house:
        await house.insert("r1")
        await house.insert("r2")
        await house.until("r2", Status.PROCESSING)
        assert (await house.until("r1", Status.DIALING)).lease_token is not None


def opts_out_at_the_desk(connection: Connection, now: datetime) -> None:
    opt_out(connection, now, phone_number=PHONE, source="a letter", actor="anna")


def opts_out_by_key(connection: Connection, now: datetime) -> None:
    """In the call of an earlier reminder to the same number, of which the key comes late."""
    connection.execute(
        "INSERT INTO reminders (id, phone_number, message, scheduled_at, status, attempts)"
        " VALUES ('r0', ?, 'Yesterday.', 0, 'called', 1)",
        (PHONE,),
    )
    connection.execute(
        "INSERT INTO call_logs (id, reminder_id, attempt, external_call_id, status, received_at)"
        " VALUES ('c0', 'r0', 1, 'ext-0', 'completed', 1)"
    )
    report = Report(external_call_id="ext-0", status="in-progress", attempt_id="c0")
    key = Key(digits="9", question=Question.MENU, repeats=0)
    settle_key(connection, now, report=report, key=key, rules=Rules(), new_call_id="c1")


@pytest.mark.parametrize(
    ("act", "status", "call"),
    [
        (None, Status.SCHEDULED, "not-placed"),
        ("UPDATE reminders SET status = 'cancelled', lease_token = NULL", Status.CANCELLED, "not-placed"),
        ("INSERT INTO opt_outs (phone_number) SELECT phone_number FROM reminders", Status.CANCELLED, "not-placed"),
        (opts_out_at_the_desk, Status.CANCELLED, "not-placed"),
        (opts_out_by_key, Status.CANCELLED, "not-placed"),
        ("INSERT INTO settings VALUES ('paused', 'true')", Status.SCHEDULED, "not-placed"),
        ("UPDATE reminders SET lease_token = 'another', status = 'processing'", Status.PROCESSING, "not-placed"),
        ("UPDATE reminders SET wake_at = wake_at - 59000", Status.SCHEDULED, "not-placed"),
    ],
    ids=[
        "stopping",
        "cancelled",
        "opted out",
        "opted out at the desk",
        "opted out by key",
        "paused by staff",
        "lease lost",
        "lease nearly over",
    ],
)
async def test_the_last_look_keeps_back_what_must_not_be_sent(
    start: Start, act: str | Act | None, status: Status, call: str
) -> None:
    """The act lands between the claim and the request: the dial is held until it is committed."""
    kept_back = trio.Event()

    async with start() as house:
        dial_now = house.poller.duties.dial

        async def act_first(claimed: Any, claimed_at: float) -> None:
            if act is None:
                house.poller.stopping.set()
            elif isinstance(act, str):
                await house.execute(act)
            else:
                await house.database.write(act)
            await dial_now(claimed, claimed_at)
            house.poller.stopping.set()
            kept_back.set()

        house.poller.duties = Duties(dial=act_first, check=house.poller.duties.check)
        await house.insert("r1", phone=PHONE)
        with trio.fail_after(10):
            await kept_back.wait()
        await house.until("r1", status)
        calls = await house.calls_at_rest("r1")  # it may have been claimed once more before the stop
        assert [(c.status, c.tries) for c in calls] in ([(call, 0)], [(call, 1)])
        assert house.provider.placed == []


async def test_a_stop_sends_nothing_more_and_waits_for_what_is_in_flight(start: Start) -> None:
    answer_now = trio.Event()

    async def when_told(placement: Placement) -> Answer:
        await answer_now.wait()
        return await accepts(placement)

    async with start(when_told, dialers=1) as house:
        await house.insert("r1")
        await house.insert("r2")
        await house.provider.asked(1)
        house.poller.stopping.set()
        answer_now.set()
        first = house.provider.placed[0].reminder_id
        await house.until(first, Status.PROCESSING)
        await house.until("r2" if first == "r1" else "r1", Status.SCHEDULED)
        assert len(house.provider.placed) == 1


async def test_trouble_with_the_account_pauses_dialing_and_one_probe_ends_it(start: Start) -> None:
    healthy = False

    async def refuses_us_first(placement: Placement) -> Answer:
        return await accepts(placement) if healthy else AccountTrouble("401: who are you?")

    async with start(refuses_us_first, dialers=1) as house:
        for number in range(5):
            await house.insert(f"r{number}")
        await house.provider.asked(2)
        assert house.breaker.paused
        healthy = True
        await house.provider.asked(2 + 5)
        assert not house.breaker.paused
        for number in range(5):
            await house.until(f"r{number}", Status.PROCESSING)
        calls = await house.database.read(partial(load_calls, reminder_id="r0"))
        assert [call.tries for call in calls] == [1]


async def test_too_many_requests_cost_no_reminder_a_try_however_long_that_lasts(start: Start) -> None:
    async def is_busy_six_times(placement: Placement) -> Answer:
        busy = len(house.provider.placed) <= 6
        return NotPlaced("429", rate_limited=True) if busy else await accepts(placement)

    async with start(is_busy_six_times, dialers=1, max_tries=1) as house:
        await house.insert("r1")
        await house.until("r1", Status.PROCESSING)
        [call] = await house.database.read(partial(load_calls, reminder_id="r1"))
        assert call.tries == 1


async def test_a_probe_that_the_last_look_keeps_back_leaves_its_place_to_another(start: Start) -> None:
    """Else dialing would stay paused for as long as the process lives."""

    async def refuses_us_once(placement: Placement) -> Answer:
        first = len(house.provider.placed) == 1
        return AccountTrouble("401: who are you?") if first else await accepts(placement)

    async with start(refuses_us_once, dialers=1) as house:
        dial_now = house.poller.duties.dial

        async def cancelled_as_a_probe(claimed: Any, claimed_at: float) -> None:
            if house.breaker.paused and claimed.reminder.id == "r1":
                await house.execute("UPDATE reminders SET status = 'cancelled', lease_token = NULL WHERE id = 'r1'")
            await dial_now(claimed, claimed_at)

        house.poller.duties = Duties(dial=cancelled_as_a_probe, check=house.poller.duties.check)
        await house.insert("r1")
        await house.until("r1", Status.CANCELLED)
        await house.insert("r2")
        await house.until("r2", Status.PROCESSING)
        assert not house.breaker.paused


async def test_a_call_that_nobody_reports_is_asked_about(start: Start) -> None:
    async with start(capabilities=Capabilities(look_up=True), outcome_timeout=SOON) as house:
        house.provider.finding = Found(Report(external_call_id="ext-1", status="completed", transcript="Hello?"))
        await house.insert("r1")
        assert (await house.until("r1", Status.CALLED)).wake_at is None


async def test_a_call_that_nobody_reports_and_nobody_knows_fails_visibly(start: Start) -> None:
    async with start(outcome_timeout=SOON) as house:
        await house.insert("r1")
        assert (await house.until("r1", Status.FAILED)).last_error == "no report from the provider"


async def test_rows_that_another_program_put_back_while_their_calls_are_open_are_checked_within_the_room(
    start: Start,
) -> None:
    async with start(capabilities=Capabilities(look_up=True), dialers=2) as house:
        house.provider.finding = Found(Report(external_call_id="ext-x", status="completed"))
        for number in range(7):
            await house.insert(f"r{number}")
        for number in range(7):
            await house.until(f"r{number}", Status.PROCESSING)
        await house.execute("UPDATE reminders SET status = 'scheduled', wake_at = 0")
        for number in range(7):
            await house.until(f"r{number}", Status.CALLED)
        assert len(house.provider.placed) == 7
