"""Which waiting reminders can't be called, remembered from one look to the next."""

from pathlib import Path

from reminderd.core.phone import Numbering
from reminderd.staff.examined import AT_ONCE, Examined
from reminderd.store.connection import Connection
from reminderd.store.queries import uncallable
from reminderd.store.rows import to_ms
from reminderd.store.sqlite.opening import open_sync
from tests.support.builders import NOW
from tests.support.rows import insert_row, sqlite

BERLIN = Numbering(country="DE")
YEAR_2999 = 32_472_144_000_000


def insert(connection: Connection, name: str, number: str, **columns: object) -> None:
    row = {"id": name, "phone_number": number, "message": "Hello", "scheduled_at": YEAR_2999, "wake_at": YEAR_2999}
    insert_row(connection, "reminders", row | columns)


def loaded(connection: Connection, examined: Examined) -> str:
    """Return the SQL list of the reminders that were read whole to examine what is new."""
    asked: list[str] = []
    sqlite(connection).set_trace_callback(asked.append)
    assert examined.examine(connection)
    sqlite(connection).set_trace_callback(None)
    return asked[1].partition(" IN ")[2]


def test_what_was_examined_is_not_examined_again(tmp_path: Path) -> None:
    examined = Examined(BERLIN)
    with open_sync(tmp_path / "clinic.db") as connection:
        for place in range(AT_ONCE):
            insert(connection, f"a{place:03}", "+4930123456")
        insert(connection, "b", "030")
        assert not examined.examine(connection), "only some at once"
        assert loaded(connection, examined) == "('b')"
        assert examined.reasons == uncallable(connection, numbering=BERLIN)
        assert sum(examined.reasons.values()) == 1
        connection.execute("DELETE FROM reminders WHERE id = 'b'")
        insert(connection, "c", "+4930123456")
        assert [loaded(connection, examined), loaded(connection, examined)] == ["('c')", "(NULL)"]


def test_what_can_not_be_called_is_examined_until_it_is_corrected_in_turns(tmp_path: Path) -> None:
    examined = Examined(BERLIN)
    with open_sync(tmp_path / "clinic.db") as connection:
        for place in range(AT_ONCE + 1):
            insert(connection, f"a{place:03}", "030")
        while not examined.examine(connection):
            pass
        for name in ("a000", f"a{AT_ONCE:03}"):
            change = "UPDATE reminders SET phone_number = '+4930123456', wake_at = :at, revision = revision + 1"
            connection.execute(f"{change} WHERE id = :id", {"at": YEAR_2999, "id": name})
        assert [examined.examine(connection), examined.examine(connection)] == [True, True]
        assert examined.reasons == uncallable(connection, numbering=BERLIN)


def test_a_row_that_another_program_changes_is_examined_again(tmp_path: Path) -> None:
    examined = Examined(BERLIN)
    with open_sync(tmp_path / "clinic.db") as connection:
        insert(connection, "a", "+4930123456")
        examined.examine(connection)
        assert examined.reasons == {}
        connection.execute("UPDATE reminders SET phone_number = '030' WHERE id = 'a'")
        examined.examine(connection)
        assert sum(examined.reasons.values()) == 1
        connection.execute("UPDATE reminders SET status = 'cancelled' WHERE id = 'a'")
        examined.examine(connection)
        assert examined.reasons == {}


def test_those_that_wait_are_found_from_an_index_alone(tmp_path: Path) -> None:
    with open_sync(tmp_path / "clinic.db") as connection:
        insert(connection, "a", "+4930123456", scheduled_at=to_ms(NOW))
        asked: list[str] = []
        sqlite(connection).set_trace_callback(asked.append)
        Examined(BERLIN).examine(connection)
        sqlite(connection).set_trace_callback(None)
        plan = [row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {asked[0]}").fetchall()]
    assert plan == ["SEARCH reminders USING COVERING INDEX reminders_to_look_at (wake_at>?)"]
