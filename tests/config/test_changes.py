import re
from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config, reload_changes, shown_key
from reminderd.config.coercion import all_keys, secret_keys
from reminderd.config.load import _RELOADABLE, _reloadable
from reminderd.keys import file_of
from tests.config.test_example import EXAMPLE

Load = Callable[..., Config]

GENERIC = """
[provider]
kind = "generic"
[provider.generic]
api_url = "https://voice.example/v1"
api_key = "one-key"
webhook_auth = "bearer"
webhook_secret = "a-token-of-sixteen"
"""
TWILIO = f"""
[web]
public_base_url = "https://clinic.example"
[provider.twilio]
account_sid = "AC{"0" * 32}"
auth_token = "one-token"
from_number = "+12025550190"
"""


def keys(*paths: tuple[str, ...]) -> list[str]:
    return [shown_key(path) for path in paths]


def test_reloadable_keys_change_at_once_and_the_others_keep_their_values(load: Load) -> None:
    running = load(f'{GENERIC}[calling]\ntimezone = "America/New_York"\nstart = "08:00"\n[web]\nport = 1\n')
    wanted = load(
        f'{GENERIC}[calling]\ntimezone = "America/New_York"\nstart = "09:00"\n'
        'hours.mon = "closed"\n[web]\nport = 2\n[log]\nformat = "json"\n'
    )
    found = reload_changes(running, wanted)
    assert keys(*found.at_once) == ["[calling].start", "[calling.hours].mon"]
    assert keys(*found.later) == ["[web].port", "[log].format"]
    assert found.config.calling == wanted.calling
    assert (found.config.web.port, found.config.log.format) == (1, "text")
    assert keys(*reload_changes(found.config, wanted).later) == ["[web].port", "[log].format"], (
        "they are named until a restart"
    )


def test_a_configuration_has_no_changes_to_itself(load: Load) -> None:
    found = reload_changes(load(GENERIC), load(GENERIC))
    assert (found.at_once, found.later, found.config) == ((), (), load(GENERIC))


def test_a_secret_changes_when_its_file_changes(load: Load, tmp_path: Path) -> None:
    toml = GENERIC.replace('api_key = "one-key"', 'api_key_file = "key"')
    (tmp_path / "key").write_text("one-key")
    running = load(toml)
    (tmp_path / "key").write_text("another-key")
    found = reload_changes(running, load(toml))
    assert keys(*found.at_once) == ["[provider.generic].api_key"]
    assert found.config.provider.generic.api_key == "another-key"


def test_webhook_auth_and_its_secret_change_together(load: Load) -> None:
    wanted = load(GENERIC.replace('"bearer"', '"standard-webhooks"').replace("a-token-of-sixteen", "whsec_" + "A" * 32))
    found = reload_changes(load(GENERIC), wanted)
    assert keys(*found.at_once) == ["[provider.generic].webhook_auth", "[provider.generic].webhook_secret"]
    assert found.config.provider == wanted.provider


@pytest.mark.parametrize(
    ("before", "replaced", "by", "at_once", "later"),
    [
        pytest.param(GENERIC, "voice.example", "other.example", [], ["api_url", "api_key"], id="another interface"),
        pytest.param(TWILIO, "AC0", "AC1", [], ["account_sid", "auth_token"], id="another account"),
        pytest.param(TWILIO, "5550190", "5550191", ["auth_token"], ["from_number"], id="another number"),
    ],
)
def test_a_new_secret_is_never_used_with_the_old_account(
    load: Load, before: str, replaced: str, by: str, at_once: list[str], later: list[str]
) -> None:
    after = before.replace(replaced, by).replace('"one-', '"another-')
    found = reload_changes(load(before), load(after))
    assert [path[-1] for path in found.at_once] == at_once
    assert [path[-1] for path in found.later] == later


def test_after_a_change_of_provider_its_whole_section_waits_for_a_restart(load: Load) -> None:
    found = reload_changes(load(TWILIO), load(f"{TWILIO}[redial]\nmax_calls = 1\n{GENERIC}"))
    assert keys(*found.at_once) == ["[redial].max_calls"]
    assert "[provider].calls_per_second" in keys(*found.later), "the new kind's default"
    assert found.config.provider == load(TWILIO).provider


def test_every_reloadable_key_exists_and_is_in_the_documented_table() -> None:
    """Each entry is an existing section or key."""
    document = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    table = document.partition("## Change the configuration while it runs")[2].partition("\n## ")[0]
    known = [path for path, _ in all_keys()]
    for place in _RELOADABLE:
        assert any(path[: len(place)] == place for path in known), place
        if place[:-1] in _RELOADABLE:
            continue  # the whole section is in the table
        is_key = place in known
        name = place[-1].removesuffix("_file") if is_key else f"[{'.'.join(place)}]"
        assert f"`{name}`" in table, place


def test_another_public_address_takes_effect_at_once(load: Load) -> None:
    found = reload_changes(load(TWILIO), load(TWILIO.replace("clinic.example", "other.example")))
    assert (keys(*found.at_once), found.later) == (["[web].public_base_url"], ())
    assert found.config.web.public_base_url == "https://other.example"


@pytest.mark.parametrize("kind", ["generic", "sandbox"])
def test_the_public_address_changes_only_together_with_the_provider(load: Load, kind: str) -> None:
    """Calls under way, and those that the present provider still places, need the present one."""
    twilio = load(TWILIO)
    found = reload_changes(twilio, load(GENERIC if kind == "generic" else '[provider]\nkind = "sandbox"\n'))
    assert "[web].public_base_url" in keys(*found.later)
    assert found.config.web.public_base_url == twilio.web.public_base_url


_ROW = re.compile(r"^\| (`\[.*?) \| (.*) \|$", re.MULTILINE)


def test_the_documentation_lists_every_key_that_a_reload_takes() -> None:
    """Of a secret also its file, which the table leaves out."""
    operations = (EXAMPLE.parent / "docs" / "operations.md").read_text(encoding="utf-8")
    _, _, part = operations.partition("## Change the configuration while it runs")
    table, _, _ = part.partition("All other keys wait")
    files = {file_of(path) for path in secret_keys()}
    keys = {path for path, _ in all_keys()} - files
    documented: set[tuple[str, ...]] = set()
    for sections, named in _ROW.findall(table):
        for section in re.findall(r"`\[(.*?)\]`", sections):
            inside = tuple(section.split("."))
            known = {path for path in keys if path[:-1] == inside}
            names = set(re.findall(r"`([a-z_]+)`", re.sub(r"\(.*?\)", "", named)))
            documented |= known if named == "all" else {(*inside, name) for name in names}
    reloadable = tuple(_reloadable())
    assert documented == {path for path in keys if any(path[: len(place)] == place for place in reloadable)}
