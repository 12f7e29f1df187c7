"""Log in and out."""

import hmac
from functools import partial
from secrets import token_urlsafe
from typing import Final

from quart import Response, request

from reminderd.core.wrong_tokens import client_address
from reminderd.desk.catalog import N_
from reminderd.desk.context import Desk
from reminderd.desk.log_ins import Attempt, LogInRefused, RefusalCode
from reminderd.desk.pages import PageRoute, form, render, see_other
from reminderd.desk.sessions import COOKIE, Visitor, drop_cookie, set_cookie, visitor_of
from reminderd.store.users import close_session

PATH: Final = "/login"

_FORM_COOKIE: Final = "__Host-reminderd-login"
"""Shows, with its signature in the form, that the browser that logs in is the one that was given the form."""
_FORM_BYTES: Final = 4_096
_LONGEST_TOKEN: Final = 64
_SECONDS_ARE_SHOWN: Final = 100
_FORWARDED: Final = b"x-forwarded-for"

_STALE: Final = N_("The page was open for too long, or the browser keeps no cookies. Please log in again.")
_WRONG: Final = N_("The name, the password or the code is wrong.")
_BUSY: Final = N_("Too many people are logging in at the same time. Try again in a few seconds.")


async def show(desk: Desk) -> Response:
    """Show the form; a user who is logged in already goes to the pages."""
    if await visitor_of(desk, is_in_use=True) is not None:
        return see_other(_next(request.args.get("next", "")))
    return await _form(desk, next_path=request.args.get("next", ""))


async def log_in(desk: Desk) -> Response:
    """Log in, and go on to the page that was asked for."""
    typed = form()
    next_path = typed.text("next")
    given, signed = request.cookies.get(_FORM_COOKIE, ""), typed.text("form")
    if not given or not hmac.compare_digest(desk.base.addresses.signature(given).encode(), signed.encode()):
        return await _form(desk, next_path=next_path, name=typed.text("name"), words=desk.catalog.gettext(_STALE))
    attempt = Attempt(
        name=typed.text("name"),
        password=typed.fields.get("password", ""),
        code=typed.text("code"),
        address=address_of_client(desk),
    )
    found = await desk.base.log_ins.log_in(attempt)
    if isinstance(found, LogInRefused):
        words = _refusal(desk, found)
        return await _form(desk, next_path=next_path, name=typed.text("name"), words=words)
    former = await visitor_of(desk, is_in_use=False)
    if former is not None:  # the browser forgets its cookie, so that nobody could end that session
        await desk.database.write(partial(close_session, session=former.session))
    response = see_other(_next(next_path))
    set_cookie(response, COOKIE, found)
    drop_cookie(response, _FORM_COOKIE)
    return response


async def log_out(desk: Desk, visitor: Visitor) -> Response:
    """Log out: the session has ended for everybody who has its cookie."""
    await desk.database.write(partial(close_session, session=visitor.session))
    desk.base.uploads.leave(visitor.session.digest)
    response = see_other(PATH)
    drop_cookie(response, COOKIE)
    return response


def address_of_client(desk: Desk) -> str:
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
        signature=desk.base.addresses.signature(token),
        next_path=_next(next_path),
        name=name,
        words=words,
    )
    set_cookie(response, _FORM_COOKIE, token)
    return response


def _refusal(desk: Desk, refused: LogInRefused) -> str:
    """Return why nobody was logged in, and when the next try makes sense."""
    texts = desk.catalog
    found = [texts.gettext(_WRONG)] if refused.code is RefusalCode.WRONG else []
    if refused.code is RefusalCode.BUSY:
        found.append(texts.gettext(_BUSY))
    if refused.until is not None:
        seconds = max(1, round((refused.until - desk.clock.now()).total_seconds()))
        minutes = -(-seconds // 60)
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
                minutes,
            )
        )
    return " ".join(found)


def _next(path: str) -> str:
    """Return where to go after the log-in: a page of ours, and nothing that leads to another server."""
    is_ours = path.startswith("/") and not path.startswith(("//", "/\\")) and path.isprintable() and path.isascii()
    return path if is_ours and not path.startswith(PATH) else "/"


OPEN_ROUTES: Final = (
    PageRoute(method="GET", path=PATH, view=show),
    PageRoute(method="POST", path=PATH, view=log_in, body_bytes=_FORM_BYTES),
)
"""The routes that need no session."""

ROUTES: Final = (PageRoute(method="POST", path="/logout", view=log_out),)
