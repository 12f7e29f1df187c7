"""Run the quick suite of another commit and of the files here in turn, and name what is slower here.

Both are measured by the suite that is here, which also uses the package's own code, such as its store. So this suite
must know the internals of the other commit; otherwise, it stops with an error.
"""

import compileall
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Final

from rich.console import Console
from rich.table import Table

from bench.comparison import SLOWER, Comparison, Reading, Run, compared
from bench.figure import number

ROOT: Final = Path(__file__).parents[1]


def against(revision: str, names: Sequence[str], rounds: int, console: Console) -> int:
    """Compare with a revision; return the exit code: 1 if a figure is worse here."""
    with TemporaryDirectory(prefix="reminderd-bench-") as name:
        folder = Path(name)
        old, new = folder / "old", folder / "new"
        extract(revision, ROOT, old)
        shutil.copytree(ROOT / "reminderd", new / "reminderd", ignore=shutil.ignore_patterns("__pycache__"))
        runs: dict[Path, list[Run]] = {old: [], new: []}
        for package in runs:
            compileall.compile_dir(package, quiet=2)  # otherwise, the first start would compile them
        for turn in range(rounds):
            # The commit that goes first alternates, so that other load on the machine slows down both alike.
            for package in (old, new) if turn % 2 == 0 else (new, old):
                side = revision if package == old else "the files here"
                with console.status(f"round {turn + 1} of {rounds}: {side}"):
                    runs[package].append(_run(package, names, folder))
    comparisons = compared(runs[old], runs[new])
    _show(comparisons, revision, console)
    slower = [one.name for one in comparisons if one.is_slower]
    for one in slower:
        print(f"slower: {one}", file=sys.stderr)
    return 1 if slower else 0


def extract(revision: str, repository: Path, folder: Path) -> None:
    """Write the package as it was at a commit; for an unknown commit, end the program with git's message."""
    # Only the package, and no worktree: its folder would also contain that commit's suite, and Python would find it.
    command = ["git", "-C", str(repository), "archive", "--format=tar", revision, "reminderd"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(done.stderr.decode().strip())
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(folder, filter="data")


def suite_environment(package: Path) -> dict[str, str]:
    """Return an environment in which `reminderd` is the package of a commit, and `bench` is the one here."""
    return {**os.environ, "PYTHONPATH": f"{package}{os.pathsep}{ROOT}"}


def _run(package: Path, names: Sequence[str], folder: Path) -> Run:
    """Run the quick suite once; ignore whether it reaches its bars."""
    results = folder / "results.json"
    results.unlink(missing_ok=True)
    command = [sys.executable, "-m", "bench", "--quick", "--results", str(results), *names]
    done = subprocess.run(command, cwd=folder, env=suite_environment(package), capture_output=True, check=False)
    if not results.exists():
        sys.exit(f"{done.stderr.decode()}\nThe suite does not run with the {package.name} commit.")
    rows = json.loads(results.read_text(encoding="utf-8"))["figures"]
    return {row["name"]: Reading(row["value"], row["better"]) for row in rows if row["better"] is not None}


def _show(comparisons: Sequence[Comparison], revision: str, console: Console) -> None:
    table = Table(
        header_style="bold",
        caption=f"new ÷ old: above 1 is better; for times, it is old ÷ new. Slower: below {SLOWER:g} in every round.",
    )
    table.add_column("figure", no_wrap=True)
    for column in (revision, "here", "new ÷ old"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("")
    for one in comparisons:
        ratio = f"{number(median(one.ratios))} ({number(min(one.ratios))}–{number(max(one.ratios))})"
        table.add_row(one.name, number(one.old), number(one.new), ratio, "[red]slower[/]" if one.is_slower else "")
    console.print(table)
