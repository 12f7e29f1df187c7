"""Search for reminders by what staff know about them: a name, last digits of a number, days, a status, an answer.

The search text is encrypted in URLs, and is not in the audit. Results show only the last digits of a number, which
a person who looks for a patient knows. The whole number is on the page of the reminder, and the audit records who
opens that page.
"""

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

from attrs import asdict, evolve, fields_dict, frozen
from quart import Response, request
from werkzeug.exceptions import NotFound

from reminderd.core.model import Response as PatientResponse
from reminderd.core.model import Status
from reminderd.core.phone import number_or_none
from reminderd.core.requests import REF_LIMIT, is_name, normal_name
from reminderd.core.schedule.dates import DAY, day_of, midnight
from reminderd.core.sentences import Sentence
from reminderd.desk.catalog import N_
from reminderd.desk.page import PageRoute, render, see_other
from reminderd.desk.receiving import form
from reminderd.desk.state import Desk
from reminderd.staff.standing import outcome_of_row, standing_of
from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.queries import (
    LEAST_DIGITS,
    MOST_NAMED,
    ListPlace,
    ReminderFilter,
    ShownValue,
    ids_named,
    list_reminders,
    name_of,
)
from reminderd.store.users import Session

PATH: Final = "/search"
A_PAGE: Final = 50
NOT_DIGITS: Final = Sentence("expected the last digits of a phone number, at least 4 of them")

_RESULTS: Final = f"{PATH}/results"
_BETWEEN_DIGITS: Final = frozenset(" +-./()")
_NO_MISTAKES: Final[Mapping[str, Sentence]] = {}


@frozen(kw_only=True)
class SearchText:
    """A search as it was written; empty fields are not searched."""

    name: str = ""
    """The id or `ref` of a reminder or its appointment, or the clinic's own name for the patient."""
    digits: str = ""
    """The last digits of a phone number, or a whole number."""
    first: str = ""
    """The first day, as `day_of` reads it."""
    last: str = ""
    """The last day."""
    status: str = ""
    response: str = ""


@frozen(kw_only=True)
class Search:
    """A search that was read from its text."""

    name: str | None
    endings: tuple[str, ...]
    """Possible endings of the number: the first that any number has is searched. Empty if every number matches."""
    wanted: ReminderFilter
    """The other conditions."""


@frozen(kw_only=True)
class FoundReminders:
    """A page of what was found, newest first."""

    rows: list[dict[str, ShownValue]]
    following: ListPlace | None
    """Where the next page begins; None on the last page."""
    has_too_many_names: bool
    """Whether so many reminders have the name that not all of them were looked up."""


class WrongSearchError(Exception):
    """The search can't be read; `mistakes` has what is wrong, by field. An empty field name stands for all fields."""

    def __init__(self, mistakes: Mapping[str, Sentence]) -> None:
        super().__init__(", ".join(mistakes))
        self.mistakes = mistakes


async def show(desk: Desk, visitor: Session) -> Response:
    """Show an empty form."""
    return await _shown(desk, visitor, SearchText())


async def search(desk: Desk, visitor: Session) -> Response:
    """Go to the results of a search, or show what is wrong with it."""
    typed = form()
    text = SearchText(**{name: typed.text(name) for name in fields_dict(SearchText)})
    try:
        _read(desk, text)
    except WrongSearchError as error:
        return await _shown(desk, visitor, text, mistakes=error.mistakes)
    asked = {name: one for name, one in asdict(text).items() if one}
    return see_other(f"{_RESULTS}?search={desk.addresses.encrypted(asked)}")


async def results(desk: Desk, visitor: Session) -> Response:
    """Show a page of results, after the audit has recorded who searched."""
    after = desk.addresses.place_asked()
    try:
        text = SearchText(**desk.addresses.decrypted(request.args.get("search", "")))
    except TypeError:  # encrypted for another of our pages
        raise NotFound from None
    try:
        asked = _read(desk, text)
    except WrongSearchError:  # its "today" is another day by now
        raise NotFound from None
    await desk.database.write(partial(audit, actor=visitor.user_name, act="search"))
    found = await desk.read(partial(find, search=asked, after=after))
    return await _shown(desk, visitor, text, found=found, is_first=after is None)


async def _shown(
    desk: Desk,
    visitor: Session,
    text: SearchText,
    *,
    mistakes: Mapping[str, Sentence] = _NO_MISTAKES,
    found: FoundReminders | None = None,
    is_first: bool = True,
) -> Response:
    following = None
    if found is not None and found.following is not None:
        following = (
            f"{_RESULTS}?search={request.args['search']}&after={desk.addresses.encrypted_place(found.following)}"
        )
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
        answers=list(PatientResponse),
        name_of=name_of,
        outcome_of_row=outcome_of_row,
        standing_of=standing_of,
    )


def _read(desk: Desk, text: SearchText) -> Search:
    today = desk.catalog.local_date(desk.clock.now())
    return read_search(text, country=desk.config.clinic.country, zone=desk.zone, today=today)


def read_search(text: SearchText, *, country: str, zone: ZoneInfo, today: date) -> Search:
    """Read a search.

    Raises:
        WrongSearchError: something in it is wrong; every mistake is listed.
    """
    wrong: dict[str, Sentence] = {}
    name = normal_name(text.name)
    if text.name and not is_name(text.name, name):
        limit = {"most": str(REF_LIMIT)}
        wrong["name"] = Sentence("not a name; expected 1 to %(most)s printable characters", limit)
    endings = () if not text.digits else number_endings(text.digits, country)
    if text.digits and not endings:
        wrong["digits"] = NOT_DIGITS
    days: dict[str, date] = {}
    for field, written in (("first", text.first), ("last", text.last)):
        try:
            days |= {field: day_of(written, today)} if written else {}
        except ValueError as error:
            wrong[field] = Sentence(str(error))
    if len(days) > 1 and days["last"] < days["first"]:
        wrong["last"] = Sentence("before the first day; expected the same day or a later one")
    for field, written, words in (("status", text.status, Status), ("response", text.response, PatientResponse)):
        if written and written not in set(words):
            wrong[field] = Sentence("unknown; choose one of the list")
    if not wrong and text == SearchText():
        wrong[""] = Sentence("Fill in at least one field.")
    if wrong:
        raise WrongSearchError(wrong)
    wanted = ReminderFilter(
        status=Status(text.status) if text.status else None,
        response=text.response or None,
        since=midnight(days["first"], zone) if "first" in days else None,
        until=midnight(days["last"] + DAY, zone) if "last" in days else None,
    )
    return Search(name=name or None, endings=endings, wanted=wanted)


def number_endings(text: str, country: str) -> tuple[str, ...]:
    """Return the possible endings of the number that somebody looks for, most likely first; empty without a number.

    A whole number, as it is dialed in the clinic's country, is found in its stored form. The same digits may also be
    the end of another number.
    """
    written = normal_name(text)
    whole = number_or_none(written, country)
    digits = "".join(one for one in written if one not in _BETWEEN_DIGITS)
    is_ending = digits.isascii() and digits.isdigit() and len(digits) >= LEAST_DIGITS
    found = ([] if whole is None else [whole.removeprefix("+")]) + [digits] * is_ending
    return tuple(dict.fromkeys(found))


def find(connection: Connection, *, search: Search, after: ListPlace | None = None) -> FoundReminders:
    """Return a page of the reminders that a search finds, newest first.

    Args:
        connection: in a transaction.
        search: what is asked for.
        after: where the previous page ended; None for the first page.
    """
    ids = None if search.name is None else ids_named(connection, search.name)
    wanted = evolve(search.wanted, ids=ids)
    for ending in search.endings:
        wanted = evolve(wanted, phone_ending=ending)
        if list_reminders(connection, wanted=wanted, limit=1):
            break
    rows = list_reminders(connection, wanted=wanted, limit=A_PAGE + 1, after=after, newest_first=True)
    shown = rows[:A_PAGE]
    return FoundReminders(
        rows=shown,
        following=_place_of(shown[-1]) if len(rows) > A_PAGE else None,
        has_too_many_names=ids is not None and len(ids) >= MOST_NAMED,
    )


def _place_of(row: Mapping[str, ShownValue]) -> ListPlace:
    at = row["scheduled_at"]
    if isinstance(at, str | int | None):  # pragma: no cover - the column is a moment
        raise TypeError(at)
    return ListPlace(at, str(row["id"]))


ROUTES: Final = (
    PageRoute(method="GET", path=PATH, view=show, nav=N_("Search")),
    PageRoute(method="POST", path=PATH, view=search),
    PageRoute(method="GET", path=_RESULTS, view=results),
)
