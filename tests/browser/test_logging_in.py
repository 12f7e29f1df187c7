"""Who gets in, who does not, and for how long."""

from pathlib import Path

import httpx
from playwright.sync_api import expect

from tests.browser.conftest import Visiting
from tests.support.desk_program import NAME, OTHER, DeskProgram, desk_program


def test_a_user_who_logs_in_sees_today_and_a_log_out_ends_the_session(visit: Visiting) -> None:
    window = visit(user=None)
    page = window.open("/")
    expect(page).to_have_url(f"{window.site.url}/login")
    window.log_in()
    expect(page).to_have_url(f"{window.site.url}/")
    expect(page.get_by_role("link", name="Today", exact=True)).to_have_attribute("aria-current", "page")
    stolen = {cookie["name"]: cookie["value"] for cookie in window.context.storage_state()["cookies"]}
    cookie = {"Cookie": f"__Host-reminderd={stolen['__Host-reminderd']}"}
    assert httpx.get(window.site.url, headers=cookie, trust_env=False).status_code == 200
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("button", name="Log in")).to_be_visible()
    assert httpx.get(window.site.url, headers=cookie, trust_env=False).status_code == 303


def test_after_the_log_in_the_page_is_shown_that_was_asked_for(visit: Visiting, site: DeskProgram) -> None:
    window = visit(user=None)
    path = site.record_of("Ruth Abbott")
    page = window.open(path)
    window.fill_in_log_in()
    expect(page).to_have_url(site.url + path)


def test_wrong_passwords_lock_the_account_and_the_page_says_for_how_long(visit: Visiting, tmp_path: Path) -> None:
    with desk_program(tmp_path) as program:
        window = visit(user=None, at=program)
        page = window.open("/login")
        for _ in range(5):
            window.fill_in_log_in(password="not it, not at all")
            expect(page.get_by_role("alert")).to_contain_text("is wrong")
        window.fill_in_log_in()
        expect(page.get_by_role("alert")).to_contain_text("There were too many failed log-ins: try again in")
        assert {row["act"] for row in program.rows("SELECT act FROM audit")} >= {"log-in-refused"}


def test_a_page_whose_session_has_expired_leaves_by_itself(visit: Visiting, site: DeskProgram) -> None:
    window = visit(user=None)
    page = window.log_in(OTHER)
    expect(page).to_have_url(f"{site.url}/")
    site.run_sql(f"UPDATE sessions SET seen_at = seen_at - 3600000 WHERE user_name = '{OTHER}'")
    expect(page).to_have_url(f"{site.url}/login")
    expect(page.get_by_role("button", name="Log in")).to_be_visible()


def test_without_an_account_every_page_says_how_to_add_one(visit: Visiting, tmp_path: Path) -> None:
    with desk_program(tmp_path, with_users=False) as program:
        page = visit(user=None, at=program).open("/")
        expect(page.locator("main")).to_contain_text("No account exists yet: on the server, run reminderd user add")


def test_a_user_of_the_desk_may_not_do_what_is_for_admins(visit: Visiting) -> None:
    page = visit(user=NAME).open("/system/looks")
    expect(page.locator("main")).to_contain_text("Only an admin may do this.")
