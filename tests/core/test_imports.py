from datetime import timedelta
from typing import Any

import pytest

from reminderd.core.imports import ImportRecord, ImportStatus, summary
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
        (ImportStatus.RUNNING, {}, f"list.csv: not finished; until then {COUNTS}"),
        (ImportStatus.INTERRUPTED, {}, f"list.csv: interrupted; until then {COUNTS}"),
        (ImportStatus.FAILED, {"reason": "disk full"}, f"list.csv: failed: disk full; until then {COUNTS}"),
        (ImportStatus.REFUSED, {"reason": "it is empty"}, "list.csv: refused: it is empty"),
    ],
)
def test_an_import_is_summed_up_in_one_line(status: ImportStatus, changes: dict[str, Any], words: str) -> None:
    assert summary(a_record(status, **changes)) == words
