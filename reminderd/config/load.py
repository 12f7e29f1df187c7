"""Puts the configuration together, or lists every mistake in it."""

from collections.abc import Mapping
from pathlib import Path

from attrs import evolve

from reminderd.config.agreement import blame_disagreements
from reminderd.config.given import ConfigError, Given
from reminderd.config.secret_files import with_secrets
from reminderd.config.sections import Config
from reminderd.config.sources import read_environment, read_file
from reminderd.config.structure import structured
from reminderd.config.unsupported import blame_twilio


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
    blame_twilio(given, environ)
    config = _completed(structured(given), given)
    if given.readable:  # else the missing half may lie in the file that could not be read
        if config.provider.kind == "generic":
            generic = with_secrets(config.provider.generic, given)
            config = evolve(config, provider=evolve(config.provider, generic=generic))
        blame_disagreements(config, given)
    if given.mistakes:
        raise ConfigError(given.mistakes)
    return config


def _completed(config: Config, given: Given) -> Config:
    """With what follows from the rest: the kind of provider if nobody says it, and what paths are relative to."""
    provider = config.provider
    api_url_meant = provider.generic.api_url or ("provider", "generic", "api_url") in given.wrong
    if given.get(("provider", "kind")) is None and api_url_meant:
        provider = evolve(provider, kind="generic")
    return evolve(
        config,
        database=evolve(config.database, folder=given.folder),
        log=evolve(config.log, folder=given.folder),
        provider=provider,
        path=given.file,
    )
