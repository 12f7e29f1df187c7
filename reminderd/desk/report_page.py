"""Show the outcomes of the reminders of a day, a week, a month or some days; also for paper and spreadsheets."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from functools import partial
from typing import Final
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from attrs import frozen
from quart import Response, request

from reminderd.core.imports import file_with_result
from reminderd.core.outcomes import NEED_A_HUMAN, NEEDS_HUMAN_DEFINITION, SHARE_DEFINITION, Figure, Figures
from reminderd.core.schedule.dates import DAY, FIRST_YEAR, LAST_YEAR, midnight
from reminderd.core.sentences import Sentence
from reminderd.desk.catalog import N_, Catalog
from reminderd.desk.charts import HEIGHT, LEFT, WIDTH, plot_of
from reminderd.desk.page import PageRoute, render, see_other
from reminderd.desk.state import Desk
from reminderd.staff.standing import (
    Row,
    days_of,
    needing_human,
    report_csv,
    rows_of,
    standing_of,
    waiting_for_decision,
)
from reminderd.store.audit import audit
from reminderd.store.connection import Connection
from reminderd.store.import_records import imports_between
from reminderd.store.users import Session

PATH: Final = "/report"

MOST_DAYS: Final = 366
"""The most days on a page: more would take too long; `reminderd report` has no limit."""
MOST_ROWS: Final = 100
"""The reminders on a page, unless all are requested, as for paper; those that need a human come first."""
ALL: Final = 2_000
"""The most reminders on a page; the table for a spreadsheet has all."""
MOST_IMPORTS: Final = 100

_BY_DAY: Final = 45
_BY_WEEK: Final = 190
"""The most days that are plotted by day, and by week; more are plotted by month."""
_DAYS_OF_A_WEEK: Final = 7

_BOM: Final = "\N{ZERO WIDTH NO-BREAK SPACE}"
"""The mark without which spreadsheets read a letter like ü as two other letters."""

NO_DATE: Final = N_("This is not a date. Write it like 2027-03-01.")
NO_YEAR: Final = N_("This year can't be shown.")
WRONG_ORDER: Final = N_("The last day is before the first one.")
TOO_LONG: Final = N_("At most 366 days can be shown at once.")
SPAN: Final = N_("%(first)s to %(last)s")


class Kind(StrEnum):
    """How a period is chosen. Its value is a part of URLs."""

    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    RANGE = "range"


KINDS: Final = (
    (Kind.DAY, N_("a day")),
    (Kind.WEEK, N_("a week")),
    (Kind.MONTH, N_("a month")),
    (Kind.RANGE, N_("from … to …")),
)


@frozen(kw_only=True)
class Period:
    """Some days, both ends included."""

    kind: Kind
    first: date
    last: date

    @property
    def days(self) -> int:
        """Return how many days it has."""
        return (self.last - self.first).days + 1

    @property
    def before(self) -> date:
        """Return a day of the previous period."""
        return self.first - DAY

    @property
    def after(self) -> date:
        """Return a day of the next period."""
        return self.last + DAY

    @property
    def parts(self) -> Kind:
        """Return the kind of period that each bar of its plot shows."""
        return Kind.DAY if self.days <= _BY_DAY else Kind.WEEK if self.days <= _BY_WEEK else Kind.MONTH

    @property
    def asked(self) -> dict[str, str]:
        """Return its parts in a URL's query."""
        asked = {"of": self.kind.value, "date": self.first.isoformat()}
        return asked | {"to": self.last.isoformat()} if self.kind is Kind.RANGE else asked


class PeriodError(Exception):
    """A period can't be read; has the field of the form, and a text that the pages translate."""

    def __init__(self, field: str, words: str) -> None:
        super().__init__(words)
        self.field = field
        self.words = words


@frozen(kw_only=True)
class PeriodPart:
    """One bar of a plot, and one row of its table."""

    first: date
    last: date
    figures: Figures


@frozen(kw_only=True)
class _FoundInPeriod:
    """What the database has about a period."""

    days: list[tuple[date, Figures]]
    rows: list[Row]
    """All reminders of a single day; of several days, only those that need a human."""
    undecided: list[Row]
    imports: list[tuple[datetime, Sentence]]


async def report(desk: Desk, visitor: Session) -> Response:
    """Show the report of a period."""
    errors: dict[str, str] = {}
    try:
        period = _period(desk)
    except PeriodError as error:
        errors[error.field] = error.words
        today = desk.catalog.local_date(desk.clock.now())
        period = Period(kind=Kind.DAY, first=today, last=today)
    most = ALL if "all" in request.args else MOST_ROWS
    found = await desk.read(partial(_read, desk=desk, period=period, most=most))
    parts = parts_of(found.days, period.parts, first_weekday=_first_weekday(desk))
    return await render(
        desk,
        visitor,
        "report.html",
        status=400 if errors else 200,
        period=period,
        asked=_as_written() if errors else {"to": ""} | period.asked,
        errors=errors,
        span=_span(desk.catalog, period),
        kinds=[(kind.value, desk.catalog.gettext(words)) for kind, words in KINDS],
        total=sum((figures for _, figures in found.days), Figures()),
        figures=list(Figure),
        parts=parts,
        plot=plot_of([part.figures for part in parts]) if len(parts) > 1 else None,
        labels=[_label(desk.catalog, part, period) for part in parts],
        size=(WIDTH, HEIGHT, LEFT),
        found=found,
        most=most,
        whole=None if "all" in request.args else _address(**period.asked, all=1),
        needs_human_definition=NEEDS_HUMAN_DEFINITION,
        need_a_human=NEED_A_HUMAN,
        share_definition=SHARE_DEFINITION,
        standing_of=standing_of,
        address=_address,
        csv=_address(f"{PATH}/csv", **period.asked),
    )


async def as_csv(desk: Desk, visitor: Session) -> Response:
    """Send the report as a table for a spreadsheet, day by day; the audit records who took it."""
    try:
        period = _period(desk)
    except PeriodError:
        return see_other(_address(**_as_written()))  # the page shows what is wrong
    detail = f"{period.first} to {period.last}"
    await desk.database.write(partial(audit, actor=visitor.user_name, act="download", detail=detail))
    name = f"report-{period.first}.csv" if period.days == 1 else f"report-{period.first}-{period.last}.csv"
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return Response(_lines(desk, period), headers=headers, content_type="text/csv; charset=utf-8")


async def _lines(desk: Desk, period: Period) -> AsyncIterator[str]:
    """Yield the table in parts: a whole year needs too much memory, and others can read in between."""
    for place in range(period.days):
        day = period.first + place * DAY
        lines = await desk.read(partial(_day_as_csv, day=day, zone=desk.zone, has_header=place == 0))
        yield (_BOM if place == 0 else "") + lines
    yield await desk.read(partial(_others_as_csv, period=period, zone=desk.zone))


def _day_as_csv(connection: Connection, *, day: date, zone: ZoneInfo, has_header: bool) -> str:
    """Return a day's part of the table, made on the reader's thread: the task that answers webhooks must not wait."""
    rows = rows_of(connection, since=midnight(day, zone), until=midnight(day + DAY, zone))
    return report_csv(rows, zone, has_header=has_header)


def _others_as_csv(connection: Connection, *, period: Period, zone: ZoneInfo) -> str:
    rows = waiting_for_decision(connection, since=midnight(period.first, zone), until=midnight(period.after, zone))
    return report_csv(rows, zone, has_header=False)


def _read(connection: Connection, *, desk: Desk, period: Period, most: int) -> _FoundInPeriod:
    since, until = midnight(period.first, desk.zone), midnight(period.after, desk.zone)
    if period.days == 1:
        rows = rows_of(connection, since=since, until=until)
    else:
        rows = needing_human(connection, since=since, until=until, limit=most + 1)
    imports = imports_between(connection, since=since, until=until)
    return _FoundInPeriod(
        days=days_of(connection, first=period.first, last=period.last, zone=desk.zone),
        rows=rows,
        undecided=waiting_for_decision(connection, since=since, until=until),
        imports=[(record.at, file_with_result(record)) for record in imports[-MOST_IMPORTS:]],
    )


def _period(desk: Desk) -> Period:
    today = desk.catalog.local_date(desk.clock.now())
    return read_period(request.args, today=today, first_weekday=_first_weekday(desk))


def _first_weekday(desk: Desk) -> int:
    return int(desk.catalog.locale.first_week_day)


def _as_written() -> dict[str, str]:
    """Return the parts of a period in this request's query, valid or not."""
    return {name: request.args.get(name, "") for name in ("of", "date", "to")}


def _address(path: str = PATH, **asked: object) -> str:
    return f"{path}?{urlencode(asked)}"


def _span(texts: Catalog, period: Period) -> str:
    """Return the period in words."""
    if period.kind is Kind.MONTH:
        return texts.month(period.first)
    return texts.day(period.first) if period.days == 1 else _from_to(texts, period)


def _from_to(texts: Catalog, days: Period | PeriodPart) -> str:
    return texts.gettext(SPAN, first=texts.short_day(days.first), last=texts.short_day(days.last))


def _label(texts: Catalog, part: PeriodPart, period: Period) -> tuple[str, str]:
    """Return the label below a bar, and its period in words."""
    match period.parts:
        case Kind.DAY:
            shown = texts.weekday(part.first) if period.days <= _DAYS_OF_A_WEEK else texts.number(part.first.day)
            return shown, texts.day(part.first)
        case Kind.MONTH:
            return texts.month(part.first, is_short=True), texts.month(part.first)
    return texts.shortest_day(part.first), _from_to(texts, part)


def read_period(asked: Mapping[str, str], *, today: date, first_weekday: int) -> Period:
    """Return the period that a URL asks for.

    Args:
        asked: `of`, `date` and, of a range, `to`; all may be missing.
        today: the clinic's date.
        first_weekday: the day on which a week begins, 0 for Monday.

    Raises:
        PeriodError: a date can't be read, or the period can't be shown.
    """
    kind = Kind(asked["of"]) if asked.get("of") in set(Kind) else Kind.DAY
    first = last = _date("date", asked.get("date", ""), today)
    match kind:
        case Kind.WEEK:
            first -= DAY * ((first.weekday() - first_weekday) % 7)
            last = first + 6 * DAY
        case Kind.MONTH:
            first = first.replace(day=1)
            last = (first + 31 * DAY).replace(day=1) - DAY
        case Kind.RANGE:
            last = _date("to", asked.get("to", ""), first)
    period = Period(kind=kind, first=first, last=last)
    if last < first:
        raise PeriodError("to", WRONG_ORDER)
    if period.days > MOST_DAYS:
        raise PeriodError("to", TOO_LONG)
    return period


def _date(field: str, text: str, default: date) -> date:
    if not text.strip():
        return default
    try:
        found = date.fromisoformat(text.strip())
    except ValueError:
        raise PeriodError(field, NO_DATE) from None
    # A week or a month may begin in the previous year, and end in the next.
    if not FIRST_YEAR < found.year < LAST_YEAR:
        raise PeriodError(field, NO_YEAR)
    return found


def parts_of(days: Sequence[tuple[date, Figures]], kind: Kind, *, first_weekday: int) -> list[PeriodPart]:
    """Return the days, added up by week or by month; the first and the last part may be cut off."""
    found: list[PeriodPart] = []
    for day, figures in days:
        begins = kind is Kind.DAY or (day.day == 1 if kind is Kind.MONTH else day.weekday() == first_weekday)
        if begins or not found:
            found.append(PeriodPart(first=day, last=day, figures=figures))
        else:
            found[-1] = PeriodPart(first=found[-1].first, last=day, figures=found[-1].figures + figures)
    return found


ROUTES: Final = (
    PageRoute(method="GET", path=PATH, view=report, nav=N_("Report")),
    PageRoute(method="GET", path=f"{PATH}/csv", view=as_csv),
)
