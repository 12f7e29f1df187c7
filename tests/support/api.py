"""Serve the HTTP API on loopback, with a real database."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import trio
from attrs import define, frozen

from reminderd.clock import Clock, SystemClock
from reminderd.config import rules_of
from reminderd.config.load import load_config
from reminderd.daemon.setup import api_of
from reminderd.store.database import Database, open_database
from reminderd.store.feed import Feed
from reminderd.web.access import Throttle
from reminderd.web.app import Health, Webhooks, build_app
from reminderd.web.bodies import RequestLimits
from reminderd.web.server import bind, serve
from tests.support.databases import database_in
from tests.support.waiting import PATIENCE
from tests.support.web_server import Recorder, SigningProvider

TOKEN = "a token of the clinic's own system"[:32].replace(" ", "-")
_CLOCK = SystemClock()


@define(eq=False)
class CountingFeed(Feed):
    """Counts the clients that wait for a change."""

    waiting: int = 0

    async def changed(self, seq: int) -> None:
        self.waiting += 1
        try:
            await super().changed(seq)
        finally:
            self.waiting -= 1


@frozen
class Api:
    url: str
    client: httpx.AsyncClient
    database: Database
    feed: CountingFeed

    async def wait(self) -> httpx.Response:
        """Wait for a change as another client, for a minute at most."""
        async with httpx.AsyncClient(
            base_url=self.url, headers=self.client.headers, timeout=PATIENCE, trust_env=False
        ) as client:
            return await client.get("/api/changes", params={"wait": 60})

    async def post(self, body: Any, **headers: str) -> httpx.Response:
        return await self.client.post("/api/reminders", json=body, headers=headers)

    async def get(self, name: str) -> httpx.Response:
        return await self.client.get(f"/api/reminders/{name}")

    async def count(self, table: str = "reminders") -> int:
        return await self.database.read(lambda c: int(c.execute(f"SELECT count(*) FROM {table}").fetchone()[0]))

    async def execute(self, sql: str) -> None:
        await self.database.write(lambda connection, _now: connection.execute(sql).fetchall())


@asynccontextmanager
async def an_api(folder: Path, *, clock: Clock = _CLOCK, throttle: Throttle | None = None) -> AsyncIterator[Api]:
    environ = {"REMINDERD__API__TOKEN": TOKEN, "REMINDERD__CALLING__TIMEZONE": "Europe/Berlin"}
    config = load_config(None, environ, folder)

    throttle = throttle or Throttle(pace=0)

    async def readiness() -> Mapping[str, str | None]:
        return {}

    async with open_database(database_in(folder, "clinic.db"), clock) as database, trio.open_nursery() as nursery:
        feed = CountingFeed(database, throttle.stopping)
        its_api = api_of(config, database=database, rules=rules_of(config), feed=feed)
        webhooks = Webhooks(provider=SigningProvider(), recorder=Recorder())
        app = build_app(
            webhooks=webhooks,
            health=Health(readiness=readiness),
            limits=RequestLimits(body_bytes=1024 * 1024),
            api=its_api,
            throttle=throttle,
        )
        stopping = trio.Event()
        url = await nursery.start(partial(serve, app, bind("127.0.0.1", 0), shutdown_trigger=stopping.wait))
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE, trust_env=False) as client:
            yield Api(url, client, database, feed)
        stopping.set()
