"""Build the app of the pages: which path leads where, who may go there, and what every answer carries."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final
from urllib.parse import quote

from loguru import logger
from quart import Response, g, request
from quart_trio import QuartTrio
from werkzeug.exceptions import HTTPException

from reminderd.core.logins import Role
from reminderd.core.sentences import Sentence, TextValue
from reminderd.desk import add, import_page, login, opt_out_page, record, report_page, search, system, today
from reminderd.desk.catalog import N_
from reminderd.desk.login import has_token, is_from_elsewhere, visitor_of
from reminderd.desk.page import REFRESHED, PageRoute, render, see_other
from reminderd.desk.receiving import read_form
from reminderd.desk.state import Desk
from reminderd.desk.templating import static_file
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.users import Session, has_users
from reminderd.web.bodies import RequestLimits, with_bounded_bodies

ROUTES: Final[tuple[PageRoute, ...]] = (
    *today.ROUTES,
    *search.ROUTES,
    *add.ROUTES,
    *import_page.ROUTES,
    *record.ROUTES,
    *opt_out_page.ROUTES,
    *report_page.ROUTES,
    *system.ROUTES,
    *login.ROUTES,
)
"""Every page and act, in the order of the navigation."""

_LIMITS: Final = RequestLimits(body_bytes=max(route.body_bytes for route in ROUTES))

_CONTENT: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
_HEADERS: Final = {
    "Cache-Control": "no-store",  # a patient's record stays on no disk
    "Content-Security-Policy": _CONTENT,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "same-origin",  # with `no-referrer`, browsers would not report a form's site either
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}

_FAILURES: Final = {
    400: N_("The page could not read what the browser sent. Go back and try again."),
    403: N_("This form was not sent by a page of this server, or the page was open for too long. Open it again."),
    404: N_("There is no such page. It may be an old bookmark, or the record was deleted."),
    405: N_("This page can't be used like that."),
    408: N_("The form did not arrive in time. Nothing was changed; try again."),
    413: N_("What was sent is too large. Nothing was changed."),
    500: N_("Unexpected error. Nothing more was changed; the log has the details for the admin."),
    503: N_("The database can't be used right now. Try again in a minute; if it stays like this, ask the admin."),
}
_NO_ACCOUNT: Final = Sentence(
    "No account exists yet: on the server, run %(command)s.", {"command": "reminderd user add NAME --role admin"}
)
_NOT_ALLOWED: Final = N_("Only an admin may do this. Ask one, or log in as one.")


def build_desk_app(desk: Desk) -> QuartTrio:
    """Return the app that answers with the pages, to users who are logged in."""
    app = QuartTrio("reminderd.desk", static_folder=None, template_folder=None)
    app.config["RESPONSE_TIMEOUT"] = None  # the connection bounds how long a client may take to receive its answer
    app.url_map.merge_slashes = False
    app.after_request(_with_headers)
    app.register_error_handler(HTTPException, partial(_http_error, desk))
    app.register_error_handler(StoreUnavailableError, partial(_store_error, desk))
    app.register_error_handler(StoreUnusableError, partial(_store_error, desk))
    app.register_error_handler(Exception, partial(_unexpected_error, desk))
    for route in ROUTES:
        _add(app, route, partial(_answer, desk, route))
    for route in login.OPEN_ROUTES:
        _add(app, route, partial(_answer_anybody, desk, route))
    app.add_url_rule("/static/<name>", "static", static_file, methods=["GET"], provide_automatic_options=False)
    desk.templates.globals["nav"] = [(route.nav, route.path) for route in ROUTES if route.nav]
    return with_bounded_bodies(app, _LIMITS)


def _add(app: QuartTrio, route: PageRoute, view: Callable[..., Awaitable[Response]]) -> None:
    name = f"{route.method} {route.path}"
    app.add_url_rule(route.path, name, view, methods=[route.method], provide_automatic_options=False)


async def _answer(desk: Desk, route: PageRoute, **named: str) -> Response:
    """Answer a logged-in user who has the role for it."""
    g.is_part = route.is_part
    if not await desk.read(has_users):
        return await _failure(desk, 503, _NO_ACCOUNT)
    visitor = await visitor_of(desk, is_in_use=not route.is_part and REFRESHED not in request.args)
    if visitor is None:
        return _to_log_in(route)
    if route.role is not Role.DESK and visitor.role is not Role.ADMIN:
        return await _failure(desk, 403, _NOT_ALLOWED, visitor)
    if route.method == "POST":
        if is_from_elsewhere():
            return await _failure(desk, 403, visitor=visitor)
        if route.reads_form:
            g.form = await read_form(route.body_bytes)
            if await visitor_of(desk, is_in_use=False) is None:
                return _to_log_in(route)  # the session has ended while the form arrived
            if not has_token(visitor, g.form.text("csrf")):
                return await _failure(desk, 403, visitor=visitor)
    response = await route.view(desk, visitor, **named)
    if route.is_part and await visitor_of(desk, is_in_use=False) is None:
        return _to_log_in(route)  # the session has ended during the wait for a change
    return response


async def _answer_anybody(desk: Desk, route: PageRoute) -> Response:
    """Answer somebody who is not logged in yet."""
    if not await desk.read(has_users):
        return await _failure(desk, 503, _NO_ACCOUNT)
    if route.method == "POST":
        if is_from_elsewhere():
            return await _failure(desk, 403)
        g.form = await read_form(route.body_bytes)
    return await route.view(desk)


def _to_log_in(route: PageRoute) -> Response:
    """Send somebody to log in, and then back to the page that was asked for."""
    if route.is_part:  # the browser must leave the whole page: its session has ended
        return Response("", 401, headers={"HX-Redirect": login.PATH})
    path = request.full_path.rstrip("?") if route.method == "GET" else "/"
    return see_other(login.PATH if path == "/" else f"{login.PATH}?next={quote(path, safe='')}")


async def _with_headers(response: Response) -> Response:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _failure(desk: Desk, status: int, words: TextValue = "", visitor: Session | None = None) -> Response:
    words = words or _FAILURES.get(status, _FAILURES[400])
    return await render(desk, visitor, "failure.html", status=status, words=words)


async def _http_error(desk: Desk, error: HTTPException) -> Response:
    """Answer a request that the framework or a page refuses, such as an unknown path or a form that is too large."""
    visitor = None
    with suppress(StoreUnavailableError):
        visitor = await visitor_of(desk, is_in_use=False)
    return await _failure(desk, error.code or 500, visitor=visitor)


async def _store_error(desk: Desk, error: StoreUnavailableError | StoreUnusableError) -> Response:
    logger.warning(f"the pages can't use the database: {error}")
    return await _failure(desk, 503)


async def _unexpected_error(desk: Desk, error: Exception) -> Response:
    """Answer that there was an unexpected error, and log it without the path, which may name a record."""
    logger.opt(exception=error).error(f"unexpected error in a page: {request.method} {request.url_rule}")
    return await _failure(desk, 500)
