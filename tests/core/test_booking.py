from datetime import datetime, timedelta
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve
from hypothesis import given, settings
from hypothesis import strategies as st

from reminderd.core.booking import (
    NO_CALLS_PLANNED,
    AppointmentCancellation,
    AppointmentRequest,
    AppointmentText,
    decide_appointment,
    decide_appointment_cancellation,
    plan,
    read_appointment,
    wanted_message,
    why_uncalled,
    with_content,
)
from reminderd.core.model import Appointment, AppointmentStatus
from reminderd.core.phone import ANY_NUMBER, patient_number
from reminderd.core.reasons import EndCode
from reminderd.core.requests import Reading
from reminderd.core.rules import NO_PLANNING, Planning, Rules
from reminderd.core.schedule.calling_hours import CallingHours, Span
from reminderd.core.upsert import Decision, Intake, number_seal
from tests.core.schedule.test_calling_hours import ZONES, days_spans, moments
from tests.core.schedule.test_last_start import walked_back
from tests.support.appointments import AT, ONE_DAY, THREE_DAYS, TWICE, a_request, an_appointment, planning, rules_with
from tests.support.builders import DAY, HOUR, MINUTE, NO_HOURS, NOW
from tests.support.clock import may_ring

TEXT = AppointmentText(phone_number="+1 202 555 0001", at="2026-03-09 14:00", ref=" A-1 ")
BERLIN = ZoneInfo("Europe/Berlin")
UNCHANGED, CHANGED, HELD = Intake.UNCHANGED, Intake.CHANGED, Intake.HELD
CANCELLED = AppointmentStatus.CANCELLED
STAFF, FILE = EndCode.CANCELLED_BY_STAFF, EndCode.APPOINTMENT_CANCELLED


def read(planned: Planning = TWICE.planning, **changes: Any) -> AppointmentRequest | list[str]:
    reading = Reading(zone=ZoneInfo("UTC"), normalize=partial(patient_number, numbering=ANY_NUMBER), planning=planned)
    return read_appointment(evolve(TEXT, **changes), reading)


def mistakes(planned: Planning = TWICE.planning, **changes: Any) -> list[str]:
    found = read(planned, **changes)
    assert isinstance(found, list)
    return found


# Reading


def test_an_appointment_is_read_in_its_stored_form() -> None:
    found = read(name=" Ada\u00a0Lovelace", provider="Dr. Who", place="", type="Check\u00adup", language="de")
    assert found == a_request(name="Ada Lovelace", provider="Dr. Who", type="Checkup", language="de")


def test_every_error_is_listed() -> None:
    found = mistakes(phone_number="12", at="tomorrow", ref="", timezone="EST", name="a\nb", provider="x" * 201)
    assert [line.partition(":")[0] for line in found] == ["phone_number", "at", "timezone", "ref", "name", "provider"]


def test_without_a_cadence_appointments_are_refused_with_the_key_to_set() -> None:
    assert mistakes(NO_PLANNING) == [f"at: {NO_CALLS_PLANNED}"]
    assert "[reminders].before" in NO_CALLS_PLANNED
    assert isinstance(read(planning(surgery=("1 week",)), type="SUR gery"), AppointmentRequest)


@pytest.mark.parametrize(
    ("template", "of_all", "mistake"),
    [
        (None, "", "template: missing"),
        (" ", "", "template: missing"),
        ("other", "visit", "template: unknown"),
    ],
)
def test_an_appointment_without_a_message_is_refused(template: str | None, of_all: str, mistake: str) -> None:
    assert mistakes(planning("1 day", template=of_all), template=template)[0].startswith(mistake)


def test_an_unreadable_time_is_the_only_error_of_its_template() -> None:
    assert [line.partition(":")[0] for line in mistakes(at="?")] == ["at"]


def test_without_a_ref_the_same_appointment_has_the_same_id() -> None:
    one = a_request(ref=None)
    assert one.own_id == a_request(ref=None, at=AT.astimezone(BERLIN), provider="Dr. Who").own_id
    others = [evolve(one, at=AT + HOUR), evolve(one, phone_number="+12025550002"), evolve(one, name="Ada")]
    assert len({one.own_id, *(other.own_id for other in others)}) == 4


# Planning


def test_the_calls_of_a_plan_are_in_its_order() -> None:
    assert [(one.cadence, one.at) for one in plan(an_appointment(), TWICE)] == [
        ("3 days", THREE_DAYS),
        ("1 day at 10:00", ONE_DAY),
    ]


def test_an_appointment_type_has_its_own_calls() -> None:
    rules = evolve(TWICE, planning=planning("3 days", checkup=("2 hours",)))
    assert [one.at for one in plan(an_appointment(type="CHECK up"), rules)] == [AT - 2 * HOUR]
    assert [one.cadence for one in plan(an_appointment(type="other"), rules)] == ["3 days"]


def test_two_calls_at_the_same_moment_are_one() -> None:
    weekend = CallingHours(ZoneInfo("UTC"), ((Span(540, 1140),),) * 5 + ((),) * 2)
    rules = evolve(rules_with("2 days", "1 day", "72 hours"), calling_hours=weekend)
    assert [(one.cadence, one.at) for one in plan(an_appointment(), rules)] == [
        ("2 days", datetime.fromisoformat("2026-03-06T09:00Z")),
        ("72 hours", THREE_DAYS),
    ]


def test_the_days_are_those_of_the_patients_zone() -> None:
    rules = rules_with("1 day at 10:00")
    assert plan(an_appointment(timezone="Asia/Tokyo"), rules)[0].at == datetime.fromisoformat("2026-03-08T10:00+09:00")
    assert plan(an_appointment(timezone="nowhere"), rules)[0].at == ONE_DAY


def test_two_appointments_at_the_same_time_by_the_clock_that_is_put_back_are_planned_apart() -> None:
    first = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Berlin"))
    moments = [plan(an_appointment(at=at), rules_with("10 hours"))[0].at for at in (first, first.replace(fold=1))]
    assert moments == [datetime.fromisoformat(f"2026-10-24T{time}Z") for time in ("14:30", "15:30")]


def test_late_calls_are_left_out_with_a_warning_if_none_remains() -> None:
    calls = plan(an_appointment(), TWICE)
    assert why_uncalled(calls, ONE_DAY - MINUTE) is None
    why = why_uncalled(calls, ONE_DAY)
    assert why is not None
    assert why.startswith(
        'nobody will be called: the call "3 days" is left out: it was booked too late for it; the call "1 day'
    )
    closed = why_uncalled(plan(an_appointment(), evolve(TWICE, calling_hours=NO_HOURS)), NOW)
    assert closed is not None
    assert "no calling hours" in closed


@settings(max_examples=60)
@given(
    data=st.data(),
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    week=st.tuples(*[days_spans() for _ in range(7)]),
    days=st.integers(1, 20),
    clock=st.none() | st.times().map(lambda at: at.replace(second=0, microsecond=0)),
)
def test_each_call_matches_a_backward_search_from_the_wanted_moment(
    data: st.DataObject, zone: ZoneInfo, week: Any, days: int, clock: Any
) -> None:
    at = data.draw(moments(zone))
    near = [at - back * DAY for back in range(days, days + 4)]
    holidays = data.draw(st.frozensets(st.sampled_from([f"{day:%Y-%m-%d}" for day in near])))
    hours = CallingHours(ZoneInfo("UTC"), week, holidays)
    entry = f"{days} days" + ("" if clock is None else f" at {clock:%H:%M}")
    local = at.astimezone(zone)
    wall = datetime.combine(local.date() - timedelta(days=days), clock or local.time())
    wanted = datetime.fromtimestamp(wall.replace(tzinfo=zone).timestamp(), zone)
    (call,) = plan(an_appointment(at=at, timezone=zone.key), evolve(rules_with(entry), calling_hours=hours))
    first = wanted - 9 * DAY
    walked = walked_back(hours, wanted, zone, first)
    assert call.at == walked or (walked is None and (call.at is None or call.at < first))
    assert call.at is None or (call.at <= wanted < at and may_ring(hours, call.at, zone))


def test_another_programs_row_may_be_impossible_to_plan() -> None:
    def wrong(appointment: Appointment, rules: Rules = TWICE) -> str:
        return wanted_message(appointment, rules)[1] or ""

    assert wrong(an_appointment()) == ""
    assert wrong(an_appointment(), rules_with()) == NO_CALLS_PLANNED
    assert wrong(an_appointment(template="x"), rules_with()) == NO_CALLS_PLANNED
    assert "template: unknown" in wrong(an_appointment(template="x"))
    assert "phone_number" in wrong(an_appointment(phone_number="12"))
    assert wanted_message(an_appointment(phone_number="12"), TWICE, is_checked=True)[1] is None


def test_the_digest_changes_with_every_rule_that_plans_depend_on() -> None:
    rules = [
        TWICE,
        rules_with("3 days"),
        evolve(TWICE, planning=planning("3 days", "1 day at 10:00", surgery=("1 day",))),
        evolve(TWICE, calling_hours=NO_HOURS),
        evolve(TWICE, max_lateness=HOUR),
    ]
    assert len({one.planning_digest for one in rules}) == len(rules)
    assert rules_with("3 days", "1 day at 10:00").planning_digest == TWICE.planning_digest


# Deciding


def decide(existing: Appointment | None, *, code: EndCode = STAFF, out: bool = False, **changes: Any) -> Decision:
    return decide_appointment(a_request(**changes), existing, TWICE, NOW, opted_out=out, cancels_as=code)


HELD_NUMBER = number_seal("+12025550001", "salt")


@pytest.mark.parametrize(
    ("existing", "changes", "intake"),
    [
        (None, {}, Intake.ADDED),
        (None, {"at": NOW}, Intake.TOO_LATE),
        (an_appointment(), {}, UNCHANGED),
        (an_appointment(at=NOW), {"at": NOW}, UNCHANGED),
        (an_appointment(), {"at": AT + DAY}, CHANGED),
        (an_appointment(), {"at": NOW}, CHANGED),  # else it would be called for its former time
        (an_appointment(at=NOW - HOUR), {"at": NOW}, Intake.TOO_LATE),
        (an_appointment(status=CANCELLED, end_code=STAFF), {"at": NOW}, Intake.TOO_LATE),
        (an_appointment(response="confirmed"), {"provider": "Dr. Who"}, CHANGED),
        (an_appointment(phone_number="+12025550002"), {}, HELD),
        (an_appointment(phone_number=""), {}, CHANGED),  # purged
        (an_appointment(former_number="x"), {}, HELD),
        (an_appointment(former_number="x"), {"at": AT + DAY}, HELD),
        (an_appointment(phone_number="+12025550002", former_number=HELD_NUMBER), {}, CHANGED),
        (an_appointment(status=CANCELLED, end_code=STAFF), {}, CHANGED),
        (an_appointment(status=CANCELLED, end_code=FILE), {}, UNCHANGED),
        (an_appointment(status=CANCELLED, end_code=FILE), {"provider": "Dr. Who"}, UNCHANGED),
        (an_appointment(status=CANCELLED, end_code=FILE), {"at": AT + DAY}, CHANGED),
        (an_appointment(status=CANCELLED), {}, UNCHANGED),
    ],
)
def test_each_request_has_the_expected_result(
    existing: Appointment | None, changes: dict[str, Any], intake: Intake
) -> None:
    assert decide(existing, **changes).intake is intake


def test_the_warnings_say_why_nobody_will_be_called() -> None:
    assert decide(None).warnings == ()
    assert "is not written in es" in decide(None, language="es").warnings[0]
    assert "opted out" in decide(None, out=True).warnings[0]
    assert "nobody will be called" in decide(None, at=NOW + HOUR).warnings[0]
    assert "staff" in decide(an_appointment(phone_number="+12025550002")).warnings[0]
    assert "staff" in decide(an_appointment(former_number="x")).warnings[0]
    cancelled = an_appointment(status=CANCELLED, end_code=FILE)
    assert decide(cancelled).warnings == (
        "it stays cancelled, and nobody will be called: its appointment was cancelled",
    )
    assert decide(an_appointment(status=CANCELLED, at=NOW), at=NOW).warnings == ()


@pytest.mark.parametrize(
    ("existing", "number", "intake"),
    [
        (None, None, Intake.NOT_NEEDED),
        (an_appointment(status=CANCELLED), None, Intake.NOT_NEEDED),
        (an_appointment(), None, Intake.CANCELLED),
        (an_appointment(), "+12025550001", Intake.CANCELLED),
        (an_appointment(), "+12025550002", Intake.CONFLICT),
    ],
)
def test_each_cancellation_has_the_expected_result(
    existing: Appointment | None, number: str | None, intake: Intake
) -> None:
    asked = AppointmentCancellation(ref="A-1", phone_number=number)
    assert decide_appointment_cancellation(asked, existing).intake is intake


def test_a_cancellation_without_a_ref_is_matched_by_its_content() -> None:
    request = a_request(ref=None)
    assert AppointmentCancellation(ref=None, request=request).name == request.own_id
    assert AppointmentCancellation(ref=None).name == ""
    assert AppointmentCancellation(ref="A-1", request=request).name == "A-1"


def test_a_stored_appointment_takes_the_content_of_a_request() -> None:
    changed = with_content(an_appointment(response="confirmed"), a_request(provider="Dr. Who"))
    assert changed == an_appointment(response="confirmed", provider="Dr. Who")
