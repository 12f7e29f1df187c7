import psycopg
import pytest

from reminderd.databases import PostgresServer
from reminderd.store.connection import Connection, snapshot
from reminderd.store.opening import open_to_look
from reminderd.store.postgres.checks import damage_in, take_all_time
from tests.support.postgres import PostgresDatabase


@pytest.fixture
def whole(made: PostgresDatabase) -> PostgresDatabase:
    """Return a database with all that its schema promises, in which nothing was found."""
    assert found(made) == []
    return made


def found(database: PostgresDatabase) -> list[str]:
    with open_to_look(PostgresServer(database.url)) as connection:
        return snapshot(connection, damage_in)


def test_a_check_may_take_longer_than_a_call(made: PostgresDatabase) -> None:
    def limit(connection: Connection) -> str:
        return str(connection.execute("SELECT current_setting('statement_timeout') AS seconds").fetchone()["seconds"])

    with open_to_look(PostgresServer(made.url)) as connection:
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
