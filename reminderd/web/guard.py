"""Lets wrong tokens of the API wait for their answer; right ones never come here."""

import math
from collections import Counter
from collections.abc import Sequence
from typing import Final

import trio
from attrs import define, field
from loguru import logger
from quart import Request

from reminderd.core.wrong_tokens import Network, WrongTokens, client_address
from reminderd.web.problems import ProblemError

MOST_OF_ONE: Final = 4
"""Answers that wait for one address at a time."""

MOST_OF_ALL: Final = 100
"""Answers that wait at a time: each of them holds a connection, and webhooks need those, too."""

_FORWARDED: Final = b"x-forwarded-for"


@define(eq=False)
class Guard:
    """Knows which addresses have sent wrong tokens."""

    trusted: Sequence[Network] = ()
    """The proxies whose `X-Forwarded-For` is believed."""
    stopping: trio.Event = field(factory=trio.Event)
    """Once it is set, no answer waits any more."""
    pace: float = 1.0
    """By how much delays are multiplied; tests are in a hurry."""
    _wrong: WrongTokens = field(factory=WrongTokens, init=False)
    _waiting: "Counter[str]" = field(factory=Counter, init=False)

    @property
    def waiting(self) -> int:
        """How many answers wait now."""
        return self._waiting.total()

    async def slow_down(self, request: Request) -> None:
        """Wait until a wrong token may be answered.

        Raises:
            ProblemError: Too many answers wait already; this one is to be given at once.
        """
        peer = (request.scope.get("client") or ("unknown",))[0]
        forwarded = [value.decode("latin-1") for name, value in request.scope["headers"] if name == _FORWARDED]
        address = client_address(peer, forwarded, self.trusted)
        delay = self._wrong.delay(address, trio.current_time()) * self.pace
        if not delay:
            return
        if self._waiting[address] >= MOST_OF_ONE or self.waiting >= MOST_OF_ALL:
            headers = {"Retry-After": str(math.ceil(delay))}
            raise ProblemError(429, "too many requests with a wrong token", headers=headers)
        logger.warning(f"a wrong token of the API from {address}; answered after {delay:g} s")
        self._waiting[address] += 1
        try:
            with trio.move_on_after(delay):
                await self.stopping.wait()
        finally:
            self._waiting[address] -= 1
            self._waiting = +self._waiting  # forgets those that nobody waits for
