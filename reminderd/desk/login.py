"""Log users in and out, find out who is logged in, and protect staff from forms of other sites."""

import hmac
from contextlib import suppress
from datetime import timedelta
from functools import partial
from secrets import token_urlsafe
from typing import Final
from urllib.parse import urlsplit

from quart import Response, request

from reminderd.core.logins import is_use_to_be_recorded
from reminderd.core.wrong_tokens import client_address
from reminderd.desk.catalog import N_
from reminderd.desk.credentials import LogInAttempt, LogInRefused, RefusalCode
from reminderd.desk.page import PageRoute, render, see_other
from reminderd.desk.receiving import form
from reminderd.desk.state import Desk
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.users import Session, close_session, digest_of, record_use, session_of

PATH: Final = "/login"

COOKIE: Final = "__Host-reminderd"
"""The session's cookie: sent only to this host, over HTTPS or on this machine; hidden from scripts and other sites."""
_FORM_COOKIE: Final = "__Host-reminderd-login"
"""Shows, with its signature in the form, that the browser that logs in is the browser that got the form."""
_FORM_BYTES: Final = 4_096
_LONGEST_TOKEN: Final = 64
_SECONDS_ARE_SHOWN: Final = 100
_FORWARDED: Final = b"x-forwarded-for"

_STALE: Final = N_("The page was open for too long, or the browser keeps no cookies. Please log in again.")
_WRONG: Final = N_("The name, the password or the code is wrong.")
_BUSY: Final = N_("Too many people are logging in at the same time. Try again in a few seconds.")


async def visitor_of(desk: Desk, *, is_in_use: bool) -> Session | None:
    """Return the session of the person who has sent the request; None if nobody is logged in.

    Args:
        desk: the pages' context.
        is_in_use: whether a person has asked: a page that refreshes itself does not keep a session from ending.
    """
    token = request.cookies.get(COOKIE, "")
    if not token:
        return None
    now, idle = desk.clock.now(), timedelta(minutes=desk.config.desk.idle_minutes)
    session = await desk.read(partial(session_of, now=now, digest=digest_of(token), idle=idle))
    if session is not None and is_in_use and is_use_to_be_recorded(session.seen_at, now):
        with suppress(StoreUnavailableError):  # what staff want to see is more important
            await desk.database.write(partial(record_use, digest=session.digest), wait=False)
    return session


def is_from_elsewhere() -> bool:
    """Return whether the browser reports that a form or a script of another site has sent this request."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    origin = request.headers.get("Origin")
    return site not in {"same-origin", "none"} or (origin is not None and urlsplit(origin).netloc != request.host)


def has_token(visitor: Session, token: str) -> bool:
    """Return whether a form carries the token of the visitor's session."""
    return hmac.compare_digest(visitor.csrf.encode(), token.encode(errors="surrogatepass"))


async def show(desk: Desk) -> Response:
    """Show the form; send a user who is already logged in to the pages."""
    if await visitor_of(desk, is_in_use=True) is not None:
        return see_other(_next(request.args.get("next", "")))
    return await _form(desk, next_path=request.args.get("next", ""))


async def log_in(desk: Desk) -> Response:
    """Log in, and go to the requested page."""
    typed = form()
    name, next_path = typed.text("name"), typed.text("next")
    given, signed = request.cookies.get(_FORM_COOKIE, ""), typed.text("form")
    if not given or not hmac.compare_digest(desk.addresses.signature(given).encode(), signed.encode()):
        return await _form(desk, next_path=next_path, name=name, words=_STALE)
    password, code = typed.fields.get("password", ""), typed.text("code")
    attempt = LogInAttempt(name=name, password=password, code=code, address=_address_of_client(desk))
    found = await desk.base.log_ins.log_in(attempt)
    if isinstance(found, LogInRefused):
        return await _form(desk, next_path=next_path, name=name, words=_refusal(desk, found))
    former = await visitor_of(desk, is_in_use=False)
    if former is not None:  # the browser forgets this session's cookie, so nobody could end it later
        await desk.database.write(partial(close_session, session=former))
    response = see_other(_next(next_path))
    _set_cookie(response, COOKIE, found)
    _drop_cookie(response, _FORM_COOKIE)
    return response


async def log_out(desk: Desk, visitor: Session) -> Response:
    """Log out: the session ends for everybody who has its cookie."""
    await desk.database.write(partial(close_session, session=visitor))
    desk.base.uploads.leave(visitor.digest)
    response = see_other(PATH)
    _drop_cookie(response, COOKIE)
    return response


def _address_of_client(desk: Desk) -> str:
    """Return the address of the client, as the trusted proxies report it."""
    peer = (request.scope.get("client") or ("unknown",))[0]
    forwarded = [value.decode("latin-1") for name, value in request.scope["headers"] if name == _FORWARDED]
    return client_address(peer, forwarded, desk.trusted)


async def _form(desk: Desk, *, next_path: str, name: str = "", words: str = "") -> Response:
    token = request.cookies.get(_FORM_COOKIE, "")[:_LONGEST_TOKEN] or token_urlsafe(16)  # two forms may be open
    response = await render(
        desk,
        None,
        "login.html",
        status=401 if words else 200,
        signature=desk.addresses.signature(token),
        next_path=_next(next_path),
        name=name,
        words=words,
    )
    _set_cookie(response, _FORM_COOKIE, token)
    return response


def _refusal(desk: Desk, refused: LogInRefused) -> str:
    """Return why nobody was logged in, and when the next try makes sense."""
    texts = desk.catalog
    found = [texts.gettext(_WRONG)] if refused.code is RefusalCode.WRONG else []
    if refused.code is RefusalCode.BUSY:
        found.append(texts.gettext(_BUSY))
    if refused.until is not None:
        seconds = max(1, round((refused.until - desk.clock.now()).total_seconds()))
        found.append(
            texts.ngettext(
                "There were too many failed log-ins: try again in %(num)s second.",
                "There were too many failed log-ins: try again in %(num)s seconds.",
                seconds,
            )
            if seconds < _SECONDS_ARE_SHOWN
            else texts.ngettext(
                "There were too many failed log-ins: try again in %(num)s minute.",
                "There were too many failed log-ins: try again in %(num)s minutes.",
                -(-seconds // 60),
            )
        )
    return " ".join(found)


def _next(path: str) -> str:
    """Return the path after the log-in: a page of ours, and nothing that leads to another server."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and path.isascii()
    return path if is_ours and not path.startswith(PATH) else "/"


def _set_cookie(response: Response, name: str, value: str) -> None:
    """Give the browser a cookie until it is closed."""
    response.set_cookie(name, value, secure=True, httponly=True, samesite="Strict", path="/")


def _drop_cookie(response: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(name, secure=True, httponly=True, samesite="Strict", path="/")


OPEN_ROUTES: Final = (
    PageRoute(method="GET", path=PATH, view=show),
    PageRoute(method="POST", path=PATH, view=log_in, body_bytes=_FORM_BYTES),
)
"""The routes that need no session."""

ROUTES: Final = (PageRoute(method="POST", path="/logout", view=log_out),)
