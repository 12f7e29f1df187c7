import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.csv_columns import _KNOWN, FIELDS, ColumnsError, columns_of, plain


def mistakes(header: list[str], **chosen: str) -> list[str]:
    with pytest.raises(ColumnsError) as caught:
        columns_of(header, chosen)
    return caught.value.mistakes


@pytest.mark.parametrize(
    "header",
    [
        ["phone", "message", "at", "ref", "expires", "timezone"],
        ["Telefon-Nr.", "NACHRICHT", "Datum und Uhrzeit", "Termin-ID", "gültig bis", "Zeitzone"],
        ["Número de teléfono", "Mensaje", "Fecha y hora", "Número de cita", "válido hasta", "Zona horaria"],
        ["N° de téléphone", "Texte", "Date et heure", "Référence", "Jusqu'à", "Fuseau horaire"],
        ["phone_number", "message", "scheduled_at", "ref", "expires_at", "timezone"],
    ],
)
def test_columns_are_found_in_four_languages(header: list[str]) -> None:
    fields = ("phone_number", "message", "scheduled_at", "ref", "expires_at", "timezone")
    found = columns_of(header, {})
    assert found.places == {field: (place,) for place, field in enumerate(fields)}
    assert found.ignored == ()


def test_unknown_columns_are_named() -> None:
    assert columns_of(["Name", "phone", "message", "", "at"], {}).ignored == ("Name", "")


def test_date_and_time_are_put_together() -> None:
    columns = columns_of(["Uhrzeit", "Telefon", "Text", "Datum"], {})
    assert columns.text("scheduled_at", ["16:00", "+49", "Hello", "01.03.2027"]) == "01.03.2027 16:00"
    assert columns.text("phone_number", ["16:00"]) == ""
    assert columns.text("ref", ["16:00"]) == ""


@pytest.mark.parametrize("name", ["Date", "Time"])
def test_a_date_or_time_alone_may_hold_both(name: str) -> None:
    assert columns_of([name, "phone", "message"], {}).places["scheduled_at"] == (0,)


def test_two_columns_for_one_field_are_a_mistake_that_names_them() -> None:
    [fits, found] = mistakes(["Phone", "Mobile", "message", "at"])
    assert fits == 'phone_number: 2 columns fit, "Phone", "Mobile"; expected one, or --map phone_number=HEADER'
    assert found == 'found: "Phone", "Mobile", "message", "at"'


def test_a_time_in_two_ways_is_a_mistake() -> None:
    assert (
        'scheduled_at: more than one way to read it, "Termin", "Datum"'
        in mistakes(["Termin", "Datum", "phone", "message"])[0]
    )


def test_everything_that_is_missing_is_told_at_once() -> None:
    told = mistakes(["name"])
    assert [line.partition(":")[0] for line in told] == ["phone_number", "message", "scheduled_at", "found"]
    assert mistakes([])[-1] == "found: nothing"


def test_a_chosen_header_overrules() -> None:
    header = ["Phone", "Mobile", "message", "at", "date", "time"]
    places = columns_of(header, {"phone_number": "mobile", "scheduled_at": "at"}).places
    assert (places["phone_number"], places["scheduled_at"]) == ((1,), (3,))
    assert columns_of(header, {"phone_number": "Mobile", "date": "date", "time": "time"}).places["scheduled_at"] == (
        4,
        5,
    )


def test_a_chosen_column_is_nothing_else_besides() -> None:
    places = columns_of(["Handy", "Text", "at", "id"], {"message": "id"}).places
    assert places == {"phone_number": (0,), "message": (3,), "scheduled_at": (2,)}


def test_a_chosen_header_that_is_not_there_or_twice_is_a_mistake() -> None:
    told = mistakes(["phone", "message", "message", "at"], ref="case", phone_number="—", message="message")
    assert told[:2] == ['ref: there is no column "case"', 'phone_number: there is no column "—"']
    assert told[2].startswith("message: 2 columns fit")


def test_a_file_without_a_header_shows_no_number() -> None:
    told = mistakes(["+4930123456", "x" * 100])
    assert told[-1] == f'found: "+…", "{"x" * 40}"'


def test_every_synonym_is_one_fields_only_and_survives_case_and_punctuation() -> None:
    assert set(_KNOWN.values()) == set(FIELDS)
    for name, field in _KNOWN.items():
        assert _KNOWN[plain(f" {name.upper()}: ")] == field


@given(st.lists(st.text()))
def test_any_header_is_read_or_refused(header: list[str]) -> None:
    with pytest.raises(ColumnsError):
        columns_of([name for name in header if plain(name) not in _KNOWN], {})
