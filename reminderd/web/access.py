"""Let a request reach the API if its token is right, its body is complete, and a place is free; delay wrong tokens."""

import hmac
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import trio
from attrs import define, field, frozen
from loguru import logger
from quart import Request, Response, request

from reminderd.core.wrong_tokens import Network, WrongTokens, client_address
from reminderd.store.errors import AmbiguousError, StoreUnavailableError
from reminderd.store.threads import until_any
from reminderd.web.bodies import IncompleteError, NoMemoryLeftError, TooLargeError, body_of
from reminderd.web.documents import RETRY_AFTER_SECONDS, ProblemError

MOST_OF_ONE: Final = 4
"""The most delayed answers for one address at a time."""

MOST_OF_ALL: Final = 100
"""The most delayed answers at a time: each occupies a connection, and webhooks need connections, too."""

_FORWARDED: Final = b"x-forwarded-for"


@define(eq=False)
class Throttle:
    """Delays the answers to wrong tokens, for each client address; requests with a right token are never delayed."""

    trusted: Sequence[Network] = ()
    """The proxies whose `X-Forwarded-For` is trusted."""
    stopping: trio.Event = field(factory=trio.Event)
    """Once this is set, no answer is delayed."""
    pace: float = 1.0
    """A factor for all delays, with which tests shorten or lengthen them."""
    _wrong: WrongTokens = field(factory=WrongTokens, init=False)
    _waiting: "Counter[str]" = field(factory=Counter, init=False)

    @property
    def waiting(self) -> int:
        """Return how many answers wait now."""
        return self._waiting.total()

    async def slow_down(self, request: Request) -> None:
        """Wait until a wrong token may be answered.

        Raises:
            ProblemError: too many answers wait already; send this error at once.
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
                await until_any(self.stopping.wait, body_of(request.scope).hung_up)
        finally:
            self._waiting[address] -= 1
            self._waiting = +self._waiting  # removes the addresses that nobody waits for


@frozen(kw_only=True)
class Access:
    """The checks that a request must pass before the API answers it."""

    token: str
    throttle: Throttle
    body_seconds: float
    """The seconds within which its body must arrive."""
    in_work: trio.Semaphore
    """The places for requests in progress."""

    async def answer(self, view: Callable[[bytes], Awaitable[Response]]) -> Response:
        """Check the request, and return the view's answer to its body.

        Raises:
            ProblemError: the request is refused, or can't be answered now.
        """
        await self._authorize()
        body = await self._body()
        try:
            self.in_work.acquire_nowait()
        except trio.WouldBlock:
            raise _later("too many requests at once") from None
        try:
            return await view(body)
        except StoreUnavailableError as error:
            raise _later(str(error)) from error
        except AmbiguousError as error:
            raise ProblemError(409, str(error)) from error
        finally:
            self.in_work.release()

    async def _authorize(self) -> None:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(errors="surrogatepass"), self.token.encode())
        if is_right and scheme.lower() == "bearer":
            return
        body_of(request.scope).drop()  # keep no body of an unknown client in memory
        await self.throttle.slow_down(request)
        raise ProblemError(401, "expected Authorization: Bearer and the token", headers={"WWW-Authenticate": "Bearer"})

    async def _body(self) -> bytes:
        try:
            return await body_of(request.scope).read(self.body_seconds)
        except TooLargeError:
            raise ProblemError(413, "the body is larger than [web].max_body_bytes") from None
        except (trio.TooSlowError, IncompleteError):
            raise ProblemError(408, "the body did not arrive in time") from None
        except NoMemoryLeftError:
            raise _later("too many large requests at once") from None


def _later(reason: str) -> ProblemError:
    headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
    return ProblemError(503, f"nothing was stored; try again: {reason}", headers=headers)
