"""The documents lead somewhere: each link, path, module and name that they mention exists."""

import re
from functools import cache
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = sorted((ROOT / "docs").glob("*.md"))
FOR_DEVELOPERS: Final = [ROOT / "docs/architecture.md", ROOT / "CONTRIBUTING.md"]
PROSE: Final = [
    *PAGES,
    *sorted((ROOT / "docs/decisions").glob("*.md")),
    *FOR_DEVELOPERS[1:],
    *(ROOT / name for name in ("README.md", "SECURITY.md", "deploy/README.md", "bench/peer/README.md")),
]

NOT_FILES: Final = {
    ".venv/bin/pytest",
    ".venv/bin/reminderd",
    "api/changes",
    "bench/results.json",
    "dist/reminderd",
    "tests/store/schemas/NNNN.sql",
}
"""What a command makes, a path of the web server, and a pattern."""


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    found: list[str] = []
    without_code = re.sub(r"^( {4,}|```).*$", "", text_of(page), flags=re.MULTILINE)
    for heading in re.findall(r"^#+ (.+)$", without_code, re.MULTILINE):
        anchor = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        found.append(f"{anchor}-{found.count(anchor)}" if anchor in found else anchor)
    return frozenset(found)


@pytest.mark.parametrize("page", PROSE, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text_of(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors_of(file), target


@pytest.mark.parametrize("page", [path for path in PAGES if path.name != "README.md"], ids=name_of)
def test_every_page_begins_with_whom_it_is_for(page: Path) -> None:
    title, blank, first = text_of(page).splitlines()[:3]
    assert title.startswith("# ")
    assert not blank
    assert first.startswith("For ")


@cache
def files() -> frozenset[str]:
    """Return the paths of all files and folders that a document may mention."""
    folders = ("reminderd", "tests", "docs", "deploy", "bench", ".ci")
    found = (path for folder in folders for path in (ROOT / folder).rglob("*"))
    known = {name_of(path) for path in found} | {path.name for path in ROOT.iterdir()} | {*folders}
    return frozenset(known | NOT_FILES)


def exists(mentioned: str) -> bool:
    """Return whether a path exists in the project, or in one of its folders; `.py` may be missing."""
    path = mentioned.rstrip("/")
    return any(f"/{known}".endswith((f"/{path}", f"/{path}.py")) for known in files())


def mentioned_paths(text: str) -> set[str]:
    """Return what is written as `a/b`, `a/b.py`, `b.py` or `a/`, in the text and in its drawing."""
    words = [word for code in re.findall(r"`([^`\n]+)`", text) for word in code.split(" ")]
    drawing = "\n".join(line for line in text.splitlines() if line.startswith("     ") and re.search("[│─▼▲]", line))
    words += re.findall(r"[a-z_]+/[a-z_.]*", drawing)
    is_path = re.compile(r"\.?[\w]+(/[\w.]+)*(/|\.(py|md|toml|json|po|css|html|sql|spec))|[a-z_.]+(/[\w.]+)+")
    return {word for word in words if is_path.fullmatch(word) and not word.startswith("/")}


@pytest.mark.parametrize("page", FOR_DEVELOPERS, ids=name_of)
def test_every_path_that_developers_read_of_exists(page: Path) -> None:
    mentioned = mentioned_paths(text_of(page))
    assert len(mentioned) > 10
    assert sorted(path for path in mentioned if not exists(path)) == []


@pytest.mark.parametrize("page", PROSE, ids=name_of)
def test_every_path_in_the_project_that_a_page_mentions_exists(page: Path) -> None:
    mentioned = set(re.findall(r"(?<![\w/.])(?:reminderd|tests|docs|bench)/[\w/-]+(?:\.\w+)*", text_of(page)))
    assert sorted(path for path in mentioned if not exists(path)) == []


def rows_of_where_to_add() -> list[str]:
    _, _, section = text_of(ROOT / "docs/architecture.md").partition("\n## Where to add")
    return re.findall(r"^\| .*\|$", section, re.MULTILINE)[2:]


@cache
def source() -> str:
    folders = ("reminderd", "tests")
    kinds = ("*.py", "*.po", "*.html", "*.json", "*.sql")
    found = (path for folder in folders for kind in kinds for path in sorted((ROOT / folder).rglob(kind)))
    return "\n".join(text_of(path) for path in found if path != Path(__file__))


@pytest.mark.parametrize("row", rows_of_where_to_add(), ids=lambda row: row.split("**")[1] if "**" in row else "more")
def test_every_name_in_the_table_of_where_to_add_exists(row: str) -> None:
    names = {name for name in re.findall(r"`(\w+)(?:\(\))?`", row) if re.search("[A-Z]|_", name)}
    names |= {part for dotted in re.findall(r"`(\w+\.\w+)`", row) if not exists(dotted) for part in dotted.split(".")}
    for name in names:
        assert re.search(rf"\b{name}\b", source()), name


def test_what_messages_and_comments_refer_to_exists() -> None:
    found = {
        path
        for folder in ("reminderd", "deploy", "tests")
        for file in sorted((ROOT / folder).rglob("*"))
        if file.suffix in {".py", ".sql", ".sh", ".yml", ".yaml", ".service", ".json", ""} and file.is_file()
        for path in re.findall(r"(?<![\w./])docs/[\w/-]+\.md", text_of(file))
    }
    assert len(found) > 5
    assert sorted(path for path in found if not (ROOT / path).exists()) == []


def test_every_section_that_a_message_or_the_configuration_names_exists() -> None:
    files = [*(ROOT / "reminderd").rglob("*.py"), *(ROOT / "deploy").glob("*.*"), ROOT / "config.example.toml"]
    text = re.sub(r"\n# *", " ", "\n".join(text_of(file) for file in files))
    named = {(page, heading) for page, heading in re.findall(r"\b([a-z]+)\.md, ([\w` ]+\??)(?=[\n\"),;])", text)}
    named |= {(page, heading) for heading, page in re.findall(r'"([A-Z][^"\n]+)" in docs/([a-z]+)\.md', text)}
    assert len(named) > 5
    missing = [
        f"{page}.md, {heading}"
        for page, heading in sorted(named)
        if not re.search(rf"^#+ {re.escape(heading)}$", text_of(ROOT / f"docs/{page}.md"), re.MULTILINE)
    ]
    assert missing == []


def test_what_the_table_of_where_to_add_names_is_in_the_file_that_it_names() -> None:
    found = [
        (name, file)
        for row in rows_of_where_to_add()
        for names, file in re.findall(r"((?:`\w+`(?:, | and )?)+) in `([\w/]+\.py)`", row)
        for name in re.findall(r"\w+", names.replace(" and ", " "))
    ]
    assert len(found) > 20
    missing = [
        (name, file)
        for name, file in found
        if not re.search(
            rf"\b{name}\b", text_of(ROOT / file if file.startswith("tests/") else ROOT / "reminderd" / file)
        )
    ]
    assert missing == []
