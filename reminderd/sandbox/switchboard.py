"""Keep a sandbox's calls, in any dialect, and serve the sandbox on its own port."""

import logging
import math
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from itertools import islice
from typing import Any, Final, Generic, Protocol, TypeAlias, TypeVar

import trio
from hypercorn.config import Config
from hypercorn.trio import serve
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, ASGISendEvent, Scope
from quart_trio import QuartTrio

from reminderd.providers.http import HttpClient
from reminderd.sandbox.behaviors import Behavior

REMEMBERED: Final = 10_000
"""How many calls, and rejected requests, are kept; the oldest are forgotten."""

Reply: TypeAlias = tuple[Mapping[str, Any], int] | tuple[Mapping[str, Any], int, Mapping[str, str]]
"""The answer to a request: its JSON, its status, perhaps headers."""

View: TypeAlias = Callable[..., Awaitable[Reply]]

_WEBHOOK_TIMEOUT: Final = timedelta(seconds=15)
"""Twilio's own limit."""
_CONNECTIONS: Final = 100
"""The most webhooks in flight at one time."""
_BODY_LIMIT: Final = 64 * 1024

_EARLY_STEPS: Final = 20
"""The most steps for which an "early" call's answer is held back, if nobody accepts its webhooks."""


class PlacedCall(Protocol):
    """A call of some dialect."""

    @property
    def id(self) -> str:
        """The sandbox's own id for the call."""

    @property
    def attempt_id(self) -> str | None:
        """The client's id for the call; None if the request had none."""

    @property
    def phone_number(self) -> str:
        """The number that is called."""

    @property
    def status(self) -> str:
        """Its status, as the dialect names it."""


CallT = TypeVar("CallT", bound=PlacedCall)
ItemT = TypeVar("ItemT")


class Switchboard(Generic[CallT]):
    """Everything that a sandbox knows about its calls, in bounded memory; no call starts before `play_calls`."""

    def __init__(self, *, remembered: int = REMEMBERED) -> None:
        self._remembered = remembered
        self._calls: dict[str, CallT] = {}
        self._rejections: dict[str, int] = {}
        self._ended: dict[str, int] = {}
        self._to_start, self._started = trio.open_memory_channel[tuple[CallT, trio.Event]](math.inf)

    @property
    def calls(self) -> tuple[CallT, ...]:
        """Every call kept and not yet forgotten, oldest first."""
        return tuple(self._calls.values())

    def call(self, call_id: str) -> CallT | None:
        """Return the call with this id; None if there was none or it is forgotten."""
        return self._calls.get(call_id)

    def rejection(self, behavior: Behavior, *, request: str) -> int | None:
        """Return the generic contract's HTTP status with which to reject this request; None to accept it.

        Args:
            behavior: the behavior of the called number.
            request: an id that is the same for a repeated request.
        """
        if behavior.answer == "refused":
            return 422
        rejected = self._rejections.get(request, 0)
        if rejected == len(behavior.rejections):
            return None
        self._rejections[request] = rejected + 1
        self._forget(self._rejections)
        return behavior.rejections[rejected]

    def next_end(self, behavior: Behavior, *, group: str) -> str:
        """Return how the next call of a group ends; a group is the calls of a reminder, or to a number."""
        earlier = self._ended.get(group, 0)
        self._ended[group] = earlier + 1
        self._forget(self._ended)
        return behavior.ends[min(earlier, len(behavior.ends) - 1)]

    def keep(self, call: CallT) -> list[CallT]:
        """Remember a new call; return those that are forgotten in exchange."""
        self._calls[call.id] = call
        return self._forget(self._calls)

    def update(self, call_id: str, change: Callable[[CallT], CallT]) -> CallT | None:
        """Change a call; return the changed call, or None if it is forgotten by now."""
        call = self._calls.get(call_id)
        if call is None:
            return None
        self._calls[call_id] = change(call)
        return self._calls[call_id]

    def start(self, call: CallT) -> trio.Event:
        """Start a call; the event is set when its last webhook is delivered or given up."""
        delivered = trio.Event()
        self._to_start.send_nowait((call, delivered))
        return delivered

    async def play_calls(
        self,
        play: Callable[[CallT, trio.Event], Awaitable[None]],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Play each call from its start to its end, until cancelled."""
        async with trio.open_nursery() as calls:
            task_status.started()
            async for call, delivered in self._started:
                calls.start_soon(play, call, delivered)

    def _forget(self, memory: dict[str, ItemT]) -> list[ItemT]:
        """Drop the oldest entries beyond the limit, and return them."""
        surplus = max(len(memory) - self._remembered, 0)
        return [memory.pop(key) for key in list(islice(memory, surplus))]


async def hold_answer_back(behavior: Behavior, delivered: trio.Event, pace: float) -> None:
    """Wait until the request that placed a call is to be answered."""
    if behavior.webhooks == "early":
        with trio.move_on_after(_EARLY_STEPS * pace):
            await delivered.wait()
    await trio.sleep(behavior.answer_after * pace)


CUT_MARK: Final = "x-sandbox-cut"
"""A response with this header ends after its headers; as the body is missing, the server cuts the connection."""

_ASGIApp: TypeAlias = Callable[[Scope, ASGIReceiveCallable, ASGISendCallable], Coroutine[Any, Any, None]]


class SimulatedProvider(Protocol):
    """The interface of a sandbox, in every dialect."""

    @property
    def app(self) -> QuartTrio:
        """Its HTTP API."""

    @property
    def calls(self) -> Sequence[PlacedCall]:
        """Every call placed and not yet forgotten, oldest first."""

    async def play_calls(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Play the calls that are placed, until cancelled."""


async def serve_sandbox(
    sandbox: SimulatedProvider,
    *,
    port: int = 0,
    shutdown_trigger: Callable[[], Awaitable[None]] | None = None,
    task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve on this machine until the trigger returns, or until cancelled if there is none.

    Args:
        sandbox: what to serve.
        port: 0 chooses a free one.
        shutdown_trigger: waits for the stop; requests in flight then have a second to end.
        task_status: is given the base URL, once requests are accepted.

    Raises:
        OSError: the address is unavailable, as when the port is in use.
    """
    config = Config()
    config.graceful_timeout = 1
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    # Bound here and not by Hypercorn, whose nurseries would raise an exception group if the port is in use.
    with _bound(port) as listener:
        config.bind = [f"fd://{listener.fileno()}"]
        async with trio.open_nursery() as playing:
            await playing.start(sandbox.play_calls)
            async with trio.open_nursery() as serving:
                listener.detach()  # from here on Hypercorn closes the descriptor
                (url,) = await serving.start(partial(serve, sandbox.app, config, shutdown_trigger=shutdown_trigger))
                task_status.started(url)
            playing.cancel_scope.cancel()


def webhook_client() -> HttpClient:
    """Return the client that sends webhooks."""
    return HttpClient(timeout=_WEBHOOK_TIMEOUT, max_connections=_CONNECTIONS)


def sandbox_app(
    name: str, authorize: Callable[[], Awaitable[Reply | None]], routes: Iterable[tuple[str, str, View]]
) -> QuartTrio:
    """Return an app with these routes, each with its method and path, for requests that `authorize` lets pass."""
    app = QuartTrio(name)
    app.config["MAX_CONTENT_LENGTH"] = _BODY_LIMIT
    app.before_request(authorize)
    for method, path, view in routes:
        app.add_url_rule(path, view_func=view, methods=[method])
    app.asgi_app = _cutting(app.asgi_app)  # type: ignore[method-assign,assignment]  # Quart's way to wrap an app
    return app


def _cutting(app: _ASGIApp) -> _ASGIApp:
    """Return the app with a layer around it that cuts off responses with `CUT_MARK`, and lets others end."""

    async def asgi(scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        cut = False

        async def send_on(message: ASGISendEvent) -> None:
            nonlocal cut
            if message["type"] == "http.response.start":
                cut = any(name.lower() == CUT_MARK.encode() for name, _ in message["headers"])
            elif cut:
                return
            # At the last part quart-trio (0.12) learns from Hypercorn that the stream is closed, and then cancels this
            # very task, before Hypercorn has noted that the connection is idle: it would hold up every stop.
            with trio.CancelScope(shield=True):
                await send(message)

        await app(scope, receive, send_on)

    return asgi


def _bound(port: int) -> socket.socket:
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
