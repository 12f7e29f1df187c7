"""Combine the configuration from defaults, file and environment; decide which of its keys a reload may change."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final

from attrs import define, evolve, field, frozen

from reminderd.config import secrets
from reminderd.config.coercion import (
    EnvironmentText,
    all_keys,
    keys_and_sections,
    replaced,
    secret_keys,
    section_of,
    structured,
    value_at,
)
from reminderd.config.cross_checks import cross_check
from reminderd.config.schema import Config
from reminderd.core.phone import existing_number
from reminderd.keys import MARK, PHONE, PREFIX, KeyPath, file_of, name_of, variable_of
from reminderd.providers.registry import PROVIDERS
from reminderd.validators import did_you_mean, shown_name, suggestion

FILE_NAME: Final = "config.toml"

_COUNTRY: Final = ("clinic", "country")
_DATABASE_KEYS: Final = frozenset({secrets.DATABASE_URL, file_of(secrets.DATABASE_URL)})
_KIND: Final = ("provider", "kind")
_CALLS_PER_SECOND: Final = ("provider", "calls_per_second")

_LEGACY: Final[dict[str, KeyPath]] = {
    "DATABASE_URL": secrets.DATABASE_URL,
    "WORKER_POLL_INTERVAL_SECONDS": ("worker", "poll_interval_seconds"),
    "WEBHOOK_PORT": ("web", "port"),
    "PUBLIC_BASE_URL": ("web", "public_base_url"),
}
"""Environment variables of the clinic's earlier software, which still set these keys; each provider adds its own."""

_TWICE: Final = re.compile(r"Cannot declare \((.*)\) twice")
_QUOTED: Final = re.compile(r"'([^']*)'")
_CHARACTER: Final = 4
"""The longest text that the parser quotes on its own in an error: one character, or its escape."""

_RELOADABLE: Final[tuple[KeyPath, ...]] = (
    ("clinic",),
    ("calling",),
    ("limits",),
    ("redial",),
    ("retry",),
    ("messages",),
    ("import",),
    ("reminders",),
    ("alerts",),
    ("results",),
    ("backup",),
    ("retention",),
    ("provider", "calls_per_second"),
    ("web", "public_base_url"),
    ("web", "trusted_proxies"),
    ("web", "max_body_bytes"),
    ("desk", "language"),
    ("desk", "idle_minutes"),
    ("log", "level"),
)
"""Sections and keys that may change while the daemon runs; `_reloadable` adds secrets and the keys of providers."""


class ConfigError(Exception):
    """The configuration can't be used; `errors` has a line for each error: "place: what is wrong; expected …"."""

    def __init__(self, errors: list[str], *, rest: Config | None = None) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors
        self.rest = rest
        """The configuration without the wrong values; None if it is not certain which database it names."""


def load_config(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Config:
    """Return the configuration. The file overrides the defaults, and the environment overrides the file.

    Without a path, the file is the one that $REMINDERD_CONFIG names, or ./config.toml if it exists. Relative paths in
    the configuration start from the folder of its file.

    Raises:
        ConfigError: There are errors; all of them are listed.
    """
    raw = _read_file(path, environ, cwd)
    _read_environment(raw, environ)
    config, found = structured(raw.tree)
    for error in found:
        raw.reject(error.path, error.mistake, is_section=error.is_section)
    if found:  # continue with the other values, to find all errors
        config, _ = structured(raw.tree)
    config = _read_own_numbers(_completed(config, raw), raw)
    if raw.is_readable:  # otherwise a missing key may be in the file that could not be read
        config = _read_secret_files(config, raw)
        wrong_by_themselves = frozenset(raw.wrong)
        for keys, mistake in cross_check(config):
            if not wrong_by_themselves.intersection(keys):
                is_in_file = keys[0] in secret_keys() and raw.get(file_of(keys[0])) is not None
                raw.reject(file_of(keys[0]) if is_in_file else keys[0], mistake)
    if raw.errors:
        is_certain = raw.is_readable and not raw.wrong.intersection(_DATABASE_KEYS)
        names_database = is_certain and any(raw.get(key) is not None for key in _DATABASE_KEYS)
        raise ConfigError(raw.errors, rest=config if names_database else None)
    return config


def origin(path: Path | None) -> str:
    """Describe, for people, where the configuration was read from; the path is None if there was no file."""
    return f"defaults and environment, as there is no {Path.cwd() / FILE_NAME}" if path is None else str(path)


@define
class _RawConfig:
    """The values as they are written, where the environment overrides the file, and the errors found so far."""

    folder: Path
    """The folder from which relative paths start."""
    credentials: str = ""
    """The folder in which the supervisor passes secrets to this process alone; "" if there is none."""
    state: str = ""
    """The folder that the supervisor keeps for our own files; "" if there is none."""
    file: Path | None = None
    is_readable: bool = True
    """Whether the keys of the file, if there is one, are known."""
    tree: dict[str, Any] = field(factory=dict)
    variables: dict[KeyPath, str] = field(factory=dict)
    """The environment variables that set a key."""
    wrong: set[KeyPath] = field(factory=set)
    """The keys with an error."""
    errors: list[str] = field(factory=list)
    """The lines of `ConfigError`."""

    def get(self, path: KeyPath) -> Any:  # noqa: ANN401 - nothing is known yet of what is written
        """Return the value as it is written, a section as a dict; None if it is not set."""
        return secrets.value_in(self.tree, path)

    def put(self, path: KeyPath, text: str, variable: str) -> None:
        """Set a key by an environment variable."""
        section = self.tree
        for name in path[:-1]:
            section = section.setdefault(name, {})
        section[path[-1]] = EnvironmentText(text)
        self.variables[path] = variable

    def drop(self, path: KeyPath) -> None:
        """Forget a value."""
        section = self.get(path[:-1])
        if isinstance(section, dict):
            section.pop(path[-1], None)
        self.variables.pop(path, None)

    def reject(self, path: KeyPath, mistake: str, *, is_section: bool = False) -> None:
        """Note an error at a key, or at a section, and forget its value."""
        self.errors.append(f"{self._place(path, is_section=is_section)}: {mistake}")
        self.wrong.add(path)
        self.drop(path)

    def _place(self, path: KeyPath, *, is_section: bool) -> str:
        """Return where a value is written, or where it should be if it is missing."""
        variable = self.variables.get(path)
        if variable is not None or self.file is None:
            return f"environment {variable or variable_of(path)}"
        names = [shown_name(name) for name in path]
        if is_section:
            return f"{self.file.name}: [{'.'.join(names)}]"
        heading = f"[{'.'.join(names[:-1])}]." if names[:-1] else ""
        return f"{self.file.name}: {heading}{names[-1]}"


def _read_file(path: Path | None, environ: Mapping[str, str], cwd: Path) -> _RawConfig:
    """Read `path`, or the file that $REMINDERD_CONFIG names, or ./config.toml; only ./config.toml may be missing."""
    named = path or environ.get("REMINDERD_CONFIG")
    file = cwd / (named or FILE_NAME)
    new_raw = partial(
        _RawConfig,
        credentials=environ.get("CREDENTIALS_DIRECTORY", ""),  # systemd's LoadCredential
        state=environ.get("STATE_DIRECTORY", "").partition(":")[0],  # its StateDirectory, the first of them
    )
    raw = new_raw(folder=file.parent, file=file)
    try:
        text = file.read_bytes().decode("utf-8-sig")  # Windows editors put a byte order mark first
        raw.tree = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        if not named:
            return new_raw(folder=cwd)
        mistake = "there is no such file; expected the path of the configuration"
    except OSError as error:
        mistake = f"can't be read ({error.strerror}); expected a file that this user may read"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        mistake = f"line {line} is not UTF-8; expected a text file in UTF-8"
    except RecursionError:
        mistake = "is nested too deeply; expected sections and their keys"
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        mistake = f"{_toml_error(error)}; expected TOML, with each section once"
    else:
        _reject_what_is_not_a_section(raw, Config, ())
        return raw
    # A wrong path is an error at the variable if the variable names the file; otherwise somebody has just typed it.
    is_by_variable = path is None and named is not None
    raw.errors.append(f"{'environment REMINDERD_CONFIG' if is_by_variable else file}: {mistake}")
    raw.is_readable = False
    return raw


def _toml_error(error: ValueError) -> str:
    """Return the parser's message, with sections in TOML's form, and without a name that may be a secret."""

    def heading(found: re.Match[str]) -> str:
        return f"[{'.'.join(map(shown_name, _QUOTED.findall(found[1])))}] is there twice"

    mistake = _TWICE.sub(heading, str(error))
    return _QUOTED.sub(lambda found: found[0] if len(found[1]) <= _CHARACTER else f"'{shown_name(found[1])}'", mistake)


def _reject_what_is_not_a_section(raw: _RawConfig, section: type, path: KeyPath) -> None:
    for attribute in keys_and_sections(section):
        here = (*path, name_of(attribute.name))
        inner = section_of(attribute)
        if inner is None or raw.get(here) is None:
            continue
        if isinstance(raw.get(here), dict):
            _reject_what_is_not_a_section(raw, inner, here)
        else:
            mistake = f"is not a section; expected [{'.'.join(here)}] with its keys below it"
            raw.reject(here, mistake, is_section=True)


def _read_environment(raw: _RawConfig, environ: Mapping[str, str]) -> None:
    """Override the file by the environment: first by legacy names that are not empty, then by `REMINDERD__…`."""
    of_providers = {
        variable: ("provider", name, key)
        for name, settings in PROVIDERS.items()
        for variable, key in settings.environment.items()
    }
    legacy = [(path, name) for name, path in (_LEGACY | of_providers).items() if environ.get(name)]
    # A variable that sets a secret also overrides the key of its file, and the other way round.
    counterparts = {path: file_of(path) for path in secret_keys()} | {file_of(path): path for path in secret_keys()}
    for layer in (legacy, list(_prefixed(raw, environ))):
        for path, _ in layer:
            raw.drop(counterparts.get(path, path))
        for path, name in layer:
            raw.put(path, environ[name], name)


def _prefixed(raw: _RawConfig, environ: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    """Yield each key that a variable `REMINDERD__…` sets, with the variable's name; add an error for an unknown key."""
    known = {variable_of(path): path for path, _ in all_keys()}
    seen: dict[KeyPath, str] = {}
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        path = known.get(name.upper())
        if path is None:
            key = name.casefold().rpartition("__")[2]
            meant = suggestion(*(variable for variable, home in known.items() if home[-1] == key))
            shown = PREFIX + "__".join(map(shown_name, name.removeprefix(PREFIX).split("__")))
            mistake = f"unknown variable{meant or did_you_mean(name, known)}; expected {PREFIX}SECTION__KEY"
            raw.errors.append(f"environment {shown}: {mistake}")
        elif path in seen:
            raw.errors.append(f"environment {name}: is set twice, also as {seen[path]}; expected one of them")
        else:
            seen[path] = name
            yield path, name


def _completed(config: Config, raw: _RawConfig) -> Config:
    """Return the configuration with its derived values: the provider if `kind` is not set, and the base of paths."""
    chosen = None if raw.get(_KIND) is None else config.provider.kind
    if chosen is None and _KIND not in raw.wrong:
        keys = {kind: ("provider", kind, section.chosen_by) for kind, section in PROVIDERS.items()}
        chosen = next((kind for kind, key in keys.items() if value_at(config, key) or key in raw.wrong), None)
    provider = evolve(config.provider, kind=chosen or config.provider.kind, is_stated=chosen is not None)
    if raw.get(_CALLS_PER_SECOND) is None:
        provider = evolve(provider, calls_per_second=provider.settings.calls_per_second)
    of_paths = ("log", "backup", "results", "import_")
    based: dict[str, Any] = {name: evolve(getattr(config, name), base=raw.folder) for name in of_paths}
    database = evolve(config.database, folder=raw.folder, state=raw.folder / raw.state)
    return evolve(config, database=database, provider=provider, path=raw.file, **based)


def _read_own_numbers(config: Config, raw: _RawConfig) -> Config:
    """Return the configuration with the clinic's own numbers in E.164; they may be written as dialed in its country."""
    if _COUNTRY in raw.wrong:
        return config
    for path in [path for path, attribute in all_keys() if attribute.metadata[MARK] == PHONE]:
        text = value_at(config, path).strip()
        try:
            number = existing_number(text, config.clinic.country) if text else ""
        except ValueError as error:
            raw.reject(path, str(error))
            number = ""
        config = replaced(config, path, number)
    return config


def _read_secret_files(config: Config, raw: _RawConfig) -> Config:
    """Return the configuration with the secrets that are in files, except those of a provider that is not chosen."""
    for path in secret_keys():
        if path[0] == "provider" and path[1] != config.provider.kind:
            continue
        try:
            is_written = raw.get(path) is not None and bool(value_at(config, path))
            read = partial(secrets.read, folder=raw.folder, credentials=raw.credentials)
            config = read(config, path, is_written=is_written)
        except ValueError as error:
            raw.reject(file_of(path), str(error))
            raw.wrong.add(path)
    return config


@frozen(kw_only=True)
class Changes:
    """What a reload changes in the running configuration."""

    config: Config
    """The configuration to use from now on: the running one with every change that can be applied now."""
    at_once: tuple[KeyPath, ...]
    """The keys that change now."""
    later: tuple[KeyPath, ...]
    """The keys whose changes wait for the next start."""


def reload_changes(running: Config, wanted: Config) -> Changes:
    """Decide which keys of the `running` configuration a reload sets to their `wanted` values."""
    differing = [path for path, _ in all_keys() if value_at(running, path) != value_at(wanted, path)]
    waiting = [section for section, triggers in _change_together() if any(key in differing for key in triggers)]
    reloadable = list(_reloadable())
    at_once = tuple(path for path in differing if _is_inside(path, reloadable) and not _is_inside(path, waiting))
    config = running
    for path in at_once:
        config = replaced(config, path, value_at(wanted, path))
    return Changes(config=config, at_once=at_once, later=tuple(path for path in differing if path not in at_once))


def _reloadable() -> Iterator[KeyPath]:
    yield from _RELOADABLE
    for secret in secret_keys():
        if secret != secrets.DATABASE_URL:
            yield from (secret, file_of(secret))
    for name, settings in PROVIDERS.items():
        yield from (("provider", name, key) for key in settings.reloadable_keys)


def _change_together() -> Iterator[tuple[KeyPath, tuple[KeyPath, ...]]]:
    """Yield sections and keys, each with keys that make it wait as a whole for the next start if one of them changes.

    A secret of the new account must not be sent to the old provider. And as long as the old provider is used, it needs
    the address that matches it.
    """
    yield ("provider",), (("provider", "kind"),)
    yield ("web", "public_base_url"), (("provider", "kind"),)
    for name, settings in PROVIDERS.items():
        yield ("provider", name), tuple(("provider", name, key) for key in settings.account_keys)


def _is_inside(path: KeyPath, places: list[KeyPath]) -> bool:
    return any(path[: len(place)] == place for place in places)
