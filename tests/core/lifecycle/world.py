"""A world around the real lifecycle functions: two processes, staff, other programs, and a provider with a memory.

The provider keeps its own record of which phones rang and who heard what. The promises are compared with that record,
never with the database. Time is counted in steps of 36 minutes, so that a day has 40.
"""

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, Final
from zoneinfo import ZoneInfo

from attrs import define, evolve, field, frozen

from reminderd.core.answers import (
    Accepted,
    AccountRefused,
    Capabilities,
    Found,
    NoAnswer,
    NotFound,
    NotPlaced,
    PlacingAnswer,
    Refused,
    Report,
    Unclear,
)
from reminderd.core.lifecycle.answer import last_look, not_sent, request_answered
from reminderd.core.lifecycle.claim import NewIds, claim_reminder
from reminderd.core.lifecycle.keypress import Key, key_pressed, picked_up
from reminderd.core.lifecycle.reconcile import CheckLimits, Witness, claim_call, not_found
from reminderd.core.lifecycle.report import call_of, reported
from reminderd.core.lifecycle.staff import called_again, cancelled, restored
from reminderd.core.lifecycle.states import limit_of
from reminderd.core.lifecycle.transition import Action, ActionKind, Ledger, Transition
from reminderd.core.model import TERMINAL, UNNUMBERED, Call, Member, Reminder, Status, digest
from reminderd.core.outcomes import reached_anybody
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Backoff, Limits, Rules
from reminderd.core.schedule.calling_hours import CallingHours, Span
from reminderd.core.script.prompts import Question
from reminderd.core.sentences import NotAllowedError

STEP: Final = timedelta(minutes=36)
START: Final = datetime(2026, 3, 2, tzinfo=UTC)
OPENS, CLOSES, DAY = 3, 33, 40
LEASE, CONFIRM, OUTCOME, REDIAL, LATE, KEY_LIFE, GROUP = 3, 2, 6, 2, 26, 24, 4
MAX_CALLS, MAX_TRIES, PER_DAY = 2, 3, 2
ACCOUNTS: Final = ("first", "second")
_NUMBERS: Final = ("+12025550001", "+12025550002")


Asked = tuple[str, int, datetime]
"""What a call was asked to say: a reminder, its incarnation, its time."""


class Broken(Exception):  # noqa: N818 - what was promised is broken; no error of a program
    """A broken promise, named in the message."""


@define
class Phone:
    """A call as the provider sees it."""

    id: int
    call_id: str
    reminder_id: str
    number: str
    asked: list[Asked]
    """What it was asked to say: reminder, its incarnation, its time."""
    at: int
    lie: bool
    """Whether it was placed although the answer said that it was not."""
    restores: int
    """Restores of the database before it."""
    account: str
    live: bool = True
    told: bool = False
    told_at: int = 0
    heard: set[Asked] = field(factory=set)
    text: list[Asked] | None = None
    """What is spoken to the person who answers; None: not requested yet."""
    answered_at: int | None = None
    """When somebody answered, by the provider's clock; None: nobody has."""
    news: int = 0
    end: str | None = None
    ended_at: int = 0


@define
class Task:
    """Something that a process does outside the database."""

    process: str
    action: Action
    deadline: int
    """When its lease ends, by the monotonic clock."""
    account: str
    """What its process places calls with: a reload changes nothing for what is under way."""
    answer: PlacingAnswer | None = None
    finding: Any = None
    asked: bool = False


@frozen(kw_only=True)
class Setting:
    """What one history is played with."""

    keys: bool
    look_up: bool
    lag: bool
    """Look-ups may miss a call that is there."""
    drop: bool
    echo: bool
    """Reports repeat our attempt_id."""
    asks: bool
    """The provider asks what to say when a call is answered."""
    once_more: bool
    """`when_unsure = "call_again"`."""
    lies: bool
    """A 503 may come for a call that was placed."""
    bundles: bool
    acts: frozenset[str]
    rows: tuple[tuple[str, int], ...]


def a_setting(seed: int) -> Setting:
    """Draw a setting."""
    dice = Random(seed)
    every = ("cancel", "again", "foreign", "pause", "opt", "erase", "restore", "step", "wake_waiting", "account")
    look_up = dice.random() < 0.5
    rows = [(_NUMBERS[0], OPENS + dice.randint(0, 3))]
    others = range(dice.choice((0, 1, 1, 2)))
    rows += [(dice.choice((*_NUMBERS[:1] * 3, _NUMBERS[1])), OPENS + dice.randint(0, 8)) for _ in others]
    asks = dice.random() < 0.35
    return Setting(
        keys=dice.random() < 0.5,
        look_up=look_up,
        lag=look_up and dice.random() < 0.5,
        drop=look_up and dice.random() < 0.5,
        echo=asks or dice.random() < 0.8,
        asks=asks,
        once_more=dice.random() < 0.3,
        lies=dice.random() < 0.15,
        bundles=dice.random() < 0.75,
        acts=frozenset(dice.sample(every, dice.choice((1, 2, 2, 3, 4)))),
        rows=tuple(rows),
    )


Act = tuple[Any, ...]
_OTHER_PROGRAMS: Final = frozenset(
    {"f_cancel", "f_move", "f_edit", "f_phone", "f_status", "replace", "delete", "f_insert"}
)


class World:
    """The database as one ledger, two processes, and everything that may happen next."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.steps = 0
        self.skew = 0
        self.ids = 0
        self.seq = 0
        self.db = Ledger()
        self.receipts: set[str] = set()
        self.paused = False
        self.account = ACCOUNTS[0]
        self.tasks: list[Task] = []
        self.phones: list[Phone] = []
        self.webhooks: list[tuple[Phone, str | None, int]] = []
        self.keys: dict[str, Phone] = {}
        self.signs: dict[str, dict[str, tuple[datetime, float]]] = {"A": {}, "B": {}}
        self.first: dict[str, dict[str, float]] = {"A": {}, "B": {}}
        self.backup: tuple[Ledger, set[str], int] | None = None
        self.made = START
        self.count: Counter[str] = Counter()
        self.accepted: Counter[str] = Counter()
        self.incarnations: Counter[str] = Counter()
        self.again_at: dict[str, int] = {}
        self.restores = 0
        self.restored_at = -1
        self.stepped = False
        self.erased: set[int] = set()
        self.signed_at: dict[str, tuple[datetime | None, int]] = {}
        """The last sign of life of each call, by the wall clock and by the provider's."""
        for place, (number, at) in enumerate(setting.rows):
            self.insert(f"r{place}", number, START + at * STEP)
        for _ in range(OPENS):
            self.tick()

    # ------------------------------------------------------------------ facts

    @property
    def now(self) -> datetime:
        return START + (self.steps + self.skew) * STEP

    @property
    def rules(self) -> Rules:
        setting = self.setting
        calling_hours = CallingHours(ZoneInfo("UTC"), ((Span(OPENS * 36, CLOSES * 36),),) * 7)
        return Rules(
            lease=LEASE * STEP,
            outcome_timeout=OUTCOME * STEP,
            confirm_after=CONFIRM * STEP,
            call_again_when_unsure=setting.once_more,
            backoff=Backoff(STEP, STEP),
            max_tries=MAX_TRIES,
            max_calls=MAX_CALLS,
            redial_delays=(REDIAL * STEP,),
            calling_hours=calling_hours,
            limits=Limits(per_day=PER_DAY),
            group_within=GROUP * STEP if setting.bundles else timedelta(0),
            max_lateness=LATE * STEP,
            voicemail_is_reached=False,
            account=self.account,
            capabilities=Capabilities(
                honors_key=setting.keys,
                key_lifetime=KEY_LIFE * STEP,
                look_up=setting.look_up,
                drop=setting.drop,
                asks_what_to_say=setting.asks,
            ),
        )

    def ledger(self) -> Ledger:
        """Return the database as a decision sees it."""
        heard: dict[str, tuple[datetime, ...]] = {}
        for call in self.db.calls.values():
            if reached_anybody(call, self.db.members_of(call), self.rules):
                moment = call.received_at or call.last_sign_at
                heard[call.phone_number] = (*heard.get(call.phone_number, ()), moment)
        return evolve(self.db, heard_at=heard, newest_seq=max(self.seq, self.db.restored_seq))

    def witness(self, process: str) -> Witness:
        seconds = STEP.total_seconds()
        signs = {one: (sign, at * seconds) for one, (sign, at) in self.signs[process].items()}
        first = {one: at * seconds for one, at in self.first[process].items()}
        return Witness(monotonic=self.steps * seconds, signs=signs, first=first)

    def is_open(self, moment: datetime) -> bool:
        return OPENS <= (moment - START) // STEP % DAY < CLOSES

    def quiet(self) -> bool:
        """Return whether nobody is called yet after a restore."""
        restored_at = self.db.restored_at
        return restored_at is not None and self.now < restored_at + OUTCOME * STEP

    def broken(self, sentence: str) -> None:
        raise Broken(sentence)

    # ------------------------------------------------------------------ the database

    def insert(self, reminder_id: str, number: str, at: datetime) -> None:
        self.incarnations[reminder_id] += 1
        language = "es" if reminder_id.endswith("2") else None
        row = Reminder(
            id=reminder_id, phone_number=number, message="Hello.", language=language, scheduled_at=at, wake_at=at
        )
        self.db = self.db.put(row)

    def commit(self, transition: Transition) -> None:
        """Store what was decided, as the store does."""
        before, after = self.db, transition.ledger
        for call in after.calls.values():
            if call.seq == UNNUMBERED:
                self.seq = max(self.seq, before.restored_seq) + 1
                after = after.put(evolve(call, seq=self.seq))
        closed = {
            call.phone_number
            for call in after.calls.values()
            if not call.state.alive and (old := before.calls.get(call.id)) is not None and old.state.alive
        }
        woken = [
            evolve(one, wake_at=self.now)
            for one in after.reminders.values()
            if one.phone_number in closed and one.status is Status.SCHEDULED and one.hold_code is HoldCode.NUMBER_BUSY
        ]
        self.db = after.put(*woken)

    def foreign(self, before: Reminder, after: Reminder) -> None:
        """Write as another program does, with what the triggers make of it."""
        moved = before.scheduled_at != after.scheduled_at
        if before.status is Status.SCHEDULED is after.status and moved:
            after = evolve(after, wake_at=after.scheduled_at)
        changed = (before.status, before.phone_number) != (after.status, after.phone_number)
        if changed or (moved and after.status is not Status.SCHEDULED):
            after = evolve(after, wake_at=self.now)
        self.db = self.db.put(after)
        if before.status is not after.status and after.status.final:
            self.wake_calls(after.id)

    def wake_calls(self, reminder_id: str) -> None:
        for member in list(self.db.members.values()):
            call = self.db.calls.get(member.call_id)
            if member.reminder_id == reminder_id and call is not None:
                is_free = call.lease_token is None and call.state.alive and call.state != "dialing"
                self.db = self.db.put(evolve(call, wake_at=self.now)) if is_free else self.db

    # ------------------------------------------------------------------ the daemon

    def claim(self, process: str, reminder_id: str) -> None:
        self.ids += 1
        new_ids = NewIds(f"c{self.ids}", f"t{self.ids}")
        ledger = self.ledger()
        transition = claim_reminder(
            ledger,
            ledger.reminders[reminder_id],
            new_ids=new_ids,
            witness=self.witness(process),
            rules=self.rules,
            now=self.now,
        )
        self.take_up(process, transition)

    def look(self, process: str, call_id: str) -> None:
        self.ids += 1
        ledger = self.ledger()
        transition = claim_call(
            ledger,
            ledger.calls[call_id],
            token=f"t{self.ids}",
            room=CheckLimits(paused=self.paused),
            witness=self.witness(process),
            rules=self.rules,
            now=self.now,
        )
        self.take_up(process, transition)

    def take_up(self, process: str, transition: Transition) -> None:
        self.commit(transition)
        if transition.action is not None:
            self.tasks.append(Task(process, transition.action, self.steps + LEASE, self.account))

    def send(self, place: int, answer: str) -> None:
        task = self.tasks[place]
        ledger, action = self.ledger(), task.action
        call = ledger.calls.get(action.call.id)
        left = timedelta(0)
        if call is not None and call.wake_at is not None:
            left = min(call.wake_at - self.now, (task.deadline - self.steps) * STEP)
        reason = last_look(
            ledger,
            action,
            paused=self.paused or self.quiet(),
            stopping=False,
            time_left=left,
            rules=self.rules,
            now=self.now,
        )
        if reason is not None:
            self.tasks.pop(place)
            if call is not None:
                self.commit(not_sent(ledger, action, reason, rules=self.rules, now=self.now))
            return
        assert call is not None
        known = self.keys.get(call.id) if self.setting.keys else None
        if known is not None and self.steps - known.at > KEY_LIFE:
            known = None
        task.asked = True
        placed = answer in {"ok", "lost", "503 placed"}
        phone = known or (self.place(call, task.account, lie=answer == "503 placed") if placed else None)
        answers: dict[str, PlacingAnswer] = {
            "refuse": Refused("a wrong number"),
            "account": AccountRefused("401"),
            "503": NotPlaced("503"),
            "503 placed": Unclear("lost") if known is not None else NotPlaced("503"),
        }
        accepted = Accepted(f"ext-{phone.id}") if phone is not None and answer == "ok" else Unclear("lost")
        task.answer = answers.get(answer, accepted)

    def settle(self, place: int) -> None:
        task = self.tasks.pop(place)
        ledger = self.ledger()
        if task.action.call.id in ledger.calls and task.answer is not None:
            self.commit(
                request_answered(
                    ledger, task.action, task.answer, counts=True, draw=0.5, rules=self.rules, now=self.now
                )
            )

    def ask(self, place: int, how: str) -> None:
        task = self.tasks[place]
        task.asked = True
        phone = next((one for one in self.phones if one.call_id == task.action.call.id), None)
        is_ours = phone is not None and phone.account == task.account
        drops = task.action.kind is ActionKind.DROP and how == "true" and is_ours
        if drops and phone is not None and phone.live and phone.answered_at is None:
            phone.live, phone.end = False, "busy"
        task.finding = NoAnswer("down") if how == "fail" else NotFound() if how == "none" or not is_ours else phone

    def ask_settle(self, place: int) -> None:
        task = self.tasks.pop(place)
        ledger, action, finding = self.ledger(), task.action, task.finding
        call = ledger.calls.get(action.call.id)
        if call is None:
            return
        if not isinstance(finding, Phone):
            self.commit(not_found(ledger, call, finding, token=action.token, rules=self.rules, now=self.now))
            return
        word = None if finding.live else finding.end
        if word is not None:
            finding.told_at = finding.told_at if finding.told else self.steps
            finding.told = True
        report = evolve(self.report(finding, word), reminder_id=call.reminder_id, attempt_id=call.id)
        self.record(ledger, Found(report).report)

    def record(self, ledger: Ledger, report: Report) -> Transition | None:
        """Settle a report as the store does; return None if it names nothing of ours."""
        call = call_of(ledger, report)
        if call is None and report.reminder_id not in ledger.reminders:
            return None
        is_new = False
        if report.status in TERMINAL and not (call is not None and call.received_at is not None):
            is_new = report.external_call_id not in self.receipts
            self.receipts.add(report.external_call_id)
        self.ids += 1
        transition = reported(
            ledger, report, receipt_is_new=is_new, new_call_id=f"n{self.ids}", rules=self.rules, now=self.now
        )
        self.commit(transition)
        return transition

    # ------------------------------------------------------------------ the provider

    def report(self, phone: Phone, end: str | None) -> Report:
        words = {None: "ringing", "heard": "completed", "unheard": "completed", "voicemail": "completed"}
        words |= {"hangs up": "completed" if self.setting.asks else "hung-up"}
        lasted = phone.ended_at - (phone.ended_at if phone.answered_at is None else phone.answered_at)
        return Report(
            external_call_id=f"ext-{phone.id}",
            status=words.get(end, end or ""),
            reminder_id=phone.reminder_id,
            attempt_id=phone.call_id if self.setting.echo else None,
            answered_by="machine" if end == "voicemail" else None,
            duration_seconds=None if end is None else max(round(lasted * STEP.total_seconds()), 1),
            ended_at=None if end is None else START + phone.ended_at * STEP,
        )

    def place(self, call: Call, account: str, *, lie: bool) -> Phone:
        """Let a phone ring, and hold it against the promises."""
        members = self.db.current_members(call)
        asked = [(one.id, self.incarnations[one.id], one.scheduled_at) for _, one in members]
        phone = Phone(
            id=len(self.phones),
            call_id=call.id,
            reminder_id=call.reminder_id,
            number=call.phone_number,
            asked=asked,
            at=self.steps,
            lie=lie,
            restores=self.restores,
            account=account,
            text=None if self.setting.asks else list(asked),
        )
        if self.paused:
            self.broken("placed while paused")
        if call.phone_number in self.db.opted_out:
            self.broken("placed after an opt-out")
        if not self.is_open(self.now):
            self.broken("placed outside the calling hours")
        if call.account != account:
            self.broken("sent again with another account")
        for member in self.db.members_of(call):
            self.judge_member(call, member.reminder_id, member.message_digest)
        if len({self.db.reminders[one].language for one, *_ in asked}) > 1:
            self.broken("two languages in one call")
        for earlier in self.phones:
            self.judge_against(phone, earlier)
        for asked_now in asked:
            self.judge_number_of_calls(call, phone, asked_now)
        self.keys.setdefault(call.id, phone)
        self.phones.append(phone)
        return phone

    def judge_member(self, call: Call, reminder_id: str, message_digest: str) -> None:
        reminder = self.db.reminders.get(reminder_id)
        if reminder is None:
            raise Broken("a deleted reminder is spoken")
        if reminder.status.final:
            self.broken("a final reminder is spoken")
        if reminder.phone_number != call.phone_number:
            self.broken("spoken to a number that is no longer the reminder's")
        if self.now < reminder.scheduled_at:
            self.broken("spoken before its time")
        if self.now >= limit_of(reminder, self.rules):
            self.broken("spoken after its limit")
        if message_digest != digest(reminder.message, reminder.language):
            self.broken("old words are spoken")

    def judge_against(self, phone: Phone, earlier: Phone) -> None:
        """Hold a call that begins against an earlier one."""
        if earlier.call_id == phone.call_id and earlier.live:
            if not self.stepped:
                self.broken("a second call under one key")
            self.accepted["the key was forgotten after a clock step"] += 1
        unknown = not self.setting.echo and (self.setting.lies or self.db.restored_at is not None)
        if unknown:
            self.accepted["no attempt_id, and a 503 that placed the call or a restore"] += 1
            return
        if earlier.number == phone.number and earlier.live and earlier.call_id != phone.call_id:
            self.judge_two_live(earlier)
        for asked in phone.asked:
            if asked in earlier.asked and earlier.number == phone.number:
                self.judge_again(phone, earlier, asked)

    def judge_two_live(self, earlier: Phone) -> None:
        call = self.db.calls.get(earlier.call_id)
        is_silent = self.silent_since(call) >= OUTCOME
        if call is None or call.adopted:
            is_forgotten = earlier.restores != self.restores and self.steps >= self.restored_at + OUTCOME
            if is_forgotten and (call is None or is_silent):
                self.accepted["a live call forgotten by a restore, and silent"] += 1
            else:
                self.broken("two live calls: the other one is forgotten")
        elif call.state.alive:
            self.broken("two live calls: the other one is alive in the database")
        elif call.state in {"not_placed", "refused"} and earlier.lie:
            self.accepted["a 503 that placed the call"] += 1
        elif call.state == "unreported" and is_silent:
            self.accepted["a live call that is silent"] += 1
        else:
            self.broken(f"two live calls: the other one is {call.state}, silent for {self.silent_since(call)}")

    def silent_since(self, call: Call | None) -> int:
        if call is None:
            return self.steps
        return self.steps - self.signed_at.get(call.id, (None, self.steps))[1]

    def judge_again(self, phone: Phone, earlier: Phone, asked: Asked) -> None:  # noqa: C901, PLR0912 - a table
        """Hold another call for the same reminder against what was known of the earlier one."""
        reminder_id = asked[0]
        again_at = self.again_at.get(reminder_id, -1)
        call = self.db.calls.get(earlier.call_id)
        if earlier.lie:
            self.accepted["a 503 that placed the call"] += 1
        elif self.stepped and earlier.restores != self.restores:
            self.accepted["a restore after the wall clock was set back"] += 1
        elif earlier.told:
            if asked in earlier.heard and again_at < earlier.at:
                if earlier.id in self.erased:
                    self.accepted["erased"] += 1
                elif earlier.restores != self.restores:
                    self.accepted["heard, and told before the backup was restored"] += 1
                elif not self.setting.echo:
                    self.accepted["no attempt_id: the report could not be matched"] += 1
                else:
                    self.broken("called again after it was heard")
            elif again_at < earlier.at:
                self.judge_redial(phone, earlier, asked)
        elif earlier.restores != self.restores and not self.setting.echo:
            self.accepted["no attempt_id after a restore"] += 1
        elif self.stepped and sum(one.call_id == earlier.call_id for one in self.phones) > 1:
            self.accepted["the key was forgotten after a clock step"] += 1
        elif again_at >= earlier.at:
            self.accepted["staff asked again"] += 1
        elif self.setting.once_more and call is not None and call.state == "unreported" and not call.evidence:
            self.accepted["once more, as configured"] += 1
        elif call is not None and call.id == phone.call_id and self.stepped:
            pass
        else:
            self.broken(f"called again on a guess: the earlier call is {'forgotten' if call is None else call.state}")

    def judge_redial(self, phone: Phone, earlier: Phone, asked: Asked) -> None:
        """Hold another call against the end that was reported of the one before it, where nothing else explains it."""
        reminder = self.db.reminders[asked[0]]
        before = [(member, call) for member, call in self.db.history(reminder) if call.id != phone.call_id]
        if self.stepped or self.restores or self.setting.lies or self.setting.once_more or not before:
            return
        member, call = before[-1]
        if call.id != earlier.call_id or call.received_at is None:
            return
        if self.steps - earlier.told_at < REDIAL:
            self.broken("redialed before its delay")
        if earlier.end in {"failed", "hangs up"} and member.message_digest == digest(
            reminder.message, reminder.language
        ):
            self.broken("called again after a call that no other follows")

    def judge_number_of_calls(self, call: Call, phone: Phone, asked: Asked) -> None:
        again_at = self.again_at.get(asked[0], -1)
        others = {
            one.call_id
            for one in self.phones
            if asked in one.asked
            and one.number == phone.number
            and one.at > again_at
            and not one.lie
            and one.restores == self.restores
        }
        if len(others - {call.id}) >= MAX_CALLS:
            self.broken("more calls than max_calls")

    def news(self, place: int) -> None:
        phone = self.phones[place]
        phone.news += 1
        self.webhooks.append((phone, None, 0))

    def answers(self, place: int, *, asks: bool) -> None:
        """Let somebody answer; the provider may fail to ask us what to say."""
        phone = self.phones[place]
        phone.answered_at = self.steps
        if not asks:
            return
        report = evolve(self.report(phone, None), status="in-progress")
        transition = self.record(self.ledger(), report)
        if transition is None or transition.call is None:
            return
        call = self.db.calls[transition.call.id]
        turn = picked_up(self.ledger(), call, rules=self.rules, now=self.now)
        self.commit(turn.transition)
        phone.text = [
            (one.id, self.incarnations[one.id], one.scheduled_at)
            for member, one in self.db.current_members(call)
            if self.db.members[call.id, one.id].spoken and turn.reply.question is not None
        ]

    def key(self, place: int, digits: str) -> None:
        """Let the patient press a key, or none, once the message was spoken."""
        phone = self.phones[place]
        report = evolve(self.report(phone, None), status="in-progress")
        phone.heard = set(phone.text or ())
        transition = self.record(self.ledger(), report)
        if transition is not None and transition.call is not None:
            pressed = Key(digits=digits, question=Question.MENU, repeats=0)
            call = self.db.calls[transition.call.id]
            self.commit(key_pressed(self.ledger(), call, pressed, rules=self.rules, now=self.now).transition)

    def ends(self, place: int, how: str) -> None:
        phone = self.phones[place]
        is_long = phone.answered_at is not None and self.steps > phone.answered_at
        if how in {"heard", "hangs up"} and self.setting.asks and not phone.text:
            how = "unheard"
        elif how == "heard" and self.setting.asks and not phone.heard:
            self.key(place, "")
        elif how == "heard" or (how == "hangs up" and is_long):
            phone.heard = set(phone.text or ())
        phone.live, phone.ended_at = False, self.steps
        self.webhooks.append((phone, how, 0))
        phone.end = how

    def deliver(self, place: int, *, again: bool) -> None:
        phone, end, times = self.webhooks[place]
        if again:
            self.webhooks[place] = (phone, end, times + 1)
        else:
            self.webhooks.pop(place)
        if end is not None:
            phone.told_at = phone.told_at if phone.told else self.steps
            phone.told = True
        self.record(self.ledger(), self.report(phone, end))

    # ------------------------------------------------------------------ staff and other programs

    def cancel(self, reminder_id: str) -> None:
        with suppress(NotAllowedError):
            ledger = self.ledger()
            reminder = ledger.reminders[reminder_id]
            self.commit(cancelled(ledger, reminder, EndCode.CANCELLED_BY_STAFF, self.now))

    def again(self, reminder_id: str) -> None:
        with suppress(NotAllowedError):
            ledger = self.ledger()
            reminder = ledger.reminders[reminder_id]
            self.commit(called_again(ledger, reminder, rules=self.rules, now=self.now))
            self.again_at[reminder_id] = self.steps

    def wake_waiting(self) -> None:
        held = [
            evolve(one, wake_at=min(one.wake_at, self.now))
            for one in self.db.reminders.values()
            if one.status is Status.SCHEDULED and one.wake_at is not None
        ]
        calls = [
            evolve(one, wake_at=min(one.wake_at, self.now))
            for one in self.db.calls.values()
            if one.lease_token is None and one.wake_at is not None
        ]
        self.db = self.db.put(*held, *calls)

    def opt_out(self, number: str) -> None:
        waiting = [
            evolve(one, wake_at=self.now)
            for one in self.db.reminders.values()
            if one.phone_number == number and one.status is Status.SCHEDULED
        ]
        self.db = evolve(self.db.put(*waiting), opted_out=self.db.opted_out | {number})

    def replace(self, reminder_id: str, by: int) -> None:
        old = self.db.reminders[reminder_id]
        at = old.scheduled_at + by * STEP
        self.db = self.db.put(
            Reminder(
                id=old.id,
                phone_number=old.phone_number,
                message=old.message,
                language=old.language,
                scheduled_at=at,
                wake_at=at,
            )
        )

    def delete(self, reminder_id: str) -> None:
        reminders = {key: one for key, one in self.db.reminders.items() if key != reminder_id}
        gone = [evolve(one, deleted=True) for one in self.db.members.values() if one.reminder_id == reminder_id]
        self.db = evolve(self.db, reminders=reminders).put(*gone)
        self.wake_calls(reminder_id)

    def erase(self, number: str) -> None:
        own = [one for one in self.db.reminders.values() if one.phone_number == number]
        if self.db.alive_calls_to(number) or any(not one.status.final for one in own):
            return
        for phone in self.phones:
            call = self.db.calls.get(phone.call_id)
            if phone.number == number and not (call is not None and call.state.alive):
                self.erased.add(phone.id)
        ids = {one.id for one in own}
        left = [evolve(one, reminder_id="erased") for one in self.db.calls.values() if one.phone_number == number]
        spoken = [
            Member(
                call_id=call.id,
                reminder_id="erased",
                position=0,
                scheduled_at=call.created_at,
                message_digest="",
                spoken=any(one.spoken for one in self.db.members_of(call)),
                deleted=True,
            )
            for call in left
        ]
        calls = {call.id for call in left}
        members = {
            key: one for key, one in self.db.members.items() if one.call_id not in calls and one.reminder_id not in ids
        }
        reminders = {key: one for key, one in self.db.reminders.items() if key not in ids}
        self.db = evolve(self.db, members=members, reminders=reminders).put(*left, *spoken)

    def restore(self) -> None:
        assert self.backup is not None
        old, (self.db, self.receipts, seq) = self.db, self.backup
        self.receipts = set(self.receipts)
        restored_at = max(self.now, self.made)
        self.tasks, self.signs, self.first = [], {"A": {}, "B": {}}, {"A": {}, "B": {}}
        self.seq = seq + 1
        self.db = evolve(self.db, opted_out=self.db.opted_out | old.opted_out)
        after = restored(self.db, restored_at=restored_at, now=self.now).ledger
        self.db = evolve(after, restored_at=restored_at, restored_seq=self.seq)
        self.paused = True
        self.restores += 1
        self.restored_at = self.steps

    def tick(self) -> None:
        self.steps += 1
        for process in "AB":
            for call in self.db.calls.values():
                if call.state.alive:
                    seen = self.signs[process].get(call.id)
                    if seen is None or seen[0] != call.last_sign_at:
                        self.signs[process][call.id] = (call.last_sign_at, self.steps - 1)
                    self.first[process].setdefault(call.id, self.steps - 1)

    def crash(self, process: str) -> None:
        self.tasks = [task for task in self.tasks if task.process != process]
        self.signs[process], self.first[process] = {}, {}

    # ------------------------------------------------------------------ what may happen next

    def due_reminders(self) -> Iterable[str]:
        if self.paused or self.quiet():
            return
        for one in self.db.reminders.values():
            is_due = one.wake_at is not None and one.wake_at <= self.now
            ended_ahead = one.end_code is EndCode.TOO_LATE and one.ended_at is not None and one.ended_at > self.now
            if is_due or ended_ahead:
                yield one.id

    def due_calls(self, process: str) -> Iterable[str]:
        held = {task.action.token for task in self.tasks if task.process == process}
        for call in self.db.calls.values():
            if call.wake_at is not None and call.wake_at <= self.now and call.lease_token not in held:
                yield call.id

    def possible(self) -> list[Act]:
        """Return everything that may happen next."""
        acts: list[Act] = [("tick",)]
        for process in "AB":
            acts += [("claim", process, one) for one in self.due_reminders()]
            acts += [("look", process, one) for one in self.due_calls(process)]
            if any(task.process == process for task in self.tasks) and self.count["crash"] < 2:
                acts.append(("crash", process))
        acts += self.possible_tasks() + self.possible_calls() + self.possible_deeds()
        return acts

    def possible_tasks(self) -> list[Act]:
        acts: list[Act] = []
        for place, task in enumerate(self.tasks):
            if task.action.kind.is_request:
                answers: tuple[str, ...] = ("ok", "lost", "lost, not placed", "503", "refuse", "account")
                answers += ("503 placed",) if self.setting.lies else ()
                acts += [("settle", place)] if task.asked else [("send", place, one) for one in answers]
            else:
                how = ("true", "fail", "none") if self.setting.lag else ("true", "fail")
                acts += [("ask_settle", place)] if task.asked else [("ask", place, one) for one in how]
        return acts

    def possible_calls(self) -> list[Act]:
        acts: list[Act] = []
        for phone in self.phones:
            if not phone.live:
                continue
            unanswered = ("busy", "voicemail", "failed") if phone.answered_at is None else ()
            acts += [("ends", phone.id, how) for how in ("heard", "hangs up", *unanswered)]
            if phone.news < 2:
                acts.append(("news", phone.id))
            if self.setting.asks and phone.answered_at is None:
                acts += [("answers", phone.id, True), ("answers", phone.id, False)]
            if self.setting.asks and phone.text and not phone.heard:
                acts += [("key", phone.id, digits) for digits in ("1", "", "7")]
        for place, (_, _, times) in enumerate(self.webhooks):
            acts += [("hook", place), ("hook_lost", place)] + ([("hook_again", place)] if times < 1 else [])
        return acts

    def possible_deeds(self) -> list[Act]:  # noqa: C901, PLR0912 - a table
        acts: list[Act] = []
        kinds, done = self.setting.acts, self.count
        for one in self.db.reminders.values():
            if "cancel" in kinds and not one.status.final and done["cancel"] < 2:
                acts.append(("cancel", one.id))
            if "again" in kinds and one.status.final and one.status is not Status.CALLED and done["again"] < 2:
                acts.append(("again", one.id))
            if "foreign" in kinds and done["foreign"] < 4:
                acts += self.possible_writes(one)
        if "foreign" in kinds and done["foreign"] < 3 and len(self.db.reminders) < 4:
            free = [name for name in ("r0", "r7") if name not in self.db.reminders]
            acts += [("f_insert", name, number, by) for name in free for number in _NUMBERS for by in (0, 4)]
        if "pause" in kinds:
            acts += [("resume",)] if self.paused else [("pause",)] if done["pause"] < 2 else []
        elif self.paused:
            acts.append(("resume",))
        if "opt" in kinds:
            acts += [("opt_in", one) for one in self.db.opted_out]
            acts += [("opt_out", one) for one in _NUMBERS if one not in self.db.opted_out and done["opt_out"] < 2]
        if "erase" in kinds and done["erase"] < 2:
            acts += [("erase", number) for number in _NUMBERS]
        if "restore" in kinds:
            acts += [("backup",)] if self.backup is None else [("restore",)] if done["restore"] < 1 else []
        if "step" in kinds and done["step"] < 2:
            acts += [("step", by) for by in (-20, -7, 7, 20, 3 * DAY) if self.skew + by >= -20]
        if "wake_waiting" in kinds:
            acts.append(("wake_waiting",))
        if "account" in kinds and done["account"] < 2:
            acts.append(("account",))
        return acts

    def possible_writes(self, one: Reminder) -> list[Act]:
        acts: list[Act] = [] if one.status.final else [("f_cancel", one.id)]
        acts += [("f_move", one.id, by) for by in (-5, 3, DAY)]
        acts += [("f_edit", one.id), ("f_phone", one.id), ("delete", one.id)]
        acts += [("replace", one.id, 0), ("replace", one.id, DAY)]
        for status in (Status.PROCESSING, Status.SCHEDULED):
            is_allowed = one.status not in {Status.CALLED, status} and not (
                status is Status.SCHEDULED and one.status.final
            )
            acts += [("f_status", one.id, status)] if is_allowed else []
        return acts

    def do(self, act: Act) -> None:
        """Let one thing happen, and hold the database against its own rules."""
        name, *rest = act
        self.count["foreign" if name in _OTHER_PROGRAMS else name] += 1
        if name in _OTHER_PROGRAMS or name in {"pause", "resume", "backup", "step", "account", "opt_in"}:
            self.simple(name, *rest)
        elif name == "answers":
            self.answers(rest[0], asks=rest[1])
        elif name in {"hook", "hook_again"}:
            self.deliver(rest[0], again=name == "hook_again")
        elif name == "hook_lost":
            self.webhooks.pop(rest[0])
        else:
            getattr(self, name)(*rest)
        self.note_signs()
        self.hold_invariants()

    def simple(self, name: str, *rest: Any) -> None:  # noqa: C901 - a table
        row = self.db.reminders.get(rest[0]) if rest and isinstance(rest[0], str) else None
        match name:
            case "pause" | "resume":
                self.paused = name == "pause"
                if not self.paused:
                    self.wake_waiting()
            case "backup":
                self.backup, self.made = (self.db, set(self.receipts), self.seq), self.now
            case "step":
                self.skew += rest[0]
                self.stepped = True
                if rest[0] < 0:
                    self.wake_waiting()
            case "account":
                self.account = ACCOUNTS[self.account == ACCOUNTS[0]]
            case "opt_in":
                self.db = evolve(self.db, opted_out=self.db.opted_out - {rest[0]})
            case "f_insert":
                self.insert(rest[0], rest[1], self.now + rest[2] * STEP)
            case "replace":
                self.replace(rest[0], rest[1])
            case "delete":
                self.delete(rest[0])
            case _ if row is not None:
                self.foreign(row, self.edited(name, row, *rest[1:]))

    def edited(self, name: str, row: Reminder, *rest: Any) -> Reminder:
        if name == "f_cancel":
            return evolve(row, status=Status.CANCELLED)
        if name == "f_move":
            return evolve(row, scheduled_at=row.scheduled_at + rest[0] * STEP)
        if name == "f_edit" and row.message.endswith(" More."):
            return evolve(row, language="es" if row.language is None else None)
        if name == "f_edit":
            return evolve(row, message=f"{row.message} More.")
        if name == "f_phone":
            return evolve(row, phone_number=_NUMBERS[row.phone_number == _NUMBERS[0]])
        return evolve(row, status=rest[0])

    def note_signs(self) -> None:
        """Remember when each call last showed a sign of life, by the provider's clock."""
        for call in self.db.calls.values():
            if self.signed_at.get(call.id, (None, 0))[0] != call.last_sign_at:
                self.signed_at[call.id] = (call.last_sign_at, self.steps)

    def hold_invariants(self) -> None:
        """Hold the database against its own rules."""
        opened = Counter(call.phone_number for call in self.db.calls.values() if call.state.open)
        if any(times > 1 for times in opened.values()):
            self.broken("two open calls of one number")
        for call in self.db.calls.values():
            if call.state.alive != (call.wake_at is not None):
                self.broken("an alive call that nobody looks at, or a closed one that somebody does")
        for one in self.db.reminders.values():
            if not one.status.final and one.wake_at is None and self.db.alive_call(one) is None:
                self.broken(f"a reminder that is {one.status} and looked at by nobody")
            if one.status is Status.CALLED:
                self.judge_called(one)
            elif one.status.final and one.end_code is None and one.wake_at is None:
                self.broken("final without a reason")

    def judge_called(self, one: Reminder) -> None:
        """Hold the claim that somebody heard a reminder against what the provider has spoken."""
        asked = (one.id, self.incarnations[one.id], one.scheduled_at)
        loose = not self.setting.echo and (self.db.restored_at is not None or self.setting.lies)
        for phone in self.phones:
            if phone.number == one.phone_number and asked in phone.heard:
                return
            if (loose or self.db.restored_at is not None) and any(heard[0] == one.id for heard in phone.heard):
                return
        if one.wake_at is None:
            self.broken("called, but nobody heard it for this time, at this number")
