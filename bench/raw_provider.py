"""Run a voice provider that answers each request after a fixed time, and records when it came; in a separate process.

    python -m bench.raw_provider LATENCY_SECONDS

It prints its URL. Every `POST` is a request for a call; `GET` returns the arrivals as JSON: reminder id → Unix
milliseconds.
"""

import json
import sys
from functools import partial
from uuid import uuid4

import trio

from bench.wire import Message, Wire
from reminderd.clock import SystemClock
from reminderd.store.rows import to_ms


async def serve(latency: float) -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    print(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}", flush=True)
    await trio.serve_listeners(partial(_talk, latency=latency, arrivals={}), listeners)


async def _talk(stream: trio.SocketStream, *, latency: float, arrivals: dict[str, int]) -> None:
    wire = Wire(stream)
    while (request := await wire.receive()) is not None:
        if request.head.startswith(b"GET"):
            await stream.send_all(_answer("200 OK", arrivals))
        else:
            arrivals[_reminder_in(request)] = to_ms(SystemClock().now())
            await trio.sleep(latency)
            await stream.send_all(_answer("200 OK", {"call_id": str(uuid4()), "status": "queued"}))


def _reminder_in(request: Message) -> str:
    return str(json.loads(request.body)["metadata"]["reminder_id"])


def _answer(status: str, content: object) -> bytes:
    body = json.dumps(content).encode()
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status.encode(),
        len(body),
        body,
    )


if __name__ == "__main__":
    trio.run(serve, float(sys.argv[1]))
