"""Compare random histories of the whole program with the provider's own record and the clinic's own book.

Two processes on one database are killed, restarted and get another configuration. Meanwhile, other programs write with
the SQL of docs/database.md; staff cancel, accept a number, call again, pause, import tables and restore a backup; the
clinic's own system sends requests; appointments are moved, cancelled and answered; calls end in every way of their
provider; and the wall clock is set. `tests/core/lifecycle/test_histories.py` has such histories of the rules alone, and
`test_store_histories.py` those of claims and leases.
"""

import os
import sys
from contextlib import ExitStack, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from attrs import evolve
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from loguru import logger

from reminderd.core.answers import Capabilities
from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.sentences import NotAllowedError
from reminderd.store.opt_outs import opt_in, opt_out
from reminderd.store.reminders import accept, call_again, cancel
from tests.chaos.appointments import BOOKED_AHEAD
from tests.chaos.clinic_day import (
    HOW_IT_CHANGES,
    KEYS,
    MOST_MOODS,
    MOST_VISITS,
    STAFF,
    ClinicDay,
    Work,
)
from tests.chaos.configurations import ALL_DAY, CADENCES, OFFICE_HOURS, TWILIO, WEEKDAY_MORNINGS, Account, Configuration
from tests.chaos.databases import an_empty_database
from tests.chaos.endings import ENDINGS, MOST_ANSWERERS, PROGRESS, Ending
from tests.chaos.front_desk import CHOICES as WHAT_IS_ASKED
from tests.chaos.front_desk import MOST_REMINDERS, PHONES, Ask
from tests.chaos.simulated import MOODS
from tests.chaos.tables import CHOICES, Shape
from tests.chaos.two_processes import SETTLES, WORK_ENDS, TwoProcesses
from tests.support.builders import ACCOUNT, DAY, HOUR, MINUTE, SECOND
from tests.support.postgres import skip_without_postgres

pytestmark = pytest.mark.chaos

HISTORIES: Final = int(os.environ.get("REMINDERD_PROGRAM_HISTORIES", "24"))
HISTORIES_ON_POSTGRES: Final = int(os.environ.get("REMINDERD_PROGRAM_HISTORIES_ON_POSTGRES", "5"))
STEPS: Final = 40

SOME_PHONE: Final = st.sampled_from((*PHONES[:1] * 3, *PHONES))
GENERIC: Final = st.builds(
    Capabilities, honors_key=st.booleans(), key_lifetime=st.sampled_from([HOUR, 23 * HOUR]), look_up=st.booleans()
)
TIMES: Final = st.sampled_from([-HOUR, 0 * MINUTE, 10 * MINUTE, HOUR, DAY])
WHICH: Final = st.integers(0, 9)
PROCESS: Final = st.integers(0, 1)


WORK: Final = st.builds(
    Work,
    process=PROCESS,
    end=st.sampled_from((SETTLES, SETTLES, SETTLES, *WORK_ENDS)),
    mood=st.sampled_from(MOST_MOODS),
    counts=st.booleans(),
    requests=st.sampled_from((2, 2, 1, 0)),
    meanwhile=st.none() | st.integers(0, 99),
)
ASKS: Final = st.lists(
    st.builds(Ask, **{name: st.sampled_from(some) for name, some in WHAT_IS_ASKED.items()}), min_size=1, max_size=3
)
SHAPES: Final = st.builds(Shape, **{name: st.sampled_from(some) for name, some in CHOICES.items()})
CHANGES: Final = st.sampled_from(
    [
        {"calling_hours": ALL_DAY},
        {"calling_hours": OFFICE_HOURS},
        {"calling_hours": WEEKDAY_MORNINGS},
        {"max_lateness": HOUR},
        {"max_lateness": 72 * HOUR},
        {"max_calls": 4},
        {"per_day": 1},
        {"per_day": 0},
        *({"before": before} for before in CADENCES),
        {"group_within": 2 * HOUR},
        {"group_within": 0 * HOUR},
    ]
)


class ProgramHistories(RuleBasedStateMachine):
    """A clinic, its staff and other programs, two processes on a database, and two providers with two accounts each."""

    engine = "sqlite"

    @initialize(
        generic=GENERIC,
        echoes_attempt_id=st.sampled_from([True, True, False]),
        is_twilio=st.booleans(),
        look_up_lag=st.sampled_from([0 * SECOND, 3 * MINUTE, 6 * HOUR]),
        may_be_misreported=st.sampled_from([False, False, True]),
        ring_again=st.booleans(),
        voicemail_is_reached=st.booleans(),
        leave_voicemail=st.sampled_from([True, True, False]),
        group_within=st.sampled_from([0 * SECOND, 2 * HOUR]),
        max_calls=st.integers(1, 3),
        calling_hours=st.sampled_from([ALL_DAY, OFFICE_HOURS]),
        dice=st.integers(0, 2**32).map(Random),
    )
    def opens(
        self,
        generic: Capabilities,
        echoes_attempt_id: bool,
        is_twilio: bool,
        look_up_lag: timedelta,
        may_be_misreported: bool,
        ring_again: bool,
        voicemail_is_reached: bool,
        leave_voicemail: bool,
        group_within: timedelta,
        max_calls: int,
        calling_hours: CallingHours,
        dice: Random,
    ) -> None:
        two_generic = [
            Account(provider="generic", account=one, capabilities=generic, echoes_attempt_id=echoes_attempt_id)
            for one in (ACCOUNT, "https://other.example")
        ]
        two_of_twilio = [Account(provider="twilio", account=one, capabilities=TWILIO) for one in ("AC1", "AC2")]
        self.accounts = two_of_twilio + two_generic if is_twilio else two_generic + two_of_twilio
        configuration = Configuration(
            account=self.accounts[0],
            calling_hours=calling_hours,
            group_within=group_within,
            max_calls=max_calls,
            ring_again=ring_again,
            voicemail_is_reached=voicemail_is_reached,
            leave_voicemail=leave_voicemail,
        )
        self.stack = ExitStack()
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        database = self.stack.enter_context(an_empty_database(self.engine, folder))
        self.program = TwoProcesses(folder, database, configuration, self.accounts, look_up_lag)
        self.stack.callback(self.program.close)
        errors: list[str] = []
        sink = logger.add(errors.append, level="ERROR", filter=lambda one: one["exception"] is not None)
        self.stack.callback(logger.remove, sink)
        self.day = ClinicDay(program=self.program, dice=dice, may_be_misreported=may_be_misreported, errors=errors)
        for phone in (PHONES[0], PHONES[0], PHONES[1]):
            self.day.adds(phone, self.day.now)

    # What the two processes do

    @rule(work=WORK, sleeps=st.booleans())
    def a_process_works(self, work: Work, sleeps: bool) -> None:
        if sleeps:
            self.day.sleeps()
        self.day.works(work)

    @precondition(lambda self: self.day.has_suspended_tasks)
    @rule(which=WHICH, mood=st.sampled_from(MOODS), counts=st.booleans())
    def a_suspended_process_goes_on(self, which: int, mood: str, counts: bool) -> None:
        """The process may continue long after others have come to other conclusions."""
        self.day.finishes(which, mood, counts=counts)

    @rule(process=PROCESS)
    def a_process_is_killed_and_started_again(self, process: int) -> None:
        self.program.restart(process)

    @rule(change=CHANGES, reloads=st.sampled_from([(0, 1), (0, 1), (0,), ()]))
    def the_configuration_changes(self, change: dict[str, Any], reloads: tuple[int, ...]) -> None:
        """Both processes reload it, or one does, or none before its next start."""
        self.program.configuration = evolve(self.program.configuration, **change)
        for process in reloads:
            self.program.reload(process)

    @rule(which=st.sampled_from([0, 0, 0, 1, 1, 2, 3]), restarts=st.sampled_from([(0, 1), (0,)]))
    def the_account_changes(self, which: int, restarts: tuple[int, ...]) -> None:
        """The change takes effect at the next start."""
        self.program.configuration = evolve(self.program.configuration, account=self.accounts[which])
        for process in restarts:
            self.program.restart(process)

    @rule(pause=st.sampled_from([30 * SECOND, 3 * MINUTE, 3 * MINUTE, 20 * MINUTE, 20 * MINUTE, 2 * HOUR, 25 * HOUR]))
    def time_passes(self, pause: timedelta) -> None:
        self.program.passes(pause)

    @rule(by=st.sampled_from([10 * MINUTE, 30 * MINUTE, 30 * MINUTE, 5 * HOUR, 30 * HOUR]), back=st.booleans())
    def the_wall_clock_is_set(self, by: timedelta, back: bool) -> None:
        self.program.sets_the_clock(-by if back else by)

    # What the provider and patients do

    @precondition(lambda self: self.day.live)
    @rule(
        which=WHICH,
        ending=st.sampled_from(ENDINGS),
        answered_by=st.sampled_from(MOST_ANSWERERS),
        process=st.sampled_from([0, 1, None]),
    )
    def a_call_ends(self, which: int, ending: Ending, answered_by: str | None, process: int | None) -> None:
        """The webhook about it arrives at once, or is not delivered yet."""
        live = self.day.live
        self.day.call_ends(live[which % len(live)], process, ending, answered_by)

    @precondition(lambda self: self.day.live)
    @rule(which=WHICH, word=st.sampled_from(PROGRESS), process=st.sampled_from([0, 1, None]))
    def a_call_goes_on(self, which: int, word: str, process: int | None) -> None:
        live = self.day.live
        self.day.call_goes_on(live[which % len(live)], process, word)

    @precondition(lambda self: any(not call.picked_up for call in self.day.live))
    @rule(which=WHICH, answered_by=st.sampled_from(MOST_ANSWERERS), process=st.sampled_from([0, 1, 0, 1, None]))
    def somebody_answers(self, which: int, answered_by: str | None, process: int | None) -> None:
        """The provider asks a process what to speak, or reaches none."""
        unanswered = [call for call in self.day.live if not call.picked_up]
        self.program.somebody_answers(process, unanswered[which % len(unanswered)], answered_by)

    @precondition(lambda self: self.day.talking)
    @rule(which=WHICH, digits=st.sampled_from(KEYS), process=PROCESS)
    def a_key_is_pressed(self, which: int, digits: str, process: int) -> None:
        """Without digits, no key is pressed until the message is over."""
        talking = self.day.talking
        self.program.presses_key(process, talking[which % len(talking)], digits)

    @precondition(lambda self: any(not call.proven for call in self.day.talking))
    @rule(which=WHICH, process=PROCESS)
    def the_provider_cannot_use_our_answer(self, which: int, process: int) -> None:
        talking = [call for call in self.day.talking if not call.proven]
        self.program.loses_reply(process, talking[which % len(talking)])

    @precondition(lambda self: self.day.webhooks)
    @rule(which=st.integers(0, 99), process=PROCESS)
    def a_webhook_comes_late_or_again(self, which: int, process: int) -> None:
        """It may be any webhook that was sent so far."""
        self.program.webhook(process, *self.day.webhooks[which % len(self.day.webhooks)])

    # What other programs do

    @precondition(lambda self: len(self.day.book.reminders) < MOST_REMINDERS)
    @rule(phone=SOME_PHONE, after=TIMES, lasts=st.sampled_from([None, 10 * SECOND, 20 * MINUTE, 3 * DAY]))
    def another_program_adds_a_reminder(self, phone: str, after: timedelta, lasts: timedelta | None) -> None:
        at = self.day.now + after
        self.day.adds(phone, at, None if lasts is None else at + lasts)

    @precondition(lambda self: self.day.book.reminders)
    @rule(
        which=WHICH,
        how=st.sampled_from(["moves", "moves", "moves_and_reopens", "replaces", "upserts", "deletes_and_adds"]),
        by=st.sampled_from([None, None, -HOUR, 10 * MINUTE, HOUR, DAY]),
    )
    def another_program_writes_a_time(self, which: int, how: str, by: timedelta | None) -> None:
        """The time may be the same as before."""
        wanted = self.day.reminder(which)
        write = getattr(self.program.other, how)
        write(wanted, wanted.scheduled_at if by is None else self.day.now + by)

    @precondition(lambda self: self.day.book.reminders)
    @rule(
        which=WHICH,
        how=st.sampled_from(["message", "number", "number", "limit", "cancel", "delete"]),
        lasts=st.sampled_from([None, MINUTE, 30 * HOUR]),
    )
    def another_program_changes_a_reminder(self, which: int, how: str, lasts: timedelta | None) -> None:
        wanted, other = self.day.reminder(which), self.program.other
        match how:
            case "message":
                other.changes_the_message(wanted)
            case "number":
                other.changes_the_number(wanted, PHONES[wanted.phone_number == PHONES[0]])
            case "limit":
                other.changes_the_limit(wanted, None if lasts is None else self.day.now + lasts)
            case "cancel":
                other.cancels(wanted)
            case _:
                other.deletes(wanted)

    # How anybody changes appointments

    @precondition(lambda self: len(self.program.desk.diary.visits) < MOST_VISITS)
    @rule(phone=SOME_PHONE, ahead=st.sampled_from(BOOKED_AHEAD))
    def an_appointment_is_booked(self, phone: str, ahead: timedelta) -> None:
        self.program.desk.books(phone, self.day.now + ahead)

    @precondition(lambda self: self.program.desk.diary.visits)
    @rule(which=WHICH, how=st.sampled_from(HOW_IT_CHANGES), ahead=st.sampled_from(BOOKED_AHEAD))
    def an_appointment_changes(self, which: int, how: str, ahead: timedelta) -> None:
        self.day.an_appointment_changes(how, which, ahead)

    @precondition(lambda self: self.program.desk.diary.visits)
    @rule(process=PROCESS)
    def the_time_of_the_next_call_comes(self, process: int) -> None:
        self.day.sleeps(at_most=25 * HOUR)
        self.day.works(Work(process=process))

    # What staff do, or other programs in their place

    @rule(phone=SOME_PHONE, by_staff=st.booleans())
    def a_number_opts_out_or_in(self, phone: str, by_staff: bool) -> None:
        book, store = self.day.book, self.program.processes[0].store
        opts_in = phone in book.opted_out
        if not by_staff:
            (self.program.other.opts_in if opts_in else self.program.other.opts_out)(phone)
        elif opts_in:
            book.opted_out.discard(phone)
            store.write(partial(opt_in, phone_number=phone, actor="staff"))
        else:
            book.opted_out.add(phone)
            store.write(partial(opt_out, phone_number=phone, source="staff", actor="staff", rules=store.rules))

    @precondition(lambda self: self.day.book.opted_out)
    @rule()
    def all_numbers_opt_in(self) -> None:
        for phone in sorted(self.day.book.opted_out):
            self.program.other.opts_in(phone)

    @precondition(lambda self: self.day.book.reminders)
    @rule(which=WHICH, process=PROCESS)
    def staff_have_it_called_again(self, which: int, process: int) -> None:
        wanted, store = self.day.reminder(which), self.program.processes[process].store
        with suppress(NotAllowedError):
            store.write(partial(call_again, reminder_id=wanted.id, rules=store.rules, source=STAFF))
            self.program.circumstances.asked_again_at[wanted.name] = self.program.time.seconds
            wanted.is_cancelled = False
            wanted.again_until = store.reminder(wanted.id).again_until

    @precondition(lambda self: self.day.book.reminders)
    @rule(which=WHICH, process=PROCESS)
    def staff_cancel_it(self, which: int, process: int) -> None:
        wanted, store = self.day.reminder(which), self.program.processes[process].store
        with suppress(NotAllowedError):
            store.write(partial(cancel, reminder_id=wanted.id, rules=store.rules, source=STAFF))
            wanted.is_cancelled = True

    @precondition(lambda self: self.day.book.reminders)
    @rule(which=WHICH, process=PROCESS)
    def staff_accept_its_new_number(self, which: int, process: int) -> None:
        wanted, store = self.day.reminder(which), self.program.processes[process].store
        with suppress(NotAllowedError):
            store.write(partial(accept, reminder_id=wanted.id, rules=store.rules, source=STAFF))
            wanted.is_held = False

    @rule(by_staff=st.booleans())
    def dialing_is_paused_or_resumed(self, by_staff: bool) -> None:
        self.day.pauses(on=not self.program.circumstances.is_paused, by_staff=by_staff)

    # Tables and requests

    @rule(asks=ASKS, shape=SHAPES)
    def staff_import_a_table(self, asks: list[Ask], shape: Shape) -> None:
        self.day.front_desk.imports(self.day.front_desk.lines(asks), shape)

    @precondition(lambda self: self.day.front_desk.named)
    @rule(which=WHICH, shape=SHAPES)
    def staff_import_another_number(self, which: int, shape: Shape) -> None:
        """Import another number for a known `ref`, with everything else unchanged."""
        former = self.day.front_desk.named[which % len(self.day.front_desk.named)].phone_number
        ask = Ask(which=which, phone_number=PHONES[former == PHONES[0]])
        self.day.front_desk.imports(self.day.front_desk.lines([ask]), shape)

    @rule(asks=ASKS)
    def the_clinics_system_posts_reminders(self, asks: list[Ask]) -> None:
        self.day.front_desk.posts(self.day.front_desk.lines(asks))

    @precondition(lambda self: self.day.front_desk.posted)
    @rule(which=WHICH)
    def the_clinics_system_posts_the_same_again(self, which: int) -> None:
        posted = self.day.front_desk.posted
        self.day.front_desk.posts(posted[which % len(posted)])

    @precondition(lambda self: self.day.book.reminders)
    @rule(which=WHICH, deletes=st.booleans(), by_ref=st.booleans())
    def the_clinics_system_gets_or_deletes_a_reminder(self, which: int, deletes: bool, by_ref: bool) -> None:
        wanted = self.day.reminder(which)
        if deletes:
            self.day.front_desk.deletes(wanted, by_ref=by_ref)
        self.day.front_desk.gets(wanted)

    @rule(kills=st.booleans())
    def a_backup_is_made_or_restored(self, kills: bool) -> None:
        if self.program.backup is None:
            self.program.backs_up()
            return
        while not kills and self.day.has_suspended_tasks:
            self.day.finishes(0)
        self.program.restores()

    # What must hold

    @invariant()
    def the_day_goes_on_and_no_promise_is_broken(self) -> None:
        for _ in range(3):
            self.day.goes_on()
        self.day.check()

    def teardown(self) -> None:
        if hasattr(self, "stack"):
            with self.stack:
                if sys.exc_info()[0] is None:
                    self.day.ends_well()


class ProgramHistoriesOnPostgres(ProgramHistories):
    """The same on PostgreSQL. The rules are the same, and only the engine differs, so fewer histories are enough."""

    engine = "postgres"

    def __init__(self) -> None:
        skip_without_postgres()
        super().__init__()


TestProgramHistories = ProgramHistories.TestCase
TestProgramHistories.settings = settings(
    max_examples=HISTORIES, stateful_step_count=STEPS, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestProgramHistoriesOnPostgres = ProgramHistoriesOnPostgres.TestCase
TestProgramHistoriesOnPostgres.settings = settings(TestProgramHistories.settings, max_examples=HISTORIES_ON_POSTGRES)
