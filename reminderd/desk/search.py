"""Search for reminders. What was searched for is encrypted in URLs, and is not in the audit.

Results show only the last digits of a number: a person who looks for a patient knows those. The whole number is on the
page of the reminder, and the audit records who opens it.
"""

from functools import partial
from typing import Final

from attrs import asdict, fields_dict
from quart import Response, request
from werkzeug.exceptions import NotFound

from reminderd.core.model import Response as Answer
from reminderd.core.model import Status
from reminderd.desk.catalog import N_
from reminderd.desk.context import Desk
from reminderd.desk.pages import PageRoute, form, place_asked, render, sealed, sealed_place, see_other, unsealed
from reminderd.desk.sessions import Visitor
from reminderd.staff.finding import FoundReminders, Search, SearchText, WrongSearchError, find, read_search
from reminderd.staff.report import outcome_of
from reminderd.staff.standing import standing_of
from reminderd.store.queries import ListPlace, name_of
from reminderd.store.rows import audit

PATH: Final = "/search"

_RESULTS: Final = f"{PATH}/results"
_FIELDS: Final = tuple(fields_dict(SearchText))
_NO_MISTAKES: Final[dict[str, str]] = {}


async def show(desk: Desk, visitor: Visitor) -> Response:
    """Show an empty form."""
    return await _shown(desk, visitor, SearchText())


async def search(desk: Desk, visitor: Visitor) -> Response:
    """Go on to what a search finds, or show what is wrong with it."""
    typed = form()
    text = SearchText(**{name: typed.text(name) for name in _FIELDS})
    try:
        _read(desk, text)
    except WrongSearchError as error:
        mistakes = {field: desk.catalog.sentence(what) for field, what in error.mistakes.items()}
        return await _shown(desk, visitor, text, mistakes=mistakes)
    asked = {name: one for name, one in asdict(text).items() if one}
    return see_other(f"{_RESULTS}?search={sealed(desk, asked)}")


async def results(desk: Desk, visitor: Visitor) -> Response:
    """Show a page of what a search finds, after the audit has recorded who searched."""
    text, after = _searched(desk), _after(desk)
    try:
        asked = _read(desk, text)
    except WrongSearchError:  # what was "today" may be wrong by now
        raise NotFound from None
    await desk.database.write(partial(audit, actor=visitor.name, act="search"))
    found = await desk.read(partial(find, search=asked, after=after))
    return await _shown(desk, visitor, text, found=found, is_first=after is None)


async def _shown(
    desk: Desk,
    visitor: Visitor,
    text: SearchText,
    *,
    mistakes: dict[str, str] = _NO_MISTAKES,
    found: FoundReminders | None = None,
    is_first: bool = True,
) -> Response:
    following = None
    if found is not None and found.following is not None:
        place = sealed_place(desk, found.following.at, found.following.id)
        following = f"{_RESULTS}?search={request.args['search']}&after={place}"
    return await render(
        desk,
        visitor,
        "search.html",
        status=400 if mistakes else 200,
        text=text,
        mistakes=mistakes,
        found=found,
        is_first=is_first,
        following=following,
        statuses=list(Status),
        answers=list(Answer),
        name_of=name_of,
        outcome_of=outcome_of,
        standing_of=standing_of,
    )


def _read(desk: Desk, text: SearchText) -> Search:
    today = desk.catalog.local_date(desk.clock.now())
    return read_search(text, country=desk.config.clinic.country, zone=desk.zone, today=today)


def _searched(desk: Desk) -> SearchText:
    """Return the search in the URL, which a form of ours has put there."""
    try:
        return SearchText(**unsealed(desk, request.args.get("search", "")))
    except TypeError:  # something else that a page of ours has put into a URL
        raise NotFound from None


def _after(desk: Desk) -> ListPlace | None:
    found = place_asked(desk)
    return None if found is None else ListPlace(*found)


ROUTES: Final = (
    PageRoute(method="GET", path=PATH, view=show, nav=N_("Search")),
    PageRoute(method="POST", path=PATH, view=search),
    PageRoute(method="GET", path=_RESULTS, view=results),
)
