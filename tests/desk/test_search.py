"""The search for reminders by what staff know of them."""

from collections.abc import Iterator
from datetime import timedelta
from itertools import chain
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from reminderd.core.sentences import text_of
from reminderd.databases import Target
from reminderd.desk.search import (
    A_PAGE,
    Search,
    SearchText,
    WrongSearchError,
    find,
    number_endings,
    read_search,
)
from reminderd.store.queries import MOST_NAMED
from reminderd.store.rows import to_ms
from tests.support.builders import DAY, HOUR, NOW
from tests.support.databases import ON_EACH_ENGINE
from tests.support.desk import NAME, DeskServer, Page, desk_of, titles_name_nobody
from tests.support.rows import insert_row, refuse_inserts
from tests.support.store import Store, a_store

pytestmark = ON_EACH_ENGINE

PHONE = "+12025550147"


async def fill(desk: DeskServer, *rows: dict[str, Any]) -> None:
    usual = {"phone_number": PHONE, "message": "Tomorrow at nine.", "scheduled_at": to_ms(NOW)}

    def write(connection: Any, _now: object) -> None:
        for row in rows:
            insert_row(connection, "reminders", usual | row)

    await desk.write(write)


async def search(desk: DeskServer, **fields: str) -> Page:
    return await desk.browser.submit(await desk.browser.get("/search"), "/search", **fields)


def rows(page: Page) -> list[list[str]]:
    return [[cell.text for cell in row.all("td")][1:] for row in page.root.one("tbody").all("tr")]


async def test_a_search_finds_a_reminder_and_names_nobody_in_the_url(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await fill(desk, {"id": "r1", "ref": "visit 7", "status": "failed", "end_code": "voicemail"}, {"id": "r2"})
        page = await search(desk, name="visit 7")
        assert rows(page) == [["visit 7", "…0147", "not reached", "answered by voicemail"]]
        assert page.root.one("a", id="found-1").attributes["href"] == desk.address("r1")
        assert page.form("/search").fields["name"] == "visit 7"
        titles_name_nobody(page, "visit", "0147", "voicemail")
        assert PHONE not in page.response.text, "the whole number is on the reminder's page"


async def test_who_searches_is_in_the_audit_and_what_for_is_not(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await search(desk, digits="0147")
        acts = await desk.rows("SELECT * FROM audit WHERE act = 'search'")
        assert [(one["actor"], one["reminder_id"], one["detail"]) for one in acts] == [(NAME, None, None)]


async def test_all_fields_are_asked_together(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await fill(
            desk,
            {"id": "r1", "status": "called", "response": "confirmed"},
            {"id": "r2", "status": "called"},
            {"id": "r3", "status": "called", "response": "confirmed", "scheduled_at": to_ms(NOW + DAY)},
        )
        page = await search(
            desk, digits="555 0147", first="2026-03-02", last="2026-03-02", status="called", response="confirmed"
        )
        assert [row[0] for row in rows(page)] == ["r1"]
        fields = page.form("/search").fields
        assert (fields["status"], fields["response"], fields["first"]) == ("called", "confirmed", "2026-03-02")


async def test_nothing_found_says_what_to_do(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await search(desk, digits="0147")
        assert page.status == 200
        assert "No reminder matches." in page.text


async def test_mistakes_stand_at_their_fields(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await search(desk)
        assert (page.status, page.notice) == (400, "Fill in at least one field.")
        page = await search(desk, digits="47", first="soon")
        assert page.status == 400
        assert "at least 4 of them" in page.root.one("p", id="digits-error").text
        assert "not a date" in page.root.one("p", id="first-error").text
        assert await desk.rows("SELECT * FROM audit WHERE act = 'search'") == []


@pytest.mark.parametrize("name", ["' OR 1=1 --", "%", '"; DROP TABLE reminders; --', "<script>alert(1)</script>"])
async def test_what_is_typed_is_only_a_name(tmp_path: Path, name: str) -> None:
    async with desk_of(tmp_path) as desk:
        await fill(desk, {"id": "r1"})
        page = await search(desk, name=name)
        assert "No reminder matches." in page.text
        assert page.form("/search").fields["name"] == name
        assert [one for one in page.root.all("script") if "src" not in one.attributes] == []


async def test_results_are_paged(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await fill(
            desk,
            *(
                {"id": f"r{number:02}", "scheduled_at": to_ms(NOW + timedelta(minutes=number))}
                for number in range(A_PAGE + 2)
            ),
        )
        page = await search(desk, digits="0147")
        assert [rows(page)[0][0], len(rows(page))] == [f"r{A_PAGE + 1}", A_PAGE]
        following = await desk.browser.get(page.root.one("a", rel="next").attributes["href"])
        assert [row[0] for row in rows(following)] == ["r01", "r00"]
        assert following.root.all("a", rel="next") == []
        titles_name_nobody(following, "r01", "0147")


@pytest.mark.parametrize("query", ["", "?search=", "?search=AAAA", "?search=%00", "?search={ours}&after=AAAA"])
async def test_an_address_that_no_form_of_ours_made_is_no_page(tmp_path: Path, query: str) -> None:
    async with desk_of(tmp_path) as desk:
        ours = (await search(desk, name="x")).response.url.params["search"]
        for path in (f"/search/results{query.format(ours=ours)}", f"/search/results?search={desk.address('r1')[3:]}"):
            assert (await desk.browser.get(path)).status == 404, path


async def test_an_address_with_other_fields_is_no_page(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        for text in ('{"more": "x"}', "[]", '{"first": "soon"}'):
            sealed = desk.desk.base.addresses.address_of(text)
            assert (await desk.browser.get(f"/search/results?search={sealed}")).status == 404, text


async def test_nothing_is_found_while_the_audit_can_not_be_written(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await fill(desk, {"id": "r1", "ref": "visit 7"})
        await desk.write(lambda connection, _now: refuse_inserts(connection, "audit"))
        page = await search(desk, digits="0147")
        assert page.status == 500
        assert "visit 7" not in page.text


ZONE = ZoneInfo("America/New_York")


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        store.insert("yesterday", "+12025550147", scheduled_at=to_ms(NOW - DAY), status="failed")
        store.insert("today", "+12025550147", ref="visit 7", status="called", response="confirmed")
        store.insert("tomorrow", "+12025550199", scheduled_at=to_ms(NOW + DAY))
        store.insert("abroad", "+491701230147", scheduled_at=to_ms(NOW + HOUR))
        yield store


def asked(**fields: str) -> Search:
    return read_search(SearchText(**fields), country="US", zone=ZONE, today=NOW.date())


def found(store: Store, **fields: str) -> list[object]:
    return [row["id"] for row in find(store.connection, search=asked(**fields)).rows]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "visit 7"}, ["today"]),
        ({"name": "tomorrow"}, ["tomorrow"]),
        ({"name": "nobody"}, []),
        ({"digits": "0147"}, ["abroad", "today", "yesterday"]),
        ({"digits": "55-01 47"}, ["today", "yesterday"]),
        ({"digits": "(202) 555-0199"}, ["tomorrow"]),
        ({"digits": "+49 170 1230147"}, ["abroad"]),
        ({"digits": "9999"}, []),
        ({"digits": "0147", "status": "failed"}, ["yesterday"]),
        ({"first": "today"}, ["tomorrow", "abroad", "today"]),
        ({"first": "2026-03-02", "last": "2026-03-02"}, ["abroad", "today"]),
        ({"last": "yesterday"}, ["yesterday"]),
        ({"status": "scheduled"}, ["tomorrow", "abroad"]),
        ({"response": "confirmed"}, ["today"]),
        ({"name": "visit 7", "status": "failed"}, []),
        ({"name": "visit 7", "digits": "0147", "first": "today", "response": "confirmed"}, ["today"]),
    ],
)
def test_a_search_finds_what_matches_all_of_it_newest_first(
    store: Store, fields: dict[str, str], expected: list[str]
) -> None:
    assert found(store, **fields) == expected


def test_pages_follow_each_other_without_a_gap(target: Target) -> None:
    with a_store(target) as store:
        with store.one_transaction():
            for number in range(2 * A_PAGE + 1):
                store.insert(f"{number:03}", scheduled_at=to_ms(NOW + timedelta(seconds=number // 3)))
        pages, after = [], None
        while True:
            page = find(store.connection, search=asked(digits="0001"), after=after)
            pages.append([str(row["id"]) for row in page.rows])
            after = page.following
            if after is None:
                break
        assert [len(page) for page in pages] == [A_PAGE, A_PAGE, 1]
        assert list(chain.from_iterable(pages)) == [f"{number:03}" for number in reversed(range(2 * A_PAGE + 1))]


def test_a_name_that_too_many_have_is_said_so(target: Target) -> None:
    with a_store(target) as store:
        store.connection.execute(
            "INSERT INTO appointments (id, phone_number, at, patient_ref) VALUES ('a1', '', 0, 'P-9')"
        )
        with store.one_transaction():
            for number in range(MOST_NAMED):
                store.insert(f"{number:04}", appointment_id="a1")
        page = find(store.connection, search=asked(name="P-9"))
        assert page.has_too_many_names
        assert not find(store.connection, search=asked(name="0001")).has_too_many_names


@pytest.mark.parametrize(
    ("text", "country", "expected"),
    [
        ("0147", "US", ("0147",)),
        ("202 555 0147", "US", ("12025550147", "2025550147")),
        ("+1 202 555 0147", "", ("12025550147",)),
        ("0170 1234567", "DE", ("491701234567", "01701234567")),
        ("147", "US", ()),
        ("four of them", "US", ()),
        ("٠١٤٧", "US", ()),
        ("%' OR 1=1", "US", ()),
    ],
)
def test_the_end_of_a_number_is_read_as_it_may_be_meant(text: str, country: str, expected: tuple[str, ...]) -> None:
    assert number_endings(text, country) == expected


def test_digits_that_could_be_a_whole_number_are_an_end_if_no_number_is_like_that(target: Target) -> None:
    with a_store(target) as store:
        store.insert("r1", "+4917030123456")
        search = read_search(SearchText(digits="030123456"), country="DE", zone=ZONE, today=NOW.date())
        assert len(search.endings) == 2
        assert [row["id"] for row in find(store.connection, search=search).rows] == ["r1"]


@pytest.mark.parametrize(
    ("fields", "mistakes"),
    [
        ({}, {"": "Fill in at least one field."}),
        ({"name": "a\nb"}, {"name": "not a name; expected 1 to 200 printable characters"}),
        ({"name": "x" * 201}, {"name": "not a name; expected 1 to 200 printable characters"}),
        ({"digits": "147"}, {"digits": "expected the last digits of a phone number, at least 4 of them"}),
        (
            {"first": "soon", "status": "lost", "response": "maybe"},
            {
                "first": "not a date; expected YYYY-MM-DD, today, tomorrow or yesterday",
                "status": "unknown; choose one of the list",
                "response": "unknown; choose one of the list",
            },
        ),
        (
            {"first": "2026-03-02", "last": "2026-03-01"},
            {"last": "before the first day; expected the same day or a later one"},
        ),
    ],
)
def test_every_mistake_of_a_search_is_named_by_its_field(fields: dict[str, Any], mistakes: dict[str, str]) -> None:
    with pytest.raises(WrongSearchError) as wrong:
        asked(**fields)
    assert {field: text_of(what, str) for field, what in wrong.value.mistakes.items()} == mistakes
