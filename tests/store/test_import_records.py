from collections.abc import Iterator
from datetime import time, timedelta
from functools import partial
from zoneinfo import ZoneInfo

import pytest

from reminderd.core.imports import FOLDER, ImportRecord, ImportStatus
from reminderd.core.rules import ExpectedFile
from reminderd.core.schedule.calling_hours import CallingHours
from reminderd.core.schedule.time_zones import Daily
from reminderd.core.upsert import Intake
from reminderd.databases import Target
from reminderd.store.import_records import begin_import, end_import, imports_between, last_import, missing_file
from tests.support.builders import HOUR, NOW, SECOND
from tests.support.store import Store, a_store


@pytest.fixture
def store(target: Target) -> Iterator[Store]:
    with a_store(target) as store:
        yield store


def begun(store: Store, file: str = "list.csv", actor: str = "anna") -> int:
    return store.write(partial(begin_import, file=file, profile="practice", actor=actor))


def test_an_import_is_recorded_from_its_beginning_to_its_end(store: Store) -> None:
    import_id = begun(store)
    running = last_import(store.connection)
    assert running is not None
    assert (running.status, running.finished_at, running.done) == (ImportStatus.RUNNING, None, {})
    store.later(SECOND)
    done = {Intake.ADDED: 2, Intake.NOT_NEEDED: 1}
    ending = partial(end_import, status=ImportStatus.FAILED, done=done, rejected=3, reason="disk full")
    store.write(partial(ending, import_id=import_id))
    assert last_import(store.connection) == ImportRecord(
        id=import_id,
        at=NOW,
        finished_at=NOW + SECOND,
        file="list.csv",
        profile="practice",
        actor="anna",
        status=ImportStatus.FAILED,
        done=done,
        rejected=3,
        reason="disk full",
    )


def test_a_number_in_the_name_of_a_file_is_not_kept(store: Store) -> None:
    begun(store, "+4930123456.csv")
    [record] = imports_between(store.connection, since=NOW, until=NOW + HOUR)
    assert "123456" not in record.file


def test_imports_are_found_by_their_day_and_by_who_did_them(store: Store) -> None:
    first = begun(store)
    store.later(HOUR)
    second = begun(store, actor="folder")
    between = partial(imports_between, store.connection)
    assert [one.id for one in between(since=NOW, until=NOW + HOUR)] == [first]
    assert [one.id for one in between(since=NOW, until=NOW + timedelta(days=1))] == [first, second]
    found = [last_import(store.connection, actor=actor) for actor in ("anna", "folder", "nobody", None)]
    assert [one and one.id for one in found] == [first, second, None, second]


def test_a_file_that_came_while_the_clock_was_ahead_is_not_the_one_of_a_later_night(store: Store) -> None:
    utc = ZoneInfo("UTC")
    expected = ExpectedFile(by=Daily(at=time(6, 30), zone=utc), hours=CallingHours(utc))
    store.later(timedelta(days=30))
    begun(store, actor=FOLDER)
    by = NOW.replace(hour=6, minute=30)
    assert missing_file(store.connection, expected=expected, now=NOW) == by


@pytest.mark.parametrize(
    ("profile", "status", "done", "rejected", "has_come"),
    [
        ("practice", ImportStatus.DONE, {Intake.ADDED: 1}, 3, True),
        ("practice", ImportStatus.DONE, {Intake.UNCHANGED: 1}, 0, True),
        ("practice", ImportStatus.DONE, {}, 0, True),
        ("practice", ImportStatus.DONE, {}, 3, False),
        ("practice", ImportStatus.REFUSED, {}, 0, False),
        ("practice", ImportStatus.FAILED, {Intake.ADDED: 1}, 0, False),
        ("practice", ImportStatus.INTERRUPTED, {Intake.ADDED: 1}, 0, False),
        ("lab", ImportStatus.DONE, {Intake.ADDED: 1}, 0, False),
        (None, ImportStatus.DONE, {Intake.ADDED: 1}, 0, False),
    ],
)
def test_a_file_has_come_once_the_expected_profile_has_imported_rows_of_it(
    store: Store, profile: str | None, status: ImportStatus, done: dict[Intake, int], rejected: int, has_come: bool
) -> None:
    utc = ZoneInfo("UTC")
    expected = ExpectedFile(by=Daily(at=time(6, 30), zone=utc), hours=CallingHours(utc), profile="practice")
    begin = partial(begin_import, file="list.csv", profile=profile, actor=FOLDER)
    import_id = store.write(begin)
    store.write(partial(end_import, import_id=import_id, status=status, done=done, rejected=rejected))
    assert (missing_file(store.connection, expected=expected, now=store.now) is None) is has_come


def test_a_file_has_come_while_it_is_imported_but_not_if_its_import_was_killed(store: Store) -> None:
    utc = ZoneInfo("UTC")
    expected = ExpectedFile(by=Daily(at=time(6, 30), zone=utc), hours=CallingHours(utc))
    begun(store, actor=FOLDER)
    assert missing_file(store.connection, expected=expected, now=store.now) is None
    failing = begun(store, actor=FOLDER)
    store.write(partial(end_import, import_id=failing, status=ImportStatus.FAILED, done={}, rejected=0))
    assert missing_file(store.connection, expected=expected, now=store.now) is not None
