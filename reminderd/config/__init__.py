"""Read the clinic's configuration: make TOML and environment into frozen values, and report all errors at once."""

from reminderd.config.coercion import written
from reminderd.config.cross_checks import config_warnings
from reminderd.config.installation import codec_of
from reminderd.config.load import FILE_NAME, Changes, ConfigError, changes, load_config, origin
from reminderd.config.schema import (
    Config,
    daily_at,
    expected_of,
    numbering_of,
    planning_of,
    reading_of,
    rules_of,
    templates_of,
    with_provider,
)
from reminderd.config.secrets import files_with_secrets

__all__ = [
    "FILE_NAME",
    "Changes",
    "Config",
    "ConfigError",
    "changes",
    "codec_of",
    "config_warnings",
    "daily_at",
    "expected_of",
    "files_with_secrets",
    "load_config",
    "numbering_of",
    "origin",
    "planning_of",
    "reading_of",
    "rules_of",
    "templates_of",
    "with_provider",
    "written",
]
