"""What all pages share: routes, what a form brings, how a template becomes an answer, and parts that stay fresh."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Final, TypeAlias
from urllib.parse import parse_qsl, urlencode

import trio
from attrs import frozen
from markupsafe import Markup
from quart import Response, g, request
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import BadRequest, NotFound, RequestEntityTooLarge, RequestTimeout, ServiceUnavailable

from reminderd.core.logins import Role
from reminderd.desk.context import Desk
from reminderd.desk.sessions import Visitor
from reminderd.store.feed import until_any
from reminderd.store.queries import ListPlace
from reminderd.store.rows import from_ms, to_ms
from reminderd.store.users import drop_notice, set_notice
from reminderd.web.bodies import IncompleteError, NoMemoryLeftError, TooLargeError, body_of

View: TypeAlias = Callable[..., Awaitable[Response]]
"""Answers a request with `(desk, visitor)`, and the parts of its path by name. `quart.request` is at hand inside."""

USUAL_BYTES: Final = 64 * 1024
"""What a form may have, if its route says nothing else."""

LONGEST_WAIT: Final = 25.0
"""Seconds after which a part is sent again though nothing was committed: proxies end what is silent for longer, and
what is late or due changes by itself."""

REFRESHED: Final = "refreshed"
"""Is in the query of a page that has reloaded itself: that is no sign that anybody is there."""

_MOST_OF_ONE: Final = 3
"""Parts that wait for one session: browsers open only six connections, and pages need those, too."""
_MOST_OF_ALL: Final = 60
_SECONDS_OF_A_BODY: Final = 60.0
_MOST_MS: Final = 10**14
_MOST_FIELDS: Final = 2_000
_FORM: Final = "application/x-www-form-urlencoded"

SOON: Final = "300ms"
"""When a part that was just shown asks again, and then waits for the next commit."""
LATER: Final = "10s"
"""The same where too many wait already."""


@frozen(kw_only=True)
class PageRoute:
    """One page, or one act."""

    method: str
    """`GET` shows, `POST` changes something."""
    path: str
    view: View
    role: Role = Role.DESK
    """Who may."""
    nav: str = ""
    """The page's name in the navigation, marked with `N_`; empty: it is not in there."""
    body_bytes: int = USUAL_BYTES
    """The longest form."""
    reads_form: bool = True
    """False: the view receives the form itself, and checks its token, as there is a large file in it."""
    is_part: bool = False
    """Whether the page itself asks for it, to stay up to date: that is no sign that anybody is there."""


@frozen
class SentForm:
    """What a form brings."""

    fields: MultiDict[str, str]

    def text(self, name: str) -> str:
        """Return what was written in a field, without the blanks around it; empty if nothing was."""
        return self.fields.get(name, "").strip()


async def read_form(most_bytes: int) -> SentForm:
    """Return what the request's form brings; a body that is not a form brings nothing.

    Raises:
        HTTPException: it is too large, or did not arrive.
    """
    body = body_of(request.scope)
    body.limit = most_bytes
    try:
        content = await body.read(_SECONDS_OF_A_BODY)
    except TooLargeError:
        raise RequestEntityTooLarge from None
    except (trio.TooSlowError, IncompleteError):
        raise RequestTimeout from None
    except NoMemoryLeftError:
        raise ServiceUnavailable from None
    try:
        text = content.decode() if request.mimetype == _FORM else ""
        fields = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:  # not UTF-8, or too many fields
        raise BadRequest from None
    if any("\0" in value for _, value in fields):  # nobody types it, and not every engine can store it
        raise BadRequest
    return SentForm(MultiDict(fields))


def form() -> SentForm:
    """Return what the form of this request brings; the token in it is checked already."""
    found: SentForm = g.form
    return found


async def render(
    desk: Desk,
    visitor: Visitor | None,
    template: str,
    *,
    status: int = 200,
    **values: Any,  # noqa: ANN401 - whatever the template shows
) -> Response:
    """Answer with a template; with the notice of the act before it, if it is a whole page.

    It is filled in on a worker thread: a long page must not keep a webhook waiting.
    """
    notice = None if is_part() else _notice(visitor)
    given = {
        "visitor": visitor,
        "clinic": desk.config.messages.clinic,
        "path": request.path,
        "refreshed": _refreshed(),
        "notice": notice,
        "csrf_field": partial(_csrf_field, visitor),
        "now": desk.clock.now(),
        **values,
    }
    found = desk.templates.get_template(template)
    text = await trio.to_thread.run_sync(partial(found.render, given), limiter=desk.base.rendering)
    if notice is not None and visitor is not None:
        shown = visitor.session.notice or ""
        await desk.database.write(partial(drop_notice, digest=visitor.session.digest, shown=shown))
    return Response(text, status, content_type="text/html; charset=utf-8")


async def done(desk: Desk, visitor: Visitor, path: str, words: str, *, kind: str = "success") -> Response:
    """Answer an act: go on at this path, whose page begins with these words.

    Args:
        desk: the pages' context.
        visitor: who has done it.
        path: where to go on; it stays in histories and logs, so it must show nothing of a patient.
        words: what has happened, in the pages' language.
        kind: `success`, or `error` if it was refused.
    """
    await desk.database.write(partial(set_notice, digest=visitor.session.digest, notice=f"{kind}:{words}"))
    return see_other(path)


def see_other(path: str) -> Response:
    """Answer a form: the browser gets the page at this path, and sends nothing twice."""
    return Response("", 303, headers={"Location": path})


def sealed(desk: Desk, value: object) -> str:
    """Return a value, which JSON can hold, as it may stand in a URL: encrypted, as ids of records are."""
    return desk.base.addresses.locked(json.dumps(value))


def unsealed(desk: Desk, text: str) -> Any:  # noqa: ANN401 - any value
    """Return the value that `sealed` was given.

    Raises:
        NotFound: no page of ours has put this into a URL.
    """
    found = desk.base.addresses.unlocked(text)
    try:
        return json.loads(found or "")
    except ValueError:  # the address of a record, or a URL that somebody has changed
        raise NotFound from None


def sealed_place(desk: Desk, place: ListPlace) -> str:
    """Return where a page of a list ends, as `after` in the URL of the next one."""
    return sealed(desk, [to_ms(place.at), place.id])


def place_asked(desk: Desk) -> ListPlace | None:
    """Return where the page before this one of a list ended; None: it is the first one.

    Raises:
        NotFound: no page of ours has put this into the URL.
    """
    if "after" not in request.args:
        return None
    match unsealed(desk, request.args["after"]):
        case [int(at), str(key)] if abs(at) < _MOST_MS:
            return ListPlace(from_ms(at), key)
    raise NotFound


def is_part() -> bool:
    """Return whether the page in the browser asks for a part of itself."""
    return bool(g.get("is_part", default=False))


def _notice(visitor: Visitor | None) -> tuple[str, str] | None:
    """Return the kind and the words of what the next page begins with."""
    if visitor is None or visitor.session.notice is None:
        return None
    kind, _, words = visitor.session.notice.partition(":")
    return kind, words


def _refreshed() -> str:
    """Return the URL with which a page without JavaScript reloads itself."""
    args = [(name, value) for name, value in request.args.items(multi=True) if name != REFRESHED]
    return f"{request.path}?{urlencode([*args, (REFRESHED, '1')])}"


def _csrf_field(visitor: Visitor | None) -> Markup:
    """Return the hidden field that every form with `method="post"` needs."""
    token = "" if visitor is None else visitor.csrf
    return Markup('<input type="hidden" name="csrf" value="{}">').format(token)


@frozen(kw_only=True)
class Freshness:
    """How a part of a page stays up to date; the macro `fresh` needs it."""

    after: str
    """A mark of what the part shows."""
    pause: str
    """When it asks for what has changed since."""
    at: str
    """The time of what it shows, for people."""


async def freshness(desk: Desk) -> Freshness:
    """Return the mark of what is committed now; to be called before anything is read that the part shows."""
    return Freshness(after=await desk.changes.now(), pause=SOON, at=desk.catalog.time(desk.clock.now()))


async def next_freshness(desk: Desk, visitor: Visitor) -> Freshness:
    """Wait until there is something that the part in the browser does not show yet; then return the new mark.

    It waits for a commit of any process; but only for a while, and not for a browser that has hung up.
    """
    waiting, session = desk.base.waiting, visitor.session.digest
    if waiting.get(session, 0) >= _MOST_OF_ONE or sum(waiting.values()) >= _MOST_OF_ALL:
        return Freshness(after=await desk.changes.now(), pause=LATER, at=desk.catalog.time(desk.clock.now()))
    waiting[session] = waiting.get(session, 0) + 1
    try:
        with trio.move_on_after(LONGEST_WAIT):
            seen = request.args.get("after", "")
            await until_any(partial(desk.changes.changed, seen), body_of(request.scope).hung_up)
    finally:
        waiting[session] -= 1
        if not waiting[session]:
            del waiting[session]
    return await freshness(desk)
