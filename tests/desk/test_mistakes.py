"""What is wrong, in the language of the pages."""

import ast
from collections.abc import Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import reminderd
from reminderd.config.installation import LANGUAGES
from reminderd.core.tables.columns import ColumnsError, columns_of
from reminderd.desk.catalog import Catalog, catalog_of, translations_of
from reminderd.desk.mistakes import _PLACE, FIELDS, PIECES, SHOWN_INSTEAD, mistake_of

BERLIN = ZoneInfo("Europe/Berlin")
ENGLISH = catalog_of("en", zone=BERLIN)
GERMAN = catalog_of("de", zone=BERLIN)
PACKAGE = Path(reminderd.__file__).parent


def test_each_half_of_a_mistake_is_shown_in_the_language_with_its_field() -> None:
    what = "phone_number: not a number as it is dialed in Germany (DE)"
    expected = "expected a number that exists, with + and the country code"
    assert mistake_of(GERMAN, f"{what}; {expected}") == (
        "Telefonnummer: keine Nummer, wie sie in Germany (DE) gewählt wird; "
        "erwartet wird eine Nummer, die es gibt, mit + und Ländervorwahl"
    )


def test_several_mistakes_and_a_warning_of_a_row_are_taken_apart() -> None:
    assert mistake_of(GERMAN, "line 3: phone_number: not a phone number; expected one; message: empty") == (
        "Zeile 3: Telefonnummer: keine Telefonnummer; erwartet wird genau eine Angabe; Nachricht: leer"
    )
    warning = "line 4: warning: message: [NAME] would be read aloud as it stands; expected the patient's own text"
    assert mistake_of(GERMAN, warning).startswith("Zeile 4: Nachricht: [NAME] würde so vorgelesen")


def test_how_a_table_is_read_is_shown_in_the_language() -> None:
    assert mistake_of(GERMAN, "UTF-8, semicolons between cells") == "UTF-8, Semikolons zwischen den Zellen"
    assert mistake_of(GERMAN, "above the header: 2 rows skipped") == "über der Kopfzeile: 2 Zeilen übersprungen"


def test_options_of_the_command_are_said_as_the_page_has_them() -> None:
    assert mistake_of(ENGLISH, "no line decides; expected --dates dmy or --dates mdy") == (
        "no line decides; choose under “More” whether the day or the month is first"
    )


@pytest.mark.parametrize(
    "header",
    [
        ["phone", "message", "date", "time"],
        ["phone", "message"],
        ["phone", "message", "appointment at"],
        ["phone", "phone", "message", "call at"],
        ["phone", "message", "call at", "id"],
    ],
)
@pytest.mark.parametrize("catalog", [ENGLISH, GERMAN], ids=["en", "de"])
def test_what_is_wrong_with_a_header_names_no_option_of_the_command(catalog: Catalog, header: list[str]) -> None:
    with pytest.raises(ColumnsError) as told:
        columns_of(header, {})
    for mistake in told.value.mistakes:
        assert "--map" not in mistake_of(catalog, mistake)


def test_words_of_ours_in_a_place_are_shown_in_the_language_and_others_as_they_are() -> None:
    missing = "name: missing; expected the name that the template visit mentions"
    assert mistake_of(GERMAN, missing) == (
        "Name des Patienten: fehlt; erwartet wird die Angabe (Name des Patienten), die die Vorlage visit nennt"
    )
    assert "Add kann 47 sein" in mistake_of(
        GERMAN, "ref: Add may be 47, rewritten by a spreadsheet, as both have the same phone number"
    )


@pytest.mark.parametrize(
    "text", ["", "what nobody knows", "100% of it; and: more", "x" * 10_000, "; ; ", "odd: 5 %(x)s"]
)
def test_what_is_not_known_stays_as_it_is(text: str) -> None:
    assert mistake_of(GERMAN, text) == text


@pytest.mark.parametrize("language", [language for language in LANGUAGES if language != "en"])
def test_every_piece_is_translated(language: str) -> None:
    translations = translations_of(language)
    texts = {*PIECES, *SHOWN_INSTEAD.values(), *FIELDS.values()}
    assert [text for text in texts if translations.gettext(text) == text] == []


def test_every_piece_is_what_a_check_says() -> None:
    """A check with a new wording would be shown in English from then on."""
    said = list(_texts_of_the_checks())
    parts = {part.strip() for piece in (*PIECES, *SHOWN_INSTEAD) for part in _PLACE.split(piece)[::2]}
    assert [part for part in parts if not any(part in text for text in said)] == []


def _texts_of_the_checks() -> Iterator[str]:
    """Every text in the checks' code: of an f-string, what does not change and the constants that it names."""
    for folder in ("core", "imports", "store"):
        for file in (PACKAGE / folder).rglob("*.py"):
            tree = ast.parse(file.read_text())
            named = {
                node.target.id: node.value.value
                for node in ast.walk(tree)
                if isinstance(node, ast.AnnAssign)
                and isinstance(node.target, ast.Name)
                and isinstance(node.value, ast.Constant)
                and isinstance(node.value.value, str)
            }
            for node in ast.walk(tree):
                if isinstance(node, ast.JoinedStr):
                    yield "".join(_part(one, named) for one in node.values)
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


def _part(one: ast.expr, named: dict[str, str]) -> str:
    if isinstance(one, ast.Constant):
        return str(one.value)
    name = one.value.id if isinstance(one, ast.FormattedValue) and isinstance(one.value, ast.Name) else ""
    return named.get(name, "\0")
