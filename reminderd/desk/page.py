"""Provide what all pages share: routes, how a template becomes an answer, and parts that stay fresh."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

import trio
from attrs import frozen
from markupsafe import Markup
from quart import Response, g, request

from reminderd.core.logins import Role
from reminderd.core.sentences import TextValue
from reminderd.desk.state import Desk
from reminderd.store.threads import until_any
from reminderd.store.users import Session, drop_notice, set_notice
from reminderd.web.bodies import body_of

View: TypeAlias = Callable[..., Awaitable[Response]]
"""Answers a request; takes `(desk, visitor)`, where `visitor` is the session, and the parts of the path by name.
It can use `quart.request`."""

LONGEST_WAIT: Final = 25.0
"""Seconds after which a part is sent again though nothing was committed: proxies end requests that are silent for
longer, and what is late or due changes by itself."""

REFRESHED: Final = "refreshed"
"""In the query of a page that has reloaded itself, which does not show that anybody is there."""

SOON: Final = "300ms"
"""The pause before a part that was just shown asks again, and then waits for the next commit."""
LATER: Final = "10s"
"""The same pause if too many parts already wait."""

_MOST_OF_ONE: Final = 3
"""The most parts that wait for one session: browsers open only six connections, and pages need some, too."""
_MOST_OF_ALL: Final = 60


@frozen(kw_only=True)
class PageRoute:
    """One page, or one act."""

    method: str
    """`GET` shows, `POST` changes something."""
    path: str
    view: View
    role: Role = Role.DESK
    """The role that it requires."""
    nav: str = ""
    """The page's name in the navigation, marked with `N_`; empty if it is not listed there."""
    body_bytes: int = 64 * 1024
    """The size of the largest form."""
    reads_form: bool = True
    """Whether the form is read first. If not, the view itself receives it and checks its token: it has a large file."""
    is_part: bool = False
    """Whether the page itself asks for it, to stay up to date, which does not show that anybody is there."""


async def render(
    desk: Desk,
    visitor: Session | None,
    template: str,
    *,
    status: int = 200,
    **values: Any,  # noqa: ANN401 - whatever the template shows
) -> Response:
    """Answer with a template; a whole page also shows the notice of the act before it.

    It is filled in on a worker thread: a long page must not keep a webhook waiting.
    """
    notice = None if visitor is None or is_part() else visitor.notice
    reloaded = [(name, value) for name, value in request.args.items(multi=True) if name != REFRESHED]
    token = "" if visitor is None else visitor.csrf
    given = {
        "visitor": visitor,
        "clinic": desk.config.messages.clinic,
        "path": request.path,
        "refreshed": f"{request.path}?{urlencode([*reloaded, (REFRESHED, '1')])}",
        "notice": None if notice is None else notice.partition(":")[::2],
        "csrf_field": partial(Markup('<input type="hidden" name="csrf" value="{}">').format, token),
        "now": desk.clock.now(),
        **values,
    }
    found = desk.templates.get_template(template)
    text = await trio.to_thread.run_sync(partial(found.render, given), limiter=desk.base.rendering)
    if notice is not None and visitor is not None:
        await desk.database.write(partial(drop_notice, digest=visitor.digest, shown=notice))
    return Response(text, status, content_type="text/html; charset=utf-8")


async def redirect_with_notice(
    desk: Desk, visitor: Session, path: str, words: TextValue, *, kind: str = "success"
) -> Response:
    """Answer an act: send the browser to this path, whose page begins with these words.

    Args:
        desk: the pages' context.
        visitor: who has done it.
        path: the next page; it stays in histories and logs, so it must show nothing about a patient.
        words: what has happened.
        kind: `success`, or `error` if it was refused.
    """
    notice = f"{kind}:{desk.catalog.sentence(words)}"
    await desk.database.write(partial(set_notice, digest=visitor.digest, notice=notice))
    return see_other(path)


def see_other(path: str) -> Response:
    """Answer a form: the browser gets the page at this path, and sends nothing twice."""
    return Response("", 303, headers={"Location": path})


def is_part() -> bool:
    """Return whether the page in the browser asks for a part of itself."""
    return bool(g.get("is_part", default=False))


def template_of(name: str) -> str:
    """Return the template of a page that stays up to date, or of its part if only the part is requested."""
    return f"{name}_part.html" if is_part() else f"{name}.html"


@frozen(kw_only=True)
class Freshness:
    """How a part of a page stays up to date; the macro `fresh` needs it."""

    after: str
    """A mark of what the part shows."""
    pause: str
    """The pause before it asks for changes."""
    at: str
    """The time at which the part was up to date, as people read it."""


async def freshness(desk: Desk, visitor: Session, *, waits: bool) -> Freshness:
    """Return the mark of what is committed now; call this before reading anything that the part shows.

    With `waits`, as for a part that is requested alone, first wait for a commit, by any process, that the part does not
    show yet; but only for a while, and not for a browser that has hung up.
    """
    pause = SOON
    if waits:
        waiting, session = desk.base.waiting, visitor.digest
        if waiting.get(session, 0) >= _MOST_OF_ONE or sum(waiting.values()) >= _MOST_OF_ALL:
            pause = LATER
        else:
            waiting[session] = waiting.get(session, 0) + 1
            try:
                with trio.move_on_after(LONGEST_WAIT):
                    seen = request.args.get("after", "")
                    await until_any(partial(desk.changes.changed, seen), body_of(request.scope).hung_up)
            finally:
                waiting[session] -= 1
                if not waiting[session]:
                    del waiting[session]
    return Freshness(after=await desk.changes.now(), pause=pause, at=desk.catalog.time(desk.clock.now()))
