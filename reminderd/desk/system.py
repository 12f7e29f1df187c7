"""Show whether all is well, in the words of `reminderd status`, and who looked at what; pause and resume dialing."""

import re
from datetime import date, datetime
from functools import partial
from typing import Final
from urllib.parse import urlencode

from quart import Response, request

from reminderd.core.imports import file_with_result
from reminderd.core.logins import Role
from reminderd.core.monitoring import errors, verdict
from reminderd.core.requests import NOTE_LIMIT, note_mistake
from reminderd.core.schedule.dates import DAY, midnight
from reminderd.core.sentences import NotAllowedError, Sentence, TextValue
from reminderd.desk.catalog import N_
from reminderd.desk.page import PageRoute, freshness, is_part, redirect_with_notice, render, template_of
from reminderd.desk.receiving import form
from reminderd.desk.report_page import NO_DATE
from reminderd.desk.state import Desk
from reminderd.staff.obstacles import pause_mark, resume
from reminderd.staff.status import lines_of
from reminderd.store.audit import page_of_looks
from reminderd.store.import_records import last_imports
from reminderd.store.queries import ListPlace
from reminderd.store.rows import from_ms, to_ms
from reminderd.store.shared_state import set_pause
from reminderd.store.users import Session, list_users

PATH: Final = "/system"
LOOKS: Final = f"{PATH}/looks"

MOST_IMPORTS: Final = 10

_PLACE: Final = re.compile(r"([0-9]{1,13})-([0-9]{1,18})")

PAUSED: Final = N_("Dialing is paused: nobody is called until an admin resumes it. Calls under way end as usual.")
PAUSED_ALREADY: Final = N_("Dialing was paused already; your reason is recorded.")
RESUMED: Final = N_("Dialing is resumed. Reminders for which it is too late by now expire.")
NOT_PAUSED: Final = N_("Dialing was not paused.")
NOT_RESUMED: Final = N_("Not resumed: %(reason)s.")
WRONG_REASON: Final = N_("Write at most %(limit)s characters, in one line.")
NO_REASON: Final = N_("Write the reason, for everybody who sees that nobody is called.")


async def system(desk: Desk, visitor: Session, *, reason: str = "", error: TextValue = "") -> Response:
    """Show the status; show it again once something has changed.

    Args:
        desk: the pages' context.
        visitor: who has asked.
        reason: what was written as the reason for a pause.
        error: what is wrong with it.
    """
    fresh = await freshness(desk, visitor, waits=is_part())
    pause = await desk.read(pause_mark)  # first: the page may not show the reason of a pause that begins meanwhile
    report = await desk.status()
    imports = await desk.read(partial(last_imports, limit=MOST_IMPORTS))
    return await render(
        desk,
        visitor,
        template_of("system"),
        status=400 if error else 200,
        fresh=fresh,
        verdict=verdict(report),
        kind="error" if errors(report) else "warning" if report.pauses or report.warnings else "success",
        pauses=report.pauses,
        # The page has a separate place for whether dialing is paused.
        lines=[(name, line) for name, line in lines_of(report) if name.text != "dialing"],
        imports=[(record.at, file_with_result(record)) for record in imports],
        is_paused=report.glance.paused,
        pause=pause,
        reason=reason,
        error=error,
    )


async def pause_dialing(desk: Desk, visitor: Session) -> Response:
    """Pause all dialing."""
    reason = form().text("reason")
    if note_mistake(reason) is not None:
        error = Sentence(WRONG_REASON, {"limit": NOTE_LIMIT}) if reason else NO_REASON
        return await system(desk, visitor, reason=reason, error=error)
    is_new = await desk.database.write(partial(set_pause, on=True, reason=reason, actor=visitor.user_name))
    return await redirect_with_notice(desk, visitor, PATH, PAUSED if is_new else PAUSED_ALREADY)


async def resume_dialing(desk: Desk, visitor: Session) -> Response:
    """Resume dialing."""
    seen = form().text("seen")
    try:
        is_new = await desk.database.write(partial(resume, actor=visitor.user_name, rules=desk.rules, seen=seen))
    except NotAllowedError as refused:
        words = Sentence(NOT_RESUMED, {"reason": refused.sentence})
        return await redirect_with_notice(desk, visitor, PATH, words, kind="error")
    return await redirect_with_notice(desk, visitor, PATH, RESUMED if is_new else NOT_PAUSED)


async def who_looked(desk: Desk, visitor: Session) -> Response:
    """Show who has looked at what, and who has logged in, newest first."""
    actor, day = request.args.get("user", ""), request.args.get("date", "")
    until, error = _end_of(desk, day)
    after = _place(request.args.get("after", ""))
    found, following = await desk.read(partial(page_of_looks, actor=actor or None, until=until, after=after))
    asked = {name: value for name, value in (("user", actor), ("date", day)) if value}
    more = None if following is None else {"after": f"{to_ms(following.at)}-{following.id}"}
    return await render(
        desk,
        visitor,
        "looks.html",
        status=400 if error else 200,
        looks=found,
        users=[(user["name"], user["name"]) for user in await desk.read(list_users)],
        actor=actor,
        day=day,
        error=error,
        more=None if more is None else f"{LOOKS}?{urlencode(asked | more)}",
    )


def _end_of(desk: Desk, day: str) -> tuple[datetime | None, str]:
    """Return the end of a day, or None for any day; and what is wrong with the day."""
    if not day.strip():
        return None, ""
    try:
        return midnight(date.fromisoformat(day.strip()) + DAY, desk.zone), ""
    except (ValueError, OverflowError):
        return None, NO_DATE


def _place(text: str) -> ListPlace | None:
    """Return where a page begins; None for the first page."""
    found = _PLACE.fullmatch(text)
    return None if found is None else ListPlace(from_ms(int(found[1])), found[2])


ROUTES: Final = (
    PageRoute(method="GET", path=PATH, view=system, nav=N_("System")),
    PageRoute(method="GET", path=f"{PATH}/part", view=system, is_part=True),
    PageRoute(method="POST", path=f"{PATH}/pause", view=pause_dialing),
    PageRoute(method="POST", path=f"{PATH}/resume", view=resume_dialing, role=Role.ADMIN),
    PageRoute(method="GET", path=LOOKS, view=who_looked, role=Role.ADMIN),
)
