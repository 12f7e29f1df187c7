"""How rows are printed for people."""

import io
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from rich.console import Console

from reminderd.cli import output
from reminderd.cli.output import print_table
from reminderd.store.queries import ShownValue

BERLIN = ZoneInfo("Europe/Berlin")
ROWS: list[dict[str, ShownValue]] = [
    {
        "id": "c7785632-c8be-40c7-b3aa-e17e961832f3",
        "ref": None,
        "phone_number": "+12025550147",
        "scheduled_at": datetime(2027, 3, 2, 10, tzinfo=UTC),
        "status": "cancelled",
        "call_outcome": "not_answered",
        "why": "cancelled by the front desk",
    }
]


def printed(monkeypatch: pytest.MonkeyPatch, width: int, rows: list[dict[str, ShownValue]] = ROWS) -> list[str]:
    file = io.StringIO()
    monkeypatch.setattr(output, "console", lambda: Console(file=file, width=width))
    print_table(rows, list(rows[0]), BERLIN)
    return file.getvalue().splitlines()


def test_a_narrow_terminal_folds_long_texts_but_no_numbers_or_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lines = printed(monkeypatch, 80)
    assert max(map(len, lines)) <= 80
    assert "ref" not in lines[0].split()
    assert {"+12025550147", "11:00", "cancelled", "not"} <= set(lines[1].split())
    assert "".join(line[:12].strip() for line in lines[1:]) == ROWS[0]["id"]


def test_where_that_is_not_enough_what_staff_rarely_need_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    row = ROWS[0] | {"ref": "appointment-4711", "attempts": 1, "wake_at": datetime(2027, 3, 2, 11, tzinfo=UTC)}
    lines = printed(monkeypatch, 80, [row])
    assert max(map(len, lines)) <= 80
    assert not {"attempts", "wake_at"} & set(lines[0].split())
    assert {"+12025550147", "11:00", "cancelled"} <= set(lines[1].split())
    assert "".join(line[:8].strip() for line in lines[1:]) == ROWS[0]["id"]


@pytest.mark.parametrize("width", [40, 200])
def test_a_table_has_borders_if_everything_fits_or_nothing_does(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    lines = printed(monkeypatch, width)
    assert lines[-1].startswith("└")
    assert max(map(len, lines)) <= width


def test_a_code_is_shown_as_words(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not answered" in printed(monkeypatch, 200)[3]
