"""Makes the sections of what was given: every key of the right type and within its bounds, or a mistake for it."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from attrs import Attribute, fields, frozen
from cattrs import ClassValidationError, Converter, ForbiddenExtraKeysError
from cattrs.gen import make_dict_structure_fn, override

from reminderd.config.coercion import described, typed
from reminderd.config.given import Given
from reminderd.config.keys import EXPECTED, did_you_mean
from reminderd.config.schema import Config, KeyPath, all_keys, members, section_of


@frozen
class _Found:
    """A mistake before it is known where the value came from."""

    path: KeyPath
    words: str
    section: bool = False


def structured(given: Given) -> Config:
    """The configuration; what was wrong in it is blamed, and left at its default."""
    converter = Converter()
    _teach(converter, Config)
    try:
        return converter.structure(given.tree, Config)
    except ClassValidationError as error:
        for found in _mistakes(error, (), given):
            given.blame(found.path, found.words, section=found.section)
    return converter.structure(given.tree, Config)


def _teach(converter: Converter, section: type) -> None:
    """Register how a section is made, the ones inside it first: its function takes theirs up when it is built."""
    overrides: dict[str, Any] = {attribute.name: override(omit=True) for attribute in fields(section)}
    for attribute in members(section):
        inner = section_of(attribute)
        if inner is None:
            overrides[attribute.name] = override(struct_hook=_reader(attribute))
        else:
            _teach(converter, inner)
            overrides[attribute.name] = override()
    make: Callable[[Mapping[str, Any], Any], Any] = make_dict_structure_fn(
        section, converter, _cattrs_forbid_extra_keys=True, **overrides
    )
    converter.register_structure_hook(section, make)


def _reader(attribute: "Attribute[Any]") -> Callable[[object, object], object]:
    """What reads one key; it runs the key's own check, so that all of a section's mistakes are found at once."""

    def read(value: object, _type: object) -> object:
        wanted = typed(value, attribute.type)
        if wanted is None:
            raise ValueError(f"{described(value, attribute.type)}; expected {attribute.metadata[EXPECTED]}")
        if attribute.validator is not None:
            attribute.validator(None, attribute, wanted)
        return wanted

    return read


def _mistakes(error: ClassValidationError, path: KeyPath, given: Given) -> Iterator[_Found]:
    """All that went wrong in a section and in the ones inside it."""
    of_keys, of_the_section = error.group_exceptions()
    for inner, note in of_keys:
        here = (*path, note.name)
        if isinstance(inner, ClassValidationError):
            yield from _mistakes(inner, here, given)
        else:
            yield _Found(here, str(inner))
    for inner in of_the_section:
        if not isinstance(inner, ForbiddenExtraKeysError):
            raise inner
        for name in sorted(inner.extra_fields):
            here = (*path, name)
            yield (
                _unknown_section(here, inner.cl) if isinstance(given.get(here), dict) else _unknown_key(here, inner.cl)
            )


def _unknown_section(path: KeyPath, parent: type) -> _Found:
    known = [".".join((*path[:-1], member.name)) for member in members(parent) if section_of(member)]
    meant = did_you_mean(".".join(path), known)
    expected = f"expected one of {', '.join(known)}" if known else "expected no section here"
    return _Found(path, f"unknown section{meant}; {expected}", section=True)


def _unknown_key(path: KeyPath, parent: type) -> _Found:
    known = [member.name for member in members(parent) if not section_of(member)]
    homes = [f"[{'.'.join(key[:-1])}].{key[-1]}" for key, _ in all_keys() if key[-1] == path[-1]]
    if not known:  # above the first section
        return _Found(path, f"is in no section; expected {' or '.join(homes) or 'a section above it, like [worker]'}")
    meant = f", did you mean {' or '.join(homes)}?" if homes else did_you_mean(path[-1], known)
    return _Found(path, f"unknown key{meant}; expected one of {', '.join(known)}")
