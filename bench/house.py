"""Print how large the package is, which names occur twice, how wide its functions are, and what --help costs."""

import ast
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent
SHORT = 40


def main() -> None:
    """Print one line for each number."""
    paths = sorted((ROOT / "reminderd").rglob("*.py"))
    modules = [path for path in paths if path.name != "__init__.py"]
    lines = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in paths}
    print(f"modules: {len(modules)} and {len(paths) - len(modules)} package faces; lines: {sum(lines.values()):,}")
    show("modules under 40 lines", [named(path) for path in modules if lines[path] < SHORT])
    show(
        "longest modules",
        [f"{named(path)} {lines[path]}" for path in sorted(modules, key=lambda path: lines[path])[-5:]],
        count=False,
    )
    show("file names that occur twice", twice(path.name for path in modules))
    show("class names that occur twice", twice(one.name for tree in trees.values() for one in classes(tree)))
    widest = sorted((width(one), f"{named(path)}:{one.name}") for path in modules for one in functions(trees[path]))
    show("most parameters", [f"{where} {wide}" for wide, where in widest[-5:]], count=False)
    print(f"CPU of --help: {cpu_of_help():.2f} s, of which Python alone: {cpu_of('-c', 'pass'):.2f} s")


def show(title: str, names: list[str], *, count: bool = True) -> None:
    """Print a number and what it counts."""
    print(f"{title}: {f'{len(names)} ' if count else ''}{'(' + ', '.join(names) + ')' if names else ''}")


def named(path: Path) -> str:
    """Return a module's path below the package."""
    return str(path.relative_to(ROOT / "reminderd"))


def twice(names: Iterable[str]) -> list[str]:
    """Return the names that occur more than once, each with its count."""
    return [f"{name} {times}" for name, times in sorted(Counter(names).items()) if times > 1]


def classes(tree: ast.Module) -> list[ast.ClassDef]:
    """Return a module's own classes."""
    return [one for one in tree.body if isinstance(one, ast.ClassDef)]


def functions(tree: ast.Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return all functions and methods of a module."""
    return [one for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)]


def width(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return how many parameters a function has, without `self` and `cls`."""
    names = [one.arg for one in (*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs)]
    return len([name for name in names if name not in {"self", "cls"}])


def cpu_of_help() -> float:
    """Return the seconds of CPU time that `reminderd --help` takes: the lowest of five runs."""
    return cpu_of("-m", "reminderd", "--help")


def cpu_of(*arguments: str) -> float:
    """Return the seconds of CPU time that Python takes with these arguments: the lowest of five runs."""
    least = float("inf")
    for _ in range(5):
        before = os.times()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        after = os.times()
        least = min(least, after.children_user + after.children_system - before.children_user - before.children_system)
    return least


if __name__ == "__main__":
    main()
