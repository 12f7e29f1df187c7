from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from reminderd.config import Config, ConfigError, load_config

Load = Callable[..., Config]
Errors = Callable[..., list[str]]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Return a function that loads a TOML text as config.toml in a new folder; with None there is no file."""

    def load(toml: str | None = "", environ: Mapping[str, str] | None = None) -> Config:
        if toml is not None:
            (tmp_path / "config.toml").write_text(toml, encoding="utf-8")
        return load_config(None, environ or {}, tmp_path)

    return load


@pytest.fixture
def errors(load: Load) -> Errors:
    """Return a function that returns the errors of a TOML text and an environment."""

    def errors(toml: str | None = "", environ: Mapping[str, str] | None = None) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            load(toml, environ)
        return caught.value.errors

    return errors
