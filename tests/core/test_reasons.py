"""What a reason adds to the sentence of its code."""

import pytest

from reminderd.core.reasons import EndCode


@pytest.mark.parametrize(
    ("reason", "details"),
    [
        (None, None),
        ("the provider reported: failed", None),
        ("the provider reported: failed (SIP 404)", "SIP 404"),
        ("the provider reported: dispatched", "the provider reported: dispatched"),
    ],
)
def test_the_details_of_a_reason_do_not_repeat_its_code(reason: str | None, details: str | None) -> None:
    assert EndCode.PROVIDER_FAILED.details(reason) == details
