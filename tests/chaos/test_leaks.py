"""Test that the search for leaks finds each kind of leak, and reports no honest line."""

import json

import pytest

from tests.chaos.leaks import kept, leaks

KEPT = kept(
    ["+12025550001", "+4930123456"],
    ["Tomorrow at nine, please come early.", "Reminder 7.", "ext-1 is heard to say: I'll come."],
    ["whsec_s3cret"],
)


@pytest.mark.parametrize(
    "line",
    [
        "dialing +12025550001",
        "dialing 12025550001 reminder=r1",
        "dialing 2025550001",
        "dialing +1 (202) 555-0001",
        "dialing 030 123456",
        "GET /calls?To=%2B12025550001",
        "GET /calls?text=please+come%20early",
        "said: Tomorrow at nine, ple",
        "said: please come early!",
        "said: Reminder 7.",
        "said 'heard to say'",
        "webhook refused: whsec_s3cret is no key",
        json.dumps({"level": "INFO", "message": "said", "note": "tomorrow: Tomorrow\nat nine"}),
        json.dumps({"level": "INFO", "message": "rang", "exception": "ValueError: +12025550001"}),
        '{"level": "INFO", "message": "\\u002b1202\\u0035550001"}',
    ],
)
def test_a_line_with_patient_data_is_found(line: str) -> None:
    (sentence,) = leaks(["started", line], KEPT)
    assert sentence.endswith(line)


@pytest.mark.parametrize(
    "line",
    [
        "2026-11-24 12:43:51.639+00:00 INFO    dialing reminder=r001 call=7e126e95-3197-4ddf-95a4-c81cb990e8e3",
        "held back until 2026-11-25 09:00 CET: outside the calling hours",
        "dialing +*********01 and +********56, 100001 and 550100 bytes",
        "busy: call 2 of 3 at 10:15, reminder=reminder-7 call=ext-1",
        "Reminder 70 is heard of tomorrow at ten",
        json.dumps({"time": "2026-11-24T12:43:51.639+00:00", "message": "100 % done"}),
    ],
)
def test_a_line_without_patient_data_is_accepted(line: str) -> None:
    assert list(leaks([line], KEPT)) == []
