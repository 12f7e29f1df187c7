"""What the sandbox remembers: the calls that it placed, under which keys, and whom it has turned away."""

from collections.abc import Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final, TypeAlias, TypeVar
from uuid import uuid4

from attrs import evolve, field, frozen

from reminderd.sandbox.behaviours import Behaviour, behaviour_of

REMEMBERED: Final = 10_000
"""Calls, and keys of requests turned away, that are kept; the oldest are forgotten."""

Known = TypeVar("Known")


@frozen(kw_only=True)
class CallOrder:
    """The body of `POST /calls`."""

    phone_number: str
    message: str = field(repr=False)
    metadata: Mapping[str, Any]


@frozen(kw_only=True)
class SandboxCall:
    """One call that was placed."""

    id: str
    order: CallOrder
    key: str | None
    """The idempotency key it came with."""
    placed_at: datetime
    behaviour: Behaviour
    end: str
    """How it will end."""
    status: str = "queued"

    @property
    def phone_number(self) -> str:
        """The number that rings."""
        return self.order.phone_number


@frozen
class Placed:
    """A call came of the request, or had come of an earlier one with the same key."""

    call: SandboxCall
    repeated: bool


@frozen
class TurnedAway:
    """Nothing is placed; the request is answered with this HTTP status."""

    status: int


@frozen
class KeyConflict:
    """The key belongs to another order."""


Decision: TypeAlias = Placed | TurnedAway | KeyConflict


class Switchboard:
    """Decides about requests and keeps the calls; bounded, and gone with the sandbox."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._calls: dict[str, SandboxCall] = {}
        self._id_by_key: dict[str, str] = {}
        self._refusals: dict[str, int] = {}
        self._rung: dict[str, int] = {}

    @property
    def calls(self) -> tuple[SandboxCall, ...]:
        """Every call placed and not yet forgotten, oldest first."""
        return tuple(self._calls.values())

    def decide(self, order: CallOrder, *, key: str | None, now: datetime) -> Decision:
        """Take a request: place a call, or say why there is none, or that there is one already."""
        known = None if key is None else self.call(self._id_by_key.get(key, ""))
        if known is not None:
            return Placed(known, repeated=True) if known.order == order else KeyConflict()
        behaviour = behaviour_of(order.phone_number)
        if behaviour.answer == "refused":
            return TurnedAway(422)
        refusals = self._refusals.get(key or order.phone_number, 0)
        if refusals < len(behaviour.turned_away):
            self._refusals[key or order.phone_number] = refusals + 1
            self._forget(self._refusals)
            return TurnedAway(behaviour.turned_away[refusals])
        return Placed(self._place(order, behaviour, key=key, now=now), repeated=False)

    def call(self, call_id: str) -> SandboxCall | None:
        """The call with this id, or None if there was none or it is forgotten."""
        return self._calls.get(call_id)

    def calls_of(self, attempt_id: str) -> tuple[SandboxCall, ...]:
        """The calls whose metadata carry this `attempt_id`."""
        return tuple(call for call in self._calls.values() if call.order.metadata.get("attempt_id") == attempt_id)

    def moved(self, call_id: str, status: str) -> SandboxCall | None:
        """The call with its new status, or None if it is forgotten by now."""
        call = self._calls.get(call_id)
        if call is None:
            return None
        self._calls[call_id] = evolve(call, status=status)
        return self._calls[call_id]

    def _place(self, order: CallOrder, behaviour: Behaviour, *, key: str | None, now: datetime) -> SandboxCall:
        whose = str(order.metadata.get("reminder_id") or order.phone_number)
        earlier = self._rung.get(whose, 0)
        self._rung[whose] = earlier + 1
        call = SandboxCall(
            id=str(uuid4()),
            order=order,
            key=key,
            placed_at=now,
            behaviour=behaviour,
            end=behaviour.ends[min(earlier, len(behaviour.ends) - 1)],
        )
        self._calls[call.id] = call
        if key is not None:
            self._id_by_key[key] = call.id
        for forgotten in self._forget(self._calls):
            self._id_by_key.pop(forgotten.key or "", None)
        self._forget(self._rung)
        return call

    def _forget(self, memory: dict[str, Known]) -> list[Known]:
        """Drop the oldest beyond what is remembered, and say which."""
        surplus = max(len(memory) - self._remembered, 0)
        return [memory.pop(key) for key in list(islice(memory, surplus))]
