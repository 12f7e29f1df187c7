"""The generic contract's own rules: which requests place a call, and under which idempotency keys."""

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias
from uuid import uuid4

from attrs import evolve, field, frozen

from reminderd.sandbox.behaviours import Behaviour, behaviour_of
from reminderd.sandbox.ledger import REMEMBERED, Ledger


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

    @property
    def attempt_id(self) -> str | None:
        """Whoever placed it knows it by this id; None if the metadata carry none."""
        return self.order.metadata.get("attempt_id")


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
    """Decides about requests of the generic contract and keeps the calls."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._ledger: Ledger[SandboxCall] = Ledger(remembered=remembered)
        self._id_by_key: dict[str, str] = {}

    @property
    def calls(self) -> tuple[SandboxCall, ...]:
        """Every call placed and not yet forgotten, oldest first."""
        return self._ledger.calls

    def decide(self, order: CallOrder, *, key: str | None, now: datetime) -> Decision:
        """Take a request: place a call, or say why there is none, or that there is one already."""
        known = None if key is None else self.call(self._id_by_key.get(key, ""))
        if known is not None:
            return Placed(known, repeated=True) if known.order == order else KeyConflict()
        behaviour = behaviour_of(order.phone_number)
        refusal = self._ledger.turned_away(behaviour, request=key or order.phone_number)
        if refusal is not None:
            return TurnedAway(refusal)
        return Placed(self._place(order, behaviour, key=key, now=now), repeated=False)

    def call(self, call_id: str) -> SandboxCall | None:
        """The call with this id, or None if there was none or it is forgotten."""
        return self._ledger.call(call_id)

    def calls_of(self, attempt_id: str) -> tuple[SandboxCall, ...]:
        """The calls whose metadata carry this `attempt_id`."""
        return tuple(call for call in self.calls if call.attempt_id == attempt_id)

    def moved(self, call_id: str, status: str) -> SandboxCall | None:
        """The call with its new status, or None if it is forgotten by now."""
        return self._ledger.change(call_id, partial(evolve, status=status))

    def _place(self, order: CallOrder, behaviour: Behaviour, *, key: str | None, now: datetime) -> SandboxCall:
        whose = str(order.metadata.get("reminder_id") or order.phone_number)
        call = SandboxCall(
            id=str(uuid4()),
            order=order,
            key=key,
            placed_at=now,
            behaviour=behaviour,
            end=self._ledger.next_end(behaviour, whose=whose),
        )
        if key is not None:
            self._id_by_key[key] = call.id
        for forgotten in self._ledger.keep(call):
            self._id_by_key.pop(forgotten.key or "", None)
        return call
