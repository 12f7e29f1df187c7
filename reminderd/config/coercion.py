"""List every key with its path; convert and validate the written values, and report an error for each wrong one.

A value of the file must have the right type in TOML; a value of the environment is text, which is parsed strictly. A
path is `("provider", "generic", "api_key")`.
"""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, TypeVar, get_args, get_origin

from attrs import Attribute, evolve, fields, frozen, has
from cattrs import AttributeValidationNote, ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from reminderd.config.schema import Config, MessagesConfig, ProviderConfig, provider_section
from reminderd.keys import DERIVED, EXPECTED, MARK, SECRET, SECTIONS, KeyPath, attribute_of, name_of
from reminderd.validators import did_you_mean, language_section_error, may_be_language, suggestion

Section = TypeVar("Section")


def keys_and_sections(section: type) -> "list[Attribute[Any]]":
    """Return the keys of a section and the sections inside it."""
    return [attribute for attribute in fields(section) if attribute.metadata != DERIVED]


def section_of(attribute: "Attribute[Any]") -> type | None:
    """Return the class of the section that an attribute declares; None if it declares a key."""
    if attribute.type is ProviderConfig:
        return provider_section()
    return attribute.type if attribute.type is not None and has(attribute.type) else None


def all_keys(section: type = Config, path: KeyPath = ()) -> Iterator[tuple[KeyPath, "Attribute[Any]"]]:
    """Yield every key with its attribute, in the order of the sections."""
    for attribute in keys_and_sections(section):
        here = (*path, name_of(attribute.name))
        inner = section_of(attribute)
        if inner is None:
            yield here, attribute
        else:
            yield from all_keys(inner, here)


def secret_keys() -> tuple[KeyPath, ...]:
    """Return the keys whose values are secrets, and may also be in files: see `keys.file_of`."""
    return tuple(path for path, attribute in all_keys() if attribute.metadata[MARK] == SECRET)


def shown_key(path: KeyPath) -> str:
    """Return a key in the form that the documents and the log use: `[provider.generic].api_key`."""
    return f"[{'.'.join(path[:-1])}].{path[-1]}"


def value_at(config: Config, path: KeyPath) -> Any:  # noqa: ANN401 - any key's value
    """Return the value of a key."""
    value: Any = config
    for name in path:
        value = getattr(value, attribute_of(name))
    return value


def replaced(section: Section, path: KeyPath, value: object) -> Section:
    """Return the configuration, or a section of it, with a new value for one key.

    Raises:
        ValueError: The key's validator rejects the value.
    """
    first, *rest = path
    name = attribute_of(first)
    inner = replaced(getattr(section, name), tuple(rest), value) if rest else value
    return evolve(section, **{name: inner})  # type: ignore[misc]  # mypy knows no type variable of attrs' classes


_WHOLE: Final = re.compile(r"[+-]?[0-9]{1,18}")
_NUMBER: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|[+-]?(?:inf|nan)", re.IGNORECASE)
_SWITCHES: Final = {"true": True, "false": False}

_KINDS: Final = (
    (bool, "is true or false"),
    (int, "is a whole number"),
    (float, "is a number with a decimal point"),
    (str, "is text"),
    (list, "is a list"),
    (dict, "is a section"),
)
"""TOML's types in words; bool first, as each bool is an int."""


@frozen
class EnvironmentText:
    """A value from the environment."""

    value: str


@frozen
class StructureError:
    """An error at a key or a section; which file or variable the value is from is added later."""

    path: KeyPath
    mistake: str
    is_section: bool = False


def structured(tree: dict[str, Any]) -> tuple[Config, list[StructureError]]:
    """Return the configuration and all errors in it; if there are errors, return the default configuration."""
    converter = Converter()
    converter.register_structure_hook_factory(has, _maker_of)
    tree, errors = _with_languages(tree)
    config = Config()
    try:
        config = converter.structure(tree, Config)
    except ClassValidationError as error:
        errors += [evolve(one, path=_path_in_file(one.path)) for one in _errors(error, (), tree)]
    return Config() if errors else config, errors


_LANGUAGES: Final = ("messages", "languages")
"""The key whose sections are written without its name: `[messages.es]`, not `[messages.languages.es]`."""


def _with_languages(tree: dict[str, Any]) -> tuple[dict[str, Any], list[StructureError]]:
    """Move the sections of languages below their key; also return an error for each section that is not valid there."""
    section, key = _LANGUAGES
    messages = tree.get(section)
    if not isinstance(messages, dict):
        return tree, []
    errors: list[StructureError] = []
    by_language = {name: one for name, one in messages.items() if isinstance(one, dict) and may_be_language(name)}
    own = _coerced(messages.get("language", MessagesConfig().language), str)
    for name in by_language:
        mistake = language_section_error(name, str(own))
        if mistake is not None:
            errors.append(StructureError((section, name), mistake, is_section=True))
    others = {name: one for name, one in messages.items() if name not in by_language}
    if isinstance(others.get(key), dict):
        del others[key]
        mistake = "unknown section; expected each language by itself, like [messages.es]"
        errors.append(StructureError(_LANGUAGES, mistake, is_section=True))
    wrong = {error.path for error in errors}
    kept = {name: one for name, one in by_language.items() if (section, name) not in wrong}
    return {**tree, section: others | ({key: kept} if kept else {})}, errors


def _path_in_file(path: KeyPath) -> KeyPath:
    """Return the path of an error as it is written in the file, where `_LANGUAGES` does not appear."""
    return (path[0], *path[2:]) if path[:2] == _LANGUAGES and len(path) > len(_LANGUAGES) else path


def _maker_of(section: type, converter: Converter) -> Callable[[Mapping[str, Any], Any], Any]:
    """Return the function that makes a section of the configuration from its keys.

    cattrs calls this only for sections in which a key is set. Generating and compiling the function takes as long as
    making a class, and most configurations have few sections.
    """
    overrides: dict[str, Any] = {attribute.name: override(omit=True) for attribute in fields(section)}
    for attribute in keys_and_sections(section):
        inner = section_of(attribute)
        if attribute.metadata.get(SECTIONS) is not None:
            read = _reader_of_sections(attribute, converter)
        elif inner is None:
            read = _reader(attribute)
        else:
            read = _reader_of_section(inner, converter)
        overrides[attribute.name] = override(struct_hook=read, rename=name_of(attribute.name))
    return make_dict_structure_fn(section, converter, _cattrs_forbid_extra_keys=True, **overrides)


def _reader_of_section(section: type, converter: Converter) -> Callable[[object, object], object]:
    """Return the function that reads a section inside another section."""
    return lambda value, _type: converter.structure(value, section)


def _reader(attribute: "Attribute[Any]") -> Callable[[object, object], object]:
    """Return the function that reads one key. It runs the validator, so that all errors of a section are reported."""

    def read(value: object, _type: object) -> object:
        coerced = _coerced(value, attribute.type)
        if coerced is None:
            raise ValueError(f"{_type_error(value, attribute.type)}; expected {attribute.metadata[EXPECTED]}")
        if attribute.validator is not None:
            attribute.validator(None, attribute, coerced)
        return coerced

    return read


def _reader_of_sections(attribute: "Attribute[Any]", converter: Converter) -> Callable[[object, object], object]:
    """Return the function that reads sections of one class whose names the clinic chooses."""
    kind = attribute.metadata[SECTIONS]

    def read(value: object, _type: object) -> object:
        if not isinstance(value, dict) or not all(isinstance(section, dict) for section in value.values()):
            mistake = "contains something other than sections" if isinstance(value, dict) else "is not a section"
            raise ValueError(f"{mistake}; expected {attribute.metadata[EXPECTED]}")
        by_name, wrong = {}, []
        for name, section in value.items():
            try:
                by_name[name] = converter.structure(section, kind)
            except ClassValidationError as error:
                error.add_note(AttributeValidationNote("", name, kind))  # where `_errors` finds the section's name
                wrong.append(error)
        if wrong:
            raise ClassValidationError("", wrong, kind)
        if attribute.validator is not None:
            attribute.validator(None, attribute, by_name)
        return MappingProxyType(by_name)

    return read


def _errors(error: ClassValidationError, path: KeyPath, tree: dict[str, Any]) -> Iterator[StructureError]:
    """Yield all errors in the section at `path` and in the sections inside it; `tree` has the section's raw values."""
    key_errors, section_errors = error.group_exceptions()
    for inner, note in key_errors:
        name = name_of(note.name)
        here = (*path, name)
        if isinstance(inner, ClassValidationError):
            yield from _errors(inner, here, tree[name])
        else:
            yield StructureError(here, str(inner))
    for inner in section_errors:
        if not isinstance(inner, ForbiddenExtraKeysError):
            raise inner
        for name in sorted(inner.extra_fields):
            is_section = isinstance(tree[name], dict) or _is_list_of_sections(tree[name])
            yield (_unknown_section if is_section else _unknown_key)((*path, name), inner.cl)


def _is_list_of_sections(value: object) -> bool:
    """Return whether a value is written like a section, but with double brackets: `[[tls]]`."""
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) for item in value)


def _unknown_section(path: KeyPath, parent: type) -> StructureError:
    inner = [member for member in keys_and_sections(parent) if section_of(member) or member.metadata.get(SECTIONS)]
    known = [".".join((*path[:-1], name_of(member.name))) for member in inner]
    expected = f"expected one of {', '.join(known)}" if known else "expected no section here"
    return StructureError(path, f"unknown section{did_you_mean('.'.join(path), known)}; {expected}", is_section=True)


def _unknown_key(path: KeyPath, parent: type) -> StructureError:
    known = [name_of(member.name) for member in keys_and_sections(parent) if not section_of(member)]
    places = [shown_key(key) for key, _ in all_keys() if key[-1] == path[-1]]
    if not known:  # above the first section
        expected = " or ".join(places) or "a section above it, like [worker]"
        return StructureError(path, f"is outside of any section; expected {expected}")
    meant = suggestion(*places) or did_you_mean(path[-1], known)
    return StructureError(path, f"unknown key{meant}; expected one of {', '.join(known)}")


def _coerced(value: object, wanted: Any) -> object | None:  # noqa: ANN401 - a type or a form such as Literal
    """Return the value converted to the wanted type; None if its type is another one."""
    form = get_origin(wanted) or wanted
    if form is Mapping:
        return value if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()) else None
    if form is tuple and get_args(wanted)[0] is float:
        return _numbers(value)
    if isinstance(value, EnvironmentText):
        return _parsed(value.value.strip(), form)
    if form is tuple:
        return tuple(value) if isinstance(value, list) and all(isinstance(item, str) for item in value) else None
    if form is float and type(value) is int:
        return _as_float(value)
    return value if type(value) is (str if form is Literal else form) else None


def _numbers(value: object) -> tuple[float, ...] | None:
    """Return a list of numbers, or a single number, as a tuple; None if a value is not a number."""
    if isinstance(value, EnvironmentText):
        items: list[object] = [EnvironmentText(item) for item in value.value.split(",")]
    else:
        items = value if isinstance(value, list) else [value]
    numbers = [_coerced(item, float) for item in items]
    return tuple(number for number in numbers if isinstance(number, float)) if None not in numbers else None


def _as_float(value: int) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _parsed(text: str, form: object) -> object | None:
    if form is int:
        return int(text) if _WHOLE.fullmatch(text) else None
    if form is float:
        return float(text) if _NUMBER.fullmatch(text) else None
    if form is bool:
        return _SWITCHES.get(text.lower())
    if form is tuple:
        return tuple(item.strip() for item in text.split(",")) if text else ()
    return text


def _type_error(value: object, wanted: Any) -> str:  # noqa: ANN401 - a type or a form such as Literal
    """Return what is wrong with a value that is not of the wanted type."""
    if isinstance(value, EnvironmentText):
        return "is not valid"
    if isinstance(value, list) and get_origin(wanted) is tuple:
        return f"contains something other than {'numbers' if get_args(wanted)[0] is float else 'text'}"
    if isinstance(value, dict) and get_origin(wanted) is Mapping:
        return "contains something other than text"
    return next((words for kind, words in _KINDS if isinstance(value, kind)), "is a date or a time")
