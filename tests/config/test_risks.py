from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config, load_config, risks

Load = Callable[..., Config]

GENERIC = """
[provider.generic]
api_url = "https://voice.example"
api_key = "key"
webhook_auth = "none"
"""
LIMITED = "\n[limits]\nanswered_per_day = 1\n"
EXAMPLE = Path(__file__).parents[2] / "config.example.toml"


@pytest.mark.parametrize("calling", ["", '[calling]\nholidays = ["12-25"]', '[calling]\ndays = ["mon", "tue"]'])
def test_a_real_provider_and_no_calling_hours_are_a_risk(load: Load, calling: str) -> None:
    (risk,) = risks(load(calling + LIMITED + GENERIC))
    assert risk == "no calling hours are set, so patients may be called at night; set [calling]"


@pytest.mark.parametrize("calling", ['[calling]\nend = "21:00"', '[calling.hours]\nmon = "09:00-19:00"'])
def test_calling_hours_of_any_kind_are_the_clinics_own_decision(load: Load, calling: str) -> None:
    assert risks(load(calling + LIMITED + GENERIC)) == []


@pytest.mark.parametrize("key", ["answered_per_day", "answered_per_week"])
def test_a_real_provider_without_any_limit_is_a_risk(load: Load, key: str) -> None:
    hours = '[calling]\nend = "21:00"\n'
    (risk,) = risks(load(hours + GENERIC))
    assert risk == "a patient with several reminders may be called several times a day; set [limits]"
    assert risks(load(f"{hours}[limits]\n{key} = 2\n{GENERIC}")) == []


def test_the_sandbox_rings_nobody_at_night(load: Load) -> None:
    assert risks(load(None)) == []


def test_the_example_with_a_real_provider_leaves_no_risk(tmp_path: Path) -> None:
    environ = {
        "REMINDERD__PROVIDER__GENERIC__API_URL": "https://voice.example",
        "REMINDERD__PROVIDER__GENERIC__API_KEY": "key",
        "REMINDERD__PROVIDER__GENERIC__WEBHOOK_AUTH": "none",
    }
    config = load_config(EXAMPLE, environ, tmp_path)
    assert config.provider.kind == "generic"
    assert risks(config) == []


@pytest.mark.parametrize(
    ("host", "found"),
    [("127.0.0.1", 0), ("127.0.0.2", 0), ("::1", 0), ("localhost", 0), ("::", 1), ("a.example", 1)],
)
def test_metrics_that_others_may_reach_are_a_risk(load: Load, host: str, found: int) -> None:
    careful = '[calling]\nend = "21:00"' + LIMITED + GENERIC
    said = risks(load(f'{careful}[metrics]\nport = 9464\nhost = "{host}"\n'))
    assert len(said) == found
    assert all("[metrics].host" in sentence for sentence in said)
    assert risks(load(f'{careful}[metrics]\nhost = "{host}"\n')) == [], "without a port there are none"
