"""Find, name, read and replace keys by their path in the configuration: `("provider", "generic", "api_key")`."""

from collections.abc import Iterator
from typing import Any

from attrs import Attribute, evolve, fields, has

from reminderd.config.schema import Config, ProviderConfig, provider_section
from reminderd.keys import DERIVED, MARK, PHONE, SECRET, KeyPath, attribute_of, name_of


def members(section: type) -> "list[Attribute[Any]]":
    """Return a section's keys, and its own sections."""
    return [attribute for attribute in fields(section) if attribute.metadata != DERIVED]


def section_of(attribute: "Attribute[Any]") -> type | None:
    """Return the section that is the attribute's value; None for a key."""
    if attribute.type is ProviderConfig:
        return provider_section()
    return attribute.type if attribute.type is not None and has(attribute.type) else None


def all_keys(section: type = Config, path: KeyPath = ()) -> Iterator[tuple[KeyPath, "Attribute[Any]"]]:
    """Yield every key there is, in its section's order."""
    for attribute in members(section):
        here = (*path, name_of(attribute.name))
        inner = section_of(attribute)
        if inner is None:
            yield here, attribute
        else:
            yield from all_keys(inner, here)


def secret_keys() -> tuple[KeyPath, ...]:
    """Return the keys whose value may also be in a file: see `keys.file_of`."""
    return tuple(path for path, attribute in all_keys() if attribute.metadata[MARK] == SECRET)


def phone_number_keys() -> tuple[KeyPath, ...]:
    """Return the keys of the clinic's own numbers."""
    return tuple(path for path, attribute in all_keys() if attribute.metadata[MARK] == PHONE)


def written(path: KeyPath) -> str:
    """Return a key as the documents and the log write it: `[provider.generic].api_key`."""
    return f"[{'.'.join(path[:-1])}].{path[-1]}"


def value_at(config: Config, path: KeyPath) -> Any:  # noqa: ANN401 - any key's value
    """Return the value of a key."""
    found: Any = config
    for name in path:
        found = getattr(found, attribute_of(name))
    return found


def replaced(config: Config, path: KeyPath, value: object) -> Config:
    """Return the configuration with another value of a key.

    Raises:
        ValueError: The key's validator rejects it.
    """
    found: Config = _replaced(config, path, value)
    return found


def _replaced(section: Any, path: KeyPath, value: object) -> Any:  # noqa: ANN401 - any section, and the same again
    first, *rest = path
    name = attribute_of(first)
    inner = _replaced(getattr(section, name), tuple(rest), value) if rest else value
    return evolve(section, **{name: inner})
