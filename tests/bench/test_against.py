import subprocess
import sys
from pathlib import Path

import pytest

from bench.against import ROOT, extract, suite_environment

_WHERE = """
import bench.program, reminderd, reminderd.mark
print(reminderd.__file__, bench.__file__, bench.program.environment()["PYTHONPATH"], sep="\\n")
"""


def _git(folder: Path, *arguments: str) -> None:
    names = ("-c", "user.name=Eve", "-c", "user.email=eve@clinic.example")
    command = ["git", "-C", str(folder), *names, *arguments]
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    for name in ("reminderd", "bench"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("", encoding="utf-8")
    (folder / "reminderd" / "mark.py").write_text("", encoding="utf-8")
    names = "PostgresServer = SqliteFile = Target = object"  # `bench/` imports them
    (folder / "reminderd" / "databases.py").write_text(names, encoding="utf-8")
    _git(folder, "init", "-q")
    _git(folder, "add", ".")
    _git(folder, "commit", "-q", "-m", "The commit to compare with")
    (folder / "reminderd" / "mark.py").write_text("raise SystemExit('this is not the commit')", encoding="utf-8")
    return folder


def test_the_package_is_the_commits_and_the_suite_is_the_one_here(repository: Path, tmp_path: Path) -> None:
    package = tmp_path / "old"

    extract("HEAD", repository, package)

    assert [path.name for path in package.iterdir()] == ["reminderd"]
    command = [sys.executable, "-c", _WHERE]
    done = subprocess.run(
        command, cwd=tmp_path, env=suite_environment(package), capture_output=True, text=True, check=True
    )
    ours = [package / "reminderd" / "__init__.py", ROOT / "bench" / "__init__.py", package]
    assert done.stdout.split() == [str(path) for path in ours]


def test_an_unknown_commit_is_named(repository: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="no-such-commit"):
        extract("no-such-commit", repository, tmp_path / "old")
