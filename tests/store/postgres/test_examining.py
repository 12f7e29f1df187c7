import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import trustme
from attrs import evolve

from reminderd.clock import SystemClock
from reminderd.core.server_diagnosis import ServerFacts
from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_read_only, open_sync
from reminderd.store.connection import Connection, snapshot
from reminderd.store.errors import StoreUnusableError
from reminderd.store.postgres.examining import damage_in, facts_of, take_all_time
from tests.support.postgres import CAREFUL_USER, USER, PostgresDatabase, a_server, skip_without_postgres
from tests.support.waiting import until_in_thread


@pytest.fixture
def whole(made: PostgresDatabase) -> PostgresDatabase:
    """Return a database with all that its schema promises, in which nothing was found."""
    assert found(made) == []
    return made


def found(database: PostgresDatabase) -> list[str]:
    with open_read_only(PostgresServer(database.url)) as connection:
        return snapshot(connection, damage_in)


def test_a_check_may_take_longer_than_a_call(made: PostgresDatabase) -> None:
    def limit(connection: Connection) -> str:
        return str(connection.execute("SELECT current_setting('statement_timeout') AS seconds").fetchone()["seconds"])

    with open_read_only(PostgresServer(made.url)) as connection:
        before = snapshot(connection, limit)
        take_all_time(connection)
        assert (before, snapshot(connection, limit)) == ("30s", "0")


def test_a_missing_index_is_found(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("DROP INDEX call_logs_one_open_call")
    assert found(whole) == [
        "the index call_logs_one_open_call is missing: create it as in the migrations of this version"
    ]


def test_what_a_newer_version_has_done_away_with_is_not_missed(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("UPDATE schema_info SET version = version + 1")
        other.execute("DROP INDEX reminders_held")
        other.execute("DROP TRIGGER settings_notify ON settings")
    assert found(whole) == []


def test_an_invalid_index_is_found(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("INSERT INTO opt_outs (phone_number) VALUES ('+4930123456'), ('+4930123457')")
        with pytest.raises(psycopg.errors.UniqueViolation):  # which leaves half an index
            other.execute("CREATE UNIQUE INDEX CONCURRENTLY twice ON opt_outs (length(phone_number))")
    assert found(whole) == ["the index twice is not valid: REINDEX INDEX twice"]


def test_a_missing_trigger_is_found(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("DROP TRIGGER reminders_moved ON reminders")
    assert found(whole) == ["the trigger reminders_moved is missing: create it as in the migrations of this version"]


def test_a_disabled_trigger_is_found(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("ALTER TABLE reminders DISABLE TRIGGER reminders_moved")
    assert found(whole) == [
        "the trigger reminders_moved of reminders is disabled: ALTER TABLE reminders ENABLE TRIGGER reminders_moved"
    ]


def test_a_constraint_that_was_never_checked_is_found(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("ALTER TABLE opt_outs ADD CONSTRAINT in_time CHECK (created_at > 0) NOT VALID")
    check = "the constraint in_time of opt_outs was never validated: ALTER TABLE opt_outs VALIDATE CONSTRAINT in_time"
    assert found(whole) == [check]


def test_a_role_for_which_no_trigger_works_is_found(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("ALTER ROLE clinic SET session_replication_role = replica")
        try:
            (sentence,) = found(whole)
        finally:
            other.execute("ALTER ROLE clinic RESET session_replication_role")
    assert sentence == "no trigger fires for this role: set session_replication_role to origin"


def test_what_is_wrong_with_another_programs_tables_is_not_ours(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("CREATE TABLE clinics_own (id BIGINT)")
        other.execute("ALTER TABLE clinics_own ADD CONSTRAINT never_checked CHECK (id > 0) NOT VALID")
        other.execute("CREATE TRIGGER own AFTER INSERT ON clinics_own EXECUTE FUNCTION notify_daemons()")
        other.execute("ALTER TABLE clinics_own DISABLE TRIGGER own")
    assert found(whole) == []


def test_an_index_and_a_trigger_of_another_programs_own_do_no_harm(whole: PostgresDatabase) -> None:
    with whole.connect() as other:
        other.execute("CREATE INDEX clinics_own ON reminders (ref)")
        other.execute(
            "CREATE TRIGGER clinics_own AFTER INSERT ON reminders FOR EACH STATEMENT EXECUTE FUNCTION notify_daemons()"
        )
    assert found(whole) == []


now = SystemClock().now


def facts(url: str) -> ServerFacts:
    with psycopg.connect(url, autocommit=True) as connection:
        return facts_of(connection, now)


@pytest.fixture
def stranger(made: PostgresDatabase) -> Iterator[str]:
    """Yield the URL of a role that has no right but to connect."""
    with made.connect() as other:
        other.execute("CREATE ROLE stranger LOGIN")
    yield made.server.url(made.name, user="stranger")
    with made.connect() as other:
        other.execute("DROP OWNED BY stranger")
        other.execute("DROP ROLE stranger")


def test_what_can_be_seen_of_a_server(made: PostgresDatabase) -> None:
    seen = facts(made.url)
    assert seen.version // 10_000 >= 13
    assert abs(seen.ahead) < timedelta(seconds=5)
    assert timedelta(0) < seen.round_trip < timedelta(seconds=5)
    assert 0 < seen.connections_left < 200
    assert evolve(
        seen, version=150_000, ahead=timedelta(0), round_trip=timedelta(0), connections_left=1
    ) == ServerFacts(
        version=150_000,
        encoding="UTF8",
        missing_rights=(),
        is_near=True,
        is_encrypted=False,
        is_verified=False,
        unsafe=("fsync = off", "full_page_writes = off"),  # as the tests' own server is meant to be
        standbys=0,
        waits_for_standbys=False,
        is_pooled=False,
        ahead=timedelta(0),
        round_trip=timedelta(0),
        connections_left=1,
    )


def test_a_clock_that_is_behind_ours_is_seen(made: PostgresDatabase) -> None:
    with psycopg.connect(made.url, autocommit=True) as connection:
        seen = facts_of(connection, lambda: now() + timedelta(seconds=90))
    assert timedelta(seconds=-95) < seen.ahead < timedelta(seconds=-85)


def test_rights_that_are_missing_are_named(made: PostgresDatabase, stranger: str) -> None:
    tables = "reminders, audit, schema_info, appointments"
    with made.connect() as other:
        other.execute("CREATE TABLE clinics_own (id BIGINT)")
        other.execute(f"GRANT SELECT ON {tables} TO stranger".encode())
        other.execute("GRANT INSERT ON reminders, audit TO stranger")
    missing = facts(stranger).missing_rights
    assert "UPDATE, DELETE on reminders" in missing
    assert "INSERT, UPDATE, DELETE on appointments" in missing
    assert "SELECT, INSERT, UPDATE, DELETE on call_logs" in missing
    assert not any("audit" in one or "schema_info" in one for one in missing), "these are never changed"
    assert not any("clinics_own" in one for one in missing)


def test_who_owns_the_tables_through_another_role_lacks_nothing(made: PostgresDatabase) -> None:
    assert facts(made.server.url(made.name, user=CAREFUL_USER)).missing_rights == ()


def test_an_empty_database_in_which_no_table_can_be_made_lacks_a_right(empty: PostgresDatabase) -> None:
    with empty.connect() as other:
        other.execute("CREATE ROLE visitor LOGIN")
        other.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    try:
        assert facts(empty.server.url(empty.name, user="visitor")).missing_rights == ("CREATE on the schema",)
        with empty.server.connect(empty.name, USER) as owner:
            assert facts_of(owner, now).missing_rights == ()
    finally:
        with empty.connect() as other:
            other.execute("DROP ROLE visitor")


def test_limits_of_the_role_and_of_the_database_count(made: PostgresDatabase) -> None:
    with made.connect() as other:
        other.execute(f"ALTER ROLE {USER} CONNECTION LIMIT 7".encode())
        try:
            assert facts(made.url).connections_left == 6
        finally:
            other.execute(f"ALTER ROLE {USER} CONNECTION LIMIT -1".encode())


def test_a_setting_that_lets_commits_be_lost_is_named(made: PostgresDatabase) -> None:
    with psycopg.connect(made.url, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        assert "synchronous_commit = off" in facts_of(connection, now).unsafe


def test_a_server_that_waits_for_standbys_is_told_from_one_that_does_not() -> None:
    skip_without_postgres()
    with a_server() as server, server.connect() as connection:
        connection.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        connection.execute("SELECT pg_reload_conf()")
        until_in_thread(lambda: facts_of(connection, now).waits_for_standbys)  # the server shows it a moment later
        connection.execute("SET synchronous_commit = local")
        assert not facts_of(connection, now).waits_for_standbys


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def encrypted(authority: trustme.CA, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of a database on a server that encrypts, at the name localhost."""
    skip_without_postgres()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    trustme.CA().cert_pem.write_to_path(str(tmp_path / "another.pem"))
    with a_server() as server:
        own = authority.issue_cert("localhost")
        key, certificate = server.folder / "data/server.key", server.folder / "data/server.crt"
        own.private_key_pem.write_to_path(str(key))
        own.cert_chain_pems[0].write_to_path(str(certificate))
        for file in (key, certificate):
            file.chmod(0o600)
            there = (server.folder / "data").stat()
            os.chown(file, there.st_uid, there.st_gid)
        with server.connect() as connection:
            connection.execute("ALTER SYSTEM SET ssl = on")
        server.restart("fast")
        yield f"postgresql://{USER}:s3cret@localhost:{server.port}/{server.create().name}"


def test_a_connection_is_encrypted_and_its_server_verified(encrypted: str, tmp_path: Path) -> None:
    def seen(parameters: str) -> tuple[bool, bool]:
        found = facts(f"{encrypted}?{parameters}")
        return found.is_encrypted, found.is_verified

    assert seen("sslmode=disable") == (False, False)
    assert seen("sslmode=require") == (True, False)
    assert seen(f"sslmode=verify-full&sslrootcert={tmp_path}/ca.pem") == (True, True)


def test_a_server_that_is_not_the_one_in_the_url_is_refused(encrypted: str, tmp_path: Path) -> None:
    for url in (encrypted, encrypted.replace("localhost", "127.0.0.1")):
        wrong_name = "127.0.0.1" in url
        ca = "ca.pem" if wrong_name else "another.pem"
        server = PostgresServer(f"{url}?sslmode=verify-full&sslrootcert={tmp_path}/{ca}")
        with pytest.raises(StoreUnusableError) as caught, open_sync(server):
            pass
        expected = f"{server.shown_name}: the server could not be verified by its certificate ("
        assert str(caught.value).startswith(expected)
        assert "s3cret" not in str(caught.value)


def test_a_missing_ca_says_how_to_name_it(encrypted: str, tmp_path: Path) -> None:
    server = PostgresServer(f"{encrypted}?sslmode=verify-full&sslrootcert={tmp_path}/none.pem")
    with pytest.raises(StoreUnusableError, match="name it in the URL by sslrootcert=FILE"), open_sync(server):
        pass


class Pooled:
    """A connection through a program that reports another process id than the server, as PgBouncer does."""

    def __init__(self, connection: "psycopg.Connection[Any]") -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    @property
    def info(self) -> Any:
        class Info:
            backend_pid = 1
            server_version = self._connection.info.server_version
            hostaddr = "192.0.2.1"
            parameter_status = self._connection.info.parameter_status

        return Info()


def test_a_pooler_and_another_machine_are_recognized(made: PostgresDatabase) -> None:
    with psycopg.connect(made.url, autocommit=True) as connection:
        pooled: Any = Pooled(connection)
        seen = facts_of(pooled, now)
    assert (seen.is_pooled, seen.is_near) == (True, False)
