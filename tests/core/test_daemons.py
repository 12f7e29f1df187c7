from typing import Any

import pytest
from attrs import evolve

from reminderd.core.daemons import (
    FORGOTTEN_AFTER,
    LEASE,
    Daemon,
    Job,
    alive,
    differences,
    is_forgotten,
    renewed_record,
)
from reminderd.core.sentences import text_of
from tests.support.builders import HOUR, NOW, SECOND, a_daemon

OURS = a_daemon()


def another(**facts: Any) -> Daemon:
    return a_daemon("b", **{"host": "south", "pid": 2, "started_at": NOW + SECOND} | facts)


def test_a_daemon_has_all_jobs_that_it_can_do_if_no_other_one_has_them() -> None:
    own = renewed_record(OURS, [another()], wanted=[Job.ALERTS, Job.RETENTION], now=NOW + SECOND)
    assert (own.seen_at, own.jobs, own.jobs_until) == (
        NOW + SECOND,
        frozenset({Job.ALERTS, Job.RETENTION}),
        NOW + SECOND + LEASE,
    )


def test_a_job_that_another_one_has_is_left_to_it_until_its_time_is_over() -> None:
    other = another(jobs=frozenset({Job.ALERTS}), jobs_until=NOW + LEASE)
    assert renewed_record(OURS, [other], wanted=[Job.ALERTS, Job.RETENTION], now=NOW).jobs == {Job.RETENTION}
    assert renewed_record(OURS, [other], wanted=[Job.ALERTS], now=NOW + LEASE).jobs == {Job.ALERTS}


def test_a_job_that_was_recorded_by_a_clock_that_was_ahead_is_taken_over() -> None:
    other = another(jobs=frozenset({Job.ALERTS}), jobs_until=NOW + HOUR + LEASE)
    assert renewed_record(OURS, [other], wanted=[Job.ALERTS], now=NOW).jobs == {Job.ALERTS}


def test_a_daemon_gives_up_the_jobs_that_its_configuration_does_not_let_it_do_anymore() -> None:
    before = renewed_record(OURS, [], wanted=list(Job), now=NOW)
    assert renewed_record(before, [], wanted=[Job.ALERTS], now=NOW + SECOND).jobs == {Job.ALERTS}


def test_a_daemon_is_alive_while_it_was_seen_lately() -> None:
    daemons = [another(), OURS]
    assert alive(daemons, NOW + LEASE) == [OURS, another()]
    assert alive(daemons, NOW + LEASE + SECOND) == []
    assert alive(daemons, NOW - HOUR) == [], "its clock was ahead"


def test_a_daemon_is_forgotten_after_a_week() -> None:
    assert not is_forgotten(OURS, NOW + FORGOTTEN_AFTER)
    assert is_forgotten(OURS, NOW + FORGOTTEN_AFTER + SECOND)


@pytest.mark.parametrize("job", Job)
def test_each_job_has_a_name_for_people(job: Job) -> None:
    assert text_of(job.sentence, str)


def test_daemons_that_are_alike_cause_no_warning() -> None:
    assert differences([]) == []
    assert differences([OURS, another()]) == []


def test_of_different_versions_a_warning_names_each_with_its_machines() -> None:
    third = another(version="1.3.0", rules_digest="1")
    [warning] = differences([OURS, evolve(another(), pid=3), third])
    assert text_of(warning, str) == (
        "the daemons run different versions: 1.2.0 on north (pid 1), south (pid 3), 1.3.0 on south (pid 2);"
        " install the same version on all machines, and restart the daemons"
    )


def test_of_different_configurations_a_warning_names_the_machines() -> None:
    [warning] = differences([OURS, another(rules_digest="1")])
    assert text_of(warning, str) == (
        "the daemons have different configurations, so calls depend on which one places them: north (pid 1), south"
        " (pid 2); use the same configuration on all machines, and reload the daemons"
    )
