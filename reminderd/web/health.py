"""Tells monitors whether the process answers, and whether its parts work."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final, TypeAlias

from quart import Response

from reminderd.web.replies import ready_reply, reply

Readiness: TypeAlias = Callable[[], Awaitable[Mapping[str, str | None]]]
"""Each part that this process runs, with what is wrong with it in words for the admin, or None."""

Doings: TypeAlias = Callable[[], Awaitable[Mapping[str, object]]]
"""What this process is and does, as a JSON object: `reminderd status` reads it."""

_OK: Final = b'{"status": "ok"}'


async def alive() -> Response:
    """The process answers."""
    return ready_reply(200, _OK)


async def ready(readiness: Readiness) -> Response:
    """Every part works, or which ones don't."""
    failing = {part: trouble for part, trouble in (await readiness()).items() if trouble is not None}
    if failing:
        return reply(503, {"status": "unavailable", "failing": failing})
    return ready_reply(200, _OK)


async def status(doings: Doings) -> Response:
    """What runs here, since when, and what it last did."""
    return reply(200, await doings())
