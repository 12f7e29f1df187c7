"""The part of Twilio's OpenAPI document that is used here, and what a request has against it.

`openapi.json` has the paths, names and types of `spec/json/twilio_api_v2010.json` in https://github.com/twilio/twilio-oai,
without its descriptions. What the document says in words only is in `IN_WORDS`.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jsonschema import Draft202012Validator, FormatChecker

from tests.support.hostile_provider import HeardRequest

DOCUMENT: dict[str, Any] = json.loads(Path(__file__).with_suffix(".json").read_text())

IN_WORDS: Mapping[str, Mapping[str, Any]] = {
    "StatusCallbackEvent": {"items": {"enum": ["initiated", "ringing", "answered", "completed"]}},
    "StatusCallback": {"pattern": r"^https?://[^/_]+(/|$)"},  # no underscore in the host's name
    "MachineDetection": {"enum": ["Enable", "DetectMessageEnd"]},
    "Timeout": {"minimum": 0, "maximum": 600},
    "Twiml": {"maxLength": 4000},
    "Method": {"enum": ["GET", "POST"]},
    "FallbackMethod": {"enum": ["GET", "POST"]},
    "StatusCallbackMethod": {"enum": ["GET", "POST"]},
}
"""What else a parameter of this name must satisfy."""

_FORMATS = FormatChecker(formats=())
_FORM = "application/x-www-form-urlencoded"


@_FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"https?://[!-~]+", value) is not None


@_FORMATS.checks("endpoint")
@_FORMATS.checks("phone-number")
def _is_e164(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\+[1-9][0-9]{6,14}", value) is not None


def violations(request: HeardRequest) -> list[str]:
    """What is wrong with a request, a sentence each."""
    address = urlsplit(request.target)
    known = [(t, found) for t in DOCUMENT["paths"] if (found := _matched(t, address.path)) is not None]
    if not known:
        return [f"{address.path}: no such path"]
    ((template, in_path),) = known
    operation = DOCUMENT["paths"][template].get(request.method.lower())
    if operation is None:
        return [f"{template}: no {request.method}"]
    query = parse_qsl(address.query, keep_blank_values=True, strict_parsing=bool(address.query))
    return [
        *_against(_schema_of(operation, "path"), list(in_path.items())),
        *_against(_schema_of(operation, "query"), query),
        *_against_body(operation, request),
        *([] if request.headers.get("authorization", "").startswith("Basic ") else ["no basic authentication"]),
    ]


def _matched(template: str, path: str) -> dict[str, str] | None:
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]+)", re.escape(template))
    found = re.fullmatch(pattern, path)
    return None if found is None else {name: unquote(value) for name, value in found.groupdict().items()}


def _schema_of(operation: Mapping[str, Any], where: str) -> dict[str, Any]:
    parameters = [parameter for parameter in operation["parameters"] if parameter["in"] == where]
    return {
        "properties": {parameter["name"]: parameter["schema"] for parameter in parameters},
        "required": [parameter["name"] for parameter in parameters if parameter.get("required")],
    }


def _against_body(operation: Mapping[str, Any], request: HeardRequest) -> Iterator[str]:
    content = operation.get("requestBody", {}).get("content")
    if content is None:
        if request.body:
            yield "a body, where none is taken"
        return
    content_type = request.headers.get("content-type", "")
    if content_type not in content:
        yield f"Content-Type {content_type!r}"
        return
    fields = parse_qsl(request.body.decode("ascii"), keep_blank_values=True, strict_parsing=True)
    yield from _against(content[_FORM]["schema"], fields)
    given = {_snake(name) for name, _ in fields}
    for names in operation.get("x-twilio", {}).get("conditional", []):
        if not given & set(names):
            yield f"none of {', '.join(names)}"


def _against(schema: Mapping[str, Any], fields: Sequence[tuple[str, str]]) -> Iterator[str]:
    """What these fields have against a schema, once each is read as the type that it has there."""
    properties = {name: _resolved(found) for name, found in schema["properties"].items()}
    whole = {
        "type": "object",
        "properties": {name: {"allOf": [found, IN_WORDS.get(name, {})]} for name, found in properties.items()},
        "required": schema.get("required", []),
        "additionalProperties": False,
    }
    values = {name: _read(properties.get(name, {}), [v for n, v in fields if n == name]) for name, _ in fields}
    for error in Draft202012Validator(whole, format_checker=_FORMATS).iter_errors(values):
        yield f"{'.'.join(map(str, error.path))}: {error.message}"


def _resolved(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    name = schema.get("$ref", "").rpartition("/")[2]
    return DOCUMENT["components"]["schemas"][name] if name else schema


def _read(schema: Mapping[str, Any], values: list[str]) -> object:
    """The values of one name; a name that comes several times is a list, whether it may be one or not."""
    if schema.get("type") == "array":
        return values
    if len(values) > 1:
        return values
    (value,) = values
    match schema.get("type"):
        case "integer" if re.fullmatch("-?[0-9]+", value):
            return int(value)
        case "boolean" if value in {"true", "false"}:
            return value == "true"
        case _:
            return value


def _snake(name: str) -> str:
    return re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
