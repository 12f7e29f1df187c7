"""Language tags, and the names of languages as clinics write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.script.languages import _names, best_match, language_tag, read_language, voice_tag


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("es", "es"),
        ("ES-mx", "es-MX"),
        ("PT-br", "pt-BR"),
        ("zh-hans-cn", "zh-Hans-CN"),
        ("es-419", "es-419"),
        ("en-gb-SCOTLAND", "en-GB-scotland"),
        ("spa", "es"),
        ("ger", "de"),
        ("DEU", "de"),
    ],
)
def test_a_tag_has_one_form(text: str, tag: str) -> None:
    assert language_tag(text) == tag
    assert read_language(f" {text} ") == tag


@pytest.mark.parametrize(
    ("name", "tag"),
    [
        ("Spanish", "es"),
        ("SPANISCH", "es"),
        ("español", "es"),
        ("Espanol", "es"),
        ("polski", "pl"),
        ("Somali", "so"),
        ("Brazilian Portuguese", "pt-BR"),
        ("Mexican Spanish", "es-MX"),
    ],
)
def test_a_language_may_be_written_by_its_name(name: str, tag: str) -> None:
    assert read_language(name) == tag


@pytest.mark.parametrize("text", ["", " ", "es_MX", "Other", "e", "es-", "Spanish; English", "und", "mul", "xx", "qqq"])
def test_a_text_that_is_not_a_language_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^not a (language tag|known language); expected a language tag \(BCP 47\)"):
        read_language(text)


@pytest.mark.parametrize("text", ["Spanish", " es"])
def test_only_a_tag_is_stored(text: str) -> None:
    with pytest.raises(ValueError, match="not a language tag"):
        language_tag(text)


def test_every_name_that_is_understood_means_a_tag() -> None:
    tags = set(_names().values())
    assert len(tags) > 300
    assert {language_tag(tag) for tag in tags} == tags


def test_a_word_that_is_a_code_and_another_languages_name_is_read_as_the_code() -> None:
    assert read_language("Ga") == "ga"


@given(st.text())
def test_reading_a_tag_twice_changes_nothing(text: str) -> None:
    try:
        tag = read_language(text)
    except ValueError:
        return
    assert language_tag(tag) == tag


def test_the_exact_tag_is_preferred_then_another_region_then_none() -> None:
    assert best_match("es-US", ["es-MX", "ES-us"]) == "ES-us"
    assert best_match("es-AR", ["en-US", "es-MX", "es-US"]) == "es-MX"
    assert best_match("so", ["en-US", "es-MX"]) is None


@pytest.mark.parametrize(
    ("tag", "near", "voice"),
    [
        ("es", "en-US", "es-US"),
        ("es", "de-DE", "es-ES"),
        ("es-AR", "en-US", "es-AR"),
        ("de", "en", "de-DE"),
        ("ru", "en-US", "ru-RU"),
        ("gaa", "en-US", "gaa-GH"),
        ("tlh", "en-US", "tlh"),
    ],
)
def test_a_voice_is_asked_for_with_a_region_the_clinics_if_there_is_one(tag: str, near: str, voice: str) -> None:
    assert voice_tag(tag, near=near) == voice
