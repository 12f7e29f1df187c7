"""Connections are kept for the next request, and only those on which nothing of another request can be left."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
import trio
import trustme
from trio.testing import MockClock, wait_all_tasks_blocked

from reminderd.providers.exchange import Exchange, HttpConnection, Origin, connect, target_of
from reminderd.providers.http import ANSWER_LIMIT, HttpAnswer, HttpClient, HttpFailure, HttpResult
from tests.support.hostile_provider import (
    HostileProvider,
    Line,
    Move,
    Script,
    answer,
    answering,
    cut,
    hang,
    hear,
    hostile,
    say,
)
from tests.support.tls import encrypted
from tests.support.waiting import PATIENCE

KEPT = answer(200, b"{}").replace(b"Connection: close\r\n", b"")
SOON = timedelta(seconds=0.3)
A_TLS_RECORD = 16 * 1024
"""The most bytes in one TLS record, and so in what one read returns."""


@asynccontextmanager
async def a_client(
    *, patience: timedelta = timedelta(seconds=30), max_connections: int = 4, trust: ssl.SSLContext | None = None
) -> AsyncIterator[HttpClient]:
    client = HttpClient(timeout=patience, max_connections=max_connections, trust=trust)
    yield client
    await client.aclose()


async def post(client: HttpClient, url: str, content: bytes = b"{}", **headers: str) -> HttpResult:
    return await client.ask("POST", f"{url}/calls", headers=headers, content=content)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


async def body_of(client: HttpClient, url: str) -> bytes:
    outcome = await post(client, url)
    assert isinstance(outcome, HttpAnswer)
    assert outcome.complete
    return outcome.body


async def until_readable(connection: HttpConnection) -> None:
    assert isinstance(connection._stream, trio.SocketStream)
    await trio.lowlevel.wait_readable(connection._stream.socket)


def until_closed(closed: trio.Event) -> Move:
    """Wait until the client closes the connection, properly or not."""

    async def move(line: Line) -> None:
        try:
            while await line.stream.receive_some():
                pass
        finally:
            closed.set()

    return move


async def forever(line: Line) -> None:
    """Answer all requests of a connection."""
    while True:
        await hear(line)
        await line.stream.send_all(KEPT)


async def test_requests_share_a_connection_one_after_the_other() -> None:
    async with hostile((forever,)) as server, a_client() as client:
        for _ in range(5):
            assert await body_of(client, server.url) == b"{}"
        assert server.connections == 1
        assert len(server.requests) == 5


@asynccontextmanager
async def over_tls(
    *scripts: Script, announces_end: bool = False
) -> AsyncIterator[tuple[HostileProvider, HttpClient, str]]:
    """Serve these scripts over TLS, to a client that trusts the certificate; the last value is the URL."""
    authority = trustme.CA()
    trust = ssl.create_default_context()
    authority.configure_trust(trust)
    async with (
        hostile(*scripts) as server,
        encrypted(server.url, authority, announces_end=announces_end) as url,
        a_client(trust=trust) as client,
    ):
        yield server, client, url


async def test_requests_share_an_encrypted_connection() -> None:
    async with over_tls((forever,)) as (server, client, url):
        for _ in range(3):
            assert await body_of(client, url) == b"{}"
        assert server.connections == 1


async def test_requests_at_the_same_time_have_connections_of_their_own() -> None:
    async with hostile((hear, hang)) as server, a_client() as client, trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(post, client, server.url)
        await server.heard(3)
        assert server.connections == 3
        nursery.cancel_scope.cancel()


async def test_the_connection_that_was_used_last_is_used_next() -> None:
    async with hostile((forever,)) as server, a_client() as client:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(post, client, server.url)
        *_, last = client._idle
        for _ in range(3):
            await post(client, server.url)
            assert client._idle[-1] is last


async def test_there_are_never_more_connections_than_places() -> None:
    open_now, most = 0, 0

    async def counted(line: Line) -> None:
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        try:
            await forever(line)
        finally:
            open_now -= 1

    async with hostile((counted,)) as server, a_client(max_connections=2) as client:
        async with trio.open_nursery() as nursery:
            for _ in range(9):
                nursery.start_soon(post, client, server.url)
        assert len(server.requests) == 9
        assert most == 2
        assert server.connections == 2


async def test_an_idle_connection_makes_room_for_one_to_another_server() -> None:
    closed = trio.Event()
    script: Script = (hear, say(KEPT), until_closed(closed))
    async with hostile(script) as one, hostile((forever,)) as another, a_client(max_connections=1) as client:
        await body_of(client, one.url)
        await body_of(client, another.url)
        with trio.fail_after(PATIENCE):
            await closed.wait()
        await body_of(client, another.url)
        assert another.connections == 1


async def test_each_server_has_its_own_idle_connections() -> None:
    async with hostile((forever,)) as one, hostile((forever,)) as another, a_client() as client:
        for server in (one, another, one, another):
            await body_of(client, server.url)
        assert (one.connections, another.connections) == (1, 1)


async def test_a_connection_that_the_server_closes_while_idle_is_not_used() -> None:
    closes = trio.Event()

    async def until_told(_line: Line) -> None:
        await closes.wait()

    async with hostile((hear, say(KEPT), until_told), (forever,)) as server, a_client() as client:
        await body_of(client, server.url)
        (idle,) = client._idle
        closes.set()
        await until_readable(idle)
        assert await body_of(client, server.url) == b"{}"
        assert server.connections == 2
        assert len(server.requests) == 2, "the request was sent on the closed connection, too"


async def test_an_idle_connection_is_closed_after_a_second(idle_clock: MockClock) -> None:
    closed = trio.Event()
    script: Script = (hear, say(KEPT), until_closed(closed))
    async with hostile(script, (forever,)) as server, a_client() as client:
        await body_of(client, server.url)
        await trio.sleep(1.5)
        await body_of(client, server.url)
        await closed.wait()
        assert server.connections == 2
    assert idle_clock.current_time() < 2


async def test_idle_connections_that_are_not_needed_anymore_are_closed_in_time(idle_clock: MockClock) -> None:
    async with hostile((forever,)) as server, a_client() as client:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(post, client, server.url)
        assert len(client._idle) == 3
        for _ in range(4):
            await trio.sleep(0.4)
            await post(client, server.url)
        assert len(client._idle) == 1
    assert idle_clock.current_time() < 2


async def test_the_connection_of_a_cancelled_request_is_closed_and_not_used_again() -> None:
    closed = trio.Event()
    async with hostile((hear, until_closed(closed)), (forever,)) as server, a_client() as client:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(post, client, server.url)
            await server.heard(1)
            nursery.cancel_scope.cancel()
        with trio.fail_after(PATIENCE):
            await closed.wait()
        assert await body_of(client, server.url) == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(200, b"{}"), id="says that it closes"),
        pytest.param(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", id="HTTP/1.0"),
        pytest.param(KEPT + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nother", id="more than one answer"),
        pytest.param(KEPT + b"\r\n", id="more than it announced"),
    ],
)
async def test_a_connection_on_which_nothing_more_may_come_is_closed(said: bytes) -> None:
    closed = trio.Event()
    async with hostile((hear, say(said), until_closed(closed)), (forever,)) as server, a_client() as client:
        assert await body_of(client, server.url) == b"{}"
        with trio.fail_after(PATIENCE):
            await closed.wait()
        assert await body_of(client, server.url) == b"{}"
        assert server.connections == 2


async def test_a_second_answer_that_comes_later_is_not_taken_for_that_of_the_next_request() -> None:
    speaks = trio.Event()

    async def once_more(line: Line) -> None:
        await speaks.wait()
        await line.stream.send_all(KEPT.replace(b"{}", b"[]"))
        await hang(line)

    async with hostile((hear, say(KEPT), once_more), (forever,)) as server, a_client() as client:
        await body_of(client, server.url)
        (idle,) = client._idle
        speaks.set()
        await until_readable(idle)
        assert await body_of(client, server.url) == b"{}"


async def test_a_second_answer_that_tls_has_not_yet_passed_on_is_not_taken_for_that_of_the_next_request() -> None:
    body = b"x" * (A_TLS_RECORD - len(answer(200, b"x" * 10_000)) + 10_000)
    first = answer(200, body)
    assert len(first) == A_TLS_RECORD
    first = first.replace(b"Connection: close", b"Connection: alive")
    async with over_tls((hear, say(first + KEPT.replace(b"{}", b"[]")), hang), (forever,)) as (server, client, url):
        assert await body_of(client, url) == body
        assert await body_of(client, url) == b"{}"
        assert server.connections == 2


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(answer(200, b"x" * (ANSWER_LIMIT + 1)).replace(b"Connection: close\r\n", b""), id="too long"),
        pytest.param(KEPT.replace(b": 2\r\n", b": 3\r\n"), id="not all of it"),
        pytest.param(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\nZ\r\n", id="broken"),
    ],
)
async def test_an_answer_that_is_not_whole_closes_its_connection(idle_clock: MockClock, said: bytes) -> None:
    closed = trio.Event()
    script: Script = (hear, say(said), until_closed(closed))
    async with hostile(script, (forever,)) as server, a_client(patience=SOON) as client:
        outcome = await post(client, server.url)
        assert isinstance(outcome, HttpAnswer)
        assert not outcome.complete
        assert len(outcome.body) <= ANSWER_LIMIT
        await closed.wait()
        assert await body_of(client, server.url) == b"{}"
        assert server.connections == 2
    assert idle_clock.current_time() < 1


@pytest.mark.parametrize(
    "said",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\nEcho: %s\0\r\n\r\n", id="a header"),
        pytest.param(b"%s\r\n\r\n", id="no HTTP at all"),
    ],
)
async def test_the_reason_repeats_nothing_of_an_answer_that_can_not_be_read(said: bytes) -> None:
    async with hostile((hear, say(said % b"Your appointment is at nine."))) as server, a_client() as client:
        outcome = await post(client, server.url)
        assert isinstance(outcome, HttpFailure)
        assert outcome.sent
        assert outcome.reason.startswith("connection lost: illegal ")
        assert "appointment" not in outcome.reason


async def test_an_answer_of_the_greatest_length_is_whole() -> None:
    said = answer(200, b"x" * ANSWER_LIMIT).replace(b"Connection: close\r\n", b"")
    async with hostile((hear, say(said), hear, say(KEPT))) as server, a_client() as client:
        assert await body_of(client, server.url) == b"x" * ANSWER_LIMIT
        assert await body_of(client, server.url) == b"{}"
        assert server.connections == 1


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    async with hostile((hear, say(b"HTTP/1.1 200 OK\r\n\r\n{}"))) as server, a_client() as client:
        assert await body_of(client, server.url) == b"{}"
        assert client._idle == []


@pytest.mark.parametrize("announces_end", [True, False])
async def test_over_tls_an_answer_without_a_length_is_complete_only_after_a_close_notify(
    *, announces_end: bool
) -> None:
    script = (hear, say(b"HTTP/1.1 200 OK\r\n\r\n{}"))
    async with over_tls(script, announces_end=announces_end) as (_, client, url):
        outcome = await post(client, url)
        assert isinstance(outcome, HttpAnswer)
        assert outcome.complete is announces_end


@pytest.mark.parametrize("announces_end", [True, False])
async def test_over_tls_an_answer_with_a_length_needs_no_close_notify(*, announces_end: bool) -> None:
    async with over_tls(answering(200, b"{}"), announces_end=announces_end) as (_, client, url):
        assert await body_of(client, url) == b"{}"


@pytest.mark.parametrize("announces_end", [True, False])
async def test_over_tls_a_connection_that_is_closed_without_an_answer_is_lost(*, announces_end: bool) -> None:
    async with over_tls((hear,), announces_end=announces_end) as (_, client, url):
        outcome = await post(client, url)
        assert outcome == HttpFailure(reason="connection lost: closed without an answer", sent=True)


async def test_all_idle_connections_are_closed_even_for_a_caller_that_is_cancelled() -> None:
    async with hostile((forever,)) as server, a_client() as client:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(post, client, server.url)
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.aclose()
        assert client._idle == []


async def test_no_file_stays_open_whatever_happens_to_the_requests(idle_clock: MockClock) -> None:
    scripts: list[Script] = [(hear, hang), (hear, cut), (cut,), (hear,), (hear, say(KEPT)), answering(200)]
    async with hostile((forever,)) as quiet, a_client(patience=SOON) as client:
        await post(client, quiet.url)
        await client.aclose()
        await wait_all_tasks_blocked(0.01)
        before = open_files()
        for script in scripts * 3:
            async with hostile(script) as server:
                for _ in range(3):
                    await post(client, server.url)
                await post(client, server.url.replace("http:", "https:"))
        await client.aclose()
        await wait_all_tasks_blocked(0.01)
        assert open_files() == before
    assert idle_clock.current_time() < 100


async def test_a_request_that_http_does_not_allow_is_not_sent() -> None:
    async with hostile((hear, hang)) as server, a_client() as client:
        for value in ("two\r\nlines", "schlüssel", "space "):
            outcome = await post(client, server.url, token=value)
            assert outcome == HttpFailure(
                reason="not sent: HTTP does not allow the URL or one of the headers", sent=False
            ), "no reason repeats what may be a key"
        assert server.requests == []


async def test_a_server_whose_certificate_names_another_host_is_sent_nothing() -> None:
    async with over_tls((forever,)) as (server, client, url):
        outcome = await post(client, url.replace("localhost", "127.0.0.1"))
        assert isinstance(outcome, HttpFailure)
        assert not outcome.sent
        assert "certificate verify failed" in outcome.reason
        assert server.requests == []


async def test_only_http_1_is_offered_to_a_server_that_prefers_http_2() -> None:
    authority, trust = trustme.CA(), ssl.create_default_context()
    authority.configure_trust(trust)
    async with (
        hostile((forever,)) as server,
        encrypted(server.url, authority, protocols=("h2", "http/1.1")) as url,
        a_client(trust=trust) as client,
    ):
        assert await body_of(client, url) == b"{}"
        (connection,) = client._idle
        assert isinstance(connection._stream, trio.SSLStream)
        assert connection._stream.selected_alpn_protocol() == "http/1.1"


async def test_certificates_that_only_the_environment_names_are_not_accepted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(tmp_path / "authority.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "authority.pem"))
    async with hostile((forever,)) as server, encrypted(server.url, authority) as url, a_client() as client:
        outcome = await post(client, url)
        assert isinstance(outcome, HttpFailure)
        assert not outcome.sent
        assert "certificate verify failed" in outcome.reason


async def test_certificates_that_can_not_be_read_are_an_error_at_once_but_not_for_http(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("certifi.where", lambda: str(tmp_path / "missing.pem"))
    with pytest.raises(FileNotFoundError):
        HttpClient(timeout=SOON, max_connections=1)
    plain = HttpClient(timeout=SOON, max_connections=1, reads_certificates=False)
    outcome = await post(plain, "https://voice.example")
    assert isinstance(outcome, HttpFailure)
    assert not outcome.sent


async def test_nothing_is_sent_in_the_clear_where_tls_is_asked_for() -> None:
    with pytest.raises(ValueError, match="TLS"):
        await connect(Origin(True, "127.0.0.1", 9), None)


async def test_an_answer_whose_head_does_not_end_is_given_up() -> None:
    begun = b"HTTP/1.1 200 OK\r\nX-More: " + b"x" * 200_000
    async with hostile((hear, say(begun), hang)) as server, a_client() as client:
        with trio.fail_after(PATIENCE):
            outcome = await post(client, server.url)
        assert outcome == HttpFailure(reason="connection lost: Receive buffer too long", sent=True)


async def test_a_request_to_neither_http_nor_https_is_not_sent() -> None:
    async with a_client() as client:
        outcome = await client.ask("GET", "ftp://host/calls", headers={})
    assert outcome == HttpFailure(reason="not sent: expected http:// or https://", sent=False)


@pytest.mark.parametrize(
    ("url", "authority", "path"),
    [
        ("http://Clinic.example/a?b=c%20d", b"clinic.example", b"/a?b=c%20d"),
        ("http://clinic.example:80", b"clinic.example", b"/"),
        ("https://clinic.example:8443/", b"clinic.example:8443", b"/"),
        ("http://[::1]:7000/x", b"[::1]:7000", b"/x"),
        ("https://bücher.example/ä", b"xn--bcher-kva.example", b"/%C3%A4"),
    ],
)
def test_a_request_goes_where_its_url_says(url: str, authority: bytes, path: bytes) -> None:
    target = target_of(url)
    assert target is not None
    assert (target.authority, target.path) == (authority, path)


class Closing(trio.abc.Stream):
    """A connection whose other side has answered and takes no more bytes."""

    def __init__(self, answers: bytes) -> None:
        self._answers = [answers]

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        assert data
        raise trio.BrokenResourceError

    async def wait_send_all_might_not_block(self) -> None:
        raise NotImplementedError

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        assert max_bytes
        return self._answers.pop() if self._answers else b""

    async def aclose(self) -> None:
        pass


async def test_an_answer_to_a_request_that_could_not_be_sent_whole_is_still_read() -> None:
    target = target_of("http://clinic.example/calls")
    assert target is not None
    exchange = Exchange("POST", target, {}, b"{}", ANSWER_LIMIT)
    connection = HttpConnection(target.origin, Closing(KEPT))
    await connection.carry(exchange)
    assert exchange.head is not None
    assert exchange.is_complete
    assert exchange.is_sent
    assert not connection.prepare_next(1.0), "a later request would be lost"
