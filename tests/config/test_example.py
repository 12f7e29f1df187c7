import re
import textwrap
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from reminderd.config import Config, load_config
from reminderd.config.coercion import all_keys
from reminderd.config.schema import CallingConfig, ClinicConfig, LimitsConfig
from reminderd.providers.registry import PROVIDERS

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
COMMENTED_KEY = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)


CAREFUL: dict[tuple[str, str], Any] = {
    ("clinic", "country"): "US",
    ("calling", "timezone"): "America/New_York",
    ("calling", "start"): "09:00",
    ("calling", "end"): "19:00",
    ("calling", "days"): ["mon", "tue", "wed", "thu", "fri", "sat"],
    ("calling", "holidays"): ["01-01", "12-25"],
    ("limits", "answered_per_day"): 1,
    ("limits", "answered_per_week"): 3,
}
"""What a careful clinic in the United States would choose; without a file there is no restriction."""


def defaults() -> Iterator[tuple[str, str, object]]:
    """Yield every key as its section, headed as in TOML, its name and its default."""
    for path, attribute in all_keys():
        if path == ("messages", "languages"):  # its sections are written without its name
            continue
        yield ".".join(path[:-1]), path[-1], attribute.default


def test_the_example_is_valid_and_only_changes_clinic_calling_and_limits(
    tmp_path: Path,
) -> None:
    config = load_config(EXAMPLE, {}, tmp_path)
    for section in ("worker", "web", "provider", "retry", "redial", "messages"):
        assert getattr(config, section) == getattr(Config(), section)
    careful: dict[str, dict[str, Any]] = {"clinic": {}, "calling": {}, "limits": {}}
    for (section, key), value in CAREFUL.items():
        careful[section][key] = tuple(value) if isinstance(value, list) else value
    assert config.clinic == ClinicConfig(**careful["clinic"])
    assert config.calling == CallingConfig(**careful["calling"])
    assert config.limits == LimitsConfig(**careful["limits"])


def test_the_example_has_every_key_in_the_codes_order_at_its_careful_or_default_value() -> None:
    document = tomllib.loads(COMMENTED_KEY.sub("", EXAMPLE.read_text(encoding="utf-8")))
    for parent, child in (*(("provider", name) for name in PROVIDERS), ("calling", "hours")):
        document[f"{parent}.{child}"] = document[parent].pop(child)
    written = {section: list(keys.items()) for section, keys in document.items()}
    known: dict[str, list[tuple[str, object]]] = {}
    for section, key, default in defaults():
        value = list(default) if isinstance(default, tuple) else default
        known.setdefault(section, []).append((key, CAREFUL.get((section, key), value)))
    assert written == known


def test_the_examples_careful_values_differ_from_the_defaults() -> None:
    built_in = {(section, key): default for section, key, default in defaults()}
    for key, value in CAREFUL.items():
        assert built_in[key] != (tuple(value) if isinstance(value, list) else value)


def test_every_key_of_the_example_is_explained() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    explained = False
    for line in lines:
        if COMMENTED_KEY.sub("", line) != line or re.match(r"[a-z_]+ = ", line):
            assert explained, line
        else:
            explained = line.startswith("# ")


def test_the_readmes_first_configuration_sets_country_and_time_zone(tmp_path: Path) -> None:
    readme = (EXAMPLE.parent / "README.md").read_text(encoding="utf-8")
    first = textwrap.dedent(readme.partition("```toml\n")[2].partition("```")[0])
    (tmp_path / "config.toml").write_text(first, encoding="utf-8")
    config = load_config(None, {}, tmp_path)
    assert (config.clinic.country, config.calling.timezone) == ("US", "America/New_York")


def test_the_examples_lines_fit_on_a_screen_except_for_prompts() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if len(line) > 120 and not re.match(r'#   [a-z_]+ = "', line)] == []
