from attrs import evolve

from reminderd.core.requests import ReminderRequest, warnings_of
from tests.support.builders import HOUR, NO_HOURS, NOW, RULES, hours

REQUEST = ReminderRequest(phone_number="+12025550147", message="Hello.", scheduled_at=NOW, expires_at=NOW + HOUR)


def test_a_patient_who_will_be_called_causes_no_warning() -> None:
    assert list(warnings_of(REQUEST, RULES, opted_out=False)) == []


def test_an_opt_out_and_missing_calling_hours_both_cause_warnings() -> None:
    out, late = warnings_of(REQUEST, evolve(RULES, calling_hours=NO_HOURS), opted_out=True)
    assert out.startswith("this number has opted out: it will not be called; ")
    assert late.startswith("the calling hours leave no time to call before 2026-03-02 11:00 UTC, so it will expire; ")


def test_the_warning_about_unfilled_placeholders_comes_last() -> None:
    out, unfilled = warnings_of(evolve(REQUEST, message="Dear {name}"), RULES, opted_out=True)
    assert out.startswith("this number has opted out")
    assert unfilled.startswith("message: {name} would be read aloud as it stands")


def test_calling_hours_that_leave_time_cause_no_warning() -> None:
    assert list(warnings_of(REQUEST, evolve(RULES, calling_hours=hours(9 * HOUR, 12 * HOUR)), opted_out=False)) == []
