"""`import --profile`: a file is read as the configuration says, so that nothing about it is asked again."""

import pytest

from tests.cli.conftest import Terminal
from tests.cli.test_import_files import clinic, stored

__all__ = ["clinic"]

PROFILE = """
[import.profiles.praxis]
encoding = "windows-1252"
dates = "dmy"
country = "DE"
template = "checkup"
columns = { phone_number = "Anschluss", scheduled_at = "Wann anrufen", appointment_at = "" }
status = { "Verschoben" = "over" }
"""
ROWS = """Terminnummer;Anschluss;Wann anrufen;Notiz;Terminstatus
4711;030 123456;1/3/2040 16:00;Ibañez;gebucht
4712;030 123457;2/3/2040 16:00;;Verschoben
"""


@pytest.fixture
def praxis(clinic: Terminal) -> Terminal:
    config = clinic.folder / "config.toml"
    config.write_text(config.read_text().replace("On {date} at {time}.", "Please come.") + PROFILE)
    (clinic.folder / "list.csv").write_text(ROWS, encoding="cp1252")
    return clinic


def test_a_profile_answers_everything_that_would_be_asked(praxis: Terminal) -> None:
    said = praxis.type("import", "list.csv", "--profile", "praxis").stdout
    assert "list.csv: Windows-1252, semicolons between cells" in said
    assert "1 added, 0 changed, 0 unchanged, 0 rejected, 1 not needed" in said
    columns = ("ref", "phone_number", "message", "scheduled_at")
    assert stored(praxis, *columns) == [("4711", "+4930123456", "Please come.", "2040-03-01 16:00")]


def test_what_is_typed_overrules_the_profile(praxis: Terminal) -> None:
    praxis.type("import", "list.csv", "--profile", "praxis", "--dates", "mdy", "--map", "ref=Notiz")
    assert stored(praxis, "ref", "scheduled_at") == [("Ibañez", "2040-01-03 16:00")]


def test_an_unknown_profile_is_wrong_usage(praxis: Terminal) -> None:
    said = praxis.type("import", "list.csv", "--profile", "praxi", code=2).stderr
    assert said == '--profile: "praxi" is unknown (did you mean praxis?); expected one of praxis\n'


def test_a_header_of_the_profile_that_the_file_lacks_is_named(praxis: Terminal) -> None:
    (praxis.folder / "list.csv").write_text(ROWS.replace("Anschluss", "Leitung"), encoding="cp1252")
    said = praxis.type("import", "list.csv", "--profile", "praxis", code=2).stderr
    assert 'phone_number: there is no column "Anschluss"' in said


def test_a_profile_that_explains_status_words_says_whose_status_it_is(praxis: Terminal) -> None:
    """A header that is just Status may be about something else; here, a word that nobody knows rejects its line."""
    rows = ROWS.replace("Terminstatus", "Status") + "4713;030 123458;3/3/2040 16:00;;privat\n"
    (praxis.folder / "list.csv").write_text(rows, encoding="cp1252")
    said = praxis.type("import", "list.csv", "--profile", "praxis", code=1).stdout
    assert "1 added, 0 changed, 0 unchanged, 1 rejected, 1 not needed" in said
    assert "status: unknown word" in said
