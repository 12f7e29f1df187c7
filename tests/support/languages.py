"""Every text of the pages, as it is in the templates and the code: what a language must have, and what it may have.

`python -m tests.support.languages de` prints what a language lacks, in the form of its file.
"""

import ast
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib import resources
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po

from reminderd.core.model import CallOutcome, CallState, Response, Status
from reminderd.core.outcomes import Figure, Outcome
from reminderd.core.reasons import EndCode, HoldCode
from reminderd.desk.templating import EXTENSIONS
from reminderd.store.audit import LOOK_ACTS

ROOT = Path(__file__).parents[2] / "reminderd"
TEMPLATES = ROOT / "desk" / "templates"

Text = str | tuple[str, str]
"""One text, or the texts for one thing and for several."""

_MARKS = {"gettext", "_", "N_", "Sentence", "NotAllowedError"}
"""The functions that take a text. A `Sentence` may have its text for several as a third argument, or as `many`."""

_WITH_SENTENCES = ("core", "staff", "store", "desk")
"""The packages whose texts pages show."""

_PLACE = re.compile(r"%\(\w+\)s|%%")
_LETTER = re.compile(r"[A-Za-z]")

PROVIDER_WORDS: tuple[str, ...] = (
    "answered",
    "busy",
    "canceled",
    "completed",
    "failed",
    "initiated",
    "in-progress",
    "no-answer",
)
PROVIDER_WORDS += ("queued", "ringing", "voicemail", "declined", "hung-up")
"""The providers' words for the state of a call; other words are shown as they are."""


@cache
def needed() -> frozenset[Text]:
    """Return every text that a language must have."""
    codes = [*Status, *Response, *CallOutcome, *CallState, *Outcome, *Figure]
    words: set[Text] = {str(code.value).replace("_", " ") for code in codes}
    words |= {code.sentence for code in (*HoldCode, *EndCode)}
    words |= {*PROVIDER_WORDS, *LOOK_ACTS}
    words |= set(_in_templates()) | {text for path in _modules() for text in _marked(path)}
    return frozenset(text for text in words if not isinstance(text, str) or _LETTER.search(_PLACE.sub("", text)))


@cache
def allowed() -> frozenset[Text]:
    """Return what a language may have, too: texts that reach a page by a name, and not where they are written."""
    found: set[Text] = set()
    for path in _modules():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found |= {node.value, node.value.replace("_", " ")}
    return frozenset(found)


def source_of(language: str) -> str:
    """Return the file of a language."""
    file = resources.files("reminderd.desk") / "languages" / f"{language}.po"
    return file.read_text(encoding="utf-8")


def translated(language: str) -> Catalog:
    """Return the texts in the file of a language."""
    return read_po(BytesIO(source_of(language).encode()), locale=language, abort_invalid=True)


def lacking(language: str) -> list[Text]:
    """Return the texts that a language lacks."""
    has = {message.id for message in translated(language) if message.string and all(_strings(message.string))}
    return sorted(needed() - has, key=str)


def as_entries(texts: Iterable[Text]) -> str:
    """Return texts in the form of a language's file, to be filled in."""
    return "\n".join(_entry(text) for text in texts)


def _entry(text: Text) -> str:
    def quoted(part: str) -> str:
        return '"' + part.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'

    if isinstance(text, str):
        return f'msgid {quoted(text)}\nmsgstr ""\n'
    one, many = text
    return f'msgid {quoted(one)}\nmsgid_plural {quoted(many)}\nmsgstr[0] ""\nmsgstr[1] ""\n'


def _strings(string: str | Iterable[str]) -> Iterable[str]:
    return [string] if isinstance(string, str) else string


def _modules() -> Iterator[Path]:
    for package in _WITH_SENTENCES:
        yield from sorted((ROOT / package).rglob("*.py"))


def _in_templates() -> Iterator[Text]:
    extensions = ",".join(f"{one.__module__}.{one.__name__}" for one in EXTENSIONS)
    options = {"extensions": extensions, "trimmed": "false", "silent": "false"}
    options |= {"trim_blocks": "true", "lstrip_blocks": "true"}
    keywords = {"gettext": None, "_": None, "ngettext": (1, 2), "trans": None}
    for path in sorted(TEMPLATES.rglob("*.*")):
        with path.open("rb") as file:
            for _, text, _, _ in extract("jinja2.ext:babel_extract", file, keywords, (), options):
                yield text if isinstance(text, str) else (text[0], text[1])


def _marked(path: Path) -> Iterator[Text]:
    """Yield the texts that a module marks; a name stands for the text that the module, or any other, gives it."""
    own = _texts_of(path)
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", getattr(node.func, "attr", ""))
        if name in _MARKS and node.args and (text := _text(node.args[0], own)) is not None:
            many = (
                node.args[2] if len(node.args) > 2 else next((k.value for k in node.keywords if k.arg == "many"), None)
            )
            plural = None if many is None or name != "Sentence" else _text(many, own)
            yield text if plural is None else (text, plural)
        elif name == "ngettext" and len(node.args) > 1:
            one, several = (_text(one, own) for one in node.args[:2])
            if one is not None and several is not None:
                yield one, several
        yield from (
            text
            for keyword in node.keywords
            if keyword.arg == "act" and (text := _text(keyword.value, own)) is not None and path.parent.name != "desk"
        )


def _text(node: ast.expr, own: Mapping[str, str]) -> str | None:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return own.get(node.id, _named().get(node.id)) if isinstance(node, ast.Name) else None


@cache
def _named() -> dict[str, str]:
    """Return the texts that have their own name in any module."""
    return {name: text for path in _modules() for name, text in _texts_of(path).items()}


def _texts_of(path: Path) -> dict[str, str]:
    """Return the texts that have their own name in a module: `MISSING: Final = "…"`."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        target = (
            node.target
            if isinstance(node, ast.AnnAssign)
            else node.targets[0]
            if isinstance(node, ast.Assign)
            else None
        )
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            found[target.id] = value.value
    return found


if __name__ == "__main__":
    print(as_entries(lacking(sys.argv[1])))  # noqa: T201 - it is a command
