"""A provider without sockets or a clock, for histories that run in this process; it keeps the same record."""

from datetime import datetime, timedelta
from typing import Final

from attrs import define, field

from reminderd.core.answers import (
    Accepted,
    AccountRefused,
    Candidates,
    Capabilities,
    Found,
    LookUpAnswer,
    NoAnswer,
    NotFound,
    NotPlaced,
    PlacingAnswer,
    Refused,
    Report,
    Unclear,
)
from reminderd.providers.base import Placement
from tests.chaos.record import Order, Record, Ring

PLACED, ANSWER_LOST, REQUEST_LOST, NOT_PLACED, REFUSED, ACCOUNT = MOODS = (
    "placed",
    "answer lost",
    "request lost",
    "not placed",
    "refused",
    "account error",
)
"""The outcomes of a request; a look-up gets an answer only with the first two."""

MISREPORTED: Final = "placed, and answered 503"
"""An outcome only for histories that know how to judge it."""

_NOTHING_PLACED: Final[dict[str, PlacingAnswer]] = {
    REQUEST_LOST: Unclear("timeout"),
    NOT_PLACED: NotPlaced("connection refused"),
    REFUSED: Refused("not a number of ours"),
    ACCOUNT: AccountRefused("unauthorized"),
}
_CLOCKS_DIFFER: Final = timedelta(minutes=1)
_KEY_MARGIN: Final = timedelta(hours=1)
"""How much longer a provider keeps its keys than documented: at the end of that time, a request may be in flight."""


@define(kw_only=True)
class SimulatedProvider:
    """Rings phones, and reports their calls when asked."""

    capabilities: Capabilities
    look_up_lag: timedelta = timedelta(0)
    echoes_attempt_id: bool = True
    record: Record = field(factory=Record)
    _began: dict[str, datetime] = field(factory=dict)

    def place(
        self,
        placement: Placement,
        mood: str,
        now: datetime,
        *,
        committed: bool,
        bundled: tuple[str, ...] = (),
    ) -> PlacingAnswer:
        """Answer a request; `bundled` are the other reminders of the call."""
        self.record.orders.append(
            Order(
                key=placement.call_id,
                reminder_id=placement.reminder_id,
                phone_number=placement.phone_number,
                message=placement.message,
                bundled=bundled,
                committed=committed,
            )
        )
        if mood in _NOTHING_PLACED:
            return _NOTHING_PLACED[mood]
        ring = self._known_ring(placement.call_id, now) or self._rings(placement, bundled, now)
        if mood == MISREPORTED:
            return NotPlaced("503")
        return Unclear("timeout") if mood == ANSWER_LOST else Accepted(ring.call_id)

    def find(self, call_id: str, mood: str, now: datetime) -> LookUpAnswer:
        """Return the call with our id, once look-ups show it."""
        if mood not in {PLACED, ANSWER_LOST}:
            return NoAnswer("not now")
        known = [ring for ring in self.record.rings if ring.key == call_id]
        visible = [ring for ring in known if self._began[ring.call_id] + self.look_up_lag <= now]
        return Found(self.tells(visible[0])) if visible else NotFound()

    def candidates(self, placement: Placement, mood: str, now: datetime) -> LookUpAnswer | Candidates:
        """Return the calls to that number, once look-ups show them: any of them could be the requested call."""
        if mood not in {PLACED, ANSWER_LOST}:
            return NoAnswer("not now")
        keys = {order.key for order in self.record.orders if order.phone_number == placement.phone_number}
        since = placement.asked_from - _CLOCKS_DIFFER
        recent = [ring for ring in self.record.rings if since <= self._began[ring.call_id] <= now - self.look_up_lag]
        return Candidates(tuple(self.tells(ring) for ring in recent if ring.key in keys))

    def drop(self, call_id: str, mood: str) -> LookUpAnswer:
        """End a call that nobody has picked up; return its state then, if the answer arrives."""
        if mood not in {PLACED, ANSWER_LOST}:
            return NoAnswer("not now")
        ring = next(ring for ring in self.record.rings if ring.call_id == call_id)
        if ring.end is None and not ring.picked_up:
            self.ends(ring, "canceled")
        return NoAnswer("timeout") if mood == ANSWER_LOST else Found(self.tells(ring))

    def tells(self, ring: Ring) -> Report:
        """Return a report of a call's present state; from now on its end can be known."""
        if ring.end is not None:
            ring.note_disclosure(self.record.moment())
        return Report(
            external_call_id=ring.call_id,
            status=ring.end or ("in-progress" if ring.picked_up else "ringing"),
            reminder_id=ring.reminder_id,
            attempt_id=ring.key if self.echoes_attempt_id else None,
            transcript=ring.transcript,
            answered_by=ring.answered_by,
        )

    def ends(self, ring: Ring, word: str) -> None:
        """End a call."""
        ring.end = word
        ring.transcript = f"{ring.call_id} is heard to say: I'll come." if word == "completed" else None

    def _known_ring(self, key: str, now: datetime) -> Ring | None:
        if not self.capabilities.honors_key:
            return None
        oldest = now - self.capabilities.key_lifetime - _KEY_MARGIN
        return next((r for r in self.record.rings if r.key == key and self._began[r.call_id] > oldest), None)

    def _rings(self, placement: Placement, bundled: tuple[str, ...], now: datetime) -> Ring:
        ring = Ring(
            key=placement.call_id,
            reminder_id=placement.reminder_id,
            bundled=bundled,
            call_id=f"ext-{len(self.record.rings)}",
            heard=not self.capabilities.asks_what_to_say,
            at=self.record.moment(),
        )
        self._began[ring.call_id] = now
        self.record.rings.append(ring)
        return ring
