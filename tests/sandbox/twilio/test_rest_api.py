"""The simulated call API of Twilio over real HTTP."""

import re
from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest
import trio
import trio.testing

from reminderd.sandbox.behaviors import RETRY_AFTER_STEPS, example_number
from reminderd.sandbox.twilio.rest_api import TwilioSandbox
from tests.support.twilio_sandbox import ACCOUNT, CALLS, FROM, TOKEN, ServedTwilioSandbox, a_twilio_sandbox
from tests.support.waiting import until

ACCOUNT_PATH = f"/2010-04-01/Accounts/{ACCOUNT}"


def refused(answer: httpx.Response, status: int, code: int) -> bool:
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code), body
    assert body["message"]
    return bool(body == body | {"status": status, "more_info": f"https://www.twilio.com/docs/errors/{code}"})


async def test_a_placed_call_has_the_form_that_twilio_documents() -> None:
    async with a_twilio_sandbox(pace=1000) as served:
        answer = await served.place()
    assert answer.status_code == 201
    call = answer.json()
    assert re.fullmatch("CA[0-9a-f]{32}", call["sid"])
    assert (call["status"], call["direction"], call["api_version"]) == ("queued", "outbound-api", "2010-04-01")
    assert (call["to"], call["from"], call["account_sid"]) == (example_number("answered"), FROM, ACCOUNT)
    assert call["uri"] == f"{ACCOUNT_PATH}/Calls/{call['sid']}.json"
    assert call["subresource_uris"]["recordings"] == f"{ACCOUNT_PATH}/Calls/{call['sid']}/Recordings.json"
    assert [call[name] for name in ("start_time", "end_time", "duration", "answered_by", "price")] == [None] * 5
    assert re.fullmatch(r"\w{3}, \d{2} \w{3} \d{4} [\d:]{8} \+0000", call["date_created"])
    others = {name: value for name, value in call.items() if name != "subresource_uris"}
    assert all(value is None or isinstance(value, str) for value in others.values())


async def test_the_same_request_twice_places_two_calls() -> None:
    async with a_twilio_sandbox() as served:
        answers = [await served.place() for _ in range(2)]
        assert len({answer.json()["sid"] for answer in answers}) == len(served.sandbox.calls) == 2


async def test_a_call_has_its_number_and_the_attempt_id_of_its_callback() -> None:
    async with a_twilio_sandbox(pace=1000) as served:
        await served.place(StatusCallback=f"{served.clinic.url}/status/call-7#rc=5")
        await served.place(StatusCallback=None)
        first, second = served.sandbox.calls
    assert (first.phone_number, first.status, first.attempt_id) == (example_number("answered"), "queued", "call-7")
    assert second.attempt_id is None


@pytest.mark.parametrize(
    ("parameter", "value", "code"),
    [
        ("To", None, 21201),
        ("To", "", 21201),
        ("To", "2025550100", 21211),
        ("To", "client:alice", 21211),
        ("From", None, 21213),
        ("From", "clinic", 21212),
        ("From", "+12025550100", 21210),
        ("Url", None, 21205),
        ("Url", "", 21205),
        ("Url", "/answer", 21205),
        ("Url", "ftp://clinic.example/answer", 21205),
        ("Url", "http://clinic.example:port/", 21205),
        ("Url", "http://clinic.example/an answer", 21205),
        ("Url", "http://[clinic/", 21205),
        ("Url", "http://clinic.example/" + "x" * 4000, 21205),
        ("FallbackUrl", "here", 21205),
        ("StatusCallback", "https://our_clinic.example/status/1", 21609),
        ("StatusCallback", "https:///status/1", 21609),
        ("StatusCallbackEvent", "busy", 20001),
        ("StatusCallbackEvent", ["answered", "initiated ringing"], 20001),
        ("Method", "PUT", 20001),
        ("FallbackMethod", "post", 20001),
        ("StatusCallbackMethod", "", 20001),
        ("Timeout", "601", 20001),
        ("Timeout", "-1", 20001),
        ("Timeout", "soon", 20001),
        ("TimeLimit", "0", 20001),
        ("MachineDetection", "Yes", 20001),
        ("MachineDetectionSpeechThreshold", "999", 20001),
        ("IdempotencyKey", "k", 20001),
        ("to", "+12025550100", 20001),
        ("Timeout", ["30", "30"], 20001),
    ],
)
async def test_a_parameter_that_is_not_as_documented_is_refused(
    parameter: str, value: str | list[str] | None, code: int
) -> None:
    async with a_twilio_sandbox() as served:
        assert refused(await served.place(**{parameter: value}), 400, code)
        assert served.sandbox.calls == ()


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
async def test_only_a_form_is_accepted(content_type: str) -> None:
    async with a_twilio_sandbox() as served:
        answer = await served.client.post(CALLS, content=b"To=%2B12025550100", headers={"Content-Type": content_type})
        assert refused(answer, 400, 20001)


async def test_a_form_that_is_not_utf_8_or_too_long_is_refused() -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with a_twilio_sandbox() as served:
        assert refused(await served.client.post(CALLS, content=b"To=\xff", headers=form), 400, 20001)
        assert (await served.client.post(CALLS, content=b"x" * 100_000, headers=form)).status_code == 413


async def test_every_documented_parameter_is_accepted() -> None:
    async with a_twilio_sandbox() as served:
        answer = await served.place(
            Method="GET",
            FallbackUrl="https://clinic.example/sorry.xml",
            FallbackMethod="GET",
            StatusCallbackMethod="POST",
            Timeout="0",
            TimeLimit="120",
            MachineDetection="Enable",
            MachineDetectionTimeout="20",
        )
        assert answer.status_code == 201


@pytest.mark.parametrize(
    "auth", [None, (ACCOUNT, "other"), ("AC1", "12345"), ("", "")], ids=["none", "token", "account", "empty"]
)
async def test_wrong_credentials_are_401_and_place_nothing(auth: tuple[str, str] | None) -> None:
    async with a_twilio_sandbox() as served:
        served.client.auth = auth  # type: ignore[assignment]  # httpx types the getter only
        assert refused(await served.place(), 401, 20003)
        served.client.headers["Authorization"] = "Bearer 12345"
        assert refused(await served.place(), 401, 20003)
        assert served.sandbox.calls == ()


async def test_a_request_for_another_account_is_401() -> None:
    async with a_twilio_sandbox() as served:
        assert refused(await served.client.get(CALLS.replace(ACCOUNT, "AC1")), 401, 20003)


async def test_an_unknown_resource_is_404() -> None:
    async with a_twilio_sandbox() as served:
        assert refused(await served.client.get(f"{ACCOUNT_PATH}/Calls/CA1.json"), 404, 20404)
        assert refused(
            await served.client.post(f"{ACCOUNT_PATH}/Calls/CA1.json", data={"Status": "completed"}), 404, 20404
        )
        assert refused(await served.client.get("/elsewhere"), 404, 20404)
        assert refused(await served.client.delete(CALLS), 405, 20004)


async def test_a_number_that_cannot_be_called_is_refused_with_twilios_code() -> None:
    async with a_twilio_sandbox() as served:
        answers = [await served.place("refused") for _ in range(2)]
        assert all(refused(answer, 400, 21211) for answer in answers)
        assert example_number("refused") in answers[0].json()["message"]
        assert served.sandbox.calls == ()


@pytest.mark.parametrize(("behavior", "times"), [("down then up", 2), ("too many requests", 1)])
async def test_too_many_requests_are_429_and_nothing_is_placed(behavior: str, times: int) -> None:
    async with a_twilio_sandbox(pace=1) as served:
        for _ in range(times):
            answer = await served.place(behavior)
            assert refused(answer, 429, 20429)
            assert answer.headers["Retry-After"] == str(RETRY_AFTER_STEPS)
            assert served.sandbox.calls == ()
        assert (await served.place(behavior)).status_code == 201


async def test_rejected_requests_are_counted_for_each_number() -> None:
    async with a_twilio_sandbox() as served:
        first, second = (f"{served.clinic.url}/status/call-{number}" for number in (1, 2))
        assert refused(await served.place("error, not placed", StatusCallback=first), 500, 20500)
        assert (await served.place("error, not placed", StatusCallback=second)).status_code == 201


async def test_a_call_may_be_placed_despite_an_error_answer() -> None:
    async with a_twilio_sandbox() as served:
        assert refused(await served.place("error, placed"), 500, 20500)
        assert (await served.ended()).status == "completed"


async def test_a_lost_answer_is_cut_and_the_call_is_placed() -> None:
    async with a_twilio_sandbox() as served:
        with pytest.raises(httpx.RemoteProtocolError):
            await served.place("lost answer")
        assert (await served.ended()).status == "completed"


async def test_an_early_call_is_answered_last_with_status_queued() -> None:
    async with a_twilio_sandbox(pace=0.01) as served:
        answer = await served.place("early webhook")
        assert (answer.status_code, answer.json()["status"]) == (201, "queued")
        assert "CallDuration" in (await served.callbacks(4))[-1]
        assert served.sandbox.calls[0].status == "completed"


async def test_a_look_up_shows_how_the_call_ended() -> None:
    async with a_twilio_sandbox() as served:
        sid = (await served.place("no webhook")).json()["sid"]

        async def ended() -> dict[str, Any] | None:
            shown: dict[str, Any] = (await served.client.get(f"{ACCOUNT_PATH}/Calls/{sid}.json")).json()
            return shown if shown["status"] == "completed" else None

        call = await until(ended)
        assert served.requests("/status") == []
    moments = [parsedate_to_datetime(call[name]) for name in ("date_created", "start_time", "end_time")]
    assert moments == sorted(moments)
    assert int(call["duration"]) > 0


async def placed_in_turn(served: ServedTwilioSandbox, *behaviors: str) -> list[str]:
    return [(await served.place(behavior)).json()["sid"] for behavior in behaviors]


async def test_calls_are_listed_newest_first_by_pages() -> None:
    async with a_twilio_sandbox(pace=1000) as served:
        sids = await placed_in_turn(served, *["answered"] * 5)
        pages = [(await served.client.get(CALLS, params={"PageSize": "2"})).json()]
        while pages[-1]["next_page_uri"]:
            pages.append((await served.client.get(pages[-1]["next_page_uri"])).json())
        assert [call["sid"] for page in pages for call in page["calls"]] == sids[::-1]
        bounds = [(page["page"], page["page_size"], page["start"], page["end"]) for page in pages]
        assert bounds == [(0, 2, 0, 1), (1, 2, 2, 3), (2, 2, 4, 4)]
        assert (await served.client.get(pages[2]["previous_page_uri"])).json() == pages[1]
        assert (await served.client.get(pages[2]["first_page_uri"])).json() == pages[0]
        assert pages[0]["previous_page_uri"] is None
        assert len((await served.client.get(CALLS)).json()["calls"]) == 5


async def test_a_list_has_only_the_calls_that_match() -> None:
    async with a_twilio_sandbox(pace=1000) as served:
        busy, silent = await placed_in_turn(served, "busy", "silent")
        await served.client.post(f"{ACCOUNT_PATH}/Calls/{busy}.json", data={"Status": "canceled"})

        async def listed(**filters: str) -> list[str]:
            answer = await served.client.get(CALLS, params=filters)
            return [call["sid"] for call in answer.json()["calls"]]

        assert await listed(To=example_number("silent")) == [silent]
        assert await listed(To=example_number("failed")) == []
        assert await listed(From=FROM, Status="canceled") == [busy]
        assert await listed(Status="queued") == [silent]
        assert await listed(From="+12025550191") == []


@pytest.mark.parametrize(
    "query", ["Status=gone", "PageSize=0", "PageSize=1001", "Page=-1", "to=x", "StartTime=2026-01-01", "To=a&To=b"]
)
async def test_an_invalid_filter_is_refused(query: str) -> None:
    async with a_twilio_sandbox() as served:
        assert refused(await served.client.get(f"{CALLS}?{query}"), 400, 20001)


@pytest.mark.parametrize("asked", ["canceled", "completed"])
async def test_a_queued_call_can_be_canceled(asked: str) -> None:
    async with a_twilio_sandbox(pace=1000) as served:
        await served.place()
        answer = await served.modify(asked)
        assert (answer.status_code, answer.json()["status"]) == (200, "canceled")
        call = await served.ended()
        assert (call.status, call.heard) == ("canceled", ())
        assert refused(await served.modify(asked), 400, 21220)
        (told,) = await served.callbacks(1)
    assert (told["CallStatus"], told["CallDuration"], told["SequenceNumber"]) == ("canceled", "0", "0")


async def test_a_call_that_is_canceled_before_it_starts_is_never_dialed() -> None:
    sandbox = TwilioSandbox(ACCOUNT, TOKEN, pace=0)
    client = sandbox.app.test_client()
    parameters = {"To": example_number("answered"), "From": FROM, "Url": "http://127.0.0.1:1/answer"}
    await client.post(CALLS, form=parameters, auth=(ACCOUNT, TOKEN))
    (call,) = sandbox.calls
    await client.post(CALLS.replace(".json", f"/{call.id}.json"), form={"Status": "canceled"}, auth=(ACCOUNT, TOKEN))
    async with trio.open_nursery() as nursery:
        await nursery.start(sandbox.play_calls)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    (call,) = sandbox.calls
    assert (call.status, call.dialed_at, call.complaints) == ("canceled", None, ())


@pytest.mark.parametrize("form", [{}, {"Status": "busy"}, {"Status": "completed", "Url": "http://clinic.example/"}])
async def test_a_change_other_than_ending_the_call_is_refused(form: dict[str, str]) -> None:
    async with a_twilio_sandbox(pace=1000) as served:
        sid = (await served.place()).json()["sid"]
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await served.client.post(f"{ACCOUNT_PATH}/Calls/{sid}.json", data=form, headers=headers)
        assert refused(answer, 400, 20001)
        assert served.sandbox.calls[0].status == "queued"


async def test_the_account_and_its_numbers_can_be_read() -> None:
    async with a_twilio_sandbox() as served:
        account = (await served.client.get(f"{ACCOUNT_PATH}.json")).json()
        numbers = f"{ACCOUNT_PATH}/IncomingPhoneNumbers.json"
        every = (await served.client.get(numbers)).json()["incoming_phone_numbers"]
        (ours,) = (await served.client.get(numbers, params={"PhoneNumber": FROM})).json()["incoming_phone_numbers"]
        nobody = (await served.client.get(numbers, params={"PhoneNumber": "+12025550100"})).json()
    assert (account["sid"], account["status"], account["type"]) == (ACCOUNT, "active", "Full")
    assert len(every) == 10
    assert (ours["phone_number"], ours["capabilities"]["voice"]) == (FROM, True)
    assert nobody["incoming_phone_numbers"] == []
