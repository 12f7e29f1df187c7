"""A call as the sandbox remembers it, and its changes."""

from datetime import datetime
from typing import Final
from uuid import uuid4

from attrs import evolve, frozen

from reminderd.sandbox.behaviours import Behaviour
from reminderd.sandbox.twilio.order import CallOrder

ENDED: Final = frozenset({"completed", "busy", "failed", "no-answer", "canceled"})
STATUSES: Final = ENDED | {"queued", "ringing", "in-progress"}
"""What a call's `status` may be. "initiated" is said in callbacks only."""

_MACHINE: Final = {"Enable": "machine_start", "DetectMessageEnd": "machine_end_beep"}
"""By what `MachineDetection` asks for."""


@frozen(kw_only=True)
class TwilioCall:
    """One call that was placed."""

    id: str
    """Its `sid`."""
    order: CallOrder
    behaviour: Behaviour
    end: str
    """How it will end, unless it is hung up before."""
    placed_at: datetime
    updated_at: datetime
    status: str = "queued"
    dialled_at: datetime | None = None
    ended_at: datetime | None = None
    answered_by: str | None = None
    """Known once it is answered, if detection was asked for."""
    steps_talked: int = 0
    """A step stands for a second, however long it takes here."""
    heard: tuple[str, ...] = ()
    """What was said to whoever answered, a text for each time."""
    complaints: tuple[str, ...] = ()
    """What whoever placed the call did wrong, as Twilio's debugger would list it: the code, then a sentence."""
    error_code: int | None = None
    """Why the call was given up although somebody had answered."""

    @property
    def phone_number(self) -> str:
        """The number that rings."""
        return self.order.to

    @property
    def attempt_id(self) -> str | None:
        """Whoever placed it knows it by this id; None if its status callback carries none."""
        return self.order.attempt_id


def placed(order: CallOrder, behaviour: Behaviour, *, end: str, now: datetime) -> TwilioCall:
    """A new call, queued."""
    return TwilioCall(id=f"CA{uuid4().hex}", order=order, behaviour=behaviour, end=end, placed_at=now, updated_at=now)


def dialled(call: TwilioCall, *, now: datetime) -> TwilioCall:
    """The call as it leaves the queue; its status stays."""
    return evolve(call, dialled_at=now, updated_at=now)


def moved(call: TwilioCall, *, status: str, now: datetime) -> TwilioCall:
    """The call with its new status. One that has ended stays as it is."""
    if call.status in ENDED:
        return call
    return evolve(call, status=status, updated_at=now, ended_at=now if status in ENDED else None)


def answered(call: TwilioCall, *, now: datetime) -> TwilioCall:
    """The call as somebody takes it."""
    by = call.behaviour.answered_by
    who = _MACHINE.get(call.order.machine_detection) if by == "machine" else by
    return evolve(moved(call, status="in-progress", now=now), answered_by=who if call.order.machine_detection else None)


def said(call: TwilioCall, *, text: str) -> TwilioCall:
    """The call with one more text that was heard."""
    return evolve(call, heard=(*call.heard, text))


def talked(call: TwilioCall, *, steps: int) -> TwilioCall:
    """The call so much longer."""
    return evolve(call, steps_talked=call.steps_talked + steps)


def complained(call: TwilioCall, *, complaint: str) -> TwilioCall:
    """The call with one more mistake of whoever placed it."""
    return evolve(call, complaints=(*call.complaints, complaint))


def given_up(call: TwilioCall, *, error_code: int) -> TwilioCall:
    """The call with the reason why nobody knew what to say."""
    return evolve(call, error_code=error_code)
