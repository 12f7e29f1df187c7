"""Today: who still needs a human, and what becomes of the rest."""

from datetime import datetime, time, timedelta
from functools import partial
from typing import Final

from quart import Response

from reminderd.desk.catalog import N_
from reminderd.desk.context import Desk
from reminderd.desk.pages import Freshness, Route, freshness, next_freshness, render
from reminderd.desk.sessions import Visitor
from reminderd.store.queries import Wanted, list_reminders

_MOST: Final = 500


async def today(desk: Desk, visitor: Visitor) -> Response:
    """Show the reminders of today."""
    return await _shown(desk, visitor, "today.html", await freshness(desk))


async def part(desk: Desk, visitor: Visitor) -> Response:
    """Show them again, once something has changed."""
    return await _shown(desk, visitor, "today_part.html", await next_freshness(desk, visitor))


async def _shown(desk: Desk, visitor: Visitor, template: str, fresh: Freshness) -> Response:
    day = desk.catalog.local_date(desk.clock.now())
    since = datetime.combine(day, time(), desk.zone)
    until = datetime.combine(day + timedelta(days=1), time(), desk.zone)
    rows = await desk.read(partial(list_reminders, wanted=Wanted(since=since, until=until), limit=_MOST))
    return await render(desk, visitor, template, fresh=fresh, rows=rows, day=day)


ROUTES: Final = (
    Route(method="GET", path="/", view=today, nav=N_("Today")),
    Route(method="GET", path="/today/part", view=part, is_part=True),
)
