"""Twilio is asked what became of a call, and to drop one."""

import json
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import Any

import pytest

from reminderd.core.answers import Candidates, Finding, Found, NoAnswer, NotFound, Report
from reminderd.providers.base import Placement
from reminderd.providers.twilio.calls import CLOCKS_DIFFER, whole_number
from reminderd.providers.twilio.client import TwilioProvider
from tests.support.hostile_provider import Script, answering, cut, hang, hear, hostile
from tests.support.nouns import NOW

Maker = Callable[..., TwilioProvider]

PLACEMENT = Placement(call_id="call-1", reminder_id="r-1", phone_number="+12025550100", message="Hello", asked_from=NOW)
SECOND = timedelta(seconds=1)


def a_call(sid: str | None = "CA1", **changes: Any) -> dict[str, Any]:
    usual = {
        "sid": sid,
        "status": "in-progress",
        "to": "+12025550100",
        "from": "+12025550190",
        "direction": "outbound-api",
        "date_created": format_datetime(NOW + SECOND),
        "duration": None,
        "answered_by": None,
    }
    return usual | changes


def listed(*calls: object, next_page_uri: str | None = None) -> Script:
    page = {"calls": calls, "page": 0, "page_size": 50, "next_page_uri": next_page_uri}
    return answering(200, json.dumps(page).encode())


async def found_in(script: Script, twilio_at: Maker) -> Finding | Candidates:
    async with hostile(script) as server:
        return await twilio_at(server.url, timeout=timedelta(seconds=1)).find(PLACEMENT)


def sids(finding: Finding | Candidates) -> list[str]:
    assert isinstance(finding, Candidates), finding
    return [report.external_call_id for report in finding.reports]


async def test_a_call_is_asked_for_by_its_sid(twilio_at: Maker) -> None:
    body = a_call(status="completed", duration="31", answered_by="human")
    async with hostile(answering(200, json.dumps(body).encode())) as server:
        finding = await twilio_at(server.url).fetch("CA1/../x")
    assert server.requests[0].target == f"/2010-04-01/Accounts/AC{0:032}/Calls/CA1%2F..%2Fx.json"
    assert finding == Found(
        Report(external_call_id="CA1", status="completed", duration_seconds=31, answered_by="human")
    )


async def test_a_call_that_twilio_does_not_know_is_not_found(twilio_at: Maker) -> None:
    async with hostile(answering(404, b'{"code": 20404}')) as server:
        assert await twilio_at(server.url).fetch("CA1") == NotFound()


@pytest.mark.parametrize(
    "script",
    [
        answering(200, b"{}"),
        answering(200, b'{"sid": "CA1"}'),
        answering(200, b'{"sid": "CA1", "status": 7}'),
        answering(200, b'{"sid": "CA1", "status": " "}'),
        answering(200, b"[]"),
        answering(500),
        answering(401, b'{"code": 20003}'),
        (hear, hang),
        (hear, cut),
    ],
)
async def test_an_answer_that_makes_no_sense_proves_nothing(script: Script, twilio_at: Maker) -> None:
    async with hostile(script) as server:
        assert isinstance(await twilio_at(server.url, timeout=timedelta(seconds=0.5)).fetch("CA1"), NoAnswer)


async def test_calls_to_the_number_are_listed_by_that_number_only(twilio_at: Maker) -> None:
    async with hostile(listed(a_call())) as server:
        finding = await twilio_at(server.url).find(PLACEMENT)
    expected = f"/2010-04-01/Accounts/AC{0:032}/Calls.json?To=%2B12025550100&PageSize=50"
    assert server.requests[0].target == expected
    assert sids(finding) == ["CA1"]


@pytest.mark.parametrize(
    "changes",
    [
        {"to": "+12025550101"},
        {"from": "+12025550199"},
        {"direction": "inbound"},
        {"direction": "outbound-dial"},
        {"date_created": format_datetime(NOW - CLOCKS_DIFFER - SECOND)},
    ],
)
async def test_a_call_that_was_not_made_for_us_is_no_candidate(changes: dict[str, Any], twilio_at: Maker) -> None:
    assert sids(await found_in(listed(a_call("CA2", **changes), a_call("CA1")), twilio_at)) == ["CA1"]
    assert await found_in(listed(a_call("CA2", **changes)), twilio_at) == NotFound()


async def test_twilios_clock_may_be_a_little_behind(twilio_at: Maker) -> None:
    early = a_call(date_created=format_datetime(NOW - CLOCKS_DIFFER))
    assert sids(await found_in(listed(early), twilio_at)) == ["CA1"]


async def test_all_that_could_be_ours_are_named(twilio_at: Maker) -> None:
    assert sids(await found_in(listed(a_call("CA2"), a_call("CA1")), twilio_at)) == ["CA2", "CA1"]


async def test_an_empty_list_means_that_it_knows_none(twilio_at: Maker) -> None:
    assert await found_in(listed(), twilio_at) == NotFound()


async def test_a_page_that_does_not_reach_back_far_enough_proves_nothing(twilio_at: Maker) -> None:
    full = [a_call(f"CA{number}", to="+12025550101") for number in range(3)]
    assert isinstance(await found_in(listed(*full, next_page_uri="/next"), twilio_at), NoAnswer)
    older = a_call("CA9", date_created=format_datetime(NOW - timedelta(hours=1)))
    assert await found_in(listed(*full, older, next_page_uri="/next"), twilio_at) == NotFound()


@pytest.mark.parametrize(
    "script",
    [
        answering(200, b"{}"),
        answering(200, b'{"calls": {}}'),
        listed("CA1"),
        listed(a_call(date_created=None)),
        listed(a_call(date_created="yesterday")),
        listed(a_call(sid=None)),
        listed(a_call(status=None)),
        answering(404),
        answering(500),
        answering(429),
    ],
)
async def test_a_list_that_makes_no_sense_proves_nothing(script: Script, twilio_at: Maker) -> None:
    assert isinstance(await found_in(script, twilio_at), NoAnswer)


async def test_a_date_without_a_zone_is_utc(twilio_at: Maker) -> None:
    call = a_call(date_created=format_datetime(NOW.replace(tzinfo=None)))
    assert sids(await found_in(listed(call), twilio_at)) == ["CA1"]


async def test_a_call_is_dropped_by_a_form_and_stands_as_twilio_says(twilio_at: Maker) -> None:
    async with hostile(answering(200, json.dumps(a_call(status="canceled")).encode())) as server:
        finding = await twilio_at(server.url).drop("CA1")
    (request,) = server.requests
    assert (request.method, request.body) == ("POST", b"Status=canceled")
    assert request.target == f"/2010-04-01/Accounts/AC{0:032}/Calls/CA1.json"
    assert finding == Found(Report(external_call_id="CA1", status="canceled"))


@pytest.mark.parametrize("refused", [answering(400, b'{"code": 21220}'), answering(500), (hear, cut)])
async def test_a_call_that_can_not_be_dropped_is_asked_about(refused: Script, twilio_at: Maker) -> None:
    async with hostile(refused, answering(200, json.dumps(a_call()).encode())) as server:
        finding = await twilio_at(server.url).drop("CA1")
    assert finding == Found(Report(external_call_id="CA1", status="in-progress"))
    assert [request.method for request in server.requests] == ["POST", "GET"]


@pytest.mark.parametrize(
    ("text", "number"), [("0", 0), ("31", 31), ("100", 100), ("101", None), ("", None), ("-1", None), ("1.5", None)]
)
def test_a_number_is_digits_within_its_limit(text: str, number: int | None) -> None:
    assert whole_number(text, 100) == number
    assert whole_number(7, 100) is None
    assert whole_number("٣", 100) is None
