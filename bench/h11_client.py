"""Send requests with h11 on Trio, without a database, a log or a decision: the most that Python itself allows."""

import json
from collections.abc import Iterator
from urllib.parse import urlsplit
from uuid import uuid4

import h11
import trio

from bench.rows import MESSAGE, phone


def requests_a_second(url: str, *, requests: int, tasks: int) -> float:
    """Send requests to place calls, one after another on the connection of each task; return how many a second."""
    return trio.run(_requests_a_second, url, requests, tasks)


async def _requests_a_second(url: str, requests: int, tasks: int) -> float:
    numbers = iter(range(requests))
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(tasks):
            nursery.start_soon(_send_one_after_another, url, numbers)
    return requests / (trio.current_time() - began)


async def _send_one_after_another(url: str, numbers: Iterator[int]) -> None:
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    stream = await trio.open_tcp_stream(parts.hostname, parts.port)
    connection = h11.Connection(h11.CLIENT)
    for number in numbers:
        attempt = str(uuid4())
        metadata = {"reminder_id": str(uuid4()), "attempt_id": attempt}
        body = json.dumps({"phone_number": phone(number), "message": MESSAGE, "metadata": metadata}).encode()
        headers = {
            "Host": parts.netloc,
            "Authorization": "Bearer bench",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "Idempotency-Key": attempt,
            "Content-Length": str(len(body)),
        }
        head = connection.send(h11.Request(method="POST", target="/calls", headers=[*headers.items()]))
        content, end = connection.send(h11.Data(data=body)), connection.send(h11.EndOfMessage())
        await stream.send_all((head or b"") + (content or b"") + (end or b""))
        answer = b""
        while not isinstance(event := connection.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                connection.receive_data(bytes(await stream.receive_some()))
            elif isinstance(event, h11.Data):
                answer += event.data
        assert json.loads(answer)["call_id"]
        connection.start_next_cycle()
    await stream.aclose()
