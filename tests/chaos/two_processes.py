"""Run the whole program without sockets: two processes on a database, with their clock, accounts and provider.

Every transaction is the real store's, every decision the real core's.
"""

from collections.abc import Iterable
from contextlib import ExitStack
from datetime import datetime, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from typing import Final

from attrs import define, evolve, field, frozen

from reminderd.core.answers import Candidates, Found, LookUpAnswer, NoAnswer, NotFound, PlacingAnswer, Report
from reminderd.core.lifecycle.answer import last_look
from reminderd.core.lifecycle.transition import Action, ActionKind, Transition
from reminderd.core.model import TERMINAL
from reminderd.core.rules import Rules
from reminderd.core.script.prompts import Question
from reminderd.databases import SqliteFile, Target
from reminderd.providers.base import placement_of
from reminderd.store.any_engine import open_sync
from reminderd.store.claims import wake_waiting
from reminderd.store.connection import transaction
from reminderd.store.errors import UnknownReminderError
from reminderd.store.restored import hold_after
from reminderd.store.settle import Spoken, read_for_last_look
from reminderd.store.sqlite.backups import back_up
from reminderd.store.sqlite.restoring import restore
from reminderd.store.stats import next_wakes
from tests.chaos.appointment_desk import AppointmentDesk
from tests.chaos.appointments import Diary, broken_by_a_call, broken_by_what_is_spoken, spoken_of, subjects_of
from tests.chaos.carrier import Carrier, CarrierCall
from tests.chaos.configurations import Account, Configuration
from tests.chaos.databases import Dump, dump, hurry, put_back
from tests.chaos.endings import Who, takes
from tests.chaos.other_programs import Book, OtherProgram, opened
from tests.chaos.promises import Circumstances, broken_by_a_new_call
from tests.chaos.snapshot import is_committed
from tests.support.builders import NOW, RULES, SECOND
from tests.support.store import Store

REQUEST_TIMEOUT: Final = 20 * SECOND

SETTLES, SUSPENDED_BEFORE, SUSPENDED_AFTER, KILLED_BEFORE, KILLED_AFTER = WORK_ENDS = (
    "settles",
    "suspended before the request",
    "suspended after it",
    "killed before it",
    "killed after it",
)
"""How the work of a process on its claim ends."""


class BrokenError(AssertionError):
    """A promise was broken."""


@define
class Time:
    """The true time, and the time that the wall clock shows."""

    passed: timedelta = timedelta(0)
    skew: timedelta = timedelta(0)

    @property
    def seconds(self) -> float:
        return self.passed.total_seconds()

    @property
    def now(self) -> datetime:
        return NOW + self.passed + self.skew


@frozen
class Task:
    """A claim of a process, which finishes it by the rules with which it began."""

    action: Action
    rules: Rules
    account: Account
    claimed_at: float
    outcome: PlacingAnswer | LookUpAnswer | Candidates | str | None = None
    """An answer, a finding, or why nothing was sent; None before that."""


@define
class Process:
    """The state of one process."""

    store: Store
    life: ExitStack
    account: Account
    tasks: list[Task] = field(factory=list)


class TwoProcesses:
    """The program, the provider that it calls with, and the clinic's book."""

    def __init__(
        self,
        folder: Path,
        database: Target,
        configuration: Configuration,
        accounts: Iterable[Account],
        look_up_lag: timedelta,
    ) -> None:
        self.folder, self.database = folder, database
        self.configuration = configuration
        self.time = Time()
        self.ids = count(1)
        self.book = Book()
        self.circumstances = Circumstances(
            book=self.book, outcome_timeout=RULES.outcome_timeout, ring_again=configuration.ring_again
        )
        self.desk = AppointmentDesk(self)
        self.calls: list[CarrierCall] = []
        self.carriers = {
            account: Carrier(
                capabilities=account.capabilities,
                look_up_lag=look_up_lag,
                echoes_attempt_id=account.echoes_attempt_id,
                account=account,
                calls=self.calls,
                subjects_of=self.book.subjects_of,
                voicemail_is_reached=configuration.voicemail_is_reached,
            )
            for account in accounts
        }
        self.processes = [self._started(), self._started()]
        self.other = OtherProgram(opened(self.database, lambda: self.time.now), self.book)
        self.backup: tuple[Path | Dump, Book, Diary] | None = None

    # The processes

    def _started(self) -> Process:
        life = ExitStack()
        connection = life.enter_context(open_sync(self.database))
        hurry(connection)
        account = self.configuration.account
        store = Store(connection, self.configuration.rules, self.time.now, self.time.seconds, ids=self.ids)
        store.write(wake_waiting)
        self.desk.compares_the_rules(store)
        return Process(store, life, account)

    def restart(self, which: int) -> None:
        """Kill a process, and start it again with the present configuration."""
        self.processes[which].life.close()
        self.processes[which] = self._started()
        self.circumstances.restarted_at = self.time.seconds

    def reload(self, which: int) -> None:
        """Have a process read its configuration again; a new account is only used after the next start."""
        process = self.processes[which]
        process.store.rules = evolve(self.configuration, account=process.account).rules
        process.store.write(wake_waiting)
        self.desk.compares_the_rules(process.store)

    def close(self) -> None:
        self.other.connection.close()
        for process in self.processes:
            process.life.close()

    def passes(self, by: timedelta) -> None:
        """Let time pass."""
        self._set_time(by, self.time.skew)

    def sets_the_clock(self, by: timedelta) -> None:
        """Set the wall clock."""
        self._set_time(timedelta(0), self.time.skew + by)
        if by > timedelta(0):
            self.circumstances.set_forward_at = self.time.seconds
        if by < timedelta(0):
            self.circumstances.set_back_at = self.time.seconds
            for process in self.processes:
                process.store.write(wake_waiting)

    def _set_time(self, by: timedelta, skew: timedelta) -> None:
        self.time.passed += by
        self.time.skew = skew
        for process in self.processes:
            process.store.witness()
            process.store.now, process.store.monotonic = self.time.now, self.time.seconds

    def next_wake(self) -> datetime | None:
        wakes = next_wakes(self.processes[0].store.connection, self.time.now)
        if wakes.unplanned:
            return self.time.now
        return min((time for time in (wakes.reminder, wakes.call) if time is not None), default=None)

    # Claims, requests and look-ups

    def claim(self, which: int, requests: int) -> list[Task]:
        """Have a process claim what is due, and extend the leases of what it works on."""
        process = self.processes[which]
        self.desk.plans(process.store)
        held = frozenset(task.action.token for task in process.tasks)
        actions = process.store.claim(requests=requests, checks=2, held=held)
        return [Task(action, process.store.rules, process.account, self.time.seconds) for action in actions]

    def do(self, which: int, task: Task, mood: str) -> Task:
        """Send the request, unless the last look forbids it, or look up the call; nothing is settled yet."""
        if task.action.kind.is_request:
            reason = self._last_look(which, task)
            return evolve(task, outcome=reason or self._requests(task, mood))
        return evolve(task, outcome=self._looks_up(task, mood))

    def _last_look(self, which: int, task: Task) -> str | None:
        connection = self.processes[which].store.connection
        seen = read_for_last_look(connection, action=task.action, rules=task.rules, now=self.time.now)
        left = task.rules.lease - (self.time.seconds - task.claimed_at) * SECOND
        call = seen.ledger.calls.get(task.action.call.id)
        if call is not None and call.wake_at is not None:
            left = min(left, call.wake_at - self.time.now)
        return last_look(
            seen.ledger,
            task.action,
            paused=seen.paused,
            stopping=False,
            time_left=left - REQUEST_TIMEOUT,
            rules=task.rules,
            now=self.time.now,
        )

    def _requests(self, task: Task, mood: str) -> PlacingAnswer:
        placement, former = placement_of(task.action), list(self.calls)
        holds([] if is_committed(self.database, placement.call_id) else ["asked before the call was in the database"])
        answer, call = self.carriers[task.account].asked(placement, mood, self.time.seconds)
        if call is not None:
            self.circumstances.is_misreported |= call.is_misreported
            reminders, diary = task.action.reminders, self.desk.diary
            planned = subjects_of(reminders, diary)
            call.subjects += planned
            call.spoken += () if call.account.capabilities.asks_what_to_say else planned
            holds(broken_by_a_call(call, placement.message, reminders, task.rules, self.time.now, diary))
            holds(
                broken_by_a_new_call(
                    call,
                    message=placement.message,
                    earlier=former,
                    belongs_to=(task.action.call.provider, task.action.call.account),
                    rules=task.rules,
                    now=self.time.now,
                    circumstances=self.circumstances,
                )
            )
        return answer

    def _looks_up(self, task: Task, mood: str) -> LookUpAnswer | Candidates:
        carrier, action = self.carriers[task.account], task.action
        now = carrier.time(self.time.seconds)
        match action.kind:
            case ActionKind.DROP:
                return carrier.drop(action.call.external_call_id or "", mood)
            case ActionKind.FETCH:
                return carrier.fetch(action.call.external_call_id or "", mood)
            case _ if carrier.capabilities.asks_what_to_say:
                return carrier.candidates(placement_of(action), mood, now)
            case _ if not carrier.echoes_attempt_id:
                return NotFound()
            case _:
                return carrier.find(action.call.id, mood, now)

    def settle(self, which: int, task: Task, *, counts: bool = True) -> None:
        """Record the result of a task."""
        store, outcome = evolve(self.processes[which].store, rules=task.rules), task.outcome
        match outcome:
            case None:
                raise AssertionError("nothing was done")
            case str():
                store.not_sent(task.action, outcome)
            case Found() | NotFound() | NoAnswer() | Candidates():
                transition = store.found(task.action, outcome)
                if transition is not None and transition.call is not None:
                    self._note_sign(transition)
            case _:
                transition = store.answer(task.action, outcome, counts=counts)
                if transition is not None and transition.call is not None:
                    self._note_sign(transition)

    def _note_sign(self, transition: Transition) -> None:
        """Note what the program has learned about a call by a look-up."""
        stored = transition.call
        for call in self.calls:
            if stored is not None and call.call_id == stored.external_call_id:
                if stored.last_sign_at == self.time.now:
                    self._note_known(call)
                if stored.received_at is not None:
                    self._note_known(call, is_over=True)

    # What the provider reports

    def webhook(self, which: int, call: CarrierCall, report: Report) -> bool:
        """Deliver a webhook to a process; return whether it was accepted."""
        process = self.processes[which]
        if not process.account.takes_webhooks_of(call.account):
            return False
        try:
            process.store.report(report)
        except UnknownReminderError:
            return False
        self._note_known(call, is_over=report.status in TERMINAL)
        return True

    def tells(self, call: CarrierCall, word: str | None = None) -> Report:
        """Return the provider's report of a call's present state, or of its progress with this status."""
        return self.carriers[call.account].tells(call, word)

    def _note_known(self, call: CarrierCall, *, is_over: bool = False) -> None:
        call.sign_at, call.has_shown_life = self.time.seconds, True
        if is_over:
            happened = self.circumstances
            was_set = max(happened.set_back_at, happened.set_forward_at, happened.restored_at) > call.began
            # By a clock that is ahead, the provider's time of the end is before our own time of the answer.
            is_ahead = self.time.skew > timedelta(0)
            is_measured = call.account.capabilities.asks_what_to_say
            is_sure = call.is_end_certain and not was_set and not is_ahead
            call.note_end(self.time.now, is_sure=is_sure or not is_measured)

    def somebody_answers(self, which: int | None, call: CarrierCall, answered_by: str | None) -> None:
        """Let somebody answer; a provider that asks what to speak asks this process, or none."""
        call.note_answer(self.time.seconds, answered_by)
        if which is None:
            return
        process = self.processes[which]
        if not call.account.capabilities.asks_what_to_say or not process.account.takes_webhooks_of(call.account):
            return
        try:
            spoken = process.store.pick_up(self.tells(call))
        except UnknownReminderError:
            return
        self._note_known(call)
        self._speaks(call, spoken)

    def _speaks(self, call: CarrierCall, spoken: Spoken) -> None:
        subjects = tuple(spoken_of(call, spoken.message, self.book.subjects_of))
        call.note_reply(spoken.reply, spoken.message, subjects, self.time.seconds)
        if call.spoken_to is Who.PERSON and call.spoken:
            holds(broken_by_what_is_spoken(spoken.message, self.desk.diary))
        for name in (one.name for one in call.spoken if "|" not in one.name):
            wanted = self.book.reminders.get(name)
            holds([] if wanted is not None and not wanted.is_cancelled else [f"{name}: spoken though it is not wanted"])
        has_opted_out = bool(call.spoken) and call.phone_number in self.book.opted_out
        holds(["a message is spoken to a number that has opted out"] if has_opted_out else [])

    def presses_key(self, which: int, call: CarrierCall, digits: str) -> None:
        """Press a key as the person who listens, or let the message end without one."""
        process, asked = self.processes[which], call.question
        if asked is None or not process.account.takes_webhooks_of(call.account):
            return
        if not digits:
            self.passes(takes(call.speech) * SECOND)
        try:
            spoken = process.store.press(self.tells(call), digits, asked)
        except UnknownReminderError:
            return
        self._note_known(call)
        if asked is not Question.VOICEMAIL:
            call.note_key(digits, self.time.now)
        if digits == "9":
            self.book.opted_out.add(call.phone_number)
        is_answer = digits in {"1", "9"} or (digits == "2" and asked is Question.CANCEL)
        if is_answer and asked is not Question.VOICEMAIL and call.began > self.circumstances.restored_at:
            self.desk.diary.note_answer(call)
        if asked is Question.VOICEMAIL and digits:
            self._speaks(call, spoken)
        else:
            call.question = spoken.reply.question

    def asks_what_follows(self, which: int, call: CarrierCall) -> None:
        """Let the provider ask what follows the message, after the call has ended."""
        process, asked = self.processes[which], call.question
        if asked is None or not process.account.takes_webhooks_of(call.account):
            return
        try:
            process.store.press(self.tells(call, "completed"), "", asked, is_over=True)
        except UnknownReminderError:
            return
        self._note_known(call, is_over=True)

    def loses_reply(self, which: int, call: CarrierCall) -> None:
        """Let the provider report that it could not use our answer, before anything was spoken."""
        process = self.processes[which]
        if process.account.takes_webhooks_of(call.account):
            call.note_lost_reply()
            process.store.unspoken(call.key)

    # Backups

    def backs_up(self) -> None:
        if isinstance(self.database, SqliteFile):
            kept: Path | Dump = back_up(self.database.path, self.folder / "backups", self.time.now, keep=2).file
        else:
            kept = dump(self.database)
        self.backup = (kept, self.book.saved(), self.desk.diary.saved())

    def restores(self) -> None:
        """Replace the database with the backup; nobody may have the database open."""
        if self.backup is None:
            raise AssertionError("there is no backup")
        kept, book, diary = self.backup
        self.close()
        last_change = self._puts_back(kept)
        self.book.reminders, self.book.retired = book.reminders, book.retired
        if isinstance(self.database, SqliteFile):
            self.book.opted_out |= book.opted_out
        else:
            self.book.opted_out = book.opted_out
        self.desk.diary.visits, self.desk.diary.planned = diary.visits, diary.planned
        restored_at = self.time.now if last_change is None else max(self.time.now, last_change)
        self.circumstances.forgotten_until = restored_at
        self.circumstances.quiet_until = restored_at + self.circumstances.outcome_timeout
        self.circumstances.is_paused = True
        self.circumstances.restored_at = self.circumstances.restarted_at = self.time.seconds
        self.processes = [self._started(), self._started()]
        self.other = OtherProgram(opened(self.database, lambda: self.time.now), self.book)
        self.backup = None

    def _puts_back(self, kept: Path | Dump) -> datetime | None:
        """Restore a backup, and hold who may have been called, as the program does; return its last change."""
        now, rules = self.time.now, self.configuration.rules
        if isinstance(self.database, SqliteFile):
            assert isinstance(kept, Path)
            return restore(self.database.path, kept, now, actor="staff", replace=True, rules=rules).last_change
        assert isinstance(kept, Dump)
        put_back(self.database, kept)
        hold = partial(hold_after, actor="staff", why="a backup was restored", rules=rules)
        with open_sync(self.database) as connection:
            return transaction(connection, hold, now)[0]


def holds(sentences: Iterable[str]) -> None:
    """Raise an error with all sentences, if there are any."""
    found = list(sentences)
    if found:
        raise BrokenError("; ".join(found))
