from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.monitoring import lateness
from reminderd.core.rules import Rules
from reminderd.core.schedule.calling_hours import CallingHours, Span
from tests.support.builders import NOW, a_call, a_reminder

RULES = Rules()
MINUTE = timedelta(minutes=1)
FIRST = a_call()


def test_a_first_calls_lateness_counts_from_the_reminders_time() -> None:
    reminder = evolve(a_reminder(), scheduled_at=NOW - 5 * MINUTE, created_at=NOW - 99 * MINUTE)
    assert lateness(reminder, FIRST, is_first=True, rules=RULES, now=NOW) == 5 * MINUTE


def test_a_reminder_added_after_its_time_is_late_from_then_on() -> None:
    reminder = evolve(a_reminder(), scheduled_at=NOW - 5 * MINUTE, created_at=NOW - MINUTE)
    assert lateness(reminder, FIRST, is_first=True, rules=RULES, now=NOW) == MINUTE
    assert lateness(evolve(reminder, created_at=None), FIRST, is_first=True, rules=RULES, now=NOW) == 5 * MINUTE


def test_the_night_before_the_calling_hours_is_not_lateness() -> None:
    opens = NOW - 2 * MINUTE
    minute = opens.hour * 60 + opens.minute
    calling_hours = CallingHours(ZoneInfo("UTC"), week=((Span(minute, minute + 60),),) * 7)
    reminder = evolve(a_reminder(), scheduled_at=NOW - timedelta(hours=9), created_at=None)
    late = lateness(reminder, FIRST, is_first=True, rules=evolve(RULES, calling_hours=calling_hours), now=NOW)
    assert late == NOW - opens.replace(second=0, microsecond=0)


def test_a_clinic_that_never_opens_is_never_late() -> None:
    closed = evolve(RULES, calling_hours=CallingHours(ZoneInfo("UTC"), week=((),) * 7))
    assert lateness(a_reminder(), FIRST, is_first=True, rules=closed, now=NOW) is None


def test_a_clock_that_was_set_back_makes_no_negative_lateness() -> None:
    reminder = evolve(a_reminder(), scheduled_at=NOW + MINUTE)
    assert lateness(reminder, FIRST, is_first=True, rules=RULES, now=NOW) == timedelta(0)


@pytest.mark.parametrize(("is_first", "requests"), [(False, 1), (True, 2)])
def test_redials_and_repeated_requests_have_no_lateness(*, is_first: bool, requests: int) -> None:
    again = evolve(FIRST, requests=requests)
    assert lateness(a_reminder(), again, is_first=is_first, rules=RULES, now=NOW) is None
