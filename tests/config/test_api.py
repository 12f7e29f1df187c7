from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config

TOKEN = "0123456789abcdef" * 2


def test_without_a_token_the_api_is_off(load: Callable[..., Config]) -> None:
    assert load("").api.token == ""


def test_the_token_may_be_in_a_file_and_is_never_printed(load: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    config = load('[api]\ntoken_file = "token"')
    assert config.api.token == TOKEN
    assert TOKEN not in f"{config!r} {config}"
    assert load("", {"REMINDERD__API__TOKEN": TOKEN}).api.token == TOKEN


@pytest.mark.parametrize(
    ("token", "message"),
    [("secret", "is too short; expected at least 32"), ("a b" * 20, "can't be sent in an HTTP header")],
)
def test_a_token_that_is_short_or_not_valid_in_a_header_is_an_error(
    errors: Callable[..., list[str]], token: str, message: str
) -> None:
    (line,) = errors(f'[api]\ntoken = "{token}"')
    assert line.startswith("config.toml: [api].token: ")
    assert message in line
    assert token not in line
