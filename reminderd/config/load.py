"""Puts the configuration together, or lists every mistake in it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

from attrs import evolve

from reminderd.config.cross_checks import blame_disagreements
from reminderd.config.given import ConfigError, Given
from reminderd.config.own_numbers import with_own_numbers
from reminderd.config.schema import Config, KeyPath, ProviderConfig
from reminderd.config.secrets import with_secrets, with_urls
from reminderd.config.sources import read_environment, read_file
from reminderd.config.structure import structured
from reminderd.config.twilio import CALLS_PER_SECOND

_KIND: Final = ("provider", "kind")
_ACCOUNT_SID: Final = ("provider", "twilio", "account_sid")
_API_URL: Final = ("provider", "generic", "api_url")
_CALLS_PER_SECOND: Final = ("provider", "calls_per_second")


def load_config(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Config:
    """The configuration: defaults, over them the file, over them the environment.

    Args:
        path: the file to read; None: the one that $REMINDERD_CONFIG names, else ./config.toml if it is there.
        environ: the environment.
        cwd: what `path` is relative to; what is written in the file is relative to the file's own folder.

    Raises:
        ConfigError: there are mistakes; all of them are listed.
    """
    given = read_file(path, environ, cwd)
    read_environment(given, environ)
    config = _completed(structured(given), given)
    config = with_own_numbers(config, given)
    if given.readable:  # else the missing half may lie in the file that could not be read
        config = evolve(
            config,
            provider=_with_its_secrets(config.provider, given),
            api=with_secrets(config.api, ("api",), given),
            alerts=with_urls(config.alerts, given),
        )
        blame_disagreements(config, given)
    if given.mistakes:
        raise ConfigError(given.mistakes)
    return config


def _completed(config: Config, given: Given) -> Config:
    """With what follows from the rest: the kind of provider if nobody says it, and what paths are relative to."""
    provider = evolve(config.provider, is_stated=given.get(_KIND) is not None)
    if given.get(_KIND) is None and _KIND not in given.wrong:
        if _is_meant(provider.twilio.account_sid, _ACCOUNT_SID, given):
            provider = evolve(provider, kind="twilio", is_stated=True)
        elif _is_meant(provider.generic.api_url, _API_URL, given):
            provider = evolve(provider, kind="generic", is_stated=True)
    if provider.kind == "twilio" and given.get(_CALLS_PER_SECOND) is None:
        provider = evolve(provider, calls_per_second=CALLS_PER_SECOND)
    return evolve(
        config,
        database=evolve(config.database, folder=given.folder),
        log=evolve(config.log, folder=given.folder),
        backup=evolve(config.backup, base=given.folder),
        provider=provider,
        path=given.file,
    )


def _is_meant(value: str, path: KeyPath, given: Given) -> bool:
    """Whether somebody gave this key, if only wrongly."""
    return bool(value) or path in given.wrong


def _with_its_secrets(provider: ProviderConfig, given: Given) -> ProviderConfig:
    """With the secrets of the provider that is configured; nobody needs another's."""
    match provider.kind:
        case "generic":
            return evolve(provider, generic=with_secrets(provider.generic, ("provider", "generic"), given))
        case "twilio":
            return evolve(provider, twilio=with_secrets(provider.twilio, ("provider", "twilio"), given))
        case _:
            return provider
