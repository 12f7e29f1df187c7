"""The page of a day."""

from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from reminderd.core.answers import Report
from reminderd.core.model import CallState
from reminderd.core.rules import Rules
from reminderd.desk.today import _of_call, return_path
from reminderd.staff.acts import fingerprint_of
from reminderd.store import day as day_module
from reminderd.store.connection import Connection
from reminderd.store.day import LastCall
from reminderd.store.queries import reminder_with_id
from reminderd.store.rows import to_ms
from reminderd.store.settle import settle_report
from reminderd.store.shared_state import set_pause
from tests.support.builders import DAY, HOUR, MINUTE, NOW
from tests.support.databases import ON_EACH_ENGINE
from tests.support.desk import REPORT, DeskServer, Page, a_config, desk_of, titles_name_nobody
from tests.support.rows import insert_call, insert_row
from tests.support.waiting import until

pytestmark = ON_EACH_ENGINE

NUMBER = "+12025550147"


async def add(desk: DeskServer, name: str, **columns: Any) -> None:
    """Write a reminder of now, as far as its columns say."""
    row = {
        "id": name,
        "ref": f"visit-{name}",
        "phone_number": NUMBER,
        "message": "Tomorrow at nine.",
        "scheduled_at": to_ms(NOW),
        "revision": 1,
    }
    await desk.write(lambda connection, _now: insert_row(connection, "reminders", row | columns))


async def call(desk: DeskServer, name: str, **columns: Any) -> None:
    await desk.write(lambda connection, _now: insert_call(connection, name, **columns))


def lines(page: Page, name: str) -> list[str]:
    """Return the lines of a list by its heading's id; empty if it is not there."""
    found = [one for one in page.root.all("section") if one.all("h2", id=name)]
    return [row.text for section in found if section.attributes.get("id") != "today" for row in _rows(section)]


def _rows(section: Any) -> list[Any]:
    return [row for body in section.all("tbody") for row in body.all("tr")]


async def test_those_that_need_a_human_come_first_with_the_reason_and_the_number_to_call(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="failed", end_code="not_answered", last_error="no answer, after 3 calls")
        for number in range(3):  # of which staff have asked for the last
            await call(desk, "a", id=f"c{number}", outcome="not_answered")
        await add(desk, "b", status="called")
        page = await desk.browser.get("/")
    headings = [one.text for one in page.root.all("h2")]
    assert headings == ["Needs a human", "Done"]
    (line,) = lines(page, "open")
    for words in ("5:00", "visit-a", "not answered", "called 3 times, the last time: not answered", "(202) 555-0147"):
        assert words in line.replace("\u202f", " ")
    assert "after 3 calls" not in line, "it says the same twice"
    assert page.root.all("a", href=f"tel:{NUMBER}")
    assert page.root.all("form", action=f"{desk.address('a')}/call-again")
    assert page.form(f"{desk.address('a')}/done").all("input", name="note")


async def test_whole_numbers_are_shown_only_of_patients_who_need_a_human(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="failed", phone_number="+12025550148")
        await add(desk, "b", status="called")
        day, report = (await desk.browser.get("/"), await desk.browser.get("/report?all=1"))
    for page in (day, report):
        assert page.root.all("a", href="tel:+12025550148")
        assert "555-0147" not in page.text
        assert NUMBER not in page.text
        assert "…0147" in page.text


async def test_the_counts_are_those_of_the_lists(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="failed")
        await add(desk, "b", status="expired")
        await add(desk, "c", status="processing", phone_number="+12025550148")
        await add(desk, "d", status="called", response="confirmed")
        await add(desk, "e", status="cancelled", end_code="answered")
        page = await desk.browser.get("/")
    counts = [one.text for one in page.root.one("ul", class_="counts").all("li")]
    assert counts == ["2 need a human", "1 in a call now", "0 still waiting", "2 finished"]
    assert "1 confirmed, 1 cancelled" in page.text


async def test_a_good_day_says_that_nobody_needs_a_human(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        page = await desk.browser.get("/")
        assert "Today, nobody needs a human." in page.text
        assert "No reminder is planned for this day." in page.text
        assert not page.root.all("svg", role="img")
        assert "On this day, nobody needs a human." in (await desk.browser.get("/?date=2026-03-01")).text


async def test_a_changed_number_is_accepted_or_the_reminder_cancelled_as_it_was_seen(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", hold_code="number_changed", wake_at=to_ms(NOW + HOUR))
        page = await desk.browser.get("/")
        row = await desk.read(partial(reminder_with_id, reminder_id="a"))
    assert "accept the new number, or cancel the reminder" in lines(page, "open")[0]
    assert row is not None
    for act in ("accept", "cancel"):
        assert page.root.all("a", href=f"{desk.address('a')}/{act}"), "its page asks once more"
    form = page.root.one("form", action=f"{desk.address('a')}/done")
    assert form.fields["seen"] == fingerprint_of(row)
    assert form.fields["csrf"]
    assert not page.root.all("form", action=f"{desk.address('a')}/call-again")


async def test_a_patient_who_wants_to_cancel_is_not_called_again_but_noted_as_done(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="called", response="cancel_requested")
        page = await desk.browser.get("/")
    assert "the patient wants to cancel the appointment" in lines(page, "open")[0]
    assert page.root.all("form", action=f"{desk.address('a')}/done")
    assert not page.root.all("form", action=f"{desk.address('a')}/call-again")


async def test_a_detail_beyond_the_reason_is_shown_once(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="failed", end_code="invalid", last_error="phone_number: too short")
        await add(
            desk, "b", status="failed", end_code="unconfirmed", last_error="outcome unknown: call the patient manually"
        )
        page = await desk.browser.get("/")
    first, second = lines(page, "open")
    assert "this reminder can't be called phone number: too short" in first
    assert second.count("outcome unknown") == 1


async def test_a_detail_is_shown_in_the_language_of_the_pages(tmp_path: Path) -> None:
    changed = "phone number changed (list.csv), the former one ended in 47: accept the new one, or cancel"
    async with desk_of(tmp_path, config=a_config(language="de")) as desk:
        await add(desk, "a", status="failed", end_code="invalid", last_error="phone_number: not a phone number")
        await add(desk, "b", hold_code="number_changed", last_error=changed)
        page = await desk.browser.get("/")
    first, second = lines(page, "open")
    assert "Telefonnummer: keine Telefonnummer" in first
    assert "Telefonnummer geändert (list.csv), die frühere endete auf 47" in second


async def test_an_appointment_is_named_with_its_time(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        row = {"id": "x", "ref": "B-7", "phone_number": NUMBER, "at": to_ms(NOW + DAY), "name": "Ms. Example"}
        await desk.write(lambda connection, _now: insert_row(connection, "appointments", row))
        await add(desk, "a", ref=None, appointment_id="x", status="failed")
        page = await desk.browser.get("/")
    assert "B-7 Ms. Example, appointment 3/3/26, 5:00" in lines(page, "open")[0].replace("\u202f", " ")


@pytest.mark.parametrize(
    ("state", "status", "expected"),
    [
        (CallState.DIALING, None, "the call is being placed"),
        (CallState.UNCONFIRMED, None, "the call may be under way; the provider is being asked"),
        (CallState.PLACED, None, "the call was placed"),
        (CallState.PLACED, "queued", "the call was placed"),
        (CallState.PLACED, "ringing", "the phone rings"),
        (CallState.PLACED, "in-progress", "answered"),
    ],
)
def test_a_call_under_way_says_what_it_does(state: CallState, status: str | None, expected: str) -> None:
    assert _of_call(LastCall(state=state, status=status, outcome=None, created_at=NOW)) == expected


async def test_a_reminder_in_a_call_has_what_its_call_does(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="processing")
        await call(desk, "a", state="placed", status="ringing", wake_at=to_ms(NOW + HOUR))
        await add(desk, "b", status="dialing", phone_number="+12025550148")
        page = await desk.browser.get("/")
    first, second = lines(page, "calls")
    assert "the phone rings" in first
    assert "the call is being placed" in second


async def test_what_waits_has_its_next_time_and_why_it_waits(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", scheduled_at=to_ms(NOW - HOUR), hold_code="redial", wake_at=to_ms(NOW + 15 * MINUTE))
        await add(desk, "b", scheduled_at=to_ms(NOW), wake_at=to_ms(NOW))
        await add(desk, "c", scheduled_at=to_ms(NOW + HOUR), wake_at=to_ms(NOW + HOUR))
        await add(desk, "d", scheduled_at=to_ms(NOW + 2 * HOUR), hold_code="hours", wake_at=to_ms(NOW + DAY))
        page = await desk.browser.get("/")
    held, due, later, tomorrow = (line.replace("\u202f", " ") for line in lines(page, "waiting"))
    assert held.startswith("5:15 AM visit-a")
    assert "not reached yet; will be called again" in held
    assert "5:00 AM visit-b due now" in due
    assert "6:00 AM visit-c is called at its time" in later
    assert tomorrow.startswith("3/3/26, 5:00 AM visit-d outside the calling hours")


@pytest.mark.parametrize(
    ("columns", "outcome", "expected"),
    [
        ({"status": "called", "response": "confirmed"}, "confirmed", "confirmed called once: confirmed"),
        ({"status": "called"}, "voicemail", "reached called once: voicemail"),
        (
            {"status": "cancelled", "end_code": "answered"},
            None,
            "cancelled the patient has answered for this appointment",
        ),
        ({"status": "cancelled", "end_code": "done_by_staff"}, None, "done by staff"),
        ({"status": "cancelled", "end_code": "opted_out"}, None, "opted out"),
        ({"status": "failed", "done_at": 1}, "not_answered", "done by staff called once: not answered"),
    ],
)
async def test_what_is_done_says_how(
    tmp_path: Path, columns: dict[str, Any], outcome: str | None, expected: str
) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", attempts=1, **columns)
        if outcome is not None:
            await call(desk, "a", outcome=outcome, spoken=True)
        page = await desk.browser.get("/")
    assert f"visit-a {expected}" in lines(page, "done")[0]


async def test_other_days_are_reached_by_links_and_by_their_date(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="called", scheduled_at=to_ms(NOW - DAY))
        today = await desk.browser.get("/")
        assert lines(today, "done") == []
        before = await desk.browser.get(today.root.one("a", rel="prev").attributes["href"])
        assert before.heading == "Sunday, March 1, 2026"
        assert "visit-a" in lines(before, "done")[0]
        assert (await desk.browser.get(before.root.one("a", rel="next").attributes["href"])).heading.startswith("Today")
        form = today.root.one("form", id="another-day")
        assert form.fields == {"date": "2026-03-02"}
        assert (await desk.browser.get("/?date=2027-12-31")).heading == "Friday, December 31, 2027"
        for nonsense in ("", "soon", "9999-12-31", "0001-01-01", "2026-02-30"):
            assert (await desk.browser.get(f"/?date={nonsense}")).heading == "Today, Monday, March 2, 2026"


async def test_a_day_begins_at_midnight_of_the_clinic(tmp_path: Path) -> None:
    """It is five in the morning in New York: midnight was five hours ago."""
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="called", scheduled_at=to_ms(NOW - 5 * HOUR))
        await add(desk, "b", status="called", scheduled_at=to_ms(NOW - 5 * HOUR) - 1)
        page = await desk.browser.get("/")
        assert ["visit-a" in line for line in lines(page, "done")] == [True]
        assert ["visit-b" in line for line in lines(await desk.browser.get("/?date=2026-03-01"), "done")] == [True]


async def test_what_other_days_have_left_open_is_one_link_away(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="failed", scheduled_at=to_ms(NOW - 9 * DAY))
        await add(desk, "b", hold_code="number_changed", wake_at=to_ms(NOW), scheduled_at=to_ms(NOW + 9 * DAY))
        page = await desk.browser.get("/")
        earlier, later = page.root.one("a", id="list-earlier"), page.root.one("a", id="list-later")
        assert (earlier.text, later.text) == ("Still open from earlier days: 1", "Already open for later days: 1")
        found = await desk.browser.get(earlier.attributes["href"])
        assert found.heading == "Still open from earlier days"
        assert "2/21/26" in found.root.one("tbody").text
        assert found.root.all("form", action=f"{desk.address('a')}/call-again")
        assert "visit-b" in (await desk.browser.get(later.attributes["href"])).text


async def test_a_long_list_goes_on_page_by_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_module, "PAGE", 2)
    async with desk_of(tmp_path) as desk:
        for number in range(5):
            await add(desk, f"Ms. Example {number}", status="failed", scheduled_at=to_ms(NOW + number * MINUTE))
        page = await desk.browser.get("/")
        found = [len(lines(page, "open"))]
        href = page.root.one("a", id="more-open").attributes["href"]
        names = page.text
        while href:
            page = await desk.browser.get(href)
            found.append(len(_rows(page.root)))
            names += page.text
            titles_name_nobody(page, "Example", "visit")
            href = next((one.attributes["href"] for one in page.root.all("a", rel="next")), "")
        assert found == [2, 2, 1]
        assert [names.count(f"visit-Ms. Example {number}") for number in range(5)] == [1] * 5
        first = await desk.browser.get(page.root.one("a", rel="prev").attributes["href"])
        assert "visit-Ms. Example 0" in first.text


async def test_a_list_of_another_day_stays_with_that_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(day_module, "PAGE", 1)
    async with desk_of(tmp_path) as desk:
        for number in range(3):
            await add(desk, f"{number}", status="called", scheduled_at=to_ms(NOW - DAY + number * MINUTE))
        page = await desk.browser.get("/?date=2026-03-01")
        page = await desk.browser.get(page.root.one("a", id="more-done").attributes["href"])
        assert "visit-1" in page.root.one("tbody").text
        assert page.root.one("a", href="/?date=2026-03-01").text == "← Sunday, March 1, 2026"


@pytest.mark.parametrize("after", ["", "AAAA", "record"])
async def test_an_address_that_is_no_place_of_a_list_leads_nowhere(tmp_path: Path, after: str) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="failed")
        place = desk.address("a").removeprefix("/r/") if after == "record" else after
        assert (await desk.browser.get(f"/day?list=open&after={place}")).status == 404


async def test_there_is_no_list_of_any_other_name(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        assert (await desk.browser.get("/day?list=secret")).status == 404
        assert "This list is empty now." in (await desk.browser.get("/day?list=earlier")).text


async def test_the_drawing_has_the_same_in_words(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="failed")
        await add(desk, "b", status="called", scheduled_at=to_ms(NOW + 5 * HOUR))
        page = await desk.browser.get("/")
    drawing = page.root.one("svg", role="img")
    assert drawing.one("title").text.startswith("The reminders of this day by their time")
    assert len(drawing.all("rect", class_="bar")) == 2
    assert drawing.one("text", class_="mark").text == "▲"
    assert drawing.all("line", class_="now")
    rows = [row.text.replace("\u202f", " ") for row in page.root.one("details", id="by-hour").one("tbody").all("tr")]
    assert rows == ["5:00 AM 1 0 0 0", "10:00 AM 0 0 0 1"]
    assert "style=" not in page.response.text


async def test_what_is_wrong_stands_at_the_top_in_the_words_of_the_status(tmp_path: Path) -> None:
    broken = evolve(REPORT, parts={"provider": "HTTP 503", "database": None})
    async with desk_of(tmp_path, report=broken) as desk:
        await desk.write(partial(set_pause, on=True, reason="holiday", actor="eve"))
        page = await desk.browser.get("/")
    assert "provider: HTTP 503" in [one.text for one in page.root.all(class_="error")]
    (pause,) = page.root.all(class_="warning")
    assert pause.text.startswith("dialing is paused by eve since")
    assert "(holiday)" in pause.text
    assert page.root.all("a", id="to-system", href="/system")


async def test_what_others_have_written_is_shown_as_text(tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", ref=evil, status="failed", end_code="invalid", last_error=evil, phone_number=evil)
        page = await desk.browser.get("/")
    assert "<script>alert" not in page.response.text
    assert lines(page, "open")[0].count(evil) == 3


async def test_a_purged_number_has_no_link(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="called", phone_number="", message="")
        page = await desk.browser.get("/")
    assert "removed" in lines(page, "done")[0]
    assert not page.root.all("a", href="tel:")


async def test_the_part_is_sent_again_when_the_report_of_a_call_comes(tmp_path: Path) -> None:
    """A browser that waits gets the reminder where it belongs now, once the webhook was committed."""
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="processing")
        await call(desk, "a", state="placed", status="ringing", external_call_id="ext-1", wake_at=to_ms(NOW + HOUR))
        urls, parts = list[str](), [await desk.browser.get("/")]

        async def ask() -> None:
            """Ask again until something new comes: on PostgreSQL, a page is also sent when the listener begins."""
            while not lines(parts[-1], "done"):
                urls.append(parts[-1].root.one("section", id="today").attributes["hx-get"])
                parts.append(await desk.browser.get(urls[-1]))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask)
            await until(lambda: desk.desk.base.waiting)
            await desk.write(_reported)
        part = parts[-1]
    assert lines(part, "calls") == []
    assert "visit-a" in lines(part, "done")[0]
    assert part.root.one("section", id="today").attributes["hx-get"] != urls[-1]


def _reported(connection: Connection, now: datetime) -> None:
    report = Report(external_call_id="ext-1", status="completed", reminder_id="a", attempt_id="call-of-a")
    settle_report(connection, now, report=report, rules=Rules(), mint=lambda: "new")


async def test_the_part_of_another_day_is_of_that_day(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        await add(desk, "a", status="called", scheduled_at=to_ms(NOW - DAY))
        page = await desk.browser.get("/?date=2026-03-01")
        url = page.root.one("section", id="today").attributes["hx-get"]
        await desk.run_sql("UPDATE reminders SET ref = 'other'")
        part = await desk.browser.get(url)
    assert part.heading == "Sunday, March 1, 2026"
    assert "other" in lines(part, "done")[0]


@pytest.mark.sqlite_only("the time is that of the page")
async def test_a_page_that_stays_open_over_midnight_shows_the_new_day(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        url = (await desk.browser.get("/")).root.one("section", id="today").attributes["hx-get"]
        desk.clock.advance(DAY)
        await desk.run_sql("UPDATE sessions SET created_at = :at, seen_at = :at", at=to_ms(NOW + DAY))
        part = await desk.browser.get(url)
    assert part.heading == "Today, Tuesday, March 3, 2026"


async def test_in_german_the_page_is_german(tmp_path: Path) -> None:
    async with desk_of(tmp_path, config=a_config(language="de")) as desk:
        await add(desk, "a", status="failed", end_code="not_answered")
        page = await desk.browser.get("/")
    assert page.heading == "Heute, Montag, 2. März 2026"
    assert [one.text for one in page.root.all("h2")] == ["Jemand muss sich kümmern"]


async def test_what_is_done_in_a_list_leads_back_to_it(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        for name, at in (("a", NOW), ("b", NOW), ("c", NOW - DAY), ("d", NOW - DAY)):
            await add(desk, name, status="failed", end_code="not_answered", scheduled_at=to_ms(at), wake_at=None)
        page = await desk.browser.get("/")
        page = await desk.browser.submit(page, f"{desk.address('a')}/call-again")
        assert (page.heading, page.notice) == ("Today, Monday, March 2, 2026", "The patient will be called again.")
        assert ["visit-b" in line for line in lines(page, "open")] == [True]
        assert "visit-a" in lines(page, "waiting")[0]
        page = await desk.browser.submit(page, f"{desk.address('b')}/done", note="reached her daughter")
        assert (page.notice, lines(page, "open")) == ("Noted: the patient was called by you.", [])
        page = await desk.browser.get("/?date=2026-03-01")
        page = await desk.browser.submit(page, f"{desk.address('c')}/done")
        assert (page.heading, len(lines(page, "open"))) == ("Sunday, March 1, 2026", 1)
        page = await desk.browser.get("/day?list=earlier")
        page = await desk.browser.submit(page, f"{desk.address('d')}/done")
        assert page.heading == "Still open from earlier days"
        acts = await desk.rows("SELECT act, actor, detail FROM audit WHERE reminder_id IN ('a', 'b') ORDER BY id")
        assert [tuple(act.values()) for act in acts] == [
            ("call-again", "maria", None),
            ("done", "maria", "reached her daughter"),
        ]


@pytest.mark.parametrize(
    "written",
    [
        "",
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/\\elsewhere",
        "/r/x",
        "/?date=2026-03-01&x=y",
        "/\n",
        "/logout",
    ],
)
def test_an_act_leads_back_to_nothing_else(written: str) -> None:
    assert return_path(written) is None


@pytest.mark.parametrize(
    "written", ["/", "/?date=2026-03-01", "/day?list=open&date=2026-03-01&after=A-_9", "/day?list=done"]
)
def test_an_act_leads_back_to_a_day_or_a_list(written: str) -> None:
    assert return_path(written) == written
