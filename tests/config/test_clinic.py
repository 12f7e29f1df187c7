from collections.abc import Callable
from typing import Any

import pytest

from reminderd.config import Config, numbering_of
from reminderd.config.schema import ClinicConfig
from reminderd.core.phone import Numbering, patient_number

Load = Callable[..., Config]
Errors = Callable[..., list[str]]


def test_a_country_is_read_in_any_case(load: Load) -> None:
    assert load(None, {"REMINDERD__CLINIC__COUNTRY": "de"}).clinic.country == "DE"
    config = load('[clinic]\ncountry = "us"\nallowed_countries = ["ca", "US"]')
    assert config.clinic == ClinicConfig(country="US", allowed_countries=("CA", "US"))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('country = "UK"', "[clinic].country: is not a country code (did you mean GB?); expected a two-letter"),
        ('country = "Germany"', "is not a country code (did you mean DE?)"),
        ('country = "XX"', "is not a country code; expected"),
        ('country = "001"', "is not a country code; expected"),
        ("country = 1", "is a whole number; expected a two-letter country code"),
        (
            'allowed_countries = ["DE", "USA"]',
            "entry 2 is not a country code (did you mean US?); expected a list",
        ),
        ('allowed_countries = [""]', "entry 1 is not a country code; expected a list"),
        (
            'country = "US"\nallowed_countries = ["CA"]',
            "[clinic].allowed_countries: does not include US, the clinic's own country",
        ),
    ],
)
def test_anything_but_a_country_code_is_an_error(errors: Errors, line: str, message: str) -> None:
    (found,) = errors(f"[clinic]\n{line}")
    assert message in found


def test_allowed_countries_may_name_a_country_that_shares_the_clinics_numbering(load: Load) -> None:
    assert load('[clinic]\ncountry = "JE"\nallowed_countries = ["GB"]').clinic.country == "JE"


def test_the_clinics_own_numbers_are_read_as_they_are_dialed_in_its_country(load: Load) -> None:
    config = load(
        '[clinic]\ncountry = "US"\n[messages]\nphone = "(202) 555-0190"',
        {"TWILIO_FROM_NUMBER": "202 555 0191"},
    )
    assert config.messages.phone == "+12025550190"
    assert config.provider.twilio.from_number == "+12025550191"
    numbering = numbering_of(config)
    assert numbering == Numbering(country="US", own=frozenset({"+12025550190", "+12025550191"}))
    with pytest.raises(ValueError, match="the clinic's own number"):
        patient_number("+1 202 555 0190", numbering)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (
            '[messages]\nphone = "202 555 0190"',
            "[messages].phone: without country code, and [clinic].country is not set",
        ),
        ('[messages]\nphone = "+1 555 010 0190"', "[messages].phone: no such number can exist"),
        ('[messages]\nphone = "+1 202 555 0190 ext. 3"', "[messages].phone: has an extension"),
        (
            '[clinic]\ncountry = "DE"\n[messages]\nphone = "(202) 555-0190"',
            "[messages].phone: not a number as it is dialed",
        ),
        ('[provider.twilio]\nfrom_number = "202 555 0190"', "[provider.twilio].from_number: without country code"),
    ],
)
def test_an_impossible_number_of_the_clinic_is_an_error(errors: Errors, toml: str, message: str) -> None:
    (found,) = [line for line in errors(toml) if "number" in line]
    assert message in found


def test_an_invalid_country_is_not_also_reported_for_national_numbers(errors: Errors) -> None:
    (found,) = errors('[clinic]\ncountry = "UK"\n[messages]\nphone = "020 7946 0123"')
    assert "[clinic].country" in found


def test_the_legacy_variables_alone_set_no_country(load: Load) -> None:
    environ: dict[str, Any] = {
        "VOICE_PROVIDER_API_URL": "https://voice.example/v1/",
        "VOICE_PROVIDER_API_KEY": "key",
        "REMINDERD__PROVIDER__GENERIC__WEBHOOK_AUTH": "none",
    }
    assert numbering_of(load(None, environ)) == Numbering()
