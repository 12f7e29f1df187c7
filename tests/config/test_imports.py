"""Profiles of imports: sections with names of the clinic's own."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from attrs import fields

from reminderd.config import Config, ConfigError, load_config, reload_changes
from reminderd.config.installation import ProfileConfig
from tests.config.test_example import EXAMPLE


@pytest.fixture
def loaded(tmp_path: Path) -> Callable[[str], Config]:
    def load(text: str) -> Config:
        (tmp_path / "config.toml").write_text(text, encoding="utf-8")
        return load_config(None, {}, tmp_path)

    return load


def errors_of(loaded: Callable[[str], Config], text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        loaded(text)
    return caught.value.errors


def test_a_profile_is_a_section_with_a_name_of_the_clinics_own(loaded: Callable[[str], Config]) -> None:
    config = loaded("""
        [messages.templates]
        checkup = "Your check-up is tomorrow."
        [import.profiles.practice]
        encoding = "windows-1252"
        template = "checkup"
        columns = { phone_number = "Handy" }
        [import.profiles.practice.status]
        "Verschoben" = "over"
        [import.profiles.lab]
    """)
    assert config.import_.profiles == {
        "practice": ProfileConfig(
            encoding="windows-1252",
            template="checkup",
            columns={"phone_number": "Handy"},
            status={"Verschoben": "over"},
        ),
        "lab": ProfileConfig(),
    }


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ('encoding = "klingon"', "].encoding", "is unknown; expected a name like utf-8"),
        ('dates = "ymd"', "].dates", '(did you mean mdy?); expected one of "", "dmy", "mdy"'),
        (
            'columns = { phone_numbr = "Handy" }',
            "].columns",
            "an unknown column (did you mean phone_number?)",
        ),
        ('columns = { phone_number = "" }', "].columns", "the header for phone_number is empty"),
        ('status = { "Moved" = "ended" }', "].status", "entry 1 has a meaning that is unknown; expected a section of"),
        ('status = { "No-Show" = "over", "no show" = "over" }', "].status", "entry 2 is empty, or the same word"),
        ('template = "checkup"', "].template", "is not in [messages.templates]; expected it there"),
        ('files = "daily/*.csv"', "].files", "contains a slash"),
        ('format = "xlsx"', "].format", 'is unknown; expected one of "", "csv"'),
        ('format = "ics"', "].columns", "has no phone_number; expected it with a property of calendars"),
        ('country = "Germany"', "].country", "is not a country code"),
        ('country = "DE"\n[clinic]\ncountry = "US"', "].country", "is no country that may be called; expected one of"),
        ('datse = "dmy"', "].datse", "unknown key"),
        ("files = 3", "].files", "is a whole number; expected a pattern"),
    ],
)
def test_a_mistake_in_a_profile_names_the_profile_and_the_key(
    loaded: Callable[[str], Config], text: str, where: str, words: str
) -> None:
    [error] = errors_of(loaded, f"[import.profiles.practice]\n{text}")
    assert error.startswith(f"config.toml: [import.profiles.practice{where}: ")
    assert words in error


def test_every_mistake_in_every_profile_is_listed(loaded: Callable[[str], Config]) -> None:
    found = errors_of(
        loaded,
        '[import.profiles.one]\ndates = "ymd"\nfiles = ""\n'
        '[import.profiles.two]\nencoding = "klingon"\n[import.profile]\n',
    )
    assert [error.partition(": ")[2].partition(":")[0] for error in found] == [
        "[import.profiles.one].files",
        "[import.profiles.one].dates",
        "[import.profiles.two].encoding",
        "[import.profile]",
    ]
    assert found[-1].endswith("unknown section (did you mean import.profiles?); expected one of import.profiles")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[import.profiles."Our Lab"]', "the name of section 1 is not allowed; expected sections like"),
        ("[import]\nprofiles = 3", "is not a section; expected sections like"),
        ("[import.profiles]\npractice = 3", "contains something other than sections; expected sections like"),
    ],
)
def test_a_profile_must_be_a_section(loaded: Callable[[str], Config], text: str, words: str) -> None:
    [error] = errors_of(loaded, text)
    assert error.startswith(f"config.toml: [import].profiles: {words}")


def test_profiles_may_change_while_the_daemon_runs(loaded: Callable[[str], Config]) -> None:
    before, after = loaded(""), loaded('[import.profiles.practice]\ndates = "dmy"')
    found = reload_changes(before, after)
    assert (found.at_once, found.later) == ((("import", "profiles"),), ())
    assert found.config.import_ == after.import_


def test_the_example_explains_every_key_of_a_profile() -> None:
    written = re.findall(r"^#     ([a-z_]+) = .*#", EXAMPLE.read_text(encoding="utf-8"), re.MULTILINE)
    assert written == [attribute.name for attribute in fields(ProfileConfig)]


def test_a_relative_folder_is_next_to_the_configuration(loaded: Callable[[str], Config], tmp_path: Path) -> None:
    assert loaded('[import]\nfolder = "inbox"').import_.path == tmp_path / "inbox"
    assert loaded("").import_.path is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('folder = "."', "is the folder of this configuration; expected one to which only files to import come"),
        ('folder = "logs"\n[log]\nfile = "logs/reminderd.log"', "is the folder of the log; expected"),
        ('folder = "copies"\n[backup]\nfolder = "copies"', "is the folder of the backups; expected"),
        ('folder = "keys"\n[api]\ntoken_file = "keys/token"', "is the folder of a file with secrets; expected"),
        ('folder = "data"\n[database]\nurl = "sqlite:///data/a.db"', "is the folder of the database; expected"),
        ('expect_by = "06:30"\n[calling]\ntimezone = "Europe/Berlin"', "is missing; expected the folder to which"),
    ],
)
def test_the_folder_is_for_files_to_import_alone(
    loaded: Callable[[str], Config], tmp_path: Path, text: str, words: str
) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "token").write_text("x" * 40)
    (tmp_path / "keys" / "token").chmod(0o600)
    [error] = errors_of(loaded, f"[import]\n{text}")
    assert error.startswith(f"config.toml: [import].folder: {words}")


def test_a_time_for_the_file_needs_the_clinics_time_zone(loaded: Callable[[str], Config]) -> None:
    [error] = errors_of(loaded, '[import]\nfolder = "inbox"\nexpect_by = "06:30"')
    assert error.startswith("config.toml: [calling].timezone: is missing, but needed for [import].expect_by")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            'folder = "inbox"\nexpect_by = "06:30"\nexpect_profile = "lab"',
            "is not in [import.profiles]; expected one of",
        ),
        (
            'folder = "inbox"\nexpect_profile = "practice"',
            "is missing; expected the time by which a file of that profile",
        ),
    ],
)
def test_an_expected_file_is_one_of_a_profile_that_there_is(
    loaded: Callable[[str], Config], text: str, words: str
) -> None:
    errors = errors_of(loaded, f'[calling]\ntimezone = "UTC"\n[import]\n{text}\n[import.profiles.practice]\n')
    assert any(words in error for error in errors)
