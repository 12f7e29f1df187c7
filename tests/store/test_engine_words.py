"""The statements of the store are SQL that a second engine can take: SQLite's own words are in `sqlite/`."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

import reminderd.store

STORE: Final = Path(reminderd.store.__file__).parent
FLAGS: Final = ("adopted", "deleted", "done", "evidence", "spoken")
"""The columns that have 1 for true and 0 for false."""
WORDS: Final = {
    "a setting of SQLite": r"\bPRAGMA\b|\bVACUUM\b|\bATTACH\b|\bBEGIN (IMMEDIATE|EXCLUSIVE)\b|sqlite_",
    "a function of SQLite": r"\b(julianday|strftime|unixepoch|randomblob|group_concat|ifnull|iif|instr|typeof|char)\(",
    "JSON, which engines spell differently": r"\bjson_\w+\(|->>?",
    "max or min of several values, which is greatest and least elsewhere": r"\b(max|min)\([^()]*,",
    "a hidden column": r"\b(rowid|oid)\b",
    "a conflict clause that only SQLite has": r"\b(INSERT|UPDATE) OR \w+|\bREPLACE INTO\b",
    "a comparison that only SQLite has": r"\bGLOB\b|==",
    "IS between values, which only SQLite has": r"\bIS (NOT )?(?!(NOT )?(NULL|TRUE|FALSE)\b)[\w:?(]",
    "a comparison that ignores case only in SQLite": r"\bLIKE\b",
    "a sign before a column": r"(\b(AND|OR|NOT|ON|WHERE|WHEN|THEN|ELSE|SELECT|BY)|[(,=<>]) *\+ *[a-z]",
    "a word that is reserved elsewhere, as a name": (
        r"\b(AS|SAVEPOINT|RELEASE|ROLLBACK TO) (all|any|both|check|column|default|desc|else|end|false|for|from|group|"
        r"limit|offset|on|or|order|primary|select|some|table|then|to|true|union|user|using|when|where|window|with)\b"
    ),
    "a parameter whose type nothing shows": r"(?<!CAST\()(?<!\w):\w+ IS (NOT )?NULL",
    "a number as a condition": rf"\b(WHERE|AND|OR|NOT|WHEN) (\w+\.)?({'|'.join(FLAGS)})\b(?! *([=<>]|IS\b|IN\b))",
    "a condition as a number": r"\bsum\(([^()]*[=<>]|[^()]* IS )",
    "a count of conditions, none of which is NULL": r"\bcount\(([^()*]*[=<>]|[^()]* IS )",
    "a place before the first character": r"\bsubstr\([^,()]+, *(-|0\b)",
    "a fraction where SQLite has none": r"/ *[0-9]+\.|\bavg\(",
    "an index that the engine must choose": r"\bINDEXED BY\b",
    "an integer of four bytes": r"\bAS INTEGER\b",
    "no limit, written as one": r"\bLIMIT -1\b",
    "unnamed columns": r"SELECT \*|\.\*",
    "an unnamed parameter": r"\?",
}
# NULL is the smallest value in SQLite, and the largest one elsewhere.
MAY_BE_NULL: Final = (
    "again_until",
    "done_at",
    "end_code",
    "ended_at",
    "expires_at",
    "finished_at",
    "hold_code",
    "hung_up_at",
    "outcome",
    "planned_at",
    "ref",
    "response",
    "retry_at",
    "wake_at",
)
ORDER: Final = re.compile(r"ORDER BY ((?:[^()]|\([^()]*\))*?)(?=LIMIT|\)|$)")
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
    ] + [
        f"line {line}: NULLs come first or last: {name}: {text.strip()}"
        for line, text in statements(source)
        for name in unordered(text)
    ]


def unordered(statement: str) -> list[str]:
    """Return the columns by which a statement orders, and that may be NULL in its rows, without a place for these."""
    return [
        name
        for order in ORDER.findall(statement)
        for name in MAY_BE_NULL
        if re.search(rf"\b{name}\b(?! (ASC |DESC )?NULLS)", order) and f"{name} IS NOT NULL" not in statement
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
        "SELECT id FROM reminders WHERE ref IS NOT name",
        "SELECT id FROM reminders WHERE ref IS DISTINCT FROM name",
        "SELECT id FROM reminders WHERE phone_number LIKE :beginning",
        "SELECT id FROM call_logs WHERE status = :status AND +external_call_id = :id",
        "SELECT count(id) FROM (SELECT id FROM reminders) AS some",
        "SAVEPOINT user FROM",
        "SELECT id FROM imports WHERE (profile = :profile OR :profile IS NULL)",
        "SELECT id FROM call_logs AS c WHERE c.adopted AND c.state = 'ended'",
        "SELECT id FROM call_logs WHERE NOT evidence",
        "SELECT sum(state = 'ended') FROM call_logs",
        "SELECT sum(outcome IS NULL) FROM call_logs",
        "SELECT count(state = 'ended') FROM call_logs",
        "SELECT id FROM opt_outs WHERE substr(phone_number, -4) = :last",
        "SELECT avg(duration_seconds) FROM call_logs",
        "SELECT id FROM reminders ORDER BY coalesce(ref, id), done_at LIMIT 1",
        "SELECT id FROM (SELECT id FROM reminders ORDER BY wake_at) AS x WHERE id IS NOT NULL",
    ],
)
def test_sql_for_only_one_engine_is_found(statement: str) -> None:
    assert engine_words(f"QUERY = {statement!r}")
    assert engine_words(f'TABLE = "reminders"\nQUERY = f"{statement} {{TABLE}}"')
