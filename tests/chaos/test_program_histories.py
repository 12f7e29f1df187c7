"""Random histories of the whole program, held against the provider's own record and the clinic's own book.

Two processes on one file are killed, restarted and configured anew, while other programs write with the SQL of
docs/database.md, staff cancel, call again, pause, import and restore a backup, and the wall clock is set. The rules
alone are played so in `tests/core/lifecycle/test_histories.py`, claims and fences in `test_store_histories.py`.
"""

import os
from contextlib import ExitStack, suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

import pytest
from attrs import evolve, frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from loguru import logger

from reminderd.core.answers import Capabilities
from reminderd.core.conversation import Question
from reminderd.core.imported import Intake
from reminderd.core.intake import ReminderRequest, read_request
from reminderd.core.lifecycle.staff import NotAllowedError
from reminderd.core.model import TERMINAL
from reminderd.core.window import Window
from reminderd.store.opt_outs import opt_in, opt_out
from reminderd.store.pauses import set_pause
from reminderd.store.queries import broken_promises
from reminderd.store.reminders import RefusedError, Source, call_again, cancel, put_all
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.integrity import check
from tests.chaos.carrier import Account, CarrierCall, message_for
from tests.chaos.other_programs import Wanted
from tests.chaos.promises import broken_in_the_database, not_at_rest
from tests.chaos.simulated import MISREPORTED, MOODS, PLACED
from tests.chaos.snapshot import looking, snapshot_of
from tests.chaos.two_processes import (
    ALL_DAY,
    OFFICE_HOURS,
    WEEKDAY_MORNINGS,
    Configuration,
    TwoProcesses,
    holds,
)
from tests.support.nouns import ACCOUNT, DAY, HOUR, MINUTE, SECOND

pytestmark = pytest.mark.chaos

HISTORIES: Final = int(os.environ.get("REMINDERD_PROGRAM_HISTORIES", "40"))
STEPS: Final = 50

SETTLES, SUSPENDED_BEFORE, SUSPENDED_AFTER, KILLED_BEFORE, KILLED_AFTER = FATES = (
    "settles",
    "suspended before the request",
    "suspended after it",
    "killed before it",
    "killed after it",
)
PHONES: Final = ("+15550100001", "+15550100002", "+15550100003")
SOME_PHONE: Final = st.sampled_from((*PHONES[:1] * 3, *PHONES))
MOST_REMINDERS: Final = 8
STAFF: Final = Source(actor="staff")
A_MOMENT: Final = timedelta(milliseconds=37)
"""Nothing happens twice at the same time."""

TWILIO: Final = Capabilities(look_up=True, drop=True, asks_what_to_say=True)
GENERIC: Final = st.builds(
    Capabilities, honours_key=st.booleans(), key_lifetime=st.sampled_from([HOUR, 23 * HOUR]), look_up=st.booleans()
)
TIMES: Final = st.sampled_from([-HOUR, 0 * MINUTE, 10 * MINUTE, HOUR, DAY])
WHICH: Final = st.integers(0, 9)
PROCESS: Final = st.integers(0, 1)


@frozen
class Work:
    """How a process fares with what it claims."""

    process: int = 0
    fate: str = SETTLES
    mood: str = PLACED
    counts: bool = True
    requests: int = 2


MOST_MOODS: Final = (*(PLACED,) * 12, *MOODS, MISREPORTED)
MOST_WORDS: Final = (*sorted(TERMINAL), "ringing", "held", "completed", "completed", "busy", "no-answer")
ANSWERERS: Final = (None, "human", "machine_start")
WORK: Final = st.builds(
    Work,
    process=PROCESS,
    fate=st.sampled_from((SETTLES, SETTLES, SETTLES, *FATES)),
    mood=st.sampled_from(MOST_MOODS),
    counts=st.booleans(),
    requests=st.sampled_from((2, 2, 1, 0)),
)
CHANGES: Final = st.sampled_from(
    [
        {"window": ALL_DAY},
        {"window": OFFICE_HOURS},
        {"window": WEEKDAY_MORNINGS},
        {"max_lateness": HOUR},
        {"max_lateness": 72 * HOUR},
        {"max_calls": 1},
        {"max_calls": 4},
        {"per_day": 1},
        {"per_day": 0},
        {"group_within": 2 * HOUR},
        {"group_within": 0 * HOUR},
    ]
)


class ProgramHistories(RuleBasedStateMachine):
    """A clinic, its staff and other programs, two processes on one file, and two providers with two accounts each."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = ExitStack()
        self.is_sound = True
        self.errors: list[str] = []
        sink = logger.add(self.errors.append, level="ERROR", filter=lambda one: one["exception"] is not None)
        self.stack.callback(logger.remove, sink)

    @initialize(
        generic=GENERIC,
        echoes_attempt_id=st.sampled_from([True, True, False]),
        is_twilio=st.booleans(),
        look_up_lag=st.sampled_from([0 * SECOND, 3 * MINUTE, 6 * HOUR]),
        can_be_misreported=st.sampled_from([False, False, True]),
        ring_again=st.booleans(),
        voicemail_is_reached=st.booleans(),
        group_within=st.sampled_from([0 * SECOND, 2 * HOUR]),
        window=st.sampled_from([ALL_DAY, OFFICE_HOURS]),
        dice=st.integers(0, 2**32).map(Random),
    )
    def opens(
        self,
        generic: Capabilities,
        echoes_attempt_id: bool,
        is_twilio: bool,
        look_up_lag: timedelta,
        can_be_misreported: bool,
        ring_again: bool,
        voicemail_is_reached: bool,
        group_within: timedelta,
        window: Window,
        dice: Random,
    ) -> None:
        self.dice = dice
        first, second = (
            Account(provider="generic", account=one, capabilities=generic, echoes_attempt_id=echoes_attempt_id)
            for one in (ACCOUNT, "https://other.example")
        )
        third, fourth = (Account(provider="twilio", account=one, capabilities=TWILIO) for one in ("AC1", "AC2"))
        self.accounts = (third, fourth, first, second) if is_twilio else (first, second, third, fourth)
        self.can_be_misreported = can_be_misreported
        self.webhooks: list[tuple[CarrierCall, str]] = []
        self.names = 0
        configuration = Configuration(
            account=self.accounts[0],
            window=window,
            group_within=group_within,
            ring_again=ring_again,
            voicemail_is_reached=voicemail_is_reached,
        )
        folder = Path(self.stack.enter_context(TemporaryDirectory()))
        self.program = TwoProcesses(folder, configuration, self.accounts, look_up_lag)
        self.book, self.circumstances = self.program.book, self.program.circumstances
        for phone in (PHONES[0], PHONES[0], PHONES[1]):
            self._adds(phone, 0 * SECOND, None)

    # What the two processes do

    @precondition(lambda self: self.program.next_wake())
    @rule(work=WORK, sleeps=st.booleans())
    def a_process_works(self, work: Work, sleeps: bool) -> None:
        """It claims what is due, does it, and settles it, if it comes so far."""
        if sleeps:
            self._sleeps()
        self._works(work)

    @precondition(lambda self: any(one.tasks for one in self.program.processes))
    @rule(which=WHICH, mood=st.sampled_from(MOODS), counts=st.booleans())
    def a_suspended_process_goes_on(self, which: int, mood: str, counts: bool) -> None:
        """Perhaps long after, when others have come to other conclusions."""
        self._goes_on(which, mood, counts=counts)

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
        """Which takes effect at the next start."""
        self.program.configuration = evolve(self.program.configuration, account=self.accounts[which])
        for process in restarts:
            self.program.restart(process)

    @rule(pause=st.sampled_from([30 * SECOND, 3 * MINUTE, 20 * MINUTE, 2 * HOUR, 25 * HOUR]))
    def time_passes(self, pause: timedelta) -> None:
        self.program.passes(pause)

    @rule(
        by=st.sampled_from(
            [-30 * MINUTE, -30 * MINUTE, -5 * HOUR, -30 * HOUR, 30 * MINUTE, 30 * MINUTE, 5 * HOUR, 30 * HOUR]
        )
    )
    def the_clock_is_set(self, by: timedelta) -> None:
        self.program.sets_the_clock(by)

    def _sleeps(self) -> None:
        self.program.passes(
            max((self.program.next_wake() or self.program.time.now) - self.program.time.now, 0 * SECOND)
        )

    def _works(self, work: Work) -> None:
        program, mood = self.program, self._possible(work.mood)
        for claimed in program.claim(work.process, work.requests):
            is_before = work.fate in {SUSPENDED_BEFORE, KILLED_BEFORE}
            task = claimed if is_before else program.do(work.process, claimed, mood)
            if work.fate in {SUSPENDED_BEFORE, SUSPENDED_AFTER}:
                program.processes[work.process].tasks.append(task)
            elif work.fate == SETTLES:
                program.settle(work.process, task, counts=work.counts)
        if work.fate in {KILLED_BEFORE, KILLED_AFTER}:
            program.restart(work.process)

    def _goes_on(self, which: int, mood: str, *, counts: bool) -> None:
        suspended = [(place, task) for place, one in enumerate(self.program.processes) for task in one.tasks]
        process, task = suspended[which % len(suspended)]
        self.program.processes[process].tasks.remove(task)
        done = task if task.outcome is not None else self.program.do(process, task, self._possible(mood))
        self.program.settle(process, done, counts=counts)

    def _possible(self, mood: str) -> str:
        return PLACED if mood == MISREPORTED and not self.can_be_misreported else mood

    # What the provider and patients do

    @precondition(lambda self: self._live())
    @rule(
        which=WHICH,
        word=st.sampled_from(MOST_WORDS),
        answered_by=st.sampled_from(ANSWERERS),
        process=st.sampled_from([0, 1, None]),
    )
    def a_call_goes_on(self, which: int, word: str, answered_by: str | None, process: int | None) -> None:
        """Its webhook arrives at once, or stays under way."""
        self._goes_on_ringing(self._one_of_the_live(which), process, word, answered_by)

    @precondition(lambda self: any(not call.picked_up for call in self._live()))
    @rule(which=WHICH, answered_by=st.sampled_from(ANSWERERS), process=PROCESS)
    def somebody_answers(self, which: int, answered_by: str | None, process: int) -> None:
        ringing = [call for call in self._live() if not call.picked_up]
        self.program.is_answered(process, ringing[which % len(ringing)], answered_by)

    @precondition(lambda self: any(self._talks(call) for call in self._live()))
    @rule(which=WHICH, digits=st.sampled_from("1239"), question=st.sampled_from(Question), process=PROCESS)
    def a_key_is_pressed(self, which: int, digits: str, question: Question, process: int) -> None:
        talking = [call for call in self._live() if self._talks(call)]
        self.program.key_is_pressed(process, talking[which % len(talking)], digits, question)

    @precondition(lambda self: self.webhooks)
    @rule(which=st.integers(0, 99), process=PROCESS)
    def a_webhook_comes_late_or_again(self, which: int, process: int) -> None:
        self.program.webhook(process, *self.webhooks[which % len(self.webhooks)])

    def _live(self) -> list[CarrierCall]:
        return [call for call in self.program.calls if call.is_live]

    def _one_of_the_live(self, which: int) -> CarrierCall:
        live = self._live()
        return live[which % len(live)]

    def _talks(self, call: CarrierCall) -> bool:
        return call.account.capabilities.asks_what_to_say and call.picked_up and bool(call.spoken)

    # What other programs do

    @precondition(lambda self: len(self.book.reminders) < MOST_REMINDERS)
    @rule(
        phone=SOME_PHONE,
        after=TIMES,
        lasts=st.sampled_from([None, 10 * SECOND, 20 * MINUTE, 3 * DAY]),
    )
    def another_program_adds_a_reminder(self, phone: str, after: timedelta, lasts: timedelta | None) -> None:
        self._adds(phone, after, lasts)

    def _adds(self, phone: str, after: timedelta, lasts: timedelta | None) -> None:
        at = self.program.time.now + after
        expires_at = None if lasts is None else at + lasts
        self.program.other.adds(self.book.new(self._new_name("r"), phone, at, expires_at=expires_at))

    def _new_name(self, prefix: str) -> str:
        self.names += 1
        return f"{prefix}-{self.names}"

    @precondition(lambda self: self.book.reminders)
    @rule(
        which=WHICH,
        how=st.sampled_from(["moves", "moves", "moves_and_reopens", "replaces", "upserts", "deletes_and_adds"]),
        by=st.sampled_from([None, None, *(-HOUR, 10 * MINUTE, HOUR, DAY)]),
    )
    def another_program_writes_a_time(self, which: int, how: str, by: timedelta | None) -> None:
        """Perhaps the one that was there."""
        wanted = self._one_of_the_reminders(which)
        at = wanted.scheduled_at if by is None else self.program.time.now + by
        getattr(self.program.other, how)(wanted, at)

    @precondition(lambda self: self.book.reminders)
    @rule(
        which=WHICH,
        how=st.sampled_from(["message", "number", "number", "limit", "cancel", "delete"]),
        lasts=st.sampled_from([None, MINUTE, 30 * HOUR]),
    )
    def another_program_changes_a_reminder(self, which: int, how: str, lasts: timedelta | None) -> None:
        wanted, other = self._one_of_the_reminders(which), self.program.other
        match how:
            case "message":
                other.changes_the_message(wanted)
            case "number":
                other.changes_the_number(wanted, PHONES[wanted.phone_number == PHONES[0]])
            case "limit":
                other.changes_the_limit(wanted, None if lasts is None else self.program.time.now + lasts)
            case "cancel":
                other.cancels(wanted)
            case _:
                other.deletes(wanted)

    @rule(phone=SOME_PHONE, by_staff=st.booleans())
    def a_number_opts_out_or_in(self, phone: str, by_staff: bool) -> None:
        opts_in, desk = phone in self.book.opted_out, self.program.processes[0].desk
        if not by_staff:
            (self.program.other.opts_in if opts_in else self.program.other.opts_out)(phone)
        elif opts_in:
            self.book.opted_out.discard(phone)
            desk.write(partial(opt_in, phone_number=phone, actor="staff"))
        else:
            self.book.opted_out.add(phone)
            desk.write(partial(opt_out, phone_number=phone, source="staff", actor="staff", rules=desk.rules))

    @precondition(lambda self: self.book.opted_out)
    @rule()
    def all_numbers_opt_in(self) -> None:
        for phone in sorted(self.book.opted_out):
            self.program.other.opts_in(phone)

    def _one_of_the_reminders(self, which: int) -> Wanted:
        return list(self.book.reminders.values())[which % len(self.book.reminders)]

    # What staff do

    @precondition(lambda self: self.book.reminders)
    @rule(which=WHICH, process=PROCESS)
    def staff_have_it_called_again(self, which: int, process: int) -> None:
        wanted, desk = self._one_of_the_reminders(which), self.program.processes[process].desk
        with suppress(NotAllowedError):
            desk.write(partial(call_again, reminder_id=wanted.id, rules=desk.rules, source=STAFF))
            self.circumstances.asked_again_at[wanted.name] = self.program.time.seconds
            wanted.is_cancelled, wanted.again_until = False, desk.reminder(wanted.id).again_until

    @precondition(lambda self: self.book.reminders)
    @rule(which=WHICH, process=PROCESS)
    def staff_cancel_it(self, which: int, process: int) -> None:
        wanted, desk = self._one_of_the_reminders(which), self.program.processes[process].desk
        with suppress(NotAllowedError):
            desk.write(partial(cancel, reminder_id=wanted.id, rules=desk.rules, source=STAFF))
            wanted.is_cancelled = True

    @rule(by_command=st.booleans())
    def staff_pause_or_resume(self, by_command: bool) -> None:
        self._pauses(by_command=by_command, on=not self.circumstances.is_paused)

    @precondition(lambda self: self.circumstances.is_paused)
    @rule()
    def staff_resume(self) -> None:
        self._pauses(by_command=True, on=False)

    def _pauses(self, *, by_command: bool, on: bool) -> None:
        self.circumstances.is_paused = on
        if by_command:
            self.program.processes[0].desk.write(partial(set_pause, on=on, reason=None, actor="staff"))
        else:
            self.program.other.pauses(on=on)

    @rule(which=WHICH, phone=SOME_PHONE, after=TIMES, adds=st.booleans())
    def staff_import_a_file(self, which: int, phone: str, after: timedelta, adds: bool) -> None:
        """It has a line for a new reminder, or a new time for one that was imported before."""
        imported = [one for one in self.book.reminders.values() if one.ref is not None]
        known = None if adds or not imported else imported[which % len(imported)]
        if known is None and len(self.book.reminders) >= MOST_REMINDERS:
            return
        name = self._new_name("imported") if known is None else known.name
        at = self.program.time.now + after
        request = read_request(
            phone_number=phone,
            message=message_for(name),
            scheduled_at=at.isoformat(),
            expires_at=None,
            timezone=None,
            ref=name,
            zone=ALL_DAY.zone,
        )
        assert isinstance(request, ReminderRequest), request
        desk, id_of_it = self.program.processes[0].desk, f"{self.names:032x}"
        stores = partial(put_all, requests=[request], rules=desk.rules, mint=lambda: id_of_it, source=STAFF)
        with suppress(RefusedError):
            [(stored, decision)] = desk.write(stores)
            if decision.intake is not Intake.UNCHANGED:
                former = self.book.reminders.get(name)
                wanted = self.book.new(name, phone, request.scheduled_at, id=str(stored.reminder["id"]), ref=name)
                if former is not None:
                    wanted.life, wanted.is_cancelled = former.life, former.is_cancelled

    @rule(kills=st.booleans())
    def a_backup_is_made_or_restored(self, kills: bool) -> None:
        if self.program.backup is None:
            self.program.backs_up()
            return
        while not kills and any(one.tasks for one in self.program.processes):
            self._goes_on(0, PLACED, counts=True)
        self.program.restores()

    # What must hold

    @invariant()
    def all_is_well(self) -> None:
        if not hasattr(self, "program"):
            return
        self.is_sound = False
        self._lives_on()
        self._check(at_rest=False)
        self.is_sound = True

    def _lives_on(self) -> None:
        """Let a moment of an ordinary day pass: a process works, calls go on, and little goes wrong."""
        dice, program = self.dice, self.program
        program.passes(A_MOMENT)
        if dice.random() < 0.3 and self.circumstances.is_paused:
            self._pauses(by_command=True, on=False)
        if dice.random() < 0.15 and len(self.book.reminders) < MOST_REMINDERS:
            self._adds(dice.choice(PHONES[:2]), dice.choice((0, 1, 20)) * MINUTE, None)
        if dice.random() < 0.2 and any(one.tasks for one in program.processes):
            self._goes_on(dice.randrange(9), dice.choice(MOST_MOODS), counts=True)
        if dice.random() < 0.6:
            if program.next_wake() is not None and dice.random() < 0.4:
                self._sleeps()
            fate = SETTLES if dice.random() < 0.8 else dice.choice(FATES)
            self._works(Work(process=dice.randrange(2), fate=fate, mood=dice.choice(MOST_MOODS)))
        for call in self._live():
            if dice.random() < 0.25:
                self._goes_on_ringing(call, dice.choice((0, 1)), dice.choice(MOST_WORDS), dice.choice(ANSWERERS))

    def _goes_on_ringing(self, call: CarrierCall, process: int | None, word: str, answered_by: str | None) -> None:
        """Report a word, after somebody has answered if there is a call to be spoken in."""
        if word == "completed" and not call.picked_up:
            self.program.is_answered(process, call, answered_by)
        if word in TERMINAL:
            self.program.carriers[call.account].ends(call, word)
        self.webhooks.append((call, word))
        if process is not None:
            self.program.webhook(process, call, word)

    def _check(self, *, at_rest: bool) -> None:
        with looking(self.program.path) as connection:
            found = snapshot_of(connection)
            long_ago = to_ms(self.program.time.now) if at_rest else 0
            holds(broken_promises(connection, long_ago=long_ago))
            holds(check(connection) if at_rest else [])
        holds(self.errors)
        holds(broken_in_the_database(found, self.program.calls, self.accounts[0], self.circumstances))
        holds(not_at_rest(found) if at_rest else [])

    def teardown(self) -> None:
        if hasattr(self, "program"):
            try:
                if self.is_sound:
                    self._ends_well()
            finally:
                self.program.close()
        self.stack.close()

    def _ends_well(self) -> None:
        """Nothing goes wrong any more, time passes, all webhooks arrive: everything comes to rest."""
        for process in range(2):
            self.program.restart(process)
        self._pauses(by_command=True, on=False)
        for _ in range(300):
            for call in self.program.calls:
                if call.is_live and not call.picked_up:
                    self.program.is_answered(0, call, None)
                if call.is_live:
                    self.program.carriers[call.account].ends(call, "completed")
                if not call.is_reported:
                    self.program.webhook(0, call, call.end or "")
            if self.program.next_wake() is None:
                break
            self._sleeps()
            quiet_until = self.circumstances.quiet_until
            if quiet_until is not None:
                self.program.passes(max(quiet_until - self.program.time.now, 0 * SECOND))
            self._works(Work())
            self.program.passes(MINUTE)
        self._check(at_rest=True)


TestProgramHistories = ProgramHistories.TestCase
TestProgramHistories.settings = settings(
    max_examples=HISTORIES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
