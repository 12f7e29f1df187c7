"""Check log-ins, one at a time: checking a password takes much time and memory, so that guessing it does, too."""

from contextlib import AsyncExitStack
from datetime import datetime
from enum import StrEnum
from functools import partial
from typing import Final

import trio
from attrs import define, field, frozen
from loguru import logger

from reminderd.clock import Clock
from reminderd.core.logins import Counter, counters, locked_until, totp_step, user_name
from reminderd.passwords import matches_hash
from reminderd.store.connection import Connection
from reminderd.store.database import Database, Reader
from reminderd.store.users import (
    User,
    failures_of,
    find_user,
    forget_failures,
    has_logged_in_from,
    note_failure,
    open_session,
)

MOST_WAITING: Final = 16
"""How many log-ins may wait for their turn, which takes about two seconds."""


@frozen(kw_only=True)
class LogInAttempt:
    """What somebody has typed to log in."""

    name: str
    password: str = field(repr=False)
    code: str = field(repr=False)
    """The code from an authenticator app; empty if the account has none."""
    address: str
    """The client's address, from `core.wrong_tokens.client_address`."""


class RefusalCode(StrEnum):
    """Why somebody was not let in."""

    WRONG = "wrong"
    """The name, the password or the code is wrong; nobody learns which."""
    LOCKED = "locked"
    """There were too many failures."""
    BUSY = "busy"
    """Too many log in at once."""


@frozen
class LogInRefused:
    """Nobody was logged in."""

    code: RefusalCode
    until: datetime | None = None
    """When the next try makes sense; None if at once."""


@define(eq=False)
class LogIns:
    """Logs users in, one after the other, so that many tries at once need no more memory than one.

    Strangers don't keep out users who log in from a known address: only one stranger at a time waits for a turn.
    """

    _database: Database
    _reader: Reader
    _clock: Clock
    _turn: trio.Lock = field(factory=trio.Lock, init=False)
    _strangers: trio.Lock = field(factory=trio.Lock, init=False)
    _threads: trio.CapacityLimiter = field(factory=lambda: trio.CapacityLimiter(1), init=False)

    async def log_in(self, attempt: LogInAttempt) -> str | LogInRefused:
        """Return the token of a new session for the browser, or why there is none.

        Raises:
            StoreUnavailableError: The database can't be read or written right now; nobody is logged in.
        """
        found = await self._look_up(attempt)
        queue = self._turn if found.is_known else self._strangers
        if found.locked_until is None and queue.statistics().tasks_waiting >= MOST_WAITING:
            return LogInRefused(RefusalCode.BUSY)
        async with AsyncExitStack() as turns:
            if not found.is_known:
                await turns.enter_async_context(self._strangers)
            await turns.enter_async_context(self._turn)
            # A failure during the wait for the turn also counts, before the password is checked.
            found = await self._look_up(attempt)
            if found.locked_until is not None:
                return LogInRefused(RefusalCode.LOCKED, found.locked_until)
            with trio.CancelScope(shield=True):  # a client that hangs up is counted anyway
                known_hash = None if found.user is None else found.user.secrets.password_hash
                is_right = await trio.to_thread.run_sync(
                    matches_hash, known_hash, attempt.password, limiter=self._threads
                )
                done = await self._database.write(partial(_settled, attempt=attempt, found=found, is_right=is_right))
            return done  # noqa: RET504 - mypy assumes that a scope may swallow an exception

    async def _look_up(self, attempt: LogInAttempt) -> "_LookedUp":
        return await self._reader.read(partial(_looked_up, attempt=attempt, now=self._clock.now()))


@frozen(kw_only=True)
class _LookedUp:
    user: User | None
    counted: tuple[Counter, ...]
    is_known: bool
    locked_until: datetime | None


def _looked_up(connection: Connection, *, attempt: LogInAttempt, now: datetime) -> _LookedUp:
    try:
        name = user_name(attempt.name)
        user = find_user(connection, name)
    except ValueError:
        name, user = attempt.name, None
    known = user is not None and has_logged_in_from(connection, now, name=user.name, address=attempt.address)
    counted = counters(name, attempt.address, exists=user is not None, is_known=known)
    until = locked_until(failures_of(connection, counted), now)
    return _LookedUp(user=user, counted=counted, is_known=known, locked_until=until)


def _settled(
    connection: Connection, now: datetime, *, attempt: LogInAttempt, found: _LookedUp, is_right: bool
) -> str | LogInRefused:
    """Open a session, or count the failure."""
    user = found.user
    if user is not None and is_right:
        secret, step = user.secrets.totp_secret, None
        if secret is not None:
            step = totp_step(secret, attempt.code, now, user.totp_used)
        if secret is None or step is not None:
            token = open_session(connection, now, user=user, address=attempt.address, step=step)
            if token is not None:
                forget_failures(connection, now, counted=found.counted)
                return token
    account = "a name without an account" if user is None else user.name
    what = "wrong code" if is_right else "wrong password"
    detail = f"{account}, from {attempt.address}" + ("" if user is None else f": {what}")
    note_failure(connection, now, counted=found.counted, detail=detail)
    until = locked_until(failures_of(connection, found.counted), now)
    then = "" if until is None else f"; no more tries for {(until - now).total_seconds():.0f} s"
    logger.warning(f"log-in refused: {detail}{then}")
    return LogInRefused(RefusalCode.WRONG, until)
