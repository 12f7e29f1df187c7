from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.changes import UNDELIVERED_AFTER, Backlog
from reminderd.core.imports import FOLDER, ImportRecord, ImportStatus
from reminderd.core.monitoring import (
    ADDRESS,
    BACKUP_LATE,
    DISK_FULL_SOON,
    LATE_AFTER,
    LONG_PAUSE,
    DaemonReport,
    Glance,
    StatusReport,
    errors,
    lateness,
    part_error,
    refused_files,
    verdict,
)
from reminderd.core.rules import Rules
from reminderd.core.schedule.calling_hours import CallingHours, Span
from reminderd.core.sentences import Sentence, text_of
from tests.support.builders import NOW, a_call, a_daemon, a_reminder

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

REPORT = StatusReport(
    at=NOW,
    daemon=DAEMON,
    glance=WELL,
    pauses=(),
    uncallable={},
    last_import=None,
    refused=(),
    missing_file=None,
    daemons=(),
    backlog=None,
    free_bytes=DISK_FULL_SOON,
    backup=None,
)


def english(report: StatusReport) -> list[str]:
    return [text_of(one, str) for one in errors(report)]


def found(
    glance: Glance = WELL,
    daemon: DaemonReport | str = DAEMON,
    free_bytes: int = DISK_FULL_SOON,
    uncallable: int = 0,
    backup: timedelta | str | None = None,
) -> list[str]:
    reasons = {"a reason": uncallable} if uncallable else {}
    report = evolve(REPORT, glance=glance, daemon=daemon, uncallable=reasons)
    return english(evolve(report, free_bytes=free_bytes, backup=backup))


def test_work_in_progress_and_unreached_patients_are_not_errors() -> None:
    assert found() == []


def test_daemons_that_differ_are_a_warning_and_no_error() -> None:
    report = evolve(REPORT, daemons=(a_daemon("a"), a_daemon("b", rules_digest="1")))
    assert errors(report) == []
    assert text_of(verdict(report), str).startswith("OK, but the daemons have different configurations")
    assert verdict(evolve(report, daemons=(a_daemon("a"), a_daemon("b")))).text == "OK: all is well"


def test_a_daemon_that_cannot_be_asked_is_an_error() -> None:
    assert found(daemon="the daemon does not answer") == ["the daemon does not answer"]


def test_each_failing_part_is_an_error() -> None:
    ill = evolve(DAEMON, parts={"database": None, "poll loop": "no heartbeat for 45 s", "provider": "paused: 503"})
    assert found(daemon=ill) == ["poll loop: no heartbeat for 45 s", "provider: paused: 503"]
    assert text_of(part_error("dialing is paused: HTTP 503"), str) == "dialing is paused: HTTP 503"


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


def test_files_and_changes_that_do_not_arrive_are_errors() -> None:
    late = Backlog(waiting=1, oldest=NOW - UNDELIVERED_AFTER - SECOND, error=None)
    report = evolve(REPORT, backlog=late, missing_file=NOW, refused=[file("list.csv")])
    assert english(report) == [
        "1 change was not received by [results].url, the oldest for 30 minutes",
        f"no file has arrived in [import].folder: one was expected by {NOW}",
        "a file was not imported, import it again: list.csv: refused: no header",
    ]


def test_the_verdict_is_one_sentence_that_names_errors_before_pauses() -> None:
    paused = evolve(REPORT, pauses=[Sentence("dialing is paused"), Sentence("a backup was restored")])
    ill = evolve(paused, daemon="it does not answer", free_bytes=0)
    assert [text_of(verdict(one), str) for one in (REPORT, paused, ill)] == [
        "OK: all is well",
        "OK, but dialing is paused; a backup was restored",
        "ERROR: it does not answer; the disk is nearly full: 0 MB free",
    ]


def file(
    name: str, status: ImportStatus = ImportStatus.REFUSED, actor: str = FOLDER, profile: str | None = None
) -> ImportRecord:
    return ImportRecord(
        id=1, at=NOW, finished_at=NOW, file=name, profile=profile, actor=actor, status=status, reason="no header"
    )


DONE = ImportStatus.DONE


@pytest.mark.parametrize(
    ("records", "names"),
    [
        ([], []),
        ([file("a", DONE)], []),
        ([file("a"), file("b", ImportStatus.FAILED)], ["a", "b"]),
        ([file("a"), file("b", DONE)], ["a"]),
        ([file("a"), file("a", DONE)], []),
        ([file("a"), file("a")], ["a"]),
        ([file("a", profile="p"), file("b", DONE, profile="p")], []),
        ([file("a", profile="p"), file("b", profile="p")], ["a", "b"]),
        ([file("a", profile="p"), file("b", DONE, profile="q")], ["a"]),
        # the person who has imported it was told
        ([file("a", actor="anna")], ["a"]),
        ([file("a", actor="anna"), file("b", DONE)], []),
        ([file("a", actor="anna"), file("b")], ["b"]),
    ],
)
def test_a_refused_file_counts_until_another_replaces_it(records: list[ImportRecord], names: list[str]) -> None:
    assert [one.file for one in refused_files(records)] == names


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
