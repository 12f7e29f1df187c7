"""Twilio at the door: signed, told at once what to say, and on record before anything is said."""

from collections.abc import AsyncIterator
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

import httpx
import pytest

from tests.support.twilio_desk import FROM
from tests.support.twilio_door import GENERIC, LIMIT, MESSAGE, TwilioDoor, a_twilio_door, about, signature
from tests.support.twilio_rest import PUBLIC, SID, TO

NOT_NEEDED = "Hello, this is Dr. Brown's office. This call is no longer needed. Goodbye."
FALLBACK = "/webhooks/twilio/fallback"
PATHS = ["status/{}", "answer/{}", "keys/{}?question=menu&repeats=0"]


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[TwilioDoor]:
    async with a_twilio_door(tmp_path) as opened:
        yield opened


def spoken(answer: httpx.Response) -> Element:
    """The TwiML of an answer."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/xml; charset=utf-8"
    return fromstring(answer.content)  # noqa: S314 - our own


def words(answer: httpx.Response) -> str:
    return " ".join(say.text or "" for say in spoken(answer).iter("Say"))


async def test_a_status_is_on_record_before_it_is_answered_and_needs_no_words(door: TwilioDoor) -> None:
    answer = await door.status("ringing")
    assert (answer.status_code, answer.content) == (204, b"")
    assert door.desk.calls()[0].status == "ringing"


async def test_all_that_twilio_says_of_an_end_is_kept(door: TwilioDoor) -> None:
    await door.status(
        "completed", CallDuration="42", AnsweredBy="human", SipResponseCode="200", SequenceNumber="3", Duration="1"
    )
    (call,) = door.desk.calls()
    assert (call.status, call.duration_seconds, call.answered_by, call.sip_response_code) == (
        "completed",
        42,
        "human",
        200,
    )


async def test_statuses_out_of_order_and_repeated_are_taken_and_the_end_stays(door: TwilioDoor) -> None:
    for word in ("ringing", "no-answer", "initiated", "no-answer", "ringing"):
        assert (await door.status(word)).status_code == 204
    assert [call.status for call in door.desk.calls()] == ["no-answer"]


async def test_whoever_picks_up_hears_the_clinic_first_and_may_press_a_key(door: TwilioDoor) -> None:
    answer = await door.answer()
    (gather, hangup) = spoken(answer)
    assert (gather.tag, hangup.tag) == ("Gather", "Hangup")
    said = words(answer)
    assert said.index("Dr. Brown's office") < said.index(MESSAGE)
    assert gather.attrib["action"] == f"{PUBLIC}/webhooks/twilio/keys/{door.call_id}?question=menu&repeats=0"
    assert door.desk.calls()[0].status == "in-progress"


async def test_a_key_is_on_record_before_anything_is_said(door: TwilioDoor) -> None:
    await door.answer()
    assert "confirmed" in words(await door.press("1"))
    assert door.desk.reminder().response == "confirmed"


async def test_a_key_that_is_reported_twice_is_answered_twice_and_changes_nothing_more(door: TwilioDoor) -> None:
    await door.answer()
    first = await door.press("1")
    before = door.desk.reminder(), door.desk.count("audit")
    assert (await door.press("1")).content == first.content
    assert (door.desk.reminder(), door.desk.count("audit")) == before


async def test_a_question_leads_to_the_next_one_and_where_its_key_is_reported(door: TwilioDoor) -> None:
    await door.answer()
    gather = spoken(await door.press("2"))[0]
    assert gather.attrib["action"].endswith(f"/keys/{door.call_id}?question=cancel&repeats=0")
    spoken(await door.press("2", question="cancel"))
    assert door.desk.reminder().response == "cancel_requested"


async def test_an_opt_out_is_on_record_before_it_is_promised(door: TwilioDoor) -> None:
    await door.answer()
    assert [verb.tag for verb in spoken(await door.press("9"))][-1] == "Hangup"
    assert door.desk.reminder().response == "opted_out"
    assert door.desk.count("opt_outs") == 1


async def test_a_machine_is_told_nothing_of_the_patient_s(door: TwilioDoor) -> None:
    answer = await door.answer(AnsweredBy="machine_end_beep")
    assert spoken(answer).find("Gather") is None
    assert "Dr. Brown's office" in words(answer)
    assert "Miller" not in words(answer)


async def test_the_fallback_says_who_called_and_no_more(door: TwilioDoor) -> None:
    target = f"{FALLBACK}?CallSid={SID}&ErrorCode=11200"
    answer = await door.client.get(target, headers=signature(target, {}))
    assert "Dr. Brown's office" in words(answer)
    assert "Miller" not in words(answer)
    assert any(line.startswith("WARNING Twilio asked for the fallback") for line in door.log)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("token", [None, "wrong"])
async def test_what_is_not_signed_by_twilio_is_forbidden_and_writes_nothing(
    path: str, token: str | None, door: TwilioDoor
) -> None:
    before = door.version
    answer = await door.post(path.format(door.call_id), about("completed", Digits="9"), signed_with=token)
    assert (answer.status_code, answer.json()) == (403, {"error": "Invalid signature"})
    assert door.version == before
    assert [line.strip() for line in door.log] == ["WARNING webhook refused with 403: Invalid signature"]


async def test_a_signature_holds_for_its_own_address_and_form_only(door: TwilioDoor) -> None:
    target = f"/webhooks/twilio/status/{door.call_id}"
    headers = signature(target, about("ringing"))
    elsewhere = await door.client.post(
        f"/webhooks/twilio/answer/{door.call_id}", data=about("ringing"), headers=headers
    )
    touched = await door.client.post(target, data=about("completed"), headers=headers)
    by_host = signature("", about("ringing"))
    assert {elsewhere.status_code, touched.status_code} == {403}
    assert (await door.client.post(target, data=about("ringing"), headers=by_host)).status_code == 403
    assert (await door.client.post(target, data=about("ringing"), headers=headers)).status_code == 204


async def test_the_fallback_is_signed_too(door: TwilioDoor) -> None:
    assert (await door.client.get(FALLBACK)).status_code == 403


async def test_a_status_of_a_call_that_nobody_knows_is_not_found(door: TwilioDoor) -> None:
    before = door.version
    answer = await door.post("status/no-such-call", about("completed"))
    assert (answer.status_code, answer.json()) == (404, {"error": "Unknown reminder"})
    assert door.version == before


@pytest.mark.parametrize("path", PATHS[1:])
async def test_whoever_picks_up_a_call_that_nobody_knows_hears_a_polite_word(path: str, door: TwilioDoor) -> None:
    before = door.version
    answer = await door.post(path.format("no-such-call"), about("in-progress", Digits="9"))
    assert [verb.tag for verb in spoken(answer)] == ["Say", "Hangup"]
    assert words(answer) == NOT_NEEDED
    assert door.version == before


@pytest.mark.parametrize("path", PATHS)
async def test_what_can_not_be_recorded_now_is_not_answered_as_if_it_were(path: str, door: TwilioDoor) -> None:
    path, fields = path.format(door.call_id), about("in-progress", Digits="1")
    door.desk.connection.execute("BEGIN IMMEDIATE")
    answer = await door.post(path, fields)
    assert (answer.status_code, answer.json()) == (503, {"error": "Service unavailable"})
    assert int(answer.headers["Retry-After"]) > 0
    door.desk.connection.execute("ROLLBACK")
    assert (await door.post(path, fields)).status_code in {200, 204}


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "status/call-1"), ("GET", "answer/call-1"), ("PUT", "keys/call-1"), ("POST", "fallback")],
)
async def test_another_method_than_twilio_s_is_not_allowed(method: str, path: str, door: TwilioDoor) -> None:
    answer = await door.client.request(method, f"/webhooks/twilio/{path}")
    assert (answer.status_code, answer.json()) == (405, {"error": "Method not allowed"})


@pytest.mark.parametrize("path", PATHS)
async def test_a_form_that_is_too_long_is_refused_unread(path: str, door: TwilioDoor) -> None:
    answer = await door.post(path.format(door.call_id), about("ringing", Filler="x" * LIMIT), signed_with=None)
    assert (answer.status_code, answer.json()) == (413, {"error": "Payload too large"})


@pytest.mark.parametrize("path", PATHS)
async def test_a_form_without_a_call_is_invalid_and_its_words_are_not_repeated(path: str, door: TwilioDoor) -> None:
    answer = await door.post(path.format(door.call_id), {"To": TO, "CallStatus": "ringing"})
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid payload")
    assert not any(TO[1:] in line for line in door.log)


@pytest.mark.parametrize("query", ["", "?question=menu", "?question=everything&repeats=0", "?question=menu&repeats=x"])
async def test_keys_without_the_question_that_was_asked_are_invalid(query: str, door: TwilioDoor) -> None:
    before = door.version
    answer = await door.post(f"keys/{door.call_id}{query}", about("in-progress", Digits="1"))
    assert (answer.status_code, answer.json()["error"]) == (400, "Invalid payload")
    assert door.version == before


@pytest.mark.parametrize("path", ["/webhooks/twilio", "/webhooks/twilio/status/", "/webhooks/twilio/status/a/b"])
async def test_a_path_that_is_not_ours_is_not_found(path: str, door: TwilioDoor) -> None:
    assert (await door.client.post(path)).status_code == 404


async def test_the_generic_door_is_not_there(door: TwilioDoor) -> None:
    assert (await door.client.post("/webhooks/call-status", content=b"{}")).status_code == 404


async def test_without_twilio_its_door_is_not_there(tmp_path: Path) -> None:
    async with a_twilio_door(tmp_path, GENERIC) as door:
        for path in PATHS:
            assert (await door.post(path.format(door.call_id), about("ringing"))).status_code == 404
        assert (await door.client.get(FALLBACK)).status_code == 404
        assert (await door.client.post("/webhooks/call-status", content=b"{}")).status_code == 401


async def test_no_number_and_no_message_is_in_the_log(door: TwilioDoor) -> None:
    for word in ("initiated", "ringing"):
        await door.status(word)
    await door.answer()
    await door.press("7")
    await door.press("1")
    await door.status("completed", CallDuration="42")
    assert door.log
    for private in (TO[1:], FROM[1:], "Miller"):
        assert not any(private in line for line in door.log)
