"""Whatever happens to an appointment and the rules: what waits matches the plan, and no call is made twice."""

from datetime import datetime
from itertools import count
from typing import Any

from attrs import define, evolve, field
from hypothesis import given, settings
from hypothesis import strategies as st

from reminderd.core.booking import plan
from reminderd.core.lifecycle.replan import appointment_cancelled, reminders_of, replanned, response_recorded
from reminderd.core.lifecycle.transition import Ledger
from reminderd.core.model import (
    Appointment,
    AppointmentStatus,
    CallState,
    Reminder,
    Response,
    Status,
)
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.rules import Rules
from tests.support.appointments import AT, an_appointment, rules_with
from tests.support.builders import DAY, HOUR, NOW, a_call, a_member
from tests.support.clock import may_ring

TIMES = [AT, AT + DAY, AT + 3 * HOUR, AT - 2 * DAY]
RULES = [
    rules_with("3 days", "1 day at 10:00"),
    rules_with("72 hours", "1 day at 10:00", "2 hours"),
    rules_with("1 week"),
    rules_with(),
]
NUMBERS = ["+12025550001", "+12025550002"]
MADE_AGAIN = {EndCode.APPOINTMENT_MOVED, EndCode.APPOINTMENT_CANCELLED, EndCode.NOT_PLANNED}

EVENTS = st.one_of(
    st.tuples(st.just("at"), st.sampled_from(TIMES)),
    st.tuples(st.just("rules"), st.sampled_from(RULES)),
    st.tuples(st.just("phone_number"), st.sampled_from(NUMBERS)),
    st.tuples(
        st.sampled_from(["cancel", "book", "hold", "accept", "call", "miss", "confirm", "replace", "nothing"]),
        st.none(),
    ),
    st.tuples(st.just("wait"), st.integers(1, 40)),
)


@define
class History:
    """One appointment, and what has happened to it."""

    ledger: Ledger
    rules: Rules = RULES[0]
    now: datetime = NOW
    called: "list[tuple[datetime, datetime, str]]" = field(factory=list)
    """For each call the appointment's time, that of the call, and the number."""
    ids: "count[int]" = field(factory=count)

    @property
    def appointment(self) -> Appointment:
        return self.ledger.appointments["a1"]

    @property
    def waiting(self) -> list[Reminder]:
        return [one for one in reminders_of(self.ledger, self.appointment) if not one.status.final]

    def replan(self, **changes: Any) -> None:
        changed = evolve(self.appointment, **changes)
        ids = [f"r{next(self.ids)}" for _ in range(4)]
        self.ledger = replanned(self.ledger, changed, ids=ids, rules=self.rules, now=self.now).ledger

    def happens(self, event: str, value: Any) -> None:
        match event:
            case "at" | "phone_number":
                self.replan(**{event: value})
            case "rules":
                self.rules = value
            case "cancel" if self.appointment.status is AppointmentStatus.BOOKED:
                cancelled = appointment_cancelled(self.ledger, self.appointment, EndCode.WITHDRAWN, self.now)
                self.ledger = cancelled.ledger
            case "book":
                self.replan(status=AppointmentStatus.BOOKED)
            case "hold":
                self.replan(former_number="x", last_error="accept it")
            case "accept":
                self.replan(former_number=None)
            case "replace":  # by another program, which does not know reminderd's own columns
                new = an_appointment(at=self.appointment.at, phone_number=self.appointment.phone_number)
                self.ledger = self.ledger.put(new)
                self.replan()
            case "wait":
                self.now += value * HOUR
            case "call" | "miss" | "confirm":
                self.call(event)

    def call(self, how: str) -> None:
        """Call for the first reminder that is due, as the claim would."""
        for one in self.waiting:
            if one.scheduled_at > self.now or one.hold_code is HoldCode.NUMBER_CHANGED or self.ledger.history(one):
                continue
            self.called.append((one.planned_at or NOW, one.scheduled_at, one.phone_number))
            call = a_call(
                CallState.ENDED,
                id=f"c-{one.id}",
                reminder_id=one.id,
                phone_number=one.phone_number,
                seq=len(self.called),
                wake_at=None,
            )
            status = Status.SCHEDULED if how == "miss" else Status.CALLED
            response = Response.CONFIRMED if how == "confirm" else None
            after = evolve(one, status=status, response=response, wake_at=self.now if how == "miss" else None)
            self.ledger = self.ledger.put(call, a_member(call, one), after)
            if response is not None:
                self.ledger, _ = response_recorded(self.ledger, [after], response, self.now)
            return

    def holds(self) -> None:
        appointment, waiting = self.appointment, self.waiting
        assert len(self.called) == len(set(self.called)), "called twice for the same"
        if appointment.status is AppointmentStatus.CANCELLED or appointment.response is not None:
            assert waiting == []
            return
        moments = [one.scheduled_at for one in waiting]
        assert len(moments) == len(set(moments))
        for one in waiting:
            assert one.planned_at == appointment.at
            assert one.phone_number == appointment.phone_number
            assert one.scheduled_at < appointment.at
            assert may_ring(self.rules.calling_hours, one.scheduled_at, self.rules.calling_hours.zone)
            assert (one.hold_code is HoldCode.NUMBER_CHANGED) == (appointment.former_number is not None)
        own = [one for one in reminders_of(self.ledger, appointment) if one.planned_at == appointment.at]
        kept = [one for one in own if one.end_code not in MADE_AGAIN or self.ledger.history(one)]
        for call in plan(appointment, self.rules):
            if call.at is not None and call.at > self.now:
                assert any(one.cadence == call.cadence or one.scheduled_at == call.at for one in kept), call


@settings(max_examples=300)
@given(events=st.lists(EVENTS, max_size=25))
def test_the_calls_that_wait_are_those_of_the_plan(events: list[tuple[str, Any]]) -> None:
    appointment = an_appointment()
    history = History(Ledger().put(appointment))
    history.replan()
    for event, value in events:
        history.happens(event, value)
        if event != "wait":
            history.replan()  # as after each change
        history.holds()
