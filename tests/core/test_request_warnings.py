from attrs import evolve

from reminderd.core.requests import ReminderRequest, warnings_of
from tests.support.nouns import HOUR, NO_HOURS, NOW, RULES, hours

REQUEST = ReminderRequest(phone_number="+12025550147", message="Hello.", scheduled_at=NOW, expires_at=NOW + HOUR)


def test_a_patient_who_will_be_called_is_no_warning() -> None:
    assert list(warnings_of(REQUEST, RULES, opted_out=False)) == []


def test_a_number_that_has_opted_out_and_hours_that_leave_no_time_are_both_warned_of() -> None:
    out, late = warnings_of(REQUEST, evolve(RULES, calling_hours=NO_HOURS), opted_out=True)
    assert out.startswith("this number has opted out: it will not be called; ")
    assert late.startswith("the calling hours leave no time to call before 2026-03-02 11:00 UTC, so it will expire; ")


def test_a_message_that_was_not_filled_in_is_warned_of_last() -> None:
    out, unfilled = warnings_of(evolve(REQUEST, message="Dear {name}"), RULES, opted_out=True)
    assert out.startswith("this number has opted out")
    assert unfilled.startswith("message: {name} would be read aloud as it stands")


def test_hours_that_leave_some_time_are_no_warning() -> None:
    assert list(warnings_of(REQUEST, evolve(RULES, calling_hours=hours(9 * HOUR, 12 * HOUR)), opted_out=False)) == []
