"""Who gets which answer, and what every answer contains."""

import re
from pathlib import Path

import pytest
from quart import Response

from reminderd.core.logins import Role
from reminderd.desk.page import PageRoute
from reminderd.desk.routing import ROUTES
from reminderd.store.errors import StoreUnavailableError
from tests.support.desk import desk_of


def a_path(path: str) -> str:
    return re.sub(r"<[^>]+>", "AAAA", path)


async def test_before_the_first_account_every_page_shows_the_command_that_adds_one(tmp_path: Path) -> None:
    async with desk_of(tmp_path, role=None) as desk:
        for path in ("/", "/login", *(a_path(route.path) for route in ROUTES if route.method == "GET")):
            page = await desk.browser.get(path)
            assert page.status == 503
            assert "reminderd user add" in page.text


async def test_nobody_sees_a_page_without_logging_in(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        stranger = desk.another_browser()
        for route in ROUTES:
            answer = await stranger.raw(route.method, a_path(route.path))
            if route.is_part:
                assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login"), route.path
            else:
                assert answer.status_code == 303, route.path
                assert answer.headers["location"].startswith("/login"), route.path
            assert answer.text == ""


async def test_every_form_is_refused_without_the_token_of_the_session(tmp_path: Path) -> None:
    async with desk_of(tmp_path, role=Role.ADMIN) as desk:
        other = desk.another_browser()
        await desk.add_user("other", Role.ADMIN)
        page = await other.log_in("other")
        foreign = page.form("/logout").fields["csrf"]
        for route in ROUTES:
            if route.method == "POST":
                for fields in ({}, {"csrf": ""}, {"csrf": "é"}, {"csrf": foreign}):
                    page = await desk.browser.post(a_path(route.path), fields)
                    assert page.status == 403, (route.path, fields)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_a_form_of_another_site_is_refused_even_with_the_token(tmp_path: Path, headers: dict[str, str]) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.get("/")
        fields = page.form("/logout").fields
        answer = await desk.browser.raw("POST", "/logout", data=fields, headers=headers)
        assert answer.status_code == 403
        assert (await desk.browser.get("/")).status == 200, "still logged in"


async def test_an_act_can_not_be_done_by_a_link(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        shown = {route.path for route in ROUTES if route.method == "GET"}
        for route in ROUTES:
            if route.method == "POST" and route.path not in shown:
                answer = await desk.browser.raw("GET", a_path(route.path))
                assert answer.status_code == 405, route.path


async def test_every_answer_keeps_scripts_frames_and_caches_away(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        for path in ("/", "/login", "/nowhere", "/static/nothing", "/today/part"):
            answer = await desk.browser.raw("GET", path)
            headers = answer.headers
            assert headers["cache-control"] == "no-store", path
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["x-frame-options"] == "DENY"
            assert headers["x-content-type-options"] == "nosniff"
            assert "server" not in headers


async def test_a_page_has_no_script_and_no_style_inside(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        for route in ROUTES:
            if route.method == "GET" and "<" not in route.path:
                page = await desk.browser.get(route.path)
                assert not page.root.all("style"), route.path
                assert all("src" in script.attributes for script in page.root.all("script")), route.path
                assert not [one for one in page.root.all() if any(a.startswith("on") for a in one.attributes)]
                assert not [one for one in page.root.all() if "style" in one.attributes], route.path


async def test_what_only_an_admin_may_do_is_refused_to_the_front_desk(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        token = (await desk.browser.get("/")).form("/logout").fields["csrf"]
        for route in ROUTES:
            if route.role is not Role.DESK:
                answer = await desk.browser.raw(route.method, a_path(route.path), data={"csrf": token})
                assert answer.status_code == 403, route.path


async def test_an_unknown_page_is_named_as_one(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.get("/nowhere")
        assert (page.status, page.heading) == (404, "Not possible")
        assert page.root.all("nav"), "it leads on"
        stranger = await desk.another_browser().get("/nowhere")
        assert (stranger.status, stranger.root.all("nav")) == (404, [])


@pytest.mark.parametrize("name", ["..%2fconfig.toml", "%2e%2e/desk.css", "desk.css%00", "README.md", "%2fetc%2fpasswd"])
async def test_only_the_files_of_the_pages_are_served(tmp_path: Path, name: str) -> None:
    async with desk_of(tmp_path) as desk:
        answer = await desk.browser.raw("GET", f"/static/{name}")
        assert answer.status_code == 404


async def test_browsers_keep_a_file_until_its_content_changes(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.get("/")
        (style,) = page.root.all("link", rel="stylesheet")
        kept = await desk.browser.raw("GET", style.attributes["href"])
        assert "immutable" in kept.headers["cache-control"]
        assert kept.headers["content-type"] == "text/css; charset=utf-8"
        other = await desk.browser.raw("GET", "/static/desk.css?v=older")
        assert other.headers["cache-control"] == "no-cache"


async def test_a_form_that_is_too_large_is_refused_whole(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.get("/")
        fields = page.form("/logout").fields | {"more": "x" * 100_000}
        assert (await desk.browser.post("/logout", fields)).status == 413
        assert (await desk.browser.get("/")).status == 200, "still logged in"


async def fail_with(error: Exception) -> Response:
    raise error


def only_page(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    """Have a page that fails with an error."""
    route = PageRoute(method="GET", path="/", view=lambda _desk, _visitor: fail_with(error))
    monkeypatch.setattr("reminderd.desk.routing.ROUTES", (route,))


async def test_an_error_of_the_program_is_answered_without_its_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_page(monkeypatch, RuntimeError("a secret detail"))
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.get("/")
        assert page.status == 500
        assert "secret detail" not in page.text


async def test_a_database_that_can_not_be_read_is_named_as_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    only_page(monkeypatch, StoreUnavailableError("the disk failed to read or write"))
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.get("/")
        assert page.status == 503
        assert "Try again in a minute" in page.text


@pytest.mark.parametrize("content", [b"csrf=%FF", b"csrf=\xff", b"csrf=a%00", b"&".join([b"a=1"] * 3_000)])
async def test_a_form_that_can_not_be_read_for_certain_is_refused(tmp_path: Path, content: bytes) -> None:
    async with desk_of(tmp_path) as desk:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        assert (await desk.browser.raw("POST", "/logout", content=content, headers=headers)).status_code == 400


async def test_what_is_no_form_brings_no_token(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        token = (await desk.browser.get("/")).form("/logout").fields["csrf"]
        answer = await desk.browser.raw("POST", "/logout", json={"csrf": token})
        assert answer.status_code == 403
        assert (await desk.browser.raw("POST", "/logout", files={"csrf": token.encode()})).status_code == 403
