from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from attrs import evolve

from reminderd.core.imports import Expected, Forecast, ImportRecord, ImportStatus, in_words, missing_words, summary
from reminderd.core.schedule.time_zones import Daily
from reminderd.core.upsert import Intake
from tests.support.builders import HOUR, NO_HOURS, NOW, hours


def a_record(status: ImportStatus, **changes: Any) -> ImportRecord:
    values: dict[str, Any] = {
        "id": 1,
        "at": NOW,
        "finished_at": NOW + timedelta(seconds=3),
        "file": "list.csv",
        "profile": None,
        "actor": "anna",
        "done": {Intake.ADDED: 2000, Intake.HELD: 1, Intake.NOT_NEEDED: 3},
        "rejected": 4,
    }
    return ImportRecord(status=status, **(values | changes))


COUNTS = "2,000 added, 0 changed, 0 unchanged, 4 rejected, 1 held, 3 not needed"


@pytest.mark.parametrize(
    ("status", "changes", "words"),
    [
        (ImportStatus.DONE, {}, f"list.csv: {COUNTS}"),
        (ImportStatus.DONE, {"profile": "practice"}, f"list.csv (profile practice): {COUNTS}"),
        (ImportStatus.DONE, {"file": ""}, f"a file whose name was deleted: {COUNTS}"),
        (ImportStatus.RUNNING, {}, f"list.csv: not finished; until then {COUNTS}"),
        (ImportStatus.INTERRUPTED, {}, f"list.csv: interrupted; until then {COUNTS}"),
        (ImportStatus.FAILED, {"reason": "disk full"}, f"list.csv: failed: disk full; until then {COUNTS}"),
        (ImportStatus.FAILED, {}, f"list.csv: failed; until then {COUNTS}"),
        (ImportStatus.REFUSED, {"reason": "it is empty"}, "list.csv: refused: it is empty"),
    ],
)
def test_an_import_is_summed_up_in_one_line(status: ImportStatus, changes: dict[str, Any], words: str) -> None:
    assert summary(a_record(status, **changes)) == words


def test_rows_are_counted_by_what_they_did() -> None:
    record = a_record(ImportStatus.DONE)
    assert in_words(record.done, record.rejected) == COUNTS


BERLIN = ZoneInfo("Europe/Berlin")
BY = Expected(
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
    assert missing_words(at(28, 6, 30), BERLIN) == (
        "no file has come to [import].folder: one was expected by 2026-04-28 06:30"
    )


@pytest.mark.parametrize(
    ("later", "is_exceeded"),
    [
        ({}, False),
        ({"done": {Intake.ADDED: 3, Intake.CHANGED: 2, Intake.UNCHANGED: 99}}, False),
        ({"done": {Intake.ADDED: 2, Intake.UNCHANGED: 4}, "rejected": 0}, False),
        ({"missing": frozenset({"a"})}, False),
        ({"done": {Intake.ADDED: 4}}, True),
        ({"done": {Intake.CHANGED: 3}}, True),
        ({"done": {Intake.HELD: 1}}, True),
        ({"done": {Intake.CANCELLED: 3}}, True),
        ({"rejected": 2}, True),
        ({"missing": frozenset({"a", "c"})}, True),
    ],
    ids=[
        *("the same", "more that is unchanged", "less that is new", "less that is missing"),
        *("more that is new", "more that is changed", "more that is held", "more that is cancelled"),
        *("more that is rejected", "another one that is missing"),
    ],
)
def test_an_import_must_not_do_what_nobody_has_seen(later: dict[str, Any], is_exceeded: bool) -> None:
    seen = {"done": {Intake.ADDED: 3, Intake.CHANGED: 2, Intake.CANCELLED: 2}, "rejected": 1}
    shown = Forecast(**seen, missing=frozenset({"a", "b"}))  # type: ignore[arg-type]
    assert shown.is_exceeded_by(Forecast(**{**seen, "missing": shown.missing, **later})) is is_exceeded
