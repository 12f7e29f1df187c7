"""Where the numbers are in a list that somebody hands over."""

import pytest

from reminderd.core.tables.columns import ColumnsError, NumberColumn, names_numbers, number_column


@pytest.mark.parametrize(
    ("first_row", "place", "has_header"),
    [
        (["phone_number", "source", "created_at"], 0, True),
        (["Name", "Telefon-Nr.", "Grund"], 1, True),
        (["Anna", "+49 30 123456"], 1, False),
        (["+4930123456"], 0, False),
        (["030 123"], 0, False),
        (["Gesperrte Patienten"], 0, True),
    ],
    ids=["our own", "a header", "none", "numbers alone", "a wrong number first", "a heading of its own"],
)
def test_the_column_is_told_by_its_header_else_by_its_number(
    first_row: list[str], place: int, has_header: bool
) -> None:
    assert number_column(first_row, country="") == NumberColumn(place, has_header=has_header)


@pytest.mark.parametrize(
    ("first_row", "said"),
    [
        (["Telefon", "Handy"], "more than one column of phone numbers; expected one, with a header like phone"),
        (["+4930123456", "+4930123457"], "more than one column of phone numbers"),
        (["Anna", "030 123"], "no column of phone numbers"),
    ],
)
def test_where_two_fit_or_none_it_is_not_guessed(first_row: list[str], said: str) -> None:
    with pytest.raises(ColumnsError, match=said):
        number_column(first_row, country="")


def test_a_national_number_is_one_where_the_country_is_known() -> None:
    assert number_column(["Anna", "030 123456"], country="DE") == NumberColumn(1, has_header=False)


def test_a_row_with_a_column_of_numbers_is_the_header_of_a_list() -> None:
    assert names_numbers(["Name", "Telefon"])
    assert not names_numbers(["Do not call", "+4930123456"])
