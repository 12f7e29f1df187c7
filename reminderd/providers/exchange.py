"""One request to a provider and its answer, under one deadline, with word of how far the request got."""

import ssl
from collections.abc import AsyncIterator, Mapping
from datetime import timedelta
from typing import Any, Final, TypeAlias

import httpcore
import httpx
import trio
from attrs import define, frozen

ANSWER_LIMIT: Final = 1024 * 1024
"""Bytes of an answer's body that are read."""

_KEEPALIVE_SECONDS: Final = 1.0
"""A request on a connection that the other side is just closing would be unclear for nothing."""

_CONNECTED: Final = frozenset({"connection.connect_tcp.complete", "connection.start_tls.complete"})


@frozen(kw_only=True)
class Heard:
    """The other side answered, at least with a status and headers."""

    status: int
    headers: httpx.Headers
    body: bytes
    complete: bool
    """Whether the whole body came, in time and within `ANSWER_LIMIT`."""


@frozen(kw_only=True)
class Unheard:
    """There was no answer."""

    reason: str
    sent: bool
    """Whether a byte of the request may have left us."""


Outcome: TypeAlias = Heard | Unheard


class Exchange:
    """Our connections to one provider.

    It drives httpx's transport without the client around it: a client would keep the provider's cookies, take proxies
    from the environment, and trip over a malformed redirect that nobody is going to follow.
    """

    def __init__(self, *, timeout: timedelta, max_connections: int, trust: ssl.SSLContext | None = None) -> None:
        self._seconds = timeout.total_seconds()
        # Ours and not the pool's: the pool never takes back a place whose request was cancelled between connecting
        # and sending, and would be full of such one day.
        self._places = trio.CapacityLimiter(max_connections)
        self._transport = httpx.AsyncHTTPTransport(
            verify=True if trust is None else trust,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=max_connections, keepalive_expiry=_KEEPALIVE_SECONDS),
        )

    async def ask(self, method: str, url: str, *, headers: Mapping[str, str], content: bytes | None = None) -> Outcome:
        """Send one request, once, and read its answer; ends within the timeout, whatever the other side does.

        Raises:
            httpx.InvalidURL: the URL is none.
        """
        progress = _Progress()
        request = httpx.Request(method, url, headers=headers, content=content, extensions={"trace": progress.note})
        if content is not None:
            request.stream = _Content(content)
        head: httpx.Response | None = None
        body = bytearray()
        complete = False
        trouble = ""
        # One deadline of our own over everything: httpx's are per operation, and a byte now and then resets them.
        with trio.move_on_after(self._seconds) as scope:
            async with self._places, progress:
                try:
                    head = await self._transport.handle_async_request(request)
                    # Raw: a compressed answer, which we did not ask for, could unfold to gigabytes.
                    async for chunk in head.aiter_raw():
                        body += chunk[: ANSWER_LIMIT + 1 - len(body)]
                        if len(body) > ANSWER_LIMIT:
                            # Not `break`: what is cancelled closes the library's nested generators in order.
                            scope.cancel()
                    complete = len(body) <= ANSWER_LIMIT
                except (httpx.TransportError, UnicodeError) as error:  # UnicodeError: a name that DNS can't spell
                    trouble = _words(error)
        if head is not None:
            received = bytes(body[:ANSWER_LIMIT])
            return Heard(status=head.status_code, headers=head.headers, body=received, complete=complete)
        waited_for = "answer" if progress.sent else "connection"
        return Unheard(reason=trouble or f"no {waited_for} within {self._seconds:g} s", sent=progress.sent)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


def check_api_url(api_url: str) -> None:
    """Refuse what can't be the address of a provider's interface.

    Raises:
        ValueError: what was expected.
    """
    try:
        url = httpx.URL(api_url)
        url.host.encode("idna")
    except (httpx.InvalidURL, UnicodeError):
        raise ValueError("api_url: not a URL") from None
    if url.scheme not in {"http", "https"} or not url.host or url.query or url.fragment:
        raise ValueError("api_url: expected http:// or https://, a host and perhaps a path")


class _Content(httpx.AsyncByteStream):
    """A request's body. httpx's own is a generator, which trio finds unfinished when the sending is cancelled."""

    def __init__(self, content: bytes) -> None:
        self._parts = iter((content,))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


@define
class _Progress:
    """How far one request got, by httpcore's trace events. Whatever it can't tell counts as sent."""

    handed_over: bool = False
    """Whether httpx has it; before, it waits for one of our places."""
    _connecting: bool = False
    _beyond: bool = False
    _unused: httpcore.AsyncNetworkStream | None = None
    """The connection made for this request."""

    @property
    def sent(self) -> bool:
        """Whether a byte of it may have left us."""
        return self.handed_over and (self._beyond or not self._connecting)

    async def note(self, event: str, info: Mapping[str, Any]) -> None:
        if not event.startswith("connection."):
            self._beyond = True
            return
        self._connecting = True
        if event in _CONNECTED:
            self._unused = info["return_value"]

    async def __aenter__(self) -> None:
        self.handed_over = True

    async def __aexit__(self, *_: object) -> None:
        """Close a connection that httpcore forgets when it is cancelled before sending, as in a TLS handshake."""
        if self._unused is not None and not self.sent:
            with trio.CancelScope() as forcefully:
                forcefully.cancel()
                await self._unused.aclose()


def _words(error: Exception) -> str:
    """What went wrong, from the innermost error that says something: the outer ones of a TLS failure are silent."""
    words = ""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, BaseExceptionGroup):  # several addresses were tried
            link = link.exceptions[0]
        words = str(link) or words
        link = link.__cause__ or link.__context__
    kind = "could not connect" if isinstance(error, httpx.ConnectError) else "connection lost"
    return f"{kind}: {words or type(error).__name__}"[:200]
