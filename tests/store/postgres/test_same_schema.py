"""After each step, the two engines have the same tables, columns, constraints, indexes, views and triggers."""

import re
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final

import psycopg
import pytest
from attrs import frozen

from reminderd.store.postgres.shared_schema import migrate, migrations
from reminderd.store.queries import NEEDS_HUMAN
from reminderd.store.sqlite import migrate as sqlite_migrate
from reminderd.store.sqlite.driver import connect
from tests.support.postgres import USER, PostgresDatabase

ONLY_POSTGRES: Final = {
    "table schema_info",  # SQLite has user_version
    "table commit_marks",  # SQLite's COMMIT has no connection that could be lost
    # In SQLite there is one writer at a time anyway.
    "trigger reminders_one_writer on reminders",
    "trigger appointments_one_writer on appointments",
    "trigger opt_outs_one_writer on opt_outs",
    # SQLite has no TRUNCATE.
    "trigger audit_is_not_truncated on audit",
    "trigger reminders_are_not_truncated on reminders",
    "trigger appointments_are_not_truncated on appointments",
    # In SQLite each process sees for itself that the file has changed.
    "trigger reminders_notify on reminders",
    "trigger appointments_notify on appointments",
    "trigger call_logs_notify on call_logs",
    "trigger settings_notify on settings",
    "trigger opt_outs_notify on opt_outs",
    "trigger changes_notify on changes",
}
ONLY_SQLITE: Final = {
    # PostgreSQL takes no text that isn't UTF-8.
    "trigger reminders_id_is_utf8 on reminders",
    "trigger appointments_id_is_utf8 on appointments",
    "trigger audit_is_not_replaced on audit",  # PostgreSQL has no REPLACE
}

SQLITE_NOW: Final = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"
DEFAULTS: Final = {SQLITE_NOW: "now", "reminderd_now()": "now"} | {
    "lower(hex(randomblob(16)))": "random",
    "replace((gen_random_uuid())::text, '-'::text, ''::text)": "random",
}


@frozen
class Facts:
    """What a schema has, by kind."""

    columns: set[str]
    """Each with its table, its place there, its type, whether it may be NULL, and its default."""
    unique: set[str]
    """What occurs once: a table's columns."""
    indexes: set[str]
    """Each that we have named, with its columns, or that there is an expression, and whether it is of some rows."""
    named: set[str]
    """Tables, views, triggers and checks."""


def default(text: str | None) -> str | None:
    """Return a default in the words of both engines."""
    if text is None:
        return None
    return DEFAULTS.get(text, text.partition("::")[0].strip("'"))


SQLITE_COLUMNS = """
SELECT t.name, c.cid, c.name, c.type, c."notnull" OR c.pk, c.dflt_value
  FROM sqlite_schema AS t, pragma_table_info(t.name) AS c
 WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite%'
"""
SQLITE_INDEXES = """
SELECT t.name, i.name, i."unique", i.origin, i.partial, c.name
  FROM sqlite_schema AS t, pragma_index_list(t.name) AS i, pragma_index_xinfo(i.name) AS c
 WHERE t.type = 'table' AND c.key ORDER BY t.name, i.name, c.seqno
"""


def of_sqlite(steps: int) -> Facts:
    with closing(connect(":memory:", isolation_level=None)) as connection:
        for step in sqlite_migrate.migrations()[:steps]:
            connection.executescript(step.sql)
        columns = connection.execute(SQLITE_COLUMNS).fetchall()
        indexes = connection.execute(SQLITE_INDEXES).fetchall()
        schema = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema").fetchall()
    named = {
        f"{kind} {name}" for kind, name, *_ in schema if kind in {"table", "view"} and not name.startswith("sqlite")
    }
    named |= {f"trigger {name} on {table}" for kind, name, table, _ in schema if kind == "trigger"}
    for kind, name, _, sql in schema:
        if kind == "table" and sql:
            named |= {f"check {check} of {name}" for check in re.findall(r"CONSTRAINT (\w+)\s+CHECK", sql)}
    # The key of a table whose rows are numbered is the row's own number: that is no index.
    numbered = {f"{table}({name})" for table, _, name, kind, required, _ in columns if kind == "INTEGER" and required}
    keys = {f"{row[0]}({row[2]})" for row in columns if row[1] == 0 and row[3] == "INTEGER"}
    return Facts(
        columns={
            f"{table} {place} {name} {kind} {bool(required)} {default(by_default)}"
            for table, place, name, kind, required, by_default in columns
        },
        unique=_unique((table, index, bool(unique), column) for table, index, unique, _, partial, column in indexes)
        | (numbered & keys),
        indexes=_indexes(
            (index, bool(unique), bool(partial), column)
            for _, index, unique, origin, partial, column in indexes
            if origin == "c"
        ),
        named=named,
    )


POSTGRES_COLUMNS = """
SELECT c.table_name, c.ordinal_position - 1, c.column_name, c.data_type, c.collation_name, c.is_nullable = 'NO',
       c.column_default
  FROM information_schema.columns AS c JOIN information_schema.tables AS t USING (table_schema, table_name)
 WHERE table_schema = 'public' AND t.table_type = 'BASE TABLE'
"""
POSTGRES_INDEXES = """
SELECT i.indrelid::regclass::text, i.indexrelid::regclass::text, i.indisunique, i.indpred IS NOT NULL, a.attname,
       EXISTS (SELECT 1 FROM pg_constraint WHERE conindid = i.indexrelid)
  FROM pg_index AS i
  CROSS JOIN LATERAL unnest(i.indkey) WITH ORDINALITY AS k (number, place)
  LEFT JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = k.number AND k.number <> 0
 WHERE i.indrelid::regclass::text NOT LIKE 'pg_%' AND i.indrelid IN (
       SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
 ORDER BY 1, 2, k.place
"""
POSTGRES_NAMED = """
SELECT 'table ' || tablename FROM pg_tables WHERE schemaname = 'public'
UNION ALL SELECT 'view ' || viewname FROM pg_views WHERE schemaname = 'public'
UNION ALL SELECT 'trigger ' || tgname || ' on ' || tgrelid::regclass FROM pg_trigger WHERE NOT tgisinternal
UNION ALL SELECT 'check ' || conname || ' of ' || conrelid::regclass FROM pg_constraint
           WHERE contype = 'c' AND connamespace = 'public'::regnamespace
"""


def of_postgres(connection: psycopg.Connection) -> Facts:
    columns = connection.execute(POSTGRES_COLUMNS).fetchall()
    indexes = connection.execute(POSTGRES_INDEXES).fetchall()
    mine = [row for row in indexes if row[0] not in {"schema_info", "commit_marks"}]
    return Facts(
        columns={
            f"{table} {place} {name} {_type(kind, collation)} {required} {default(by_default)}"
            for table, place, name, kind, collation, required, by_default in columns
            if table not in {"schema_info", "commit_marks"}
        },
        unique=_unique((table, index, unique, column) for table, index, unique, _, column, _ in mine),
        indexes=_indexes(
            (index, unique, partial, column)
            for _, index, unique, partial, column, of_constraint in mine
            if not of_constraint
        ),
        named={name for (name,) in connection.execute(POSTGRES_NAMED).fetchall()},
    )


def _type(kind: str, collation: str | None) -> str:
    return {("bigint", None): "INTEGER", ("text", "C"): "TEXT"}.get((kind, collation), f"{kind} {collation}")


def _unique(rows: Iterator[tuple[str, str, bool, str | None]]) -> set[str]:
    found: dict[tuple[str, str], list[str]] = {}
    for table, index, unique, column in rows:
        if unique:
            found.setdefault((table, index), []).append(column or "(expression)")
    return {f"{table}({', '.join(columns)})" for (table, _), columns in found.items()}


def _indexes(rows: Iterator[tuple[str, bool, bool, str | None]]) -> set[str]:
    found: dict[tuple[str, bool, bool], list[str]] = {}
    for index, unique, partial, column in rows:
        found.setdefault((index, unique, partial), []).append(column or "(expression)")
    return {
        f"{'unique ' * unique}{index}({', '.join(columns)}){' of some rows' * partial}"
        for (index, unique, partial), columns in found.items()
    }


@pytest.mark.parametrize("steps", range(1, len(migrations()) + 1))
def test_after_each_step_both_engines_have_the_same(empty: PostgresDatabase, steps: int) -> None:
    with empty.server.connect(empty.name, USER) as connection:
        migrate(connection, migrations()[:steps])
        found = of_postgres(connection)
    expected = of_sqlite(steps)
    assert found.columns == expected.columns
    assert found.unique == expected.unique
    assert found.indexes == expected.indexes
    assert found.named - ONLY_POSTGRES == expected.named - ONLY_SQLITE


def test_what_only_one_engine_has_is_there(made: PostgresDatabase) -> None:
    with made.connect() as connection:
        assert of_postgres(connection).named >= ONLY_POSTGRES
    assert of_sqlite(len(migrations())).named >= ONLY_SQLITE


def indexes_as_written(steps: list[Any]) -> dict[str, str]:
    """Return the newest text of each index."""
    sql = re.sub(r"--.*", "", "".join(step.sql for step in steps))
    found = re.findall(r"CREATE ((?:UNIQUE )?INDEX (\w+) ON [^;]+);", sql)
    return {name: " ".join(text.split()) for text, name in found}


def test_the_indexes_of_both_engines_have_the_same_conditions() -> None:
    found, expected = indexes_as_written(migrations()), indexes_as_written(sqlite_migrate.migrations())
    for engines_own in ("reminders_with_odd_names", "schema_info_is_one_row"):
        found.pop(engines_own)
        expected.pop(engines_own, None)
    assert found == expected


def test_the_statistics_of_those_that_need_a_human_are_of_the_condition_that_is_asked() -> None:
    (written,) = re.findall(r"CREATE STATISTICS \w+ ON \((.*?)\) FROM", migrations()[1].sql, re.DOTALL)
    assert " ".join(written.split()) == NEEDS_HUMAN
    index = indexes_as_written(migrations())["reminders_that_need_a_human"]
    assert index.partition(" WHERE ")[2] == NEEDS_HUMAN


def test_the_names_that_look_odd_are_read_from_their_index(made: PostgresDatabase) -> None:
    """Else each search for a name would read all reminders."""
    with made.connect() as connection:
        connection.execute(
            "INSERT INTO reminders (id, phone_number, message, scheduled_at, status)"
            " SELECT 'r' || i, '+49', 'm', i, 'called' FROM generate_series(1, 3000) AS i"
        )
        connection.execute("ANALYZE reminders")
        plan = str(connection.execute("EXPLAIN SELECT id, ref FROM odd_names").fetchall())
    assert "reminders_with_odd_names" in plan
