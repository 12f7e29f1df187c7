import os
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import cast

import httpx
import pytest
import trio
import trio.testing
from hypercorn.config import Config
from hypercorn.events import Event
from hypercorn.protocol import ProtocolWrapper
from hypercorn.typing import ASGIFramework, ASGIReceiveCallable, ASGISendCallable, Scope
from quart_trio import QuartTrio
from trio.testing import MockClock

from reminderd.web.server import ClientConnection, PortUnavailableError, _Requests, bind, serve
from tests.support.waiting import PATIENCE
from tests.support.web_server import PATH, PAYLOAD, WebServer, a_web_server, read_answer, read_to_the_end, read_until

UPGRADE = (
    "Connection: upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def test_a_port_in_use_is_a_one_line_error() -> None:
    with bind("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(PortUnavailableError) as raised:
            bind("127.0.0.1", port)
    assert str(raised.value) == (
        f"can't listen on 127.0.0.1 port {port}: Address already in use;"
        " perhaps another reminderd runs: ss -ltnp names the program that uses the port"
    )


@pytest.mark.parametrize(
    ("host", "shown"),
    [
        ("203.0.113.1", "203.0.113.1"),
        ("no-such-host.invalid", "the configured host"),
        ("a..b", "the configured host"),
    ],
)
def test_an_unusable_address_is_a_one_line_error(host: str, shown: str) -> None:
    with pytest.raises(PortUnavailableError, match=rf"^can't listen on {shown} port 0: .+$"):
        bind(host, 0)


@pytest.mark.parametrize("host", ["::1", "[::1]"])
async def test_ipv6_is_served_under_a_usable_url(host: str) -> None:
    try:
        listener = bind(host, 0)
    except PortUnavailableError:
        pytest.skip("this machine has no IPv6")
    stopping = trio.Event()
    app = QuartTrio("empty")
    async with trio.open_nursery() as nursery:
        url = await nursery.start(partial(serve, app, listener, shutdown_trigger=stopping.wait))
        assert url.startswith("http://[::1]:")
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            assert (await client.get(url)).status_code == 404
        stopping.set()


async def test_a_client_that_connects_before_the_start_is_answered_after_it() -> None:
    stopping = trio.Event()
    listener = bind("127.0.0.1", 0)
    stream = await trio.open_tcp_stream("127.0.0.1", listener.getsockname()[1])
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, QuartTrio("empty"), listener, shutdown_trigger=stopping.wait))
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert (await read_to_the_end(stream)).startswith(b"HTTP/1.1 404")
        stopping.set()
    await stream.aclose()


async def test_answers_do_not_reveal_the_server_software(web: WebServer) -> None:
    assert "server" not in (await web.client.get("/health")).headers


async def test_a_stop_finishes_the_request_in_flight_and_accepts_no_other() -> None:
    async with a_web_server() as web, trio.open_nursery() as nursery:
        web.recorder.hold()
        answers: list[httpx.Response] = []

        async def report() -> None:
            answers.append(await web.post())

        nursery.start_soon(report)
        await web.recorder.begun.wait()
        idle = await web.connect()
        web.stopping.set()
        assert await idle.receive_some() == b""
        with suppress(OSError):  # refused, once the listener is closed
            while True:
                await (await web.connect()).aclose()
        web.recorder.go_on.set()
        await web.stopped.wait()
        assert [answer.status_code for answer in answers] == [200]
        await idle.aclose()


async def test_a_stop_does_not_wait_for_idle_connections() -> None:
    async with a_web_server(grace=1_000) as web:
        assert (await web.client.get("/health")).status_code == 200
        web.stopping.set()
        await web.stopped.wait()


async def test_a_stop_cuts_off_requests_that_outlast_the_grace_period() -> None:
    async with a_web_server(grace=0.02) as web:
        web.recorder.hold()
        stream = await web.begin(f"Content-Length: {len(PAYLOAD)}")
        await stream.send_all(PAYLOAD)
        await web.recorder.begun.wait()
        web.stopping.set()
        await web.recorder.cancelled.wait()
        await web.stopped.wait()
        await stream.aclose()


@pytest.mark.parametrize(
    "head", [b"GET /health HTTP/1.0\r\n\r\n", b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"]
)
async def test_a_connection_is_closed_if_its_sender_asks_for_it(web: WebServer, head: bytes) -> None:
    stream = await web.connect()
    await stream.send_all(head)
    assert (await read_to_the_end(stream)).endswith(b'{"status": "ok"}')
    await stream.aclose()


async def test_a_connection_beyond_the_limit_waits_until_another_is_closed() -> None:
    async with a_web_server(max_connections=2) as web:
        first, second, third = [await web.begin(method="GET", path="/health") for _ in range(3)]
        for stream in (first, second):
            assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")
        await first.aclose()
        assert (await read_answer(third)).startswith(b"HTTP/1.1 200")
        for stream in (second, third):
            await stream.aclose()


async def test_a_pipelining_client_that_hangs_up_early_frees_its_connection() -> None:
    request = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Signature: ours\r\nContent-Length: {len(PAYLOAD)}\r\n\r\n".encode()
    async with a_web_server(max_connections=1) as web:
        for _ in range(20):
            stream = await web.connect()
            await stream.send_all((request + PAYLOAD) * 5)
            stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # a reset, not an orderly end
            await stream.aclose()
        assert (await web.post()).status_code == 200


@pytest.mark.parametrize("path", ["/health", PATH])
async def test_a_websocket_is_refused(web: WebServer, path: str) -> None:
    stream = await web.begin(*UPGRADE, method="GET", path=path)
    assert (await read_to_the_end(stream)).startswith(b"HTTP/1.1 403")
    await stream.aclose()


@pytest.mark.parametrize(
    "sent",
    [
        ("GET /health HTTP/1.1\r\nHost: x\r\n" + "\r\n".join(UPGRADE) + "\r\n\r\n").encode() + b"x" * 5_000,
        b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: a\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x01\x04\x00\x00\x00\x00\x00\x00",
        b"GARBAGE\r\n\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"POST /health HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000,
    ],
    ids=[
        "websocket upgrade with data",
        "h2c upgrade",
        "HTTP/2 preface",
        "garbage",
        "invalid chunk",
        "negative length",
        "endless header",
    ],
)
async def test_no_request_can_break_the_server(web: WebServer, sent: bytes) -> None:
    async with await web.connect() as stream:
        with suppress(trio.BrokenResourceError):  # the server may have had enough before all is sent
            await stream.send_all(sent)
            await stream.send_eof()
            await read_to_the_end(stream)
    assert (await web.client.get("/health")).status_code == 200
    assert not [line for line in web.log if not line.startswith("WARNING a connection failed")]


@pytest.mark.parametrize(
    ("target", "status"), [("?x", 404), ("*", 404), ("http://[bad", 404), ("http://test/health", 200)]
)
async def test_a_target_that_is_not_a_plain_path_is_answered(web: WebServer, target: str, status: int) -> None:
    stream = await web.begin(method="GET", path=target)
    assert (await read_answer(stream)).startswith(b"HTTP/1.1 %d" % status)
    await stream.aclose()
    assert web.log == []


@asynccontextmanager
async def a_server_that_reads_no_body(go_on: trio.Event) -> AsyncIterator[int]:
    """Serve one connection at a time by an app that answers once it may, and receives nothing; yields the port."""

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await go_on.wait()
        await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"no", "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    stopping, listener = trio.Event(), bind("127.0.0.1", 0)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            start = partial(serve, app, listener, shutdown_trigger=stopping.wait, max_connections=1)
            await nursery.start(start)
            yield listener.getsockname()[1]
            stopping.set()


@pytest.mark.parametrize("hangs_up", [True, False])
async def test_an_unread_body_frees_its_connection_afterward(*, hangs_up: bool) -> None:
    """Also if it resets the connection before the answer."""
    go_on = trio.Event()
    async with a_server_that_reads_no_body(go_on) as port:
        first = await trio.open_tcp_stream("127.0.0.1", port)
        await first.send_all(
            b"POST / HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 50
        )
        await trio.testing.wait_all_tasks_blocked(0.05)
        if hangs_up:
            first.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            await first.aclose()
        go_on.set()
        if not hangs_up:
            assert (await read_to_the_end(first)).startswith(b"HTTP/1.1 404")
            await first.aclose()
        second = await trio.open_tcp_stream("127.0.0.1", port)
        await second.send_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        assert (await read_to_the_end(second)).startswith(b"HTTP/1.1 404")
        await second.aclose()


@asynccontextmanager
async def a_server_of(app: ASGIFramework) -> AsyncIterator[int]:
    """Serve an app; yields the port."""
    stopping, listener = trio.Event(), bind("127.0.0.1", 0)
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            await nursery.start(partial(serve, app, listener, shutdown_trigger=stopping.wait))
            yield listener.getsockname()[1]
            stopping.set()


async def test_an_answer_that_the_kernel_takes_only_in_pieces_arrives_whole() -> None:
    pieces = [bytes([number]) * 1_000_000 for number in range(20)]

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        length = b"%d" % sum(map(len, pieces))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        for piece in pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with a_server_of(app) as port, await trio.open_tcp_stream("127.0.0.1", port) as client:
        await client.send_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)  # the server waits for the client to receive
        answer = await read_to_the_end(client)
    assert answer.partition(b"\r\n\r\n")[2] == b"".join(pieces)


async def test_requests_that_arrive_together_are_answered_in_their_order() -> None:
    async def app(scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        await trio.sleep(0.01 if scope["path"] == "/slow" else 0)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
        await send({"type": "http.response.body", "body": scope["path"].encode(), "more_body": False})

    async with a_server_of(app) as port, await trio.open_tcp_stream("127.0.0.1", port) as client:
        await client.send_all(
            b"".join(b"GET %b HTTP/1.1\r\nHost: test\r\n\r\n" % path for path in (b"/slow", b"/fast", b"/last"))
        )
        answers = await read_until(client, lambda received: received.endswith(b"/last"))
    assert [one[-5:] for one in answers.split(b"HTTP/1.1 200")[1:]] == [b"/slow", b"/fast", b"/last"]


async def test_an_app_notices_that_its_client_hangs_up_after_a_whole_request() -> None:
    noticed, begun = trio.Event(), trio.Event()

    async def app(_scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert (await receive())["type"] == "http.request"
        begun.set()
        assert (await receive())["type"] == "http.disconnect"
        noticed.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with a_server_of(app) as port:
        client = await trio.open_tcp_stream("127.0.0.1", port)
        await client.send_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await begun.wait()
        await client.aclose()
        await noticed.wait()


async def test_what_follows_an_answer_is_carried_out_although_the_connection_is_closed() -> None:
    carried_out = trio.Event()

    async def app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        await trio.lowlevel.checkpoint()
        carried_out.set()

    async with a_server_of(app) as port, await trio.open_tcp_stream("127.0.0.1", port) as client:
        await client.send_all(b"GET / HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
        await carried_out.wait()
        assert (await read_to_the_end(client)).startswith(b"HTTP/1.1 200")


async def _slow_app(_scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await trio.sleep(1_000)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: x"], ids=["nothing", "half a head"])
async def test_a_connection_without_a_request_is_closed_after_a_while(sent: bytes, autojump_clock: MockClock) -> None:
    stopping, listener = trio.Event(), bind("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, _slow_app, listener, shutdown_trigger=stopping.wait))
        async with await trio.open_tcp_stream(*listener.getsockname()) as client:
            begun = autojump_clock.current_time()
            await client.send_all(sent)
            assert await client.receive_some() == b""
            assert 20 <= autojump_clock.current_time() - begun <= 21
        stopping.set()


async def test_a_connection_is_not_closed_while_its_request_is_answered(autojump_clock: MockClock) -> None:
    stopping, listener = trio.Event(), bind("127.0.0.1", 0)
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(serve, _slow_app, listener, shutdown_trigger=stopping.wait))
        async with await trio.open_tcp_stream(*listener.getsockname()) as client:
            await client.send_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
            assert (await client.receive_some()).startswith(b"HTTP/1.1 200")
            answered = autojump_clock.current_time()
            assert await client.receive_some() == b""
            assert 20 <= autojump_clock.current_time() - answered <= 21
        stopping.set()


async def test_a_connection_that_is_closed_between_two_reads_is_a_client_that_went_away() -> None:
    class Protocol:
        """Closes the connection while it takes what was read, as another task may do."""

        async def handle(self, _event: Event) -> None:
            await connection.stream.aclose()

    ours, theirs = (trio.SocketStream(side) for side in trio.socket.socketpair())
    connection = ClientConnection(ours, Config())
    connection._protocol = cast("ProtocolWrapper", Protocol())
    await theirs.send_all(b"GET / HTTP/1.1")
    with trio.fail_after(PATIENCE):
        await connection._read(_Requests(connection))
        await connection.hung_up()
    await theirs.aclose()


async def test_a_request_that_arrives_at_the_moment_at_which_its_connection_ends_is_not_cut_off() -> None:
    class Protocol:
        """Answers what was read, in several steps."""

        async def handle(self, _event: Event) -> None:
            await trio.lowlevel.checkpoint()
            answered.append(connection)

    async def read() -> None:
        with connection._reading:
            await connection._read(_Requests(connection))

    async def end() -> None:
        await trio.lowlevel.wait_readable(bell)
        connection.hang_up()

    for _ in range(20):
        answered: list[ClientConnection] = []
        ours, theirs = (trio.SocketStream(side) for side in trio.socket.socketpair())
        connection = ClientConnection(ours, Config())
        connection._protocol = cast("ProtocolWrapper", Protocol())
        bell, rope = socket.socketpair()
        with trio.fail_after(PATIENCE), bell, rope:
            async with theirs, ours, trio.open_nursery() as nursery:
                nursery.start_soon(read)
                nursery.start_soon(end)
                await trio.testing.wait_all_tasks_blocked()
                os.write(theirs.socket.fileno(), b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
                rope.send(b"now")  # both tasks wake at once, and go on in any order
        assert answered == [connection]
