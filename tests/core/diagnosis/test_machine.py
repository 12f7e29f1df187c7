from datetime import timedelta

import pytest

from reminderd.core.diagnosis import machine
from reminderd.core.diagnosis.finding import Finding, Mark, count, good, unknown, warning, wrong
from tests.support.nouns import NOW


def seconds(number: float) -> timedelta:
    return timedelta(seconds=number)


def test_findings_are_counted_by_how_they_stand() -> None:
    findings = [
        good("a", "is"),
        warning("b", "is", "do"),
        wrong("c", "is", "do"),
        wrong("d", "is", "do"),
        unknown("e", "?"),
    ]
    assert [count(findings, mark) for mark in Mark] == [1, 1, 2, 1]


@pytest.mark.parametrize(
    ("free", "mark", "says"),
    [
        (78_812_345_678, Mark.GOOD, "78.8 GB"),
        (1_000_000_000, Mark.GOOD, "1.0 GB"),
        (999_999_999, Mark.WARNING, "1000.0 MB"),
        (100_000_000, Mark.WARNING, "100.0 MB"),
        (99_000_000, Mark.WRONG, "99.0 MB"),
        (4_096, Mark.WRONG, "4.1 kB"),
        (0, Mark.WRONG, "0 bytes"),
    ],
)
def test_a_disk_is_judged_by_the_room_that_is_left(free: int, mark: Mark, says: str) -> None:
    found = machine.disk(free, "/srv/reminderd")
    assert (found.about, found.mark) == ("disk", mark)
    assert found.says == f"{says} free in /srv/reminderd"
    assert bool(found.fix) == (mark is not Mark.GOOD)


@pytest.mark.parametrize(
    ("kept", "ahead", "mark", "says"),
    [
        (True, None, Mark.GOOD, "synchronized, by the kernel"),
        (True, seconds(-1), Mark.GOOD, "synchronized, by the kernel; it agrees with the provider's now"),
        (True, seconds(31), Mark.WRONG, "31 s ahead of the provider's"),
        (False, None, Mark.WARNING, "not synchronized, by the kernel"),
        (False, seconds(30), Mark.WARNING, "not synchronized, by the kernel; it agrees"),
        (False, seconds(-720), Mark.WRONG, "720 s behind the provider's"),
        (None, None, Mark.UNKNOWN, "unknown whether it is synchronized"),
        (None, seconds(2), Mark.UNKNOWN, "unknown whether it is synchronized"),
        (None, seconds(86_400), Mark.WRONG, "86400 s ahead of the provider's"),
    ],
)
def test_a_clock_is_never_called_good_without_the_kernel_s_word(
    *, kept: bool | None, ahead: timedelta | None, mark: Mark, says: str
) -> None:
    found = machine.clock(kept=kept, ahead=ahead)
    assert found.mark is mark
    assert found.says.startswith(says)
    assert ("agrees" in found.says) == (ahead is not None and mark is not Mark.WRONG)


@pytest.mark.parametrize(
    ("version", "mark"),
    [
        ("2026a", Mark.GOOD),
        ("2025c", Mark.GOOD),
        ("2024z", Mark.WARNING),
        (None, Mark.UNKNOWN),
        ("unknown", Mark.UNKNOWN),
    ],
)
def test_time_zone_data_gets_old_in_two_years(version: str | None, mark: Mark) -> None:
    found = machine.time_zones(version, "/usr/share/zoneinfo", NOW)
    assert NOW.year == 2026
    assert found.mark is mark
    assert "/usr/share/zoneinfo" in found.says


def test_each_reason_why_reminders_can_not_be_called_has_a_line() -> None:
    assert machine.uncallable({}) == []
    one, more = machine.uncallable({"phone_number: empty": 1, "timezone: not a time zone": 3})
    assert (one.mark, more.mark) == (Mark.WRONG, Mark.WRONG)
    assert one.says == "1 waiting reminder can't be called: phone_number: empty"
    assert more.says == "3 waiting reminders can't be called: timezone: not a time zone"


@pytest.mark.parametrize(
    ("mode", "folders", "is_open"),
    [
        (0o100600, [0o755, 0o755], False),
        (0o100640, [0o755, 0o755], False),
        (0o100660, [0o770, 0o755], False),
        (0o100644, [0o755, 0o755], True),
        (0o100602, [0o755, 0o755], True),
        (0o100644, [0o700, 0o755], False),
        (0o100644, [0o755, 0o700, 0o755], False),
        (0o100644, [0o711, 0o711], True),
    ],
)
def test_a_file_is_open_to_others_by_its_mode_and_its_folders(mode: int, folders: list[int], *, is_open: bool) -> None:
    assert machine.open_to_others(mode, folders) is is_open


@pytest.mark.parametrize(
    ("folders", "is_replaceable"),
    [
        ([0o755, 0o755], False),
        ([0o777, 0o755], True),
        ([0o1777, 0o755], False),
        ([0o775, 0o755], False),
        ([0o777, 0o700, 0o755], False),
        ([0o776, 0o755], False),
    ],
)
def test_a_file_is_replaceable_where_others_write_to_its_folder(folders: list[int], *, is_replaceable: bool) -> None:
    assert machine.replaceable(folders) is is_replaceable


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        (5, good("schema", "5, the newest")),
        (4, Mark.WARNING),
        (0, Mark.WARNING),
    ],
)
def test_an_old_schema_is_brought_up_to_date_by_the_next_command(version: int, expected: Finding | Mark) -> None:
    found = machine.schema(version, 5)
    assert expected in {found, found.mark}
    assert (found.fix != "") == (version != 5)
    assert (found.says.startswith("none yet")) == (version == 0)


def test_a_write_ahead_log_is_large_beyond_what_a_checkpoint_leaves() -> None:
    assert machine.wal(0) == good("write-ahead log", "0 bytes")
    assert machine.wal(64 * 1024 * 1024).mark is Mark.GOOD
    assert machine.wal(64 * 1024 * 1024 + 1).mark is Mark.WARNING
