"""Where the numbers are in a list that somebody hands over."""

import pytest

from reminderd.core.tables.columns import ColumnsError, NumberColumns, names_numbers, number_columns


@pytest.mark.parametrize(
    ("first_row", "places", "has_header"),
    [
        (["phone_number", "source", "created_at"], (0,), True),
        (["Name", "Telefon-Nr.", "Grund"], (1,), True),
        (["Telefon", "Name", "Handy"], (0, 2), True),
        (["Anna", "+49 30 123456"], (1,), False),
        (["+4930123456"], (0,), False),
        (["030 123"], (0,), False),
        (["Gesperrte Patienten"], (0,), True),
    ],
    ids=["our own", "a header", "two headers", "none", "numbers alone", "a wrong number first", "a heading of its own"],
)
def test_phone_columns_are_found_by_header_or_by_their_numbers(
    first_row: list[str], places: tuple[int, ...], has_header: bool
) -> None:
    assert number_columns(first_row, country="") == NumberColumns(places, has_header=has_header)


@pytest.mark.parametrize(
    ("first_row", "said"),
    [
        (
            ["+4930123456", "+4930123457"],
            "more than one column of phone numbers, and no header; expected a header like",
        ),
        (["Anna", "030 123"], "no column of phone numbers; expected one with a header like phone"),
    ],
)
def test_without_a_header_exactly_one_phone_column_is_needed(first_row: list[str], said: str) -> None:
    with pytest.raises(ColumnsError, match=said):
        number_columns(first_row, country="")


def test_a_national_number_counts_if_the_country_is_known() -> None:
    assert number_columns(["Anna", "030 123456"], country="DE") == NumberColumns((1,), has_header=False)


def test_a_row_that_names_a_phone_column_is_the_header() -> None:
    assert names_numbers(["Name", "Telefon"])
    assert not names_numbers(["Do not call", "+4930123456"])
