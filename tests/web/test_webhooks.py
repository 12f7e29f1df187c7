import json

import pytest
import trio

from reminderd.core.answers import Report
from reminderd.store.errors import StoreUnavailableError, UnknownReminderError
from tests.support.waiting import until
from tests.support.web_server import LIMIT, PATH, PAYLOAD, REMINDER, WebServer, a_web_server, read_answer

LONG = b"x" * (LIMIT + 1)


async def test_a_report_is_recorded_and_confirmed(web: WebServer) -> None:
    answer = await web.post()
    assert (answer.status_code, answer.json()) == (200, {"success": True})
    assert web.recorder.reports == [Report(external_call_id="ext-1", status="completed", reminder_id=REMINDER)]
    assert web.log == []


async def test_a_repeated_report_is_confirmed_as_a_duplicate(web: WebServer) -> None:
    web.recorder.duplicate = True
    answer = await web.post()
    assert (answer.status_code, answer.json()) == (200, {"success": True, "duplicate": True})


async def test_a_report_for_an_unknown_reminder_is_not_found(web: WebServer) -> None:
    web.recorder.error = UnknownReminderError(REMINDER)
    answer = await web.post()
    assert (answer.status_code, answer.json()) == (404, {"error": "Unknown reminder"})
    assert [line.strip() for line in web.log] == ["WARNING webhook refused with 404: Unknown reminder"]


async def test_a_webhook_that_cannot_be_recorded_must_be_sent_again(web: WebServer) -> None:
    web.recorder.error = StoreUnavailableError("the disk is full")
    answer = await web.post()
    assert (answer.status_code, answer.json()) == (503, {"error": "Service unavailable"})
    assert int(answer.headers["Retry-After"]) > 0
    assert [line.strip() for line in web.log] == ["WARNING webhook not recorded, answered with 503: the disk is full"]


async def test_a_wrong_signature_is_refused(web: WebServer) -> None:
    answer = await web.post(X_Signature="theirs")
    assert (answer.status_code, answer.json()) == (401, {"error": "Invalid signature"})
    assert web.recorder.reports == []
    assert [line.strip() for line in web.log] == ["WARNING webhook refused with 401: Invalid signature"]


async def test_every_error_in_a_payload_is_reported(web: WebServer) -> None:
    answer = await web.post(b'{"call_id": "+12025550001"}')
    details = [
        "status: missing; expected text of 1 to 50 characters",
        "metadata.reminder_id: missing; expected text of 1 to 200 characters",
    ]
    assert (answer.status_code, answer.json()) == (400, {"error": "Invalid payload", "details": details})
    (line,) = web.log
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
async def test_every_json_content_type_is_accepted(web: WebServer, content_type: str | None) -> None:
    answer = await (web.post() if content_type is None else web.post(Content_Type=content_type))
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
async def test_a_body_that_is_not_json_is_refused(web: WebServer, content_type: str) -> None:
    answer = await web.post(Content_Type=content_type)
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
    ids=["path", "method", "length", "signature", "content type", "JSON", "unknown reminder"],
)
async def test_the_first_error_in_the_documented_order_is_reported(
    web: WebServer, method: str, path: str, body: bytes, signature: str, content_type: str, status: int
) -> None:
    web.recorder.error = UnknownReminderError(REMINDER)
    headers = {"X-Signature": signature, "Content-Type": content_type}
    answer = await web.client.request(method, path, content=body, headers=headers)
    assert answer.status_code == status
    assert set(answer.json()) <= {"error", "details"}


async def test_an_unexpected_error_is_logged_with_its_traceback_and_answered_without_it(web: WebServer) -> None:
    web.recorder.error = RuntimeError("no such column: wake_at")
    answer = await web.post()
    assert (answer.status_code, answer.json()) == (500, {"error": "Internal server error"})
    (line,) = web.log
    assert line.startswith(f"ERROR unexpected error in POST {PATH}\nTraceback")
    assert "RuntimeError: no such column: wake_at" in line


async def test_an_exception_group_is_answered_with_500(web: WebServer) -> None:
    web.recorder.error = ExceptionGroup("several", [RuntimeError("one"), ValueError("two")])
    assert (await web.post()).status_code == 500


async def test_a_webhook_beyond_the_concurrency_limit_must_be_sent_again() -> None:
    async with a_web_server(in_work=1) as web, trio.open_nursery() as nursery:
        web.recorder.hold()
        nursery.start_soon(web.post)
        await web.recorder.begun.wait()
        refused = await web.post()
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        web.recorder.go_on.set()

        async def is_accepted() -> bool:
            return (await web.post()).status_code == 200

        await until(is_accepted)


async def test_a_report_is_settled_even_if_its_sender_hangs_up_meanwhile() -> None:
    async with a_web_server(in_work=1) as web:
        web.recorder.hold()
        stream = await web.begin(f"Content-Length: {len(PAYLOAD)}")
        await stream.send_all(PAYLOAD)
        await web.recorder.begun.wait()
        await stream.aclose()
        web.recorder.go_on.set()
        while (await web.post()).status_code != 200:  # until the first one has given its place back
            pass
        assert len(web.recorder.reports) == 2


async def test_a_sender_that_hangs_up_within_its_body_is_not_logged() -> None:
    async with a_web_server() as web:
        stream = await web.begin(f"Content-Length: {len(PAYLOAD)}")
        await stream.send_all(PAYLOAD[:10])
        await stream.aclose()
    assert web.recorder.reports == []
    assert web.log == []


async def test_a_body_received_in_pieces_is_verified_as_sent(web: WebServer) -> None:
    spaced = json.dumps(json.loads(PAYLOAD), indent=1).encode()
    stream = await web.begin("Transfer-Encoding: chunked")
    for piece in (spaced[:7], spaced[7:8], spaced[8:]):
        await stream.send_all(b"%x\r\n%b\r\n" % (len(piece), piece))
    await stream.send_all(b"0\r\n\r\n")
    assert (await read_answer(stream)).startswith(b"HTTP/1.1 200")
    await stream.aclose()
