"""What attackers try: paths, hosts, methods, sizes, sessions of others, and hundreds of passwords at once."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from threading import Semaphore
from urllib.parse import urlencode, urlsplit

import httpx
import pytest
import trio
from attrs import define, evolve, field
from loguru import logger

from reminderd.clock import SystemClock
from reminderd.config import Config
from reminderd.config.installation import WebConfig
from reminderd.config.load import load_config
from reminderd.core.logins import Role
from reminderd.daemon import run
from reminderd.daemon.run import Running
from reminderd.databases import SqliteFile
from reminderd.desk import credentials
from reminderd.desk.credentials import MOST_WAITING, LogInAttempt, LogInRefused, LogIns
from reminderd.desk.login import COOKIE
from reminderd.desk.routing import ROUTES
from reminderd.passwords import hash_password, matches_hash
from reminderd.store.any_engine import open_sync
from reminderd.store.connection import transaction
from reminderd.store.users import Secrets, add_user, remove_user, set_secrets
from tests.desk.scanner import HOSTILE
from tests.desk.test_scanner import NUMBER, PATIENT, hostile_clinic
from tests.support.clinic import Clinic, a_clinic
from tests.support.desk import NAME, PASSWORD, Browser, DeskServer, Page, a_config, desk_of
from tests.support.generic_server import send, webhook
from tests.support.ports import a_free_port
from tests.support.waiting import PATIENCE, until

GUESS = "a wrong password, for sure"
PROXIED = evolve(a_config(), web=WebConfig(trusted_proxies=("127.0.0.1",)))


async def typed(url: str, request: str) -> tuple[int, str]:
    """Send a request as it is typed, with no client's corrections, and return its status and everything else."""
    stream = await trio.open_tcp_stream("127.0.0.1", urlsplit(url).port or 0)
    async with stream:
        await stream.send_all(request.encode("latin-1"))
        answer = b""
        with trio.fail_after(PATIENCE):
            async for part in stream:
                answer += part
                if b"\r\n0\r\n\r\n" in answer or b"content-length: 0\r\n" in answer.lower():
                    break
    text = answer.decode("latin-1")
    return int(text.split(" ", 2)[1]), text


def asked(target: str, *headers: str, method: str = "GET", host: str = "127.0.0.1", cookie: str = "") -> str:
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", "Connection: close", *headers]
    lines += [f"Cookie: {COOKIE}={cookie}"] if cookie else []
    return "\r\n".join(lines) + "\r\n\r\n"


# Paths, hosts and methods


@pytest.mark.parametrize(
    "target",
    [
        "//evil.example/%2e%2e",
        "//evil.example//",
        "/\\evil.example",
        "http://evil.example/",
        "/static/..%2f..%2f..%2fetc%2fpasswd",
        "/static/../../../etc/passwd",
        "/%2e%2e/%2e%2e/etc/passwd",
        "/..;/etc/passwd",
        "/static/desk.css%00.html",
        "/%00",
        "/%ff%fe",
        "/r/%2e%2e%2fstatic",
        "/r/" + "A" * 5_000,
        "/r/..%5c..%5cwindows",
        "/login/../",
        "/.git/config",
        "/reminderd.db",
        "*",
    ],
)
async def test_no_path_leads_to_a_file_or_to_another_server(tmp_path: Path, target: str) -> None:
    async with desk_of(tmp_path) as desk:
        for cookie in ("", desk.browser.cookies[COOKIE]):
            status, text = await typed(desk.url, asked(target, cookie=cookie))
            assert status in {200, 303, 400, 404, 405, 414, 431}
            assert "root:" not in text
            for location in re.findall(r"(?im)^location: *(.*?)\r$", text):
                assert re.match(r"/(login|$)", location), location
            assert "evil.example" not in text.partition("\r\n\r\n")[0]


@pytest.mark.parametrize(
    "headers",
    [
        ["X-Forwarded-Host: evil.example"],
        ["X-Original-URL: /opt-outs"],
        ["X-Rewrite-URL: /opt-outs"],
        ["X-HTTP-Method-Override: DELETE"],
        ["Forwarded: host=evil.example"],
        ["X-Forwarded-Proto: javascript"],
        ["Range: bytes=0-3"],
        ["If-None-Match: *"],
    ],
)
async def test_no_header_changes_what_is_answered(tmp_path: Path, headers: list[str]) -> None:
    async with desk_of(tmp_path) as desk:
        for host in ("127.0.0.1", "evil.example", "evil.example:80", "[::1]"):
            status, text = await typed(desk.url, asked("/?day=2026-03-02", *headers, host=host))
            assert status == 303
            assert re.search(r"(?im)^location: /login\?next=%2F%3Fday%3D2026-03-02\r$", text)
            assert "evil.example" not in text


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND", "CONNECT"])
async def test_only_get_and_post_do_anything(tmp_path: Path, method: str) -> None:
    async with desk_of(tmp_path) as desk:
        cookie = desk.browser.cookies[COOKIE]
        for path in ("/", "/login", "/logout"):
            status, text = await typed(desk.url, asked(path, method=method, cookie=cookie))
            assert status in {400, 404, 405, 501}
            assert cookie not in text, "nothing is echoed"
        assert (await desk.browser.get("/")).heading != "Log in"


async def test_another_host_that_resolves_to_this_one_gets_no_session(tmp_path: Path) -> None:
    """A page of evil.example, whose name begins to mean 127.0.0.1, has the same origin as the pages, but no cookie."""
    async with desk_of(tmp_path) as desk:
        rebound = "Origin: http://evil.example", "Sec-Fetch-Site: same-origin", "Content-Length: 0"
        status, text = await typed(desk.url, asked("/logout", *rebound, method="POST", host="evil.example"))
        assert status == 303
        assert "location: /login" in text.lower()
        assert (await desk.browser.get("/")).heading != "Log in"


# Sizes


async def test_a_body_without_an_end_is_refused_before_it_has_arrived(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        for path, browser in (("/login", desk.another_browser()), ("/logout", desk.browser)):
            sized = await browser.raw("POST", path, content=b"a=" + b"b" * 200_000, headers=FORM)
            assert sized.status_code == 413
            stream = await trio.open_tcp_stream("127.0.0.1", urlsplit(desk.url).port or 0)
            async with stream:
                chunked = "Content-Type: application/x-www-form-urlencoded", "Transfer-Encoding: chunked"
                request = asked(path, *chunked, method="POST", cookie=browser.cookies.get(COOKIE, ""))
                await stream.send_all(request.encode())
                await send_without_end(stream)


async def send_without_end(stream: trio.SocketStream) -> None:
    """Send chunks until the server refuses them; that it does is all that is expected."""
    chunk = b"%x\r\n%b\r\n" % (10_000, b"b" * 10_000)
    async with trio.open_nursery() as nursery:

        async def write() -> None:
            with suppress(trio.BrokenResourceError):
                while True:
                    await stream.send_all(chunk)

        nursery.start_soon(write)
        assert b" 413 " in (await stream.receive_some(100))
        nursery.cancel_scope.cancel()


FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % number for number in range(900))),
        ("application/x-www-form-urlencoded", b"name=%ff%fe&password=%00&next=%0d%0aX: 1&form=%"),
        ("application/x-www-form-urlencoded; charset=utf-7", b"name=+ADw-script+AD4-"),
        ("multipart/form-data", b"no boundary"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n'),
        ("multipart/form-data; boundary=x", b"--x\r\n" * 600),
        ("application/json", b'{"name": "maria"}'),
        ("text/xml", b'<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>'),
    ],
)
async def test_a_form_that_can_not_be_read_is_refused(tmp_path: Path, kind: str, body: bytes) -> None:
    async with desk_of(tmp_path) as desk:
        for path, browser in (("/login", desk.another_browser()), ("/logout", desk.browser)):
            answer = await browser.raw("POST", path, content=body, headers={"Content-Type": kind})
            assert answer.status_code in {400, 401, 403, 413}
            assert "root:" not in answer.text
        assert (await desk.browser.get("/")).heading != "Log in"


# Sessions


async def test_a_token_that_was_there_before_the_log_in_is_worth_nothing_after_it(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        browser = desk.another_browser()
        planted = "p" * 43
        browser.cookies[COOKIE] = planted
        await browser.log_in()
        assert browser.cookies[COOKIE] != planted
        attacker = desk.another_browser()
        attacker.cookies[COOKIE] = planted
        assert (await attacker.get("/")).heading == "Log in"


async def test_another_log_in_of_the_same_browser_ends_the_session_before(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        browser = desk.another_browser()
        await browser.log_in()
        former = browser.cookies[COOKIE]
        form = (await desk.another_browser().get("/login")).form("/login").fields
        other = desk.another_browser()
        form = (await other.get("/login")).form("/login").fields | {"name": NAME, "password": PASSWORD}
        other.cookies[COOKIE] = former
        await other.post("/login", form)
        assert other.cookies[COOKIE] != former
        assert (await browser.get("/")).heading == "Log in"


@pytest.mark.parametrize("end", ["removed", "new password"])
async def test_a_part_that_waits_shows_nothing_to_somebody_whose_session_has_ended(tmp_path: Path, end: str) -> None:
    async with desk_of(tmp_path) as desk:
        await desk.write(hostile_clinic)
        page = await desk.browser.get("/")
        (part,) = [one.attributes["hx-get"] for one in page.root.all("section") if "hx-get" in one.attributes]
        answers: list[httpx.Response] = []

        async def wait() -> None:
            answers.append(await desk.browser.raw("GET", part))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await until(lambda: desk.desk.base.waiting)
            secrets = Secrets(password_hash="", totp_secret=None)
            await desk.write(
                partial(remove_user, name=NAME, actor="root")
                if end == "removed"
                else partial(set_secrets, name=NAME, secrets=secrets, actor="root")
            )
            if end == "removed":
                await desk.add_user("other", Role.DESK)
        (answer,) = answers
        assert answer.status_code == 401
        assert answer.text == ""


async def test_a_form_that_arrives_after_the_end_of_its_session_does_nothing(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        token = (await desk.browser.get("/")).form("/logout").fields["csrf"]
        body = urlencode({"csrf": token, "number": "+12025550111"})
        headers = f"Content-Type: {FORM['Content-Type']}", f"Content-Length: {len(body)}"
        head = asked("/opt-outs/add", *headers, method="POST", cookie=desk.browser.cookies[COOKIE])
        stream = await trio.open_tcp_stream("127.0.0.1", urlsplit(desk.url).port or 0)
        async with stream:
            await stream.send_all((head + body[:-1]).encode())
            await desk.browser.get("/")  # the server has the head by now
            await desk.add_user("other", Role.DESK)
            await desk.write(partial(remove_user, name=NAME, actor="root"))
            await stream.send_all(body[-1:].encode())
            answer = await stream.receive_some(4_096)
        assert b" 303 " in answer
        assert b"ocation: /login" in answer
        assert await desk.rows("SELECT phone_number FROM opt_outs") == []


async def test_a_role_that_was_taken_away_ends_at_once(tmp_path: Path) -> None:
    async with desk_of(tmp_path, role=Role.ADMIN) as desk:
        [path] = [
            route.path
            for route in ROUTES
            if (route.role, route.method) == (Role.ADMIN, "GET") and "<" not in route.path
        ]
        assert (await desk.browser.get(path)).status == 200
        await desk.run_sql("UPDATE users SET role = 'desk'")
        assert (await desk.browser.get(path)).status == 403


# Guesses


async def guess(desk: DeskServer, *, name: str = NAME, password: str = GUESS, **headers: str) -> httpx.Response:
    browser = desk.another_browser()
    form = (await browser.get("/login")).form("/login").fields | {"name": name, "password": password}
    named = {header.replace("_", "-"): value for header, value in headers.items()}
    return await browser.raw("POST", "/login", data=form, headers=named)


async def test_a_client_can_not_invent_its_address(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        for number in range(5):
            await guess(desk, X_Forwarded_For=f"203.0.113.{number}")
        answer = await guess(desk, password=PASSWORD, X_Forwarded_For="203.0.113.99")
        assert answer.status_code == 401
        assert "too many failed log-ins" in answer.text


async def test_behind_a_proxy_a_client_is_whom_the_proxy_names_whatever_it_claims(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=PROXIED) as desk:
        await guess(desk, password=PASSWORD, X_Forwarded_For="192.0.2.7")
        for number in range(6):
            await guess(desk, X_Forwarded_For=f"192.0.2.7, 203.0.113.{number}")
        refused = await guess(desk, password=PASSWORD, X_Forwarded_For="192.0.2.7, 203.0.113.6")
        assert refused.status_code == 401, "for strangers, the account is locked"
        (detail, *_) = await desk.rows("SELECT detail FROM audit WHERE act = 'log-in-refused'")
        assert detail == {"detail": f"{NAME}, from 203.0.113.0: wrong password"}
        entered = await guess(desk, password=PASSWORD, X_Forwarded_For="192.0.2.7")
        assert entered.status_code == 303, "not for the user, who has logged in from here"


async def test_a_password_is_nowhere_but_in_its_hash(tmp_path: Path) -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), format="{message} {extra} {exception}")
    async with desk_of(tmp_path) as desk:
        await guess(desk, password=PASSWORD)
        await guess(desk)
        await guess(desk, name=GUESS)
    logger.remove(sink)
    with open_sync(SqliteFile(tmp_path / "reminderd.db")) as connection:
        tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'").fetchall()
        rows = [tuple(row) for table in tables for row in connection.execute(f"SELECT * FROM {table['name']}")]
    for password in (PASSWORD, GUESS):
        assert password not in str(rows)
        assert password not in "".join(lines)


async def test_the_log_names_no_patient(tmp_path: Path) -> None:
    lines: list[str] = []
    sink = logger.add(lambda message: lines.append(str(message)), format="{message}", level="DEBUG")
    async with desk_of(tmp_path, role=Role.ADMIN) as desk:
        await desk.write(hostile_clinic)
        for row in await desk.rows("SELECT id FROM reminders"):
            page = await desk.browser.get(desk.address(row["id"]))
            for form in page.root.all("form", method="post"):
                if form.attributes["action"] != "/logout":
                    await desk.browser.post(form.attributes["action"], form.fields | {"note": f"{PATIENT} {HOSTILE}"})
    logger.remove(sink)
    assert lines, "acts are logged"
    for private in (PATIENT, NUMBER, NUMBER[-6:], HOSTILE):
        assert private not in "".join(lines)


# A storm


@asynccontextmanager
async def a_running_clinic(folder: Path) -> AsyncIterator[tuple[Clinic, Running]]:
    """Run the daemon with pages behind a proxy, and an account."""
    async with a_clinic(folder) as clinic, trio.open_nursery() as nursery:
        with (folder / "config.toml").open("a") as file:
            file.write(f"[desk]\nport = {a_free_port()}\n")
        text = (folder / "config.toml").read_text().replace("[web]\n", '[web]\ntrusted_proxies = ["127.0.0.1"]\n')
        (folder / "config.toml").write_text(text)
        config: Config = load_config(folder / "config.toml", {}, folder)
        with open_sync(config.database.target) as connection:
            secrets = Secrets(password_hash=hash_password(PASSWORD), totp_secret=None)
            new = partial(add_user, name=NAME, role=Role.DESK, secrets=secrets, actor="root")
            transaction(connection, new, SystemClock().now())
        stopping = trio.Event()
        running = await nursery.start(partial(run, config, clock=SystemClock(), stopping=stopping))
        yield clinic, running
        stopping.set()


@define
class HeldGuesses:
    """Holds the check of each guessed password, until the test lets some continue."""

    may_go_on: Semaphore = field(factory=lambda: Semaphore(0))
    seen: list[LogIns] = field(factory=list)
    """The log-ins that were called; always the same object."""

    @classmethod
    def begin(cls, monkeypatch: pytest.MonkeyPatch) -> "HeldGuesses":
        held, log_in = cls(), LogIns.log_in

        def check(known_hash: str | None, password: str) -> bool:
            assert password != GUESS or held.may_go_on.acquire(timeout=PATIENCE)
            return matches_hash(known_hash, password)

        async def seen(log_ins: LogIns, attempt: LogInAttempt) -> str | LogInRefused:
            held.seen.append(log_ins)
            return await log_in(log_ins, attempt)

        monkeypatch.setattr(credentials, "matches_hash", check)
        monkeypatch.setattr(LogIns, "log_in", seen)
        return held

    def waiting(self) -> int:
        """Return how many wait for the turn of the one whose password is checked."""
        return self.seen[0]._turn.statistics().tasks_waiting


async def test_a_storm_of_log_ins_keeps_no_webhook_waiting_and_no_user_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Hundreds of strangers guess at the same time, each from another address."""
    statuses: list[int] = []
    strangers = 500
    held = HeldGuesses.begin(monkeypatch)

    async def guess_from(url: str, number: int) -> None:
        from_there = f"X-Forwarded-For: 198.51.{number // 250}.{number % 250}"
        _, page = await typed(url, asked("/login", from_there))
        cookie = re.findall(r"(?i)set-cookie: ([^;]+)", page)[0]
        token = re.findall(r'name="form" value="([^"]+)"', page)[0]
        body = urlencode({"form": token, "name": f"name{number}", "password": GUESS})
        headers = f"Cookie: {cookie}", f"Content-Type: {FORM['Content-Type']}", f"Content-Length: {len(body)}"
        status, _ = await typed(url, asked("/login", from_there, *headers, method="POST") + body)
        statuses.append(status)

    pages: list[Page] = []

    async def log_in(user: Browser) -> None:
        pages.append(await user.log_in())

    async with a_running_clinic(tmp_path) as (clinic, running):
        assert running.desk_url is not None
        assert running.web_url is not None
        users = [Browser(running.desk_url) for _ in range(2)]
        for user in users:
            user.client.headers["X-Forwarded-For"] = "192.0.2.7"
        async with users[0].client, users[1].client:
            await users[0].log_in()
            for number in range(8):
                clinic.insert(f"r{number}", f"+1202555000{number}")
            rings = await clinic.provider.rang(8)
            async with trio.open_nursery() as storm:
                for number in range(strangers):
                    storm.start_soon(guess_from, running.desk_url, number)
                await until(lambda: len(statuses) == strangers - MOST_WAITING - 1)
                for ring in rings:
                    assert (await send(clinic.client, running.web_url, webhook(ring))).is_success
                storm.start_soon(log_in, users[1])
                await until(lambda: held.waiting() == 1)
                held.may_go_on.release()  # the one who has the turn; then the user has it, before all others
                await until(lambda: pages)
                assert pages[0].heading != "Log in"
                assert len(statuses) <= strangers - MOST_WAITING, "all of that while the storm went on"
                held.may_go_on.release(MOST_WAITING)
        assert statuses == [401] * strangers
        checked = clinic.count("audit WHERE act = 'log-in-refused'")
        assert checked == MOST_WAITING + 1, "most were refused without a check of their password"
        assert clinic.count("reminders WHERE status = 'called'") == 8
