import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.answers import Report, standard_status
from reminderd.providers.base import DURATION_LIMIT, InvalidPayloadError, json_object
from reminderd.providers.generic.webhooks import read_report

WHOLE: dict[str, Any] = {
    "call_id": "c-1",
    "status": "completed",
    "metadata": {"reminder_id": "r-1", "attempt_id": "a-1"},
    "transcript": "Yes,\n\tI will come. 👍",
    "duration": 42,
    "answered_by": "human",
}


def parsed(body: bytes) -> Report:
    return read_report(json_object(body))


def mistakes_in(body: bytes) -> list[str]:
    with pytest.raises(InvalidPayloadError) as caught:
        parsed(body)
    return caught.value.details


def mistakes_with(**changes: Any) -> list[str]:
    return mistakes_in(json.dumps({**WHOLE, **changes}).encode())


def test_a_complete_report_is_read() -> None:
    assert parsed(json.dumps(WHOLE).encode()) == Report(
        external_call_id="c-1",
        status="completed",
        reminder_id="r-1",
        attempt_id="a-1",
        transcript="Yes,\n\tI will come. 👍",
        duration_seconds=42,
        answered_by="human",
    )


@pytest.mark.parametrize("absent", [{}, dict.fromkeys(("transcript", "duration", "answered_by"))])
def test_optional_fields_may_be_absent_or_null(absent: dict[str, None]) -> None:
    body = {"call_id": "c-1", "status": "busy", "metadata": {"reminder_id": "r-1", "attempt_id": None}, **absent}
    assert parsed(json.dumps(body).encode()) == Report(external_call_id="c-1", status="busy", reminder_id="r-1")


def test_unknown_fields_byte_order_marks_and_repeated_names_are_accepted() -> None:
    rest = b'"event": {"id": 7}, "status": "BUSY", "call_id": "c", "metadata": {"reminder_id": "r"}}'
    assert parsed(b'\xef\xbb\xbf{"status": "x", ' + rest).status == "busy"


def test_every_error_is_reported_at_once() -> None:
    assert mistakes_in(b'{"metadata": {"attempt_id": 5}, "transcript": [], "duration": true, "status": ""}') == [
        "call_id: missing; expected text of 1 to 200 characters",
        "status: empty; expected text of 1 to 50 characters",
        "metadata.reminder_id: missing; expected text of 1 to 200 characters",
        "metadata.attempt_id: a number; expected text of 1 to 200 characters",
        "transcript: a list; expected text",
        f"duration: true or false; expected a number of seconds from 0 to {DURATION_LIMIT}",
    ]


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"{", id="broken"),
        pytest.param(b"null", id="null"),
        pytest.param(b"[{}]", id="a list"),
        pytest.param(b'"text"', id="text"),
        pytest.param(b"call_id=c-1&status=busy", id="a form"),
        pytest.param(b'{"call_id": "\xff"}', id="not UTF-8"),
        pytest.param('{"call_id": "c-1"}'.encode("utf-16"), id="UTF-16"),
        pytest.param(b'{"duration": NaN}', id="NaN"),
        pytest.param(b"[" * 100_000, id="deep brackets"),
        pytest.param(b'{"a":' * 100_000, id="deep braces"),
        pytest.param(b'{"duration": ' + b"9" * 5_000 + b"}", id="endless number"),
    ],
)
def test_a_payload_that_is_not_a_json_object_is_one_error(body: bytes) -> None:
    (mistake,) = mistakes_in(body)
    assert mistake.startswith("body: ")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        pytest.param({"call_id": "c" * 201}, "call_id", id="id too long"),
        pytest.param({"call_id": "c\n"}, "call_id", id="line break"),
        pytest.param({"call_id": "c\x7f"}, "call_id", id="DEL"),
        pytest.param({"call_id": "c\x85"}, "call_id", id="C1 control"),
        pytest.param({"call_id": "c\ud800"}, "call_id", id="lone surrogate"),
        pytest.param({"call_id": {}}, "call_id", id="object"),
        pytest.param({"status": "s" * 51}, "status", id="status too long"),
        pytest.param({"status": "  "}, "status", id="status blank"),
        pytest.param({"status": "İ" * 50}, "status", id="status longer in lower case"),
        pytest.param({"metadata": "r-1"}, "metadata", id="metadata text"),
        pytest.param({"metadata": {"reminder_id": ""}}, "metadata.reminder_id", id="empty reminder"),
        pytest.param({"metadata": {"reminder_id": "r", "attempt_id": ""}}, "metadata.attempt_id", id="empty attempt"),
        pytest.param({"transcript": "a\x00b"}, "transcript", id="NUL"),
        pytest.param({"transcript": "a\udfffb"}, "transcript", id="surrogate in a text"),
        pytest.param({"answered_by": "x" * 201}, "answered_by", id="answered_by too long"),
        pytest.param({"answered_by": False}, "answered_by", id="answered_by no text"),
        pytest.param({"duration": "42"}, "duration", id="text"),
        pytest.param({"duration": -0.1}, "duration", id="negative"),
        pytest.param({"duration": DURATION_LIMIT + 1}, "duration", id="more than a week"),
        pytest.param({"duration": 10**400}, "duration", id="beyond a float"),
    ],
)
def test_an_invalid_field_is_named(changes: dict[str, Any], field: str) -> None:
    assert [mistake.partition(":")[0] for mistake in mistakes_with(**changes) if ": missing" not in mistake] == [field]


@pytest.mark.parametrize("value", [99, 700, -1, 480.5, True, "480", []])
def test_a_sip_code_outside_the_rfcs_range_is_an_error(value: object) -> None:
    (mistake,) = mistakes_in(json.dumps({**WHOLE, "sip_response_code": value}).encode())
    assert mistake.startswith("sip_response_code: ")
    assert mistake.endswith("; expected a whole number from 100 to 699")


def test_a_sip_code_is_kept() -> None:
    assert parsed(json.dumps({**WHOLE, "sip_response_code": 480}).encode()).sip_response_code == 480
    assert parsed(json.dumps({**WHOLE, "sip_response_code": None}).encode()).sip_response_code is None


def test_an_infinite_duration_is_an_error() -> None:
    assert mistakes_in(json.dumps(WHOLE).replace("42", "1e999").encode())


@pytest.mark.parametrize(("given_", "expected"), [(0, 0), (-0.0, 0), (12.4, 12), (12.6, 13), (3.0, 3)])
def test_a_duration_is_rounded_to_whole_seconds(given_: float, expected: int) -> None:
    assert parsed(json.dumps({**WHOLE, "duration": given_}).encode()).duration_seconds == expected


@pytest.mark.parametrize("word", ["No_Answer", "no-answer", " NO-ANSWER "])
def test_status_words_are_normalized(word: str) -> None:
    assert parsed(json.dumps({**WHOLE, "status": word}).encode()).status == "no-answer"


def test_an_empty_transcript_counts_as_none() -> None:
    assert parsed(json.dumps({**WHOLE, "transcript": ""}).encode()).transcript is None


def test_no_error_message_repeats_the_payload() -> None:
    private = "Mr Miller\x00"
    body = {"call_id": private, "status": private, "metadata": private, "transcript": private, "duration": private}
    assert "Miller" not in " ".join(mistakes_in(json.dumps(body).encode()))


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
field = anything | st.text(max_size=60) | st.sampled_from(["completed", "Cancelled", "no_answer"])
reports = st.fixed_dictionaries(
    {"call_id": field, "status": field},
    optional={
        "metadata": st.fixed_dictionaries({"reminder_id": field}, optional={"attempt_id": field}) | anything,
        "transcript": field,
        "duration": st.integers() | st.floats() | anything,
        "answered_by": field,
    },
)


@given(
    st.binary()
    | reports.map(lambda report: json.dumps(report).encode())
    | anything.map(lambda x: json.dumps(x).encode())
)
def test_any_payload_is_a_valid_report_or_an_invalid_payload(body: bytes) -> None:
    report, mistakes = None, []
    try:
        report = parsed(body)
    except InvalidPayloadError as error:
        mistakes = error.details
    if report is None:
        assert mistakes
        assert all(": " in mistake and "\n" not in mistake for mistake in mistakes)
        return
    for text, limit in (
        (report.external_call_id, 200),
        (report.status, 50),
        (report.reminder_id, 200),
        (report.attempt_id or "-", 200),
        (report.answered_by or "-", 200),
        (report.transcript or "-", math.inf),
    ):
        assert text is not None
        assert 0 < len(text) <= limit
        assert "\x00" not in text
        text.encode()  # no lone surrogates
    assert report.status == standard_status(report.status)
    assert report.duration_seconds is None or 0 <= report.duration_seconds <= DURATION_LIMIT
