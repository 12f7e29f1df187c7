from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config, load_config

Load = Callable[..., Config]
Errors = Callable[..., list[str]]


def test_the_environment_overrides_the_file_and_our_names_override_legacy_names(load: Load) -> None:
    toml = "[web]\nport = 1\n[worker]\npoll_interval_seconds = 1"
    assert load(toml).web.port == 1
    assert load(toml, {"WEBHOOK_PORT": "2"}).web.port == 2
    assert load(toml, {"WEBHOOK_PORT": "2", "REMINDERD__WEB__PORT": "3"}).web.port == 3


def test_every_legacy_name_is_read(load: Load, tmp_path: Path) -> None:
    config = load(
        None,
        {
            "DATABASE_URL": "sqlite:///legacy.db",
            "WORKER_POLL_INTERVAL_SECONDS": "2.5",
            "WEBHOOK_PORT": "5000",
            "VOICE_PROVIDER_API_URL": "https://voice.example/v1/",
            "VOICE_PROVIDER_API_KEY": "key",
            "PUBLIC_BASE_URL": "https://clinic.example/",
            "REMINDERD__PROVIDER__GENERIC__WEBHOOK_AUTH": "none",
        },
    )
    assert config.database.path == tmp_path / "legacy.db"
    assert config.worker.poll_interval_seconds == 2.5
    assert config.web.port == 5000
    assert config.web.public_base_url == "https://clinic.example"
    assert config.provider.kind == "generic"
    assert config.provider.generic.api_url == "https://voice.example/v1"
    assert config.provider.generic.api_key == "key"


def test_an_empty_legacy_name_counts_as_unset(load: Load) -> None:
    assert load("[web]\nport = 1", {"WEBHOOK_PORT": "", "REMINDERD_CONFIG": ""}).web.port == 1


def test_a_variable_is_converted_to_the_type_of_its_key(load: Load) -> None:
    config = load(
        None,
        {
            "REMINDERD__WORKER__DIALERS": " 9 ",
            "REMINDERD__provider__Timeout_Seconds": "0.5",
            "REMINDERD__PROVIDER__GENERIC__LOOK_UP": "True",
            "REMINDERD__CALLING__DAYS": "mon, tue",
            "REMINDERD__CALLING__TIMEZONE": "US/Eastern",
            "REMINDERD__WORKER__WHEN_UNSURE": "call_again",
        },
    )
    assert config.worker.dialers == 9
    assert config.provider.timeout_seconds == 0.5
    assert config.provider.generic.look_up is True
    assert config.calling.days == ("mon", "tue")
    assert config.worker.when_unsure == "call_again"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("WORKER__DIALERS", "8.0", "a whole number from 1 to 1000"),
        ("WORKER__DIALERS", "", "a whole number from 1 to 1000"),
        ("WORKER__DIALERS", "1_0", "a whole number from 1 to 1000"),
        ("WORKER__DIALERS", "9" * 5000, "a whole number from 1 to 1000"),
        ("PROVIDER__TIMEOUT_SECONDS", "1_0", "a number above 0 and up to 600"),
        ("PROVIDER__TIMEOUT_SECONDS", "\uff11.5", "a number above 0 and up to 600"),
        ("PROVIDER__TIMEOUT_SECONDS", "soon", "a number above 0 and up to 600"),
        ("PROVIDER__TIMEOUT_SECONDS", "nan", "a number above 0 and up to 600"),
        ("PROVIDER__CALLS_PER_SECOND", "inf", "a number from 0 to 1000"),
        ("PROVIDER__GENERIC__LOOK_UP", "yes", "true or false"),
        ("CALLING__DAYS", "mon,fry", 'a list of some of "mon"'),
        ("CALLING__DAYS", "", 'a list of some of "mon"'),
    ],
)
def test_a_variable_that_does_not_convert_to_its_keys_type_is_an_error(
    errors: Errors, name: str, text: str, expected: str
) -> None:
    (line,) = errors(None, {f"REMINDERD__{name}": text})
    assert line.startswith(f"environment REMINDERD__{name}: ")
    assert f"; expected {expected}" in line
    assert len(line) < 300


def test_a_variable_that_names_no_key_is_an_error_with_a_suggestion(errors: Errors) -> None:
    (line,) = errors(None, {"REMINDERD__WORKER__DIALRS": "1"})
    assert line == (
        "environment REMINDERD__WORKER__DIALRS: unknown variable (did you mean REMINDERD__WORKER__DIALERS?);"
        " expected REMINDERD__SECTION__KEY"
    )


def test_a_variable_with_the_wrong_section_is_an_error_with_a_suggestion(errors: Errors) -> None:
    (line,) = errors(None, {"REMINDERD__PROVIDER__TWILIO__VOICEMAIL_IS_REACHED": "true"})
    assert "unknown variable (did you mean REMINDERD__REDIAL__VOICEMAIL_IS_REACHED?)" in line


def test_a_key_that_two_variables_set_is_an_error(errors: Errors) -> None:
    (line,) = errors(None, {"REMINDERD__WEB__PORT": "1", "REMINDERD__web__port": "2"})
    assert "is set twice, also as REMINDERD__WEB__PORT" in line


def test_an_error_names_the_variable_that_sets_the_key(errors: Errors) -> None:
    assert errors("[web]\nport = 1", {"WEBHOOK_PORT": "x"})[0].startswith("environment WEBHOOK_PORT: is not valid")


def test_without_a_file_a_missing_key_is_reported_as_its_variable(tmp_path: Path, errors: Errors) -> None:
    found = errors(None, {"VOICE_PROVIDER_API_URL": "https://voice.example"})
    assert [line.partition(": ")[0] for line in found] == [
        "environment REMINDERD__PROVIDER__GENERIC__API_KEY",
        "environment REMINDERD__PROVIDER__GENERIC__WEBHOOK_SECRET",
    ]
    assert load_config(None, {"UNRELATED": "x"}, tmp_path).path is None
