"""Play a clinic's day in whole-program histories: what may happen on any day, until everything is at rest."""

from datetime import datetime, timedelta
from functools import partial
from random import Random
from typing import Final

from attrs import define, field, frozen

from reminderd.core.answers import Report
from reminderd.store.examination import broken_promises
from reminderd.store.intake import Source
from reminderd.store.shared_state import set_pause
from reminderd.store.sqlite.driver import SqliteConnection
from reminderd.store.sqlite.integrity import integrity_errors
from tests.chaos.appointments import BOOKED_AHEAD, broken_in_the_plans
from tests.chaos.carrier import CarrierCall
from tests.chaos.endings import ENDINGS, HEARD, MOST_ANSWERERS, PROGRESS, Ending
from tests.chaos.front_desk import CHOICES, MOST_REMINDERS, PHONES, Ask, FrontDesk
from tests.chaos.other_programs import Book, Wanted
from tests.chaos.promises import broken_in_the_database, broken_in_the_outcomes, not_at_rest
from tests.chaos.simulated import MISREPORTED, MOODS, PLACED
from tests.chaos.snapshot import looking, snapshot_of
from tests.chaos.tables import CHOICES as SHAPES
from tests.chaos.tables import Shape
from tests.chaos.two_processes import (
    KILLED_AFTER,
    KILLED_BEFORE,
    SETTLES,
    SUSPENDED_AFTER,
    SUSPENDED_BEFORE,
    WORK_ENDS,
    Task,
    TwoProcesses,
    holds,
)
from tests.support.builders import HOUR, MINUTE, SECOND

STAFF: Final = Source(actor="staff")

MOST_MOODS: Final = (*(PLACED,) * 12, *MOODS, MISREPORTED)

KEYS: Final = ("", "", "1", "2", "3", "5", "9")
"""The keys that may be pressed; empty if no key was pressed before the end of the message."""

MOST_VISITS: Final = 3
HOW_IT_CHANGES: Final = (
    "moves",
    "moves_by_an_hour",
    "moves_by_an_hour",
    "staff_move",
    "posts_a_move",
    "posts_the_same",
    "posts_a_number",
    "staff_accept",
    "changes_the_number",
    "cancels",
    "books_again",
    "staff_cancel",
    "staff_call_manually",
    "replaces",
    "deletes",
)

_A_MOMENT: Final = timedelta(milliseconds=37)
"""The offset of each event, so that no two events happen at the same time."""


@frozen
class Work:
    """What happens to a claim in a process."""

    process: int = 0
    end: str = SETTLES
    mood: str = PLACED
    counts: bool = True
    requests: int = 2
    meanwhile: int | None = None
    """The statement that another program runs before the request is sent, and before its answer is recorded; None if
    none."""


@define(kw_only=True)
class ClinicDay:
    """The running program, and what may happen to it on any day."""

    program: TwoProcesses
    dice: Random
    may_be_misreported: bool
    """Whether a provider may answer that it has not placed a call that it has placed."""
    errors: list[str]
    """Exceptions that the program has logged."""
    webhooks: list[tuple[CarrierCall, Report]] = field(factory=list)
    """All webhooks that were ever sent."""
    front_desk: FrontDesk = field(init=False)
    _names: int = 0

    def __attrs_post_init__(self) -> None:
        self.front_desk = FrontDesk(program=self.program)

    @property
    def book(self) -> Book:
        return self.program.book

    @property
    def now(self) -> datetime:
        return self.program.time.now

    @property
    def live(self) -> list[CarrierCall]:
        return [call for call in self.program.calls if call.is_live]

    @property
    def talking(self) -> list[CarrierCall]:
        """Return the live calls in which something was spoken, and keys are listened for."""
        return [one for one in self.live if one.question is not None and one.spoken]

    @property
    def has_suspended_tasks(self) -> bool:
        return any(process.tasks for process in self.program.processes)

    def reminder(self, which: int) -> Wanted:
        return list(self.book.reminders.values())[which % len(self.book.reminders)]

    def goes_on(self) -> None:
        """Let a moment pass in which processes work and calls progress, and little fails."""
        dice, program = self.dice, self.program
        program.passes(_A_MOMENT)
        if program.circumstances.is_paused and dice.random() < 0.3:
            self.pauses(on=False)
        if len(self.book.reminders) < MOST_REMINDERS and dice.random() < 0.15:
            self.adds(dice.choice(PHONES[:2]), self.now + dice.choice((0, 1, 20)) * MINUTE)
        if self.book.reminders and dice.random() < 0.08:
            writes_again = dice.choice((program.other.replaces, program.other.upserts))
            wanted = self._one_of_the_last_called() or self.reminder(dice.randrange(9))
            writes_again(wanted, wanted.scheduled_at)
        self._appointments_come_and_change()
        if self.has_suspended_tasks and dice.random() < 0.3:
            self.finishes(dice.randrange(9), dice.choice(MOST_MOODS))
        if dice.random() < 0.6:
            if dice.random() < 0.5:
                self.sleeps(at_most=dice.choice((2, 2, 2, 15, 120)) * MINUTE)
            end = SETTLES if dice.random() < 0.7 else dice.choice(WORK_ENDS)
            meanwhile = dice.randrange(99) if dice.random() < 0.15 else None
            mood = dice.choice(MOST_MOODS)
            self.works(Work(process=dice.randrange(2), end=end, mood=mood, meanwhile=meanwhile))
        if self.live and dice.random() < 0.04:
            program.sets_the_clock(dice.choice((-30, 20, 30)) * MINUTE)
        self._calls_go_on()
        if dice.random() < 0.06:
            self._is_handed_something()

    def _appointments_come_and_change(self) -> None:
        dice, desk = self.dice, self.program.desk
        if len(desk.diary.visits) < MOST_VISITS and dice.random() < 0.05:
            desk.books(dice.choice(PHONES[:2]), self.now + dice.choice(BOOKED_AHEAD))
        if desk.diary.visits and dice.random() < 0.08:
            self.an_appointment_changes(dice.choice(HOW_IT_CHANGES), dice.randrange(9), dice.choice(BOOKED_AHEAD))

    def _is_handed_something(self) -> None:
        """Have staff import a table, or the clinic's own system send or cancel some reminders."""
        dice, store = self.dice, self.front_desk
        asks = [Ask(**{name: dice.choice(some) for name, some in CHOICES.items()}) for _ in range(dice.randrange(1, 4))]
        what = dice.randrange(5)
        if what < 3:
            store.imports(store.lines(asks), Shape(**{name: dice.choice(some) for name, some in SHAPES.items()}))
        elif what == 3 or not self.book.reminders:
            again = store.posted and dice.random() < 0.3
            store.posts(dice.choice(store.posted) if again else store.lines(asks))
        else:
            store.deletes(self.reminder(dice.randrange(9)), by_ref=dice.random() < 0.5)

    def _calls_go_on(self) -> None:
        dice, program = self.dice, self.program
        for call in self.live:
            process = dice.randrange(2)
            if not call.picked_up and dice.random() < 0.05:
                program.somebody_answers(process, call, dice.choice(MOST_ANSWERERS))
            is_about_an_appointment = any("|" in one.name for one in call.spoken)
            if call in self.talking and dice.random() < (0.4 if is_about_an_appointment else 0.1):
                program.presses_key(process, call, dice.choice(KEYS))
            if call in self.talking and not call.proven and dice.random() < 0.05:
                program.loses_reply(process, call)
            if dice.random() < 0.1:
                self.call_ends(call, process, dice.choice(ENDINGS), dice.choice(MOST_ANSWERERS))
            elif dice.random() < 0.05:
                self.call_goes_on(call, process, dice.choice(PROGRESS))

    def _one_of_the_last_called(self) -> Wanted | None:
        names = [
            one.name for call in self.program.calls[-3:] for one in call.subjects if one.name in self.book.reminders
        ]
        return self.book.reminders[self.dice.choice(names)] if names else None

    # The processes

    def sleeps(self, at_most: timedelta = timedelta.max) -> None:
        """Let time pass until something is due, if anything will ever be due."""
        wake = self.program.next_wake()
        if wake is not None and wake > self.now:
            self.program.passes(min(wake - self.now, at_most))

    def works(self, work: Work) -> None:
        """Have a process claim what is due, act on it, and settle it, unless something interrupts it."""
        program, mood = self.program, self._possible(work.mood)
        for claimed in program.claim(work.process, work.requests):
            self._writes_meanwhile(claimed, work.meanwhile)
            is_before = work.end in {SUSPENDED_BEFORE, KILLED_BEFORE}
            task = claimed if is_before else program.do(work.process, claimed, mood)
            if work.end in {SUSPENDED_BEFORE, SUSPENDED_AFTER}:
                program.processes[work.process].tasks.append(task)
            elif work.end == SETTLES:
                self._writes_meanwhile(claimed, work.meanwhile)
                program.settle(work.process, task, counts=work.counts)
        if work.end in {KILLED_BEFORE, KILLED_AFTER}:
            program.restart(work.process)

    def _writes_meanwhile(self, task: Task, which: int | None) -> None:
        """Have another program write to the rows that a process works on."""
        ids, other = {one.id for one in task.action.reminders}, self.program.other
        found = [wanted for wanted in self.book.reminders.values() if wanted.id in ids]
        visits = list(filter(None, map(self.program.desk.diary.visit_of, task.action.reminders)))
        if which is not None and visits:
            place = list(self.program.desk.diary.visits.values()).index(visits[0])
            how = HOW_IT_CHANGES[which % len(HOW_IT_CHANGES)]
            self.an_appointment_changes(how, place, BOOKED_AHEAD[which % len(BOOKED_AHEAD)])
        if which is None or not found:
            return
        wanted = found[which % len(found)]
        statements = (
            partial(other.changes_the_message, wanted),
            partial(other.changes_the_limit, wanted, self.now),
            partial(other.changes_the_number, wanted, PHONES[wanted.phone_number == PHONES[0]]),
            partial(other.moves, wanted, self.now + 10 * MINUTE),
            partial(other.replaces, wanted, wanted.scheduled_at),
            partial(other.cancels, wanted),
            partial(other.deletes, wanted),
            partial(other.opts_out, wanted.phone_number),
            partial(self.pauses, on=True, by_staff=False),
        )
        statements[which % len(statements)]()

    def finishes(self, which: int, mood: str = PLACED, *, counts: bool = True) -> None:
        """Have a process continue a task during which it was suspended."""
        suspended = [(place, task) for place, one in enumerate(self.program.processes) for task in one.tasks]
        process, task = suspended[which % len(suspended)]
        self.program.processes[process].tasks.remove(task)
        done = task if task.outcome is not None else self.program.do(process, task, self._possible(mood))
        self.program.settle(process, done, counts=counts)

    def _possible(self, mood: str) -> str:
        return PLACED if mood == MISREPORTED and not self.may_be_misreported else mood

    # Calls

    def call_goes_on(self, call: CarrierCall, process: int | None, word: str) -> None:
        """Report a call's progress to a process, or leave its webhook undelivered for now."""
        self._sends(call, process, self.program.tells(call, word))

    def call_ends(self, call: CarrierCall, process: int | None, ending: Ending, answered_by: str | None) -> None:
        """End a call, which somebody has answered if its ending says so; report it to a process, as above."""
        if ending.means in {"completed", "hung-up"} and not call.picked_up:
            self.program.somebody_answers(process, call, answered_by)
        is_over_at = call.is_over_at(ending) or 0.0
        self.program.passes(max(is_over_at - self.program.time.seconds, 0.0) * SECOND)
        self.program.carriers[call.account].finishes(call, ending, self.program.time.seconds)
        if ending.asks_first and process is not None and call.ended == self.program.time.seconds:
            self.program.asks_what_follows(process, call)
        self._sends(call, process, self.program.tells(call))

    def _sends(self, call: CarrierCall, process: int | None, report: Report) -> None:
        self.webhooks.append((call, report))
        if process is not None:
            self.program.webhook(process, call, report)

    # Appointments

    def an_appointment_changes(self, how: str, which: int, ahead: timedelta) -> None:
        """Have another program, the clinic's own system or staff change an appointment."""
        desk = self.program.desk
        visit = desk.visit(which)
        other, at = PHONES[visit.phone_number == PHONES[0]], self.now + ahead
        match how:
            case "moves" | "staff_move":
                getattr(desk, how)(visit, at)
            case "moves_by_an_hour":
                desk.moves(visit, visit.at + (HOUR if which % 2 else -HOUR))
            case "changes_the_number":
                desk.changes_the_number(visit, other)
            case "posts_the_same":
                desk.posts(visit, visit.phone_number, visit.at)
            case "posts_a_move":
                desk.posts(visit, visit.phone_number, at)
            case "posts_a_number":
                desk.posts(visit, other, visit.at)
            case "staff_call_manually":
                desk.staff_call_manually(visit, which)
            case _:
                getattr(desk, how)(visit)

    # Reminders

    def adds(self, phone: str, at: datetime, expires_at: datetime | None = None) -> None:
        """Have another program add a reminder."""
        self.program.other.adds(self.book.new(self._new_name("r"), phone, at, expires_at=expires_at))

    def _new_name(self, prefix: str) -> str:
        self._names += 1
        return f"{prefix}-{self._names}"

    def pauses(self, *, on: bool, by_staff: bool = True) -> None:
        """Pause all dialing, or end the pause, by a command or by another program's SQL."""
        self.program.circumstances.is_paused = on
        if by_staff:
            self.program.processes[0].store.write(partial(set_pause, on=on, reason=None, actor="staff"))
        else:
            self.program.other.pauses(on=on)

    # What must hold

    def check(self, *, at_rest: bool = False) -> None:
        """Compare the database with the clinic's book and the provider's record."""
        with looking(self.program.database) as connection:
            found = snapshot_of(connection)
            holds(broken_promises(connection))
            holds(integrity_errors(connection) if at_rest and isinstance(connection, SqliteConnection) else [])
            holds(broken_in_the_plans(connection, self.program.desk.diary, self.now))
        holds(self.errors)
        holds(broken_in_the_database(found, self.program.calls, self.program.circumstances))
        holds(broken_in_the_outcomes(found, self.program.calls, self.program.circumstances))
        holds(not_at_rest(found) if at_rest else [])

    def ends_well(self) -> None:
        """Let time pass without faults, with all webhooks delivered, and check that everything ends."""
        for process in range(2):
            self.program.restart(process)
        self.pauses(on=False)
        for turn in range(300):
            for call in self.program.calls:
                if call.is_live:
                    self.call_ends(call, 0, HEARD, None)
                elif not call.is_reported:
                    self.program.webhook(0, call, self.program.tells(call))
            if self.program.next_wake() is None:
                break
            self.sleeps()
            quiet_until = self.program.circumstances.quiet_until or self.now
            self.program.passes(max(quiet_until - self.now, 0 * MINUTE))
            self.works(Work())
            self.program.passes(MINUTE if turn < 100 else 5 * HOUR)
        self.check(at_rest=True)
