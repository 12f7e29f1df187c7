"""What a sandbox remembers in any dialect: its calls, whom it has turned away, and whom it has rung."""

from collections.abc import Callable
from itertools import islice
from typing import Final, Generic, Protocol, TypeVar

from reminderd.sandbox.behaviours import Behaviour

REMEMBERED: Final = 10_000
"""Calls, and requests turned away, that are kept; the oldest are forgotten."""


class Rung(Protocol):
    """A call of some dialect."""

    @property
    def id(self) -> str:
        """The sandbox's own id of it."""

    @property
    def attempt_id(self) -> str | None:
        """Whoever placed it knows it by this id; None if it came without one."""

    @property
    def phone_number(self) -> str:
        """The number that rings."""

    @property
    def status(self) -> str:
        """Where it is, in the dialect's words."""


RungT = TypeVar("RungT", bound=Rung)
Known = TypeVar("Known")


class Ledger(Generic[RungT]):
    """Bounded, and gone with the sandbox."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._calls: dict[str, RungT] = {}
        self._refusals: dict[str, int] = {}
        self._rung: dict[str, int] = {}

    @property
    def calls(self) -> tuple[RungT, ...]:
        """Every call kept and not yet forgotten, oldest first."""
        return tuple(self._calls.values())

    def call(self, call_id: str) -> RungT | None:
        """The call with this id, or None if there was none or it is forgotten."""
        return self._calls.get(call_id)

    def turned_away(self, behaviour: Behaviour, *, request: str) -> int | None:
        """The status of the generic contract that this request is turned away with; None: it is taken.

        Args:
            behaviour: that of the number to ring.
            request: what tells this request, and its repeats, from others.
        """
        if behaviour.answer == "refused":
            return 422
        refusals = self._refusals.get(request, 0)
        if refusals == len(behaviour.turned_away):
            return None
        self._refusals[request] = refusals + 1
        self._forget(self._refusals)
        return behaviour.turned_away[refusals]

    def next_end(self, behaviour: Behaviour, *, whose: str) -> str:
        """How the next call ends of those that belong together."""
        earlier = self._rung.get(whose, 0)
        self._rung[whose] = earlier + 1
        self._forget(self._rung)
        return behaviour.ends[min(earlier, len(behaviour.ends) - 1)]

    def keep(self, call: RungT) -> list[RungT]:
        """Remember a new call; returns those that are forgotten for it."""
        self._calls[call.id] = call
        return self._forget(self._calls)

    def change(self, call_id: str, change: Callable[[RungT], RungT]) -> RungT | None:
        """The call as it is after the change, or None if it is forgotten by now."""
        call = self._calls.get(call_id)
        if call is None:
            return None
        self._calls[call_id] = change(call)
        return self._calls[call_id]

    def _forget(self, memory: dict[str, Known]) -> list[Known]:
        """Drop the oldest beyond what is remembered, and say which."""
        surplus = max(len(memory) - self._remembered, 0)
        return [memory.pop(key) for key in list(islice(memory, surplus))]
