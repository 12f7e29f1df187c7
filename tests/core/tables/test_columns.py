import pytest
from hypothesis import given
from hypothesis import strategies as st

from reminderd.core.tables.columns import FIELDS, Columns, ColumnsError, columns_of
from reminderd.core.tables.words import _NAMES, KNOWN, PHONES, is_header, normal_header, role_of

EXPECTED = "expected [reminders].before in the configuration, by which the calls are planned,"
EXPECTED += ' or a column added with the header "call at" and times like 2027-03-01 16:00'


def mistakes(header: list[str], **chosen: str) -> list[str]:
    with pytest.raises(ColumnsError) as caught:
        columns_of(header, chosen)
    return caught.value.mistakes


@pytest.mark.parametrize(
    "header",
    [
        ["phone", "message", "at", "ref", "expires", "timezone", "language"],
        ["Telefon-Nr.", "NACHRICHT", "Anruf am", "Termin-ID", "gültig bis", "Zeitzone", "Sprache"],
        ["Número de teléfono", "Mensaje", "Llamar el", "Número de cita", "válido hasta", "Zona horaria", "Idioma"],
        ["N° de téléphone", "Texte", "Date d'appel", "N° de rendez-vous", "Jusqu'à", "Fuseau horaire", "Langue"],
        ["phone_number", "message", "scheduled_at", "ref", "expires_at", "timezone", "language"],
    ],
)
def test_columns_are_found_in_four_languages(header: list[str]) -> None:
    fields = ("phone_number", "message", "scheduled_at", "ref", "expires_at", "timezone", "language")
    found = columns_of(header, {})
    assert found.places == {field: (place,) for place, field in enumerate(fields)}
    assert found.ignored == ()


def test_unknown_columns_are_named() -> None:
    assert columns_of(["Age", "phone", "message", "", "at"], {}).ignored == ("Age", "")


def test_date_and_time_columns_are_combined() -> None:
    columns = columns_of(["Anrufzeit", "Telefon", "Text", "Anrufdatum"], {})
    assert columns.text("scheduled_at", ["16:00", "+49", "Hello", "01.03.2027"]) == "01.03.2027, 16:00"
    assert columns.text("scheduled_at", ["", "+49", "Hello", " "]) == ""
    assert columns.text("phone_number", ["16:00"]) == ""
    assert columns.text("ref", ["16:00"]) == ""


@pytest.mark.parametrize("name", ["Call date", "Call time"])
def test_a_date_or_time_alone_may_hold_both(name: str) -> None:
    assert columns_of([name, "phone", "message"], {}).places["scheduled_at"] == (0,)


@pytest.mark.parametrize(
    "times", [["Termin"], ["Rendez-vous"], ["ApptDate"], ["Appointment Date", "Appointment Time"]], ids=" ".join
)
def test_the_time_of_an_appointment_is_never_the_time_to_call(times: list[str]) -> None:
    [told, _] = mistakes(["phone", "message", *times])
    names = ", ".join(f'"{name}"' for name in times)
    assert told.startswith(
        f"scheduled_at: no column for the time to call, only for the appointment's: {names}; expected"
    )
    assert told.endswith("or --map scheduled_at=HEADER if there is one")


@pytest.mark.parametrize(
    ("times", "maps"),
    [
        (["Date", "Time"], '--map date="Date" --map time="Time"'),
        (["Uhrzeit", "Datum"], '--map date="Datum" --map time="Uhrzeit"'),
        (["Fecha y hora"], '--map scheduled_at="Fecha y hora"'),
        (["Jour"], '--map scheduled_at="HEADER"'),
        (["Zeitpunkt", "Datum", "Zeit"], '--map scheduled_at="HEADER"'),
        (["Datum", "Termin um"], '--map scheduled_at="HEADER"'),
    ],
)
def test_an_unlabeled_time_is_not_the_time_to_call(times: list[str], maps: str) -> None:
    [told, _] = mistakes(["phone", "message", *times])
    assert told.startswith("scheduled_at: no column for the time to call: ")
    assert told.endswith(f"may be the appointment's; {EXPECTED}, or {maps} if that is the time to call")


def test_next_to_the_time_to_call_date_and_time_are_the_appointments() -> None:
    places = columns_of(["phone", "message", "Date", "Time", "Call Date", "Call Time"], {}).places
    assert (places["appointment_at"], places["scheduled_at"]) == ((2, 3), (4, 5))
    columns = columns_of(["phone", "message", "at", "Date", "Appointment Date", "Appointment Time"], {})
    assert (columns.places["appointment_at"], columns.ignored) == ((4, 5), ("Date",))


@pytest.mark.parametrize("times", [["Date", "Datum"], ["Zeitpunkt", "Datum"], ["When", "Time"], ["Zeit", "Uhrzeit"]])
def test_two_possible_appointment_times_are_an_error(times: list[str]) -> None:
    [told, _] = mistakes(["phone", "message", "at", *times])
    names = ", ".join(f'"{name}"' for name in times)
    assert told.startswith(
        f"appointment_at: more than one way to read it, {names}; expected --map appointment_at=HEADER"
    )
    assert columns_of(["phone", "message", "at", "Termin", *times], {}).places["appointment_at"] == (3,)
    assert columns_of(["phone", "message", "at", *times], {"appointment_at": ""}).ignored == tuple(times)


def test_mapped_date_and_time_columns_are_the_time_to_call() -> None:
    places = columns_of(["phone", "message", "Date", "Time"], {"date": "Date", "time": "Time"}).places
    assert places == {"phone_number": (0,), "message": (1,), "scheduled_at": (2, 3)}
    places = columns_of(["phone", "message", "at", "Termin"], {"appointment_at": ""}).places
    assert places == {"phone_number": (0,), "message": (1,), "scheduled_at": (2,)}
    places = columns_of(["phone", "message", "at", "A", "B"], {"appointment_date": "A", "appointment_time": "B"}).places
    assert places["appointment_at"] == (3, 4)


def test_the_mobile_number_is_called_before_other_numbers() -> None:
    columns = columns_of(["Work Phone", "Patient Home Phone", "message", "at", "Patient's Mobile Number", "Phone"], {})
    assert columns.places["phone_number"] == (4, 5, 1, 0)
    assert columns.text("phone_number", ["w", "h", "", "", "m", "p"]) == "m"
    assert columns.text("phone_number", ["w", "h", "", "", "-", " "]) == "h"
    assert columns.text("phone_number", ["w"]) == "w"
    assert columns.text("phone_number", ["", "", "", "", "", ""]) == ""
    assert columns.text("phone_number", []) == ""


def test_a_mapped_phone_column_is_the_only_one() -> None:
    columns = columns_of(["home phone", "mobile", "message", "at"], {"phone_number": "home phone"})
    assert columns.places["phone_number"] == (0,)
    assert columns.ignored == ("mobile",)


@pytest.mark.parametrize("name", ["ID", "Appointment", "Booking", "Case Number", "Kennung"])
def test_an_ambiguous_header_is_not_the_ref_until_it_is_mapped(name: str) -> None:
    header = ["phone", "message", "at", name]
    [told, _] = mistakes(header)
    expected = f'expected --map ref="{name}" if it is, or --map ref= if it is not'
    assert told == f'ref: "{name}" may be your own unique name of each reminder, or something else; {expected}'
    assert columns_of(header, {"ref": name}).places["ref"] == (3,)
    assert "ref" not in columns_of(header, {"ref": ""}).places
    assert columns_of([*header, "Booking ID"], {}).places["ref"] == (4,)


@pytest.mark.parametrize("name", ["Appointment ID", "Booking ID", "Terminnummer", "ApptGUID", "ref"])
def test_an_unmistakable_header_is_the_ref(name: str) -> None:
    assert columns_of(["phone", "message", "at", name], {}).places["ref"] == (3,)


@pytest.mark.parametrize("name", ["Patient ID", "Patient Account Number", "ClinicID", "First Name"])
def test_columns_that_name_a_patient_or_clinic_are_ignored(name: str) -> None:
    assert columns_of(["phone", "message", "at", name], {}).ignored == (name,)


def test_what_a_template_may_speak_is_one_column_or_none() -> None:
    header = ["phone", "template", "at", "Patient Name", "Doctor", "Location"]
    places = columns_of(header, {}).places
    assert (places["name"], places["provider"], places["place"]) == ((3,), (4,), (5,))
    two = columns_of([*header, "Patient"], {})
    assert "name" not in two.places
    assert two.ignored == ("Patient Name", "Patient")
    assert columns_of([*header, "Patient"], {"name": "Patient"}).places["name"] == (6,)
    assert "name" not in columns_of(header, {"name": ""}).places


def test_a_row_with_two_known_names_is_a_header() -> None:
    assert is_header(["phone", "", "message"])
    assert not is_header(["Appointments", "", "message"])
    assert is_header(["Wann", "Praxis"], also=frozenset({"praxis"}))


def test_two_columns_for_one_field_are_an_error_that_names_them() -> None:
    [fits, found] = mistakes(["Mobile", "Cell Phone", "message", "at"])
    assert fits == 'phone_number: 2 columns fit, "Mobile", "Cell Phone"; expected one, or --map phone_number=HEADER'
    assert found == 'headers found: "Mobile", "Cell Phone", "message", "at"'


def test_a_time_in_two_forms_is_an_error() -> None:
    assert (
        'scheduled_at: more than one way to read it, "at", "Anrufdatum"'
        in mistakes(["at", "Anrufdatum", "phone", "message"])[0]
    )


def test_everything_that_is_missing_is_listed_at_once() -> None:
    told = mistakes(["name"])
    assert [line.partition(":")[0] for line in told] == ["scheduled_at", "phone_number", "message", "headers found"]
    assert mistakes([])[-1] == "headers found: nothing"


def test_a_mapped_header_overrides_the_guess() -> None:
    header = ["Phone", "Mobile", "message", "at", "date", "time"]
    places = columns_of(header, {"phone_number": "mobile", "scheduled_at": "at"}).places
    assert (places["phone_number"], places["scheduled_at"]) == ((1,), (3,))
    assert columns_of(header, {"phone_number": "Mobile", "date": "date", "time": "time"}).places["scheduled_at"] == (
        4,
        5,
    )


def test_a_mapped_column_is_used_for_nothing_else() -> None:
    places = columns_of(["Handy", "Text", "at", "id"], {"message": "id"}).places
    assert places == {"phone_number": (0,), "message": (3,), "scheduled_at": (2,)}


def test_a_mapped_header_that_is_missing_or_duplicate_is_an_error() -> None:
    told = mistakes(["phone", "message", "message", "at"], ref="case", phone_number="—", message="message")
    assert told[:2] == ['ref: there is no column "case"', 'phone_number: there is no column "—"']
    assert told[2].startswith("message: 2 columns fit")


def test_a_file_without_a_header_shows_no_number() -> None:
    told = mistakes(["+4930123456", "x" * 100])
    assert told[-1] == f'headers found: "+…", "{"x" * 40}"'


def test_every_synonym_has_one_meaning_in_any_case_and_punctuation() -> None:
    unsure = {"some_at", "some_date", "some_time", "some_ref", "some_status"}
    assert set(KNOWN.values()) == {*FIELDS, *PHONES, *unsure} - {"phone_number"}
    pairs = {(normal_header(name), role) for role, names in _NAMES.items() for name in names.split(",")}
    assert len(pairs) == len(KNOWN)
    for name, role in KNOWN.items():
        assert role_of(f" {name.upper()}: ") == role


@given(st.lists(st.text()))
def test_any_header_is_read_or_rejected(header: list[str]) -> None:
    with pytest.raises(ColumnsError):
        columns_of([name for name in header if role_of(name) is None], {})


@pytest.mark.parametrize(
    ("header", "places"),
    [
        (["Phone", "Appointment at"], (1,)),
        (["Phone", "Date", "Time"], (1, 2)),
        (["Phone", "ApptDate"], (1,)),
        (["Handy", "Termin"], (1,)),
    ],
)
def test_where_calls_are_planned_a_table_needs_no_time_to_call(header: list[str], places: tuple[int, ...]) -> None:
    found = columns_of(header, {}, plans_calls=True)
    assert found.are_appointments
    assert found.places["appointment_at"] == places


def test_a_table_with_a_time_to_call_has_reminders_also_where_calls_are_planned() -> None:
    found = columns_of(["Phone", "Message", "Call at", "Appointment at"], {}, plans_calls=True)
    assert not found.are_appointments
    assert found.places["scheduled_at"] == (2,)


def test_where_calls_are_planned_a_table_needs_no_message() -> None:
    with pytest.raises(ColumnsError) as caught:
        columns_of(["Phone", "Name"], {}, plans_calls=True)
    assert [mistake.partition(":")[0] for mistake in caught.value.mistakes] == ["appointment_at", "headers found"]


def test_a_table_without_any_time_is_refused_also_where_calls_are_planned() -> None:
    with pytest.raises(ColumnsError, match="appointment_at: no column for the appointment's time; expected headers"):
        columns_of(["Phone", "Message"], {}, plans_calls=True)


@pytest.mark.parametrize(("name", "field"), [("Message", "message"), ("Not after", "expires_at")])
def test_what_is_of_a_call_alone_must_be_ignored_in_a_table_of_appointments(name: str, field: str) -> None:
    header = ["Phone", "Appointment at", name]
    with pytest.raises(ColumnsError) as caught:
        columns_of(header, {}, plans_calls=True)
    assert caught.value.mistakes[0] == (
        f'{field}: "{name}" is of a call, and the calls of appointments are planned;'
        f" expected --map {field}= to ignore it, or a column for the time to call"
    )
    assert columns_of(header, {field: ""}, plans_calls=True).ignored == (name,)


def test_more_than_one_column_for_the_type_of_appointment_is_refused() -> None:
    """The type decides when a patient is called, and what is spoken."""
    with pytest.raises(ColumnsError, match="appointment_type: 2 columns fit"):
        columns_of(["Phone", "Appointment at", "Appointment type", "Visit type"], {}, plans_calls=True)


def test_a_table_of_reminders_needs_a_message_also_if_it_is_said_that_it_has_none() -> None:
    with pytest.raises(ColumnsError, match="message: no column"):
        columns_of(["Phone", "Call at"], {"message": ""})


def test_the_headers_of_the_fields_are_given_in_the_order_of_the_table() -> None:
    header = ["Text", "Datum", "Mobile Phone", "Uhrzeit", "ID", "Home Phone"]
    columns = Columns(
        {"phone_number": (2, 5), "message": (0,), "appointment_at": (1, 3), "ref": (4,), "place": (9,)}, ignored=()
    )
    assert list(columns.headers(header).items()) == [
        ("message", "Text"),
        ("appointment_date", "Datum"),
        ("phone_number", "Mobile Phone"),
        ("appointment_time", "Uhrzeit"),
        ("ref", "ID"),
    ]
    at_once = Columns({"scheduled_at": (1,)}, ignored=())
    assert at_once.headers(header) == {"scheduled_at": "Datum"}
