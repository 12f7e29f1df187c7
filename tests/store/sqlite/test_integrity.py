from pathlib import Path

from reminderd.store.sqlite.driver import SqliteConnection, connect
from reminderd.store.sqlite.integrity import check
from reminderd.store.sqlite.opening import open_sync


def test_a_sound_database_has_no_errors(connection: SqliteConnection) -> None:
    assert check(connection) == []


def test_a_dangling_reference_of_the_clinics_own_table_is_named(connection: SqliteConnection) -> None:
    connection.execute("CREATE TABLE clinics_own (call_id TEXT REFERENCES call_logs (id))")
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO clinics_own VALUES ('gone')")
    assert check(connection) == ["clinics_own: row 1 refers to a missing row of call_logs"]


def test_an_index_that_does_not_match_its_table_is_found(path: Path) -> None:
    with open_sync(path) as connection:
        connection.execute("INSERT INTO opt_outs (phone_number) VALUES ('+4930123456')")
        page = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name LIKE '%autoindex_opt_outs%'"
        ).fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[page * size - 3 : page * size - 2] = b"X"
    path.write_bytes(content)
    with open_sync(path) as connection:
        assert any("opt_outs" in sentence for sentence in check(connection))


def test_a_corrupt_page_is_found(path: Path) -> None:
    with open_sync(path) as connection:
        page = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'opt_outs'").fetchone()[0]
        size = connection.execute("PRAGMA page_size").fetchone()[0]
    content = bytearray(path.read_bytes())
    content[(page - 1) * size : page * size] = b"\xff" * size
    path.write_bytes(content)
    with open_sync(path) as connection:
        assert check(connection)


def test_an_unreadable_file_is_reported(path: Path) -> None:
    path.write_bytes(b"nonsense" * 1000)
    connection = connect(str(path))
    assert check(connection) == ["it can't be read through: file is not a database"]
    connection.close()
