"""Stands between Hypercorn and Quart: takes in the bodies, and turns away what Quart would stumble over."""

from typing import Final, cast
from urllib.parse import urlsplit

import trio
from hypercorn.typing import (
    ASGIFramework,
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPRequestEvent,
    HTTPScope,
    Scope,
    WWWScope,
)

from reminderd.web.body import Intake, Room

_LAST_SECONDS: Final = 1.0
"""For Hypercorn to close a connection after an answer, or to make it ready for the next request."""

_KEY: Final = "reminderd.intake"
_END: Final[HTTPRequestEvent] = {"type": "http.request", "body": b"", "more_body": False}


def gated(app: ASGIFramework, *, limit: int, drop_limit: int, drop_seconds: float, room_bytes: int) -> ASGIFramework:
    """Wrap an ASGI app so that it finds its request's body with `intake_of`, and receives only that it has ended.

    A sender who is still sending sees the answer at once, then has its rest read and dropped: a connection closed
    on unread bytes is reset, and the answer would be lost with it.

    Args:
        app: what answers.
        limit: longest body, in bytes.
        drop_limit: bytes of one request that are read at most, kept or dropped.
        drop_seconds: how long after its answer the rest of a request is read at most.
        room_bytes: what all bodies together may hold, beyond a first few KiB of each.
    """
    room = Room(room_bytes)

    async def gate(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1000, "reason": None})
        elif scope["type"] == "lifespan":
            await app(scope, receive, send)
        else:
            if not scope["path"].startswith("/"):
                scope["path"] = _path_in(scope["path"])
            intake = Intake(limit, drop_limit, room)
            intake.announce(_length(scope))
            scope["state"][_KEY] = intake
            try:
                await app(scope, _receiving(intake, receive), _sending(intake, send, drop_seconds))
            finally:
                intake.drop()

    return gate


def _receiving(intake: Intake, receive: ASGIReceiveCallable) -> ASGIReceiveCallable:
    async def receive_end() -> ASGIReceiveEvent:
        while True:
            message = await receive()
            if message["type"] != "http.request":
                return message
            intake.take(message["body"], more=message["more_body"])
            if not message["more_body"]:
                return _END

    return receive_end


def _sending(intake: Intake, send: ASGISendCallable, drop_seconds: float) -> ASGISendCallable:
    async def send_and_drop(message: ASGISendEvent) -> None:
        if message["type"] == "http.response.body" and not message["more_body"]:
            if not intake.is_over:
                with trio.move_on_after(drop_seconds):
                    await intake.over()
            # Here Hypercorn tells Quart that the request is over, and Quart cancels whoever is still at it: us. But
            # Hypercorn has yet to close the connection, or to start its idle timer.
            with trio.move_on_after(_LAST_SECONDS, shield=True):
                await send(message)
            return
        if message["type"] == "http.response.start":
            intake.drop()
        await send(message)

    return send_and_drop


def intake_of(scope: WWWScope) -> Intake:
    """The body of a request that came through the gate."""
    return cast("Intake", scope["state"][_KEY])


def _length(scope: HTTPScope) -> int:
    """The body's length if it was announced, else 0. Only digits come here: Hypercorn sees to that."""
    return int(next((value for name, value in scope["headers"] if name == b"content-length"), 0))


def _path_in(target: str) -> str:
    """The path in a target that is more or less than one: `*`, a whole URL, nothing at all. Quart breaks on some."""
    try:
        return urlsplit(target).path or "/"
    except ValueError:
        return "/"
