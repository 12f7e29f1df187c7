"""The ids of parametrized tests show their values."""

import pytest

from reminderd.core.answers import NotPlaced
from reminderd.core.model import CallState
from tests.support.builders import NOW, RULES, a_call, a_reminder
from tests.support.case_ids import LONGEST, case_id


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (["list", "--json"], "list, --json"),
        ({"at": NOW, "ids": {"b", "a"}}, "at=2026-03-02 10:00:00+00:00, ids=a, b"),
        (NotPlaced("503"), "NotPlaced 503"),
        (NotPlaced("429", rate_limited=True), "NotPlaced rate_limited=True"),
        (RULES, "Rules account=https://voice.example"),
        (a_reminder(), "scheduled"),
        (a_call(CallState.PLACED, status="ringing"), "placed ringing"),
        (b"\xff", repr(b"\xff")),
        (ValueError("no"), "ValueError('no')"),
        (len, "len"),
        ("x \n" * LONGEST, "x " * 28 + "x..."),
    ],
    ids=[
        "list",
        "dictionary and set",
        "attrs",
        "change",
        "rules",
        "reminder",
        "call",
        "bytes",
        "error",
        "function",
        "long",
    ],
)
def test_a_case_is_named_by_its_value(value: object, expected: str) -> None:
    assert case_id(value) == expected
