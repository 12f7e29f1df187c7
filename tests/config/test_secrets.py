from pathlib import Path

from reminderd.config import files_with_secrets
from tests.config.conftest import Load

GENERIC = """
[provider.generic]
api_url = "https://voice.example.com"
webhook_auth = "none"
"""
KEY = {"REMINDERD__PROVIDER__GENERIC__API_KEY": "key"}


def test_a_configuration_without_secrets_lists_no_files(load: Load, tmp_path: Path) -> None:
    (tmp_path / "config.toml").touch()
    assert files_with_secrets(load("[log]\nlevel = 'INFO'")) == []
    assert files_with_secrets(load('[api]\ntoken = ""')) == []
    assert files_with_secrets(load(GENERIC, KEY)) == []


def test_defaults_and_environment_are_not_files_with_secrets(load: Load) -> None:
    assert files_with_secrets(load(None)) == []


def test_a_secret_in_the_configuration_is_found_even_if_the_environment_replaces_it(load: Load, tmp_path: Path) -> None:
    for config in (load(f'{GENERIC}api_key = "old"'), load(f'{GENERIC}api_key = "old"', KEY)):
        assert files_with_secrets(config) == [tmp_path / "config.toml"]


def test_alert_urls_are_secrets(load: Load, tmp_path: Path) -> None:
    assert files_with_secrets(load('[alerts]\nurls = ["json://localhost"]')) == [tmp_path / "config.toml"]
    (tmp_path / "urls").write_text("json://localhost")
    assert files_with_secrets(load('[alerts]\nurls_file = "urls"')) == [tmp_path / "urls"]


def test_secrets_files_are_relative_to_the_configuration(load: Load, tmp_path: Path) -> None:
    (tmp_path / "key").write_text("key")
    (tmp_path / "token").write_text("t" * 32)
    config = load(f'{GENERIC}api_key_file = "key"\n[api]\ntoken_file = "{tmp_path}/token"')
    assert files_with_secrets(config) == [tmp_path / "key", tmp_path / "token"]
