"""What all pages share: notices, and parts that stay up to date."""

from pathlib import Path

import pytest
import trio

from reminderd.desk import page as pages
from tests.support.desk import DeskServer, desk_of
from tests.support.waiting import until

ADD = "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at) VALUES (:id, :id, '+12025550100', 'm', :at)"


async def add(desk: DeskServer, name: str) -> None:
    await desk.run_sql(ADD, id=name, at=round(desk.clock.now().timestamp() * 1000))


async def part_url(desk: DeskServer) -> str:
    page = await desk.browser.get("/")
    return page.root.one("section", id="today").attributes["hx-get"]


async def test_a_part_is_sent_again_once_something_was_committed(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        url = await part_url(desk)
        answers = []

        async def ask() -> None:
            answers.append(await desk.browser.raw("GET", url))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: desk.desk.base.waiting)
            assert answers == []
            await add(desk, "appointment-1")
        assert answers[0].status_code == 200
        assert "appointment-1" in answers[0].text
        assert "<html" not in answers[0].text


async def test_what_was_committed_before_the_browser_asks_is_not_missed(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        url = await part_url(desk)
        await add(desk, "appointment-1")
        assert "appointment-1" in (await desk.browser.raw("GET", url)).text


async def test_a_mark_of_an_earlier_run_is_never_the_present_one(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        url = await part_url(desk)
    async with desk_of(tmp_path, role=None) as desk:
        assert await desk.desk.changes.now() != url.rpartition("=")[2]


async def test_a_part_is_sent_again_after_a_while_though_nothing_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "LONGEST_WAIT", 0.05)
    async with desk_of(tmp_path) as desk:
        assert (await desk.browser.raw("GET", await part_url(desk))).status_code == 200


async def test_the_stop_and_a_reload_end_every_wait(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk, trio.open_nursery() as nursery:
        url = await part_url(desk)
        nursery.start_soon(desk.browser.raw, "GET", url)
        await until(lambda: desk.desk.base.waiting)
        desk.desk.stopping.set()


async def test_a_session_with_many_open_pages_has_them_ask_now_and_then(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk, trio.open_nursery() as nursery:
        url = await part_url(desk)
        for _ in range(3):
            nursery.start_soon(desk.browser.raw, "GET", url)
        await until(lambda: sum(desk.desk.base.waiting.values()) == 3)
        answer = await desk.browser.raw("GET", url)
        assert f"load delay:{pages.LATER}" in answer.text
        desk.desk.stopping.set()


async def test_a_browser_that_hangs_up_leaves_its_place(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        url = await part_url(desk)
        with trio.CancelScope() as hanging_up:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(desk.browser.raw, "GET", url)
                await until(lambda: desk.desk.base.waiting)
                hanging_up.cancel()
        await until(lambda: not desk.desk.base.waiting)


async def test_what_was_done_is_shown_once(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await desk.run_sql("UPDATE sessions SET notice = 'success:Done <b>well</b>.'")
        page = await desk.browser.get("/")
        assert page.notice == "Done <b>well</b>."
        assert (await desk.browser.get("/")).notice == ""
        await desk.run_sql("UPDATE sessions SET notice = 'done'")
        assert (await desk.browser.get("/")).status == 200, "another program may have written it"


async def test_a_message_with_markup_is_shown_as_it_is_written(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "<script>alert(1)</script>")
        page = await desk.browser.get("/")
        assert "<script>alert(1)</script>" in page.text
        assert len(page.root.all("script")) == 2
        assert "%3Cscript" not in page.response.text
