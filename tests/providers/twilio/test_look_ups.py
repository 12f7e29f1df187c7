"""What Twilio's answer about a call, or about the calls to a number, proves."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from reminderd.core.answers import Candidates, Found, LookUpAnswer, NoAnswer, NotFound, Report
from reminderd.providers.twilio.client import TwilioProvider
from reminderd.providers.twilio.voice_api import CLOCKS_DIFFER, candidates_in, whole_number
from tests.support.builders import NOW
from tests.support.hostile_provider import Script, answer, answering, cut, hang, hear, hostile, nobody_listens, say
from tests.support.twilio_rest import ACCOUNT_PATH, PLACEMENT, SID, TO, a_call, error, form, says
from tests.support.twilio_sandbox import FROM

OTHER_SID = "CA" + "2" * 32
SECOND = timedelta(seconds=1)
TIMEOUT = 5
"""Seconds that the client waits for each answer."""

Maker = Callable[..., TwilioProvider]


def report(sid: str = SID, status: str = "queued", **changes: Any) -> Report:
    return Report(external_call_id=sid, status=status, **changes)


def listing(*calls: object, **envelope: object) -> Script:
    return says(200, {"calls": calls, "page": 0, "page_size": 50, "next_page_uri": None, **envelope})


def found_among(*calls: object, **envelope: object) -> LookUpAnswer | Candidates:
    content = json.loads(json.dumps({"calls": calls, "next_page_uri": None, **envelope}))
    return candidates_in(content, phone_number=TO, from_number=FROM, asked_from=NOW)


def created(at: datetime) -> str:
    return format_datetime(at.astimezone(UTC))


async def fetched(script: Script, twilio_at: Maker, **changes: Any) -> LookUpAnswer:
    async with hostile(script) as server:
        return await twilio_at(server.url, **changes).fetch(SID)


async def dropped(twilio_at: Maker, *scripts: Script) -> tuple[LookUpAnswer, list[str]]:
    """Drop the call; return the finding and the methods of the requests."""
    async with hostile(*scripts) as server:
        finding = await twilio_at(server.url).drop(SID)
    return finding, [request.method for request in server.requests]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (a_call(), report()),
        (a_call(status="in-progress", answered_by="human"), report(status="in-progress", answered_by="human")),
        (
            a_call(status="completed", duration="42", answered_by="machine_end_beep"),
            report(status="completed", duration_seconds=42, answered_by="machine_end_beep"),
        ),
        (
            a_call(status="completed", duration="42", end_time="Mon, 02 Mar 2026 10:00:42 +0000"),
            report(status="completed", duration_seconds=42, ended_at=NOW + 42 * SECOND),
        ),
        (a_call(status="completed", end_time="soon"), report(status="completed")),
        (a_call(status="no-answer", duration="0"), report(status="no-answer", duration_seconds=0)),
        (a_call(status="canceled", duration=""), report(status="canceled")),
        (a_call(status="completed", duration=12, answered_by=""), report(status="completed")),
        (a_call(status="completed", duration="1e3", answered_by=["human"]), report(status="completed")),
        ({"sid": SID, "status": "Busy "}, report(status="busy")),
    ],
)
async def test_a_fetched_call_has_its_whole_report(call: dict[str, Any], expected: Report, twilio_at: Maker) -> None:
    assert await fetched(says(200, call), twilio_at) == Found(expected)


async def test_a_404_means_not_found(twilio_at: Maker) -> None:
    assert await fetched(error(404, 20404), twilio_at) == NotFound()


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(says(200, a_call(sid=OTHER_SID)), id="another call"),
        pytest.param(says(200, a_call(sid=None)), id="no sid"),
        pytest.param(says(200, a_call(status=None)), id="no status"),
        pytest.param(says(200, a_call(status=" ")), id="a blank status"),
        pytest.param(says(200, a_call(status="x" * 51)), id="an endless status"),
        pytest.param(says(200, [a_call()]), id="not an object"),
        pytest.param(answering(200, b""), id="nothing"),
        pytest.param((hear, say(answer(200, b"{}")[:-1])), id="broken off"),
        pytest.param((hear, cut), id="cut"),
        pytest.param((hear, hang), id="silence"),
        pytest.param(error(401, 20003), id="401"),
        pytest.param(error(429, 20429, Retry_After="5"), id="429"),
        pytest.param(error(500, 20500), id="500"),
        pytest.param(answering(302, Location="/"), id="302"),
    ],
)
async def test_an_answer_that_does_not_match_the_call_proves_nothing(
    idle_clock: MockClock, script: Script, twilio_at: Maker
) -> None:
    finding = await fetched(script, twilio_at)
    assert isinstance(finding, NoAnswer)
    assert finding.reason
    assert idle_clock.current_time() < TIMEOUT + 1


async def test_the_requests_match_twilios_documentation(twilio_at: Maker) -> None:
    async with hostile(error(404, 20404)) as server:
        provider = twilio_at(server.url)
        await provider.fetch("CA/../?#é")
        await provider.find(PLACEMENT)
        await provider.drop(SID)
        one, several, drop = server.requests
    assert (one.method, one.target) == ("GET", f"{ACCOUNT_PATH}/Calls/CA%2F..%2F%3F%23%C3%A9.json")
    assert (several.method, several.target) == ("GET", f"{ACCOUNT_PATH}/Calls.json?To=%2B12025550100&PageSize=50")
    assert (drop.method, drop.target) == ("POST", f"{ACCOUNT_PATH}/Calls/{SID}.json")
    assert form(drop) == [("Status", "canceled")]
    assert len({request.headers["authorization"] for request in server.requests}) == 1


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (listing(a_call()), Candidates((report(),))),
        (listing(), NotFound()),
        (listing(a_call(sid=OTHER_SID), a_call()), Candidates((report(OTHER_SID), report()))),
        (listing(a_call(**{"from": "+12025550191"}), a_call(direction="inbound")), NotFound()),
    ],
    ids=["one", "empty", "two", "another number and an inbound call"],
)
async def test_a_list_shows_which_calls_could_be_ours(
    script: Script, expected: LookUpAnswer | Candidates, twilio_at: Maker
) -> None:
    async with hostile(script) as server:
        assert await twilio_at(server.url).find(PLACEMENT) == expected


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(error(404, 20404), id="404: no list is no proof"),
        pytest.param(error(401, 20003), id="401"),
        pytest.param(error(429, 20429), id="429"),
        pytest.param(error(500, 20500), id="500"),
        pytest.param(answering(200, b'{"calls": []')),
        pytest.param((hear, cut), id="cut"),
        pytest.param((hear, hang), id="silence"),
    ],
)
async def test_a_failed_list_request_proves_nothing(idle_clock: MockClock, script: Script, twilio_at: Maker) -> None:
    async with hostile(script) as server:
        assert isinstance(await twilio_at(server.url).find(PLACEMENT), NoAnswer)
    assert idle_clock.current_time() < TIMEOUT + 1


async def test_an_unreachable_twilio_proves_nothing(twilio_at: Maker) -> None:
    with nobody_listens() as url:
        provider = twilio_at(url)
        assert isinstance(await provider.find(PLACEMENT), NoAnswer)
        assert isinstance(await provider.fetch(SID), NoAnswer)
        assert isinstance(await provider.drop(SID), NoAnswer)


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "+12025550101"},
        {"to": None},
        {"from": "+12025550191"},
        {"direction": "inbound"},
        {"direction": "outbound-dial"},
        {"direction": "trunking-originating"},
        {"date_created": created(NOW - CLOCKS_DIFFER - SECOND)},
    ],
)
def test_a_call_is_a_candidate_only_if_every_field_matches(changes: dict[str, Any]) -> None:
    assert found_among(a_call(**changes)) == NotFound()
    assert found_among(a_call(sid=OTHER_SID), a_call(**changes)) == Candidates((report(OTHER_SID),))


def test_twilios_clock_may_be_behind_ours() -> None:
    assert found_among(a_call(date_created=created(NOW - CLOCKS_DIFFER))) == Candidates((report(),))
    assert found_among(a_call(date_created=created(NOW + timedelta(hours=3)))) == Candidates((report(),))


def test_a_time_in_another_zone_is_the_same_time() -> None:
    assert found_among(a_call(date_created="Mon, 02 Mar 2026 02:00:00 -0800")) == Candidates((report(),))
    assert found_among(a_call(date_created="Mon, 02 Mar 2026 10:00:00 -0000")) == Candidates((report(),))
    assert found_among(a_call(date_created="Mon, 02 Mar 2026 10:00:00 +0800")) == NotFound()


@pytest.mark.parametrize(
    "calls",
    [
        pytest.param([a_call(date_created=None)], id="no time of creation"),
        pytest.param([a_call(date_created="2026-03-02T10:00:00Z")], id="a time of another format"),
        pytest.param([a_call(date_created=1772445600)], id="a number"),
        pytest.param([a_call(date_created="Mon, 02 Mar 2026 10:00:00 +99999999999999999999")], id="a zone of nobody's"),
        pytest.param([a_call(date_created="Mon, 42 Mar 2026 10:00:00 +0000")], id="a day that is none"),
        pytest.param([a_call(), a_call(sid=OTHER_SID, date_created="")], id="one of two without a time"),
        pytest.param([{"sid": SID}], id="nothing but a sid"),
        pytest.param([a_call(sid=None)], id="ours without a sid"),
        pytest.param([a_call(sid=OTHER_SID), a_call(status=None)], id="one of ours without a status"),
        pytest.param(["CA1", None], id="not calls"),
    ],
)
def test_a_list_that_cannot_be_read_to_its_end_proves_nothing(calls: list[Any]) -> None:
    assert isinstance(found_among(*calls), NoAnswer)


@pytest.mark.parametrize("answer", [{}, {"calls": None}, {"calls": {}}, {"calls": "CA1"}])
def test_an_answer_without_a_list_proves_nothing(answer: dict[str, Any]) -> None:
    assert isinstance(candidates_in(answer, phone_number=TO, from_number=FROM, asked_from=NOW), NoAnswer)


NEXT = {"next_page_uri": f"{ACCOUNT_PATH}/Calls.json?Page=1&PageToken=PACA"}
OLD = created(NOW - timedelta(days=1))


def test_a_page_that_reaches_back_to_before_the_request_is_enough() -> None:
    assert found_among(a_call(), a_call(sid=OTHER_SID, date_created=OLD), **NEXT) == Candidates((report(),))
    assert found_among(a_call(date_created=OLD), **NEXT) == NotFound()


def test_a_page_that_does_not_reach_back_to_the_request_proves_nothing() -> None:
    assert isinstance(found_among(a_call(), **NEXT), NoAnswer)
    assert isinstance(found_among(a_call(direction="inbound"), **NEXT), NoAnswer)


scalars = st.none() | st.booleans() | st.integers() | st.text(max_size=8)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner), max_leaves=8
)
dates = (
    st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)).map(  # noqa: DTZ001 - UTC is put on
        lambda at: format_datetime(at.replace(tzinfo=UTC))
    )
    | st.from_regex(r"\A[A-Z][a-z]{2}, [0-9]{1,2} [A-Z][a-z]{2} [0-9]{2,5} [0-9:]{4,9} [+-][0-9]{1,30}\Z")
    | st.text(max_size=40)
)
calls_of_all_kinds = st.fixed_dictionaries(
    {},
    optional={
        "sid": st.sampled_from([SID, OTHER_SID]) | anything,
        "status": st.sampled_from(["queued", "busy"]) | anything,
        "to": st.sampled_from([TO, FROM]) | anything,
        "from": st.sampled_from([TO, FROM]) | anything,
        "direction": st.sampled_from(["outbound-api", "inbound"]) | anything,
        "date_created": st.sampled_from([created(NOW), OLD]) | dates | anything,
        "duration": anything,
        "answered_by": anything,
    },
)


@given(calls=st.lists(calls_of_all_kinds | anything, max_size=3), uri=st.none() | st.just("/next"))
def test_any_list_gives_candidates_with_id_and_status_without_raising(calls: list[Any], uri: str | None) -> None:
    found = candidates_in({"calls": calls, "next_page_uri": uri}, phone_number=TO, from_number=FROM, asked_from=NOW)
    if isinstance(found, Candidates):
        assert found.reports
        assert all(told.external_call_id and told.status for told in found.reports)


@given(at=st.timedeltas(timedelta(days=-3), timedelta(days=3)), zone=st.integers(-14, 14))
def test_the_creation_time_decides_in_any_zone(at: timedelta, zone: int) -> None:
    moment = (NOW + at).replace(microsecond=0)
    local = moment.astimezone(UTC) + timedelta(hours=zone)
    told = f"{local:%a, %d %b %Y %H:%M:%S} {'-' if zone < 0 else '+'}{abs(zone):02}00"
    is_ours = moment >= NOW - CLOCKS_DIFFER
    assert (found_among(a_call(date_created=told)) == Candidates((report(),))) is is_ours


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0), ("42", 42), ("007", 7), ("100", 100), ("101", None), ("-1", None), ("1.5", None), ("", None),
        (" 1", None), ("٤٢", None), ("9" * 5000, None), (None, None), (42, None), (True, None),
    ],
)  # fmt: skip
def test_a_number_has_only_digits_and_a_limit(text: object, number: int | None) -> None:
    assert whole_number(text, 100) == number


@given(st.text() | st.integers().map(str))
def test_any_text_is_read_as_a_number_within_the_limit_or_none(text: str) -> None:
    number = whole_number(text, 1_000)
    assert number is None or (0 <= number <= 1_000 and number == int(text))


async def test_a_queued_or_ringing_call_is_dropped_with_one_request(twilio_at: Maker) -> None:
    finding, methods = await dropped(twilio_at, says(200, a_call(status="canceled")))
    assert (finding, methods) == (Found(report(status="canceled")), ["POST"])


async def test_dropping_a_call_that_was_answered_meanwhile_returns_its_state(twilio_at: Maker) -> None:
    too_late = error(400, 21220, "Call is in-progress. Cannot set it to canceled.")
    finding, methods = await dropped(twilio_at, too_late, says(200, a_call(status="in-progress")))
    assert (finding, methods) == (Found(report(status="in-progress")), ["POST", "GET"])


async def test_a_call_unknown_to_twilio_cannot_be_dropped(twilio_at: Maker) -> None:
    assert await dropped(twilio_at, error(404, 20404)) == (NotFound(), ["POST"])


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(error(500, 20500), id="500"),
        pytest.param(error(429, 20429), id="429"),
        pytest.param((hear, cut), id="cut"),
        pytest.param((hear, hang), id="silence"),
        pytest.param(says(200, a_call(sid=OTHER_SID)), id="another call"),
        pytest.param(answering(200, b"<html>"), id="a web page"),
    ],
)
async def test_after_a_failed_drop_twilio_is_asked_for_the_calls_state(
    idle_clock: MockClock, script: Script, twilio_at: Maker
) -> None:
    finding, methods = await dropped(twilio_at, script, says(200, a_call(status="canceled")))
    assert (finding, methods) == (Found(report(status="canceled")), ["POST", "GET"])
    finding, _ = await dropped(twilio_at, script, error(500, 20500))
    assert isinstance(finding, NoAnswer)
    assert idle_clock.current_time() < 2 * TIMEOUT + 1


async def test_two_unanswered_requests_time_out(idle_clock: MockClock, twilio_at: Maker) -> None:
    assert isinstance((await dropped(twilio_at, (hear, hang)))[0], NoAnswer)
    assert idle_clock.current_time() < 2 * TIMEOUT + 1
