"""deploy/requirements.txt pins, with hashes, what pyproject.toml asks for, on every Python that it names."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PYTHONS = [name.rpartition(" ")[2] for name in PROJECT["classifiers"] if re.search(r":: 3\.\d+$", name)]
TEXT = (ROOT / "deploy" / "requirements.txt").read_text()


def pins() -> Iterator[tuple[Requirement, list[str]]]:
    """Return each pinned requirement with its hashes."""
    for entry in re.sub(r"\\\n", "", re.sub(r"(?m)^ *#.*\n", "", TEXT)).splitlines():
        requirement, *hashes = entry.split(" --hash=")
        yield Requirement(requirement), [found.strip() for found in hashes]


def environment(python: str) -> dict[str, str]:
    return {
        "python_version": python,
        "python_full_version": f"{python}.1",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
        "os_name": "posix",
        "platform_system": "Linux",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
    }


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    "dependency",
    [
        *PROJECT["dependencies"],
        *PROJECT["optional-dependencies"]["alerts"],
        *PROJECT["optional-dependencies"]["postgres"],
    ],
)
def test_every_dependency_is_pinned_once_at_an_allowed_version(dependency: str, python: str) -> None:
    wanted = Requirement(dependency)
    if wanted.marker is not None and not wanted.marker.evaluate(environment(python)):
        return
    (pin,) = [
        pin
        for pin, _ in pins()
        if canonicalize_name(pin.name) == canonicalize_name(wanted.name)
        and (pin.marker is None or pin.marker.evaluate(environment(python)))
    ]
    (version,) = pin.specifier
    assert version.operator == "=="
    assert version.version in wanted.specifier, "just requirements"


def test_every_supported_python_is_checked() -> None:
    assert PYTHONS == ["3.11", "3.12", "3.13"]


def test_every_pin_has_hashes_and_no_url() -> None:
    for pin, hashes in pins():
        assert hashes, pin
        assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in hashes), pin
    assert "://" not in TEXT
    assert not re.search(r"(?m)^\s*-", TEXT.replace("    --hash", "")), "no option but the hashes"
