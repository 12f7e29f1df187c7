import pytest

from reminderd.imports.ics import _LONGEST_TEXT, _labeled, number_in


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("+1 202 555 0101", "+1 202 555 0101"),
        ("Jane Doe, (202) 555-0101", "(202) 555-0101"),
        ("Please call 202.555.0101 before 09:30 on 2027-03-01", "202.555.0101"),
        ("Room 12; 202-555-0101; born 5/1/1980", "202-555-0101"),
        ("+12025550101 or again +1 (202) 555-0101", "+12025550101"),
        ("https://example.org/j/98765432101\njane2025550199@example.org\n2025550101", "2025550101"),
        ("030/1234567 (Festnetz)", "030/1234567"),
        ("Ann, \u0662\u0660\u0662\u0665\u0665\u0665\u0660\u0661\u0660\u0661", "2025550101"),  # Arabic digits
        ("202\u200b555\u200b0101", "2025550101"),
    ],
)
def test_the_only_number_in_a_text_is_found(text: str, number: str) -> None:
    assert number_in(text) == number


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("Jane Doe, room 12", "no phone number in it"),
        ("", "no phone number in it"),
        ("202-555-0101, chart 4711234567", "more than one number in it"),
        ("202-555-0101\n202-555-0102", "more than one number in it"),
        ("2025550101 or \uff12\uff10\uff12\uff15\uff15\uff15\uff10\uff11\uff10\uff12", "more than one number in it"),
        ("Jane Doe 202-555-0101 ext. 12", "a number with an extension"),
        ("Jane Doe, 2025550101x3", "a number with an extension"),
        ("Fax: 202-555-0101", "a fax number in it"),
        ("2025550101 " * (_LONGEST_TEXT // 10), "too long to search"),
    ],
)
def test_a_text_with_no_number_or_with_several_is_refused(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake):
        number_in(text)


def test_digits_that_follow_a_number_without_a_comma_are_part_of_it() -> None:
    assert number_in("12 2025550101") == "12 2025550101"  # refused as a number later, instead of guessed at here


def test_a_label_names_the_line_that_is_meant() -> None:
    text = "Booked online\nName: Jane Doe\nPHONE : +1 202 555 0101\nNotes: phone: later"
    assert _labeled(text, "Phone") == "+1 202 555 0101"
    assert _labeled(text, "Mobile") is None


def test_a_label_may_come_twice_only_with_the_same_contents() -> None:
    assert _labeled("Phone: 1\nPhone: 1", "phone") == "1"
    with pytest.raises(ValueError, match="more than one line begins"):
        _labeled("Phone: 1\nPhone: 2", "phone")
