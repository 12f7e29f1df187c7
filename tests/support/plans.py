"""Show how an engine would read its tables for a statement, in words that apply to each engine."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from attrs import define, field, frozen

from reminderd.store.connection import Connection, Parameters, Rows
from reminderd.store.sqlite.driver import SqliteConnection
from tests.support.store import Store

SMALL_TABLES = {"alerts", "settings"}
"""The tables that may be read whole: they do not grow with time."""


@frozen(kw_only=True)
class Step:
    """One look into a table or an index."""

    table: str
    index: str | None
    """Its name, of a primary key `<table>_pkey` as PostgreSQL names it; None if the table is read from end to end."""
    is_whole: bool
    """Whether no condition limits which rows are read."""
    is_alone: bool = False
    """Whether the index has all requested columns, so that the table is not read."""


@frozen
class Plan:
    """An engine's plan for a statement."""

    text: str
    steps: tuple[Step, ...]
    is_sorted: bool
    """Whether rows are sorted because they were not read in their order."""
    is_by_size: bool = False
    """Whether the engine chooses its ways by the number of rows: it may sort a few, or read a small table whole."""

    def uses(self, index: str) -> bool:
        """Return whether it uses an index whose name begins like this, or the engine may have found a faster way."""
        return self.is_by_size or any(name.startswith(index) for name in self.indexes)

    @property
    def indexes(self) -> set[str]:
        return {step.index for step in self.steps if step.index is not None}

    @property
    def whole_tables(self) -> set[str]:
        return {step.table for step in self.steps if step.index is None} - SMALL_TABLES

    @property
    def whole_indexes(self) -> set[str]:
        return {step.index for step in self.steps if step.index is not None and step.is_whole}


def plan(connection: Connection, sql: str, parameters: Parameters = ()) -> Plan:
    """Return how the engine would run a statement. PostgreSQL goes by the number of rows: see `large_target`."""
    if isinstance(connection, SqliteConnection):
        return _sqlite_plan([row["detail"] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", parameters)])
    [(explained,)] = connection.execute(f"EXPLAIN (FORMAT JSON) {sql}", parameters).fetchall()
    return postgres_plan(explained[0]["Plan"])


_SQLITE_STEP = re.compile(
    r"(?P<how>SCAN|SEARCH) (?P<table>\w+)(?: AS \w+)?"
    r"(?: USING (?P<covering>COVERING )?(?:INDEX (?P<index>\w+)|INTEGER (?P<key>PRIMARY KEY)))?"
)


def _sqlite_plan(details: list[str]) -> Plan:
    return Plan(
        "\n".join(details),
        tuple(_sqlite_steps(details)),
        any(detail.startswith("USE TEMP B-TREE FOR ") and "ORDER BY" in detail for detail in details),
    )


def _sqlite_steps(details: list[str]) -> Iterator[Step]:
    # What is put together for this statement alone is no table.
    made = {detail.split()[1] for detail in details if detail.startswith(("CO-ROUTINE", "MATERIALIZE"))} | {"CONSTANT"}
    for found in filter(None, map(_SQLITE_STEP.match, details)):
        if found["how"] == "SCAN" and found["table"] in made:
            continue
        is_by_key = found["key"] is not None or (found["how"] == "SEARCH" and found["index"] is None)
        index = f"{found['table']}_pkey" if is_by_key else found["index"]
        if index is not None:
            index = re.sub(r"^sqlite_autoindex_(\w+)_1$", r"\1_pkey", index)
        yield Step(
            table=found["table"], index=index, is_whole=found["how"] == "SCAN", is_alone=found["covering"] is not None
        )


def postgres_plan(top: dict[str, Any]) -> Plan:
    nodes = list(_nodes(top, ""))
    return Plan(
        "\n".join(f"{node['Node Type']} {table} {node.get('Index Name', '')}" for node, table in nodes),
        tuple(
            Step(
                table=table,
                index=node.get("Index Name"),
                is_whole="Index Cond" not in node,
                is_alone=node["Node Type"] == "Index Only Scan",
            )
            for node, table in nodes
            if node["Node Type"] in {"Seq Scan", "Index Scan", "Index Only Scan", "Bitmap Index Scan"}
        ),
        is_sorted=any(node["Node Type"] in {"Sort", "Incremental Sort"} for node, _ in nodes),
        is_by_size=True,
    )


def _nodes(node: dict[str, Any], table_above: str) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield each node with its table: a bitmap's is that of the node above, which reads what the bitmap marks."""
    table = node.get("Relation Name", table_above)
    yield node, table
    for below in node.get("Plans", ()):
        yield from _nodes(below, table)


@define
class Recording:
    """A connection that records each statement."""

    connection: Connection
    statements: list[tuple[str, Parameters]] = field(factory=list)

    def execute(self, sql: str, parameters: Parameters = ()) -> Rows:
        self.statements.append((sql, parameters))
        return self.connection.execute(sql, parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@contextmanager
def recorded(store: Store) -> Iterator[list[tuple[str, Parameters]]]:
    """Yield a list that is filled with what is executed on the store's connection meanwhile."""
    connection = store.connection
    recording: Any = Recording(connection)
    store.connection = recording
    try:
        yield recording.statements
    finally:
        store.connection = connection


def statements(store: Store, act: Callable[[], object]) -> list[tuple[str, Parameters]]:
    """Return what a function executes on the store's connection."""
    with recorded(store) as found:
        act()
    return found


def plans(store: Store, read: Callable[[], object]) -> list[Plan]:
    """Return the plan of each statement that a function executes on the store's connection."""
    return [plan(store.connection, sql, parameters) for sql, parameters in statements(store, read)]
