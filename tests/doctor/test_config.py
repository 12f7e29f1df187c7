from pathlib import Path

from attrs import evolve

from reminderd.config import Config, with_provider
from reminderd.config.schema import CallingConfig, ClinicConfig, LimitsConfig
from reminderd.core.diagnosis import Mark
from reminderd.doctor import check_configuration
from reminderd.providers.twilio.settings import TwilioSettings
from tests.doctor.conftest import generic, marks_of


def test_a_careful_configuration_is_good() -> None:
    place = ClinicConfig(country="US")
    careful = evolve(
        generic(), clinic=place, calling=CallingConfig(end="18:00"), limits=LimitsConfig(answered_per_day=1)
    )
    assert marks_of(check_configuration(evolve(careful, path=Path("config.toml")))) == {"configuration": "good"}


def test_each_risk_is_a_warning_that_names_the_key_to_set() -> None:
    good, *risks = check_configuration(generic())
    assert good.mark is Mark.GOOD
    assert [risk.mark for risk in risks] == [Mark.WARNING] * 3
    assert risks[0].fix == "set [clinic].country"
    assert risks[1].text == "no calling hours are set, so patients may be called at night"
    assert risks[1].fix == "set start, end and days in [calling]"


def test_advice_on_the_script_points_to_its_document() -> None:
    section = TwilioSettings(account_sid="AC" + "0" * 32, auth_token="12345", from_number="+12025550190")
    found = check_configuration(with_provider(Config(), section))
    assert [finding.fix for finding in found if "[messages]" in finding.text] == ["see messages.md"] * 2


def test_a_missing_configuration_file_is_named_with_the_defaults() -> None:
    file = Path.cwd() / "config.toml"
    assert check_configuration(Config())[0].text == f"defaults and environment, as there is no {file}: no mistakes"
