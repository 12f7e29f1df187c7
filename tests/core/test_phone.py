import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reminderd.core.phone import normalised


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("+4930123456", "+4930123456"),
        (" +49 30 123-456 ", "+4930123456"),
        ("+1 (555) 010-0001", "+15550100001"),
        ("+39 06 698 12345", "+390669812345"),
        ("+49 (0)30 123456", "+4930123456"),
    ],
)
def test_spaces_dashes_and_brackets_are_dropped(text: str, stored: str) -> None:
    assert normalised(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "030123456",
        "0049301234",
        "+0301234567",
        "+49",
        "+1555",
        "+123456789012345678",
        "tel:+4930123456",
        "+49 30 12345x",
        "\N{ARABIC-INDIC DIGIT ONE}2345678",
        "+49\x0030123456",
        "+4930123456;drop",
        "+999123456789",
    ],
)
def test_what_cannot_be_a_number_is_none(text: str) -> None:
    assert normalised(text) is None


@example("+49000000")
@given(st.text() | st.from_regex(r"\+[0-9 ()-]{4,20}", fullmatch=True))
def test_a_normalised_number_is_its_own_normal_form(text: str) -> None:
    number = normalised(text)
    assert number is None or normalised(number) == number
