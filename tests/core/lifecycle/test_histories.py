"""Random histories of everything that can go wrong, checked against the two promises with the provider's own record."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime, timedelta

from attrs import define, evolve, field, frozen
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from reminderd.core.answers import (
    Accepted,
    AccountTrouble,
    Answer,
    Candidates,
    Capabilities,
    Finding,
    Found,
    NoAnswer,
    NotFound,
    NotPlaced,
    Refused,
    Report,
    Unclear,
)
from reminderd.core.conversation import Question
from reminderd.core.intake import expiry, zone_of
from reminderd.core.lifecycle import (
    Claimed,
    Errand,
    Key,
    NotAllowedError,
    Step,
    Surroundings,
    answered,
    call_spoken_of,
    called_again,
    cancelled,
    chosen,
    kept_back,
    looked_up,
    not_sent,
    pressed,
    reported,
    wake,
)
from reminderd.core.lifecycle.check import MOST_CHECKS
from reminderd.core.reminder import CLOSED, TERMINAL, UNANSWERED, Call, Reminder, Response, Status
from reminderd.core.rules import Rules
from tests.support.nouns import HOUR, MINUTE, NOW, SECOND, a_reminder, hours

REQUEST_TIMEOUT = 20 * SECOND
KEY_MARGIN = HOUR
"""A provider keeps its keys longer than we are told to trust: a request may still be under way when that time ends."""
CLOCKS_DIFFER = MINUTE
"""By so much a call may seem to have been made before it was asked for."""
ENDS_BEFORE_A_REDIAL = frozenset({"busy", "no-answer", "canceled"})
PLACED, ANSWER_LOST, REQUEST_LOST, NOT_PLACED, REFUSED, ACCOUNT, PAUSED = MOODS = (
    "placed",
    "answer lost",
    "request lost",
    "not placed",
    "refused",
    "account trouble",
    "paused by staff",
)
SETTLES, SUSPENDED_BEFORE, SUSPENDED_AFTER, KILLED_BEFORE, KILLED_AFTER = FATES = (
    "settles",
    "suspended before the request",
    "suspended after it",
    "killed before it",
    "killed after it",
)
CALL_AGAIN, CANCEL, OPT_OUT = "staff call again", "staff cancel", "a number opts out"


@define
class Ring:
    """A telephone that rang: the provider's own record of it."""

    key: str
    reminder_id: str
    external_call_id: str
    began: datetime
    status: str = "queued"
    answered_by: str | None = None

    @property
    def by_machine(self) -> bool:
        return self.answered_by not in {None, "human"}


@define
class SimulatedProvider:
    """A provider that remembers each phone it rang, whatever it told us about it."""

    capabilities: Capabilities
    look_up_lag: timedelta
    echoes_attempt_id: bool
    rings: list[Ring] = field(factory=list)

    def asked_to_ring(self, key: str, reminder_id: str, mood: str, now: datetime) -> tuple[Answer, Ring | None]:
        """The answer to a request, and the new ring if it made a phone ring."""
        if mood == REFUSED:
            return Refused("not a number of ours"), None
        if mood == NOT_PLACED:
            return NotPlaced("connection refused"), None
        if mood == ACCOUNT:
            return AccountTrouble("unauthorised"), None
        if mood == REQUEST_LOST:
            return Unclear("timeout"), None
        known = self._rung_for(key, now)
        ring = known or Ring(key, reminder_id, f"ext-{len(self.rings)}", now)
        if known is None:
            self.rings.append(ring)
        answer = Unclear("timeout") if mood == ANSWER_LOST else Accepted(ring.external_call_id)
        return answer, None if known is not None else ring

    def _rung_for(self, key: str, now: datetime) -> Ring | None:
        if not self.capabilities.honours_key:
            return None
        oldest = now - self.capabilities.key_lifetime - KEY_MARGIN
        return next((ring for ring in self.rings if ring.key == key and ring.began > oldest), None)

    def asked_about(self, call: Call, errand: Errand, mood: str, now: datetime) -> Finding | Candidates:
        """What it tells of a call, or of all that could be meant; before that it drops the call, if asked to."""
        visible = [ring for ring in self.rings if ring.began + self.look_up_lag <= now]
        if errand is Errand.FIND and not self.echoes_attempt_id:
            earliest = call.created_at - CLOCKS_DIFFER
            recent = [ring for ring in visible if ring.began >= earliest and ring.reminder_id == call.reminder_id]
            return Candidates(tuple(map(self.report_of, recent)))
        if errand is Errand.DROP:
            visible = [ring for ring in self.rings if ring.external_call_id == call.external_call_id]
            if visible and visible[0].status in UNANSWERED and mood != REQUEST_LOST:
                visible[0].status = "canceled"
        if mood in {REQUEST_LOST, ANSWER_LOST}:
            return NoAnswer("not now")
        meant = [ring for ring in visible if ring.key == call.id]
        return Found(self.report_of(meant[0])) if meant else NotFound()

    def report_of(self, ring: Ring) -> Report:
        return Report(
            external_call_id=ring.external_call_id,
            status=ring.status,
            reminder_id=ring.reminder_id,
            attempt_id=ring.key if self.echoes_attempt_id else None,
            answered_by=ring.answered_by,
        )


@define
class Duty:
    """A claim in the hands of a process, and what came of it so far."""

    process: int
    claimed: Claimed
    claimed_at: datetime
    outcome: Answer | Finding | Candidates | str | None = None
    """An answer, a finding, or why nothing was sent; None before."""


@frozen
class Work:
    """How a process fares with what it claims."""

    process: int = 0
    fate: str = SETTLES
    burns_try: bool = True
    room: int = 1
    """0: no line is free for a request."""


WORK = st.builds(
    Work,
    process=st.integers(0, 1),
    fate=st.sampled_from((SETTLES, SETTLES, SETTLES, *FATES)),
    burns_try=st.booleans(),
    room=st.sampled_from((1, 1, 1, 1, 0)),
)


class Histories(RuleBasedStateMachine):
    """A clinic with two processes on one database, and a provider that may fail in every way it can."""

    @initialize(
        capabilities=st.builds(
            Capabilities,
            honours_key=st.booleans(),
            key_lifetime=st.sampled_from([HOUR, 23 * HOUR]),
            look_up=st.booleans(),
            drop=st.booleans(),
        ),
        look_up_lag=st.sampled_from([0 * SECOND, 3 * MINUTE, 6 * HOUR]),
        echoes_attempt_id=st.booleans(),
        ring_again=st.booleans(),
        voicemail_is_reached=st.booleans(),
        closes_at=st.sampled_from([24, 11]),
        reminders=st.integers(1, 2),
        meddling=st.sampled_from([(), (), (CALL_AGAIN,), (CALL_AGAIN, CANCEL), (CANCEL,), (OPT_OUT,)]),
        expires_after=st.sampled_from([72 * HOUR, 30 * HOUR, None]),
    )
    def opens(
        self,
        capabilities: Capabilities,
        look_up_lag: timedelta,
        echoes_attempt_id: bool,
        ring_again: bool,
        voicemail_is_reached: bool,
        closes_at: int,
        reminders: int,
        meddling: tuple[str, ...],
        expires_after: timedelta | None,
    ) -> None:
        self.now = NOW
        self.provider = SimulatedProvider(capabilities, look_up_lag, echoes_attempt_id)
        self.clinic = Rules(
            capabilities=capabilities,
            ring_again_when_unsure=ring_again,
            voicemail_is_reached=voicemail_is_reached,
            window=hours(9 * HOUR if closes_at < 24 else 0 * HOUR, closes_at * HOUR),
            max_tries=3,
            max_calls=2,
        )
        self.expires_after = expires_after
        self.reminders: dict[str, Reminder] = {}
        self.calls: dict[str, tuple[Call, ...]] = {}
        self.by_guess: dict[str, int] = {}  # how many of its rings may follow one of unknown fate
        self.receipts: set[str] = set()
        self.reports: list[Report] = []
        self.reached: set[str] = set()
        self.suspended: list[Duty] = []
        self.opted_out: set[str] = set()
        self.has_answered: set[str] = set()
        self.meddling = meddling
        self.minted = 0
        for _ in range(reminders):
            self._add_reminder()

    def _add_reminder(self) -> None:
        number = len(self.reminders)
        reminder = a_reminder(
            id=f"reminder-{number}",
            phone_number=f"+155501{number:05}",
            scheduled_at=self.now,
            wake_at=self.now,
            expires_at=None if self.expires_after is None else self.now + self.expires_after,
        )
        self.reminders[reminder.id], self.calls[reminder.id] = reminder, ()
        self.by_guess[reminder.id] = int(self.clinic.ring_again_when_unsure)

    # What the two processes do

    @rule(work=WORK)
    def a_call_is_placed(self, work: Work) -> None:
        self._works(work, PLACED)

    @rule(work=WORK)
    def a_call_is_placed_and_the_answer_lost(self, work: Work) -> None:
        self._works(work, ANSWER_LOST)

    @rule(work=WORK)
    def a_request_is_lost(self, work: Work) -> None:
        self._works(work, REQUEST_LOST)

    @rule(work=WORK, mood=st.sampled_from([NOT_PLACED, REFUSED, ACCOUNT, PAUSED]))
    def a_call_is_certainly_not_placed(self, work: Work, mood: str) -> None:
        self._works(work, mood)

    def _works(self, work: Work, mood: str) -> None:
        """A process sleeps until something is due, claims it, does it, and settles it, if it comes so far."""
        if self._next_wake() is None:
            self._add_reminder()
        self.now = max(self.now, self._next_wake() or self.now)
        for duty in self._claimed(work.process, may_dial=work.room > 0):
            if work.fate not in {SUSPENDED_BEFORE, KILLED_BEFORE}:
                self._do(duty, mood)
            if work.fate in {SUSPENDED_BEFORE, SUSPENDED_AFTER}:
                self.suspended.append(duty)
            if work.fate == SETTLES:
                self._settle(duty, burns_try=work.burns_try)

    @precondition(lambda self: self.suspended)
    @rule(which=st.integers(0, 9), mood=st.sampled_from(MOODS), burns_try=st.booleans())
    def a_suspended_process_goes_on(self, which: int, mood: str, burns_try: bool) -> None:
        """Perhaps long after, when others have come to other conclusions."""
        duty = self.suspended.pop(which % len(self.suspended))
        if duty.outcome is None:
            self._do(duty, mood)
        self._settle(duty, burns_try=burns_try)

    @rule(pause=st.sampled_from([30 * SECOND, 3 * MINUTE, 20 * MINUTE, 2 * HOUR, 2 * HOUR, 25 * HOUR]))
    def time_passes(self, pause: timedelta) -> None:
        self.now += pause

    def _claimed(self, process: int, *, may_dial: bool) -> list[Duty]:
        """What is due goes to the process, but for what it holds already."""
        held = {duty.claimed.token for duty in self.suspended if duty.process == process}
        duties = []
        for reminder in self._all():
            if reminder.wake_at is None or reminder.wake_at > self.now:
                continue
            if reminder.lease_token in held:
                self.reminders[reminder.id] = evolve(reminder, wake_at=self.now + self.clinic.lease)
            elif may_dial or reminder.status is not Status.SCHEDULED:
                claimed = self._claim(process, reminder, may_dial=may_dial)
                if claimed is not None:
                    duties.append(Duty(process, claimed, self.now))
        return duties

    def _claim(self, process: int, reminder: Reminder, *, may_dial: bool) -> Claimed | None:
        step = wake(
            reminder,
            self.calls[reminder.id],
            around=Surroundings(
                opted_out=reminder.id in self.opted_out, dial_from=None if may_dial else self.now + MINUTE
            ),
            rules=self.clinic,
            now=self.now,
            token=f"{process}-{self._mint()}",
            new_call_id=self._mint(),
        )
        self._save(step)
        return step.claimed

    def _do(self, duty: Duty, mood: str) -> None:
        """The request goes out, or the provider is asked, or the last look forbids it; nothing is settled yet."""
        claimed = duty.claimed
        if claimed.errand in {Errand.DIAL, Errand.RESEND}:
            duty.outcome = self._last_look(duty, paused=mood == PAUSED) or self._rings(duty, mood)
            return
        if claimed.errand is Errand.DROP:
            assert self.clinic.capabilities.drop, "asked to drop a call by a provider that can't"
            assert claimed.reminder.status is Status.CANCELLED, "dropped though it is wanted"
            assert claimed.call.checks < MOST_CHECKS, "asked for ever"
        duty.outcome = self.provider.asked_about(claimed.call, claimed.errand, mood, self.now)

    def _last_look(self, duty: Duty, *, paused: bool) -> str | None:
        reminder = self.reminders[duty.claimed.reminder.id]
        by_monotonic = duty.claimed_at + self.clinic.lease - self.now
        return kept_back(
            reminder,
            token=duty.claimed.token,
            parted=False,
            opted_out=reminder.id in self.opted_out,
            paused=paused,
            window_open=self.clinic.window.is_open(self.now, zone_of(reminder, self.clinic)),
            stopping=False,
            lease_left=by_monotonic if reminder.wake_at is None else min(by_monotonic, reminder.wake_at - self.now),
            needed=REQUEST_TIMEOUT,
        )

    def _rings(self, duty: Duty, mood: str) -> Answer:
        """Send the request; a phone that rings must be one that may ring."""
        call, reminder = duty.claimed.call, self.reminders[duty.claimed.reminder.id]
        former = [ring for ring in self.provider.rings if ring.reminder_id == reminder.id]
        answer, ring = self.provider.asked_to_ring(call.id, reminder.id, mood, self.now)
        if ring is not None:
            assert call.id not in {ring.key for ring in former}, "rung twice for one call"
            if former and not self._is_known_to_have_ended(former[-1]):
                self.by_guess[reminder.id] -= 1
            assert self.by_guess[reminder.id] >= 0, "rung by guess"
            assert not reminder.status.final, "rung though it is over"
            assert reminder.id not in self.has_answered, "rung though the patient has answered by a key"
            assert reminder.id not in self.opted_out, "rung though the number has opted out"
            assert duty.claimed_at < expiry(reminder, self.clinic), "rung too late"
            assert self.clinic.window.is_open(self.now, zone_of(reminder, self.clinic)), "rung out of hours"
        return answer

    def _settle(self, duty: Duty, *, burns_try: bool) -> None:
        claimed, outcome, now = duty.claimed, duty.outcome, self.now
        reminder, calls = self.reminders[claimed.reminder.id], self.calls[claimed.reminder.id]
        call = next(call for call in calls if call.id == claimed.call.id)
        token, tries = claimed.token, claimed.call.tries
        if isinstance(outcome, str):
            is_out = reminder.id in self.opted_out
            step = not_sent(
                reminder, calls, call, outcome,
                token=token, tries=tries, resend=claimed.resend, opted_out=is_out, now=now,
            )  # fmt: skip
        elif isinstance(outcome, Found | NotFound | NoAnswer | Candidates):
            if isinstance(outcome, Candidates):
                outcome = chosen(outcome, call, taken=self._ids_of_other_calls(call))
            report = outcome.report if isinstance(outcome, Found) else None
            taken = report is not None and self._is_anothers(report.external_call_id, call)
            counts = report is not None and not (taken and call.status == "unconfirmed")
            step = looked_up(
                reminder, calls, call, outcome, token=token, id_taken=taken,
                receipt_is_new=counts and report is not None and self._receipt_is_new(report, call),
                new_call_id=self._mint(), rules=self.clinic, now=now,
            )  # fmt: skip
        else:
            assert outcome is not None
            taken = isinstance(outcome, Accepted) and self._is_anothers(outcome.external_call_id, call)
            step = answered(
                reminder, calls, call, outcome, token=token, tries=tries, resend=claimed.resend,
                burns_try=burns_try, id_taken=taken, rules=self.clinic, now=now, draw=0.5,
            )  # fmt: skip
        self._save(step)

    # What the provider does by itself

    @precondition(lambda self: self._ringing())
    @rule(
        which=st.integers(0, 9),
        word=st.sampled_from(["ringing", "held", "in-progress", *sorted(TERMINAL)]),
        answered_by=st.sampled_from([None, "human", "machine_start", "fax"]),
        arrives=st.booleans(),
    )
    def a_call_goes_on(self, which: int, word: str, answered_by: str | None, arrives: bool) -> None:
        """Its webhook arrives at once, or stays under way."""
        ringing = self._ringing()
        ring = ringing[which % len(ringing)]
        ring.status = word
        if word in {"in-progress", "completed"}:
            ring.answered_by = ring.answered_by or answered_by
        self.reports.append(self.provider.report_of(ring))
        if arrives:
            self._webhook(self.reports[-1])

    @precondition(lambda self: self.reports)
    @rule(which=st.integers(0, 99))
    def a_webhook_comes_late_or_again(self, which: int) -> None:
        """Any of those sent so far, in any order."""
        self._webhook(self.reports[which % len(self.reports)])

    @precondition(lambda self: self._ringing())
    @rule(which=st.integers(0, 9), digits=st.sampled_from(["1", "2", "9", "3", ""]), question=st.sampled_from(Question))
    def a_key_is_pressed(self, which: int, digits: str, question: Question) -> None:
        """The webhook of a key names our own call, and comes twice."""
        ringing = self._ringing()
        ring = ringing[which % len(ringing)]
        ring.status = "in-progress"
        report = evolve(self.provider.report_of(ring), attempt_id=ring.key)
        key = Key(digits=digits, question=question, repeats=0)
        self._presses(report, key)
        answer = self.reminders[ring.reminder_id].response
        assert not self._presses(report, key), "the same key has changed something a second time"
        assert self.reminders[ring.reminder_id].response == answer

    def _presses(self, report: Report, key: Key) -> bool:
        """Whether the key has changed anything."""
        self._webhook(report)
        before, calls = self.reminders[report.reminder_id or ""], self.calls[report.reminder_id or ""]
        call, _ = call_spoken_of(report, calls)
        assert call is not None
        turn = pressed(before, calls, call, key)
        after = turn.step.reminder
        if turn.opts_out:
            self.opted_out.add(before.id)
        if after.response is not None:
            self.has_answered.add(before.id)
            self.reached.add(before.id)
        if before.response == Response.OPTED_OUT:
            assert after.response == Response.OPTED_OUT, "opted out was not the last word"
        self._save(turn.step)
        return after != before

    def _webhook(self, report: Report) -> None:
        reminder = self.reminders[report.reminder_id or ""]
        calls = self.calls[reminder.id]
        call, _ = call_spoken_of(report, calls)
        step = reported(
            reminder,
            calls,
            report,
            receipt_is_new=self._receipt_is_new(report, call),
            id_taken=self._is_anothers(report.external_call_id, call),
            new_call_id=self._mint(),
            rules=self.clinic,
            now=self.now,
        )
        self._save(step)
        by_machine = report.answered_by not in {None, "human"}
        if report.status == "completed" and calls and (self.clinic.voicemail_is_reached or not by_machine):
            self.reached.add(reminder.id)
            assert step.reminder.status in {Status.CALLED, Status.CANCELLED}

    # What staff and patients do

    @precondition(lambda self: CALL_AGAIN in self.meddling and any(one.status.final for one in self._all()))
    @rule(which=st.integers(0, 1))
    def staff_have_it_called_again(self, which: int) -> None:
        reminder = self._one(which)
        calls, is_out = self.calls[reminder.id], reminder.id in self.opted_out
        with suppress(NotAllowedError):
            self._save(called_again(reminder, calls, opted_out=is_out, rules=self.clinic, now=self.now))
            self.by_guess[reminder.id] += 1

    @precondition(lambda self: CANCEL in self.meddling)
    @rule(which=st.integers(0, 1))
    def staff_cancel_it(self, which: int) -> None:
        reminder = self._one(which)
        with suppress(NotAllowedError):
            self._save(cancelled(reminder, self.calls[reminder.id], "cancelled by staff", self.now))

    @precondition(lambda self: OPT_OUT in self.meddling)
    @rule(which=st.integers(0, 1))
    def a_number_opts_out(self, which: int) -> None:
        reminder = self._one(which)
        self.opted_out.add(reminder.id)
        if reminder.status is Status.SCHEDULED:
            self._save(cancelled(reminder, self.calls[reminder.id], "opted out", self.now))

    # What must hold

    def _save(self, step: Step) -> None:
        reminder = step.reminder
        before = {call.id: call for call in self.calls[reminder.id]}
        for call in step.calls:
            former = before.pop(call.id, None)
            if former is not None and former.status in TERMINAL:
                assert call.status == former.status, "a reported end has changed"
            if former is not None and former.received_at is not None:
                assert call.received_at == former.received_at, "a call has taken two terminal reports"
        assert not before, "a call was lost"
        self.reminders[reminder.id], self.calls[reminder.id] = reminder, step.calls
        self._is_sound(reminder, step.calls)

    def _is_sound(self, reminder: Reminder, calls: tuple[Call, ...]) -> None:
        opened = [call for call in calls if call.open]
        assert len(opened) <= 1, "two open calls"
        attempts = [call.attempt for call in calls if call.attempt is not None]
        assert len(attempts) == len(set(attempts)), "two calls with one number"
        ids = [call.external_call_id for call in self._all_calls() if call.external_call_id is not None]
        assert len(ids) == len(set(ids)), "one provider's id on two calls"
        assert (reminder.wake_at is None) == (reminder.status.final and not opened), "nobody will look, or for nothing"
        assert (reminder.last_error is not None) == (reminder.status.final and reminder.status is not Status.CALLED)
        assert reminder.hold_reason is None or not reminder.status.final
        if reminder.id in self.reached:
            assert reminder.status in {Status.CALLED, Status.CANCELLED}, "reached, and forgotten"

    def teardown(self) -> None:
        """Time runs on, the provider is well again: everything comes to an end."""
        if not hasattr(self, "reminders"):
            return
        while self.suspended:
            self.a_suspended_process_goes_on(0, PLACED, burns_try=True)
        for _ in range(200):
            if self._next_wake() is None:
                break
            self._works(Work(), PLACED)
            for ring in self._ringing()[:1]:
                ring.status = "completed"
                self._webhook(self.provider.report_of(ring))
        for reminder in self._all():
            assert reminder.status.final, "stuck"
            assert reminder.wake_at is None, "stuck"

    # Small questions

    def _mint(self) -> str:
        self.minted += 1
        return f"id-{self.minted}"

    def _one(self, which: int) -> Reminder:
        return self._all()[-1 - which % len(self.reminders)]

    def _all(self) -> list[Reminder]:
        return list(self.reminders.values())

    def _next_wake(self) -> datetime | None:
        return min((one.wake_at for one in self._all() if one.wake_at is not None), default=None)

    def _ringing(self) -> list[Ring]:
        return [ring for ring in self.provider.rings if ring.status not in CLOSED]

    def _all_calls(self) -> Iterator[Call]:
        return (call for calls in self.calls.values() for call in calls)

    def _is_known_to_have_ended(self, ring: Ring) -> bool:
        """So that ringing again is no guess: it is over, and that was reported to us."""
        ours = next(call for call in self._all_calls() if call.id == ring.key)
        is_voicemail = ring.status == "completed" and ring.by_machine and not self.clinic.voicemail_is_reached
        has_ended = is_voicemail or ring.status in ENDS_BEFORE_A_REDIAL
        return ring.status == ours.status and has_ended and ours.received_at is not None

    def _ids_of_other_calls(self, call: Call) -> set[str]:
        others = (other.external_call_id for other in self._all_calls() if other.id != call.id)
        return {name for name in others if name is not None}

    def _is_anothers(self, external_call_id: str, call: Call | None) -> bool:
        return any(
            other.external_call_id == external_call_id and (call is None or other.id != call.id)
            for other in self._all_calls()
        )

    def _receipt_is_new(self, report: Report, call: Call | None) -> bool:
        if report.status not in TERMINAL or (call is not None and call.received_at is not None):
            return False
        is_new = report.external_call_id not in self.receipts
        self.receipts.add(report.external_call_id)
        return is_new


TestHistories = Histories.TestCase
TestHistories.settings = settings(
    max_examples=400, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
