"""Run a slow network between two machines: every byte arrives later, in order; in a separate process.

    python -m bench.slow_line PORT SECONDS

It prints the port that leads to PORT on this machine, SECONDS away in each direction.
"""

import sys
from functools import partial
from typing import Final

import trio

_CHUNK: Final = 65536


async def serve(port: int, seconds: float) -> None:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, partial(_joined, port, seconds), 0)
        print(listeners[0].socket.getsockname()[1], flush=True)


async def _joined(port: int, seconds: float, client: trio.SocketStream) -> None:
    server = await trio.open_tcp_stream("127.0.0.1", port)
    async with client, server, trio.open_nursery() as nursery:
        nursery.start_soon(_carry, client, server, seconds, nursery.cancel_scope)
        nursery.start_soon(_carry, server, client, seconds, nursery.cancel_scope)


async def _carry(source: trio.SocketStream, target: trio.SocketStream, seconds: float, both: trio.CancelScope) -> None:
    send, receive = trio.open_memory_channel[tuple[float, bytes]](10_000)

    async def arrive() -> None:
        async for at, data in receive:
            await trio.sleep_until(at)
            await target.send_all(data)

    try:
        async with trio.open_nursery() as nursery, send:
            nursery.start_soon(arrive)
            while data := await source.receive_some(_CHUNK):
                await send.send((trio.current_time() + seconds, data))
    except* trio.BrokenResourceError:
        pass
    both.cancel()


if __name__ == "__main__":
    trio.run(serve, int(sys.argv[1]), float(sys.argv[2]))
