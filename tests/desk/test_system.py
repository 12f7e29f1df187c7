"""The System page."""

from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from attrs import evolve

from reminderd.core.daemons import Job
from reminderd.core.imports import FOLDER, ImportStatus
from reminderd.core.logins import Role
from reminderd.store.audit import audit
from reminderd.store.daemon_rows import record_alive
from reminderd.store.import_records import begin_import, end_import
from reminderd.store.rows import to_ms
from reminderd.store.shared_state import paused, put_setting, set_pause
from tests.support.builders import NOW, a_daemon
from tests.support.desk import REPORT, DeskServer, Page, a_config, desk_of
from tests.support.rows import insert_row

PAUSE = partial(set_pause, on=True, reason="fire drill", actor="ben")


def verdict(page: Page) -> str:
    return page.root.one(id="system").all(class_="notice")[0].text


def fact(page: Page, name: str) -> str:
    facts = page.root.one("dl", class_="facts")
    names = [one.text for one in facts.all("dt")]
    return facts.all("dd")[names.index(name)].text


async def note(server: DeskServer, actor: str, act: str, **more: str) -> None:
    await server.write(lambda connection, now: audit(connection, now, actor=actor, act=act, **more))


async def test_the_page_has_the_words_of_the_command(tmp_path: Path) -> None:
    async with desk_of(tmp_path, report=evolve(REPORT, last_webhook=NOW - timedelta(seconds=1200))) as server:
        page = await server.browser.get("/system")
    assert verdict(page) == "OK: all is well"
    assert fact(page, "daemon").startswith("1.2.3, running since Mar 2, 2026, 5:00:00")
    assert fact(page, "last webhook").endswith(", 1,200 s ago")
    assert fact(page, "provider") == "sandbox, no error"
    assert fact(page, "backup") == "none: [backup].folder is not set"
    assert not page.root.all(id="resume")
    assert not page.root.all(id="looks")


async def test_all_daemons_are_named_and_how_they_differ(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await server.write(partial(record_alive, daemon=a_daemon("a"), wanted=[Job.ALERTS]))
        await server.write(partial(record_alive, daemon=a_daemon("b", rules_digest="1"), wanted=[]))
        page = await server.browser.get("/system")
    assert verdict(page).startswith("OK, but the daemons have different configurations")
    assert page.root.one(id="system").all(class_="notice")[0].attributes["class"] == "notice warning"
    assert fact(page, "daemons").count("north (pid 1), 1.2.0, since Mar 2, 2026") == 2
    assert "jobs for all: alerts" in fact(page, "daemons")


async def test_what_is_wrong_comes_first(tmp_path: Path) -> None:
    parts = {"database": None, "poll loop": None, "provider": "dialing is paused: HTTP 503"}
    async with desk_of(tmp_path, report=evolve(REPORT, parts=parts)) as server:
        begun = await server.write(partial(begin_import, file="list.csv", profile=None, actor=FOLDER))
        end = partial(end_import, import_id=begun, status=ImportStatus.REFUSED, done={}, rejected=0, reason="no header")
        await server.write(end)
        server.clock.advance(timedelta(seconds=1))
        page = await server.browser.get("/system")
    assert verdict(page) == (
        "ERROR: provider: dialing is paused: HTTP 503;"
        " a file was not imported, import it again: list.csv: refused: no header"
    )
    assert page.root.one(id="system").all(class_="notice")[0].attributes["class"] == "notice error"
    assert "list.csv: refused: no header" in [one.text.partition(": ")[2] for one in page.root.all("li")]


async def test_a_waiting_reminder_that_can_not_be_called_is_an_error_on_each_page(tmp_path: Path) -> None:
    row = {"id": "r1", "phone_number": "+49 30", "message": "Hello", "scheduled_at": to_ms(NOW + timedelta(days=9))}
    async with desk_of(tmp_path) as server:
        await server.write(lambda connection, _now: insert_row(connection, "reminders", row))
        today, system = await server.browser.get("/"), await server.browser.get("/system")
    assert "1 waiting reminder can't be called: correct them before they are due" in today.text
    assert verdict(system) == "ERROR: 1 waiting reminder can't be called: correct them before they are due"


async def test_anybody_may_pause_with_a_reason_and_only_an_admin_resumes(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await server.browser.get("/system")
        refused = await server.browser.submit(page, "/system/pause", reason="  ")
        assert refused.status == 400
        assert (
            refused.root.one(id="reason-error").text
            == "Write the reason, for everybody who sees that nobody is called."
        )
        assert not await server.read(paused)
        long = await server.browser.submit(page, "/system/pause", reason="x" * 501)
        assert long.root.one(id="reason-error").text == "Write at most 500 characters, in one line."
        done = await server.browser.submit(page, "/system/pause", reason="wrong list for +1 202 555 0147")
        assert done.notice.startswith("Dialing is paused: nobody is called until an admin resumes it.")
        assert verdict(done).startswith("OK, but dialing is paused by maria since Mar 2, 2026")
        assert "0147" not in verdict(done)
        again = await server.browser.submit(done, "/system/pause", reason="the printer burns")
        assert again.notice.startswith("Dialing was paused already; your reason is recorded.")
        assert "(the printer burns)" in verdict(again)
        assert "Only an admin can resume." in again.text
        forged = await server.browser.post("/system/resume", again.form("/system/pause").fields)
        assert forged.status == 403
        assert await server.read(paused)


async def test_an_admin_resumes_but_not_while_a_restored_backup_lets_nobody_be_called(tmp_path: Path) -> None:
    async with desk_of(tmp_path, role=Role.ADMIN) as server:
        await server.write(lambda connection, now: put_setting(connection, "restored_at", str(to_ms(now))))
        await server.write(PAUSE)
        page = await server.browser.get("/system")
        refused = await server.browser.submit(page, "/system/resume")
        assert refused.notice.startswith("Not resumed: the database was restored: nobody is called before Mar 2, 2026")
        assert await server.read(paused)
        server.clock.advance(timedelta(minutes=20))
        stale = await server.browser.get("/system")
        await server.write(partial(set_pause, on=True, reason="wrong numbers", actor="carla"))
        refused = await server.browser.submit(stale, "/system/resume")
        assert refused.notice.startswith("Not resumed: somebody has paused dialing again since, with another reason.")
        assert await server.read(paused)
        page = await server.browser.get("/system")
        done = await server.browser.submit(page, "/system/resume")
        assert done.notice.startswith("Dialing is resumed.")
        assert not await server.read(paused)
        late = await server.browser.submit(page, "/system/resume")
        assert late.notice.startswith("Dialing was not paused.")


async def test_a_part_follows_what_happens(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        page = await server.browser.get("/system")
        await server.write(PAUSE)
        answer = await server.browser.raw("GET", page.root.one(id="system").attributes["hx-get"])
    assert answer.status_code == 200
    assert "paused by ben" in answer.text
    assert "<html" not in answer.text


async def test_an_admin_sees_who_has_looked_at_what(tmp_path: Path) -> None:
    async with desk_of(tmp_path, role=Role.ADMIN) as server:
        row = {"id": "r1", "ref": "A7", "phone_number": "+12025550147", "message": "Hello", "scheduled_at": to_ms(NOW)}
        await server.write(lambda connection, _now: insert_row(connection, "reminders", row))
        await server.write(lambda connection, now: audit(connection, now, actor="maria", act="view", reminder_id="r1"))
        await server.write(lambda connection, now: audit(connection, now, actor="ben", act="log-in", detail="from ::1"))
        system = await server.browser.get("/system")
        page = await server.browser.get(system.root.one(id="looks").attributes["href"])
        table = [[cell.text for cell in row.all("td")] for row in page.root.all("tr")[1:]]
        assert [row[1:] for row in table[:2]] == [["ben", "log-in", "", "from ::1"], ["maria", "view", "A7", ""]]
        assert page.root.one("a", href=server.address("r1")).text == "A7"
        chosen = await server.browser.get("/system/looks?user=maria&date=2026-03-02")
        assert "ben" not in [row.all("td")[1].text for row in chosen.root.all("tr")[1:]]
        assert "There is nothing." in (await server.browser.get("/system/looks?date=2026-03-01")).text
        wrong = await server.browser.get("/system/looks?date=yesterday&after=x")
        assert wrong.status == 400
        assert wrong.root.one(id="date-error").text == "This is not a date. Write it like 2027-03-01."


async def test_a_long_list_has_pages(tmp_path: Path) -> None:
    async with desk_of(tmp_path, role=Role.ADMIN) as server:
        for place in range(130):
            await note(server, "maria", "view", reminder_id=f"r{place}")
        page = await server.browser.get("/system/looks?user=maria")
        following = await server.browser.get(page.root.one(id="more").attributes["href"])
        shown = [row.all("td")[3].text for one in (page, following) for row in one.root.all("tr")[1:]]
    assert shown[:130] == [f"r{place}" for place in reversed(range(130))]
    assert not following.root.all(id="more")


@pytest.mark.parametrize("path", ["/system/looks"])
async def test_the_front_desk_does_not_see_who_looked(tmp_path: Path, path: str) -> None:
    async with desk_of(tmp_path) as server:
        assert (await server.browser.get(path)).status == 403


async def test_a_german_clinic_reads_german(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=a_config(language="de")) as server:
        await server.write(PAUSE)
        page = await server.browser.get("/system")
    assert verdict(page).startswith("OK, aber Anrufe sind seit ")
    assert page.heading == "System"
