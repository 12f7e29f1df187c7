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
    "anew": "again, new",
    "by hand": "manually",
    "all the same": "anyway",
    "(become|becomes|became) of": "happens to, the outcome of",
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
    "beside|errand|confess|blame|knock|fates?": "bundled, action, error, outcome: what it is",
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
def documents() -> tuple[Path, ...]:
    found = [*sorted((ROOT / "docs").rglob("*.md")), *(ROOT / name for name in ("README.md", "CONTRIBUTING.md"))]
    return (*found, ROOT / "config.example.toml")


@cache
def modules() -> tuple[Path, ...]:
    found = [*sorted((ROOT / "reminderd").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]
    return tuple(path for path in found if path != Path(__file__))  # it lists the banned words


@cache
def texts_of(path: Path) -> tuple[Text, ...]:
    file, source = str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        return tuple(texts_of_module(file, source))
    return tuple(Text(file, number, line) for number, line in enumerate(source.splitlines(), 1))


def word_of(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{pattern})(?![\w-])", re.IGNORECASE)


def may_have(path: Path, word: re.Pattern[str]) -> bool:
    """Return whether a file may have a word, which is found out in a fraction of the time that it takes to read it."""
    source = path.read_text(encoding="utf-8")
    names = "\n".join(" ".join(WORDS_OF_A_NAME.findall(name)) for name in set(re.findall(r"\w+", source)))
    return any(word.search(text) for text in (source, source.replace("\\n", "\n"), names))


@cache
def banned_texts() -> tuple[Text, ...]:
    """Return the texts with any banned word: few are left for each pattern."""
    any_word = word_of("|".join(BANNED))
    paths = (path for path in (*modules(), *documents()) if may_have(path, any_word))
    return tuple(text for path in paths for text in texts_of(path) if any_word.search(text.text))


def with_word(pattern: str) -> Iterator[Text]:
    word = word_of(pattern)
    return (text for text in banned_texts() if word.search(text.text))


def is_allowed(text: Text) -> bool:
    return any(text.file == file and part in text.text for file, part in ALLOWED)


def test_no_banned_word_is_anywhere() -> None:
    found = [
        f"{each.file}:{each.line}: {each.text.strip()}; write instead: {instead}"
        for pattern, instead in BANNED.items()
        for each in with_word(pattern)
        if not is_allowed(each)
    ]
    assert not found, "\n".join(found)


def test_no_name_in_the_package_has_a_banned_word() -> None:
    any_word = word_of("|".join(BANNED_IN_NAMES))
    paths = (path for path in modules() if path.is_relative_to(ROOT / "reminderd") and may_have(path, any_word))
    names = [text for path in paths for text in texts_of(path) if text.is_name and any_word.search(text.text)]
    found = [
        f"{each.file}:{each.line}: {each.text}; write instead: {instead}"
        for pattern, instead in BANNED_IN_NAMES.items()
        for each in names
        if word_of(pattern).search(each.text)
    ]
    assert not found, "\n".join(found)


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
    files = {str(path.relative_to(ROOT)) for path in (*modules(), *documents())}
    assert {
        "reminderd/clock.py",
        "tests/conftest.py",
        "docs/rules.md",
        "README.md",
        "CONTRIBUTING.md",
        "config.example.toml",
    } <= files


@pytest.mark.parametrize(
    "source",
    [
        "# rung",
        "x = 'once\\nrung'",
        "def was_rung(): ...",
        "class WasRung: ...",
        '"""Tell who was\nrung."""',
        "rung = 1",
    ],
)
def test_no_banned_word_is_overlooked(source: str, tmp_path: Path) -> None:
    word = word_of("rung")
    (tmp_path / "module.py").write_text(source)
    assert any(word.search(each.text) for each in texts_of_module("module.py", source))
    assert may_have(tmp_path / "module.py", word)


def test_every_word_of_the_glossary_has_one_entry() -> None:
    rows = re.findall(r"^\| ([^|]+?) \| [^|]+ \|$", (ROOT / GLOSSARY).read_text(encoding="utf-8"), re.MULTILINE)
    words = [word for row in rows if row != "word" for word in re.split(", ", row)]
    assert len(words) > 40
    assert sorted({word for word in words if words.count(word) > 1}) == []
