from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config, config_warnings, load_config

Load = Callable[..., Config]

GENERIC = """
[provider.generic]
api_url = "https://voice.example"
api_key = "key"
webhook_auth = "none"
"""
LIMITED = "\n[limits]\nanswered_per_day = 1\n"
PLACE = {"REMINDERD__CLINIC__COUNTRY": "US", "REMINDERD__CALLING__TIMEZONE": "America/New_York"}
EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


@pytest.mark.parametrize("calling", ["", '[calling]\nholidays = ["12-25"]', '[calling]\ndays = ["mon", "tue"]'])
def test_a_real_provider_without_calling_hours_causes_a_warning(load: Load, calling: str) -> None:
    (warning,) = config_warnings(load(calling + LIMITED + GENERIC, PLACE))
    assert (
        warning == "no calling hours are set, so patients may be called at night; set start, end and days in [calling]"
    )


@pytest.mark.parametrize("calling", ['[calling]\nend = "21:00"', '[calling.hours]\nmon = "09:00-19:00"'])
def test_any_calling_hours_cause_no_warning(load: Load, calling: str) -> None:
    assert config_warnings(load(calling + LIMITED + GENERIC, PLACE)) == []


@pytest.mark.parametrize("key", ["answered_per_day", "answered_per_week"])
def test_a_real_provider_without_limits_causes_a_warning(load: Load, key: str) -> None:
    hours = '[calling]\nend = "21:00"\n'
    (warning,) = config_warnings(load(hours + GENERIC, PLACE))
    assert warning == "a patient with several reminders may be called several times a day; set [limits]"
    assert config_warnings(load(f"{hours}[limits]\n{key} = 2\n{GENERIC}", PLACE)) == []


def test_the_sandbox_causes_no_warning(load: Load) -> None:
    assert config_warnings(load(None)) == []


def test_the_example_with_a_real_provider_causes_no_warning(tmp_path: Path) -> None:
    environ = {
        "REMINDERD__PROVIDER__GENERIC__API_URL": "https://voice.example",
        "REMINDERD__PROVIDER__GENERIC__API_KEY": "key",
        "REMINDERD__PROVIDER__GENERIC__WEBHOOK_AUTH": "none",
    }
    config = load_config(EXAMPLE, environ, tmp_path)
    assert config.provider.kind == "generic"
    assert config_warnings(config) == []


def test_a_missing_country_causes_a_warning(load: Load) -> None:
    careful = '[calling]\nend = "21:00"\ntimezone = "US/Eastern"' + LIMITED + GENERIC
    (warning,) = config_warnings(load(careful))
    assert (
        warning
        == "no country is set, so a mistyped number may reach a phone anywhere in the world; set [clinic].country"
    )
    assert config_warnings(load(f'{careful}[clinic]\nallowed_countries = ["US"]')) == []


@pytest.mark.parametrize(
    ("country", "zone", "found"),
    [
        ("DE", "America/New_York", 1),
        ("US", "America/Puerto_Rico", 0),
        ("US", "US/Eastern", 0),
        ("GB", "Antarctica/Troll", 0),
    ],
)
def test_a_time_zone_of_another_country_causes_a_warning(load: Load, country: str, zone: str, found: int) -> None:
    place = {"REMINDERD__CLINIC__COUNTRY": country, "REMINDERD__CALLING__TIMEZONE": zone}
    warnings = config_warnings(load('[calling]\nend = "21:00"' + LIMITED + GENERIC, place))
    assert (
        warnings
        == [f"the time zone {zone} is not in {country}; correct [calling].timezone or [clinic].country"] * found
    )


@pytest.mark.parametrize(
    ("host", "found"),
    [("127.0.0.1", 0), ("127.0.0.2", 0), ("::1", 0), ("localhost", 0), ("::", 1), ("a.example", 1)],
)
def test_publicly_reachable_metrics_cause_a_warning(load: Load, host: str, found: int) -> None:
    careful = '[calling]\nend = "21:00"' + LIMITED + GENERIC
    warnings = config_warnings(load(f'{careful}[metrics]\nport = 9464\nhost = "{host}"\n', PLACE))
    assert len(warnings) == found
    assert all("[metrics].host" in sentence for sentence in warnings)
    assert config_warnings(load(f'{careful}[metrics]\nhost = "{host}"\n', PLACE)) == [], "without a port there are none"


def test_each_language_with_texts_that_could_be_better_causes_its_own_warnings(load: Load) -> None:
    config = load(
        """
        [calling]
        end = "21:00"
        timezone = "America/New_York"
        [limits]
        answered_per_day = 1
        [messages]
        clinic = "Dr. Brown"
        phone = "+1 202 555 0190"
        templates = { visit = "Please come.", bill = "Please call." }
        [messages.es]
        menu = "Pulse 1, 2 o 3."
        templates = { visit = "Venga, por favor." }
        [provider.twilio]
        account_sid = "AC00000000000000000000000000000000"
        auth_token = "token"
        from_number = "+12025550100"
        [web]
        public_base_url = "https://clinic.example"
        """,
        PLACE,
    )
    assert config_warnings(config) == [
        "[messages.es].menu does not mention key 9, which stops these calls, as the law in the USA demands",
        "[messages.es.templates] lacks bill: what is missing there is spoken in en-US",
    ]
