"""Changes of outcomes for the clinic's own system: each once, in order, and none is skipped."""

from functools import partial
from typing import Final, Protocol

import trio
from attrs import define
from quart import Response, request

from reminderd.core.changes import Cursor, CursorError, read_cursor
from reminderd.store.feed import until_any
from reminderd.store.outcome_changes import Page
from reminderd.web.bodies import body_of
from reminderd.web.documents import RETRY_AFTER_SECONDS, ProblemError, reply

PATH: Final = "/api/changes"

MOST_WAITING: Final = 20
"""Clients that wait at a time: each holds a connection, and webhooks need those, too."""

_MOST_SECONDS: Final = 60
_MOST: Final = 1_000
_USUAL: Final = 100
_PARAMETERS: Final = ("after", "wait", "limit")


class ChangeFeed(Protocol):
    """Reads changes; each method may raise StoreUnavailableError."""

    async def page(self, cursor: Cursor | None, limit: int) -> Page:
        """Return the first changes after a cursor; None: the oldest that are kept. Raise CursorError."""

    async def changed(self, seq: int) -> None:
        """Wait until there is a change with a higher number, or until the stop."""


@define(eq=False)
class ChangesView:
    """Answers requests for changes, and lets some clients wait for the next one."""

    feed: ChangeFeed
    _waiting: int = 0

    async def answer(self) -> Response:
        """Answer with the changes after a cursor, as soon as there are any.

        Raises:
            ProblemError: something in the request is wrong, or the cursor can't be used anymore.
        """
        cursor, seconds, limit = _asked()
        page = await self._page(cursor, limit)
        if seconds and not page.changes:
            await self._wait(page.cursor.seq, seconds)
            page = await self._page(cursor, limit)
        return reply(200, {"changes": [change.event for change in page.changes], "next": str(page.cursor)})

    async def _page(self, cursor: Cursor | None, limit: int) -> Page:
        try:
            return await self.feed.page(cursor, limit)
        except CursorError as error:
            raise ProblemError(409, str(error)) from error

    async def _wait(self, seq: int, seconds: int) -> None:
        """Wait for a change, for so many seconds, until the client hangs up, or until the stop."""
        if self._waiting >= MOST_WAITING:
            headers = {"Retry-After": str(RETRY_AFTER_SECONDS)}
            raise ProblemError(503, f"{MOST_WAITING} clients wait for changes already; try again", headers=headers)
        self._waiting += 1
        try:
            with trio.move_on_after(seconds):
                await until_any(partial(self.feed.changed, seq), body_of(request.scope).hung_up)
        finally:
            self._waiting -= 1


def _asked() -> tuple[Cursor | None, int, int]:
    """Return the cursor, the seconds to wait, and how many changes at most.

    Raises:
        ProblemError: one of them is wrong; every mistake is listed.
    """
    errors = [("", f"unknown parameter; expected only {', '.join(_PARAMETERS)}")] if _unknown() else []
    cursor: Cursor | None = None
    try:
        after = request.args.get("after")
        cursor = None if after is None else read_cursor(after)
    except ValueError as error:
        errors.append(("/after", str(error)))
    numbers = {}
    for name, usual, least, most in (("wait", 0, 0, _MOST_SECONDS), ("limit", _USUAL, 1, _MOST)):
        text = request.args.get(name, str(usual))
        numbers[name] = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(_MOST)) else -1
        if not least <= numbers[name] <= most:
            errors.append((f"/{name}", f"expected a whole number from {least} to {most}"))
    if errors:
        raise ProblemError(400, "errors lists every mistake", errors)
    return cursor, numbers["wait"], numbers["limit"]


def _unknown() -> bool:
    return any(name not in _PARAMETERS for name in request.args)
