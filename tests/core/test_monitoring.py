from datetime import timedelta

import pytest
from attrs import evolve

from reminderd.core.diagnosis import DISK_FULL_SOON
from reminderd.core.monitoring import ADDRESS, BACKUP_LATE, LATE_AFTER, LONG_PAUSE, DaemonReport, Glance, errors
from tests.support.builders import NOW

SECOND = timedelta(seconds=1)

WELL = Glance(
    due_next_hour=4,
    due=1,
    due_since=NOW - SECOND,
    in_flight=2,
    stuck=0,
    held={"outside the calling hours": 3},
    failed_today=5,
    last_report=None,
    paused=False,
    paused_since=None,
    unreached_since=None,
)
DAEMON = DaemonReport(
    version="1.2.3",
    started_at=NOW,
    provider="generic",
    parts={"database": None, "poll loop": None, "provider": None},
    last_poll=NOW,
    last_webhook=None,
    database_id="0" * 32,
)


def found(
    glance: Glance = WELL,
    daemon: DaemonReport | str = DAEMON,
    free_bytes: int = DISK_FULL_SOON,
    uncallable: int = 0,
    backup: timedelta | str | None = None,
) -> list[str]:
    return errors(daemon=daemon, glance=glance, uncallable=uncallable, free_bytes=free_bytes, backup=backup, now=NOW)


def test_work_in_progress_and_unreached_patients_are_not_errors() -> None:
    assert found() == []


def test_a_daemon_that_cannot_be_asked_is_an_error() -> None:
    assert found(daemon="the daemon does not answer") == ["the daemon does not answer"]


def test_each_failing_part_is_an_error() -> None:
    ill = evolve(DAEMON, parts={"database": None, "poll loop": "no heartbeat for 45 s", "provider": "paused: 503"})
    assert found(daemon=ill) == ["poll loop: no heartbeat for 45 s", "provider: paused: 503"]


@pytest.mark.parametrize(("stuck", "words"), [(1, "1 call is stuck"), (2, "2 calls are stuck")])
def test_calls_that_are_not_checked_are_an_error(stuck: int, words: str) -> None:
    (sentence,) = found(evolve(WELL, stuck=stuck))
    assert sentence.startswith(words)


def test_a_reminder_that_waits_too_long_is_an_error_unless_paused() -> None:
    late = evolve(WELL, due_since=NOW - LATE_AFTER - SECOND)
    assert found(late) == ["1 reminder is not dialed in time, the oldest has waited for 15 minutes"]
    assert found(evolve(late, paused=True)) == []
    assert found(evolve(WELL, due_since=NOW - LATE_AFTER)) == []
    assert found(evolve(WELL, due=0, due_since=None)) == []


def test_a_long_pause_is_an_error() -> None:
    paused = evolve(WELL, paused=True, paused_since=NOW - LONG_PAUSE)
    assert found(paused) == []
    (sentence,) = found(evolve(paused, paused_since=NOW - LONG_PAUSE - SECOND))
    assert sentence == "staff have paused all dialing for 12 hours; reminderd resume ends it"


@pytest.mark.parametrize(("uncallable", "words"), [(1, "1 waiting reminder"), (2, "2 waiting reminders")])
def test_waiting_reminders_that_cannot_be_called_are_an_error(uncallable: int, words: str) -> None:
    assert found(uncallable=uncallable) == [f"{words} can't be called: correct them before they are due"]


def test_a_nearly_full_disk_is_an_error() -> None:
    assert found(free_bytes=DISK_FULL_SOON - 1) == ["the disk is nearly full: 99 MB free"]


def test_all_errors_are_reported_at_once() -> None:
    assert len(found(evolve(WELL, stuck=1), "no answer", 0)) == 3


def test_a_missing_or_old_backup_is_an_error_if_backups_are_configured() -> None:
    assert found(backup=BACKUP_LATE) == []
    assert found(backup=BACKUP_LATE + SECOND) == ["the newest backup is 26 hours old"]
    assert found(backup="backup: there is none in /backups") == ["backup: there is none in /backups"]


def test_an_unreachable_address_is_reported_once_with_or_without_the_daemon() -> None:
    failing = evolve(WELL, unreached_since=NOW, due_since=NOW - LATE_AFTER - SECOND)
    ill = evolve(DAEMON, parts={"database": None, ADDRESS: "dialing is paused: …"})
    (sentence,) = found(failing, daemon=ill)
    assert sentence.startswith("public address: dialing is paused: answered calls never asked what to say")
    assert "[web].public_base_url" in sentence
    assert found(failing, daemon="the daemon does not answer") == ["the daemon does not answer", sentence]
