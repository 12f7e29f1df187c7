"""Which column says of an appointment whether it takes place."""

import pytest

from reminderd.core.tables.columns import ColumnsError, columns_of
from reminderd.core.tables.csv_rows import CsvRow
from reminderd.core.tables.rows import check_status


def check(header: str, *words: str, **chosen: str) -> dict[str, tuple[int, ...]]:
    """Check a column of words under this header; return where the fields are."""
    names = ["phone", "message", "at", header]
    columns = columns_of(names, chosen)
    rows = [CsvRow(line, ["+4930123456", "Hello.", "2027-03-01 16:00", word]) for line, word in enumerate(words, 2)]
    check_status(names, columns, rows)
    return dict(columns.places)


def test_a_status_of_known_words_alone_is_the_appointments() -> None:
    assert check("Status", "Confirmed", "", "abgesagt")["status"] == (3,)


def test_a_status_with_another_word_may_be_of_something_else() -> None:
    with pytest.raises(ColumnsError, match=r'status: "Status" may be .* line 3 has an unknown word; .*--map'):
        check("Status", "Confirmed", "insured")


@pytest.mark.parametrize(
    ("header", "chosen", "found"),
    [("Appointment status", {}, (3,)), ("Status", {"status": "Status"}, (3,)), ("Status", {"status": ""}, None)],
)
def test_where_it_is_sure_what_the_status_is_of_any_word_is_for_its_row(
    header: str, chosen: dict[str, str], found: tuple[int, ...] | None
) -> None:
    assert check(header, "insured", **chosen).get("status") == found


def test_a_row_that_can_not_be_read_says_nothing_of_the_column() -> None:
    names = ["phone", "message", "at", "status"]
    check_status(names, columns_of(names, {}), [CsvRow(2, ["", "", "", "insured"], "quotes")])


def test_an_appointments_own_status_goes_before_another_one() -> None:
    columns = columns_of(["phone", "message", "at", "Status", "Appointment status"], {})
    assert (columns.places["status"], columns.ignored) == ((4,), ("Status",))
