"""Every language of the pages is complete, with the same places to fill in, and with nothing that no page shows."""

import re

import pytest

from reminderd.config.installation import LANGUAGES
from tests.support.languages import allowed, as_entries, lacking, needed, source_of, translated

OTHERS = LANGUAGES[1:]


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_text(language: str) -> None:
    missing = lacking(language)
    assert not missing, f"languages/{language}.po lacks:\n\n{as_entries(missing)}"


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_nothing_that_no_page_shows(language: str) -> None:
    ours = needed() | allowed()
    unknown = [message.id for message in translated(language) if message.id and message.id not in ours]
    assert unknown == [], f"languages/{language}.po has texts that nothing shows"


@pytest.mark.parametrize("language", OTHERS)
def test_a_translation_has_the_places_of_its_text(language: str) -> None:
    for message in translated(language):
        if not message.id:
            continue
        texts = [message.id] if isinstance(message.id, str) else list(message.id)
        strings = [message.string] if isinstance(message.string, str) else list(message.string or ())
        assert places(strings[-1]) == places(texts[-1]), message.id
        assert places(strings[0]) <= places(texts[0]) | places(texts[-1]), message.id


@pytest.mark.parametrize("language", OTHERS)
def test_each_text_is_there_once_and_nothing_is_left_to_look_at(language: str) -> None:
    catalog = translated(language)
    assert [message.id for message in catalog if message.id and "fuzzy" in message.flags] == []
    assert not catalog.obsolete
    written = re.findall(r"^msgid (.+)", source_of(language), re.MULTILINE)
    assert sorted(text for text in set(written) if written.count(text) > 1) == []


@pytest.mark.parametrize("language", OTHERS)
def test_a_text_that_is_translated_twice_stays_as_it_is(language: str) -> None:
    """A notice is translated when it is stored, and again where it is shown."""
    strings = {str(one.id): str(one.string) for one in translated(language) if isinstance(one.id, str) and one.id}
    assert [string for string in strings.values() if strings.get(string, string) != string] == []


def places(text: str) -> set[str]:
    """Return the names of what is filled in."""
    return set(re.findall(r"%\((\w+)\)s|(\{\w+\})|(%%)", text))
