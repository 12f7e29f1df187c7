from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config

URL = "mailtos://anna:pa55word@mail.example"


def test_nobody_is_told_unless_somebody_is_named(load: Callable[..., Config]) -> None:
    assert load("").alerts.urls == ()


def test_urls_may_lie_in_a_file_and_are_never_shown(load: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "urls").write_text(f"{URL}\n\njsons://hook.example/path\n")
    config = load('[alerts]\nurls_file = "$CREDENTIALS_DIRECTORY/urls"', {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.alerts.urls == (URL, "jsons://hook.example/path")
    config = load('[alerts]\nurls_file = "urls"')
    assert config.alerts.urls == (URL, "jsons://hook.example/path")
    assert "pa55word" not in f"{config!r} {config}"


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        (f'[alerts]\nurls = ["{URL}", "nonsense"]', "[alerts].urls: entry 2 is not a URL that Apprise knows"),
        (f'[alerts]\nurls = ["{URL}"]\nurls_file = "urls"', "urls_file: is set in addition to urls"),
        ('[alerts]\nurls_file = "bad"', "urls_file: entry 1 is not a URL that Apprise knows; expected Apprise URLs"),
        ('[alerts]\nurls_file = "gone"', "can't be read"),
    ],
)
def test_each_mistake_is_told_and_no_url(
    mistakes: Callable[..., list[str]], tmp_path: Path, toml: str, words: str
) -> None:
    (tmp_path / "bad").write_text("pa55word")
    (line,) = mistakes(toml)
    assert words in line
    assert "pa55word" not in line
