import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.tables.csv_rows import (
    DELIMITERS,
    UNREADABLE,
    CsvRow,
    Layout,
    csv_rows,
    delimiter_of,
    layout_of,
    names_delimiter,
)
from reminderd.core.tables.words import is_header


def rows(text: str, delimiter: str = ",") -> list[CsvRow]:
    return list(csv_rows(io.StringIO(text, newline=""), delimiter))


def test_a_record_is_numbered_by_the_line_on_which_it_begins() -> None:
    assert rows('a,b\n"1\n2",3\r\n\n,\n4,5') == [
        CsvRow(1, ["a", "b"]),
        CsvRow(2, ["1\n2", "3"]),
        CsvRow(6, ["4", "5"], whole_cells=1),
    ]


@pytest.mark.parametrize(
    ("end", "whole"),
    [
        ("3,4\n", None),
        ("3,4\r", None),
        ("3,4", 1),
        ("3,", 1),
        ("3", 0),
        ('"3"', 1),
        ('3,"4"', 2),
        ('3,""', 2),
        ('3,"4 ""a"""', 2),
        ('3,4"', 1),
        ('3,"4\n5"', 2),
        ('"3\n4",5', 1),
        ('"3\n4","5"', 2),
    ],
)
def test_the_last_cell_of_a_file_without_a_line_end_is_whole_only_in_quotes(end: str, whole: int | None) -> None:
    assert [row.whole_cells for row in rows(f"1,2\n{end}")] == [None, whole]


def test_unmatched_quotes_affect_one_line() -> None:
    first, second, third = rows('1,"2\n3,4\n5,6\n')
    assert (first.line, first.cells) == (1, ['1,"2'])
    assert first.mistake is not None
    assert first.mistake.startswith("quotes: they don't match; expected")
    assert (second, third) == (CsvRow(2, ["3", "4"]), CsvRow(3, ["5", "6"]))


def test_text_after_a_closing_quote_is_an_error_of_that_line_only() -> None:
    first, second = rows('1,"2"x\n3,4')
    assert first.mistake
    assert second == CsvRow(2, ["3", "4"], whole_cells=1)


def test_an_oversized_cell_is_an_error() -> None:
    [huge, small] = rows(f"{'x' * (csv.field_size_limit() + 1)}\n1")
    assert huge.mistake
    assert small == CsvRow(2, ["1"], whole_cells=0)


@pytest.mark.parametrize(
    ("line", "delimiter"),
    [("a,b;c,d\n", ","), ("a;b;c,d\n", ";"), ("a\tb c\n", "\t"), ('"a,b,c";d;e', ";"), ("a", ","), ("sep=;\r\n", ";")],
)
def test_the_delimiter_is_found_by_the_first_line(line: str, delimiter: str) -> None:
    assert delimiter_of(line) == delimiter


@pytest.mark.parametrize("line", ["sep=", "sep=x", "a,b", "separator=,"])
def test_a_header_does_not_set_the_delimiter(line: str) -> None:
    assert not names_delimiter(line)


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    st.lists(st.lists(CELLS, min_size=1, max_size=4)),
    st.sampled_from(list(DELIMITERS)),
    # Before Python 3.13 csv.writer forgets to quote a line break that is not its own.
    st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL)]),
)
def test_a_spreadsheets_output_is_read_back(table: list[list[str]], delimiter: str, style: tuple[str, Any]) -> None:
    end, quoting = style
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=quoting).writerows(table)
    assert [row.cells for row in rows(text.getvalue(), delimiter)] == [row for row in table if any(row)]


@given(st.text(st.sampled_from('a,"\n\r;')), st.sampled_from(list(DELIMITERS)))
def test_any_text_is_read_as_records_in_order(text: str, delimiter: str) -> None:
    numbers = [row.line for row in rows(text, delimiter)]
    assert numbers == sorted(set(numbers))
    assert all(number <= len(text.splitlines()) for number in numbers)


@pytest.mark.parametrize(
    ("text", "layout"),
    [
        ("phone,message,at\n", Layout(",")),
        ("phone|message|at\n", Layout("|")),
        ("Appointments for clinic,,\n\nphone,message,at\n", Layout(",", 1)),
        ('Praxis; Stand 1, 2, 3\n;\n"Fast,\nfertig"\nTelefon;Nachricht\n', Layout(";", 2)),
        ("sep=;\nTitle\nTelefon;Nachricht\n", Layout(";", 1)),
        ("sep=;\nTitle\n", Layout(";")),
        ('"Title\nphone;message\n', Layout(";", 1)),
        ("who;what\nphone\n", Layout(";")),
        ("", Layout(",")),
    ],
)
def test_the_header_is_the_first_row_that_names_columns_or_the_first_row(text: str, layout: Layout) -> None:
    assert layout_of(io.StringIO(text).readlines() or [""], is_header) == layout


def test_an_undecodable_letter_makes_only_its_own_record_unreadable() -> None:
    lost, whole = rows("M\N{REPLACEMENT CHARACTER}ller,1\nMeier,2\n")
    assert (lost.mistake, lost.cells, whole.mistake) == (UNREADABLE, ["M\N{REPLACEMENT CHARACTER}ller", "1"], None)
