from datetime import timedelta
from typing import Any

import pytest

from reminderd.core.lifecycle import kept_back
from reminderd.core.reminder import Status
from tests.support.nouns import SECOND, TOKEN, a_reminder

CLAIMED = a_reminder(Status.DIALING, lease_token=TOKEN)
TIMEOUT = 20 * SECOND


def look(**changes: Any) -> str | None:
    values: dict[str, Any] = {
        "reminder": CLAIMED,
        "token": TOKEN,
        "opted_out": False,
        "parted": False,
        "paused": False,
        "window_open": True,
        "stopping": False,
        "lease_left": TIMEOUT + SECOND,
        "needed": TIMEOUT,
    }
    return kept_back(**(values | changes))


@pytest.mark.parametrize("status", [Status.DIALING, Status.PROCESSING], ids=["a dial", "a resend"])
def test_a_claim_that_still_holds_may_go_out(status: Status) -> None:
    assert look(reminder=a_reminder(status, lease_token=TOKEN)) is None


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"reminder": None}, "the reminder is gone"),
        ({"token": "an older one"}, "the lease was lost"),
        ({"reminder": a_reminder(Status.PROCESSING, lease_token=None)}, "the lease was lost"),
        ({"opted_out": True}, "opted out"),
        ({"parted": True}, "a reminder that it says, too, is not wanted any more"),
        ({"paused": True}, "dialing is paused"),
        ({"window_open": False}, "outside the calling hours"),
        ({"stopping": True}, "stopping"),
    ],
)
def test_nothing_goes_out_once(changes: dict[str, Any], reason: str) -> None:
    assert look(**changes) == reason


@pytest.mark.parametrize("status", [status for status in Status if status.final])
def test_nothing_goes_out_for_a_final_reminder_even_under_its_token(status: Status) -> None:
    assert look(reminder=a_reminder(status, lease_token=TOKEN)) == f"the reminder is {status}"


@pytest.mark.parametrize(
    ("left", "goes"),
    [
        (TIMEOUT + timedelta(milliseconds=1), True),
        (TIMEOUT, False),
        (-SECOND, False),
    ],
    ids=["just enough", "exactly the timeout", "run out"],
)
def test_more_than_the_requests_timeout_must_be_left_of_the_lease(left: timedelta, *, goes: bool) -> None:
    assert (look(lease_left=left) is None) is goes
