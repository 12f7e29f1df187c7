"""A list of phone numbers as somebody hands it over: which column has them, and whether there is a header at all."""

from collections.abc import Sequence

from attrs import frozen

from reminderd.core.csv_columns import ColumnsError
from reminderd.core.headers import PHONES, role_of
from reminderd.core.phone import normalised


@frozen
class NumberColumn:
    """Where the numbers are."""

    place: int
    """From 0."""
    has_header: bool
    """Whether the first row names it; else that row has a number already."""


def number_column(first_row: Sequence[str], country: str) -> NumberColumn:
    """The column of the numbers, as the first row of a table tells: by its header, else by the only number in it.

    Numbers without a country code are those of `country`, the clinic's.

    Raises:
        ColumnsError: no column is meant for certain.
    """
    named = [place for place, name in enumerate(first_row) if role_of(name) in PHONES]
    numbers = [place for place, cell in enumerate(first_row) if normalised(cell, country) is not None]
    if len(named) == 1:
        return NumberColumn(named[0], has_header=True)
    if not named and len(numbers) == 1:
        return NumberColumn(numbers[0], has_header=False)
    if not named and len(first_row) == 1:  # one column, whatever its header, or a first number that is wrong
        return NumberColumn(0, has_header=not any(character.isdigit() for character in first_row[0]))
    many = len(named) > 1 or len(numbers) > 1
    raise ColumnsError(
        [f"{'more than one column' if many else 'no column'} of phone numbers; expected one, with a header like phone"]
    )


def names_numbers(row: Sequence[str]) -> bool:
    """Return whether a row is the header of a list of phone numbers."""
    return any(role_of(cell) in PHONES for cell in row)
