"""The daemon serves the front desk's pages on their own port, through its reloads and to its stop."""

from pathlib import Path

import httpx

from reminderd.store.shared_state import setting
from reminderd.store.sqlite.opening import open_sync
from tests.daemon.test_reload import started
from tests.support.ports import reserved_port
from tests.support.waiting import PATIENCE


async def page(url: str) -> str:
    async with httpx.AsyncClient(timeout=PATIENCE) as client:
        return (await client.get(url)).text


async def test_pages_have_a_port_of_their_own_which_a_reload_keeps(tmp_path: Path) -> None:
    with reserved_port() as port:
        desk = f"[desk]\nport = {port}\n"
        async with started(tmp_path, desk) as running:
            url = f"http://127.0.0.1:{port}/"
            assert 'lang="en"' in await page(url)
            assert "No account exists yet" in await page(url)
            assert "lang=" not in await page(f"{running.url}/"), "nothing of them is where webhooks are accepted"
            await running.reload(f'{desk}language = "de"\n')
            assert 'lang="de"' in await page(url)


async def test_without_a_port_nothing_is_kept_for_pages(tmp_path: Path) -> None:
    async with started(tmp_path):
        with open_sync(tmp_path / "clinic.db") as connection:
            assert setting(connection, "desk_key") is None


async def test_what_a_killed_process_left_is_removed_although_the_pages_are_off_now(
    tmp_path: Path,
) -> None:
    left = tmp_path / "clinic.db.uploads" / "0123456789abcdef" / "1.csv"
    left.parent.mkdir(parents=True)
    left.write_text("a patient")
    async with started(tmp_path):
        assert not left.parent.exists()
