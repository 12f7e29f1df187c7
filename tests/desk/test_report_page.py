"""The Report page: which days an address asks for, what is shown of them, and in which parts they are plotted."""

import csv
from datetime import date, timedelta
from functools import partial
from io import StringIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from reminderd.core.imports import FOLDER
from reminderd.core.outcomes import Figure, Figures
from reminderd.desk.report_page import (
    NO_DATE,
    NO_YEAR,
    TOO_LONG,
    WRONG_ORDER,
    Kind,
    PeriodError,
    parts_of,
    read_period,
)
from reminderd.store.import_records import begin_import
from reminderd.store.rows import to_ms
from tests.support.builders import NOW
from tests.support.databases import ON_EACH_ENGINE
from tests.support.desk import DeskServer, Page, a_config, desk_of, titles_name_nobody
from tests.support.rows import insert_row

pytestmark = ON_EACH_ENGINE

MONDAY = "2026-03-02"  # NOW's, which is 5 o'clock in New York


async def insert(server: DeskServer, name: str, **columns: Any) -> None:
    row = {"id": name, "ref": f"ref {name}", "phone_number": "+12025550147", "message": "Hello"}
    row |= {"scheduled_at": to_ms(NOW)} | columns
    await server.write(lambda connection, _now: insert_row(connection, "reminders", row))


async def fill(server: DeskServer) -> None:
    await insert(server, "confirmed", status="called", response="confirmed")
    await insert(server, "failed", status="failed", last_error="not answered", attempts=3)
    await insert(server, "waiting", hold_code="hours")
    await insert(server, "tomorrow", scheduled_at=to_ms(NOW + timedelta(days=1)), status="called")


def figure(page: Page, word: str) -> str:
    """Return the number of a figure."""
    rows = [row for row in page.root.all("tr") if row.all("th", scope="row") and row.all("td")]
    return next(row.all("td")[0].text for row in rows if row.one("th").text == word)


async def test_a_day_has_its_figures_with_their_meaning_and_those_that_need_a_human_first(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await fill(server)
        page = await server.browser.get("/report")
    assert page.heading == "Report: Monday, March 2, 2026"
    assert [figure(page, word) for word in ("all", "confirmed", "not reached", "not over yet")] == ["3", "1", "1", "1"]
    assert [figure(page, word) for word in ("needs a human", "heard")] == ["1", "50%"]
    assert "No call has reached the patient, and none will be made." in page.text
    rows = [row.text for row in page.root.one("table", aria_labelledby="reminders").all("tr")[1:]]
    assert rows[0].startswith("not reached 5:00")
    assert rows[0].endswith("not answered 3")
    assert [row.split(" ref ")[1].split()[0] for row in rows] == ["failed", "waiting", "confirmed"]
    assert "outside the calling hours" in rows[1]
    titles_name_nobody(page, "ref", "12025550147")


async def test_a_week_has_a_plot_and_the_same_numbers_in_a_table(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await fill(server)
        page = await server.browser.get(f"/report?of=week&date={MONDAY}")
        drawing = page.root.one("svg", role="img")
        labeled_by = {one.attributes["id"] for one in drawing.all() if "id" in one.attributes}
        assert set(drawing.attributes["aria-labelledby"].split()) <= labeled_by
        assert not [one for one in page.root.all() if "style" in one.attributes], "the policy forbids it"
        bars = [group.one("title").text for group in drawing.all("g")]
        assert bars[1] == "Monday, March 2, 2026: 1 confirmed, 1 not reached, 1 not over yet"
        assert [one.text for one in drawing.all("text", class_="label")][:2] == ["1 Sun", "2 Mon"]
        table = page.root.one("table", aria_labelledby="course").all("tr")
        assert [row.text.split()[-8:] for row in table[2:4]] == [
            ["3", "1", "0", "0", "1", "0", "1", "1"],
            ["1", "0", "1", "0", "0", "0", "0", "0"],
        ]
        assert "Sunday, March 1" in table[1].text, "an American week begins on Sunday"
        needing = page.root.one("table", aria_labelledby="reminders")
        assert [row.one("a", id=f"reminders-{place}").text for place, row in enumerate(needing.all("tr")[1:], 1)] == [
            "ref failed"
        ]
        day = await server.browser.get(table[2].one("a").attributes["href"])
        assert day.heading == "Report: Monday, March 2, 2026"


async def test_a_month_and_some_days_are_a_link_and_a_form_away(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await fill(server)
        month = await server.browser.get(f"/report?of=month&date={MONDAY}")
        assert month.heading == "Report: March 2026"
        before = await server.browser.get(month.root.one(id="before").attributes["href"])
        assert before.heading == "Report: February 2026"
        assert "No reminder has its time in these days." in before.text
        fields = month.form("/report").fields
        assert fields == {"of": "month", "date": "2026-03-01", "to": ""}
        some = await server.browser.get("/report?of=range&date=2026-03-02&to=2026-06-30")
        assert "Week by week" in some.text
        year = await server.browser.get("/report?of=range&date=2026-03-02&to=2026-12-31")
        assert "Month by month" in year.text
        assert [figure(one, "all") for one in (month, some, year)] == ["4", "4", "4"]


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ("date=3.3.", "date", "This is not a date. Write it like 2027-03-01."),
        ("of=range&date=2026-03-02&to=2026-03-01", "to", "The last day is before the first one."),
    ],
)
async def test_a_date_that_is_wrong_is_shown_with_what_is_expected(
    tmp_path: Path, asked: str, field: str, words: str
) -> None:
    async with desk_of(tmp_path) as server:
        page = await server.browser.get(f"/report?{asked}")
        assert page.status == 400
        assert page.root.one(id=f"{field}-error").text == words
        again = await server.browser.get(f"/report/csv?{asked}")
        assert again.root.one(id=f"{field}-error").text == words


async def test_the_table_for_a_spreadsheet_has_all_days_and_no_formula_and_is_audited(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await fill(server)
        await insert(server, "formula", ref="=1+1", scheduled_at=to_ms(NOW - timedelta(days=1)))
        late = {"scheduled_at": to_ms(NOW + timedelta(days=9)), "wake_at": to_ms(NOW + timedelta(days=9))}
        await insert(server, "undecided", hold_code="number_changed", **late)
        page = await server.browser.get(f"/report?of=week&date={MONDAY}")
        assert "Other days: accept the new phone number, or cancel" in page.text
        answer = await server.browser.raw("GET", page.root.one(id="csv").attributes["href"])
        audited = await server.rows("SELECT actor, detail FROM audit WHERE act = 'download'")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="report-2026-03-01-2026-03-07.csv"'
    assert answer.headers["Cache-Control"] == "no-store"
    rows = list(csv.DictReader(StringIO(answer.content.decode("utf-8-sig"))))
    assert [row["id"] for row in rows] == ["formula", "failed", "waiting", "confirmed", "tomorrow", "undecided"]
    assert rows[0]["ref"] == "'=1+1"
    assert {row["phone_number"] for row in rows} == {"'+12025550147"}
    assert audited == [{"actor": "maria", "detail": "2026-03-01 to 2026-03-07"}]


async def test_the_files_of_the_days_are_listed(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await server.write(partial(begin_import, file="list.csv", profile="nightly", actor=FOLDER))
        page = await server.browser.get("/report")
    assert (
        "list.csv (profile nightly): not finished; until then 0 added, 0 changed, 0 unchanged, 0 rejected" in page.text
    )


async def test_the_reason_of_a_code_is_shown_in_the_language_of_the_pages(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=a_config(language="de")) as server:
        reason = "the provider reported: failed (SIP 404)"
        await insert(server, "failed", status="failed", end_code="provider_failed", last_error=reason)
        page = await server.browser.get("/report")
    assert "der Anbieter meldet: fehlgeschlagen (SIP 404)" in page.text


async def test_a_name_with_markup_is_only_text(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        await insert(server, "x", ref="<script>alert(1)</script>", status="failed", last_error="<b>busy</b>")
        page = await server.browser.get("/report")
    assert "<script>alert(1)</script>" in page.text
    assert "<b>busy</b>" in page.text


async def test_a_long_day_begins_with_a_hundred_and_shows_all_when_asked(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as server:
        for place in range(101):
            await insert(server, f"r{place:03}", status="called")
        await insert(server, "failed", status="failed")
        page = await server.browser.get("/report")
        rows = page.root.one("table", aria_labelledby="reminders").all("tr")[1:]
        assert len(rows) == 100
        assert "ref failed" in rows[0].text
        whole = await server.browser.get(page.root.one(id="whole").attributes["href"])
        assert len(whole.root.one("table", aria_labelledby="reminders").all("tr")[1:]) == 102
        assert not whole.root.all(id="whole")


TODAY = date(2026, 3, 4)  # a Wednesday
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("asked", "first_weekday", "first", "last"),
    [
        ({}, 0, TODAY, TODAY),
        ({"of": "year", "date": "2026-02-01"}, 0, date(2026, 2, 1), date(2026, 2, 1)),
        ({"of": "week"}, 0, date(2026, 3, 2), date(2026, 3, 8)),
        ({"of": "week"}, 6, date(2026, 3, 1), date(2026, 3, 7)),
        ({"of": "week", "date": "2026-03-01"}, 6, date(2026, 3, 1), date(2026, 3, 7)),
        ({"of": "month", "date": "2028-02-29"}, 0, date(2028, 2, 1), date(2028, 2, 29)),
        ({"of": "month", "date": "2026-12-31"}, 0, date(2026, 12, 1), date(2026, 12, 31)),
        ({"of": "range", "date": "2026-03-01", "to": "2026-03-09"}, 0, date(2026, 3, 1), date(2026, 3, 9)),
        ({"of": "range", "date": "2026-03-01"}, 0, date(2026, 3, 1), date(2026, 3, 1)),
        ({"of": "day", "date": " 2026-03-01 ", "to": "nonsense"}, 0, date(2026, 3, 1), date(2026, 3, 1)),
    ],
)
def test_a_period_has_whole_days(asked: dict[str, str], first_weekday: int, first: date, last: date) -> None:
    period = read_period(asked, today=TODAY, first_weekday=first_weekday)
    assert (period.first, period.last) == (first, last)
    assert (period.before, period.after) == (first - DAY, last + DAY)


@pytest.mark.parametrize(
    ("asked", "field", "words"),
    [
        ({"date": "tomorrow"}, "date", NO_DATE),
        ({"date": "2026-02-30"}, "date", NO_DATE),
        ({"of": "month", "date": "9999-12-31"}, "date", NO_YEAR),
        ({"of": "week", "date": "0001-01-01"}, "date", NO_YEAR),
        ({"of": "range", "date": "2026-03-02", "to": "2026-03-01"}, "to", WRONG_ORDER),
        ({"of": "range", "date": "2026-03-02", "to": "2027-03-03"}, "to", TOO_LONG),
        ({"of": "range", "date": "2026-03-02", "to": "x"}, "to", NO_DATE),
    ],
)
def test_what_can_not_be_shown_is_refused_with_its_field(asked: dict[str, str], field: str, words: str) -> None:
    with pytest.raises(PeriodError) as refused:
        read_period(asked, today=TODAY, first_weekday=0)
    assert (refused.value.field, refused.value.words) == (field, words)


@pytest.mark.parametrize(
    ("to", "kind", "begins"),
    [
        ("2026-04-14", Kind.DAY, 42),
        ("2026-04-30", Kind.WEEK, 9),
        ("2026-12-31", Kind.MONTH, 10),
    ],
)
def test_a_long_time_is_plotted_in_weeks_and_months_that_add_up(to: str, kind: Kind, begins: int) -> None:
    period = read_period({"of": "range", "date": "2026-03-04", "to": to}, today=TODAY, first_weekday=0)
    days = [(period.first + place * DAY, Figures({Figure.REACHED: 1}, 1)) for place in range(period.days)]
    parts = parts_of(days, period.parts, first_weekday=0)
    assert (period.parts, len(parts)) == (kind, begins)
    assert (parts[0].first, parts[-1].last) == (period.first, period.last)
    assert all(one.last + DAY == other.first for one, other in pairwise(parts))
    assert sum(part.figures.total for part in parts) == period.days
