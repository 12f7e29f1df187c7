"""`just release` in a repository of the test's own: what it writes, and what it refuses."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
OPEN = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- A thing.\n\n## [0.9.0] - 2026-01-01\n"
TESTER = {f"GIT_{role}_{what}": "tester@example" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
TESTER |= {"TZ": "UTC"}


class Repository:
    """A checkout with one commit, ready to be released as 1.2.3."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / ".ci").mkdir()
        (folder / "reminderd").mkdir()
        shutil.copy(PROJECT / ".ci/release", folder / ".ci")
        (folder / "reminderd/__init__.py").write_text('__version__ = "1.2.3"\n')
        self.changelog = folder / "CHANGELOG.md"
        self.changelog.write_text(OPEN)
        self.git("init", "-q")
        self.commit()

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.folder), *arguments]
        return subprocess.run(command, env=os.environ | TESTER, check=True, capture_output=True, text=True).stdout

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "-q", "-m", "A change")

    def release(self) -> subprocess.CompletedProcess[str]:
        script = self.folder / ".ci/release"
        return subprocess.run([script], env=os.environ | TESTER, check=False, capture_output=True, text=True)


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def test_a_release_dates_the_open_section_commits_it_and_tags_it(repository: Repository) -> None:
    done = repository.release()
    assert (done.returncode, done.stderr) == (0, "")
    today = repository.git("log", "-1", "--format=%cd", "--date=format-local:%Y-%m-%d").strip()
    assert f"## [Unreleased]\n\n## [1.2.3] - {today}\n\n### Added\n\n- A thing.\n" in repository.changelog.read_text()
    assert repository.git("tag", "--points-at", "HEAD").strip() == "v1.2.3"
    assert repository.git("status", "--porcelain") == ""


@pytest.mark.parametrize(
    ("changelog", "reason"),
    [
        (OPEN.replace("### Added\n\n- A thing.\n\n", ""), "nothing is listed"),
        (OPEN.replace("## [Unreleased]", "## Next"), "no section [Unreleased]"),
    ],
    ids=["an empty section", "no section"],
)
def test_a_release_needs_an_entry_in_the_changelog(repository: Repository, changelog: str, reason: str) -> None:
    repository.changelog.write_text(changelog)
    repository.commit()
    done = repository.release()
    assert done.returncode == 1
    assert reason in done.stderr
    assert repository.git("tag") == ""


def test_a_release_refuses_uncommitted_changes(repository: Repository) -> None:
    (repository.folder / "reminderd/__init__.py").write_text('__version__ = "1.2.4"\n')
    done = repository.release()
    assert (done.returncode, "commit or stash" in done.stderr) == (1, True)


def test_a_version_cannot_be_released_twice(repository: Repository) -> None:
    repository.git("tag", "v1.2.3")
    done = repository.release()
    assert (done.returncode, "raise the version" in done.stderr) == (1, True)
