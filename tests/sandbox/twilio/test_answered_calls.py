"""An answered call: TwiML is fetched, played, and answered with keys."""

import pytest

from tests.support.hostile_provider import answer
from tests.support.twilio_sandbox import CALLS, HELLO, a_twilio_sandbox, fields, menu, twiml

BYE = twiml("<Say>Goodbye.</Say><Hangup/>")
MENU = twiml(menu())
LOST = [answer(500), answer(404), answer(302, Location="/answer"), answer(204), answer(200, b"Hello.")]


@pytest.mark.parametrize(
    ("behavior", "keys"),
    [
        ("confirms", ["1"]),
        ("asks to cancel", ["2", "2"]),
        ("opts out", ["9"]),
        ("has it repeated", ["3", "3", "1"]),
        ("wrong key", ["7", "1"]),
    ],
)
async def test_a_number_presses_one_of_its_keys_at_each_question(behavior: str, keys: list[str]) -> None:
    answers = [*[MENU] * (len(keys) - 1), BYE]
    async with a_twilio_sandbox({"/answer": [MENU], "/keys": answers}) as served:
        await served.place(behavior)
        call = await served.ended()
        pressed = served.requests("/keys")
    assert [fields(request)["Digits"] for request in pressed] == keys
    assert call.heard == (*["Press 1."] * len(keys), "Goodbye.")
    assert (call.status, call.complaints) == ("completed", ())


@pytest.mark.parametrize("behavior", ["answered", "silent", "voicemail"])
async def test_if_no_key_is_pressed_the_next_verb_is_played(behavior: str) -> None:
    async with a_twilio_sandbox({"/answer": [twiml(menu() + "<Say>Nothing? Goodbye.</Say>")]}) as served:
        await served.place(behavior)
        assert (await served.ended()).heard == ("Press 1.", "Nothing? Goodbye.")


async def test_no_key_is_sent_if_the_document_asks_for_it() -> None:
    async with a_twilio_sandbox({"/answer": [twiml(menu(actionOnEmptyResult="true"))], "/keys": [BYE]}) as served:
        await served.place("silent")
        assert (await served.ended()).heard == ("Press 1.", "Goodbye.")
        (pressed,) = served.requests("/keys")
    assert fields(pressed)["Digits"] == ""


async def test_the_fetch_and_the_keys_have_the_parameters_that_twilio_sends() -> None:
    async with a_twilio_sandbox({"/answer": [MENU], "/keys": [BYE]}) as served:
        sid = (await served.place("confirms")).json()["sid"]
        await served.ended()
        fetch, pressed = served.requests("/answer") + served.requests("/keys")
        assert served.is_signed(fetch)
        assert served.is_signed(pressed)
    told = {"CallSid": sid, "CallStatus": "in-progress", "Direction": "outbound-api", "FromCity": ""}
    assert fields(fetch) == fields(fetch) | told
    assert fields(pressed) == fields(fetch) | {"Digits": "1", "FinishedOnKey": "", "msg": "Gather End"}
    assert (fetch.method, fetch.headers["content-type"].partition(";")[0]) == (
        "POST",
        "application/x-www-form-urlencoded",
    )


async def test_a_get_is_signed_with_all_its_parameters() -> None:
    answers = {"/answer": [twiml(menu(method="GET", action="keys?of=1&amp;to=2"))], "/keys": [BYE]}
    async with a_twilio_sandbox(answers) as served:
        await served.place("confirms", Method="GET")
        await served.ended()
        fetch, pressed = served.requests("/answer") + served.requests("/keys")
        assert (fetch.method, pressed.method) == ("GET", "GET")
        assert served.is_signed(fetch)
        assert served.is_signed(pressed)
    assert pressed.target.startswith("/keys?of=1&to=2&CallSid=CA")


async def test_a_gather_without_an_action_requests_its_own_document_again() -> None:
    again = twiml("<Gather numDigits='1'><Say>Press.</Say></Gather>")
    async with a_twilio_sandbox({"/answer": [again, BYE]}) as served:
        await served.place("confirms", Url=f"{served.clinic.url}/answer?call=1")
        assert (await served.ended()).heard == ("Press.", "Goodbye.")
        first, second = served.requests("/answer")
    assert (first.target, second.target) == ("/answer?call=1", "/answer?call=1")
    assert fields(second)["Digits"] == "1"


async def test_verbs_after_a_redirect_are_not_played() -> None:
    away = twiml("<Redirect method='GET'>/more?x=1&amp;y=2</Redirect><Say>Never.</Say>")
    async with a_twilio_sandbox({"/answer": [away], "/more": [BYE]}) as served:
        await served.place()
        assert (await served.ended()).heard == ("Goodbye.",)
        assert fields(served.requests("/more")[0])["y"] == "2"


@pytest.mark.parametrize("address", ["http://[", "http://clinic:port/", "ftp://clinic.example/"])
async def test_a_redirect_to_an_invalid_url_ends_in_a_complaint(address: str) -> None:
    async with a_twilio_sandbox({"/answer": [twiml(f"<Redirect>{address}</Redirect>")]}) as served:
        await served.place()
        call = await served.ended()
    assert (call.status, call.error_code) == ("completed", 11200)
    assert [each.partition(":")[0] for each in call.complaints] == ["11200"]


async def test_a_hangup_ends_the_call_and_a_pause_makes_it_longer() -> None:
    verbs = "<Pause length='30'/><Say loop='2'>Hello.</Say><Pause/><Hangup/><Say>Never.</Say>"
    async with a_twilio_sandbox({"/answer": [twiml(verbs)]}) as served:
        await served.place()
        call = await served.ended()
        told = await served.callback(lambda fields: "CallDuration" in fields)
    assert call.heard == ("Hello.", "Hello.")
    assert (told["CallDuration"], told["Duration"]) == ("34", "1")


async def test_an_endless_loop_of_documents_is_ended() -> None:
    async with a_twilio_sandbox({"/answer": [twiml("<Redirect>/answer</Redirect>")]}) as served:
        await served.place()
        call = await served.ended()
    assert call.status == "completed"
    assert call.complaints == ("12200: 50 documents and no end",)


@pytest.mark.parametrize(
    ("behavior", "detection", "who"),
    [
        ("voicemail", "Enable", "machine_start"),
        ("voicemail", "DetectMessageEnd", "machine_end_beep"),
        ("silent", "Enable", "human"),
        ("answered", "DetectMessageEnd", "human"),
        ("voicemail", None, None),
        ("silent", None, None),
    ],
)
async def test_who_answered_is_reported_if_the_request_asked_for_detection(
    behavior: str, detection: str | None, who: str | None
) -> None:
    async with a_twilio_sandbox() as served:
        await served.place(behavior, MachineDetection=detection)
        await served.ended()
        fetch = fields(served.requests("/answer")[0])
        end = await served.callback(lambda fields: "CallDuration" in fields)
        listed = (await served.client.get(CALLS)).json()
    assert fetch.get("AnsweredBy") == end.get("AnsweredBy") == listed["calls"][0]["answered_by"] == who
    assert ("MachineDetectionDuration" in fetch) == ("MachineDetectionDuration" in end) == (who is not None)


@pytest.mark.parametrize("lost", LOST, ids=["500", "404", "302", "204", "no TwiML"])
async def test_a_document_that_fails_comes_from_the_fallback(lost: bytes) -> None:
    async with a_twilio_sandbox({"/answer": [lost], "/fallback": [BYE]}) as served:
        await served.place("voicemail", FallbackUrl=f"{served.clinic.url}/fallback", MachineDetection="Enable")
        call = await served.ended()
        (asked,) = served.requests("/fallback")
        assert served.is_signed(asked)
        assert len(served.requests("/answer")) == 1
        last = await served.callback(lambda fields: "CallDuration" in fields)
    told = {"ErrorUrl": f"{served.clinic.url}/answer", "AnsweredBy": "machine_start"}
    assert fields(asked) == fields(asked) | told
    assert [each.partition(":")[0] for each in call.complaints] == [fields(asked)["ErrorCode"]]
    assert call.heard == ("Goodbye.",)
    assert "ErrorCode" not in last


async def test_keys_that_cannot_be_delivered_are_sent_to_the_fallback() -> None:
    answers = {"/answer": [MENU], "/keys": [answer(503)], "/fallback": [BYE]}
    async with a_twilio_sandbox(answers) as served:
        await served.place("confirms", FallbackUrl=f"{served.clinic.url}/fallback", FallbackMethod="GET")
        assert (await served.ended()).heard == ("Press 1.", "Goodbye.")
        assert fields(served.requests("/fallback")[0])["Digits"] == "1"


@pytest.mark.parametrize("fallback", [None, "/fallback"])
async def test_a_call_without_any_document_is_hung_up_with_the_reason(fallback: str | None) -> None:
    async with a_twilio_sandbox({"/answer": [answer(500)], "/fallback": [answer(500)]}) as served:
        await served.place(FallbackUrl=fallback and served.clinic.url + fallback)
        call = await served.ended()
        last = await served.callback(lambda fields: "CallDuration" in fields)
    assert (call.status, call.heard, last["ErrorCode"]) == ("completed", (), "11200")
    assert len(call.complaints) == (2 if fallback else 1)


async def test_an_error_in_a_document_is_recorded_and_the_rest_is_played() -> None:
    async with a_twilio_sandbox({"/answer": [twiml("<Dial>+12025550100</Dial><Say>Hello.</Say>")]}) as served:
        await served.place()
        call = await served.ended()
    assert call.heard == ("Hello.",)
    assert len(call.complaints) == 1
    assert "Dial" in call.complaints[0]


async def test_a_call_without_errors_has_no_complaints() -> None:
    async with a_twilio_sandbox({"/answer": [HELLO]}) as served:
        await served.place(FallbackUrl=f"{served.clinic.url}/fallback")
        assert (await served.ended()).complaints == ()
