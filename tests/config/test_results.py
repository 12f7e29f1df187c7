from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_without_a_url_nothing_is_sent(load: Callable[..., Config]) -> None:
    assert load("").results.url == ""


@pytest.mark.parametrize(
    "url", ["https://practice.example/answers", "http://127.0.0.1:8080", "http://localhost/x", "http://[::1]:80/"]
)
def test_answers_go_to_https_or_to_this_machine(load: Callable[..., Config], url: str) -> None:
    assert load(f'[results]\nurl = "{url}"\nsecret = "{SECRET}"').results.url == url


def test_the_secret_may_be_in_a_file_and_is_never_printed(load: Callable[..., Config], tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"{SECRET}\n")
    config = load('[results]\nurl = "https://practice.example"\nsecret_file = "secret"')
    assert config.results.secret == SECRET
    assert SECRET not in f"{config!r} {config}"


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        (f'url = "http://practice.example"\nsecret = "{SECRET}"', "url: is http:// to another machine; expected https"),
        (f'url = "http://10.0.0.7"\nsecret = "{SECRET}"', "url: is http:// to another machine"),
        (f'url = "https://a:b@practice.example"\nsecret = "{SECRET}"', "url: contains credentials"),
        ('url = "https://practice.example"', "secret: is missing; expected the secret, or its file in secret_file"),
        (f'secret = "{SECRET.removeprefix("whsec_")}"', "secret: does not begin with whsec_; expected whsec_ and"),
        ('secret = "whsec_short"', "secret: is incomplete base64; expected whsec_ and"),
        ('profile = "practice"', "profile: is not in [import.profiles]; expected it there"),
        ("every_minutes = 1441", "every_minutes: is too large; expected a whole number from 0 to 1440"),
        ('format = "pdf"', "format: is"),
        ('secret = "whsec_?"', "secret: is not base64; expected whsec_ and"),
    ],
)
def test_each_error_is_reported_without_the_secret(errors: Callable[..., list[str]], toml: str, message: str) -> None:
    (line,) = errors(f"[results]\n{toml}")
    assert f"[results].{message}" in line
    assert "MfKQ" not in line


def test_the_folder_is_relative_to_the_configuration_file(load: Callable[..., Config], tmp_path: Path) -> None:
    assert load("").results.path is None
    config = load('[results]\nfolder = "answers"\nprofile = "practice"\n[import.profiles.practice]\nfiles = "*.csv"')
    assert (config.results.path, config.results.every_minutes, config.results.format) == (
        tmp_path / "answers",
        0,
        "csv",
    )
