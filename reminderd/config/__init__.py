"""Read the clinic's configuration from TOML and the environment into frozen values, or report every error in it."""

from reminderd.config.coercion import shown_key
from reminderd.config.cross_checks import config_warnings
from reminderd.config.installation import codec_of
from reminderd.config.load import FILE_NAME, Changes, ConfigError, load_config, origin, reload_changes
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
    "reload_changes",
    "rules_of",
    "shown_key",
    "templates_of",
    "with_provider",
]
