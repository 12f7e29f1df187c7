import csv
import re
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reminderd.core.phone import (
    Numbering,
    digits_to_speak,
    existing_number,
    is_country,
    is_e164,
    is_spelling_of,
    may_be_incomplete,
    number_of,
    number_or_none,
    patient_number,
    shown_number,
    territories_of,
)

FILES = Path(__file__).parent / "files"
EVERYWHERE = frozenset(["US", "AR", "BR", "CG", "DE", "GB", "HU", "MX", "RU", "SM"])


def cases(name: str) -> list[tuple[str, str, str]]:
    """Return the name, the written number and the expected number of each line of a file."""
    with (FILES / name).open(encoding="utf-8", newline="") as file:
        return [(row["ref"], row["phone"], row["right"]) for row in csv.DictReader(file)]


def read(text: str, numbering: Numbering) -> str:
    try:
        return patient_number(text, numbering)
    except ValueError as error:
        return f"refused: {error}"


@pytest.mark.parametrize(("name", "text", "right"), cases("phones.csv"))
def test_a_spelling_is_read_only_if_it_is_unambiguous(name: str, text: str, right: str) -> None:
    found = read(text, Numbering(country="US", allowed=EVERYWHERE))
    either_way = right.removeprefix("refused or ")
    assert found in {right, either_way} or (found.startswith("refused: ") and right.startswith("refused")), name


@pytest.mark.parametrize(("name", "text", "right"), cases("plus-before-national.csv"))
def test_a_plus_before_a_national_number_does_not_call_abroad(name: str, text: str, right: str) -> None:
    found = read(text, Numbering(country="US", own=frozenset({"+12025550190"})))
    assert found.startswith("refused: "), (name, right)
    assert text not in found


@pytest.mark.parametrize(
    ("country", "text", "number"),
    [
        ("", "+4930123456", "+4930123456"),
        ("", " +49 30 123-456 ", "+4930123456"),
        ("", "+39 06 698 12345", "+390669812345"),
        ("", "+39 (0)6 698 12345", "+390669812345"),
        ("", "0012025550147", "+12025550147"),
        ("", "(+1) 202 555 0147", "+12025550147"),
        ("", "'+12025550147", "+12025550147"),
        ("", "＋１２０２５５５０１４７", "+12025550147"),  # noqa: RUF001 - full-width, as East Asian keyboards have it
        ("US", "(202) 555-0147", "+12025550147"),
        ("US", "202/555-0147", "+12025550147"),
        ("US", "1 202 555 0147", "+12025550147"),
        ("US", "011 49 30 123456", "+4930123456"),
        ("US", "787 555 0100", "+17875550100"),
        ("DE", "030 123456", "+4930123456"),
        ("DE", "030/123456", "+4930123456"),
        ("DE", "+49 30/123456", "+4930123456"),
        ("DE", "+49 (0)30 / 123456-78", "+493012345678"),
        ("DE", "089 1234 5678 90", "+49891234567890"),
        ("DE", "0049 30 123456", "+4930123456"),
        ("GB", "020 7946 0123", "+442079460123"),
        ("GB", "01481 720 071", "+441481720071"),
        ("FR", "01 99 00 00 01", "+33199000001"),
        ("FR", "33199000001", "+33199000001"),
        ("FR", "0262 12 34 56", "+262262123456"),
        ("ES", "912 345 678", "+34912345678"),
        ("HU", "06 20 123 4567", "+36201234567"),
        ("AU", "0011 1 202 555 0147", "+12025550147"),
    ],
)
def test_a_number_is_read_as_it_is_dialed_in_the_clinics_country(country: str, text: str, number: str) -> None:
    assert number_of(text, country) == number


@pytest.mark.parametrize(
    ("country", "text", "says"),
    [
        ("", "", "empty"),
        ("", " \ufeff ", "empty"),
        ("", "2025550147", "without country code, and [clinic].country is not set"),
        ("", "+0301234567", "no such number can exist"),
        ("", "+49", "no such number can exist"),
        ("", "+1555", "no such number can exist"),
        ("", "+123456789012345678", "no such number can exist"),
        ("", "+999123456789", "no such number can exist"),
        ("", "tel:+4930123456", "has letters in it"),
        ("", "+49 30 12345x", "has letters in it"),
        ("", "1-800-FLOWERS", "has letters in it"),
        ("", "+49\x0030123456", "not a phone number"),
        ("", "+12025550147²", "not a phone number"),
        ("", "-12025550147", "not a phone number"),
        ("", "12+025550147", "not a phone number"),
        ("", "+4930123456;drop", "more than one number"),
        ("", "+1 202 555 0147 / +1 202 555 0148", "more than one number"),
        ("", "+12025550147, +12025550148", "more than one number"),
        ("DE", "030 123456/7", "more than one number"),
        ("DE", "040 12345\n040 67890", "more than one number"),
        ("DE", "040 12345 040 67890", "more than one number"),
        ("DE", "040-12345 - 040-67890", "more than one number"),
        ("DE", "(040) 12345 (040) 67890", "more than one number"),
        ("DE", "040/12345 040 67890", "more than one number"),
        ("DE", "+49 40 12345 040 67890", "more than one number"),
        ("AT", "01 58858 01 58859", "more than one number"),
        ("US", "202 555 0147 202 555 0148", "more than one number"),
        ("US", "2025550147/2025550148", "more than one number"),
        ("US", "+1 202-555-0147x12", "has an extension"),
        ("US", "+1 202 555 0147 (fax)", ""),
        ("US", "+1 202 555 0147 (wrong)", ""),
        ("US", "1.20256E+10", "rounded by a spreadsheet"),
        ("DE", "4,93012E+10", "rounded by a spreadsheet"),
        ("DE", "030123456.0", "a spreadsheet's number with decimals"),
        ("US", "555-0147", "not a number as it is dialed in United States (US)"),
        ("US", "911", "not a number as it is dialed in United States (US)"),
        ("DE", "30123456", "not a number as it is dialed in Germany (DE)"),
        ("DE", "49301234", "not a number as it is dialed in Germany (DE)"),
        ("DE", "4930123456", "not a number as it is dialed in Germany (DE)"),
        ("FR", "199000001", "not a number as it is dialed in France (FR)"),
        ("US", "1" * 400, "not a number as it is dialed in United States (US)"),
        ("US", "00", "not a number as it is dialed in United States (US)"),
    ],
)
def test_an_invalid_or_ambiguous_number_is_refused_with_its_reason(country: str, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}.*expected"):
        number_of(text, country)
    assert number_or_none(text, country) is None


@pytest.mark.parametrize(
    ("country", "text"),
    [
        ("SG", "0014795069325"),  # 001 is a prefix for calls abroad there: Norway, or the United States behind 00
        ("FR", "0263054654"),  # in France itself, or on Réunion
    ],
)
def test_ambiguous_digits_are_refused(country: str, text: str) -> None:
    with pytest.raises(ValueError, match="may be 2 different numbers"):
        number_of(text, country)


@pytest.mark.parametrize("text", ["+12025550147", "+18005551212", "+4930123456", "+18765550147", "+80012345678"])
def test_without_a_country_every_valid_number_is_allowed(text: str) -> None:
    assert patient_number(text, Numbering()) == text


@pytest.mark.parametrize(
    ("numbering", "text", "says"),
    [
        (Numbering(), "+15550100001", "no such number can exist"),
        (Numbering(), "+19005550147", "a premium-rate number"),
        (Numbering(), "+491371234567", "a premium-rate number"),
        (
            Numbering(country="US"),
            "+18765550147",
            (
                "a number of Jamaica (JM), and the clinic's own country is US; expected a number of that country, or "
                '[clinic].allowed_countries = ["US", "JM"]'
            ),
        ),
        (Numbering(country="US"), "+4930123456", "a number of Germany (DE)"),
        (Numbering(country="US"), "+80012345678", "a number of no country"),
        (
            Numbering(country="DE", allowed=frozenset({"DE", "AT"})),
            "+12025550147",
            (
                "a number of United States (US), and [clinic].allowed_countries has AT, DE only; "
                "expected a number of one of these countries, or US added to that list"
            ),
        ),
        (
            Numbering(country="US", allowed=frozenset({"US"})),
            "+80012345678",
            (
                "a number of no country, and [clinic].allowed_countries has US only; "
                "expected a number of one of these countries"
            ),
        ),
        (Numbering(own=frozenset({"+12025550147"})), "1 202 555 0147", "without country code"),
        (Numbering(own=frozenset({"+12025550147"})), "+1 202 555 0147", "the clinic's own number"),
    ],
)
def test_a_number_that_cannot_be_a_patients_is_refused(numbering: Numbering, text: str, says: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(says)}"):
        patient_number(text, numbering)


def test_territories_with_the_countrys_numbering_may_be_called() -> None:
    assert patient_number("+17875550100", Numbering(country="US")) == "+17875550100"
    assert patient_number("+262262123456", Numbering(country="FR")) == "+262262123456"
    assert patient_number("+441481720071", Numbering(allowed=frozenset({"GB", "DE"}))) == "+441481720071"
    assert territories_of("DE") == {"DE"}


def test_an_existing_number_may_be_premium_or_foreign() -> None:
    assert existing_number("+1 900 555 0147", "DE") == "+19005550147"
    with pytest.raises(ValueError, match="no such number can exist"):
        existing_number("+15550100001", "")
    assert number_of("+15550100001", "") == "+15550100001"


@pytest.mark.parametrize(("code", "known"), [("US", True), ("XK", True), ("UK", False), ("", False), ("001", False)])
def test_a_country_is_named_by_its_code(code: str, known: bool) -> None:
    assert is_country(code) is known


@pytest.mark.parametrize(
    ("text", "stored"), [("+12025550147", True), ("12025550147", False), ("+1 202 555 0147", False), ("+49301", False)]
)
def test_a_number_is_stored_with_plus_and_digits_only(text: str, stored: bool) -> None:
    assert is_e164(text) is stored


@pytest.mark.parametrize(
    ("number", "may"),
    [("+12025550147", False), ("+4930123456", True), ("+33612345678", False), ("+390612345678", True)],
)
def test_a_number_may_be_incomplete_if_its_country_has_longer_numbers(number: str, may: bool) -> None:
    assert may_be_incomplete(number) is may


def test_a_number_is_spoken_as_it_is_dialed_in_its_country() -> None:
    assert digits_to_speak("+12025550190") == "2 0 2, 5 5 5, 0 1 9 0"


@example("+49000000", "")
@example("0014795069325", "SG")
@given(
    st.text() | st.from_regex(r"[+]?[0-9 ()/-]{4,20}", fullmatch=True), st.sampled_from(["", "US", "DE", "FR", "AU"])
)
def test_a_normalized_number_is_its_own_normal_form(text: str, country: str) -> None:
    number = number_or_none(text, country)
    assert number is None or number_or_none(number, country) == number


@pytest.mark.parametrize(
    ("number", "country", "shown"),
    [
        ("+12025550190", "US", "(202) 555-0190"),
        ("+493012345678", "US", "+49 30 12345678"),
        ("+493012345678", "DE", "030 12345678"),
        ("+12025550190", "", "+1 202-555-0190"),
        ("", "US", ""),
        ("(erased)", "US", "(erased)"),
    ],
)
def test_a_number_is_shown_as_it_is_dialed_in_the_country(number: str, country: str, shown: str) -> None:
    assert shown_number(number, country) == shown


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
    assert is_spelling_of(text, BERLIN)
    assert not is_spelling_of(text, NEW_YORK)


@pytest.mark.parametrize("text", ["1 212 555 0194", "(212) 555-0194", "212.555.0194", "+1-212-555-0194", "2125550194"])
def test_every_spelling_is_read_in_a_country_that_writes_its_own_prefix(text: str) -> None:
    assert is_spelling_of(text, NEW_YORK)
    assert not is_spelling_of(text, BERLIN)


@pytest.mark.parametrize("text", ["", "+", "none", "030 123457", "+49 30 123457", "123456", "+43 30 123456", "9" * 40])
def test_a_spelling_of_another_or_no_number_does_not_match(text: str) -> None:
    assert not is_spelling_of(text, BERLIN)
