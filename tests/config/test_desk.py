from collections.abc import Callable
from importlib import resources

import pytest

from reminderd.config import Config, config_warnings
from reminderd.config.installation import LANGUAGES
from reminderd.config.load import reload_changes

Load = Callable[..., Config]
Errors = Callable[..., list[str]]

CAREFUL = """
[clinic]
country = "US"
[calling]
timezone = "America/New_York"
end = "21:00"
[limits]
answered_per_day = 1
[web]
trusted_proxies = ["127.0.0.1"]
[provider.generic]
api_url = "https://provider.example"
api_key = "key"
webhook_secret = "whsec_YSBzZWNyZXQgb2YgMzIgYnl0ZXMsIGZvciBhIGRlbW8="
"""


def test_without_a_port_there_are_no_pages(load: Load) -> None:
    desk = load("").desk
    assert (desk.host, desk.port, desk.language, desk.idle_minutes) == ("127.0.0.1", 0, "en", 30)


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ("port = 65536", "port"),
        ('host = ""', "host"),
        ('language = "klingon"', "language"),
        ("idle_minutes = 0", "idle_minutes"),
        ("idle_minutes = 721", "idle_minutes"),
    ],
)
def test_what_the_pages_can_not_use_is_an_error(errors: Errors, toml: str, place: str) -> None:
    (line,) = errors(f"[desk]\n{toml}")
    assert line.startswith(f"config.toml: [desk].{place}: ")
    assert "; expected " in line


@pytest.mark.parametrize(
    ("toml", "other"),
    [
        ("[desk]\nport = 4000", "[web].port, which the internet may reach"),
        ("[metrics]\nport = 9464\n[desk]\nport = 9464", "[metrics].port"),
    ],
)
def test_the_pages_have_a_port_of_their_own(errors: Errors, toml: str, other: str) -> None:
    (line,) = errors(toml)
    assert line == (f"config.toml: [desk].port: is the same as {other}; expected a port of its own, or 0 for no pages")


@pytest.mark.parametrize(("host", "found"), [("127.0.0.1", 0), ("::1", 0), ("::", 1), ("a.example", 1)])
def test_pages_that_other_machines_reach_cause_a_warning(load: Load, host: str, found: int) -> None:
    warnings = config_warnings(load(f'{CAREFUL}[desk]\nport = 4080\nhost = "{host}"\n'))
    assert len(warnings) == found
    assert all("[desk].host" in sentence for sentence in warnings)
    assert config_warnings(load(f'{CAREFUL}[desk]\nhost = "{host}"\n')) == [], "without a port there are none"


def test_pages_without_a_trusted_proxy_cause_a_warning(load: Load) -> None:
    direct = CAREFUL.replace('["127.0.0.1"]', "[]")
    (sentence,) = config_warnings(load(f"{direct}[desk]\nport = 4080\n"))
    assert sentence.endswith("; set [web].trusted_proxies to the address of the proxy in front of [desk]")
    assert config_warnings(load(direct)) == [], "without a port there are no pages"


def test_a_reload_changes_the_language_and_keeps_the_port(load: Load) -> None:
    found = reload_changes(load("[desk]\nport = 4080"), load('[desk]\nport = 4081\nlanguage = "de"\nidle_minutes = 5'))
    assert found.at_once == (("desk", "language"), ("desk", "idle_minutes"))
    assert found.later == (("desk", "port"),)


def test_every_language_has_a_file_but_the_one_that_the_texts_are_written_in() -> None:
    files = (resources.files("reminderd.desk") / "languages").iterdir()
    assert {file.name for file in files if file.name.endswith(".po")} == {f"{one}.po" for one in LANGUAGES[1:]}
