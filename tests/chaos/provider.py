"""A provider over real sockets that is as bad as they come, keeps its own record, and strikes our processes dead.

It knows best when it hurts: it sees the connection, the request, its own answer and its webhooks. What it does to a
call is drawn from a seed and from that call alone, so that the same seed gives the same fates in whatever order the
requests come.
"""

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals
from typing import Any, Final
from uuid import UUID

import httpx
import trio
from attrs import define, field, frozen

from reminderd.core.reminder import TERMINAL
from tests.chaos.door import SUSPENSION, Door, Strike
from tests.chaos.record import Order, Record, Ring
from tests.support.generic_server import send
from tests.support.hostile_provider import HeardRequest, Line, cut, hang, hear, say

_WEBHOOKS_AT_A_TIME: Final = 16
"""More would only wait in the client's pool, which looks through all that wait at each request."""


@frozen(kw_only=True)
class Temper:
    """How bad it is: shares of all requests, look-ups or calls."""

    honours_keys: bool = False
    look_up: bool = False
    loses_answers: float = 0.1
    """The call is placed; the answer is lost, is 500, or never comes."""
    fails: float = 0.06
    """Nothing is placed; the answer is 500, or 503 with Retry-After."""
    refuses: float = 0.02
    fails_look_ups: float = 0.1
    silent: float = 0.0
    """No webhook is ever sent about the call."""


ENDS: Final = ("completed",) * 14 + ("busy",) * 2 + ("no-answer", "canceled", "failed")
WORDS: Final = ("initiated", "ringing", "in-progress", "held")
"""Progress, one word of it unknown to us."""


@define(kw_only=True)
class ChaosProvider:
    """The provider's behaviour and its record."""

    seed: int
    temper: Temper
    committed: Callable[[str], bool]
    """Whether our database has the call with this id, as another connection sees it."""
    client: httpx.AsyncClient
    nursery: trio.Nursery
    record: Record = field(factory=Record)
    doors: list[Door] = field(factory=list)
    well: bool = False
    """Nothing fails any more; webhooks are still late, repeated and out of order."""
    strikes: Counter[Strike] = field(factory=Counter)
    webhooks: int = 0
    """Sent, the repeats included."""
    found: int = 0
    """Look-ups by our id that found a call."""
    undelivered: int = 0
    """Webhooks that have not got their 200 yet."""
    _opened: trio.Event = field(factory=trio.Event)
    _wires: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(_WEBHOOKS_AT_A_TIME))
    _ends_at: dict[str, float] = field(factory=dict)
    _asked: Counter[str] = field(factory=Counter)

    async def serve(self, door: Door, line: Line) -> None:
        """One connection of the process behind this door."""
        if door.strikes(Strike.CONNECTED):
            self._kill(door, Strike.CONNECTED)
        draw = self._draw("connection")
        while True:
            await hear(line)
            request = line.server.requests[-1]
            if door.strikes(Strike.REQUESTED):
                self._kill(door, Strike.REQUESTED)
            if door.strikes(Strike.SUSPENDED):
                self._kill(door, Strike.SUSPENDED, after=SUSPENSION + draw.uniform(0, 0.3))
            if request.method == "POST":
                await self._asked_to_place(line, request)
            else:
                await self._asked_about(line, request)
            if door.strikes(Strike.ANSWERED):
                self._kill(door, Strike.ANSWERED, after=draw.uniform(0, 0.02))

    # What it does with a request

    async def _asked_to_place(self, line: Line, request: HeardRequest) -> None:
        order = self._order(request)
        self.record.orders.append(order)
        draw = self._draw("order", order.reminder_id)
        fate, latency = draw.random(), draw.choice((0.0, 0.0, 0.01, 0.05, 0.3))
        temper = self.temper if not self.well else Temper(loses_answers=0, fails=0, refuses=0)
        known = next((ring for ring in self.record.rings if ring.key == order.key), None)
        if fate < temper.refuses and known is None:
            await _answer(line, 422, {"error": "no such number"})
            return
        if fate < temper.refuses + temper.fails:
            await trio.sleep(latency)
            await _answer(line, *draw.choice(((500, {}, ""), (503, {}, "Retry-After: 0\r\n"))))
            return
        ring = known if known is not None and self.temper.honours_keys else self._rings(order, draw)
        await trio.sleep(latency)
        if fate < temper.refuses + temper.fails + temper.loses_answers:
            await self._lose_the_answer(line, draw)
        await _answer(line, 201, {"call_id": ring.call_id, "status": "queued"})

    def _order(self, request: HeardRequest) -> Order:
        body, key = json.loads(request.body), request.headers["idempotency-key"]
        if body["metadata"]["attempt_id"] != key:
            self.record.complaints.append(f"{key}: is the key for another call's order")
        return Order(
            key=key,
            reminder_id=body["metadata"]["reminder_id"],
            phone_number=body["phone_number"],
            message=body["message"],
            committed=self.committed(key),
        )

    async def _lose_the_answer(self, line: Line, draw: Random) -> None:
        """The phone rings, and whoever asked for it is not told."""
        match draw.choice(("cut", "hang", "500", "garbage")):
            case "cut":
                await cut(line)
                raise trio.ClosedResourceError
            case "hang":
                await hang(line)
            case "500":
                await _answer(line, 500, {})
            case _:
                await say(b"HTTP/1.1 201 Said\r\nContent-Length: 99\r\n\r\n<html>")(line)
                await cut(line)
        raise trio.ClosedResourceError

    def _rings(self, order: Order, draw: Random) -> Ring:
        """The phone rings; what will be told about it, and when, is settled here."""
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

    async def _asked_about(self, line: Line, request: HeardRequest) -> None:
        if not self.temper.look_up:
            await _answer(line, 404, {})
            return
        if self._draw("look-up", request.target).random() < self.temper.fails_look_ups and not self.well:
            await _answer(line, 500, {})
            return
        _, by_ours, wanted = request.target.rpartition("attempt_id=")
        if by_ours:
            calls = [self._shown(ring) for ring in self.record.rings if ring.key == wanted]
            self.found += len(calls)
            await _answer(line, 200, {"calls": calls})
            return
        wanted = request.target.rpartition("/")[2]
        shown = [self._shown(ring) for ring in self.record.rings if ring.call_id == wanted]
        await _answer(line, *((200, shown[0]) if shown else (404, {})))

    def _shown(self, ring: Ring) -> dict[str, Any]:
        """A call as a look-up sees it at this moment."""
        if trio.current_time() < self._ends_at[ring.call_id]:
            return _named(ring, {"status": "in-progress"})
        ring.discloses(self.record.moment())
        return _named(ring, _end_of(ring))

    # What it tells by itself

    def _report(self, ring: Ring, news: dict[str, Any], after: float, draw: Random) -> None:
        self.undelivered += 1
        self.nursery.start_soon(self._deliver, ring, news, after, Random(draw.random()))

    async def _deliver(self, ring: Ring, news: dict[str, Any], after: float, draw: Random) -> None:
        """Send a webhook until it gets its 200; now and then, contradict it then."""
        await trio.sleep(after)
        ends = news["status"] in TERMINAL
        while True:
            door = await self._open_door(draw)
            if ends:
                ring.discloses(self.record.moment())
            answer = await self._send(door, _named(ring, news), draw)
            if answer is not None and answer.status_code == 200:
                break
            if answer is not None and answer.status_code != 503:
                self.record.complaints.append(f"{ring.key}: a webhook was answered with {answer.status_code}")
                break
            await trio.sleep(draw.uniform(0.02, 0.2))
        if ends and ring.acknowledged_at is None:
            ring.is_acknowledged(self.record.moment())
            if draw.random() < 0.1:
                self._report(ring, {"status": "failed" if ring.end != "failed" else "busy"}, draw.uniform(0, 0.2), draw)
        self.undelivered -= 1

    async def _send(self, door: Door, body: dict[str, Any], draw: Random) -> httpx.Response | None:
        """The answer, or None if there was none."""
        async with self._wires:
            self.webhooks += 1
            if door.strikes(Strike.REPORTED):
                self._kill(door, Strike.REPORTED, after=draw.uniform(0, 0.01))
            try:
                return await send(self.client, door.web_url or "", body)
            except httpx.TransportError:
                return None

    async def _open_door(self, draw: Random) -> Door:
        while True:
            opened = [door for door in self.doors if door.web_url is not None]
            if opened:
                return draw.choice(opened)
            await self._opened.wait()

    # What it does to us

    def opens(self, door: Door, web_url: str) -> None:
        """The process behind this door takes webhooks now."""
        door.web_url = web_url
        self._opened.set()
        self._opened = trio.Event()

    def _kill(self, door: Door, strike: Strike, *, after: float = 0.0) -> None:
        """Kill the process that is behind the door now, so many seconds from now; without any before this returns."""
        assert door.program is not None
        self.strikes[strike] += 1
        process = door.program.process
        if strike is Strike.SUSPENDED:
            process.send_signal(SIGSTOP)
            self.nursery.start_soon(_signal_after, process, SIGCONT, SUSPENSION)
        if after:
            self.nursery.start_soon(_signal_after, process, SIGKILL, after)
        else:
            process.kill()

    def _draw(self, *subject: str) -> Random:
        """Randomness for the n-th decision on this subject, whatever else goes on."""
        name = "/".join(subject)
        self._asked[name] += 1
        return Random(f"{self.seed}/{name}/{self._asked[name]}")


async def _signal_after(process: trio.Process, number: Signals, seconds: float) -> None:
    await trio.sleep(seconds)
    process.send_signal(number)


def _end_of(ring: Ring) -> dict[str, Any]:
    news = {"status": ring.end}
    return news if ring.transcript is None else news | {"transcript": ring.transcript}


def _named(ring: Ring, news: dict[str, Any]) -> dict[str, Any]:
    metadata = {"reminder_id": ring.reminder_id, "attempt_id": ring.key}
    return {"call_id": ring.call_id, "metadata": metadata} | news


async def _answer(line: Line, status: int, body: dict[str, Any], more: str = "") -> None:
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n{more}\r\n"
    await say(head.encode() + text)(line)
