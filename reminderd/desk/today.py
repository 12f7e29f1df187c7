"""Show today, or another day: who still needs a human, who is in a call, what waits, and what is done."""

import re
from datetime import date, datetime
from functools import partial
from typing import Any, Final
from urllib.parse import urlencode

from attrs import frozen
from quart import Response, request
from werkzeug.exceptions import NotFound

from reminderd.core.model import UNANSWERED, CallState
from reminderd.core.monitoring import errors
from reminderd.core.outcomes import Group, Outcome, group_of
from reminderd.core.reasons import SHOWN_BY_CALLS
from reminderd.core.requests import NOTE_LIMIT
from reminderd.core.schedule.dates import DAY, FIRST_YEAR, LAST_YEAR, midnight
from reminderd.core.sentences import Sentence, TextValue
from reminderd.desk.catalog import N_
from reminderd.desk.charts import timeline_of
from reminderd.desk.page import PageRoute, freshness, is_part, render, template_of
from reminderd.desk.state import Desk
from reminderd.staff.acts import fingerprint_of
from reminderd.store.day import MOST_COUNTED, Day, DayList, DayPage, Entry, LastCall, read_day, read_list
from reminderd.store.users import Session

_BACK: Final = re.compile(r"/(\?date=[\d-]{10})?|/day\?list=[a-z]+(&date=[\d-]{10})?(&after=[\w-]+)?", re.ASCII)
_TODAY: Final = N_("Today")

_DONE: Final = [word for word in Outcome if group_of(word) is Group.DONE]

_TITLES: Final = {
    DayList.NEEDS_HUMAN: N_("Needs a human"),
    DayList.IN_CALL: N_("In a call now"),
    DayList.WAITING: N_("Waiting"),
    DayList.DONE: N_("Done"),
    DayList.EARLIER: N_("Still open from earlier days"),
    DayList.LATER: N_("Already open for later days"),
}

_COLUMNS: Final = {
    DayList.NEEDS_HUMAN: N_("Why"),
    DayList.IN_CALL: N_("What it does"),
    DayList.WAITING: N_("Why it waits"),
    DayList.DONE: N_("How"),
    DayList.EARLIER: N_("Why"),
    DayList.LATER: N_("Why"),
}
"""What a line shows about its reminder, in each list."""

_ONCE: Final = N_("called once: %(outcome)s")
_OFTEN: Final = N_("called %(count)s times, the last time: %(outcome)s")
_DIALING: Final = N_("the call is being placed")
_UNCONFIRMED: Final = N_("the call may be under way; the provider is being asked")
_RINGING: Final = N_("the phone rings")
_ANSWERED: Final = N_("answered")
_PLACED: Final = N_("the call was placed")
_WANTS_TO_CANCEL: Final = N_("the patient wants to cancel the appointment")
_DUE: Final = N_("due now")
_AT_ITS_TIME: Final = N_("is called at its time")


@frozen(kw_only=True)
class Line:
    """A reminder as a line of a list."""

    entry: Entry
    address: str
    """The end of the paths of its page and of its acts."""
    which: DayList
    day: Day
    now: datetime

    @property
    def at(self) -> datetime:
        """Return its time, or, if it waits, the time of its next call, which may be later."""
        own = self.entry.reminder
        if self.which is DayList.WAITING and own.hold_code is not None and own.wake_at is not None:
            return own.wake_at
        return own.scheduled_at

    @property
    def is_of_another_day(self) -> bool:
        """Return whether its date is shown, too."""
        return not self.day.since <= self.at < self.day.until

    @property
    def why(self) -> TextValue:
        """Return why it needs a human, the state of its call, why it waits, or its outcome."""
        own = self.entry.reminder
        match self.which:
            case DayList.IN_CALL:
                return Sentence(_of_call(self.entry.call))
            case DayList.WAITING:
                if own.hold_code is not None:
                    return Sentence(own.hold_code.sentence)
                return Sentence(_DUE if own.scheduled_at <= self.now else _AT_ITS_TIME)
            case DayList.DONE:
                return Sentence(self.entry.outcome)
        if self.entry.outcome is Outcome.WANTS_TO_CANCEL:
            return Sentence(_WANTS_TO_CANCEL)
        if self.entry.outcome is Outcome.NUMBER_CHANGED and own.hold_code is not None:
            return Sentence(own.hold_code.sentence)
        return Sentence(self.entry.outcome if own.end_code is None else own.end_code.sentence)

    @property
    def more(self) -> TextValue | None:
        """Return how its calls ended, or why it was cancelled; None if there is nothing to add."""
        entry, own = self.entry, self.entry.reminder
        if entry.outcome is Outcome.CANCELLED and own.end_code is not None:
            return Sentence(own.end_code.sentence)
        if entry.call_outcome is None:
            return None
        values: dict[str, TextValue] = {"count": entry.calls_ended, "outcome": Sentence(entry.call_outcome.words)}
        return Sentence(_ONCE if entry.calls_ended == 1 else _OFTEN, values)

    @property
    def detail(self) -> str | None:
        """Return what the program that wrote it adds to the reason; None if nothing."""
        own = self.entry.reminder
        code = own.end_code if own.status.final else own.hold_code
        if code is None or (code in SHOWN_BY_CALLS and self.entry.call_outcome is not None):
            return None
        return code.details(own.last_error)

    @property
    def seen(self) -> str:
        """Return a fingerprint of what is shown, so that nobody acts on a reminder that has changed."""
        return fingerprint_of(vars(self.entry.reminder))

    @property
    def acts(self) -> tuple[str, ...]:
        """Return the acts that are possible, the likeliest first, by the names of the commands."""
        match self.entry.outcome:
            case Outcome.NUMBER_CHANGED:
                return ("accept", "cancel", "done")
            case Outcome.WANTS_TO_CANCEL:
                return ("done",)
            case _:
                return ("call-again", "done")


def _of_call(call: LastCall | None) -> str:
    """Return the state of a call that is under way."""
    if call is None or call.state is CallState.DIALING:
        return _DIALING
    if call.state is CallState.UNCONFIRMED:
        return _UNCONFIRMED
    if call.status == "ringing":
        return _RINGING
    return _PLACED if call.status is None or call.status in UNANSWERED else _ANSWERED


def return_path(written: str) -> str | None:
    """Return the page of a day or of a list from which an act was sent; None if from another page."""
    return written if _BACK.fullmatch(written) else None


async def today(desk: Desk, visitor: Session) -> Response:
    """Show today, or the requested day; show it again once something has changed."""
    fresh = await freshness(desk, visitor, waits=is_part())
    day, now = _day_asked(desk), desk.clock.now()
    overview = await desk.read(partial(read_day, day=day))
    report = await desk.status()
    return await render(
        desk,
        visitor,
        template_of("today"),
        fresh=fresh,
        errors=errors(report),
        pauses=report.pauses,
        overview=overview,
        done=[(word, overview.outcomes[word]) for word in _DONE if overview.outcomes[word]],
        lists={which: _lines(desk, which, day, page) for which, page in overview.lists.items()},
        timeline=timeline_of(overview.slots, day=day, now=now),
        **_around(desk, day),
    )


async def one_list(desk: Desk, visitor: Session) -> Response:
    """Show one list of a day, page by page."""
    day = _day_asked(desk)
    try:
        which = DayList(request.args.get("list", ""))
    except ValueError:
        raise NotFound from None
    after = desk.addresses.place_asked()
    page = await desk.read(partial(read_list, which=which, day=day, after=after))
    values = _around(desk, day)
    list_url = values["list_url"]
    values["back"] = list_url(which, "" if after is None else request.args["after"])
    first = None if after is None else list_url(which)
    found = _lines(desk, which, day, page)
    return await render(desk, visitor, "day_list.html", which=which, found=found, first=first, **values)


def _day_asked(desk: Desk) -> Day:
    """Return the day in the request's URL; today if there is none, or it is not a date."""
    today = desk.catalog.local_date(desk.clock.now())
    try:
        asked = date.fromisoformat(request.args.get("date", ""))
    except ValueError:
        asked = today
    shown = asked if FIRST_YEAR <= asked.year <= LAST_YEAR else today
    return Day(since=midnight(shown, desk.zone), until=midnight(shown + DAY, desk.zone), is_today=shown == today)


def _around(desk: Desk, day: Day) -> dict[str, Any]:
    """Return what every template of a day needs: the days around it, and its lists' names and URLs."""
    shown = desk.catalog.local_date(day.since)

    def day_url(date: date) -> str:
        return f"/?{urlencode({'date': date.isoformat()})}"

    def list_url(which: DayList, after: str = "") -> str:
        asked = {"list": which.value} | ({} if day.is_today else {"date": shown.isoformat()})
        return f"/day?{urlencode(asked | ({'after': after} if after else {}))}"

    query = day_url(shown).removeprefix("/") if "date" in request.args else ""
    return {
        "day": day,
        "date": shown,
        "before": shown - DAY,
        "after": shown + DAY,
        "title": desk.catalog.gettext(_TODAY) if day.is_today else desk.catalog.short_day(shown),
        "part_url": f"/today/part{query}",
        "back": f"/{query}",
        "day_url": day_url,
        "list_url": list_url,
        "titles": _TITLES,
        "columns": _COLUMNS,
        "most_counted": MOST_COUNTED,
        "note_limit": NOTE_LIMIT,
        "Group": Group,
        "DayList": DayList,
    }


def _lines(desk: Desk, which: DayList, day: Day, page: DayPage) -> dict[str, Any]:
    """Return a page of a list as it is shown, and where the next page begins."""
    now, following = desk.clock.now(), page.following
    return {
        "lines": [
            Line(entry=entry, address=desk.addresses.address_of(entry.reminder.id), which=which, day=day, now=now)
            for entry in page.entries
        ],
        "following": None if following is None else desk.addresses.encrypted_place(following),
    }


ROUTES: Final = (
    PageRoute(method="GET", path="/", view=today, nav=_TODAY),
    PageRoute(method="GET", path="/today/part", view=today, is_part=True),
    PageRoute(method="GET", path="/day", view=one_list),
)
