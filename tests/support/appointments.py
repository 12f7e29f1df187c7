"""Appointments for tests, and rules by which their calls are planned."""

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from attrs import evolve

from reminderd.core.booking import AppointmentRequest
from reminderd.core.model import Appointment
from reminderd.core.rules import CallPlan, Planning, Rules
from reminderd.core.schedule.cadence import read_cadence
from reminderd.core.script.templates import Templates
from tests.support.builders import DAY, HOUR, NOW, RULES, hours

TEMPLATES = Templates(
    by_name={"visit": "Your appointment is on {date} at {time}.", "surgery": "Your surgery is at {time}."},
    zone=ZoneInfo("UTC"),
    max_lateness=RULES.max_lateness,
)
AT = datetime.fromisoformat("2026-03-09T14:00Z")
"""A Monday, a week after NOW."""


def planning(*before: str, template: str = "visit", **by_type: tuple[str, ...]) -> Planning:
    """Calls at these times before every appointment, or before those of a type."""
    types = {
        name: CallPlan(before=tuple(map(read_cadence, entries)), template="surgery")
        for name, entries in by_type.items()
    }
    default = CallPlan(before=tuple(map(read_cadence, before)), template=template)
    return Planning(default=default, by_type=types, templates=TEMPLATES)


def rules_with(*before: str, **changes: Any) -> Rules:
    """The rules of a clinic that calls from 9 to 19, UTC."""
    office = hours(9 * HOUR, 19 * HOUR)
    values: dict[str, Any] = {"planning": planning(*before), "calling_hours": office} | changes
    return evolve(RULES, **values)


TWICE = rules_with("3 days", "1 day at 10:00")


def a_request(**changes: Any) -> AppointmentRequest:
    values: dict[str, Any] = {"phone_number": "+12025550001", "at": AT, "ref": "A-1"}
    return AppointmentRequest(**(values | changes))


def an_appointment(**changes: Any) -> Appointment:
    values: dict[str, Any] = {"id": "a1", "phone_number": "+12025550001", "at": AT, "ref": "A-1"}
    return Appointment(**(values | changes))


THREE_DAYS, ONE_DAY = AT - 3 * DAY, (AT - DAY).replace(hour=10)
assert NOW < THREE_DAYS < ONE_DAY
