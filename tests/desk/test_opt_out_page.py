"""The page of the numbers that are never called."""

from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reminderd.core.logins import Role
from reminderd.store.opt_outs import opt_out
from reminderd.store.rows import to_ms
from tests.support.builders import NOW
from tests.support.databases import ON_EACH_ENGINE
from tests.support.desk import NAME, DeskServer, Page, desk_of, titles_name_nobody
from tests.support.rows import insert_row

pytestmark = ON_EACH_ENGINE

PHONE = "+12025550147"


async def listed(desk: DeskServer) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await desk.rows("SELECT phone_number, source FROM opt_outs")]


async def list_(desk: DeskServer, *numbers: str) -> None:
    for number in numbers:
        write = partial(opt_out, phone_number=number, source="letter", actor="anna", rules=desk.desk.rules)
        await desk.write(write)
        desk.clock.advance(timedelta(seconds=1))


def numbers(page: Page) -> list[str]:
    return [row.one("a", class_="phone").attributes["href"] for row in page.root.one("tbody").all("tr")]


async def test_a_number_is_opted_out_and_its_waiting_reminders_are_cancelled(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        row = {"id": "r1", "phone_number": PHONE, "message": "Hello.", "scheduled_at": to_ms(NOW)}
        await desk.write(lambda connection, _now: insert_row(connection, "reminders", row))
        page = await desk.browser.get("/opt-outs")
        assert "Nobody has opted out." in page.text
        shown = await desk.browser.submit(page, "/opt-outs/add", number="(202) 555-0147", source="letter of May 3")
        assert shown.notice == "Opted out: this number is never called again. 1 waiting reminder was cancelled."
        assert numbers(shown) == [f"tel:{PHONE}"]
        assert await listed(desk) == [(PHONE, "letter of May 3")]
        assert [row["status"] for row in await desk.rows("SELECT status FROM reminders")] == ["cancelled"]
        acts = await desk.rows("SELECT actor, act, detail FROM audit WHERE act = 'opt-out' ORDER BY id")
        assert [tuple(act.values()) for act in acts] == [
            (NAME, "opt-out", None),
            (NAME, "opt-out", "a number that ends in 47"),
        ]
        titles_name_nobody(shown, "0147")


async def test_a_number_that_had_opted_out_is_said_so(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.get("/opt-outs")
        await desk.browser.submit(page, "/opt-outs/add", number=PHONE)
        shown = await desk.browser.submit(page, "/opt-outs/add", number=PHONE, source="again")
        assert shown.notice == "This number had opted out already."
        assert await listed(desk) == [(PHONE, "staff")]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"number": ""}, "number-error"),
        ({"number": "555"}, "number-error"),
        ({"number": "12 months"}, "number-error"),
        ({"number": PHONE, "source": "x" * 201}, "source-error"),
        ({"number": PHONE, "source": "a\x07b"}, "source-error"),
    ],
)
async def test_what_is_no_number_is_refused_as_by_the_command(
    tmp_path: Path, fields: dict[str, str], error: str
) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.submit(await desk.browser.get("/opt-outs"), "/opt-outs/add", **fields)
        assert page.status == 400
        assert page.root.one("p", id=error).text
        assert page.form("/opt-outs/add").fields["number"] == fields["number"]
        assert await listed(desk) == []


@pytest.mark.parametrize(
    ("digits", "expected"),
    [("0147", [PHONE]), ("(202) 555-0147", [PHONE]), ("5550199", []), ("", ["+12025550198", PHONE])],
)
async def test_a_number_is_found_by_its_last_digits(tmp_path: Path, digits: str, expected: list[str]) -> None:
    async with desk_of(tmp_path) as desk:
        await list_(desk, PHONE, "+12025550198")
        page = await desk.browser.submit(await desk.browser.get("/opt-outs"), "/opt-outs/find", digits=digits)
        titles_name_nobody(page, "0147", "0199")
        if expected:
            assert numbers(page) == [f"tel:{number}" for number in expected]
        else:
            assert "No such number has opted out." in page.text


async def test_too_few_digits_are_refused(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.submit(await desk.browser.get("/opt-outs"), "/opt-outs/find", digits="47")
        assert page.status == 400
        assert "at least 4 of them" in page.root.one("p", id="digits-error").text


async def test_the_list_is_paged_newest_first(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:

        def write(connection: Any, _now: datetime) -> None:
            for number in range(120):
                own = {"phone_number": f"+1202555{number:04}", "created_at": to_ms(NOW) + number // 7}
                insert_row(connection, "opt_outs", own)

        await desk.write(write)
        found: list[str] = []
        page = await desk.browser.get("/opt-outs")
        while True:
            found += numbers(page)
            titles_name_nobody(page, "2025550")
            if not (following := page.root.all("a", rel="next")):
                break
            page = await desk.browser.get(following[0].attributes["href"])
        assert found == [f"tel:+1202555{number:04}" for number in reversed(range(120))]


async def test_only_an_admin_takes_an_opt_out_back(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await list_(desk, PHONE)
        page = await desk.browser.get("/opt-outs")
        assert page.root.all("a", id="back-1") == []
        path = f"/opt-outs/back/{desk.desk.base.addresses.address_of(PHONE)}"
        assert (await desk.browser.get(path)).status == 403
        assert (await desk.browser.post(path, page.form("/opt-outs/add").fields)).status == 403
        assert len(await listed(desk)) == 1


async def test_an_opt_out_is_taken_back_after_a_warning(tmp_path: Path) -> None:
    async with desk_of(tmp_path, role=Role.ADMIN) as desk:
        await list_(desk, PHONE)
        page = await desk.browser.get("/opt-outs")
        path = page.root.one("a", id="back-1").attributes["href"]
        question = await desk.browser.get(path)
        titles_name_nobody(question, "0147")
        assert "anyone who has opted out must not be called" in question.notice
        assert "Cancelled ones stay cancelled" in question.text
        shown = await desk.browser.submit(question, path)
        assert shown.notice.startswith("This number may be called again.")
        assert await listed(desk) == []
        [act] = await desk.rows("SELECT actor, detail FROM audit WHERE act = 'opt-in'")
        assert tuple(act.values()) == (NAME, "a number that ends in 47")
        twice = await desk.browser.submit(question, path)
        assert twice.notice == "This number is not among the opt-outs."
        assert (await desk.browser.get(path)).notice == twice.notice


@pytest.mark.parametrize("path", ["?after=AAAA", "?ending=AAAA", "/back/AAAA", "?after={other}", "/back/{other}"])
async def test_an_address_that_is_none_of_ours_is_no_page(tmp_path: Path, path: str) -> None:
    async with desk_of(tmp_path, role=Role.ADMIN) as desk:
        other = desk.desk.base.addresses.address_of("visit 7")
        assert (await desk.browser.get(f"/opt-outs{path.format(other=other)}")).status == 404
