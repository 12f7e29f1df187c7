"""How a reminder stands, in plain words."""

from typing import Any

import pytest

from reminderd.core.outcomes import Group, Outcome
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.core.sentences import text_of
from reminderd.staff.standing import standing_of


def a_row(**columns: Any) -> dict[str, Any]:
    usual: dict[str, Any] = dict.fromkeys(("response", "end_code", "hold_code", "done_at", "last_error", "hold_reason"))
    return usual | {"status": "scheduled"} | columns


@pytest.mark.parametrize(
    ("columns", "outcome", "why"),
    [
        ({}, Outcome.WAITING, None),
        ({"last_error": "busy"}, Outcome.WAITING, "busy"),
        ({"hold_code": "hours", "hold_reason": HoldCode.HOURS.sentence}, Outcome.WAITING, "outside the calling hours"),
        (
            {
                "hold_code": "number_changed",
                "hold_reason": HoldCode.NUMBER_CHANGED.sentence,
                "last_error": "the former one ended in 47",
            },
            Outcome.NUMBER_CHANGED,
            "the former one ended in 47",
        ),
        ({"status": "processing", "last_error": "busy"}, Outcome.UNDER_WAY, None),
        ({"status": "called", "response": "confirmed", "last_error": "busy"}, Outcome.CONFIRMED, None),
        ({"status": "failed", "end_code": "voicemail"}, Outcome.NOT_REACHED, EndCode.VOICEMAIL.sentence),
        (
            {"status": "failed", "end_code": "voicemail", "last_error": EndCode.VOICEMAIL.sentence},
            Outcome.NOT_REACHED,
            EndCode.VOICEMAIL.sentence,
        ),
        (
            {"status": "failed", "end_code": "invalid", "last_error": "phone_number: has an extension"},
            Outcome.NOT_REACHED,
            "this reminder can't be called (phone_number: has an extension)",
        ),
        (
            {"status": "cancelled", "end_code": "cancelled_by_staff", "last_error": "cancelled by anna"},
            Outcome.CANCELLED,
            "cancelled by staff",
        ),
        ({"status": "cancelled", "last_error": "moved"}, Outcome.CANCELLED, "moved"),
    ],
)
def test_the_reason_is_that_of_its_code_and_what_is_known_beyond_that(
    columns: dict[str, Any], outcome: Outcome, why: str | None
) -> None:
    standing = standing_of(a_row(**columns))
    assert standing.outcome is outcome
    assert (None if standing.why is None else text_of(standing.why, str)) == why
    assert (standing.group is Group.NEEDS_HUMAN) == (outcome in {Outcome.NUMBER_CHANGED, Outcome.NOT_REACHED})


def test_every_outcome_has_words() -> None:
    rows: list[dict[str, Any]] = [
        *({"status": status} for status in ("scheduled", "dialing", "called", "failed", "expired", "cancelled")),
        *({"status": "called", "response": response} for response in ("confirmed", "cancel_requested", "opted_out")),
        {"hold_code": "number_changed"},
        {"status": "failed", "done_at": 1},
    ]
    found = {standing_of(a_row(**row)).outcome for row in rows}
    assert found == set(Outcome)
