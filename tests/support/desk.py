"""The front desk's pages on loopback: the real app and a real database, and a browser's part in them."""

import re
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from functools import partial
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any, TypeVar

import httpx
import trio
from attrs import define, evolve, field, frozen

from reminderd.config import Config
from reminderd.config.installation import DeskConfig
from reminderd.config.schema import CallingConfig, ClinicConfig, numbering_of, rules_of
from reminderd.core.logins import Role
from reminderd.core.monitoring import DaemonReport
from reminderd.desk.login import COOKIE
from reminderd.desk.routing import build_desk_app
from reminderd.desk.state import Desk, DeskBase, open_desk
from reminderd.passwords import hash_password
from reminderd.staff.obstacles import Examined
from reminderd.store.connection import Connection
from reminderd.store.database import Database, open_database
from reminderd.store.users import Secrets, add_user, find_user, open_session
from reminderd.web.server import bind, serve
from tests.support.builders import NOW
from tests.support.clock import HandClock
from tests.support.databases import database_in
from tests.support.waiting import PATIENCE, until

T = TypeVar("T")

NAME = "maria"
PASSWORD = "four plain words here"
_HASHES: dict[str, str] = {}

VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@define
class Element:
    """An element of a page, with what is inside."""

    tag: str
    attributes: dict[str, str]
    inside: list["Element | str"] = field(factory=list)

    @property
    def text(self) -> str:
        """Everything that is written inside, with single spaces."""
        return " ".join("".join(self._texts()).split())

    def _texts(self) -> list[str]:
        found: list[str] = []
        for one in self.inside:
            found += [one] if isinstance(one, str) else [" ", *one._texts(), " "]
        return found

    def all(self, tag: str = "", **attributes: str) -> list["Element"]:
        """Return the elements inside with this tag and these attributes; `class_` is one of the classes."""
        found: list[Element] = []
        for one in self.inside:
            if isinstance(one, Element):
                found += [one] if one._is(tag, attributes) else []
                found += one.all(tag, **attributes)
        return found

    def one(self, tag: str = "", **attributes: str) -> "Element":
        """Return the only element like this."""
        found = self.all(tag, **attributes)
        assert len(found) == 1, f"{len(found)} elements are {tag} {attributes} in: {self.text}"
        return found[0]

    def _is(self, tag: str, attributes: dict[str, str]) -> bool:
        for name, value in attributes.items():
            have = self.attributes.get(name.rstrip("_").replace("_", "-"))
            if have is None or (value not in have.split() if name == "class_" else have != value):
                return False
        return not tag or self.tag == tag

    @property
    def fields(self) -> dict[str, str]:
        """What a browser sends of this form if nobody changes anything."""
        assert self.tag == "form"
        found = {}
        for one in self.all("input"):
            kind = one.attributes.get("type", "text")
            if "name" in one.attributes and kind not in {"submit", "file"}:
                if kind in {"checkbox", "radio"} and "checked" not in one.attributes:
                    continue
                found[one.attributes["name"]] = one.attributes.get("value", "on" if kind == "checkbox" else "")
        found |= {one.attributes["name"]: one.text for one in self.all("textarea")}
        for one in self.all("select"):
            options = one.all("option")
            chosen = [option for option in options if "selected" in option.attributes] or options[:1]
            found[one.attributes["name"]] = chosen[0].attributes["value"]
        return found


class _Parser(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("", {})
        self.open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> where <{self.open[-1].tag}> is open, line {self.getpos()[0]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def parsed(html: str) -> Element:
    """Return a page, all of whose elements are closed in their order."""
    parser = _Parser()
    parser.feed(html)
    parser.close()
    assert parser.open == [parser.root], f"<{parser.open[-1].tag}> is not closed"
    ids = [one.attributes["id"] for one in parser.root.all() if "id" in one.attributes]
    assert sorted(ids) == sorted(set(ids)), "an id is there twice"
    return parser.root


@frozen
class Page:
    """An answer with a page in it."""

    response: httpx.Response
    root: Element

    @property
    def status(self) -> int:
        return self.response.status_code

    @property
    def text(self) -> str:
        return self.root.text

    @property
    def heading(self) -> str:
        return self.root.one("h1").text

    @property
    def notice(self) -> str:
        """The page's notice about the act before it; empty if there is none."""
        return " ".join(one.text for one in self.root.all(class_="notice"))

    def form(self, action: str) -> Element:
        return self.root.one("form", action=action)


@define
class Browser:
    """One browser: keeps cookies, the secure ones as well, as browsers do for this machine, and fills in forms."""

    url: str
    cookies: dict[str, str] = field(factory=dict)
    verify: ssl.SSLContext | bool = True
    client: httpx.AsyncClient = field(init=False)

    def __attrs_post_init__(self) -> None:
        hooks: Any = {"request": [self._send_cookies], "response": [self._keep_cookies]}
        self.client = httpx.AsyncClient(
            base_url=self.url, timeout=PATIENCE, trust_env=False, verify=self.verify, event_hooks=hooks
        )

    async def _send_cookies(self, request: httpx.Request) -> None:
        request.headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    async def _keep_cookies(self, response: httpx.Response) -> None:
        for line in response.headers.get_list("set-cookie"):
            for name, one in SimpleCookie(line).items():
                if one.value:
                    self.cookies[name] = one.value
                else:
                    self.cookies.pop(name, None)

    async def get(self, path: str, **headers: str) -> Page:
        """Follow a link."""
        response = await self.client.get(path, headers=_headers(headers), follow_redirects=True)
        return Page(response, parsed(response.text))

    async def raw(self, method: str, path: str, **named: Any) -> httpx.Response:
        """Send any request, without following redirects."""
        return await self.client.request(method, path, **named)

    async def submit(self, page: Page, action: str, files: Any = None, **written: str) -> Page:
        """Fill in a form of a page and send it; follow redirects."""
        fields = page.form(action).fields | written
        return await self.post(action, fields, files=files)

    async def post(self, path: str, fields: dict[str, str], files: Any = None) -> Page:
        response = await self.client.post(
            path, data=fields, files=files, headers={"Origin": self.url}, follow_redirects=True
        )
        return Page(response, parsed(response.text))

    async def settled(self, page: Page) -> Page:
        """Return the page for files, as soon as nobody works on the file."""

        async def loaded() -> Page | None:
            found = await self.get("/import")
            return None if found.root.all("progress") else found

        return await until(loaded) if page.root.all("progress") else page

    async def log_in(self, name: str = NAME, password: str = PASSWORD, code: str = "") -> Page:
        return await self.submit(await self.get("/login"), "/login", name=name, password=password, code=code)


def _headers(named: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in named.items()}


@define(kw_only=True)
class DeskServer:
    """The pages, their database, and the browser of a user who is logged in."""

    url: str
    desk: Desk
    database: Database
    clock: HandClock
    browser: Browser
    browsers: list[Browser] = field(factory=list)

    async def write(self, fn: Callable[[Connection, datetime], T]) -> T:
        return await self.database.write(fn)

    async def read(self, fn: Callable[[Connection], T]) -> T:
        return await self.database.read(fn)

    async def rows(self, sql: str, **values: Any) -> list[dict[str, Any]]:
        """Return the rows of a query."""
        return await self.read(lambda connection: [dict(row) for row in connection.execute(sql, values).fetchall()])

    async def run_sql(self, sql: str, **values: Any) -> None:
        """Run a statement as another program does."""
        await self.write(lambda connection, _now: connection.execute(sql, values))

    async def add_user(self, name: str, role: Role, totp_secret: str | None = None) -> None:
        await self.write(partial(_add_user, name=name, role=role, totp_secret=totp_secret))

    def another_browser(self) -> Browser:
        """Return a browser in which nobody is logged in."""
        self.browsers.append(Browser(self.url))
        return self.browsers[-1]

    def address(self, reminder_id: str) -> str:
        """Return the path of a reminder's page."""
        return f"/r/{self.desk.base.addresses.address_of(reminder_id)}"


def _add_user(connection: Connection, now: datetime, *, name: str, role: Role, totp_secret: str | None) -> None:
    password_hash = _HASHES.setdefault(PASSWORD, "") or hash_password(PASSWORD)
    _HASHES[PASSWORD] = password_hash
    secrets = Secrets(password_hash=password_hash, totp_secret=totp_secret)
    assert add_user(connection, now, name=name, role=role, secrets=secrets, actor="test")


def _opened_session(connection: Connection, now: datetime) -> str:
    user = find_user(connection, NAME)
    assert user is not None
    token = open_session(connection, now, user=user, address="127.0.0.1", step=None)
    assert token is not None
    return token


def a_config(**desk: Any) -> Config:
    """Return the configuration of a clinic with pages."""
    return Config(
        clinic=ClinicConfig(country="US"), calling=CallingConfig(timezone="America/New_York"), desk=DeskConfig(**desk)
    )


REPORT = DaemonReport(
    version="1.2.3",
    started_at=NOW,
    provider="sandbox",
    parts={"database": None, "poll loop": None, "provider": None},
    last_poll=NOW,
    last_webhook=None,
    database_id="ours",
)


def desk_on(
    base: DeskBase, database: Database, *, config: Config, clock: HandClock, report: DaemonReport = REPORT
) -> Desk:
    """Return the context of the pages under this configuration."""

    async def doings() -> DaemonReport:
        return evolve(report, started_at=report.started_at)

    return Desk(
        config=config,
        base=base,
        database=database,
        clock=clock,
        rules=rules_of(config),
        doings=doings,
        examined=Examined(numbering_of(config)),
        stopping=trio.Event(),
    )


@asynccontextmanager
async def desk_of(
    folder: Path,
    *,
    config: Config | None = None,
    role: Role | None = Role.DESK,
    clock: HandClock | None = None,
    report: DaemonReport = REPORT,
    patience: float = PATIENCE,
) -> AsyncIterator[DeskServer]:
    """Serve the pages from a new database in a folder, to a browser that is logged in as `NAME`.

    Args:
        folder: where the database is.
        config: the clinic's; None: that of `a_config`.
        role: the user's role; None without an account, so that nobody is logged in.
        clock: the machine's.
        report: what the daemon reports about itself.
        patience: seconds after which the test fails.
    """
    config, clock = config or a_config(), clock or HandClock()
    async with (
        open_database(database_in(folder, "reminderd.db"), clock) as database,
        open_desk(database, folder / "reminderd.db.uploads", clock) as base,
        trio.open_nursery() as nursery,
    ):
        desk = desk_on(base, database, config=config, clock=clock, report=report)
        stopping = trio.Event()
        serving = partial(serve, build_desk_app(desk), bind("127.0.0.1", 0), shutdown_trigger=stopping.wait)
        url = await nursery.start(serving)
        server = DeskServer(url=url, desk=desk, database=database, clock=clock, browser=Browser(url))
        server.browsers.append(server.browser)
        try:
            with trio.fail_after(patience):
                if role is not None:
                    await server.add_user(NAME, role)
                    server.browser.cookies[COOKIE] = await database.write(_opened_session)
                yield server
        finally:
            with trio.CancelScope(shield=True):
                for browser in server.browsers:
                    await browser.client.aclose()
            desk.stopping.set()
            stopping.set()


def titles_name_nobody(page: Page, *private: str) -> None:
    """Fail if what browsers keep in their history names one of these; a short one, as a whole word.

    The encrypted part of an address is random, so two letters in a row can be in it by chance.
    """
    kept = f"{page.response.url} {page.root.one('title').text}"
    named = [rf"\b{re.escape(one)}\b" if len(one) < 4 else re.escape(one) for one in private]
    assert not [one for one in named if re.search(one, kept, re.IGNORECASE)], kept
