"""Test the real store with random histories: two processes, crashes, expired leases, webhooks in any order.

`tests/core/lifecycle/test_histories.py` tests the rules in the same way, without a database. Here, the SQL must keep
them: claims, lease tokens, receipts and triggers.
"""

import os
from collections import Counter
from contextlib import ExitStack, suppress
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from reminderd.core.answers import Candidates, Capabilities, Found, LookUpAnswer, NoAnswer, NotFound, PlacingAnswer
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.transition import Action, ActionKind
from reminderd.core.model import TERMINAL, Status
from reminderd.core.script.prompts import Question
from reminderd.core.sentences import NotAllowedError
from reminderd.providers.base import placement_of
from reminderd.store.any_engine import open_sync
from reminderd.store.intake import Source
from reminderd.store.reminders import call_again, cancel
from reminderd.store.rows import to_ms
from reminderd.store.settle import read_for_last_look
from reminderd.store.stats import next_wakes
from tests.chaos.databases import an_empty_database
from tests.chaos.invariants import Expectations, broken
from tests.chaos.record import Ring
from tests.chaos.simulated import MOODS, PLACED, SimulatedProvider
from tests.chaos.snapshot import Snapshot, is_committed, looking, snapshot_of
from tests.chaos.two_processes import (
    KILLED_BEFORE,
    SETTLES,
    SUSPENDED_AFTER,
    SUSPENDED_BEFORE,
    WORK_ENDS,
)
from tests.support.builders import HOUR, MINUTE, NOW, SECOND, able
from tests.support.postgres import skip_without_postgres
from tests.support.store import Store

pytestmark = pytest.mark.chaos

REQUEST_TIMEOUT: Final = 20 * SECOND
HISTORIES_ON_POSTGRES: Final = int(os.environ.get("REMINDERD_STORE_HISTORIES_ON_POSTGRES", "8"))
STAFF: Final = Source(actor="staff")
PHONES: Final = ("+12025550001", "+12025550001", "+12025550001", "+12025550002")
"""The numbers of the reminders: three share a number, and may be bundled in one call."""


@frozen
class Duty:
    """A claim of a process, and its result so far."""

    process: int
    action: Action
    claimed_at: datetime
    outcome: PlacingAnswer | LookUpAnswer | Candidates | str | None = None
    """An answer, a finding, or why nothing was sent; None before that."""


@frozen
class Work:
    """How a process works on its claim."""

    process: int = 0
    end: str = SETTLES
    mood: str = PLACED
    counts: bool = True
    requests: int = 2


WORK: Final = st.builds(
    Work,
    process=st.integers(0, 1),
    end=st.sampled_from((SETTLES, SETTLES, SETTLES, *WORK_ENDS)),
    mood=st.sampled_from((PLACED, PLACED, PLACED, *MOODS)),
    counts=st.booleans(),
    requests=st.sampled_from((2, 2, 1, 0)),
)


class StoreHistories(RuleBasedStateMachine):
    """A clinic with two processes on one database, and a provider that may fail in every way it can."""

    engine = "sqlite"

    @initialize(
        capabilities=st.builds(
            Capabilities,
            honors_key=st.booleans(),
            key_lifetime=st.sampled_from([HOUR, 23 * HOUR]),
            look_up=st.booleans(),
            drop=st.booleans(),
            asks_what_to_say=st.booleans(),
        ),
        look_up_lag=st.sampled_from([0 * SECOND, 3 * MINUTE, 6 * HOUR]),
        echoes_attempt_id=st.booleans(),
        ring_again=st.booleans(),
        voicemail_is_reached=st.booleans(),
        max_lateness=st.sampled_from([4 * HOUR, 72 * HOUR]),
        group_within=st.sampled_from([0 * SECOND, 2 * HOUR]),
        max_calls=st.integers(1, 4),
    )
    def opens(
        self,
        capabilities: Capabilities,
        look_up_lag: timedelta,
        echoes_attempt_id: bool,
        ring_again: bool,
        voicemail_is_reached: bool,
        max_lateness: timedelta,
        group_within: timedelta,
        max_calls: int,
    ) -> None:
        self.now, self.monotonic = NOW, 0.0
        self.provider = SimulatedProvider(
            capabilities=capabilities, look_up_lag=look_up_lag, echoes_attempt_id=echoes_attempt_id
        )
        self.clinic = able(
            capabilities,
            call_again_when_unsure=ring_again,
            voicemail_is_reached=voicemail_is_reached,
            max_lateness=max_lateness,
            group_within=group_within,
            max_tries=3,
            max_calls=max_calls,
        )
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.database = self.stack.enter_context(an_empty_database(self.engine, folder))
        self.ids = count(1)
        self.lives = [ExitStack(), ExitStack()]
        self.stores = [self._starts(process) for process in range(2)]
        self.names: list[str] = []
        for _ in PHONES[:2]:
            self.another_program_adds_a_reminder(after=0 * SECOND, lasts=None)
        self.suspended: list[Duty] = []
        self.webhooks: list[tuple[Ring, str]] = []
        self.opted_out: set[str] = set()
        self.cancelled: set[str] = set()
        self.answered: dict[str, int] = {}
        self.called_again: Counter[str] = Counter()
        self.is_paused = False
        self.former: Snapshot | None = None

    # What the two processes do

    @precondition(lambda self: self._next_wake())
    @rule(work=WORK)
    def a_process_works(self, work: Work) -> None:
        """A process sleeps until something is due, claims it, acts on it, and settles it, unless it is interrupted."""
        self._moves(max(self.now, self._next_wake() or self.now))
        store = self.stores[work.process]
        held = frozenset(duty.action.token for duty in self.suspended if duty.process == work.process)
        for action in store.claim(requests=work.requests, checks=2, held=held):
            duty = Duty(work.process, action, self.now)
            self._number_is_free(action)
            if work.end not in {SUSPENDED_BEFORE, KILLED_BEFORE}:
                duty = self._done(duty, work.mood)
            if work.end in {SUSPENDED_BEFORE, SUSPENDED_AFTER}:
                self.suspended.append(duty)
            if work.end == SETTLES:
                self._settle(duty, counts=work.counts)

    @precondition(lambda self: self.suspended)
    @rule(which=st.integers(0, 9), mood=st.sampled_from(MOODS), counts=st.booleans())
    def a_suspended_process_goes_on(self, which: int, mood: str, counts: bool) -> None:
        """The process may continue long after others have come to other conclusions."""
        duty = self.suspended.pop(which % len(self.suspended))
        self._settle(duty if duty.outcome is not None else self._done(duty, mood), counts=counts)

    @rule(process=st.integers(0, 1))
    def a_process_dies_in_the_middle_of_a_claim(self, process: int) -> None:
        store = self.stores[process]
        with suppress(ZeroDivisionError):
            store.write(lambda connection, _now: (connection.execute("DELETE FROM reminders").rowcount, 1 // 0))
        store.connection.begin()
        for half in (
            "UPDATE call_logs SET lease_token = 'half' WHERE lease_token IS NOT NULL",
            "UPDATE reminders SET status = 'processing', wake_at = NULL, revision = revision + 1",
        ):
            assert store.connection.execute(half).rowcount >= 0
        self.lives[process].close()
        self.stores[process] = self._starts(process)
        self.suspended = [duty for duty in self.suspended if duty.process != process]

    @rule(pause=st.sampled_from([30 * SECOND, 3 * MINUTE, 20 * MINUTE, 2 * HOUR, 25 * HOUR]))
    def time_passes(self, pause: timedelta) -> None:
        self._moves(self.now + pause)

    def _starts(self, process: int) -> Store:
        self.lives[process] = ExitStack()
        connection = self.lives[process].enter_context(open_sync(self.database))
        return Store(connection, self.clinic, self.now, self.monotonic, ids=self.ids)

    def _moves(self, now: datetime) -> None:
        self.monotonic += (now - self.now).total_seconds()
        self.now = now
        for store in self.stores:
            store.witness()
            store.now, store.monotonic = now, self.monotonic

    def _done(self, duty: Duty, mood: str) -> Duty:
        """Send the request, or look up the call, unless the last look forbids it; nothing is settled yet."""
        action = duty.action
        if action.kind.is_request:
            return evolve(duty, outcome=self._last_look(duty) or self._rings(action, mood))
        return evolve(duty, outcome=self._looks_up(action, mood))

    def _looks_up(self, action: Action, mood: str) -> LookUpAnswer | Candidates:
        if action.kind is ActionKind.DROP:
            assert self.clinic.capabilities.drop, "asked to drop a call by a provider that can't"
            return self.provider.drop(action.call.external_call_id or "", mood)
        if action.kind is ActionKind.FIND and not self.provider.echoes_attempt_id:
            return self.provider.candidates(placement_of(action), mood, self.now)
        return self.provider.find(action.call.id, mood, self.now)

    def _last_look(self, duty: Duty) -> str | None:
        seen = read_for_last_look(
            self.stores[duty.process].connection, action=duty.action, rules=self.clinic, now=self.now
        )
        return last_look(
            seen.ledger,
            duty.action,
            paused=seen.paused,
            stopping=False,
            time_left=duty.claimed_at + self.clinic.lease - self.now - REQUEST_TIMEOUT,
            rules=self.clinic,
            now=self.now,
        )

    def _rings(self, action: Action, mood: str) -> PlacingAnswer:
        named, *bundled = [one.id for one in action.reminders]
        assert named == action.call.reminder_id
        assert not self.is_paused, "called during a pause"
        assert action.call.phone_number not in self.opted_out, "called though it has opted out"
        assert all(one.scheduled_at <= self.now for one in action.reminders), "spoken before its time"
        committed = is_committed(self.database, action.call.id)
        return self.provider.place(placement_of(action), mood, self.now, committed=committed, bundled=tuple(bundled))

    def _settle(self, duty: Duty, *, counts: bool) -> None:
        store, outcome = self.stores[duty.process], duty.outcome
        match outcome:
            case str():
                store.not_sent(duty.action, outcome)
            case Found() | NotFound() | NoAnswer() | Candidates():
                store.found(duty.action, outcome)
            case None:
                raise AssertionError("nothing was done")
            case _:
                store.answer(duty.action, outcome, counts=counts)

    def _number_is_free(self, action: Action) -> None:
        if action.kind is ActionKind.PLACE:
            others = [
                call
                for call in snapshot_of(self.stores[0].connection).calls.values()
                if call.phone_number == action.call.phone_number and call.id != action.call.id and call.state.alive
            ]
            assert others == [], "two calls to one phone at a time"

    # What the provider does

    @precondition(lambda self: self._ringing())
    @rule(
        which=st.integers(0, 9),
        word=st.sampled_from(["ringing", "held", *sorted(TERMINAL)]),
        answered_by=st.sampled_from([None, "human", "machine_start"]),
        arrives=st.booleans(),
    )
    def a_call_goes_on(self, which: int, word: str, answered_by: str | None, arrives: bool) -> None:
        """The webhook about it arrives at once, or is not delivered yet."""
        ring = self._chosen(which)
        if word == "completed" and not ring.picked_up:
            ring.answered_by = answered_by
        if word in TERMINAL:
            self.provider.ends(ring, word)
        self.webhooks.append((ring, word))
        if arrives:
            self._webhook(ring, word)

    @precondition(lambda self: self.clinic.capabilities.asks_what_to_say and self._ringing())
    @rule(which=st.integers(0, 9))
    def somebody_answers(self, which: int) -> None:
        """The patient may hear what we answer, so it is recorded as spoken."""
        ring = self._chosen(which)
        ring.picked_up = True
        store = self.stores[which % 2]
        spoken = store.pick_up(evolve(self.provider.tells(ring), reminder_id=None, attempt_id=ring.key))
        ring.heard = None if spoken.message else ring.heard
        for name in (ring.reminder_id, *ring.bundled):
            was_spoken = f"This is {name}." in spoken.message
            member = snapshot_of(store.connection).member(ring.key, name)
            assert member is not None
            assert member.spoken >= was_spoken, "was spoken, and is not marked"

    @precondition(lambda self: any(ring.heard is not False and ring.picked_up for ring in self._ringing()))
    @rule(
        which=st.integers(0, 9),
        digits=st.sampled_from("1239"),
        question=st.sampled_from([Question.MENU, Question.CANCEL]),
    )
    def a_key_is_pressed(self, which: int, digits: str, question: Question) -> None:
        """The webhook about it names only our call, and arrives twice. The key answers all spoken reminders."""
        talking = [ring for ring in self._ringing() if ring.heard is not False and ring.picked_up]
        ring = talking[which % len(talking)]
        ring.answered_by_key = True
        store = self.stores[which % 2]
        report = evolve(self.provider.tells(ring), reminder_id=None, attempt_id=ring.key)
        before = snapshot_of(store.connection)
        spoken = store.press(report, digits, question)
        kept = self._responses(), store.count("audit"), store.count("opt_outs")
        assert store.press(report, digits, question).reply == spoken.reply
        assert (self._responses(), store.count("audit"), store.count("opt_outs")) == kept
        if digits not in {"1", "9"} and (digits, question) != ("2", Question.CANCEL):
            return
        for name in (ring.reminder_id, *ring.bundled):
            member, reminder = before.member(ring.key, name), store.reminder(name)
            is_about_it = member is not None and member.spoken and member.scheduled_at == reminder.scheduled_at
            if is_about_it and reminder.status is not Status.CANCELLED:
                assert reminder.response is not None, "was said, and has no answer"
                self.answered.setdefault(name, self.provider.record.moment())
        if digits == "9":
            self.opted_out.add(store.reminder(ring.reminder_id).phone_number)

    def _chosen(self, which: int) -> Ring:
        ringing = self._ringing()
        return ringing[which % len(ringing)]

    @precondition(lambda self: self.webhooks)
    @rule(which=st.integers(0, 99))
    def a_webhook_comes_late_or_again(self, which: int) -> None:
        """It may be any webhook that was sent so far."""
        self._webhook(*self.webhooks[which % len(self.webhooks)])

    @precondition(lambda self: any(ring.acknowledged_at is not None for ring in self.provider.record.rings))
    @rule(which=st.integers(0, 9), word=st.sampled_from(sorted(TERMINAL)))
    def a_provider_contradicts_itself(self, which: int, word: str) -> None:
        """It reports a second end of a call whose end was accepted."""
        ended = [ring for ring in self.provider.record.rings if ring.acknowledged_at is not None]
        self._webhook(ended[which % len(ended)], word)

    def _webhook(self, ring: Ring, word: str) -> None:
        transcript = ring.transcript if word == "completed" else None
        report = evolve(self.provider.tells(ring), status=word, transcript=transcript)
        self.stores[len(word) % 2].report(report)
        if word in TERMINAL:
            ring.note_acknowledgment(self.provider.record.moment())

    # What staff, patients and other programs do

    @rule(which=st.integers(0, 9))
    def staff_have_it_called_again(self, which: int) -> None:
        name = self.names[which % len(self.names)]
        with suppress(NotAllowedError):
            self.stores[0].write(partial(call_again, reminder_id=name, rules=self.clinic, source=STAFF))
            self.called_again[name] += 1

    @rule(which=st.integers(0, 9))
    def staff_cancel_it(self, which: int) -> None:
        name = self.names[which % len(self.names)]
        with suppress(NotAllowedError):
            self.stores[1].write(partial(cancel, reminder_id=name, rules=self.clinic, source=STAFF))
            self.cancelled.add(name)

    @rule()
    def staff_pause_and_end_the_pause(self) -> None:
        self.is_paused = not self.is_paused
        value = str(self.is_paused).lower()
        self.stores[0].connection.execute(
            "INSERT INTO settings (key, value) VALUES ('paused', ?)"
            " ON CONFLICT (key) DO UPDATE SET value = excluded.value",
            (value,),
        )

    @rule(phone=st.sampled_from(PHONES))
    def a_number_opts_out(self, phone: str) -> None:
        self.opted_out.add(phone)
        add = "INSERT INTO opt_outs (phone_number) VALUES (?) ON CONFLICT DO NOTHING"
        self.stores[0].connection.execute(add, (phone,))

    @precondition(lambda self: len(self.names) < len(PHONES))
    @rule(
        after=st.sampled_from([0 * SECOND, HOUR]), lasts=st.sampled_from([None, 10 * SECOND, 2 * MINUTE, 20 * MINUTE])
    )
    def another_program_adds_a_reminder(self, after: timedelta, lasts: timedelta | None) -> None:
        """Its limit may be soon after its time."""
        name = f"reminder-{len(self.names)}"
        at = self.now + after
        expires_at = None if lasts is None else to_ms(at + lasts)
        phone, message = PHONES[len(self.names)], f"This is {name}."
        self.stores[0].insert(name, phone, message=message, scheduled_at=to_ms(at), expires_at=expires_at)
        self.names.append(name)

    @rule(which=st.integers(0, 9), by=st.sampled_from([MINUTE, 3 * HOUR]))
    def another_program_moves_a_reminder(self, which: int, by: timedelta) -> None:
        name = self.names[which % len(self.names)]
        self.stores[1].connection.execute(
            "UPDATE reminders SET scheduled_at = ? WHERE id = ? AND status = 'scheduled'", (to_ms(self.now + by), name)
        )

    # What must hold

    @invariant()
    def all_is_well(self) -> None:
        if hasattr(self, "stores"):
            self._check(settled=False)

    def _check(self, *, settled: bool) -> None:
        out = {name for name, phone in zip(self.names, PHONES, strict=False) if phone in self.opted_out}
        expectations = Expectations(
            now=self.now,
            settled=settled,
            names_calls=self.provider.echoes_attempt_id,
            max_calls=self.clinic.max_calls,
            ring_again=self.clinic.call_again_when_unsure,
            called_again=self.called_again,
            voicemail_is_reached=self.clinic.voicemail_is_reached,
            answered=self.answered,
            cancelled=frozenset(self.cancelled | out),
        )
        with looking(self.database) as connection:
            assert broken(self.provider.record, connection, expectations, self.former) == []
            self.former = snapshot_of(connection)

    def teardown(self) -> None:
        """Let time pass with a working provider: everything must end."""
        if not hasattr(self, "stores"):
            return
        if self.is_paused:
            self.staff_pause_and_end_the_pause()
        while self.suspended:
            self.a_suspended_process_goes_on(0, PLACED, counts=True)
        for _ in range(200):
            for ring in self.provider.record.rings:
                if ring.end is None:
                    self.provider.ends(ring, "completed")
                if ring.acknowledged_at is None:
                    self._webhook(ring, ring.end or "")
            if self._next_wake() is None:
                break
            self.a_process_works(Work())
        self._check(settled=True)
        for life in self.lives:
            life.close()
        self.stack.close()

    # Helpers

    def _next_wake(self) -> datetime | None:
        wakes = next_wakes(self.stores[0].connection, self.now)
        return min((time for time in (wakes.reminder, wakes.call) if time is not None), default=None)

    def _responses(self) -> list[str | None]:
        return [self.stores[0].reminder(name).response for name in self.names]

    def _ringing(self) -> list[Ring]:
        return [ring for ring in self.provider.record.rings if ring.end is None]


class StoreHistoriesOnPostgres(StoreHistories):
    """The same on PostgreSQL. The rules are the same, and only the engine differs, so fewer histories are enough."""

    engine = "postgres"

    def __init__(self) -> None:
        skip_without_postgres()
        super().__init__()


TestStoreHistories = StoreHistories.TestCase
TestStoreHistories.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestStoreHistoriesOnPostgres = StoreHistoriesOnPostgres.TestCase
TestStoreHistoriesOnPostgres.settings = settings(TestStoreHistories.settings, max_examples=HISTORIES_ON_POSTGRES)
