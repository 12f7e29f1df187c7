"""Takes in request bodies in Quart's stead, whose own reader has no bound for all of them together."""

from typing import Final

import trio
from attrs import define, field

FREE_BYTES: Final = 16 * 1024
"""What each body may hold without asking; webhooks commonly have less, so that large ones keep none of them out."""


class TooLargeError(Exception):
    """The body is longer than the limit."""


class NoRoomError(Exception):
    """Other bodies hold all the memory that bodies may hold."""


@define(eq=False)
class Room:
    """The bytes that all bodies together may still hold, beyond the first `FREE_BYTES` of each."""

    left: int


@define(eq=False)
class Intake:
    """One request's body on its way in: kept up to a limit; dropped from there on, and once an answer has gone out."""

    limit: int
    """Longest body, in bytes."""
    drop_limit: int
    """Bytes that are read at most, kept or dropped."""
    room: Room
    _kept: bytearray = field(factory=bytearray, init=False)
    _borrowed: int = field(default=0, init=False)
    _arrived: int = field(default=0, init=False)
    _keeping: bool = field(default=True, init=False)
    _trouble: type[TooLargeError | NoRoomError] | None = field(default=None, init=False)
    _decided: trio.Event = field(factory=trio.Event, init=False)
    _over: trio.Event = field(factory=trio.Event, init=False)

    def announce(self, length: int) -> None:
        """Be told the body's length in advance."""
        if length > self.limit:
            self._give_up(TooLargeError)

    def take(self, chunk: bytes, *, more: bool) -> None:
        """Take what has arrived; `more` is False at the end of the body."""
        self._arrived += len(chunk)
        if self._keeping:
            self._keep(chunk)
        if not more:
            self._decided.set()
        if not more or self._arrived > self.drop_limit:
            self._over.set()

    async def read(self) -> bytes:
        """The whole body, once it is there; to be read once.

        Raises:
            TooLargeError: it is longer than the limit.
            NoRoomError: there is no memory for it now.
        """
        if not self._decided.is_set():
            await self._decided.wait()
        if self._trouble is not None:
            raise self._trouble
        body = bytes(self._kept)
        self._kept.clear()
        return body

    def drop(self) -> None:
        """Give back what is held, and keep nothing more of what still comes."""
        self._keeping = False
        self._kept.clear()
        self.room.left += self._borrowed
        self._borrowed = 0

    @property
    def is_over(self) -> bool:
        """Whether nothing more of it is read."""
        return self._over.is_set()

    async def over(self) -> None:
        """Wait until nothing more comes, or more than `drop_limit` came."""
        await self._over.wait()

    def _keep(self, chunk: bytes) -> None:
        length = len(self._kept) + len(chunk)
        needed = max(0, length - FREE_BYTES) - self._borrowed
        if length > self.limit:
            self._give_up(TooLargeError)
        elif needed > self.room.left:
            self._give_up(NoRoomError)
        else:
            self.room.left -= needed
            self._borrowed += needed
            self._kept += chunk

    def _give_up(self, trouble: type[TooLargeError | NoRoomError]) -> None:
        self._trouble = trouble
        self._decided.set()
        self.drop()
