"""The clinic's configuration: TOML and environment made into frozen values, every mistake reported at once."""

from reminderd.config.alerts import AlertsConfig
from reminderd.config.calling import CallingConfig, HoursConfig, LimitsConfig, RedialConfig
from reminderd.config.changes import Changes, changes, written
from reminderd.config.clinic import ClinicConfig
from reminderd.config.clinic_rules import numbering_of, rules_of
from reminderd.config.clinic_wording import script_of, templates_of
from reminderd.config.exposure import files_with_secrets
from reminderd.config.given import ConfigError
from reminderd.config.load import load_config
from reminderd.config.messages import MessagesConfig
from reminderd.config.risks import risks
from reminderd.config.sections import (
    ApiConfig,
    Config,
    DatabaseConfig,
    GenericConfig,
    LogConfig,
    MetricsConfig,
    ProviderConfig,
    RetryConfig,
    WebConfig,
    WorkerConfig,
    defaults,
)
from reminderd.config.sources import FILE_NAME, origin
from reminderd.config.twilio import TwilioConfig
from reminderd.config.upkeep import BackupConfig, RetentionConfig

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
    "defaults",
    "files_with_secrets",
    "load_config",
    "numbering_of",
    "origin",
    "risks",
    "rules_of",
    "script_of",
    "templates_of",
    "written",
]
