from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
import trio
import trio.testing

from reminderd.web.bodies import FREE_BYTES, Body, BodyMemory, NoMemoryLeftError, TooLargeError
from tests.support.web_server import LIMIT, PATH, PAYLOAD, WebServer, a_web_server, read_answer, read_to_the_end

MEBIBYTE = 1024 * 1024
TEN_MEBIBYTES = 10 * MEBIBYTE


async def in_chunks(length: int) -> AsyncIterator[bytes]:
    for _ in range(0, length, LIMIT):
        yield b"x" * LIMIT


async def test_a_body_of_ten_megabytes_is_answered_with_413(web: WebServer) -> None:
    answer = await web.post(b"x" * TEN_MEBIBYTES)
    assert (answer.status_code, answer.json()) == (413, {"error": "Payload too large"})
    assert (await web.post()).status_code == 200


async def test_a_chunked_body_of_ten_megabytes_is_answered_with_413(web: WebServer) -> None:
    answer = await web.post(in_chunks(TEN_MEBIBYTES))
    assert (answer.status_code, answer.json()) == (413, {"error": "Payload too large"})
    assert [line.strip() for line in web.log] == ["WARNING webhook refused with 413: Payload too large"]


async def test_a_body_of_exactly_the_limit_is_accepted(web: WebServer) -> None:
    assert (await web.post(PAYLOAD.ljust(LIMIT))).status_code == 200
    assert (await web.post(PAYLOAD.ljust(LIMIT + 1))).status_code == 413


async def test_a_large_body_to_a_wrong_path_is_answered_404(web: WebServer) -> None:
    assert (await web.post(b"x" * TEN_MEBIBYTES, path="/elsewhere")).status_code == 404


async def test_an_endless_body_is_answered_and_then_cut_off() -> None:
    async with a_web_server() as web:
        stream = await web.begin("Transfer-Encoding: chunked")
        answers: list[bytes] = []

        async def listen() -> None:
            answers.append(await read_answer(stream))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            with suppress(trio.BrokenResourceError):
                while True:
                    await stream.send_all(b"10000\r\n%b\r\n" % (b"x" * 0x10000))
        assert answers[0].startswith(b"HTTP/1.1 413")
        await stream.aclose()


async def test_the_rest_of_a_refused_body_is_awaited_for_a_limited_time() -> None:
    async with a_web_server(drain_seconds=0.02) as web:
        stream = await web.begin(f"Content-Length: {TEN_MEBIBYTES}")
        assert (await read_to_the_end(stream)).startswith(b"HTTP/1.1 413")
        await stream.aclose()


async def test_a_body_that_does_not_arrive_times_out() -> None:
    async with a_web_server(body_seconds=0.02, drain_seconds=0.02) as web:
        stream = await web.begin(f"Content-Length: {len(PAYLOAD)}")
        await stream.send_all(PAYLOAD[:1])
        answer = await read_to_the_end(stream)
        assert answer.startswith(b"HTTP/1.1 408")
        assert answer.endswith(b'{"error": "Request timeout"}')
        await stream.aclose()
    assert [line.strip() for line in web.log] == ["WARNING webhook refused with 408: Request timeout"]


async def test_slow_senders_do_not_block_others() -> None:
    async with a_web_server(in_work=1, body_seconds=20) as web:
        slow = [await web.begin(f"Content-Length: {LIMIT}") for _ in range(50)]
        assert (await web.post()).status_code == 200
        for stream in slow:
            await stream.aclose()


IN_ONE_PIECE, IN_PIECES, IN_CHUNKS = "in one piece", "in pieces", "in chunks"


async def answer_to(web: WebServer, body: bytes, arriving: str) -> bytes:
    """Send a signed request in one of three ways, and return its answer."""
    framing = "Transfer-Encoding: chunked" if arriving == IN_CHUNKS else f"Content-Length: {len(body)}"
    head = f"POST {PATH} HTTP/1.1\r\nHost: test\r\nX-Signature: ours\r\nConnection: close\r\n{framing}\r\n\r\n"
    halves = (body[: len(body) // 2], body[len(body) // 2 :])
    if arriving == IN_CHUNKS:
        halves = (b"%x\r\n%b\r\n" % (len(halves[0]), halves[0]), b"%x\r\n%b\r\n0\r\n\r\n" % (len(halves[1]), halves[1]))
    async with await web.connect() as stream:
        if arriving == IN_ONE_PIECE:
            await stream.send_all(head.encode() + body)
        else:
            for piece in (head.encode(), *halves):
                await stream.send_all(piece)
                await trio.testing.wait_all_tasks_blocked()
        return await read_to_the_end(stream)


@pytest.mark.parametrize("arriving", [IN_ONE_PIECE, IN_PIECES, IN_CHUNKS])
@pytest.mark.parametrize(
    ("beyond", "in_work", "status"),
    [
        pytest.param(0, 1, 200, id="exactly the limit"),
        pytest.param(1, 1, 413, id="beyond the limit"),
        pytest.param(0, 0, 503, id="no place"),
    ],
)
async def test_a_body_gets_the_same_answer_however_it_arrives(
    beyond: int, in_work: int, status: int, arriving: str
) -> None:
    async with a_web_server(body_bytes=1_000, in_work=in_work) as web:
        answer = await answer_to(web, PAYLOAD.ljust(1_000 + beyond), arriving)
    assert answer.startswith(b"HTTP/1.1 %d" % status)
    assert len(web.recorder.reports) == (status == 200)


@pytest.mark.parametrize("chunks", [1, 9, 10, 11, 200])
async def test_a_body_in_many_chunks_that_arrive_together_is_read_whole(web: WebServer, chunks: int) -> None:
    size = -(-len(PAYLOAD) // chunks)
    pieces = [PAYLOAD[at : at + size] for at in range(0, len(PAYLOAD), size)]
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    async with await web.connect() as stream:
        head = f"POST {PATH} HTTP/1.1\r\nHost: test\r\nX-Signature: ours\r\nTransfer-Encoding: chunked\r\n\r\n"
        await stream.send_all(head.encode() + body + b"0\r\n\r\n")
        assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")


def a_body(memory: BodyMemory, *, limit: int = MEBIBYTE, read_limit: int = 2 * MEBIBYTE) -> Body:
    return Body(limit, read_limit, memory, trio.sleep_forever)  # nothing more arrives


async def test_bodies_share_memory_and_give_it_back() -> None:
    memory = BodyMemory(MEBIBYTE)
    first, second, third = a_body(memory), a_body(memory), a_body(memory)
    first.add(b"x" * MEBIBYTE, more=False)
    second.add(b"x" * MEBIBYTE, more=True)
    with pytest.raises(NoMemoryLeftError):
        await second.read(10)
    assert await first.read(10) == b"x" * MEBIBYTE
    first.drop()
    second.drop()
    assert memory.left == MEBIBYTE
    third.add(b"x" * MEBIBYTE, more=False)
    assert len(await third.read(10)) == MEBIBYTE


async def test_a_small_body_does_not_count_toward_the_shared_memory() -> None:
    body = a_body(BodyMemory(0))
    body.add(b"x" * FREE_BYTES, more=False)
    assert len(await body.read(10)) == FREE_BYTES


async def test_a_body_that_exceeds_the_limit_gives_its_memory_back() -> None:
    memory = BodyMemory(MEBIBYTE)
    body = a_body(memory, limit=2 * FREE_BYTES)
    body.add(b"x" * 2 * FREE_BYTES, more=True)
    assert memory.left < MEBIBYTE
    body.add(b"x", more=True)
    assert memory.left == MEBIBYTE
    with pytest.raises(TooLargeError):
        await body.read(10)


async def test_dropping_a_body_ends_at_a_limit() -> None:
    body = a_body(BodyMemory(0), read_limit=1000)
    body.drop()
    body.add(b"x" * 1001, more=True)
    assert body.is_over


async def test_a_server_short_of_memory_asks_the_sender_to_try_again() -> None:
    async with a_web_server(body_bytes=4 * MEBIBYTE) as web:  # the memory is 16 bodies
        held = [await web.begin(f"Content-Length: {4 * MEBIBYTE}") for _ in range(17)]
        async with trio.open_nursery() as nursery:
            for stream in held:
                nursery.start_soon(stream.send_all, b"x" * (4 * MEBIBYTE - 1))
        answers: list[bytes] = []
        async with trio.open_nursery() as nursery:

            async def listen(stream: trio.SocketStream) -> None:
                answers.append(await read_answer(stream))
                nursery.cancel_scope.cancel()

            for stream in held:
                nursery.start_soon(listen, stream)
        assert answers[0].startswith(b"HTTP/1.1 503")
        assert b"retry-after: " in answers[0]
        assert (await web.client.post(PATH, content=PAYLOAD, headers={"X-Signature": "ours"})).status_code == 200
        for stream in held:
            await stream.aclose()
