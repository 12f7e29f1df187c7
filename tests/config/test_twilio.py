from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config, rules_of

Load = Callable[..., Config]
Errors = Callable[..., list[str]]

SID = "AC" + "0123456789abcdef" * 2
ENVIRONMENT = {
    "TWILIO_ACCOUNT_SID": SID,
    "TWILIO_AUTH_TOKEN": "t0ken",
    "TWILIO_FROM_NUMBER": "+1 202 555-0190",
    "PUBLIC_BASE_URL": "https://clinic.example",
}


def test_an_account_sid_selects_twilio_unless_kind_is_set(load: Load) -> None:
    assert load("", ENVIRONMENT).provider.kind == "twilio"
    assert load("", ENVIRONMENT | {"VOICE_PROVIDER_API_URL": "https://v.example"}).provider.kind == "twilio"
    assert load('[provider]\nkind = "sandbox"', ENVIRONMENT).provider.kind == "sandbox"
    assert load("", ENVIRONMENT | {"TWILIO_ACCOUNT_SID": ""}).provider.kind == "sandbox"


def test_from_number_is_stored_in_international_form(load: Load) -> None:
    assert load("", ENVIRONMENT).provider.twilio.from_number == "+12025550190"


def test_twilio_starts_one_call_a_second_by_default(load: Load) -> None:
    assert load("", ENVIRONMENT).provider.calls_per_second == 1
    assert load("[provider]\ncalls_per_second = 0", ENVIRONMENT).provider.calls_per_second == 0
    assert load("", ENVIRONMENT | {"REMINDERD__PROVIDER__CALLS_PER_SECOND": "3"}).provider.calls_per_second == 3
    assert load("", {}).provider.calls_per_second == 0


def test_all_missing_keys_of_twilio_are_reported_at_once(errors: Errors) -> None:
    found = errors('[provider]\nkind = "twilio"', {})
    assert [line.split(": ")[1] for line in found] == [
        "[provider.twilio].account_sid",
        "[provider.twilio].auth_token",
        "[provider.twilio].from_number",
        "[web].public_base_url",
    ]


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("TWILIO_ACCOUNT_SID", "AC1", "is not an account SID; expected AC and 32 digits"),
        ("TWILIO_AUTH_TOKEN", "two words", "can't be sent in an HTTP header"),
        ("TWILIO_FROM_NUMBER", "0190", "without country code, and [clinic].country is not set"),
        ("PUBLIC_BASE_URL", "https://my_clinic.example", "has an underscore in its host name"),
        ("REMINDERD__PROVIDER__TWILIO__API_URL", "", "is empty; expected https://"),
        ("REMINDERD__PROVIDER__TWILIO__MACHINE_DETECTION", "enable", "did you mean Enable?"),
        ("REMINDERD__PROVIDER__TWILIO__RING_SECONDS", "601", "is too large"),
    ],
)
def test_each_error_says_what_is_expected(errors: Errors, variable: str, value: str, message: str) -> None:
    (line,) = errors("", ENVIRONMENT | {variable: value})
    assert message in line
    assert "two words" not in line


def test_tokens_may_be_in_files(load: Load, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("new-t0ken\n")
    (tmp_path / "old").write_text("old-t0ken\n")
    toml = '[provider.twilio]\nauth_token_file = "new"\nsecondary_auth_token_file = "old"'
    environ = {name: value for name, value in ENVIRONMENT.items() if name != "TWILIO_AUTH_TOKEN"}
    config = load(toml, environ)
    assert (config.provider.twilio.auth_token, config.provider.twilio.secondary_auth_token) == (
        "new-t0ken",
        "old-t0ken",
    )
    assert "t0ken" not in f"{config!r} {config}"


def test_with_another_provider_twilios_secrets_are_not_needed_or_read(load: Load) -> None:
    toml = '[provider]\nkind = "sandbox"\n[provider.twilio]\nauth_token_file = "not-there"'
    assert load(toml).provider.kind == "sandbox"


@pytest.mark.parametrize("kind", ["twilio", "sandbox"])
@pytest.mark.parametrize(("line", "is_reached"), [("", False), ("[redial]\nvoicemail_is_reached = true", True)])
def test_voicemail_is_reached_applies_to_every_provider(load: Load, kind: str, line: str, *, is_reached: bool) -> None:
    assert rules_of(load(f'[provider]\nkind = "{kind}"\n{line}', ENVIRONMENT)).voicemail_is_reached is is_reached
