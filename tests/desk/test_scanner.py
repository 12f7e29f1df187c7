"""The scanner finds what is wrong with a broken app, and nothing with ours."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

from reminderd.core.logins import Role
from reminderd.desk.page import PageRoute
from reminderd.desk.routing import ROUTES
from reminderd.store.connection import Connection
from reminderd.store.rows import to_ms
from reminderd.web.server import bind, serve
from tests.desk.scanner import HOSTILE, MARK, RULES, Scan, shown
from tests.support.builders import NOW
from tests.support.desk import NAME, Browser, DeskServer, desk_of
from tests.support.rows import insert_call, insert_row

PATIENT = "Zebulon"
PATIENCE = 400
"""Seconds for a scan of all pages, more than a thousand requests, next to other tests."""
NUMBER = "+12025550147"
PRIVATE = (PATIENT, "2025550147", MARK)


# Broken apps

HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "geolocation=()",
}


def page(body: str = "", head: str = "<title>Today</title>", start: str = '<!DOCTYPE html><html lang="en">') -> str:
    return f"{start}<head>{head}</head><body>{body}</body></html>"


@asynccontextmanager
async def an_app(status: int, headers: dict[str, str], body: str) -> AsyncIterator[Browser]:
    """Serve the same answer at every path, but to odd methods."""

    async def app(scope: Scope, _receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        if scope["type"] != "http":
            return
        is_usual = scope["method"] in {"GET", "POST", "HEAD"}
        lines = [(name.encode(), value.encode()) for name, value in headers.items() if value]
        code = (403 if scope["method"] == "POST" else status) if is_usual else 405
        await send({"type": "http.response.start", "status": code, "headers": lines})
        await send({"type": "http.response.body", "body": body.encode(), "more_body": False})

    async with trio.open_nursery() as nursery:
        stopping = trio.Event()
        url = await nursery.start(partial(serve, app, bind("127.0.0.1", 0), shutdown_trigger=stopping.wait))
        browser = Browser(url)
        try:
            yield browser
        finally:
            with trio.CancelScope(shield=True):
                await browser.client.aclose()
            stopping.set()


async def broken_rules(
    *, status: int = 200, headers: dict[str, str] | None = None, body: str | None = None
) -> set[str]:
    async with an_app(status, HEADERS | (headers or {}), page() if body is None else body) as browser:
        scan = Scan(browser, PRIVATE)
        await scan.run("/")
        return {complaint.partition(": ")[0] for complaint in scan.complaints}


TOKEN = '<input name="csrf" value="x">'

BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("works", {"status": 500}),
    ("a policy that allows no code but our own", {"headers": {"content-security-policy": ""}}),
    (
        "a policy that allows no code but our own",
        {"headers": {"content-security-policy": f"{HEADERS['content-security-policy']}; style-src 'unsafe-inline'"}},
    ),
    ("headers against framing, sniffing and other sites", {"headers": {"x-frame-options": "SAMEORIGIN"}}),
    ("headers against framing, sniffing and other sites", {"headers": {"permissions-policy": ""}}),
    ("no cache", {"headers": {"cache-control": "no-cache"}}),
    ("no cache", {"headers": {"etag": '"1"'}}),
    ("a content type with its charset", {"headers": {"content-type": "text/html"}}),
    ("cookies that only this host gets", {"headers": {"set-cookie": "__Host-a=1; Secure; Path=/; SameSite=Strict"}}),
    (
        "cookies that only this host gets",
        {"headers": {"set-cookie": "a=1; Secure; HttpOnly; Path=/; SameSite=Strict"}},
    ),
    ("no name of the server", {"headers": {"server": "hypercorn"}}),
    ("nothing of the program's insides", {"body": page('File "/srv/x.py", line 1')}),
    ("no other site may read it", {"headers": {"access-control-allow-origin": "*"}}),
    ("redirects to ourselves alone", {"status": 303, "headers": {"location": "//evil.example/"}}),
    ("redirects to ourselves alone", {"status": 303, "headers": {"location": "/\\evil.example/"}}),
    ("no code inside a page", {"body": page("<script>1</script>")}),
    ("no code inside a page", {"body": page('<p onclick="x()">a</p>')}),
    ("no code inside a page", {"body": page('<p style="color: red">a</p>')}),
    ("no code inside a page", {"body": page('<a href="#" title=" javascript:x()">a</a>')}),
    ("nothing from another site", {"body": page('<img src="https://cdn.example/a.png">')}),
    ("forms that no other site can send", {"body": page('<form method="post" action="/"><input name="a"></form>')}),
    ("forms that no other site can send", {"body": page('<form action="/"><input name="phone"></form>')}),
    (
        "forms that no other site can send",
        {"body": page(f'<form method="post" action="/">{TOKEN}<input name="a" type="password" value="b"></form>')},
    ),
    ("a whole page", {"body": page(start="<!DOCTYPE html><html>")}),
    ("a whole page", {"body": page(head="")}),
    ("a whole page", {"body": page(start='<html lang="en">')}),
    ("nothing private outside the page", {"body": page(head="<title>Zebulon's call</title>")}),
    ("nothing private outside the page", {"body": page('<a href="/find?number=%2B12025550147">a</a>')}),
    ("nothing private outside the page", {"headers": {"x-reminder": "zebulon"}}),
    ("texts of records stay texts", {"body": page(f"<p {MARK}>a</p>")}),
    ("texts of records stay texts", {"body": page(f'<input value="{MARK}49">')}),
    ("texts of requests stay texts", {"headers": {"set-cookie": "a=b"}}),
]


async def test_a_good_app_breaks_no_rule() -> None:
    body = page(f'<a href="/a?day=1">a</a><form method="post" action="/b">{TOKEN}<input name="c"></form>')
    assert await broken_rules(body=body) == set()


@pytest.mark.parametrize(("rule", "answer"), BROKEN)
async def test_a_broken_app_breaks_the_rule(rule: str, answer: dict[str, Any]) -> None:
    assert rule in await broken_rules(**answer)


def test_every_rule_is_broken_once() -> None:
    assert {rule for rule, _ in BROKEN} == set(RULES)


async def test_a_text_that_is_not_escaped_is_found() -> None:
    hostile = f"<p>{HOSTILE}</p>".replace("onerror", "alt").replace("<script>", "<script>\n")
    assert "no code inside a page" in await broken_rules(body=page(hostile))
    assert "texts of records stay texts" in await broken_rules(body=page(f"<p title='{MARK}'>{HOSTILE}</p>"))


# Ours


def hostile_clinic(connection: Connection, *_now: object) -> None:
    """Write records with hostile texts in every column that other programs and patients can fill."""
    at = to_ms(NOW)
    usual = {"phone_number": NUMBER, "message": f"{PATIENT}, {HOSTILE}", "scheduled_at": at}
    ended = {"wake_at": None, "ended_at": at, "last_error": f"{HOSTILE} {PATIENT}", "attempts": 1}
    waits = {"status": "scheduled", "scheduled_at": at + 3_600_000}
    rows: dict[str, dict[str, Any]] = {
        f"{PATIENT} {HOSTILE}": {"ref": f"{PATIENT} ref {HOSTILE}", "status": "failed", "end_code": "no_report"}
        | ended,
        "waits": waits | {"timezone": "Europe/Berlin", "language": "es"},
        "held": waits | {"hold_code": "number_changed", "former_number": HOSTILE, "phone_number": "+12025550148"},
        "calling": {"status": "processing", "wake_at": None, "phone_number": "+12025550149"},
        "called": {"status": "called", "response": "confirmed"} | ended,
        "asks": {"status": "called", "response": "cancel_requested"} | ended,
        "odd": {"status": "called", "response": HOSTILE} | ended,
        "late": {"status": "expired", "end_code": "too_late", "scheduled_at": at - 86_400_000} | ended,
        "stopped": {"status": "cancelled", "end_code": HOSTILE, "phone_number": HOSTILE} | ended,
    }
    for identity, columns in rows.items():
        insert_row(connection, "reminders", {"id": identity, **usual, **columns})
    for number, identity in enumerate(rows):
        insert_call(
            connection,
            identity,
            id=f"call-{number}-{HOSTILE}".replace(" ", ""),
            spoken=identity != "late",
            transcript=f"{PATIENT} {HOSTILE}",
            status=HOSTILE,
            answered_by=HOSTILE,
            error=HOSTILE,
            error_code=HOSTILE,
            external_call_id=f"{number} {HOSTILE}",
            outcome="not_answered" if identity == "late" else "heard",
            **({"state": "placed"} if identity == "calling" else {}),
        )
    texts = ("ref", "patient_ref", "type", "template", "language", "name", "provider", "place", "last_error", "source")
    appointment = {"id": f"a {HOSTILE}", "phone_number": NUMBER, "at": at + 86_400_000}
    insert_row(connection, "appointments", appointment | dict.fromkeys(texts, f"{PATIENT} {HOSTILE}"))
    insert_row(connection, "opt_outs", {"phone_number": "+12025550199", "source": HOSTILE, "created_at": at})
    detail = {"actor": HOSTILE, "detail": HOSTILE, "at": at}
    for act in ("cancel", "view", HOSTILE):
        insert_row(connection, "audit", {"act": act, "reminder_id": "late"} | detail)
    imported = {"file": HOSTILE, "reason": HOSTILE, "profile": HOSTILE, "actor": HOSTILE, "status": "refused"}
    insert_row(connection, "imports", {"at": at, "finished_at": at} | imported)
    insert_row(connection, "settings", {"key": "paused", "value": "true"})
    insert_row(connection, "audit", {"act": "pause"} | detail)


def was_asked(route: PageRoute, scan: Scan) -> bool:
    """Return whether a page was asked for, or a form of it sent."""
    pattern = re.compile(f"{route.method} {re.sub('<[^>]+>', '[^/]+', route.path)}")
    return any(pattern.fullmatch(asked.partition("?")[0]) for asked in scan.asked)


async def scanned(desk: DeskServer, browser: Browser) -> Scan:
    """Scan the pages of a clinic full of hostile texts, from every page that needs no record, and from every record."""
    await desk.write(hostile_clinic)
    scan = Scan(browser, PRIVATE)
    names = await desk.rows("SELECT id FROM reminders ORDER BY id")
    open_routes = [route for route in ROUTES if route.method == "GET" and "<" not in route.path]
    await scan.run(
        *(f"{route.path}?after=old" if route.is_part else route.path for route in open_routes),
        *(desk.address(row["id"]) for row in names),
    )
    return scan


async def upload(browser: Browser) -> None:
    """Leave a file to be taken or discarded."""
    page = await browser.get("/import")
    table = f"phone,at,message\n+12025550123,2026-03-05 10:30,{PATIENT} {HOSTILE}\n12,{HOSTILE},\n".encode()
    await browser.settled(await browser.submit(page, "/import", files={"file": (f"{PATIENT} {HOSTILE}.csv", table)}))


@pytest.mark.parametrize("role", list(Role))
async def test_our_pages_break_no_rule(tmp_path: Path, role: Role) -> None:
    async with desk_of(tmp_path, role=role, patience=PATIENCE) as desk:
        await upload(desk.browser)
        scan = await scanned(desk, desk.browser)
        assert sorted(set(scan.complaints))[:40] == []
        assert (await desk.browser.get("/")).form("/logout").text.startswith(NAME), "still logged in"
        allowed = [route for route in ROUTES if role is Role.ADMIN or route.role is Role.DESK]
        unasked = [route for route in allowed if not was_asked(route, scan) and route.path != "/logout"]
        assert unasked == [], "pages that no link leads to, or forms that no page has"


async def test_our_pages_break_no_rule_for_a_stranger_who_gets_no_further_than_the_log_in(tmp_path: Path) -> None:
    async with desk_of(tmp_path, patience=PATIENCE) as desk:
        scan = await scanned(desk, desk.another_browser())
        assert sorted(set(scan.complaints)) == []
        assert {path for path in scan.asked if path.startswith("POST")} == {"POST /login"}
        for private in PRIVATE:
            assert private not in "".join(scan.texts)


async def test_hostile_texts_are_shown_as_they_are(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await desk.write(hostile_clinic)
        today = await desk.browser.raw("GET", "/")
        assert shown(HOSTILE) in today.text
