"""The route for Prometheus, and the count of the provider's webhooks."""

from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from attrs import define

from reminderd.store.errors import StoreUnavailableError
from reminderd.web.app import METRICS_TYPE, build_metrics_app
from reminderd.web.server import bind, serve
from tests.support.waiting import PATIENCE
from tests.support.web_server import LIMIT, a_web_server


@define
class Page:
    """A page that can be made to fail."""

    text: bytes = b"reminderd_writer_queue 0.0\n"
    error: Exception | None = None

    async def __call__(self) -> bytes:
        if self.error is not None:
            raise self.error
        return self.text


@pytest.fixture
def page() -> Page:
    return Page()


@pytest.fixture
async def client(page: Page) -> AsyncIterator[httpx.AsyncClient]:
    stopping = trio.Event()
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:

            async def served(*, task_status: trio.TaskStatus[str]) -> None:
                app, listener = build_metrics_app(page), bind("127.0.0.1", 0)
                await serve(app, listener, shutdown_trigger=stopping.wait, task_status=task_status)

            url = await nursery.start(served)
            async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=PATIENCE) as client:
                yield client
            stopping.set()


async def test_prometheus_gets_the_page_in_its_own_format(client: httpx.AsyncClient, page: Page) -> None:
    answer = await client.get("/metrics")
    assert (answer.status_code, answer.content) == (200, page.text)
    assert answer.headers["Content-Type"] == METRICS_TYPE


@pytest.mark.parametrize("path", ["/", "/metrics/", "/health", "/webhooks/call-status", "/api/reminders"])
async def test_any_other_path_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 404


async def test_the_metrics_page_refuses_post_requests(client: httpx.AsyncClient) -> None:
    assert (await client.post("/metrics", content=b"x" * 100_000)).status_code == 405


async def test_an_error_while_building_the_page_shows_no_details(client: httpx.AsyncClient, page: Page) -> None:
    page.error = ValueError("+12025550001")
    answer = await client.get("/metrics")
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal server error"})


async def test_only_webhooks_are_counted_by_status_code() -> None:
    codes: list[int] = []
    async with a_web_server(answered=codes.append) as web:
        await web.post()
        await web.post(b"forged")
        await web.post(b"{}")
        await web.post(b"x" * (LIMIT + 1))
        web.recorder.error = StoreUnavailableError("the disk is full")
        await web.post()
        web.recorder.error = ValueError("a bug")
        await web.post()
        await web.client.get("/health")
        await web.client.get("/nothing")
        await web.client.get("/webhooks/call-status")
    assert codes == [200, 401, 400, 413, 503, 500]


async def test_the_private_port_also_shows_what_the_process_is_doing() -> None:
    async def doings() -> dict[str, object]:
        return {"version": "1.2.3"}

    async with a_web_server(doings=doings) as web:
        answer = await web.client.get("/health/status")
        assert (answer.status_code, answer.json()) == (200, {"version": "1.2.3"})
    async with a_web_server() as web:
        assert (await web.client.get("/health/status")).status_code == 404
