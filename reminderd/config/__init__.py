"""The clinic's configuration: TOML and environment made into frozen values, with all errors reported at once."""

from reminderd.config.changes import Changes, changes
from reminderd.config.cross_checks import config_warnings
from reminderd.config.load import FILE_NAME, ConfigError, load_config, origin
from reminderd.config.paths import written
from reminderd.config.provider_sections import GenericConfig, TwilioConfig
from reminderd.config.schema import (
    AlertsConfig,
    ApiConfig,
    BackupConfig,
    CallingConfig,
    ClinicConfig,
    Config,
    DatabaseConfig,
    HoursConfig,
    LimitsConfig,
    LogConfig,
    MessagesConfig,
    MetricsConfig,
    ProviderConfig,
    RedialConfig,
    RetentionConfig,
    RetryConfig,
    WebConfig,
    WorkerConfig,
    numbering_of,
    rules_of,
    script_of,
    templates_of,
)
from reminderd.config.secrets import files_with_secrets

__all__ = [
    "FILE_NAME",
    "AlertsConfig",
    "ApiConfig",
    "BackupConfig",
    "CallingConfig",
    "Changes",
    "ClinicConfig",
    "Config",
    "ConfigError",
    "DatabaseConfig",
    "GenericConfig",
    "HoursConfig",
    "LimitsConfig",
    "LogConfig",
    "MessagesConfig",
    "MetricsConfig",
    "ProviderConfig",
    "RedialConfig",
    "RetentionConfig",
    "RetryConfig",
    "TwilioConfig",
    "WebConfig",
    "WorkerConfig",
    "changes",
    "config_warnings",
    "files_with_secrets",
    "load_config",
    "numbering_of",
    "origin",
    "rules_of",
    "script_of",
    "templates_of",
    "written",
]
