"""Names, docstrings, comments, messages and documents keep to the words of docs/glossary.md.

A word is banned where another one says the same more plainly; the glossary has the meaning of that other word.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from attrs import frozen

ROOT = Path(__file__).parents[1]
GLOSSARY = "docs/glossary.md"

BANNED = {
    "rung": "called",
    "look(s|ed|ing)? after": "check, reconcile",
    "doors?|gates?": "server, port, limit: what it is",
    "(the|an) operators?": "admin, or staff",
    "wires?": "connection",
    "in vain": "without an answer",
    "in doubt": "unconfirmed, unclear",
    "whoever": "the person who",
    "shall": "is to, or must",
    "besides?": "next to, as well",
    "for ever|any more": "forever, anymore",
    "dialled": "dialed",
    "normalis(e|es|ed|ing)": "normalize",
    "judgement": "judgment",
    "riders?|leaders?|company|parted": "bundled reminders",
    "unclear (calls?|rows?)": "unconfirmed",
    "agreements?": "cross-check",
    "errands?": "action",
    "fates?": "outcome",
    "kill switch(es)?": "pause",
    "(put|puts|putting) (off|aside)": "hold",
    "(clear|clears|cleared) up": "reconcile",
    "exposures?": "warning",
    "troubles?": "error, or what failed",
    "wish(es)?": "what the caller asks for: add, update",
    "licences?": "license",
    "behaviours?": "behavior",
    "colours?|coloured": "color",
    "honours?|honoured": "honor",
    "favours?|favoured": "favor",
    "dialling": "dialing",
    "(recogni|authori|organi|synchroni|initiali|summari)s(e|es|ed|ing|ation)": "the same with z",
    "centre": "center",
    "grey": "gray",
    "whilst": "while",
    "lest": "so that … not",
    "likewise": "also",
    "thus|hence": "so",
}
"""A pattern of whole words in any case, and what to write instead."""

BANNED_IN_NAMES = {
    "gone": "deleted, ended, erased: what happened to it",
    "said|says|telling|tells?|told": "text, status, reported, printed: what it is",
    "rings|rang|rung": "called",
    "unheard": "without an answer, not spoken",
    "mends?|mended": "fix",
    "lies|lie": "is inside",
    "doubts?": "unconfirmed",
    "live": "alive, reloadable",
    "beside|errand|confess|blame|knock|fates?": "see the glossary",
}
"""The same for the names in the package; in a sentence they may be the right word."""

WORDS_OF_A_NAME = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
"""The words of an identifier, in `snake_case` or `CamelCase`."""

ALLOWED: dict[tuple[str, str], str] = {
    ("tests/deploy/test_unit.py", "Overall exposure level"): "systemd-analyze prints it",
}
"""A file and a part of one of its texts that may have a banned word, with the reason."""


@frozen
class Text:
    """A comment, or a line of a docstring, a message or a document."""

    file: str
    line: int
    text: str
    is_name: bool = False


def texts_of_module(file: str, source: str) -> Iterator[Text]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield Text(file, token.start[0], token.string)
        elif token.type == tokenize.NAME:
            yield Text(file, token.start[0], " ".join(WORDS_OF_A_NAME.findall(token.string)), is_name=True)
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            for offset, line in enumerate(node.value.split("\n")):
                yield Text(file, node.lineno + offset, line)


@cache
def texts() -> tuple[Text, ...]:
    found: list[Text] = []
    modules = [*sorted((ROOT / "reminderd").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]
    for path in modules:
        if path == Path(__file__):
            continue  # it lists the banned words
        found += texts_of_module(str(path.relative_to(ROOT)), path.read_text(encoding="utf-8"))
    documents = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
    for path in (*documents, ROOT / "config.example.toml"):
        name = str(path.relative_to(ROOT))
        lines = path.read_text(encoding="utf-8").splitlines()
        if name != GLOSSARY:  # it lists the banned words
            found += [Text(name, number, line) for number, line in enumerate(lines, 1)]
    return tuple(found)


def word_of(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE)


@cache
def banned_texts() -> tuple[Text, ...]:
    """Return the texts with any banned word: one pass over all is fast, and few are left for each pattern."""
    any_word = word_of("|".join(BANNED))
    return tuple(text for text in texts() if any_word.search(text.text))


def with_word(pattern: str) -> Iterator[Text]:
    word = word_of(pattern)
    return (text for text in banned_texts() if word.search(text.text))


def is_allowed(text: Text) -> bool:
    return any(text.file == file and part in text.text for file, part in ALLOWED)


@pytest.mark.parametrize("pattern", BANNED)
def test_a_banned_word_is_nowhere(pattern: str) -> None:
    found = [f"{each.file}:{each.line}: {each.text.strip()}" for each in with_word(pattern) if not is_allowed(each)]
    assert not found, "\n".join([f"write instead: {BANNED[pattern]}", *found])


@pytest.mark.parametrize("pattern", BANNED_IN_NAMES)
def test_a_name_in_the_package_has_no_banned_word(pattern: str) -> None:
    word = word_of(pattern)
    names = (text for text in texts() if text.is_name and text.file.startswith("reminderd/"))
    found = [f"{each.file}:{each.line}: {each.text}" for each in names if word.search(each.text)]
    assert not found, "\n".join([f"write instead: {BANNED_IN_NAMES[pattern]}", *found])


def test_every_exception_is_still_needed() -> None:
    banned = [text for pattern in BANNED for text in with_word(pattern)]
    unused = [(file, part) for file, part in ALLOWED if not any(file == t.file and part in t.text for t in banned)]
    assert unused == []


def test_comments_docstrings_and_messages_are_all_read() -> None:
    source = '"""One."""\n\nx = f"two {x} three"  # four\n'
    found = [each.text for each in texts_of_module("x.py", source)]
    assert found[0] == "x"
    # From Python 3.12 on, the names in an f-string are names, too.
    assert [text for text in found if text != "x"] == ["# four", "One.", "two ", " three"]
    files = {each.file for each in texts()}
    assert {
        "reminderd/clock.py",
        "tests/conftest.py",
        "docs/rules.md",
        "README.md",
        "CONTRIBUTING.md",
        "config.example.toml",
    } <= files


def test_every_word_of_the_glossary_has_one_entry() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \|[^|]*\|$", (ROOT / GLOSSARY).read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for row in rows if row != "word" for word in re.split(", ", row)]
    assert len(words) > 40
    assert sorted({word for word in words if words.count(word) > 1}) == []
