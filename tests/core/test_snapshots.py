from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from reminderd.core.imports import (
    FileRefusedError,
    ImportedSnapshot,
    SnapshotMark,
    WaitingEntry,
    check_newer,
    missing_from,
)
from tests.support.builders import HOUR, NOW


def stored(count: int) -> list[WaitingEntry]:
    return [WaitingEntry(id=f"id-{number}", name=f"A-{number}", at=NOW) for number in range(count)]


def names(count: int) -> set[str]:
    return {one.name for one in stored(count)}


@pytest.mark.parametrize(
    ("of", "held", "most", "missing"),
    [(3, 3, 0.2, 0), (2, 1, 0.0, 1), (3, 2, 0.2, 1), (10, 5, 0.2, 5), (40, 32, 0.2, 8), (10, 4, 1.0, 6)],
)
def test_what_a_snapshot_lacks_is_missing(of: int, held: int, most: float, missing: int) -> None:
    found = missing_from(stored(of), names(held), most)
    assert found == stored(of)[held:]
    assert len(found) == missing


@pytest.mark.parametrize(("of", "held", "most"), [(3, 1, 0.2), (9, 4, 0.2), (12, 6, 0.2), (40, 31, 0.2), (10, 4, 0.5)])
def test_a_snapshot_that_lacks_too_many_is_refused(of: int, held: int, most: float) -> None:
    with pytest.raises(FileRefusedError, match=f"{of - held} of {of} in its span would be cancelled, more than"):
        missing_from(stored(of), names(held), most)


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_snapshot_of_other_appointments_never_cancels_all_that_are_stored(count: int) -> None:
    with pytest.raises(FileRefusedError, match=f"{count} of {count} in its span would be cancelled"):
        missing_from(stored(count), {"B-1"}, 0.2)
    assert missing_from(stored(count), {"B-1"}, 1.0) == stored(count)


def test_the_only_appointment_may_be_cancelled() -> None:
    assert missing_from(stored(1), {"B-1"}, 0.2) == stored(1)


def test_an_empty_snapshot_is_refused_if_anything_is_stored() -> None:
    assert missing_from([], set(), 0.2) == []
    with pytest.raises(FileRefusedError, match="no row at all"):
        missing_from(stored(1), set(), 1.0)


UTC = ZoneInfo("UTC")


def one(digest: str, dated_at: datetime | None = NOW) -> SnapshotMark:
    return SnapshotMark(digest=digest, dated_at=dated_at)


def imported(digest: str, dated_at: datetime | None = NOW, at: datetime = NOW) -> ImportedSnapshot:
    return ImportedSnapshot(at=at, mark=one(digest, dated_at))


@pytest.mark.parametrize(
    ("mark", "last"),
    [
        (one("a"), None),
        (one("b"), imported("a")),
        (one("b", NOW + HOUR), imported("a")),
        # the last one again changes nothing, whatever the time of its copy
        (one("a", NOW - HOUR), imported("a")),
        # nothing shows which is older
        (one("b", None), imported("a")),
        (one("b", NOW - HOUR), imported("a", None)),
    ],
)
def test_a_newer_snapshot_is_imported_and_the_last_one_again(mark: SnapshotMark, last: ImportedSnapshot | None) -> None:
    same = last if last is not None and last.mark.digest == mark.digest else None
    check_newer(mark, last, same, UTC)


def test_a_snapshot_with_the_rows_of_an_earlier_one_is_refused() -> None:
    with pytest.raises(FileRefusedError, match="it has the same rows as the file that was imported on") as refused:
        check_newer(one("a", NOW + HOUR), imported("b", at=NOW), imported("a", at=NOW - HOUR), UTC)
    assert f"{NOW - HOUR:%Y-%m-%d %H:%M}, and another one was imported since; expected a newer" in str(refused.value)
    assert str(refused.value).endswith("or --even-if-older")


def test_a_snapshot_that_was_written_before_the_last_one_is_refused() -> None:
    with pytest.raises(FileRefusedError, match="it was written on") as refused:
        check_newer(one("c", NOW - HOUR), imported("b"), None, UTC)
    assert f"and the last one that was imported on {NOW:%Y-%m-%d %H:%M}; expected a newer" in str(refused.value)
