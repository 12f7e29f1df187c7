from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, time, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve, fields, has
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.monitoring import missing_file_error
from reminderd.core.phone import Numbering
from reminderd.core.rules import MANY, PLANNED_BY, Backoff, CallPlan, ExpectedFile, Pace, Planning, Rules
from reminderd.core.schedule.cadence import Cadence, Unit, read_cadence
from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.schedule.time_zones import Daily
from reminderd.core.script.scripts import Script, Scripts
from reminderd.core.script.templates import Templates
from tests.support.builders import HOUR, NO_HOURS, NOW, SECOND, hours

BACKOFF = Backoff(timedelta(seconds=1), timedelta(seconds=300))


def test_the_ceiling_doubles_up_to_its_maximum() -> None:
    assert [BACKOFF.ceiling(n).total_seconds() for n in (1, 2, 3, 9, 10, 1_000)] == [1, 2, 4, 256, 300, 300]


def test_no_failure_counts_like_the_first() -> None:
    assert BACKOFF.ceiling(0) == BACKOFF.ceiling(1)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_full_jitter_lies_between_nothing_and_the_ceiling(failures: int, draw: float) -> None:
    assert timedelta(0) <= BACKOFF.full_jitter(failures, draw) <= BACKOFF.ceiling(failures)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_half_jitter_never_lies_under_half_the_ceiling(failures: int, draw: float) -> None:
    assert BACKOFF.ceiling(failures) / 2 <= BACKOFF.half_jitter(failures, draw) <= BACKOFF.ceiling(failures)


@pytest.mark.parametrize(
    ("planning", "is_used"),
    [
        (Planning(), False),
        (Planning(by_type={"lab": CallPlan()}), False),
        (Planning(default=CallPlan(before=(read_cadence("1 day"),))), True),
        (Planning(by_type={"lab": CallPlan(before=(read_cadence("1 day"),))}), True),
    ],
)
def test_calls_are_planned_if_there_is_a_cadence_for_any_appointment(planning: Planning, is_used: bool) -> None:
    assert planning.is_used is is_used


PLAN = CallPlan(before=(Cadence(1, Unit.DAY, time(10)),), template="checkup")
PLANNED = Rules(
    planning=Planning(
        default=PLAN,
        by_type={"lab": PLAN},
        templates=Templates(
            by_name={"checkup": "Come."},
            by_language={"es": {"checkup": "Venga."}},
            scripts=Scripts(own=Script(clinic="Ours"), by_language={"es": Script(clinic="Nuestra")}),
            zone=ZoneInfo("UTC"),
        ),
    ),
    calling_hours=CallingHours(ZoneInfo("Europe/Berlin"), holidays=frozenset({"12-25"})),
    numbering=Numbering(country="DE", allowed=frozenset({"DE"}), own=frozenset({"+4930123456"})),
)


def others(value: Any) -> Iterator[Any]:
    """Yield the value with another one in each of its places: of each field, of each part, of each key."""
    if has(type(value)):
        for one in fields(type(value)):
            yield from (evolve(value, **{one.alias: each}) for each in others(getattr(value, one.name)))
    elif isinstance(value, Mapping):
        yield from ({**value, key: each} for key, known in value.items() for each in others(known))
        yield {} if value else {"more": "something"}
    elif isinstance(value, tuple):
        yield from ((*value[:at], each, *value[at + 1 :]) for at, part in enumerate(value) for each in others(part))
        yield value[1:] if value else ("more",)
    elif isinstance(value, frozenset):
        yield value | {"more"}
    elif isinstance(value, Unit):
        yield Unit.WEEK
    elif value is None:
        yield "something"
    else:
        another: dict[type, Callable[[], Any]] = {
            bool: lambda: not value,
            int: lambda: value + 1,
            str: lambda: f"{value}x",
            timedelta: lambda: value + timedelta(minutes=1),
            time: lambda: time(11),
            ZoneInfo: lambda: ZoneInfo("Asia/Tokyo"),
        }
        yield another[type(value)]()


@pytest.mark.parametrize("name", PLANNED_BY)
def test_every_part_of_the_rules_that_plans_depend_on_changes_their_digest(name: str) -> None:
    changed = [evolve(PLANNED, **{name: each}) for each in others(getattr(PLANNED, name))]
    assert changed
    digests = {one.planning_digest for one in changed}
    assert len(digests) == len(changed)
    assert PLANNED.planning_digest not in digests


def test_after_a_change_of_another_rule_nothing_is_planned_again() -> None:
    assert evolve(PLANNED, max_calls=9, voicemail_is_reached=True).planning_digest == PLANNED.planning_digest


def test_the_digest_is_the_same_in_whatever_order_the_rules_are_written() -> None:
    by_type = {"lab": PLAN, "visit": CallPlan()}
    turned = dict(reversed(by_type.items()))
    first, second = (evolve(PLANNED, planning=evolve(PLANNED.planning, by_type=one)) for one in (by_type, turned))
    assert first.planning_digest == second.planning_digest


def test_any_rule_that_differs_makes_another_digest() -> None:
    others = [evolve(PLANNED, max_calls=9), evolve(PLANNED, provider="twilio"), evolve(PLANNED, account="other")]
    digests = {one.digest for one in (PLANNED, *others)}
    assert len(digests) == 1 + len(others)
    assert evolve(PLANNED).digest == PLANNED.digest


HALF = timedelta(seconds=0.5)


def test_without_a_spacing_nothing_limits_requests() -> None:
    pace = Pace(timedelta(0), NOW)
    assert (pace.available(NOW), pace.ready_at(NOW)) == (MANY, NOW)


def test_the_first_request_waits_for_nothing() -> None:
    assert (Pace(SECOND).available(NOW), Pace(SECOND).ready_at(NOW)) == (1, NOW)


def test_requests_are_spaced_evenly() -> None:
    pace = Pace(SECOND, NOW)
    assert (pace.available(NOW + HALF), pace.ready_at(NOW + HALF)) == (0, NOW + SECOND)
    assert (pace.available(NOW + SECOND), pace.ready_at(NOW + SECOND)) == (1, NOW + SECOND)


def test_unused_requests_do_not_accumulate() -> None:
    assert Pace(SECOND, NOW).available(NOW + HOUR) == 1


def test_after_the_clock_was_set_back_the_next_request_does_not_wait_for_the_old_time() -> None:
    assert Pace(SECOND, NOW).available(NOW - HOUR) == 1


def test_after_the_clock_was_set_back_a_little_the_spacing_is_kept() -> None:
    assert Pace(SECOND, NOW).ready_at(NOW - HALF) == NOW + SECOND


@given(st.lists(st.integers(0, 40), min_size=1), st.sampled_from([1, 2, 4]))
def test_the_rate_is_never_exceeded(quarters: list[int], per_second: int) -> None:
    pace, now, sent = Pace(SECOND / per_second), NOW, []
    for pause in quarters:
        now += pause * SECOND / 4
        if pace.available(now):
            pace = Pace(pace.spacing, now)
            sent.append(now)
    assert all(later - earlier >= SECOND / per_second for earlier, later in pairwise(sent))


BERLIN = ZoneInfo("Europe/Berlin")
BY = ExpectedFile(
    by=Daily(at=time(6, 30), zone=BERLIN),
    hours=evolve(hours(9 * HOUR, 17 * HOUR, zone="Europe/Berlin", days=range(5)), holidays=frozenset({"05-01"})),
)
"""On weekdays; the first of May 2026 is a Friday."""


def at(day: int, hour: int, minute: int = 0, month: int = 4) -> datetime:
    return datetime(2026, month, day, hour, minute, tzinfo=BERLIN)


@pytest.mark.parametrize(
    ("last", "now", "missing"),
    [
        (None, at(28, 6, 30), at(28, 6, 30)),
        (at(27, 23), at(28, 12), None),
        (at(28, 5), at(28, 12), None),
        (at(27, 5), at(28, 6, 29), None),
        (at(27, 5), at(28, 6, 30), at(28, 6, 30)),
        (at(27, 5), at(29, 3), at(28, 6, 30)),
        # late, and still the file of its own day
        (at(27, 8), at(27, 9), None),
        (at(27, 8), at(28, 6, 30), at(28, 6, 30)),
        # Friday night's is for Monday
        (at(24, 22), at(25, 12), None),
        (at(24, 22), at(27, 6, 30), None),
        (at(24, 5), at(27, 6, 30), at(27, 6, 30)),
        # nobody is called on the first of May: Thursday's is the last one before Monday's
        (at(29, 22), at(1, 12, month=5), None),
        (at(30, 5), at(4, 6, 30, month=5), at(4, 6, 30, month=5)),
        (at(1, 5, month=5), at(4, 6, 30, month=5), None),
    ],
)
def test_a_file_is_missing_from_its_time_on(last: datetime | None, now: datetime, missing: datetime | None) -> None:
    assert BY.missing(last, now) == missing


def test_where_nobody_is_ever_called_no_file_is_missing() -> None:
    assert evolve(BY, hours=NO_HOURS).missing(None, at(28, 12)) is None


def test_a_missing_file_is_named_by_its_time_at_the_clinic() -> None:
    assert missing_file_error(at(28, 6, 30), BERLIN) == (
        "no file has arrived in [import].folder: one was expected by 2026-04-28 06:30"
    )
