from datetime import timedelta
from typing import Any

import pytest

from reminderd.core.imports import Forecast, ImportRecord, ImportStatus, counts_in_words, file_with_result_text
from reminderd.core.upsert import Intake
from tests.support.builders import NOW


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
    assert file_with_result_text(a_record(status, **changes)) == words


def test_rows_are_counted_by_what_they_did() -> None:
    record = a_record(ImportStatus.DONE)
    assert counts_in_words(record.done, record.rejected) == COUNTS


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
