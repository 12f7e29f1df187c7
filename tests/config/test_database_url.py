import sys
from pathlib import Path

import pytest

from reminderd.config import ConfigError, config_warnings, files_with_secrets, load_config, reload_changes
from reminderd.databases import PostgresServer, SqliteFile
from tests.config.conftest import Errors, Load

PASSWORD = "s3cret"
SERVER = f"postgresql://clinic:{PASSWORD}@db.example.org/reminders"


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///a.db", "a.db"),
        ("sqlite:////var/lib/a.db", "/var/lib/a.db"),
        ("SQLITE:///folder/with%20space/a%25b.db", "folder/with space/a%b.db"),
        ("sqlite:///../caf%C3%A9.db", "../café.db"),
    ],
)
def test_a_database_url_names_a_file(load: Load, tmp_path: Path, url: str, path: str) -> None:
    assert load(f'[database]\nurl = "{url}"').database.path == tmp_path / path


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://user:s3cret@host/db", "the databases that are supported"),
        ("file:a.db", "the databases that are supported"),
        ("", "the databases that are supported"),
        ("sqlite://a.db", "three slashes"),
        ("sqlite:///", "names no file"),
        ("sqlite:///folder/", "names no file"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite:///a.db?mode=ro", "query"),
        ("sqlite:///a#b.db", "fragment"),
        ("sqlite:///100%.db", "%25"),
        ("sqlite:///%ff.db", "not UTF-8"),
        ("sqlite:///a%00.db", "control character"),
    ],
)
def test_any_other_database_url_is_an_error(errors: Errors, url: str, message: str) -> None:
    (line,) = errors(None, {"DATABASE_URL": url}) if url else errors('[database]\nurl = ""')
    assert message in line
    assert "s3cret" not in line


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://clinic@db.example.org/reminders",
        "postgres://clinic:s3cret@db.example.org:5433/reminders?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://clinic:p%40ss%2Fw%20ord@a.example.org,b.example.org:5433/reminders",
        "postgresql://[2001:db8::1]:5432/reminders",
        "postgresql:///reminders?host=/var/run/postgresql",
        "postgresql://%2Fvar%2Frun%2Fpostgresql/reminders",
        "postgresql://:5433/reminders",
    ],
)
def test_a_database_url_names_a_server(load: Load, url: str) -> None:
    database = load(None, {"DATABASE_URL": url}).database
    assert database.target == PostgresServer(url)
    assert database.path is None


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("postgresql+asyncpg://u:s3cret@host/db", "names a driver after a +"),
        ("postgresql://u:s3cret@host", "names no database"),
        ("postgresql://u:s3cret@host/", "names no database"),
        ("postgresql://u:s3cret@host/?sslmode=require", "names no database"),
        ("postgresql://u:s3cr et@host/db", "%20"),
        ("postgresql://u:s3cret%0a@host/db", "control character"),
        ("postgresql://u:s3cret%ff@host/db", "not UTF-8"),
        ("postgresql://u:s3cret#@host/db", "%23"),
        ("postgresql://u:100%s3cret@host/db", "%25"),
        ("postgresql://u:@s3cret@host/db", "%40"),
        ("postgresql://u:1/s3cret@host/db", "%2F"),
        ("postgresql://u:1?s3cret@host/db", "names no database"),
        ("postgresql://u:1:s3cret@host/db", "%3A"),
        ("postgresql://host:s3cret/db", "host 1 or its port"),
        ("postgresql://a,b:70000/db", "host 2 or its port"),
        ("postgresql://2001:db8::1/db", "in []"),
        ("postgresql://host/db?sslmod=require", "not supported, number 1 (did you mean sslmode?)"),
        ("postgresql://host/db?sslmode=require&s3cret=1", "not supported, number 2"),
        ("postgresql://host/db?options=-csynchronous_commit%3Doff", "not supported, number 1"),
        ("postgresql://host/db?target_session_attrs=any", "not supported, number 1"),
        ("postgresql://host/db?password=a&s3cret", "no value for parameter 2"),
        ("postgresql://host/db?sslmode=s3cret", "has an sslmode that is not one of disable, allow,"),
        ("postgresql://host/db?user=a&user=b", "parameter 2 twice"),
    ],
)
def test_a_url_of_a_server_that_could_be_misread_is_an_error(errors: Errors, url: str, message: str) -> None:
    (line,) = errors(None, {"DATABASE_URL": url})
    assert line.startswith("environment DATABASE_URL: ")
    assert message in line
    assert PASSWORD not in line


def test_the_password_is_not_shown_with_the_configuration(load: Load) -> None:
    config = load(f'[database]\nurl = "{SERVER}"')
    shown = f"{config}{config!r}{config.database}{config.database.target}{config.database.target.shown_name}"
    assert PASSWORD not in shown
    assert config.database.target.shown_name == "postgresql://clinic@db.example.org/reminders"


def test_the_url_may_be_in_a_file_of_its_own(load: Load, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(f"{SERVER}\n")
    config = load('[database]\nurl_file = "url"')
    assert config.database.target == PostgresServer(SERVER)
    assert files_with_secrets(config) == [tmp_path / "url"]


def test_the_supervisor_may_pass_the_url(load: Load, tmp_path: Path) -> None:
    (tmp_path / "database").write_text(SERVER)
    config = load('[database]\nurl_file = "$CREDENTIALS_DIRECTORY/database"', {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert config.database.target == PostgresServer(SERVER)


def test_the_environment_replaces_url_and_file_alike(load: Load, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(SERVER)
    in_file = '[database]\nurl_file = "missing"'
    assert load(in_file, {"DATABASE_URL": "sqlite:///a.db"}).database.target == SqliteFile(tmp_path / "a.db")
    in_environment = {"REMINDERD__DATABASE__URL_FILE": "url"}
    assert load('[database]\nurl = "sqlite:///a.db"', in_environment).database.target == PostgresServer(SERVER)


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('url = "sqlite:///reminderd.db"\nurl_file = "url"', "is set in addition to url; expected only one"),
        ('url_file = "missing"', "the file can't be read (No such file or directory)"),
        ('url_file = "wrong"', "names no database"),
    ],
)
def test_a_file_that_leaves_the_database_unclear_is_an_error(
    errors: Errors, load: Load, tmp_path: Path, toml: str, message: str
) -> None:
    (tmp_path / "url").write_text(SERVER)
    (tmp_path / "wrong").write_text(f"postgresql://clinic:{PASSWORD}@host")
    (line,) = errors(f"[database]\n{toml}")
    assert line.startswith("config.toml: [database].url_file: ")
    assert message in line
    assert PASSWORD not in line
    with pytest.raises(ConfigError) as caught:
        load(f"[database]\n{toml}")
    assert caught.value.rest is None, "no command may use another database instead"


def test_commands_that_need_only_the_database_use_the_one_that_a_file_names(load: Load, tmp_path: Path) -> None:
    (tmp_path / "url").write_text(SERVER)
    with pytest.raises(ConfigError) as caught:
        load('[database]\nurl_file = "url"\n[worker]\ndialers = 0')
    assert caught.value.rest is not None
    assert caught.value.rest.database.target == PostgresServer(SERVER)


def test_a_configuration_with_a_password_in_its_url_is_a_file_with_secrets(load: Load, tmp_path: Path) -> None:
    for url in (SERVER, "postgresql:///db?host=/tmp&password=s3cret"):
        assert files_with_secrets(load(f'[database]\nurl = "{url}"')) == [tmp_path / "config.toml"]
    for url in ("sqlite:///a.db", "postgresql://clinic@db.example.org/reminders", "postgresql:///a?host=/tmp"):
        assert files_with_secrets(load(f'[database]\nurl = "{url}"')) == []


def test_a_server_needs_the_extra(errors: Errors, load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as if it were not installed
    (line,) = errors(None, {"DATABASE_URL": SERVER})
    assert line == "environment DATABASE_URL: postgresql:// needs an extra: pip install 'reminderd[postgres]'"
    with pytest.raises(ConfigError) as caught:
        load(None, {"DATABASE_URL": SERVER})
    assert caught.value.rest is None
    assert load(None, {"DATABASE_URL": "sqlite:///a.db"}).database.path is not None


def test_the_single_file_speaks_sqlite_only(errors: Errors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    (line,) = errors(None, {"DATABASE_URL": SERVER})
    assert line.startswith("environment DATABASE_URL: the single file supports only SQLite; expected another")


def test_a_file_has_no_failover(errors: Errors) -> None:
    (line,) = errors("[database]\nfailover_is_lossless = true")
    expected = "is true, but an SQLite file has no failover; expected false"
    assert line == f"config.toml: [database].failover_is_lossless: {expected}"


def test_backups_of_a_server_are_a_mistake(errors: Errors) -> None:
    (line,) = errors(f'[database]\nurl = "{SERVER}"\n[backup]\nfolder = "backups"')
    expected = 'is set, but reminderd makes no backups of PostgreSQL: see docs/postgresql.md; expected ""'
    assert line == f"config.toml: [backup].folder: {expected}"


UNENCRYPTED = "the connection to the database may be unencrypted"


@pytest.mark.parametrize(
    ("url", "is_warned_of"),
    [
        ("postgresql://u@db.example.org/a", True),
        ("postgresql://u@10.0.0.5:5433/a?sslmode=prefer", True),
        ("postgresql://u@localhost,db.example.org/a", True),
        ("postgresql://u@[2001:db8::1]/a", True),
        ("postgresql:///a?host=db.example.org", True),
        ("postgresql://u@localhost/a?hostaddr=192.0.2.1", True),
        ("postgresql://u@db.example.org/a?sslmode=require", False),
        ("postgresql://u@db.example.org/a?sslmode=verify-full", False),
        ("postgresql://u@localhost:5433/a", False),
        ("postgresql://u@[::1]:5433,127.0.0.1/a", False),
        ("postgresql:///a", False),
        ("postgresql:///a?host=/var/run/postgresql", False),
        ("postgresql://%2Fvar%2Frun/a", False),
        ("sqlite:///a.db", False),
    ],
)
def test_a_connection_to_another_machine_that_may_be_unencrypted_is_warned_of(
    load: Load, url: str, is_warned_of: bool
) -> None:
    provider = '[provider.generic]\napi_url = "https://v.example"\napi_key = "k"\nwebhook_auth = "none"\n'
    config = load(f'[web]\npublic_base_url = "https://c.example"\n{provider}[database]\nurl = "{url}"')
    assert any(UNENCRYPTED in concern for concern in config_warnings(config)) is is_warned_of


def test_another_database_waits_for_the_next_start(load: Load) -> None:
    found = reload_changes(load(), load(f'[database]\nurl = "{SERVER}"'))
    assert (found.at_once, found.later) == ((), (("database", "url"),))


def test_uploaded_files_are_next_to_the_database_file_or_in_the_state_folder(load: Load, tmp_path: Path) -> None:
    assert load('[database]\nurl = "sqlite:///a/b.db"').database.uploads == tmp_path / "a/b.db.uploads"
    server = f'[database]\nurl = "{SERVER}"'
    assert load(server).database.uploads == tmp_path / "reminderd.uploads"
    state = {"STATE_DIRECTORY": "/var/lib/clinic:/var/lib/other"}
    assert load(server, state).database.uploads == Path("/var/lib/clinic/reminderd.uploads")


def test_what_is_next_to_a_linked_database_file_is_next_to_where_the_link_leads(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "clinic.db")
    config = load_config(None, {"DATABASE_URL": "sqlite:///link.db"}, tmp_path)
    assert config.database.uploads == tmp_path / "real" / "clinic.db.uploads"


def test_the_folder_of_imports_and_the_log_have_no_database_file_to_avoid(load: Load, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    toml = f'[database]\nurl = "{SERVER}"\n[import]\nfolder = "in"\n[log]\nfile = "reminderd.db"'
    assert load(toml).log.path == tmp_path / "reminderd.db"
