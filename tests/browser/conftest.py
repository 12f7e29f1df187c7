"""A real browser in front of the real program, and what no page may do in it: errors, other servers, broken rules."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import pytest
from attrs import define, field
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    Request,
    ViewportSize,
    expect,
    sync_playwright,
)

from tests.support.desk_program import NAME, PASSWORD, DeskProgram, desk_program

HERE: Final = Path(__file__).parent
AXE: Final = HERE / "node_modules/axe-core/axe.min.js"
CHROMIUM: Final = shutil.which("chromium")

DESKTOP: Final[ViewportSize] = {"width": 1280, "height": 900}
PHONE: Final[ViewportSize] = {"width": 360, "height": 740}

ARGUMENTS: Final = (
    "--no-first-run",
    "--disable-gpu",
    "--disable-quic",
    "--disable-sync",
    "--disable-background-networking",
    "--disable-component-update",
    *(["--no-sandbox"] if os.geteuid() == 0 else []),  # Chromium has none for root
)
"""The arguments of a browser that connects to no server except ours."""

expect.set_options(timeout=30_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip these tests where there is no browser."""
    here = [item for item in items if item.path.is_relative_to(HERE)]
    lacking = missing()
    for item in here:
        if lacking:
            item.add_marker(pytest.mark.skip(reason=lacking))


@cache
def missing() -> str:
    """Return what must be installed, in one line; empty: nothing."""
    if CHROMIUM is None:
        return "there is no Chromium: sudo apt install chromium npm, then tests/browser/install.sh"
    return "" if AXE.exists() else "there is no axe-core: run tests/browser/install.sh"


@pytest.fixture(scope="package")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@define(kw_only=True, slots=False)  # playwright marks whose methods it calls
class Visit:
    """A browser window with nobody's history, and everything that went wrong in it."""

    site: DeskProgram
    context: BrowserContext
    page: Page = field(init=False)
    errors: list[str] = field(factory=list)
    refused: list[str] = field(factory=list)
    """Answers with an error status, for tests that expect some."""

    def __attrs_post_init__(self) -> None:
        self.context.set_default_timeout(30_000)
        self.page = self.context.new_page()
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(f"script: {error}"))
        self.page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type not in {"error", "warning"}:
            return
        is_status = message.text.startswith("Failed to load resource: the server responded with a status of")
        (self.refused if is_status else self.errors).append(f"console: {message.text}")

    def _on_request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.site.url).netloc:
            self.errors.append(f"another server: {request.url}")

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.site.url + path)
        return self.page

    def log_in(self, name: str = NAME, password: str = PASSWORD) -> Page:
        self.open("/login")
        self.fill_in_log_in(name, password)
        return self.page

    def fill_in_log_in(self, name: str = NAME, password: str = PASSWORD) -> None:
        self.page.get_by_label("Name").fill(name)
        self.page.get_by_label("Password").fill(password)
        self.page.get_by_role("button", name="Log in").click()

    def is_clean(self) -> None:
        assert self.errors == []


Visiting = Callable[..., Visit]


@pytest.fixture(scope="package")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], DeskProgram]]:
    """Return the running program for a language; it is started once, and all tests share its day."""
    started: dict[str, DeskProgram] = {}
    with ExitStack() as stack:

        def site(language: str) -> DeskProgram:
            if language not in started:
                folder = tmp_path_factory.mktemp(f"desk-{language}")
                started[language] = stack.enter_context(desk_program(folder, language=language))
            return started[language]

        yield site


@pytest.fixture
def site(sites: Callable[[str], DeskProgram]) -> DeskProgram:
    return sites("en")


@pytest.fixture(scope="package")
def _cookies() -> dict[tuple[str, str], Any]:
    """The cookies of those who are logged in, by site and user."""
    return {}


@pytest.fixture
def visit(chromium: Browser, site: DeskProgram, _cookies: dict[tuple[str, str], Any]) -> Iterator[Visiting]:
    """Return a function that opens a window, by default with somebody logged in; its errors fail the test."""
    with ExitStack() as stack:
        visits: list[Visit] = []

        def open_window(user: str | None = NAME, at: DeskProgram = site, **options: Any) -> Visit:
            context = chromium.new_context(viewport=options.pop("viewport", DESKTOP), **options)
            stack.callback(context.close)
            visit = Visit(site=at, context=context)
            visits.append(visit)
            if user is not None:
                _be(visit, user, _cookies)
            return visit

        yield open_window
        for one in visits:
            one.is_clean()


def _be(visit: Visit, user: str, cookies: dict[tuple[str, str], Any]) -> None:
    """Log in as a user, with the session of an earlier window if there was one."""
    who = (visit.site.url, user)
    if who not in cookies:
        window = visit.page.context.browser
        assert window is not None
        context = window.new_context()
        log_in_at(context.new_page(), visit.site.url, user)
        cookies[who] = context.cookies()
        context.close()
    visit.context.add_cookies(cookies[who])


def log_in_at(page: Page, url: str, user: str) -> None:
    """Log in, in whatever language the form is."""
    page.goto(f"{url}/login")
    page.locator("#name").fill(user)
    page.locator("#password").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    expect(page.locator("header nav")).to_be_visible()
