"""The clinic's own system reads the changes of outcomes: each once, in order, and it may wait for the next."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from reminderd.store.any_engine import open_sync
from reminderd.web.access import Throttle
from reminderd.web.api import MOST_WAITING
from tests.support.api import Api, an_api
from tests.support.databases import ON_EACH_ENGINE, database_in
from tests.support.waiting import PATIENCE, until
from tests.web.test_api import REMINDER, is_a_problem

pytestmark = ON_EACH_ENGINE

PATH = "/api/changes"


async def read(api: Api, **parameters: Any) -> dict[str, Any]:
    answer = await api.client.get(PATH, params=parameters)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@asynccontextmanager
async def waiting(api: Api, clients: int = 1) -> AsyncIterator[list[dict[str, Any]]]:
    """Clients that wait for a change before the body begins; all of their answers are there at its end."""
    pages: list[dict[str, Any]] = []

    async def wait() -> None:
        pages.append(await read(api, wait=60))

    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            for _ in range(clients):
                nursery.start_soon(wait)
            await until(lambda: api.feed.waiting == clients)
            yield pages


async def cancelled(api: Api, *refs: str) -> None:
    for ref in refs:
        assert (await api.post(REMINDER | {"ref": ref})).status_code == 201
        await api.client.delete(f"/api/reminders/{ref}")


def refs(page: dict[str, Any]) -> list[str]:
    return [one["reminder_ref"] for one in page["changes"]]


async def test_changes_are_read_in_order_and_every_page_has_a_next_cursor(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        assert await read(api) == {"changes": [], "next": "0"}
        await cancelled(api, "a", "b", "c")
        for first in ({}, {"after": "0"}):
            page = await read(api, limit=2, **first)
            assert refs(page) == ["a", "b"]
        page = await read(api, after=page["next"])
        assert refs(page) == ["c"]
        assert await read(api, after=page["next"]) == {"changes": [], "next": page["next"]}
        assert "5550147" not in (await api.client.get(PATH)).text


async def test_a_waiting_client_gets_the_next_change_as_soon_as_it_is_committed(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        async with waiting(api, clients=2) as pages:
            await cancelled(api, "a")
        assert [refs(page) for page in pages] == [["a"], ["a"]]


async def test_a_waiting_client_is_answered_without_a_change_after_a_while(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await cancelled(api, "a")
        page = await read(api)
        assert await read(api, after=page["next"], wait=1) == {"changes": [], "next": page["next"]}


async def test_a_stop_or_a_reload_ends_waiting_requests(tmp_path: Path) -> None:
    throttle = Throttle(pace=0)
    async with an_api(tmp_path, throttle=throttle) as api:
        async with waiting(api) as pages:
            throttle.stopping.set()
        assert pages == [{"changes": [], "next": "0"}]


async def test_waiting_clients_are_limited_and_one_that_hangs_up_makes_room(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api, trio.open_nursery() as others:
        async with trio.open_nursery() as one:
            one.start_soon(api.wait)
            for _ in range(MOST_WAITING - 1):
                others.start_soon(api.wait)
            await until(lambda: api.feed.waiting == MOST_WAITING)
            answer = await api.client.get(PATH, params={"wait": 1})
            assert is_a_problem(answer, 503)["detail"].startswith("20 clients wait")
            assert answer.headers["retry-after"]
            assert (await api.client.get(PATH)).status_code == 200, "without waiting there is always an answer"
            one.cancel_scope.cancel()
        await until(lambda: api.feed.waiting < MOST_WAITING)
        assert await read(api, wait=1) == {"changes": [], "next": "0"}
        others.cancel_scope.cancel()


async def test_a_client_that_hung_up_waits_no_longer(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        for _ in range(MOST_WAITING + 5):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(api.wait)
                await until(lambda: api.feed.waiting == 1)
                nursery.cancel_scope.cancel()
            await until(lambda: api.feed.waiting == 0)
        assert await read(api, wait=1) == {"changes": [], "next": "0"}


async def test_a_cursor_of_a_database_that_was_restored_is_refused_with_what_to_do(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await cancelled(api, "a", "b")
        page = await read(api)
        await api.execute("UPDATE changes SET event_id = substr(event_id, 2) || substr(event_id, 1, 1)")
        told = is_a_problem(await api.client.get(PATH, params={"after": page["next"]}), 409)
        assert "start again without after" in told["detail"]
        assert refs(await read(api)) == ["a", "b"]
        await api.execute("DELETE FROM changes WHERE seq = 1")
        told = is_a_problem(await api.client.get(PATH, params={"after": "0"}), 409)
        assert "no longer kept" in told["detail"]


@pytest.mark.parametrize(
    ("parameters", "pointers"),
    [
        ({"after": "soon"}, ["/after"]),
        ({"wait": "61"}, ["/wait"]),
        ({"wait": "-1", "limit": "0"}, ["/wait", "/limit"]),
        ({"limit": "1001"}, ["/limit"]),
        ({"limit": "\u0661"}, ["/limit"]),
        ({"wait": "1" * 5000}, ["/wait"]),
        ({"before": "1"}, [""]),
    ],
)
async def test_each_wrong_parameter_is_named(tmp_path: Path, parameters: dict[str, str], pointers: list[str]) -> None:
    async with an_api(tmp_path) as api:
        told = is_a_problem(await api.client.get(PATH, params=parameters), 400)
        assert [error["pointer"] for error in told["errors"]] == pointers


async def test_a_missing_token_is_refused(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api, httpx.AsyncClient(base_url=api.url, timeout=PATIENCE) as stranger:
        is_a_problem(await stranger.get(PATH), 401)


async def test_another_programs_change_reaches_waiting_clients_at_once(tmp_path: Path) -> None:
    async with an_api(tmp_path) as api:
        await api.post(REMINDER)
        async with waiting(api) as pages:
            with open_sync(database_in(tmp_path, "clinic.db")) as program:
                program.execute("UPDATE reminders SET status = 'cancelled'")
        assert [one["end_code"] for one in pages[0]["changes"]] == ["cancelled_elsewhere"]
