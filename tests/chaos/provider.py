"""A provider over real sockets that is as bad as possible, keeps its own record, and kills our processes.

It knows when a kill hurts most, as it sees the connection, the request, its own answer and its webhooks. What it does
to a call is drawn from a seed and that call alone, so the same seed gives the same outcomes in whatever order the
requests come. `generic.py` and `twilio.py` define its two dialects.
"""

import json
from collections import Counter
from collections.abc import Callable
from random import Random
from signal import SIGCONT, SIGKILL, SIGSTOP, Signals
from typing import Any, Final

import httpx
import trio
from attrs import define, field, frozen

from tests.chaos.record import Order, Record, Ring
from tests.chaos.strikes import SUSPENSION, Strike, Target
from tests.support.hostile_provider import Line, ReceivedRequest, cut, hang, hear, say
from tests.support.program import Process

_WEBHOOKS_AT_A_TIME: Final = 16
"""With more, webhooks would only wait in the client's pool, which examines all that wait at each request."""


@frozen(kw_only=True)
class Temper:
    """How bad the provider is: each number is a share of all requests, look-ups or calls."""

    honors_keys: bool = False
    look_up: bool = False
    loses_answers: float = 0.1
    """The call is placed, but the answer is lost, is 500, or never comes."""
    fails: float = 0.06
    """Nothing is placed; the answer is 500, or that the provider is too busy."""
    refuses: float = 0.02
    fails_look_ups: float = 0.1
    silent: float = 0.0
    """No webhook about the call is ever sent."""


@frozen(kw_only=True)
class Clinic:
    """The clinic's database as another connection sees it, and what staff do in it."""

    reminder_of: Callable[[str], str | None]
    """Returns the reminder whose call has this id; None if no such call is committed."""
    response_to: Callable[[str], str | None]
    """Returns the recorded response to a reminder."""
    cancel: Callable[[str], None]
    """Cancels a reminder as staff do, if it still can be cancelled."""


@define(kw_only=True)
class ChaosProvider:
    """The behavior of a provider, and its record."""

    seed: int
    temper: Temper
    clinic: Clinic
    client: httpx.AsyncClient
    nursery: trio.Nursery
    record: Record = field(factory=Record)
    targets: list[Target] = field(factory=list)
    well: bool = False
    """Whether nothing fails anymore; webhooks are still late, repeated and out of order."""
    strikes: Counter[Strike] = field(factory=Counter)
    webhooks: int = 0
    """The number of webhooks that were sent, including repeats."""
    found: int = 0
    """The number of look-ups that found a call whose provider id we did not have."""
    undelivered: int = 0
    """The number of webhooks that are still to be sent, or have no answer yet."""
    answered: dict[str, int] = field(factory=dict)
    """The moment at which our answer to a patient's key arrived, by reminder."""
    pressed: set[str] = field(factory=set)
    """The reminders for which a patient has pressed a key with a meaning."""
    cancelled: set[str] = field(factory=set)
    """The reminders that staff have tried to cancel."""
    _opened: trio.Event = field(factory=trio.Event)
    _deliveries: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(_WEBHOOKS_AT_A_TIME))
    _asked: Counter[str] = field(factory=Counter)

    async def serve(self, line: Line) -> None:
        """Serve one connection of one of our processes, unless that process was killed meanwhile."""
        port = line.stream.socket.getpeername()[1]
        target = next((one for one in self.targets if one.owns(port)), None)
        if target is None:
            return
        if target.strikes(Strike.CONNECTED):
            self._kill(target, Strike.CONNECTED)
        draw = self.draw("connection")
        while True:
            await hear(line)
            request = line.server.requests[-1]
            if target.strikes(Strike.REQUESTED):
                self._kill(target, Strike.REQUESTED)
            if target.strikes(Strike.SUSPENDED):
                self._kill(target, Strike.SUSPENDED, after=SUSPENSION + draw.uniform(0, 0.3))
            await self.asked(line, request)
            if target.strikes(Strike.ANSWERED):
                self._kill(target, Strike.ANSWERED, after=draw.uniform(0, 0.02))

    # What each dialect does in its own words

    async def asked(self, line: Line, request: ReceivedRequest) -> None:
        """Answer any request."""
        raise NotImplementedError

    async def refuse(self, line: Line) -> None:
        """Answer that this number can't be called."""
        raise NotImplementedError

    async def fail(self, line: Line, draw: Random) -> None:
        """Answer that it did not work, or not now."""
        raise NotImplementedError

    async def accept(self, line: Line, ring: Ring) -> None:
        """Answer that the call was accepted."""
        raise NotImplementedError

    def rings(self, order: Order, draw: Random) -> Ring:
        """Ring the phone."""
        raise NotImplementedError

    def is_on_the_phone(self, ring: Ring) -> bool:
        """Return whether the phone rings or somebody is on it, and our program must know so."""
        raise NotImplementedError

    # What happens to a request to place a call

    async def place(self, line: Line, order: Order) -> None:
        """Place the ordered call or not, and answer truthfully or not."""
        self.record.orders.append(order)
        draw = self.draw("order", order.reminder_id)
        chance, latency = draw.random(), draw.choice((0.0, 0.0, 0.01, 0.05, 0.3))
        temper = self.temper if not self.well else Temper(loses_answers=0, fails=0, refuses=0)
        known = next((ring for ring in self.record.rings if ring.key == order.key), None)
        if chance < temper.refuses and known is None:
            await self.refuse(line)
            return
        if chance < temper.refuses + temper.fails:
            await trio.sleep(latency)
            await self.fail(line, draw)
            return
        ring = known if known is not None and self.temper.honors_keys else self._rings(order, draw)
        await trio.sleep(latency)
        if chance < temper.refuses + temper.fails + temper.loses_answers:
            await self._lose_the_answer(line, draw)
        await self.accept(line, ring)

    def _rings(self, order: Order, draw: Random) -> Ring:
        """Ring the phone; complain if another call to its number is not over."""
        same = {one.key for one in self.record.orders if one.phone_number == order.phone_number} - {order.key}
        self.record.complaints += [
            f"{order.key}: two calls to {order.phone_number} at once, the other is {ring.key}"
            for ring in self.record.rings
            if ring.key in same and self.is_on_the_phone(ring)
        ]
        return self.rings(order, draw)

    async def _lose_the_answer(self, line: Line, draw: Random) -> None:
        """Lose the answer to a request whose call was placed."""
        match draw.choice(("cut", "hang", "500", "garbage")):
            case "cut":
                await cut(line)
                raise trio.ClosedResourceError
            case "hang":
                await hang(line)
            case "500":
                await answer(line, 500, {})
            case _:
                await say(b"HTTP/1.1 201 Said\r\nContent-Length: 99\r\n\r\n<html>")(line)
                await cut(line)
        raise trio.ClosedResourceError

    # What it reports without being asked

    async def reach(self, draw: Random, send: Callable[[str], Any], *, ends: bool) -> httpx.Response | None:
        """Send something to one of our processes that listens; return the answer, or None if there was none.

        Args:
            draw: chooses the process.
            send: sends it to the URL of the process.
            ends: whether it reports the end of a call, at which the process may be killed.
        """
        target = await self._open_target(draw)
        async with self._deliveries:
            self.webhooks += 1
            if ends and target.strikes(Strike.REPORTED):
                self._kill(target, Strike.REPORTED, after=draw.uniform(0, 0.01))
            try:
                answered: httpx.Response = await send(target.web_url or "")
            except httpx.TransportError:
                return None
            return answered

    async def _open_target(self, draw: Random) -> Target:
        while True:
            opened = [target for target in self.targets if target.web_url is not None]
            if opened:
                return draw.choice(opened)
            await self._opened.wait()

    # What it does to our processes

    def opens(self, target: Target, web_url: str) -> None:
        """Note that the process of this target listens for webhooks now."""
        target.web_url = web_url
        self._opened.set()
        self._opened = trio.Event()

    def _kill(self, target: Target, strike: Strike, *, after: float = 0.0) -> None:
        """Kill the target's present process after this number of seconds; if it is 0, before this returns."""
        assert target.program is not None
        self.strikes[strike] += 1
        process = target.program.process
        if strike is Strike.SUSPENDED:
            process.send_signal(SIGSTOP)
            self.nursery.start_soon(_signal_after, process, SIGCONT, SUSPENSION)
        if after:
            self.nursery.start_soon(_signal_after, process, SIGKILL, after)
        else:
            process.kill()

    def draw(self, *subject: str) -> Random:
        """Return randomness for the n-th decision about this subject, whatever else happens."""
        name = "/".join(subject)
        self._asked[name] += 1
        return Random(f"{self.seed}/{name}/{self._asked[name]}")


async def _signal_after(process: Process, number: Signals, seconds: float) -> None:
    await trio.sleep(seconds)
    process.send_signal(number)


async def answer(line: Line, status: int, body: dict[str, Any], more: str = "") -> None:
    """Answer in JSON; `more` contains further header lines, each with its line end."""
    text = json.dumps(body).encode()
    head = f"HTTP/1.1 {status} Said\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n{more}\r\n"
    await say(head.encode() + text)(line)
