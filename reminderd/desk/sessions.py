"""Who is logged in: the browser's cookie, and what protects staff from forms of other sites."""

import hmac
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final
from urllib.parse import urlsplit

from attrs import frozen
from quart import Response, request

from reminderd.core.logins import Role, is_touched
from reminderd.desk.context import Desk
from reminderd.store.errors import StoreUnavailableError
from reminderd.store.users import Session, digest_of, session_of, touch

COOKIE: Final = "__Host-reminderd"
"""Only this host gets it, over HTTPS or on this machine, no script reads it, and no other site's request carries it."""


@frozen
class Visitor:
    """The person who is logged in."""

    session: Session

    @property
    def name(self) -> str:
        """The user, as `audit` names who did something."""
        return self.session.user_name

    @property
    def role(self) -> Role:
        """What the user may do."""
        return self.session.role

    @property
    def csrf(self) -> str:
        """What every form of this session carries, and no other site knows."""
        return self.session.csrf

    @property
    def is_admin(self) -> bool:
        """Whether the user may also do what is left to admins."""
        return self.role is Role.ADMIN

    def may(self, role: Role) -> bool:
        """Return whether the user may do what this role may."""
        return role is Role.DESK or self.is_admin


async def visitor_of(desk: Desk, *, is_in_use: bool) -> Visitor | None:
    """Return who has sent the request; None: nobody who is logged in.

    Args:
        desk: the pages' context.
        is_in_use: whether a person has asked; a page that keeps itself up to date does not keep a session from ending.
    """
    token = request.cookies.get(COOKIE, "")
    if not token:
        return None
    now, idle = desk.clock.now(), timedelta(minutes=desk.config.desk.idle_minutes)
    session = await desk.read(partial(session_of, now=now, digest=digest_of(token), idle=idle))
    if session is None:
        return None
    if is_in_use and is_touched(session.seen_at, now):
        with suppress(StoreUnavailableError):  # what staff want to see is more important
            await desk.database.write(partial(touch, digest=session.digest), wait=False)
    return Visitor(session)


def is_from_elsewhere() -> bool:
    """Return whether the browser says that another site has sent this request, by a form or a script."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    origin = request.headers.get("Origin")
    return site not in {"same-origin", "none"} or (origin is not None and urlsplit(origin).netloc != request.host)


def has_token(visitor: Visitor, token: str) -> bool:
    """Return whether a form carries the token of the visitor's session."""
    return hmac.compare_digest(visitor.csrf.encode(), token.encode(errors="surrogatepass"))


def set_cookie(response: Response, name: str, value: str) -> None:
    """Give the browser a cookie until it is closed."""
    response.set_cookie(name, value, secure=True, httponly=True, samesite="Strict", path="/")


def drop_cookie(response: Response, name: str) -> None:
    """Have the browser forget a cookie."""
    response.delete_cookie(name, secure=True, httponly=True, samesite="Strict", path="/")
