"""Make the pictures in docs/screenshots: `just screenshots`. They show the same day each time, at the same minute."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Final
from zoneinfo import ZoneInfo

import trio
from attrs import field, frozen
from playwright.sync_api import Browser, Page, sync_playwright

from reminderd.cli.demo import PASSWORD, USER, configured, serve_demo
from reminderd.clock import SystemClock
from reminderd.logs.configure import configure_logs
from tests.browser.conftest import ARGUMENTS, CHROMIUM, DESKTOP, PHONE

FOLDER: Final = Path(__file__).parents[2] / "docs/screenshots"
PLACE: Final = ZoneInfo("America/New_York")
START: Final = datetime(2027, 3, 2, 10, 41, 50, tzinfo=PLACE).astimezone(UTC)

FILE: Final = """\
Appointment ID,Patient Name,Mobile Phone,Appointment Date,Appointment Time,Provider
V-2001,Carol Simmons,(202) 555-0140,03/04/2027,9:00 AM,Dr. Brown
V-2002,Viktor Hahn,(202) 555-0141,03/04/2027,9:20 AM,Dr. Weiss
V-2003,Rita Okoye,see chart,03/04/2027,9:40 AM,Dr. Okafor
V-2004,Alan Price,(202) 555-0143,02/30/2027,10:00 AM,Dr. Brown
V-2005,Maya Singh,(202) 555-0144,03/04/2027,10:20 AM,Dr. Weiss
"""


@frozen
class FixedStart:
    """A clock that begins at the same time whenever it is started."""

    start: datetime
    _began: float = field(factory=SystemClock().monotonic)

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.monotonic() - self._began)

    def monotonic(self) -> float:
        return SystemClock().monotonic()


@contextmanager
def demo(folder: Path, language: str) -> Iterator[str]:
    """Serve the demo in a thread, and yield its address."""
    started: Queue[str | BaseException] = Queue()
    stopping: list[trio.Event] = []
    tokens: list[trio.lowlevel.TrioToken] = []

    async def run() -> None:
        stopping.append(trio.Event())
        tokens.append(trio.lowlevel.current_trio_token())
        async with trio.open_nursery() as nursery:
            config = configured(folder, language, PLACE)
            started.put(await nursery.start(serve_demo, config, FixedStart(START), stopping[0]))

    def body() -> None:
        try:
            trio.run(run)
        except BaseException as error:
            started.put(error)
            raise

    thread = Thread(target=body)
    thread.start()
    url = started.get()
    if isinstance(url, BaseException):
        raise url
    try:
        yield url
    finally:
        trio.from_thread.run_sync(stopping[0].set, trio_token=tokens[0])
        thread.join()


def main(languages: list[str]) -> None:
    """Make all pictures; those of other languages, which are only for looking at, go to separate folders."""
    with sync_playwright() as playwright, TemporaryDirectory() as name:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for language in languages or ["en"]:
            folder = Path(name) / language
            folder.mkdir()
            (folder / "appointments.csv").write_text(FILE)
            with (folder / "log").open("w") as log:
                configure_logs(level="INFO", log_format="text", stream=log)
                with demo(folder, language) as url:
                    take(browser, url, folder, FOLDER if language == "en" else FOLDER / language)
        browser.close()


def take(browser: Browser, url: str, files: Path, folder: Path) -> None:
    """Make the pictures of every page."""
    folder.mkdir(parents=True, exist_ok=True)
    context = browser.new_context(viewport=DESKTOP)
    page = context.new_page()
    page.goto(f"{url}/login")
    shoot(page, folder / "login.png", height=560)
    page.locator("#name").fill(USER)
    page.locator("#password").fill(PASSWORD)
    page.locator("main button[type=submit]").click()
    page.locator("ul.counts li.calling a").wait_for()  # somebody is in a call
    shoot(page, folder / "today.png")
    state = context.storage_state()
    phone = browser.new_context(viewport=PHONE, color_scheme="dark", storage_state=state)
    small = phone.new_page()
    small.goto(url)
    shoot(small, folder / "today-phone.png", height=740)
    for name, prepare in PAGES.items():
        prepare(page, url, files)
        shoot(page, folder / f"{name}.png", height=HEIGHTS.get(name, 900))


def _reminder(page: Page, url: str, _files: Path) -> None:
    page.goto(url)
    page.locator("tr", has_text="Gerald Finch").first.get_by_role("link").first.click()
    page.locator("#history").wait_for()


def _search(page: Page, url: str, _files: Path) -> None:
    page.goto(f"{url}/search")
    page.locator("#status").select_option("failed")
    page.locator("main form button.main").click()
    page.locator("#results").wait_for()


def _add(page: Page, url: str, _files: Path) -> None:
    page.goto(f"{url}/add/appointment")
    page.locator("#phone_number").fill("(202) 555-0150")
    page.locator("#at_date").fill("2027-03-05")
    page.locator("#at_time").fill("14:20")
    page.locator("main form button.main").click()
    page.locator("button[value=add]").wait_for()


def _import(page: Page, url: str, files: Path) -> None:
    page.goto(f"{url}/import")
    page.locator("#file").set_input_files(files / "appointments.csv")
    page.locator("main form button.main").click()
    page.locator("#take").wait_for()


def _page(path: str) -> Callable[[Page, str, Path], None]:
    def opened(page: Page, url: str, _files: Path) -> None:
        page.goto(url + path)

    return opened


PAGES: Final[Mapping[str, Callable[[Page, str, Path], None]]] = {
    "reminder": _reminder,
    "search": _search,
    "add": _add,
    "import": _import,
    "opt-outs": _page("/opt-outs"),
    "report": _page("/report"),
    "system": _page("/system"),
}
HEIGHTS: Final = {"reminder": 1500, "report": 1300, "add": 1000}


def shoot(page: Page, path: Path, *, height: int = 900) -> None:
    """Make a picture of the page from its top."""
    page.set_viewport_size({"width": page.evaluate("window.innerWidth"), "height": height})
    page.screenshot(path=path, animations="disabled")


if __name__ == "__main__":
    main(sys.argv[1:])
