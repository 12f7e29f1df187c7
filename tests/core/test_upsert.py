from typing import Any

import pytest
from attrs import evolve

from reminderd.core.model import Status
from reminderd.core.requests import ReminderRequest
from reminderd.core.upsert import (
    ExistingReminder,
    Intake,
    ReminderCancellation,
    content_of,
    decide_reminder,
    decide_reminder_cancellation,
    number_seal,
    why_held,
)
from tests.support.builders import HOUR, NOW, RULES

REQUEST = ReminderRequest(phone_number="+4930123456", message="Hello.", scheduled_at=NOW + HOUR, ref="7")


def known(status: Status = Status.SCHEDULED, **changes: Any) -> ExistingReminder:
    values: dict[str, Any] = {"id": "r1", "content": content_of(REQUEST), "status": status, "was_called": False}
    return ExistingReminder(**(values | changes))


def other(**changes: Any) -> ExistingReminder:
    return known(**changes, content=content_of(REQUEST)._replace(message="Bye."))


def of_another_number(**changes: Any) -> ExistingReminder:
    return known(**changes, content=content_of(REQUEST)._replace(phone_number="+4930123457"))


@pytest.mark.parametrize(
    ("stored", "becomes"),
    [
        (None, Intake.ADDED),
        (known(), Intake.UNCHANGED),
        (known(Status.CALLED, was_called=True), Intake.UNCHANGED),
        (other(), Intake.CHANGED),
        (other(held="changed"), Intake.HELD),
        (of_another_number(), Intake.HELD),
        (of_another_number(held="changed"), Intake.HELD),
    ],
    ids=[
        "new",
        "the same",
        "the same, called",
        "edited",
        "edited while it is held",
        "another number",
        "another number again",
    ],
)
def test_each_line_has_the_expected_result(stored: ExistingReminder | None, becomes: Intake) -> None:
    decision = decide_reminder(REQUEST, stored, RULES, NOW, opted_out=False)
    assert (decision.intake, decision.reason, decision.refused) == (becomes, "", False)
    held = [warning for warning in decision.warnings if warning.startswith("phone_number: not the one")]
    assert len(held) == (becomes is Intake.HELD)


@pytest.mark.parametrize(
    ("stored", "why"),
    [
        (other(status=Status.CALLED), "not changed: the reminder is already called"),
        (other(was_called=True), "not changed: it was called already"),
        (of_another_number(status=Status.CALLED), "not changed: the reminder is already called"),
        (of_another_number(was_called=True), "not changed: it was called already"),
    ],
)
def test_a_reminder_in_a_call_or_final_is_not_changed(stored: ExistingReminder, why: str) -> None:
    decision = decide_reminder(REQUEST, stored, RULES, NOW, opted_out=False)
    assert decision.refused
    assert decision.intake is Intake.CONFLICT
    assert decision.reason.startswith(why)


def test_a_new_request_that_is_too_late_is_refused_unless_stored_unchanged() -> None:
    late = NOW + 10 * HOUR
    new = decide_reminder(REQUEST, None, RULES, late, opted_out=True)
    assert new.reason.startswith("too late; it was to be called before 2026-03-02 15:00:00")
    assert new.refused
    assert decide_reminder(REQUEST, known(), RULES, late, opted_out=True).intake is Intake.UNCHANGED


def test_a_reminder_whose_new_time_is_over_is_changed_so_that_nobody_is_called_at_the_former() -> None:
    decision = decide_reminder(REQUEST, other(), RULES, NOW + 10 * HOUR, opted_out=False)
    assert decision.intake is Intake.CHANGED
    says = "its new time is in the past: it will expire, and nobody is called at the former time"
    assert decision.warnings[0] == says


@pytest.mark.parametrize(("stored", "warnings"), [(None, 1), (other(), 1), (known(), 0), (other(was_called=True), 0)])
def test_added_and_changed_reminders_get_warnings(stored: ExistingReminder | None, warnings: int) -> None:
    assert len(decide_reminder(REQUEST, stored, RULES, NOW, opted_out=True).warnings) == warnings
    assert decide_reminder(REQUEST, stored, RULES, NOW, opted_out=False).warnings == ()


def test_the_hold_reason_masks_the_former_number() -> None:
    expected = "phone number changed (import of list.csv), the former one ended in 57: accept the new one, or cancel"
    assert why_held(of_another_number(), "import of list.csv") == expected
    assert why_held(of_another_number(held="changed before"), "import of list.csv") == "changed before"
    assert why_held(other(held="changed before"), "api") == "changed before"


def test_a_line_for_a_held_reminder_reports_the_hold_each_time() -> None:
    decision = decide_reminder(REQUEST, known(held="phone number changed"), RULES, NOW, opted_out=True)
    assert (decision.intake, decision.warnings) == (Intake.HELD, ("held, nobody is called: phone number changed",))
    over = known(Status.CANCELLED, held="phone number changed")
    assert decide_reminder(REQUEST, over, RULES, NOW, opted_out=False).intake is Intake.UNCHANGED


def test_a_line_with_the_former_number_releases_its_reminder() -> None:
    former = number_seal(REQUEST.phone_number, "salt")
    assert decide_reminder(REQUEST, of_another_number(held="x", former=former), RULES, NOW, opted_out=False).intake is (
        Intake.CHANGED
    )
    other_former = number_seal("+4930123458", "salt")
    decision = decide_reminder(REQUEST, of_another_number(held="x", former=other_former), RULES, NOW, opted_out=False)
    assert decision.intake is Intake.HELD


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.EXPIRED, Status.FAILED])
def test_a_row_for_a_reminder_that_will_not_be_called_gets_a_warning(status: Status) -> None:
    (warning,) = decide_reminder(REQUEST, known(status), RULES, NOW, opted_out=False).warnings
    assert warning == f"its reminder is {status}, and will not be called; reminderd call-again r1 schedules it again"
    assert decide_reminder(REQUEST, known(status), RULES, NOW + 2 * HOUR, opted_out=False).warnings == ()


@pytest.mark.parametrize(
    ("stored", "becomes"),
    [
        (None, Intake.NOT_NEEDED),
        (known(), Intake.CANCELLED),
        (known(Status.PROCESSING, was_called=True), Intake.CANCELLED),
        (known(Status.CALLED, was_called=True), Intake.NOT_NEEDED),
        (known(Status.CANCELLED), Intake.NOT_NEEDED),
    ],
    ids=["not stored", "scheduled", "in a call", "called", "cancelled"],
)
def test_a_cancellation_cancels_a_stored_reminder_unless_it_is_final(
    stored: ExistingReminder | None, becomes: Intake
) -> None:
    for request in (None, REQUEST):
        assert decide_reminder_cancellation(ReminderCancellation(ref="7", request=request), stored).intake is becomes


def test_a_cancellation_of_another_number_cancels_nothing() -> None:
    asked = ReminderCancellation(ref="7", phone_number=REQUEST.phone_number)
    decision = decide_reminder_cancellation(asked, of_another_number())
    assert decision.intake is Intake.CONFLICT
    assert decision.reason.startswith("not cancelled: the reminder with this ref has another phone number")


def test_a_message_with_unfilled_placeholders_is_added_with_a_warning() -> None:
    request = evolve(REQUEST, message="Dear {name}")
    [warning] = decide_reminder(request, None, RULES, NOW, opted_out=False).warnings
    assert warning.startswith("message: {name} would be read aloud as it stands")
    assert decide_reminder(REQUEST, None, RULES, NOW, opted_out=False).warnings == ()
