"""Reads what was given: the file's keys, and over them the environment's."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from reminderd.config.given import PREFIX, Given, variable_of
from reminderd.config.keys import did_you_mean, shown_name
from reminderd.config.schema import SECRETS, Config, KeyPath, all_keys, file_of, members, section_of

FILE_NAME: Final = "config.toml"

_TWICE: Final = re.compile(r"Cannot declare \((.*)\) twice")
_NAME: Final = re.compile(r"'([^']*)'")
_A_SIGN: Final = 4
"""The most characters of what the parser names in its own errors: one character, or its escape."""

_LEGACY: Final[Mapping[str, KeyPath]] = {
    "DATABASE_URL": ("database", "url"),
    "WORKER_POLL_INTERVAL_SECONDS": ("worker", "poll_interval_seconds"),
    "WEBHOOK_PORT": ("web", "port"),
    "PUBLIC_BASE_URL": ("web", "public_base_url"),
    "VOICE_PROVIDER_API_URL": ("provider", "generic", "api_url"),
    "VOICE_PROVIDER_API_KEY": ("provider", "generic", "api_key"),
    "TWILIO_ACCOUNT_SID": ("provider", "twilio", "account_sid"),
    "TWILIO_AUTH_TOKEN": ("provider", "twilio", "auth_token"),
    "TWILIO_FROM_NUMBER": ("provider", "twilio", "from_number"),
}
"""Names that deployments of the clinic's earlier software have set already."""


_TWINS: Final[Mapping[KeyPath, KeyPath]] = {
    one: other for path in SECRETS for one, other in ((path, file_of(path)), (file_of(path), path))
}
"""A secret and its file are one thing: whoever gives either wins over both."""


def origin(path: Path | None) -> str:
    """Where a configuration's keys come from, for people; the path is None if there was no file."""
    return f"defaults and environment, as there is no {Path.cwd() / FILE_NAME}" if path is None else str(path)


def read_file(path: Path | None, environ: Mapping[str, str], cwd: Path) -> Given:
    """The file's keys: of `path`, else of $REMINDERD_CONFIG, else of ./config.toml, which alone may be missing."""
    named = path or environ.get("REMINDERD_CONFIG")
    file = cwd / (named or FILE_NAME)
    credentials = environ.get("CREDENTIALS_DIRECTORY", "")  # systemd's LoadCredential
    given = Given(
        folder=file.parent, file=file, credentials=credentials, is_by_variable=path is None and named is not None
    )
    try:
        text = file.read_bytes().decode("utf-8-sig")  # Windows editors put a byte order mark first
        given.tree = tomllib.loads(text)
    except (FileNotFoundError, NotADirectoryError):
        if not named:
            return Given(folder=cwd, credentials=credentials)
        _unreadable(given, "there is no such file; expected the configuration")
    except OSError as error:
        _unreadable(given, f"can't be read ({error.strerror}); expected a file that this user may read")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        _unreadable(given, f"line {line}: is not UTF-8; expected a text file in UTF-8")
    except RecursionError:
        _unreadable(given, "is nested too deeply; expected sections and their keys")
    except ValueError as error:  # TOMLDecodeError, or a number of thousands of digits
        _unreadable(given, f"{_in_toml(error)}; expected TOML, with each section once")
    else:
        _blame_what_is_no_section(given, Config, ())
    return given


def _in_toml(error: ValueError) -> str:
    """The parser's words, with a section written as in the file, and no name that may be a secret."""

    def as_in_the_file(found: re.Match[str]) -> str:
        return f"[{'.'.join(map(shown_name, _NAME.findall(found[1])))}] is there twice"

    words = _TWICE.sub(as_in_the_file, str(error))
    return _NAME.sub(lambda found: found[0] if len(found[1]) <= _A_SIGN else f"'{shown_name(found[1])}'", words)


def _unreadable(given: Given, words: str) -> None:
    # A file that the environment names is a value of the configuration; one of the command line was typed just now.
    given.mistakes.append(f"{'environment REMINDERD_CONFIG' if given.is_by_variable else given.file}: {words}")
    given.readable = False


def _blame_what_is_no_section(given: Given, section: type, path: KeyPath) -> None:
    for attribute in members(section):
        here = (*path, attribute.name)
        inner = section_of(attribute)
        if inner is None or given.get(here) is None:
            continue
        if isinstance(given.get(here), dict):
            _blame_what_is_no_section(given, inner, here)
        else:
            given.blame(here, f"is no section; expected [{'.'.join(here)}] and its keys below it", section=True)


def read_environment(given: Given, environ: Mapping[str, str]) -> None:
    """Lay the environment over the file: first the legacy names, unless they are empty, then `REMINDERD__…`."""
    _lay_over(given, [(path, name) for name, path in _LEGACY.items() if environ.get(name)], environ)
    _lay_over(given, list(_prefixed(given, environ)), environ)


def _prefixed(given: Given, environ: Mapping[str, str]) -> Iterator[tuple[KeyPath, str]]:
    """The keys given by `REMINDERD__…`, each with its variable; mistakes for those that name no key."""
    known = {variable_of(path): path for path, _ in all_keys()}
    seen: dict[KeyPath, str] = {}
    for name in sorted(name for name in environ if name.startswith(PREFIX)):
        path = known.get(name.upper())
        if path is None:
            key = name.casefold().rpartition("__")[2]
            homes = [variable for variable, home in known.items() if home[-1] == key]
            meant = f", did you mean {' or '.join(homes)}?" if homes else did_you_mean(name, known)
            shown = PREFIX + "__".join(map(shown_name, name.removeprefix(PREFIX).split("__")))
            given.mistakes.append(f"environment {shown}: unknown{meant}; expected {PREFIX}SECTION__KEY")
        elif path in seen:
            given.mistakes.append(f"environment {name}: is set twice, also as {seen[path]}; expected one of them")
        else:
            seen[path] = name
            yield path, name


def _lay_over(given: Given, layer: list[tuple[KeyPath, str]], environ: Mapping[str, str]) -> None:
    for path, _ in layer:
        given.drop(_TWINS.get(path, path))
    for path, name in layer:
        given.put(path, environ[name], name)
