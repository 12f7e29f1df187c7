import json
from http import HTTPStatus
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.providers.http import HttpAnswer, reason_of

MESSAGE = "Hello Mr Miller, your appointment with Dr Who is on Monday at nine."
PRIVATE = ("key-of-the-clinic", "+12025550100", MESSAGE)


def said(body: bytes | dict[str, Any], *, status: int = 422) -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = HttpAnswer(status=status, headers=httpx.Headers(), body=content, complete=True)
    return reason_of(answer, private=PRIVATE).removeprefix(f"422 {HTTPStatus(422).phrase}").removeprefix(": ")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"error": "no such number"}, "no such number", id="error"),
        pytest.param({"error": "invalid", "message": "no such number"}, "invalid; no such number", id="two words"),
        pytest.param({"error": {"code": 7, "message": "no such number"}}, "no such number", id="error object"),
        pytest.param(
            {"error": "Invalid payload", "details": ["a: b", "c: d"]}, "Invalid payload; a: b; c: d", id="details"
        ),
        pytest.param({"detail": "line one\r\n\tline two\x00"}, "line one line two", id="many lines"),
        pytest.param(b"no such number", "no such number", id="plain text"),
        pytest.param(b"<!doctype html><h1>Oh no</h1>", "", id="a web page"),
        pytest.param({"error": 7}, "", id="no words"),
        pytest.param(b"", "", id="nothing"),
    ],
)
def test_a_reason_keeps_the_providers_own_words(body: bytes | dict[str, Any], expected: str) -> None:
    assert said(body) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param("+12025550100 is invalid", "… is invalid", id="the number"),
        pytest.param("12025550100 is invalid", "… is invalid", id="without its plus"),
        pytest.param("(202) 555-0100 is invalid", "… is invalid", id="grouped"),
        pytest.param("call 123-4567 now", "call … now", id="seven digits"),
        pytest.param("error 123456", "error 123456", id="six digits"),
        pytest.param(f"can't say '{MESSAGE}'", "can't say '…'", id="the message"),
        pytest.param(f"can't say '{MESSAGE[:30]}...'", "can't say '…...'", id="the message, cut short"),
        pytest.param(f"can't say '{MESSAGE[16:].upper()}'", "can't say '…'", id="the message, louder"),
        pytest.param("bad token key-of-the-clinic", "bad token …", id="our key"),
    ],
)
def test_a_reason_has_no_patient_data_and_no_secret(words: str, expected: str) -> None:
    assert said({"error": words}) == expected


def test_an_unknown_status_code_is_the_whole_reason() -> None:
    assert said(b"", status=599) == "599"


@given(st.binary(max_size=300) | st.text().map(lambda text: json.dumps({"error": text}).encode()))
def test_a_reason_is_one_short_printable_line(body: bytes) -> None:
    line = said(body)
    assert len(line) <= 200
    assert line.splitlines() in ([], [line])
    line.encode()
