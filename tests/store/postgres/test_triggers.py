"""What another program writes has the same effect on both engines: the same rows are woken, and changes recorded."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import psycopg
import pytest
from attrs import frozen
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reminderd.core.model import Status
from reminderd.store.sqlite import migrate as sqlite_migrate
from reminderd.store.sqlite.driver import IntegrityError, connect
from tests.support.postgres import USER, PostgresDatabase

T: Final = 1_772_445_600_000
FAR: Final = 32_472_144_000_000
NUMBERS: Final = ("+12025550101", "+12025550102")
LISTED: Final = "+12025550199"

REMINDERS: Final = {status: f"r-{status}" for status in Status}
APPOINTMENTS: Final = ("booked", "answered", "cancelled")
STATES: Final = ("dialing", "placed", "unconfirmed", "stray", "ended", "leased")

TABLES: Final = {
    "reminders": "id, ref, phone_number, message, scheduled_at, expires_at, timezone, language, appointment_id, status,"
    " response, wake_at, end_code, done_at, revision, created_at, updated_at",
    "appointments": "id, phone_number, at, name, status, response, wake_at, revision, created_at, updated_at",
    "call_logs": "id, state, wake_at, lease_token, outcome",
    "call_reminders": "call_id, reminder_id, deleted",
    "alerts": "reminder_id",
    "opt_outs": "phone_number, created_at",
    "changes": "at, kind, subject_id, ref, appointment_id, appointment_at, status, response, end_code, done, attempts,"
    " call_outcome, spoken",
    "audit": "id, at, actor, act",
}


def begun_rows() -> Iterator[str]:
    """Yield statements for a reminder of each status, each with a call of each state, and some appointments."""
    for appointment in APPOINTMENTS:
        response = "'confirmed'" if appointment == "answered" else "NULL"
        status = "cancelled" if appointment == "cancelled" else "booked"
        yield (
            "INSERT INTO appointments (id, phone_number, at, status, response, wake_at, revision)"
            f" VALUES ('a-{appointment}', '{NUMBERS[0]}', {T}, '{status}', {response}, {T + 7}, 1)"
        )
    for place, (status, reminder) in enumerate(REMINDERS.items()):
        number = NUMBERS[place % 2]
        yield (
            "INSERT INTO reminders"
            " (id, phone_number, message, scheduled_at, status, wake_at, appointment_id, planned_at)"
            f" VALUES ('{reminder}', '{number}', 'm', {T}, '{status}', {T + 7}, 'a-{APPOINTMENTS[place % 3]}', {T})"
        )
        yield f"INSERT INTO alerts (reminder_id, updated_at) VALUES ('{reminder}', {T})"
        for state in STATES:
            call = f"{reminder}-{state}"
            word = "placed" if state == "leased" else state
            lease = "'token'" if state in {"dialing", "leased"} else "NULL"
            is_over = state == "ended"
            wake_at, outcome = ("NULL", "'heard'") if is_over else (str(T + 7), "NULL")
            # A number has one open call, so each has its own; but the one with an outcome has the reminder's.
            own = number if is_over else f"+1303{place}{STATES.index(state)}"
            yield (
                "INSERT INTO call_logs"
                " (id, reminder_id, phone_number, state, last_sign_at, lease_token, wake_at, outcome)"
                f" VALUES ('{call}', '{reminder}', '{own}', '{word}', {T}, {lease}, {wake_at}, {outcome})"
            )
            yield (
                "INSERT INTO call_reminders (call_id, reminder_id, position, scheduled_at, message_digest, spoken)"
                f" VALUES ('{call}', '{reminder}', 0, {T}, '', {int(is_over)})"
            )
    yield f"INSERT INTO audit (id, at, actor, act) VALUES (1, {T}, 'anna', 'add')"
    yield f"INSERT INTO opt_outs (phone_number, created_at) VALUES ('{LISTED}', {T})"
    yield (
        "INSERT INTO reminders (id, phone_number, message, scheduled_at, wake_at)"
        f" VALUES ('r-listed', '{LISTED}', 'm', {T}, {T + 7})"
    )


@frozen
class Engines:
    """The same rows in both engines."""

    sqlite: Any
    postgres: psycopg.Connection
    begun_at: int

    def begin(self) -> None:
        for connection in (self.sqlite, self.postgres):
            connection.execute("BEGIN")

    def roll_back(self) -> None:
        for connection in (self.sqlite, self.postgres):
            connection.execute("ROLLBACK")

    def execute(self, sql: str) -> None:
        """Execute a statement in both, and see whether both refuse it, and whether both have the same rows then."""
        assert _refusal(self.sqlite, sql, IntegrityError) == _refusal(self.postgres, sql, psycopg.IntegrityError), sql
        found, expected = self.rows()
        assert found == expected, sql

    def rows(self) -> tuple[dict[str, Any], dict[str, Any]]:
        """Return all rows of both, with "now" for each time during the test."""
        return _rows(self.postgres, self.begun_at), _rows(self.sqlite, self.begun_at)


def _refusal(connection: Any, sql: str, refused: type[Exception]) -> bool:
    connection.execute("SAVEPOINT one")
    try:
        connection.execute(sql)
    except refused:
        connection.execute("ROLLBACK TO one")
        return True
    finally:
        connection.execute("RELEASE one")
    return False


def _rows(connection: Any, begun_at: int) -> dict[str, list[tuple[Any, ...]]]:
    def spoken(value: Any) -> Any:
        return "now" if isinstance(value, int) and begun_at - 10_000 < value < FAR else value

    return {
        table: sorted(
            (tuple(map(spoken, row)) for row in connection.execute(f"SELECT {columns} FROM {table}").fetchall()),
            key=repr,
        )
        for table, columns in TABLES.items()
    }


@pytest.fixture
def engines(made: PostgresDatabase) -> Iterator[Engines]:
    with closing(connect(":memory:", isolation_level=None)) as sqlite, made.server.connect(made.name, USER) as postgres:
        for step in sqlite_migrate.migrations():
            sqlite.executescript(step.sql)
        both = Engines(sqlite, postgres, sqlite.execute("SELECT unixepoch('now') * 1000").fetchone()[0])
        for sql in begun_rows():
            sqlite.execute(sql)
            postgres.execute(sql.encode())
        found, expected = both.rows()
        assert found == expected
        yield both


def one_by_one(engines: Engines, statements: Iterator[str]) -> None:
    for sql in statements:
        engines.begin()
        engines.execute(sql)
        engines.roll_back()


CHANGES_OF_REMINDERS: Final = [
    *(f"status = '{status}'" for status in Status),
    *(f"status = '{status}', response = 'confirmed', end_code = 'too_late'" for status in Status),
    *(f"status = '{status}', wake_at = NULL" for status in Status),
    *(f"status = '{status}', scheduled_at = {FAR}, phone_number = '+12025550103'" for status in Status),
    f"scheduled_at = {T + 1000}",
    f"scheduled_at = {T + 1000}, wake_at = NULL",
    f"scheduled_at = {T + 1000}, message = 'another', wake_at = {T + 9}",
    "scheduled_at = scheduled_at, status = status, message = message",
    "phone_number = '+12025550103'",
    "message = 'another'",
    "timezone = 'Europe/Paris'",
    "language = 'es'",
    f"expires_at = {T + 5}",
    "wake_at = NULL",
    f"wake_at = {T + 9}",
    "response = 'cancel_requested'",
    "end_code = 'invalid'",
    "end_code = 'cancelled_elsewhere'",
    f"done_at = {T}",
    "last_error = 'a note'",
    "ref = 'own name'",
    "scheduled_at = NULL",
    "status = 'unknown'",
    f"scheduled_at = {T * 1000}",
    "last_error = 'a note', wake_at = -1",
]


@pytest.mark.parametrize("own", ["", ", revision = revision + 1, updated_at = 1772445600077"], ids=["foreign", "own"])
def test_a_change_of_a_reminder_has_the_same_effect(engines: Engines, own: str) -> None:
    one_by_one(
        engines,
        (
            f"UPDATE reminders SET {change}{own} WHERE id = '{reminder}'"
            for change in CHANGES_OF_REMINDERS
            for reminder in REMINDERS.values()
        ),
    )


def test_a_reminder_that_is_deleted_and_written_again_has_the_same_effect(engines: Engines) -> None:
    for reminder in REMINDERS.values():
        engines.begin()
        engines.execute(f"UPDATE reminders SET response = 'confirmed' WHERE id = '{reminder}'")
        engines.execute(f"DELETE FROM reminders WHERE id = '{reminder}'")
        for status in Status:
            engines.execute(
                "INSERT INTO reminders (id, phone_number, message, scheduled_at, status)"
                f" VALUES ('{reminder}', '{NUMBERS[0]}', 'm', {T}, '{status}')"
            )
            engines.execute(f"DELETE FROM reminders WHERE id = '{reminder}'")
        engines.roll_back()


@pytest.mark.parametrize("column", ["wake_at", "revision", "response", "end_code", "done_at"])
def test_a_new_reminder_has_the_same_effect(engines: Engines, column: str) -> None:
    value = "'confirmed'" if column in {"response", "end_code"} else T
    one_by_one(
        engines,
        (
            f"INSERT INTO reminders (id, phone_number, message, scheduled_at, status, updated_at{more[0]})"
            f" VALUES ('new', '{NUMBERS[0]}', 'm', {at}, '{status}', {T}{more[1]})"
            for status in Status
            for at in (T, FAR)
            for more in (("", ""), (f", {column}", f", {value}"))
        ),
    )


def test_an_upsert_has_the_same_effect(engines: Engines) -> None:
    one_by_one(
        engines,
        (
            "INSERT INTO reminders (id, phone_number, message, scheduled_at)"
            f" VALUES ('{reminder}', '{number}', '{message}', {at}) ON CONFLICT (id) DO UPDATE"
            " SET phone_number = excluded.phone_number, message = excluded.message,"
            " scheduled_at = excluded.scheduled_at"
            for reminder in (*REMINDERS.values(), "new")
            for number in NUMBERS
            for message in ("m", "another")
            for at in (T, T + 1000)
        ),
    )


@pytest.mark.parametrize("own", ["", ", revision = revision + 1, updated_at = 1772445600077"], ids=["foreign", "own"])
def test_a_change_of_an_appointment_has_the_same_effect(engines: Engines, own: str) -> None:
    texts = ("phone_number", "timezone", "type", "template", "language", "name", "provider", "place", "response", "ref")
    changes = [f"{column} = '+12025550109'" for column in texts]
    changes += ["status = 'cancelled'", "status = 'booked'", f"at = {T + 5}", "wake_at = NULL", "response = NULL"]
    changes += ["at = at, name = name", "status = 'unknown'", "phone_number = NULL"]
    one_by_one(
        engines,
        (
            f"UPDATE appointments SET {change}{own} WHERE id = 'a-{appointment}'"
            for change in changes
            for appointment in APPOINTMENTS
        ),
    )


def test_an_appointment_that_is_new_or_deleted_has_the_same_effect(engines: Engines) -> None:
    for appointment in APPOINTMENTS:
        engines.begin()
        engines.execute(f"UPDATE appointments SET response = 'another' WHERE id = 'a-{appointment}'")
        engines.execute(f"DELETE FROM appointments WHERE id = 'a-{appointment}'")
        for more in ("NULL, 0, NULL", f"{T}, 0, NULL", "NULL, 1, NULL", "NULL, 0, 'confirmed'"):
            for status in ("booked", "cancelled"):
                for name in (f"a-{appointment}", "new"):
                    engines.execute(
                        "INSERT INTO appointments"
                        " (id, phone_number, at, status, updated_at, wake_at, revision, response)"
                        f" VALUES ('{name}', '{NUMBERS[0]}', {T}, '{status}', {T}, {more})"
                    )
                    engines.execute(f"DELETE FROM appointments WHERE id = '{name}'")
        engines.roll_back()


WRONG_NUMBERS: Final = (
    "",
    "12025550194",
    "+1 202 555 0194",
    "+0301234567",
    "+1202",
    "+1202555019x",
    "+1234567890123456",
)
WRONG_NUMBERS_TOO: Final = ("+12025550194\n", " +12025550194", "+", "+1202555\u0660\u0661\u0662", "+\uff11202555019")


def test_an_opt_out_has_the_same_effect(engines: Engines) -> None:
    numbers = (*NUMBERS, LISTED, "+1234567", "+123456789012345", *WRONG_NUMBERS, *WRONG_NUMBERS_TOO)
    one_by_one(engines, (f"INSERT INTO opt_outs (phone_number) VALUES ('{number}')" for number in numbers))
    one_by_one(engines, (f"UPDATE opt_outs SET phone_number = '{number}'" for number in numbers))
    one_by_one(engines, (f"UPDATE opt_outs SET phone_number = phone_number, source = '{text}'" for text in "ab"))
    one_by_one(engines, iter(["DELETE FROM opt_outs", "INSERT INTO opt_outs (phone_number) VALUES (NULL)"]))


def test_the_audit_can_only_be_added_to(engines: Engines) -> None:
    add = f"INSERT INTO audit (id, at, actor, act) VALUES (1, {T}, 'nobody', 'cancel')"
    statements = [
        "UPDATE audit SET actor = 'nobody'",
        "UPDATE audit SET actor = 'nobody' WHERE id = 2",
        "DELETE FROM audit",
        f"{add} ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
        add,
        add.replace("(1,", "(2,"),
    ]
    one_by_one(engines, iter(statements))


@pytest.mark.parametrize("table", ["audit", "reminders", "appointments"])
def test_a_table_whose_rows_must_not_vanish_unseen_cannot_be_truncated(engines: Engines, table: str) -> None:
    message = "append-only" if table == "audit" else f"{table} cannot be truncated, .*: use DELETE"
    with pytest.raises(psycopg.errors.IntegrityConstraintViolation, match=message):
        engines.postgres.execute(f"TRUNCATE {table}".encode())


ODD_PARTS: Final = (
    "",
    "a",
    " ",
    "/",
    "\u00a0",
    "\u00ad",
    "e\u0301",
    "é",
    "ñ",
    "漢",
    "한",
    "豈",
    "\U0001f4de",
    "\u200d",
    "\x7f",
)


BOUNDS: Final = (
    *(1, 31, 127, 160, 173, 768, 879, 884, 894, 903, 1155, 1161, 1425, 1479, 1536, 12288, 12330, 12335, 12441, 12442),
    *(42607, 44031, 63744, 65533, 0x10FFFF),
)


def test_the_same_names_are_valid_and_look_odd(engines: Engines) -> None:
    engines.begin()
    for first in ODD_PARTS:
        for second in ODD_PARTS:
            engines.execute(
                "INSERT INTO reminders (id, ref, phone_number, message, scheduled_at)"
                f" VALUES ('{first}x{second}', '{second}y{first}', '+49', 'm', 1)"
            )
    for number in {bound + by for bound in BOUNDS for by in (-1, 0, 1)} - {0, 0x110000}:
        engines.execute(
            f"INSERT INTO reminders (id, phone_number, message, scheduled_at) VALUES ('z{chr(number)}', '+49', 'm', 1)"
        )
    odd = [
        sorted(map(tuple, one.execute("SELECT id, ref FROM odd_names"))) for one in (engines.sqlite, engines.postgres)
    ]
    assert odd[0] == odd[1]
    assert len(odd[0]) > 50
    engines.roll_back()


def assignments(values: dict[str, list[str]]) -> st.SearchStrategy[str]:
    one = st.sampled_from([f"{column} = {value}" for column, of in values.items() for value in of])
    several = st.lists(one, min_size=1, max_size=4, unique_by=lambda text: text.partition(" =")[0])
    own = st.sampled_from(["", "", ", revision = revision + 1"])
    return st.builds(lambda sets, revision: ", ".join(sets) + revision, several, own)


TIMES: Final = [str(T), str(T + 1000), str(FAR)]
A_NUMBER: Final = [f"'{number}'" for number in NUMBERS]
OF_A_REMINDER: Final = {
    "status": [f"'{status}'" for status in Status],
    "scheduled_at": TIMES,
    "phone_number": A_NUMBER,
    "message": ["'m'", "'another'"],
    "timezone": ["NULL", "'Europe/Paris'"],
    "language": ["NULL", "'es'"],
    "expires_at": ["NULL", *TIMES],
    "wake_at": ["NULL", *TIMES],
    "response": ["NULL", "'confirmed'", "'cancel_requested'"],
    "end_code": ["NULL", "'invalid'", "'cancelled_elsewhere'"],
    "done_at": ["NULL", str(T)],
}
OF_AN_APPOINTMENT: Final = {
    "status": ["'booked'", "'cancelled'"],
    "at": TIMES,
    "phone_number": A_NUMBER,
    "response": ["NULL", "'confirmed'"],
    "name": ["NULL", "'Ada'"],
    "wake_at": ["NULL", *TIMES],
}
A_REMINDER: Final = st.sampled_from([*REMINDERS.values(), "new"])
AN_APPOINTMENT: Final = st.sampled_from([*(f"a-{one}" for one in APPOINTMENTS), "a-new"])
STATEMENTS: Final = st.one_of(
    st.builds("UPDATE reminders SET {} WHERE id = '{}'".format, assignments(OF_A_REMINDER), A_REMINDER),
    st.builds("UPDATE appointments SET {} WHERE id = '{}'".format, assignments(OF_AN_APPOINTMENT), AN_APPOINTMENT),
    st.builds("DELETE FROM reminders WHERE id = '{}'".format, A_REMINDER),
    st.builds("DELETE FROM appointments WHERE id = '{}'".format, AN_APPOINTMENT),
    st.builds(
        (
            "INSERT INTO reminders (id, phone_number, message, scheduled_at, status) VALUES ('{}', {}, 'm', {}, {})"
            " ON CONFLICT (id) DO UPDATE SET phone_number = excluded.phone_number,"
            " scheduled_at = excluded.scheduled_at, status = excluded.status"
        ).format,
        A_REMINDER,
        st.sampled_from(A_NUMBER),
        st.sampled_from(TIMES),
        st.sampled_from(OF_A_REMINDER["status"]),
    ),
    st.builds(
        (
            "INSERT INTO appointments (id, phone_number, at, response) VALUES ('{}', {}, {}, {})"
            " ON CONFLICT (id) DO UPDATE SET at = excluded.at, response = excluded.response"
        ).format,
        AN_APPOINTMENT,
        st.sampled_from(A_NUMBER),
        st.sampled_from(TIMES),
        st.sampled_from(OF_AN_APPOINTMENT["response"]),
    ),
    st.builds("INSERT INTO opt_outs (phone_number) VALUES ({})".format, st.sampled_from(A_NUMBER)),
    st.builds("UPDATE opt_outs SET phone_number = {}".format, st.sampled_from(A_NUMBER)),
    st.builds("DELETE FROM opt_outs WHERE phone_number = {}".format, st.sampled_from(A_NUMBER)),
    st.builds(
        "UPDATE call_logs SET outcome = 'not_answered' WHERE id = '{}-{}'".format, A_REMINDER, st.sampled_from(STATES)
    ),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(statements=st.lists(STATEMENTS, min_size=3, max_size=15))
def test_any_history_has_the_same_effect(engines: Engines, statements: list[str]) -> None:
    engines.begin()
    try:
        for sql in statements:
            engines.execute(sql)
    finally:
        engines.roll_back()
