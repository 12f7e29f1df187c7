from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config

URL = "mailtos://anna:pa55word@mail.example"


def test_without_a_url_alerts_are_off(load: Callable[..., Config]) -> None:
    assert load("").alerts.urls == ()


def test_alert_urls_may_be_in_a_file_and_are_never_printed(load: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "urls").write_text(f"{URL}\n\njsons://hook.example/path\n")
    config = load('[alerts]\nurls_file = "$CREDENTIALS_DIRECTORY/urls"', {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.alerts.urls == (URL, "jsons://hook.example/path")
    config = load('[alerts]\nurls_file = "urls"')
    assert config.alerts.urls == (URL, "jsons://hook.example/path")
    assert "pa55word" not in f"{config!r} {config}"


def test_alert_urls_of_the_environment_replace_the_configured_file(load: Callable[..., Config]) -> None:
    assert load('[alerts]\nurls_file = "missing"', {"REMINDERD__ALERTS__URLS": URL}).alerts.urls == (URL,)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (f'[alerts]\nurls = ["{URL}", "nonsense"]', "[alerts].urls: entry 2 is not a URL that Apprise knows"),
        (f'[alerts]\nurls = ["{URL}"]\nurls_file = "urls"', "urls_file: is set in addition to urls"),
        ('[alerts]\nurls_file = "bad"', "urls_file: entry 1 is not a URL that Apprise knows; expected Apprise URLs"),
        ('[alerts]\nurls_file = "missing"', "can't be read"),
    ],
)
def test_each_error_is_reported_without_a_url(
    errors: Callable[..., list[str]], tmp_path: Path, toml: str, message: str
) -> None:
    (tmp_path / "bad").write_text("pa55word")
    (line,) = errors(toml)
    assert message in line
    assert "pa55word" not in line
