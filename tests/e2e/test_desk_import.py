"""A file on the front desk's page, in the real program: it outlives a reload, and no kill leaves it behind."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from reminderd.store.sqlite.opening import open_sync
from tests.support.desk import NAME, PASSWORD, Browser, Page
from tests.support.ports import reserved_port
from tests.support.program import Program, clean_environment, running

ROWS = 12_000
TABLE = "ref,phone,message,at\n" + "".join(
    f"{number},+1202555{number % 10_000:04d},Tomorrow at nine.,2040-01-07 09:30\n" for number in range(ROWS)
)
CONFIG = """
[clinic]
country = "US"
[calling]
timezone = "America/New_York"
[web]
port = 0
[provider]
kind = "sandbox"
[desk]
port = {port}
"""


@asynccontextmanager
async def desk(folder: Path) -> AsyncIterator[tuple[Program, Browser]]:
    """Run the daemon with its pages, and log in."""
    with reserved_port() as port:
        (folder / "config.toml").write_text(CONFIG.format(port=port))
        add = [sys.executable, "-m", "reminderd", "user", "add", NAME, "--password-stdin"]
        if not (folder / "reminderd.db").exists():
            await trio.run_process(add, cwd=folder, stdin=f"{PASSWORD}\n".encode(), env=clean_environment())
        async with running("run", cwd=folder) as program:
            browser = Browser((await program.line(r"pages are at (http://[^\s\"]+)"))[1])
            async with browser.client:
                await browser.log_in()
                yield program, browser


async def uploaded(browser: Browser) -> Page:
    page = await browser.submit(await browser.get("/import"), "/import", files={"file": ("big.csv", TABLE.encode())})
    return await browser.settled(page)


async def begun(folder: Path, browser: Browser) -> None:
    """Begin to import the file, and wait until some of it is written."""
    page = await browser.submit(await uploaded(browser), "/import/take")
    while not stored(folder, "SELECT id FROM reminders LIMIT 1"):
        page = await browser.get("/import")
    assert page.root.all("progress")


def stored(folder: Path, sql: str) -> list[dict[str, Any]]:
    with open_sync(folder / "reminderd.db") as connection:
        return [dict(row) for row in connection.execute(sql).fetchall()]


def kept(folder: Path) -> list[Path]:
    return list((folder / "reminderd.db.uploads").rglob("*.csv"))


async def test_an_import_goes_on_through_a_reload_while_webhooks_are_answered(tmp_path: Path) -> None:
    async with desk(tmp_path) as (program, browser):
        await begun(tmp_path, browser)
        await program.reload("configuration reloaded")
        assert (await browser.client.get(f"{await program.url()}/health/ready")).status_code == 200
        page = await browser.settled(await browser.get("/import"))
        assert page.notice == f"The file was imported: {ROWS:,} new."
        assert await program.terminate() == 0
    assert kept(tmp_path) == []


async def test_a_stop_ends_an_import_between_two_chunks_and_says_how_far_it_came(tmp_path: Path) -> None:
    async with desk(tmp_path) as (program, browser):
        await begun(tmp_path, browser)
        assert await program.terminate() == 0
        [rows] = stored(tmp_path, "SELECT count(*) AS added FROM reminders")
        [record] = stored(tmp_path, "SELECT status, added FROM imports")
        assert record == {"status": "interrupted", **rows}
        assert rows["added"] < ROWS
    assert kept(tmp_path) == []


async def test_what_a_kill_left_is_deleted_at_the_next_start(tmp_path: Path) -> None:
    async with desk(tmp_path) as (program, browser):
        await uploaded(browser)
        await program.kill()
        assert len(kept(tmp_path)) == 1
    async with desk(tmp_path) as (_, browser):
        assert (await browser.get("/import")).root.all("input", type="file")
        assert kept(tmp_path) == []
