"""What a person reads if the database can't be used: one sentence, with its name and without the password."""

import socket
import traceback
from collections.abc import Iterator

import psycopg
import pytest

from reminderd.databases import PostgresServer
from reminderd.store.any_engine import open_sync
from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.postgres.error_codes import store_error
from reminderd.store.postgres.sessions import open_read_only
from reminderd.store.postgres.shared_schema import migrations
from tests.support.ports import a_free_port
from tests.support.postgres import CAREFUL_USER, PostgresDatabase, a_server, skip_without_postgres

WRONG = "s3cret"
"""A password that must not be shown."""

UNUSABLE, UNAVAILABLE = StoreUnusableError, StoreUnavailableError


def refused(url: str, kind: type[Exception]) -> str:
    """Return the one sentence with which a database can't be opened, after its name."""
    server = PostgresServer(url)
    sentences = set()
    for opened in (open_sync, open_read_only):
        with pytest.raises(kind) as caught, opened(server):
            pass
        told = "".join(traceback.format_exception(caught.value))
        assert WRONG not in told
        assert "\n" not in str(caught.value)
        name, _, sentence = str(caught.value).partition(f"{server.shown_name}: ")
        assert name == ""
        sentences.add(sentence)
    (sentence,) = sentences
    return sentence


def test_a_wrong_password_is_refused(made: PostgresDatabase) -> None:
    url = made.server.url(made.name, user=CAREFUL_USER, password=WRONG)
    reason = 'password authentication failed for user "clinic_by_password"'
    assert refused(url, UNUSABLE) == f"the server does not accept the user or the password of the URL ({reason})"


def test_each_of_several_hosts_is_reported_with_its_reason(made: PostgresDatabase) -> None:
    closed = a_free_port()
    hosts = f"127.0.0.1:{made.server.port},127.0.0.1:{closed}"
    url = f"postgresql://{CAREFUL_USER}:{WRONG}@{hosts}/{made.name}"
    rejected = f'127.0.0.1:{made.server.port}: password authentication failed for user "{CAREFUL_USER}"'
    refusal = f"127.0.0.1:{closed}: Connection refused"
    assert refused(url, UNAVAILABLE) == f"the server does not answer ({rejected}; {refusal})"


def test_a_url_without_a_password_is_refused(made: PostgresDatabase) -> None:
    url = f"postgresql://{CAREFUL_USER}@127.0.0.1:{made.server.port}/{made.name}"
    assert refused(url, UNUSABLE).startswith("the server asks for a password, and the URL has none")


def test_a_missing_database_is_reported(made: PostgresDatabase) -> None:
    url = made.server.url("nobodys", password=WRONG)
    assert refused(url, UNUSABLE) == 'the database does not exist on the server (database "nobodys" does not exist)'


def test_a_missing_role_is_reported(made: PostgresDatabase) -> None:
    url = made.server.url(made.name, user="nobody", password=WRONG)
    assert refused(url, UNUSABLE) == 'the server rejects this user (role "nobody" does not exist)'


def test_a_server_without_encryption_is_refused_if_the_url_requires_it(made: PostgresDatabase) -> None:
    sentence = refused(f"{made.server.url(made.name, password=WRONG)}?sslmode=verify-full", UNUSABLE)
    assert sentence.startswith(
        "the server does not offer the encryption that the URL requires (server does not support SSL"
    )


def test_parameters_that_libpq_rejects_are_reported(made: PostgresDatabase) -> None:
    sentence = refused(f"{made.server.url(made.name, password=WRONG)}?{WRONG}=1", UNUSABLE)
    assert sentence == "libpq rejects this URL: see docs/postgresql.md"


def test_a_replica_is_unavailable_for_writing(made: PostgresDatabase) -> None:
    with made.connect() as other:
        other.execute(f"ALTER DATABASE {made.name} SET default_transaction_read_only = on".encode())
        try:
            sentence = refused(made.server.url(made.name, password=WRONG), UNAVAILABLE)
        finally:
            other.execute("SET default_transaction_read_only = off")
            other.execute(f"ALTER DATABASE {made.name} RESET default_transaction_read_only".encode())
    assert sentence == "no server in the URL accepts writes now: all are standbys, or read-only (session is read-only)"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            "version = version - 1",
            "made by an older reminderd (schema {older}, this one has {newest}): run reminderd db",
        ),
        (
            "needs = needs + 99",
            "upgraded by a newer reminderd (needs schema {needs}, this one knows {newest})",
        ),
    ],
)
def test_another_schema_is_refused(made: PostgresDatabase, change: str, sentence: str) -> None:
    with made.connect() as other:
        row = other.execute("SELECT needs FROM schema_info").fetchone()
        other.execute(f"UPDATE schema_info SET {change}".encode())
    assert row is not None
    newest = migrations()[-1].number
    expected = sentence.format(older=newest - 1, newest=newest, needs=row[0] + 99)
    assert refused(made.server.url(made.name, password=WRONG), UNUSABLE).startswith(expected)


def test_another_programs_database_is_refused(empty: PostgresDatabase) -> None:
    with empty.connect() as other:
        other.execute("CREATE TABLE orders (id BIGINT)")
    assert refused(empty.url, UNUSABLE).startswith("made by another program, not by reminderd")


@pytest.fixture
def silent() -> Iterator[int]:
    """Yield the port of a server that accepts connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_server_that_does_not_answer_is_unavailable(silent: int, monkeypatch: pytest.MonkeyPatch) -> None:
    from reminderd.store.postgres import sessions  # noqa: PLC0415

    monkeypatch.setitem(sessions._PATIENCE, "connect_timeout", 2)  # libpq never waits for less
    url = f"postgresql://clinic:{WRONG}@127.0.0.1:{silent}/clinic"
    assert refused(url, UNAVAILABLE) == "the server does not answer in time (connection timeout expired)"


def test_a_server_that_does_not_run_is_unavailable() -> None:
    port = a_free_port()
    url = f"postgresql://clinic:{WRONG}@127.0.0.1:{port}/clinic"
    assert refused(url, UNAVAILABLE) == "the server does not answer (Connection refused)"
    both = f"postgresql://clinic:{WRONG}@127.0.0.1:{port},localhost:{port}/clinic"
    assert refused(both, UNAVAILABLE) == "the server does not answer (Connection refused)"


def test_an_unknown_host_name_is_unavailable() -> None:
    url = f"postgresql://clinic:{WRONG}@no-such-host.invalid/clinic"
    assert refused(url, UNAVAILABLE).startswith("the server's host name can't be resolved (failed to resolve host")


def test_a_server_without_a_free_connection_is_unavailable() -> None:
    skip_without_postgres()
    # Sessions that were refused a moment ago still take a place each, and if none were left, the server would word it
    # differently.
    with a_server("max_connections=13", "superuser_reserved_connections=10", "max_wal_senders=0") as server:
        database = server.create()
        held = [psycopg.connect(database.url) for _ in range(3)]
        sentence = refused(server.url(database.name, password=WRONG), UNAVAILABLE)
        for connection in held:
            connection.close()
    assert sentence.startswith("the server has no free connection (remaining connection slots are reserved")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (psycopg.errors.DiskFull("no space"), UNAVAILABLE),
        (psycopg.errors.AdminShutdown("terminating connection"), UNAVAILABLE),
        (psycopg.errors.DataCorrupted("bad page"), UNUSABLE),
        (psycopg.errors.InsufficientPrivilege("permission denied for table reminders"), UNUSABLE),
        # A connection that is lost while we run may say so with the words of its encryption.
        (psycopg.OperationalError("consuming input failed: SSL SYSCALL error: EOF detected"), UNAVAILABLE),
        (psycopg.OperationalError("server closed the connection unexpectedly"), UNAVAILABLE),
        # In a pipeline, psycopg raises libpq's own result, which has no code, as the base class.
        (psycopg.DatabaseError("server closed the connection unexpectedly\n\tThis probably means …"), UNAVAILABLE),
    ],
)
def test_an_error_while_we_run_shows_whether_it_may_pass(error: psycopg.Error, kind: type[Exception]) -> None:
    found = store_error(error)
    assert type(found) is kind
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    "error",
    [
        psycopg.errors.UniqueViolation("twice"),
        psycopg.DataError("NUL"),
        psycopg.ProgrammingError("the query has 0 placeholders but 1 parameters were passed"),
        ValueError("a bug"),
    ],
)
def test_a_broken_constraint_and_a_bug_are_not_the_databases_errors(error: Exception) -> None:
    assert store_error(error) is None
