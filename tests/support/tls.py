"""TLS on loopback in front of any server, with a certificate of the test's own authority."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

import trio
import trustme


@asynccontextmanager
async def encrypted(
    url: str,
    authority: trustme.CA,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    announces_end: bool = False,
    protocols: Sequence[str] = (),
) -> AsyncIterator[str]:
    """Serve the server at `url` under an https URL, passing its bytes on unchanged.

    Like many servers, it closes connections without TLS's close_notify, unless `announces_end`. Of the `protocols`, it
    chooses the first that the client offers, too.
    """
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost", not_before=since, not_after=until).configure_cert(context)
    if protocols:
        context.set_alpn_protocols(list(protocols))
    # What an older TLS does the same way: a client that refuses the certificate says so within the handshake.
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    behind = urlsplit(url)
    assert behind.hostname is not None
    assert behind.port is not None
    (plain,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    listener = trio.SSLListener(plain, context, https_compatible=not announces_end)
    port = plain.socket.getsockname()[1]
    serve = partial(_relay, host=behind.hostname, port=behind.port)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, [listener])
        yield f"https://localhost:{port}"
        nursery.cancel_scope.cancel()


async def _relay(outside: trio.SSLStream[trio.SocketStream], *, host: str, port: int) -> None:
    try:
        async with outside, await trio.open_tcp_stream(host, port) as inside, trio.open_nursery() as nursery:
            nursery.start_soon(_pass_on, outside, inside)
            await _pass_on(inside, outside)
            nursery.cancel_scope.cancel()
    except* (trio.BrokenResourceError, OSError):
        pass  # one side has closed its connection


async def _pass_on(source: trio.abc.ReceiveStream, target: trio.abc.SendStream) -> None:
    while some := await source.receive_some():
        await target.send_all(some)
