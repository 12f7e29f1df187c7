"""Connect to a provider, and send one request after another and read its answer, in HTTP/1.1."""

import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

import h11
import httpx
import trio
from attrs import define, field, frozen

_HEAD_LIMIT: Final = 100 * 1024
_CHUNK: Final = 64 * 1024
_PORTS: Final = {"http": 80, "https": 443}

ERRORS: Final = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError, UnicodeError)
"""The errors of a connection. UnicodeError means that the name of the host can't be written for DNS."""


@frozen
class Origin:
    """A server, and whether to use TLS. Requests to the same origin can share a connection."""

    is_tls: bool
    host: str
    """An IPv6 address without its brackets; a name as it is written for DNS."""
    port: int


@frozen
class RequestTarget:
    """Where a request goes."""

    origin: Origin
    authority: bytes
    """The value of the header `Host`."""
    path: bytes
    """The path with the query."""


@lru_cache(maxsize=16)  # most requests go to the same URL, and parsing it takes as long as sending the request
def target_of(url: str) -> RequestTarget | None:
    """Return the target of a URL; None if its scheme is neither http nor https.

    Raises:
        httpx.InvalidURL: the text is not a URL.
    """
    parsed = httpx.URL(url)
    usual = _PORTS.get(parsed.scheme)
    if usual is None:
        return None
    port = usual if parsed.port is None else parsed.port
    origin = Origin(parsed.scheme == "https", parsed.raw_host.decode("ascii"), port)
    return RequestTarget(origin, parsed.netloc, parsed.raw_path)


@define(eq=False)
class Exchange:
    """A request: whether it was sent, and how much of its answer has arrived."""

    method: str
    target: RequestTarget
    headers: Mapping[str, str]
    content: bytes | None
    limit: int
    """The most bytes of the answer's body; after these, nothing more is read."""
    is_sent: bool = field(default=False, init=False)
    """Whether a byte of the request may have left us."""
    head: h11.Response | None = field(default=None, init=False)
    """Status and headers of the answer."""
    body: bytearray = field(factory=bytearray, init=False)
    is_complete: bool = field(default=False, init=False)
    """Whether the whole body arrived, within the limit."""

    def request(self) -> h11.Request:
        """Return the first line and the headers.

        Raises:
            h11.LocalProtocolError: HTTP does not allow them.
            UnicodeError: a header is not ASCII.
        """
        given = [(name.encode("ascii"), value.encode("ascii")) for name, value in self.headers.items()]
        headers = [(b"Host", self.target.authority), *given]
        if self.content is not None:
            headers.append((b"Content-Length", b"%d" % len(self.content)))
        return h11.Request(method=self.method, target=self.target.path, headers=headers)


@define(eq=False)
class HttpConnection:
    """An open connection. It carries one exchange after another, as long as each of them is complete."""

    origin: Origin
    _stream: trio.abc.Stream
    _protocol: h11.Connection = field(init=False)
    _takes_bytes: bool = field(default=True, init=False)
    _expires_at: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self._protocol = h11.Connection(h11.CLIENT, max_incomplete_event_size=_HEAD_LIMIT)

    async def carry(self, exchange: Exchange) -> None:
        """Send the request, once, and read the answer.

        Raises:
            OSError, trio.BrokenResourceError, trio.ClosedResourceError, h11.ProtocolError: there is no
                answer, or only a part of it.
        """
        protocol = self._protocol
        # All at once, so that the request is sent in one packet.
        request = protocol.send(exchange.request()) or b""
        if exchange.content:
            request += protocol.send(h11.Data(data=exchange.content)) or b""
        request += protocol.send(h11.EndOfMessage()) or b""
        exchange.is_sent = True
        try:
            await self._stream.send_all(request)
        except trio.BrokenResourceError:
            self._takes_bytes = False  # but the other side may have answered before it closed
        while not exchange.is_complete and len(exchange.body) <= exchange.limit:
            event = protocol.next_event()
            if event is h11.NEED_DATA:
                await self._receive(exchange)
            elif isinstance(event, h11.Response):
                exchange.head = event
            elif isinstance(event, h11.Data):
                # Not decompressed: a compressed answer, which we did not ask for, could become gigabytes.
                exchange.body += event.data
            elif isinstance(event, h11.EndOfMessage):
                exchange.is_complete = True

    async def _receive(self, exchange: Exchange) -> None:
        """Read what has arrived; fail if the connection has ended before the end of the answer."""
        is_cut_off = False
        try:
            received = await self._stream.receive_some(_CHUNK)
        except trio.BrokenResourceError as error:
            if not isinstance(error.__cause__, ssl.SSLEOFError):
                raise
            received, is_cut_off = b"", True
        if not received and exchange.head is None:
            raise trio.BrokenResourceError("closed without an answer")
        if is_cut_off:  # without TLS's close_notify: anybody on the way may have done it, so the body may be incomplete
            raise trio.BrokenResourceError("closed in the middle of an answer")
        self._protocol.receive_data(bytes(received))

    def prepare_next(self, keep_seconds: float) -> bool:
        """Prepare for another exchange within these seconds; return False if that is impossible, to close it then."""
        protocol = self._protocol
        if not (self._takes_bytes and protocol.our_state is h11.DONE and protocol.their_state is h11.DONE):
            return False
        if protocol.trailing_data != (b"", False):
            return False  # what came after this answer would be taken for the next one
        protocol.start_next_cycle()
        self._expires_at = trio.current_time() + keep_seconds
        return True

    @property
    def is_expired(self) -> bool:
        """Return whether the connection has waited too long for another exchange."""
        return trio.current_time() > self._expires_at

    async def is_silent(self) -> bool:
        """Return whether nothing has arrived since the last answer: neither the end nor bytes that look like an answer.

        With TLS, the socket does not show bytes that TLS has already read. So the connection is read, without waiting.
        """
        if isinstance(self._stream, trio.SocketStream):
            return not self._stream.socket.is_readable()
        try:
            with trio.CancelScope(shield=True) as at_once:
                at_once.deadline = trio.current_time()  # set only here, so that bytes that have come are read first
                await self._stream.receive_some(1)
                return False
        except trio.BrokenResourceError:
            return False
        return True

    async def aclose(self) -> None:
        """Close the connection at once, without waiting for the other side."""
        await trio.aclose_forcefully(self._stream)


async def connect(origin: Origin, trust: ssl.SSLContext | None) -> HttpConnection:
    """Connect to a server. No part of a request is sent yet.

    Args:
        origin: the server; with TLS if its URL begins with https.
        trust: whose certificates are accepted; needed for TLS.

    Raises:
        OSError, trio.BrokenResourceError, UnicodeError: it can't be reached.
        ValueError: TLS is asked for without `trust`; nothing is sent in the clear instead.
    """
    if origin.is_tls and trust is None:
        raise ValueError("TLS needs certificates to accept")
    stream = await trio.open_tcp_stream(origin.host, origin.port)
    if trust is None or not origin.is_tls:
        return HttpConnection(origin, stream)
    encrypted = trio.SSLStream(stream, trust, server_hostname=origin.host)
    try:
        await encrypted.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return HttpConnection(origin, encrypted)
