"""The chaos provider in the generic contract: keys, look-ups by our id, webhooks until each is answered with 200."""

import json
from functools import partial
from random import Random
from typing import Any, Final
from uuid import UUID

import trio
from attrs import define, field

from reminderd.core.model import TERMINAL
from tests.chaos.provider import ChaosProvider, answer
from tests.chaos.record import Order, Ring
from tests.support.generic_server import send
from tests.support.hostile_provider import Line, ReceivedRequest

ENDS: Final = ("completed",) * 14 + ("busy",) * 2 + ("no-answer", "canceled", "failed")
WORDS: Final = ("initiated", "ringing", "in-progress", "held")
"""Words of progress; we do not know one of them."""


@define(kw_only=True)
class GenericChaos(ChaosProvider):
    """Speaks the generic contract."""

    _ends_at: dict[str, float] = field(factory=dict)

    async def asked(self, line: Line, request: ReceivedRequest) -> None:
        if request.method == "POST":
            await self.place(line, self._order(request))
        else:
            await self._asked_about(line, request)

    async def refuse(self, line: Line) -> None:
        await answer(line, 422, {"error": "no such number"})

    async def fail(self, line: Line, draw: Random) -> None:
        await answer(line, *draw.choice(((500, {}, ""), (503, {}, "Retry-After: 0\r\n"))))

    async def accept(self, line: Line, ring: Ring) -> None:
        await answer(line, 201, {"call_id": ring.call_id, "status": "queued"})

    def _order(self, request: ReceivedRequest) -> Order:
        body, key = json.loads(request.body), request.headers["idempotency-key"]
        if body["metadata"]["attempt_id"] != key:
            self.record.complaints.append(f"{key}: is the key for another call's order")
        return Order(
            key=key,
            reminder_id=body["metadata"]["reminder_id"],
            phone_number=body["phone_number"],
            message=body["message"],
            committed=self.clinic.reminder_of(key) is not None,
        )

    def rings(self, order: Order, draw: Random) -> Ring:
        """Ring the phone, and decide which reports about it will be sent, and when."""
        ring = Ring(
            key=order.key,
            reminder_id=order.reminder_id,
            call_id=str(UUID(int=draw.getrandbits(128))),
            at=self.record.moment(),
            end=draw.choice(ENDS),
        )
        ring.transcript = f"{ring.call_id} is heard to say: I'll come." if ring.end == "completed" else None
        lasts = draw.uniform(0, 0.3)
        self._ends_at[ring.call_id] = trio.current_time() + lasts
        self.record.rings.append(ring)
        if draw.random() < self.temper.silent:
            return ring
        for word in WORDS:
            if draw.random() < 0.4:
                self._report(ring, {"status": word}, draw.uniform(0, 0.6), draw)
        for _ in range(draw.randint(1, 3)):
            self._report(ring, _end_of(ring), lasts + draw.uniform(0, 0.4), draw)
        return ring

    def is_on_the_phone(self, ring: Ring) -> bool:
        return trio.current_time() < self._ends_at[ring.call_id]

    async def _asked_about(self, line: Line, request: ReceivedRequest) -> None:
        if not self.temper.look_up:
            await answer(line, 404, {})
            return
        if self.draw("look-up", request.target).random() < self.temper.fails_look_ups and not self.well:
            await answer(line, 500, {})
            return
        _, by_ours, wanted = request.target.rpartition("attempt_id=")
        if by_ours:
            calls = [self._shown(ring) for ring in self.record.rings if ring.key == wanted]
            self.found += len(calls)
            await answer(line, 200, {"calls": calls})
            return
        wanted = request.target.rpartition("/")[2]
        shown = [self._shown(ring) for ring in self.record.rings if ring.call_id == wanted]
        await answer(line, *((200, shown[0]) if shown else (404, {})))

    def _shown(self, ring: Ring) -> dict[str, Any]:
        """Return a call as a look-up shows it at this moment."""
        if trio.current_time() < self._ends_at[ring.call_id]:
            return _named(ring, {"status": "in-progress"})
        ring.note_disclosure(self.record.moment())
        return _named(ring, _end_of(ring))

    def _report(self, ring: Ring, news: dict[str, Any], after: float, draw: Random) -> None:
        self.undelivered += 1
        self.nursery.start_soon(self._deliver, ring, news, after, Random(draw.random()))

    async def _deliver(self, ring: Ring, news: dict[str, Any], after: float, draw: Random) -> None:
        """Send a webhook until it is answered with 200; sometimes, contradict it afterward."""
        await trio.sleep(after)
        ends = news["status"] in TERMINAL
        while True:
            if ends:
                ring.note_disclosure(self.record.moment())
            webhook = partial(send, self.client, body=_named(ring, news))
            answered = await self.reach(draw, webhook, ends=True)
            if answered is not None and answered.status_code == 200:
                break
            if answered is not None and answered.status_code != 503:
                self.record.complaints.append(f"{ring.key}: a webhook was answered with {answered.status_code}")
                break
            await trio.sleep(draw.uniform(0.02, 0.2))
        if ends and ring.acknowledged_at is None:
            ring.note_acknowledgment(self.record.moment())
            if draw.random() < 0.1:
                self._report(ring, {"status": "failed" if ring.end != "failed" else "busy"}, draw.uniform(0, 0.2), draw)
        self.undelivered -= 1


def _end_of(ring: Ring) -> dict[str, Any]:
    news = {"status": ring.end}
    return news if ring.transcript is None else news | {"transcript": ring.transcript}


def _named(ring: Ring, news: dict[str, Any]) -> dict[str, Any]:
    metadata = {"reminder_id": ring.reminder_id, "attempt_id": ring.key}
    return {"call_id": ring.call_id, "metadata": metadata} | news
