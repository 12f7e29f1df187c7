import re
import tomllib
from pathlib import Path

from reminderd.config import Config, defaults, load_config

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
COMMENTED_KEY = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)


def test_the_example_is_without_mistakes_and_changes_nothing(tmp_path: Path) -> None:
    config = load_config(EXAMPLE, {}, tmp_path)
    for section in ("worker", "web", "provider", "retry", "redial", "calling", "messages"):
        assert getattr(config, section) == getattr(Config(), section)


def test_the_example_has_every_key_at_its_default_in_the_codes_own_order() -> None:
    document = tomllib.loads(COMMENTED_KEY.sub("", EXAMPLE.read_text(encoding="utf-8")))
    provider = document.pop("provider")
    inner = {f"provider.{name}": provider.pop(name) for name in ("generic", "twilio")}
    document |= {**inner, "provider": provider}
    written = {section: list(keys.items()) for section, keys in document.items()}
    known: dict[str, list[tuple[str, object]]] = {}
    for section, key, default in defaults():
        known.setdefault(section, []).append((key, list(default) if isinstance(default, tuple) else default))
    assert written == known


def test_every_key_of_the_example_is_explained() -> None:
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    explained = False
    for line in lines:
        if COMMENTED_KEY.sub("", line) != line or re.match(r"[a-z_]+ = ", line):
            assert explained, line
        else:
            explained = line.startswith("# ")
