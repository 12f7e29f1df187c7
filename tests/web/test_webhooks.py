import json

import pytest
import trio

from reminderd.core.answers import Report
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from tests.support.door import LIMIT, PATH, PAYLOAD, REMINDER, Door, a_door, read_answer

LONG = b"x" * (LIMIT + 1)


async def test_a_report_is_recorded_and_confirmed(door: Door) -> None:
    answer = await door.post()
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert door.recorder.reports == [Report(external_call_id="ext-1", status="completed", reminder_id=REMINDER)]
    assert door.log == []


async def test_a_repeat_is_confirmed_as_one(door: Door) -> None:
    door.recorder.duplicate = True
    answer = await door.post()
    assert (answer.status_code, answer.json()) == (200, {"success": True, "duplicate": True})


async def test_a_report_for_an_unknown_reminder_is_not_found(door: Door) -> None:
    door.recorder.error = UnknownReminderError(REMINDER)
    answer = await door.post()
    assert (answer.status_code, answer.json()) == (404, {"error": "Unknown reminder"})
    assert [line.strip() for line in door.log] == ["WARNING webhook refused with 404: Unknown reminder"]


async def test_what_can_not_be_recorded_now_is_to_be_sent_again(door: Door) -> None:
    door.recorder.error = StoreUnavailableError("the disk is full")
    answer = await door.post()
    assert (answer.status_code, answer.json()) == (503, {"error": "Service unavailable"})
    assert int(answer.headers["Retry-After"]) > 0
    assert [line.strip() for line in door.log] == ["WARNING webhook not recorded, answered with 503: the disk is full"]


async def test_a_wrong_signature_is_refused(door: Door) -> None:
    answer = await door.post(X_Signature="theirs")
    assert (answer.status_code, answer.json()) == (401, {"error": "Invalid signature"})
    assert door.recorder.reports == []
    assert [line.strip() for line in door.log] == ["WARNING webhook refused with 401: Invalid signature"]


async def test_every_mistake_in_a_payload_is_told(door: Door) -> None:
    answer = await door.post(b'{"call_id": "+12025550001"}')
    details = [
        "status: missing; expected text of 1 to 50 characters",
        "metadata.reminder_id: missing; expected text of 1 to 200 characters",
    ]
    assert (answer.status_code, answer.json()) == (400, {"error": "Invalid payload", "details": details})
    (line,) = door.log
    assert line.startswith("WARNING webhook refused with 400: Invalid payload; status: missing")
    assert "5550100001" not in line


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "APPLICATION/JSON",
        "application/json; charset=utf-8",
        "application/json;anything=goes; more",
        "application/cloudevents+json",
        "application/vnd.voice.v1+json; charset=utf-8",
    ],
)
async def test_json_is_taken_under_every_name(door: Door, content_type: str | None) -> None:
    answer = await (door.post() if content_type is None else door.post(Content_Type=content_type))
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "content_type",
    [
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/+json",
        "application/x-www-form-urlencoded",
        "application/json, text/plain",
        "json",
        "; charset=utf-8",
    ],
)
async def test_what_is_not_json_is_refused(door: Door, content_type: str) -> None:
    answer = await door.post(Content_Type=content_type)
    assert (answer.status_code, answer.json()) == (415, {"error": "Unsupported media type"})


@pytest.mark.parametrize(
    ("method", "path", "body", "signature", "content_type", "status"),
    [
        ("POST", "/webhooks", LONG, "theirs", "text/plain", 404),
        ("PUT", PATH, LONG, "theirs", "text/plain", 405),
        ("POST", PATH, LONG, "theirs", "text/plain", 413),
        ("POST", PATH, b"{}", "theirs", "text/plain", 401),
        ("POST", PATH, b"{}", "ours", "text/plain", 415),
        ("POST", PATH, b"{}", "ours", "application/json", 400),
        ("POST", PATH, PAYLOAD, "ours", "application/json", 404),
    ],
)
async def test_of_several_mistakes_the_first_in_the_agreed_order_is_told(
    door: Door, method: str, path: str, body: bytes, signature: str, content_type: str, status: int
) -> None:
    door.recorder.error = UnknownReminderError(REMINDER)
    headers = {"X-Signature": signature, "Content-Type": content_type}
    answer = await door.client.request(method, path, content=body, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) <= {"error", "details"}


async def test_unknown_trouble_is_logged_with_its_traceback_and_told_without_it(door: Door) -> None:
    door.recorder.error = RuntimeError("no such column: wake_at")
    answer = await door.post()
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal server error"})
    (line,) = door.log
    assert line.startswith(f"ERROR unexpected error in POST {PATH}\nTraceback")
    assert "RuntimeError: no such column: wake_at" in line


async def test_trouble_in_a_group_is_unknown_trouble_too(door: Door) -> None:
    door.recorder.error = ExceptionGroup("several", [RuntimeError("one"), ValueError("two")])
    assert (await door.post()).status_code == 500


async def test_a_webhook_beyond_those_in_work_is_to_be_sent_again() -> None:
    async with a_door(in_work=1) as door, trio.open_nursery() as nursery:
        door.recorder.hold()
        nursery.start_soon(door.post)
        await door.recorder.begun.wait()
        refused = await door.post()
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        door.recorder.go_on.set()
        while (await door.post()).status_code != 200:
            pass


async def test_a_report_is_settled_even_if_its_sender_hangs_up_meanwhile() -> None:
    async with a_door(in_work=1) as door:
        door.recorder.hold()
        stream = await door.begin(f"Content-Length: {len(PAYLOAD)}")
        await stream.send_all(PAYLOAD)
        await door.recorder.begun.wait()
        await stream.aclose()
        door.recorder.go_on.set()
        while (await door.post()).status_code != 200:  # until the first one has given its place back
            pass
        assert len(door.recorder.reports) == 2


async def test_a_sender_that_hangs_up_in_the_middle_of_its_body_leaves_no_trace_in_the_log() -> None:
    async with a_door() as door:
        stream = await door.begin(f"Content-Length: {len(PAYLOAD)}")
        await stream.send_all(PAYLOAD[:10])
        await stream.aclose()
    assert door.recorder.reports == []
    assert door.log == []


async def test_the_body_is_verified_as_it_was_sent_whatever_pieces_it_came_in(door: Door) -> None:
    spaced = json.dumps(json.loads(PAYLOAD), indent=1).encode()
    stream = await door.begin("Transfer-Encoding: chunked")
    for piece in (spaced[:7], spaced[7:8], spaced[8:]):
        await stream.send_all(b"%x\r\n%b\r\n" % (len(piece), piece))
    await stream.send_all(b"0\r\n\r\n")
    assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")
    await stream.aclose()
