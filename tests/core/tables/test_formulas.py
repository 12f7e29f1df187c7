import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.tables.csv_rows import original_cell, safe_cell

WIDE = ["\uff1d1+1", "\uff0b49", "\uff0d1", "\uff20A1", "\ufe66x", "\ufe62x", "\ufe63x", "\ufe6bx"]


@pytest.mark.parametrize(
    "cell",
    ["=1+1", "+4930123456", "-1", "@SUM(A1)", "\t=1", "\rx", "\nx", " =1", "\u00a0=1", "'=1", "''+1", *WIDE],
)
def test_a_formula_is_written_as_text_and_read_back_unchanged(cell: str) -> None:
    assert safe_cell(cell) == f"'{cell}"
    assert original_cell(safe_cell(cell)) == cell


@pytest.mark.parametrize("cell", ["", "Anna", "1-2", "'s Gravenhage", "a=b", "2030-01-07 09:30"])
def test_any_other_cell_is_unchanged(cell: str) -> None:
    assert safe_cell(cell) == cell
    assert original_cell(cell) == cell


@given(st.text(alphabet="'=+-@\t\r\n a1\uff1d"))
def test_every_guarded_cell_is_read_back(cell: str) -> None:
    assert original_cell(safe_cell(cell)) == cell
