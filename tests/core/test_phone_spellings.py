import pytest

from reminderd.core.phone import spells

BERLIN = "+4930123456"
NEW_YORK = "+12125550194"


@pytest.mark.parametrize(
    "text",
    [
        BERLIN,
        " +49 30 12-34.56",
        "+49 (0)30 123456",
        "0049 30 123456",
        "011 49 30 123456",
        "4930123456",
        "030 123456",
        "(030) 12 34 56",
        "030/123456",
        "30 123456",
        "+49\u00a030\u200b123\u00ad456",
        "tel: 030 123456",
        "030123456.0",
        "4930123456.0",
        "030 123456 x3",
        "+49 30 123456 ext. 12",
        "030 123456 Durchwahl 12",
        "\uff0b49 30 123456",
        "".join(chr(0xFF10 + int(digit)) for digit in "4930123456"),
    ],
)
def test_every_spelling_of_a_number_is_read_as_that_number(text: str) -> None:
    assert spells(text, BERLIN)
    assert not spells(text, NEW_YORK)


@pytest.mark.parametrize("text", ["1 212 555 0194", "(212) 555-0194", "212.555.0194", "+1-212-555-0194", "2125550194"])
def test_every_spelling_is_read_in_a_country_that_writes_its_own_prefix(text: str) -> None:
    assert spells(text, NEW_YORK)
    assert not spells(text, BERLIN)


@pytest.mark.parametrize("text", ["", "+", "none", "030 123457", "+49 30 123457", "123456", "+43 30 123456", "9" * 40])
def test_a_spelling_of_another_or_no_number_does_not_match(text: str) -> None:
    assert not spells(text, BERLIN)
