"""Compare each request that we send to Twilio with the part of Twilio's OpenAPI document about calls."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from jsonschema import Draft202012Validator

from reminderd.providers.base import Placement
from reminderd.providers.twilio.client import TwilioProvider
from tests.support.builders import NOW
from tests.support.hostile_provider import ReceivedRequest, answering, hostile

Maker = Callable[..., TwilioProvider]

DOCUMENT: Final = json.loads((Path(__file__).parent / "voice_api.json").read_text())
SID: Final = "CA" + "0" * 32
FORM: Final = "application/x-www-form-urlencoded"
DETECTIONS: Final = ("off", "Enable", "DetectMessageEnd")


def breaches(request: ReceivedRequest) -> Iterator[str]:
    """Return a sentence for each part of a request that the document does not allow."""
    target = urlsplit(request.target)
    for template, path in DOCUMENT["paths"].items():
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/.]+)", re.escape(template))
        found = re.fullmatch(pattern, target.path)
        operation = path.get(request.method.lower())
        if found is None or operation is None:
            continue
        in_path = {name: unquote(value) for name, value in found.groupdict().items()}
        yield from _parameters(path["parameters"], in_path)
        yield from _parameters(
            operation["parameters"], dict(parse_qsl(target.query, strict_parsing=bool(target.query)))
        )
        if not request.headers.get("authorization", "").startswith("Basic "):
            yield "it is not authorized as the document says"
        yield from _body(operation.get("requestBody"), request)
        return
    yield f"no such operation: {request.method} {target.path}"


def _parameters(known: list[dict[str, Any]], given: dict[str, str]) -> Iterator[str]:
    by_name = {parameter["name"]: parameter["schema"] for parameter in known}
    schema = {
        "type": "object",
        "additionalProperties": False,
        "required": [parameter["name"] for parameter in known if parameter.get("required")],
        "properties": by_name,
    }
    yield from _against(schema, {name: _typed(by_name.get(name), [value]) for name, value in given.items()})


def _body(known: dict[str, Any] | None, request: ReceivedRequest) -> Iterator[str]:
    if known is None:
        if request.body:
            yield "it has a body"
        return
    if request.headers.get("content-type") != FORM:
        yield f"its body is not {FORM}"
    schema = known["content"][FORM]["schema"]
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(request.body.decode(), keep_blank_values=True, strict_parsing=True):
        values.setdefault(name, []).append(value)
    yield from _against(schema, {name: _typed(schema["properties"].get(name), each) for name, each in values.items()})


def _typed(schema: dict[str, Any] | None, values: list[str]) -> object:
    """A form's texts as the document types them."""
    match (schema or {}).get("type"):
        case "array":
            return values
        case "integer" if values[-1].isdigit():
            return int(values[-1])
        case "boolean":
            return {"true": True, "false": False}.get(values[-1], values[-1])
        case _:
            return values if len(values) > 1 else values[-1]


def _against(schema: dict[str, Any], given: dict[str, object]) -> Iterator[str]:
    whole = schema | {"components": DOCUMENT["components"]}
    yield from (error.message for error in Draft202012Validator(whole).iter_errors(given))


async def requests_of(twilio_at: Maker, machine_detection: str) -> list[ReceivedRequest]:
    """Return every kind of request that our client sends."""
    placement = Placement(
        call_id="3f0a5c1e-8f0d-4a7e-9a43-0f2a7f1a9b52",
        reminder_id="r-1",
        phone_number="+12025550100",
        message="Hello",
        asked_from=NOW,
    )
    # Answers that lead it to ask all there is to ask: no call is dropped, no number is the account's.
    scripts = [answering(500)] * 5 + [answering(200, b"{}")] * 3
    async with hostile(*scripts) as server:
        provider = twilio_at(server.url, machine_detection=machine_detection, timeout=timedelta(seconds=5))
        await provider.place(placement)
        await provider.fetch(SID)
        await provider.find(placement)
        await provider.drop(SID)
        await provider.check_account()
    return server.requests


@pytest.mark.parametrize("machine_detection", DETECTIONS)
async def test_every_request_matches_twilios_openapi_document(machine_detection: str, twilio_at: Maker) -> None:
    requests = await requests_of(twilio_at, machine_detection)
    assert [(request.method, urlsplit(request.target).path.rpartition("/")[2]) for request in requests] == [
        ("POST", "Calls.json"),
        ("GET", f"{SID}.json"),
        ("GET", "Calls.json"),
        ("POST", f"{SID}.json"),
        ("GET", f"{SID}.json"),
        ("GET", f"AC{0:032}.json"),
        ("GET", "IncomingPhoneNumbers.json"),
        ("GET", "OutgoingCallerIds.json"),
    ]
    assert [breach for request in requests for breach in breaches(request)] == []


@pytest.mark.parametrize(
    ("body", "breach"),
    [
        (b"To=%2B12025550100&From=%2B12025550190", "is not valid under any of the given schemas"),
        (b"To=2025550100&From=%2B12025550190&Url=https%3A%2F%2Fa.example", "does not match"),
        (b"To=%2B12025550100&From=%2B12025550190&Url=https%3A%2F%2Fa.example&Timeout=601", "greater than the maximum"),
        (b"To=%2B12025550100&From=%2B12025550190&Url=https%3A%2F%2Fa.example&MetaData=x", "'MetaData' was unexpected"),
        (b"To=%2B12025550100&From=%2B12025550190&Url=https%3A%2F%2Fa.example&MachineDetection=On", "is not one of"),
        (b"From=%2B12025550190&Url=https%3A%2F%2Fa.example", "'To' is a required property"),
    ],
)
def test_twilios_openapi_document_rejects_wrong_requests(body: bytes, breach: str) -> None:
    headers = {"authorization": "Basic x", "content-type": FORM}
    target = f"/2010-04-01/Accounts/AC{0:032}/Calls.json"
    found = list(breaches(ReceivedRequest("POST", target, headers, body)))
    assert any(breach in sentence for sentence in found), found
