from collections.abc import Callable
from pathlib import Path

import pytest

from reminderd.config import Config, ConfigError, load_config

Load = Callable[..., Config]
Errors = Callable[..., list[str]]


def test_the_default_is_the_sandbox_and_a_database_in_the_working_directory(tmp_path: Path) -> None:
    config = load_config(None, {}, tmp_path)
    assert config.provider.kind == "sandbox"
    assert config.database.path == tmp_path / "reminderd.db"
    assert config.path is None


def test_config_toml_in_the_working_directory_is_read_if_it_is_there(load: Load, tmp_path: Path) -> None:
    config = load("[worker]\ndialers = 3")
    assert config.worker.dialers == 3
    assert config.path == tmp_path / "config.toml"


def test_the_file_named_by_the_caller_wins_over_the_one_named_by_the_environment(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"{number}.toml").write_text(f"[worker]\ndialers = {number}")
    environ = {"REMINDERD_CONFIG": "2.toml"}
    assert load_config(None, environ, tmp_path).worker.dialers == 2
    assert load_config(Path("1.toml"), environ, tmp_path).worker.dialers == 1


def test_relative_paths_are_relative_to_the_files_folder(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "clinic.toml").write_text('[database]\nurl = "sqlite:///a/b.db"\n[log]\nfile = "c.log"')
    config = load_config(etc / "clinic.toml", {}, tmp_path)
    assert config.database.path == etc / "a/b.db"
    assert config.log.path == etc / "c.log"


def test_all_errors_are_reported_at_once_with_their_places(errors: Errors) -> None:
    found = errors(
        """
        dialers = 3
        [workr]
        dialers = 1
        [worker]
        dialers = "8"
        poll_interval_secnds = 1
        [web]
        port = true
        [provider]
        kind = "generic"
        [provider.generic]
        webhook_secret = "abc"
        [calling]
        start = "08:00"
        end = "08:00"
        [retry]
        first_delay_seconds = 400
        """,
        {"REMINDERD__WORKER__DIALRS": "1", "REMINDERD__LOG__LEVEL": "debug"},
    )
    places = [line.split(": is")[0].split(": unknown")[0].split(": decodes")[0].split(": 'debug'")[0] for line in found]
    assert sorted(places) == [
        "config.toml: [calling].end",
        "config.toml: [calling].timezone",
        "config.toml: [provider.generic].api_key",
        "config.toml: [provider.generic].api_url",
        "config.toml: [provider.generic].webhook_secret",
        "config.toml: [retry].max_delay_seconds",
        "config.toml: [web].port",
        "config.toml: [worker].dialers",
        "config.toml: [worker].poll_interval_secnds",
        "config.toml: [workr]",
        "config.toml: dialers",
        "environment REMINDERD__LOG__LEVEL",
        "environment REMINDERD__WORKER__DIALRS",
    ]
    assert all("; expected " in line for line in found)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ("[worker]\ndialrs = 1", "[worker].dialrs: unknown key (did you mean dialers?); expected one of poll_interval"),
        (
            "[provider.twilio]\nvoicemail_is_reached = true",
            "[provider.twilio].voicemail_is_reached: unknown key (did you mean [redial].voicemail_is_reached?);",
        ),
        ("[provider.generik]\nx = 1", "[provider.generik]: unknown section (did you mean provider.generic?)"),
        ("[web.tls]\nx = 1", "[web.tls]: unknown section; expected no section here"),
        ("port = 1", "config.toml: port: is outside of any section; expected [web].port or [metrics].port"),
        ("[[tls]]\nx = 1", "config.toml: [tls]: unknown section; expected one of database, worker"),
        ("nonsense = 1", "config.toml: nonsense: is outside of any section; expected a section above it"),
        ("worker = 5", "config.toml: [worker]: is not a section; expected [worker] with its keys below it"),
        ("[[worker]]\ndialers = 1", "config.toml: [worker]: is not a section"),
        ("[provider]\ngeneric = 1", "config.toml: [provider.generic]: is not a section"),
        ('[worker]\n"a\\nb" = 1', "[worker].…: unknown key"),
    ],
)
def test_a_key_or_section_in_the_wrong_place_is_an_error_with_a_suggestion(
    errors: Errors, toml: str, message: str
) -> None:
    (line,) = errors(toml)
    assert message in line


def test_a_syntax_error_is_reported_with_its_file_and_line(errors: Errors) -> None:
    (line,) = errors("[worker]\ndialers = \n")
    assert "config.toml: " in line
    assert "at line 2" in line


@pytest.mark.parametrize("section", ["[web]", "[provider.twilio]"])
def test_a_duplicate_section_is_named_as_written(errors: Errors, section: str) -> None:
    (line,) = errors(f"{section}\n{section}\n")
    assert f"config.toml: {section} is there twice (at line 2, " in line


def test_a_named_file_that_is_missing_is_an_error(tmp_path: Path) -> None:
    for path, environ, place in (
        (Path("no.toml"), {}, f"{tmp_path}/no.toml"),
        (None, {"REMINDERD_CONFIG": "no.toml"}, "environment REMINDERD_CONFIG"),
    ):
        with pytest.raises(ConfigError) as caught:
            load_config(path, environ, tmp_path)
        assert caught.value.errors == [f"{place}: there is no such file; expected the path of the configuration"]


def test_a_folder_instead_of_a_file_is_an_error(tmp_path: Path, errors: Errors) -> None:
    (tmp_path / "config.toml").mkdir()
    (line,) = errors(None)
    assert "can't be read" in line


def test_a_file_that_is_not_utf_8_is_an_error_with_its_line(tmp_path: Path, errors: Errors) -> None:
    (tmp_path / "config.toml").write_bytes(b'[web]\nhost = "\xff"\n')
    (line,) = errors(None)
    assert "config.toml: line 2 is not UTF-8" in line


def test_a_byte_order_mark_is_accepted(load: Load) -> None:
    assert load("\ufeff[worker]\ndialers = 2").worker.dialers == 2


def test_excessive_nesting_is_an_error(errors: Errors) -> None:
    assert len(errors("x = " + "[" * 100_000)) == 1


def test_with_a_syntax_error_the_environments_own_errors_are_still_reported(errors: Errors) -> None:
    environ = {
        "REMINDERD__WEB__PORT": "x",
        "VOICE_PROVIDER_API_URL": "https://p.example",
        "TWILIO_ACCOUNT_SID": f"AC{0:032}",
    }
    assert [line.partition(": ")[0] for line in errors("[", environ)][1:] == ["environment REMINDERD__WEB__PORT"]
