"""Logging in and out: who gets in, who must wait, and what a session's cookie is worth."""

from datetime import timedelta
from pathlib import Path

import pytest
from pyotp import TOTP

from reminderd.core.logins import Role
from reminderd.desk.login import COOKIE
from tests.support.desk import NAME, PASSWORD, a_config, desk_of

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


async def test_the_right_password_opens_the_pages(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.another_browser().log_in()
        assert page.status == 200
        assert NAME in page.form("/logout").text


async def test_the_page_that_was_asked_for_is_shown_after_the_log_in(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        browser = desk.another_browser()
        page = await browser.get("/nowhere-yet?a=1&b=2")
        assert page.status == 404, "what does not exist is no secret"
        page = await browser.get("/?day=2026-03-04")
        page = await browser.submit(page, "/login", name=NAME, password=PASSWORD)
        assert str(page.response.url).endswith("/?day=2026-03-04")


@pytest.mark.parametrize(
    "path",
    ["https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)", "/\r\nX: 1", "/é"],
)
async def test_a_log_in_never_leads_to_another_server(tmp_path: Path, path: str) -> None:
    async with desk_of(tmp_path) as desk:
        browser = desk.another_browser()
        page = await browser.get("/login")
        fields = page.form("/login").fields | {"name": NAME, "password": PASSWORD, "next": path}
        answer = await browser.raw("POST", "/login", data=fields)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")


async def test_a_wrong_password_is_refused_without_a_hint_at_what_was_wrong(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        texts = set()
        for name in (NAME, "nobody"):
            page = await desk.another_browser().log_in(name, "something else 123")
            assert page.status == 401
            assert page.form("/login").fields["password"] == "", "it is never sent back"
            texts.add(page.notice)
        assert texts == {"The name, the password or the code is wrong."}


async def test_after_too_many_failures_even_the_right_password_must_wait(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        browser = desk.another_browser()
        for _ in range(4):
            await browser.log_in(password="wrong, and wrong again")
        page = await browser.log_in(password="wrong, and wrong again")
        assert "try again in 30 seconds" in page.notice
        page = await browser.log_in()
        assert page.status == 401
        assert "try again in 30 seconds" in page.notice
        desk.clock.advance(timedelta(seconds=31))
        assert (await browser.log_in()).status == 200


async def test_a_code_is_needed_where_the_account_has_them_and_works_once(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await desk.add_user("ina", Role.ADMIN, totp_secret=SECRET)
        code = TOTP(SECRET).at(desk.clock.now())
        assert (await desk.another_browser().log_in("ina")).status == 401
        assert (await desk.another_browser().log_in("ina", code="000000")).status == 401
        assert (await desk.another_browser().log_in("ina", code=f"{code[:3]} {code[3:]}")).status == 200
        assert (await desk.another_browser().log_in("ina", code=code)).status == 401


async def test_the_form_of_another_site_logs_nobody_in(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        browser = desk.another_browser()
        fields = {"name": NAME, "password": PASSWORD}
        forged = await browser.raw("POST", "/login", data=fields, headers={"Origin": "https://evil.example"})
        assert forged.status_code == 403
        theirs = (await desk.another_browser().get("/login")).form("/login").fields
        unasked = await browser.raw("POST", "/login", data=theirs | fields)
        assert unasked.status_code == 401
        assert COOKIE not in browser.cookies


async def test_two_forms_may_be_open_at_a_time(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        browser = desk.another_browser()
        first, second = await browser.get("/login"), await browser.get("/login")
        assert (await browser.submit(first, "/login", name=NAME, password="wrong, and wrong")).status == 401
        assert (await browser.submit(second, "/login", name=NAME, password=PASSWORD)).status == 200


async def test_a_cookie_is_safe_from_scripts_other_hosts_and_other_sites(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        browser = desk.another_browser()
        page = await browser.get("/login")
        answer = await browser.raw(
            "POST", "/login", data=page.form("/login").fields | {"name": NAME, "password": PASSWORD}
        )
        (cookie,) = [line for line in answer.headers.get_list("set-cookie") if line.startswith(f"{COOKIE}=")]
        assert {part.strip() for part in cookie.split(";")[1:]} == {"Secure", "HttpOnly", "SameSite=Strict", "Path=/"}
        assert COOKIE.startswith("__Host-")


async def test_a_stolen_cookie_is_worth_nothing_after_the_log_out(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        thief = desk.another_browser()
        thief.cookies = dict(desk.browser.cookies)
        assert (await thief.get("/")).heading != "Log in"
        page = await desk.browser.submit(await desk.browser.get("/"), "/logout")
        assert page.heading == "Log in"
        assert COOKIE not in desk.browser.cookies
        assert (await thief.get("/")).heading == "Log in"


async def test_a_log_out_takes_a_form_not_a_link(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await desk.browser.get("/logout")
        assert (await desk.browser.get("/")).heading != "Log in"


async def test_an_idle_session_ends_although_its_page_keeps_itself_up_to_date(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=a_config(idle_minutes=10)) as desk:
        for _ in range(2):
            desk.clock.advance(timedelta(minutes=4))
            assert (await desk.browser.raw("GET", "/today/part?after=old")).status_code == 200
            assert (await desk.browser.raw("GET", "/?refreshed=1")).status_code == 200
        desk.clock.advance(timedelta(minutes=4))
        answer = await desk.browser.raw("GET", "/today/part?after=old")
        assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")
        assert (await desk.browser.get("/")).heading == "Log in"


async def test_a_session_in_use_does_not_end(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=a_config(idle_minutes=10)) as desk:
        for _ in range(5):
            desk.clock.advance(timedelta(minutes=9))
            assert (await desk.browser.get("/")).heading != "Log in"


async def test_a_cookie_that_nobody_was_given_opens_nothing(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        for value in ("x", "' OR 1=1 --", "A" * 4_000):
            browser = desk.another_browser()
            browser.cookies = {COOKIE: value}
            assert (await browser.get("/")).heading == "Log in"


async def test_an_address_counts_as_the_trusted_proxy_reports_it(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await desk.another_browser().log_in(password="wrong, and wrong again")
        (line,) = await desk.rows("SELECT detail FROM audit WHERE act = 'log-in-refused'")
        assert "127.0.0.1" in line["detail"]
