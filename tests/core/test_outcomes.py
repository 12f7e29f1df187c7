import pytest

from reminderd.core.model import Response, Status
from reminderd.core.outcomes import NEED_A_HUMAN, Outcome, outcome
from reminderd.core.reasons import EndCode, HoldCode


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (Status.SCHEDULED, Outcome.WAITING),
        (Status.DIALING, Outcome.UNDER_WAY),
        (Status.PROCESSING, Outcome.UNDER_WAY),
        (Status.CALLED, Outcome.REACHED),
        (Status.FAILED, Outcome.NOT_REACHED),
        (Status.EXPIRED, Outcome.EXPIRED),
        (Status.CANCELLED, Outcome.CANCELLED),
    ],
)
def test_every_status_has_its_word(status: Status, expected: Outcome) -> None:
    assert outcome(status, None, None) is expected
    assert outcome(status, "a word of another program", EndCode.RESTORED) is expected


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (Response.CONFIRMED, Outcome.CONFIRMED),
        (Response.CANCEL_REQUESTED, Outcome.WANTS_TO_CANCEL),
        (Response.OPTED_OUT, Outcome.OPTED_OUT),
    ],
)
def test_what_a_patient_pressed_is_what_it_came_to_unless_staff_have_cancelled_it(
    response: Response, expected: Outcome
) -> None:
    assert outcome(Status.CALLED, response, None) is expected
    assert outcome(Status.CANCELLED, response, EndCode.CANCELLED_BY_STAFF) is Outcome.CANCELLED


def test_what_an_opt_out_has_cancelled_is_told_apart() -> None:
    assert outcome(Status.CANCELLED, None, EndCode.OPTED_OUT) is Outcome.OPTED_OUT


def test_a_human_is_needed_where_the_patient_does_not_know_or_wants_something() -> None:
    expected = {Outcome.WANTS_TO_CANCEL, Outcome.NOT_REACHED, Outcome.NUMBER_CHANGED, Outcome.EXPIRED}
    assert expected == NEED_A_HUMAN


def test_a_reminder_that_waits_for_its_new_number_to_be_accepted_is_told_apart() -> None:
    assert outcome(Status.SCHEDULED, None, None, HoldCode.NUMBER_CHANGED) is Outcome.NUMBER_CHANGED
    assert outcome(Status.SCHEDULED, None, None, HoldCode.HOURS) is Outcome.WAITING
    assert outcome(Status.EXPIRED, None, EndCode.TOO_LATE, HoldCode.NUMBER_CHANGED) is Outcome.EXPIRED
