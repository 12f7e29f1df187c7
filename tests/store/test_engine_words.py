"""The statements of the store are SQL that a second engine can take: SQLite's own words are in `sqlite/`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import reminderd.store

STORE: Final = Path(reminderd.store.__file__).parent
WORDS: Final = {
    "a setting of SQLite": r"\bPRAGMA\b|\bVACUUM\b|\bATTACH\b|\bBEGIN (IMMEDIATE|EXCLUSIVE)\b|sqlite_",
    "a function of SQLite": r"\b(julianday|strftime|unixepoch|randomblob|group_concat|ifnull|iif|instr|typeof|char)\(",
    "JSON, which engines spell differently": r"\bjson_\w+\(|->>?",
    "max or min of several values, which is greatest and least elsewhere": r"\b(max|min)\([^()]*,",
    "a hidden column": r"\b(rowid|oid)\b",
    "a conflict clause that only SQLite has": r"\b(INSERT|UPDATE) OR \w+|\bREPLACE INTO\b",
    "a comparison that only SQLite has": r"\bGLOB\b|\bIS (NOT )?:|\bIS (NOT )?\?|==",
    "an index that the engine must choose": r"\bINDEXED BY\b",
    "an integer of four bytes": r"\bAS INTEGER\b",
    "no limit, written as one": r"\bLIMIT -1\b",
    "unnamed columns": r"SELECT \*|\.\*",
    "an unnamed parameter": r"\?",
}
SQL: Final = re.compile(r"\b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|SAVEPOINT|RELEASE|PRAGMA|VACUUM)\b")


def statements(source: str) -> Iterator[tuple[int, str]]:
    """Yield every SQL text of a module with its line, without docstrings."""
    tree = ast.parse(source)
    said = {id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            parts = [part.value if isinstance(part, ast.Constant) else "x" for part in node.values]
            text = "".join(map(str, parts))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            text = node.value
        else:
            continue
        if SQL.search(text):
            yield node.lineno, text


def engine_words(source: str) -> list[str]:
    return [
        f"line {line}: {what}: {text.strip()}"
        for line, text in statements(source)
        for what, pattern in WORDS.items()
        if re.search(pattern, text)
    ]


@pytest.mark.parametrize("module", sorted(STORE.glob("*.py")), ids=lambda path: path.name)
def test_the_stores_sql_works_with_any_engine(module: Path) -> None:
    assert engine_words(module.read_text()) == []


def test_there_are_statements_to_check() -> None:
    assert sum(len(list(statements(module.read_text()))) for module in STORE.glob("*.py")) > 80


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM reminders",
        "INSERT OR IGNORE INTO opt_outs (phone_number) VALUES (:number)",
        "SELECT id FROM reminders WHERE id = ?",
        "SELECT value ->> 0 FROM reminders",
        "UPDATE reminders SET wake_at = CAST(julianday('now') AS INTEGER)",
        "SELECT rowid FROM audit",
        "SELECT max(wake_at, retry_at) FROM reminders",
        "SELECT id FROM reminders WHERE ref IS :ref",
    ],
)
def test_sql_for_only_one_engine_is_found(statement: str) -> None:
    assert engine_words(f"QUERY = {statement!r}")
    assert engine_words(f'TABLE = "reminders"\nQUERY = f"{statement} {{TABLE}}"')
