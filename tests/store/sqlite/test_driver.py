from contextlib import closing
from pathlib import Path

import pytest

from reminderd.store.errors import StoreUnavailableError, StoreUnusableError
from reminderd.store.sqlite import driver
from reminderd.store.sqlite.driver import (
    Error,
    IntegrityError,
    OperationalError,
    connect,
    sqlite_version_info,
    sqlite_warning,
    store_error,
    translated,
    wal_reset_bug,
)


@pytest.mark.parametrize(
    "version",
    [(3, 7, 0), (3, 40, 1), (3, 44, 5), (3, 45, 0), (3, 45, 1), (3, 49, 2), (3, 50, 6), (3, 51, 0), (3, 51, 2)],
)
def test_these_versions_can_corrupt_a_wal_database(version: tuple[int, int, int]) -> None:
    assert wal_reset_bug(version)
    assert f"SQLite {version[0]}.{version[1]}.{version[2]} has the WAL-reset bug" in (sqlite_warning(version) or "")


@pytest.mark.parametrize(
    "version", [(3, 6, 23), (3, 44, 6), (3, 44, 7), (3, 50, 7), (3, 50, 8), (3, 51, 3), (3, 53, 4), (4, 0, 0)]
)
def test_these_versions_are_before_the_bug_or_repaired(version: tuple[int, int, int]) -> None:
    assert not wal_reset_bug(version)
    assert sqlite_warning(version) is None


def test_the_library_in_use_supports_strict_tables() -> None:
    assert sqlite_version_info >= (3, 37)


def test_the_bundled_library_is_used_if_it_is_installed() -> None:
    bundled = pytest.importorskip("pysqlite3")
    assert driver.Connection is bundled.Connection
    assert driver.sqlite_version_info == bundled.sqlite_version_info


def an_error(code: int | None) -> Error:
    error = OperationalError("what SQLite says")
    if code is not None:
        error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (3, "permission denied"),
        (5, "locked by another program"),
        (5 | (1 << 8), "locked by another program"),
        (6, "locked by another connection"),
        (8, "read-only"),
        (10 | (3 << 8), "the disk failed"),
        (13, "the disk is full"),
        (14, "can't be opened"),
        (15, "locked by another program"),
    ],
)
def test_temporary_errors_mean_try_again_later(code: int, words: str) -> None:
    with pytest.raises(StoreUnavailableError, match=words) as caught, translated():
        raise an_error(code)
    assert isinstance(caught.value.__cause__, OperationalError)
    assert "what SQLite says" in str(caught.value)


@pytest.mark.parametrize(
    ("code", "words"), [(11, "damaged"), (11 | (2 << 8), "damaged"), (26, "not a SQLite database")]
)
def test_a_damaged_file_is_an_unusable_store(code: int, words: str) -> None:
    with pytest.raises(StoreUnusableError, match=words), translated():
        raise an_error(code)


@pytest.mark.parametrize(
    "error",
    [an_error(1), an_error(None), IntegrityError("unique"), ValueError("a bug")],
    ids=["SQL error", "no code", "constraint", "a bug"],
)
def test_programming_errors_and_broken_constraints_are_not_translated(error: Exception) -> None:
    assert store_error(error) is None
    with pytest.raises(type(error)) as caught, translated():
        raise error
    assert caught.value is error


def test_an_error_of_the_library_has_its_code() -> None:
    connection = connect(":memory:")
    connection.execute("PRAGMA query_only = ON")
    with pytest.raises(StoreUnavailableError, match="read-only"), translated():
        connection.execute("CREATE TABLE t(x)")
    connection.close()


def test_an_error_without_a_code_is_recognized_by_its_message(tmp_path: Path) -> None:
    with closing(connect(":memory:")) as source, closing(connect(str(tmp_path / "target.db"))) as target:
        source.execute("CREATE TABLE t(x)")
        target.execute("PRAGMA max_page_count = 1")
        with pytest.raises(StoreUnavailableError, match="the disk is full"), translated():
            source.backup(target)
