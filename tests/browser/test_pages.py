"""What is true for every page, in both languages: for all eyes, hands and screens, and without other servers."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, Literal

import pytest
from playwright.sync_api import Page, ViewportSize, expect

from reminderd.desk.routing import ROUTES
from tests.browser.conftest import AXE, DESKTOP, PHONE, Visit, Visiting
from tests.support.desk_program import ADMIN, NAME, PASSWORD, DeskProgram

NO_PAGES: Final = {"/report/csv", "/import/rejected"}
"""They are tables."""
NEEDS_A_SEARCH: Final = {"/search/results"}

PATHS: Final = tuple(
    route.path
    for route in ROUTES
    if route.method == "GET" and "<" not in route.path and not route.is_part and route.path not in NO_PAGES
)
PATIENTS: Final = ("Petra Lindqvist", "Ruth Abbott", "Ingrid Vogel", "Victor Dumitru", "Monika Wolff", "Dorothea Lang")
"""One for each way in which a record looks different."""

LANGUAGES: Final = pytest.mark.parametrize("language", ["en", "de"])

ONLY_CONTRAST: Final = {"runOnly": ["color-contrast"]}
"""What another color scheme can change."""
LOOKS: Final[Sequence[tuple[ViewportSize, Literal["light", "dark"], Any]]] = (
    (DESKTOP, "light", {}),
    (DESKTOP, "dark", ONLY_CONTRAST),
    (PHONE, "light", {}),
    (PHONE, "dark", ONLY_CONTRAST),
)

FIND_VIOLATIONS: Final = """
async options => (await axe.run(document, {resultTypes: ["violations"], ...options})).violations
    .map(one => `${one.id}: ${one.help}: ${one.nodes.map(node => node.html.slice(0, 200)).join(" | ")}`)
"""
"""axe-core in the page; every rule that it has switched on."""

IS_TOO_WIDE: Final = """
() => document.documentElement.scrollWidth > document.documentElement.clientWidth
    ? [...document.querySelectorAll("main *, header *")]
        .filter(one => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map(one => one.outerHTML.slice(0, 120)).slice(0, 3)
    : []
"""


def acts_of(site: DeskProgram) -> list[str]:
    """Return the pages that ask before something is done."""
    waiting, failed, held = (site.record_of(one) for one in ("Monika Wolff", "Gerald Finch", "Dorothea Lang"))
    return [f"{waiting}/cancel", f"{failed}/done", f"{waiting}/opt-out", f"{held}/accept"]


def every_page(window: Visit) -> Iterator[str]:
    """Open every page, one after the other, and yield its path."""
    site = window.site
    window.open("/login")
    paths = [*PATHS, "/?date=2001-01-01", "/nowhere", *map(site.record_of, PATIENTS), *acts_of(site)]
    for path in paths:
        window.open(path)
        yield path
    window.open("/search")
    window.page.locator("#digits").fill("0117")
    window.page.locator("main form button.main").click()
    expect(window.page.locator("#results")).to_be_visible()
    yield "the results of a search"


@LANGUAGES
def test_no_page_violates_a_rule_of_accessibility_in_any_look(
    visit: Visiting, sites: Callable[[str], DeskProgram], language: str
) -> None:
    window = visit(user=ADMIN, at=sites(language))
    script = AXE.read_text()
    found = []
    for path in every_page(window):
        page = window.page
        assert page.locator("html").get_attribute("lang") == language
        page.evaluate(script)
        for size, scheme, options in LOOKS:
            page.set_viewport_size(size)
            page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # no color on its way to another
            wrong = page.evaluate(FIND_VIOLATIONS, options)
            found += [f"{path} ({size['width']} px, {scheme}): {one}" for one in wrong]
    assert not found, "\n".join(found)


@LANGUAGES
def test_no_page_scrolls_sideways_on_a_phone(
    visit: Visiting, sites: Callable[[str], DeskProgram], language: str
) -> None:
    window = visit(user=ADMIN, at=sites(language), viewport=PHONE)
    found = [f"{path}: {one}" for path in every_page(window) for one in window.page.evaluate(IS_TOO_WIDE)]
    assert not found, "\n".join(found)


def test_the_log_in_is_accessible_and_fits_on_a_phone(visit: Visiting) -> None:
    window = visit(user=None, viewport=PHONE)
    page = window.open("/login")
    window.fill_in_log_in(name="nobody", password="wrong in any case")
    expect(page.get_by_role("alert")).to_be_visible()
    page.evaluate(AXE.read_text())
    assert page.evaluate(FIND_VIOLATIONS, {}) == []
    assert page.evaluate(IS_TOO_WIDE) == []


def focused(page: Page) -> str:
    return str(page.evaluate("document.activeElement.textContent.trim() || document.activeElement.id"))


def test_by_keyboard_alone_a_patient_is_called_again(visit: Visiting, site: DeskProgram) -> None:
    window = visit(user=None)
    page = window.open("/login")
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.type(NAME)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator("header nav")).to_be_visible()
    window.open(site.record_of("Gerald Finch"))
    page.keyboard.press("Tab")
    assert focused(page) == "To the content"
    page.keyboard.press("Enter")
    for _ in range(3):  # the skip link leads past the navigation
        page.keyboard.press("Tab")
        if focused(page) == "Call again":
            break
    assert focused(page) == "Call again"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline not in {"none", ""}, "nobody sees where the focus is"
    page.keyboard.press("Enter")
    expect(page.locator(".notice.success")).to_be_visible()


@LANGUAGES
def test_tab_goes_through_a_page_in_the_order_in_which_it_is_read(
    visit: Visiting, sites: Callable[[str], DeskProgram], language: str
) -> None:
    """Each stop is below or to the right of the one before, and can be seen."""
    page = visit(at=sites(language)).open("/search")
    places = []
    for _ in range(16):
        page.keyboard.press("Tab")
        places.append(
            page.evaluate(
                "(() => {const r = document.activeElement.getBoundingClientRect(); return [r.top, r.left, r.width]})()"
            )
        )
    rows = [round(top / 20) for top, _, _ in places[1:]]
    assert rows == sorted(rows)
    assert all(width > 0 for _, _, width in places)


def test_what_has_the_focus_keeps_it_when_the_page_updates_itself(visit: Visiting, site: DeskProgram) -> None:
    page = visit().open(site.record_of("Judith Amsel"))
    button = page.locator("#act-cancel")
    button.focus()
    site.run_sql(
        "UPDATE reminders SET message = 'Changed by another program.' WHERE id ="
        " (SELECT r.id FROM reminders AS r JOIN appointments AS a ON a.id = r.appointment_id"
        " WHERE a.name = 'Judith Amsel')"
    )
    expect(page.locator("#record")).to_contain_text("Changed by another program.")
    expect(button).to_be_focused()
