"""A finding: one thing that was looked at, how it stands, and what to do about it."""

from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen


class Mark(StrEnum):
    """How a thing stands."""

    GOOD = "good"
    WARNING = "warning"
    """It works, and yet is not to be left so."""
    WRONG = "wrong"
    """It must be mended."""
    UNTOLD = "untold"
    """It was not asked, or can't be told; never a softer word for good."""


@frozen
class Finding:
    """What is to be said about one thing."""

    about: str
    mark: Mark
    says: str
    """What is so; of something untold: why."""
    mend: str = ""
    """What to do; empty where there is nothing to do."""


def good(about: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(about, Mark.GOOD, says)


def warning(about: str, says: str, mend: str) -> Finding:
    """It works, and yet is not to be left so."""
    return Finding(about, Mark.WARNING, says, mend)


def wrong(about: str, says: str, mend: str) -> Finding:
    """It must be mended."""
    return Finding(about, Mark.WRONG, says, mend)


def untold(about: str, why: str, mend: str = "") -> Finding:
    """It was not asked, or can't be told."""
    return Finding(about, Mark.UNTOLD, why, mend)


def count(findings: Iterable[Finding], mark: Mark) -> int:
    """How many stand so."""
    return sum(finding.mark is mark for finding in findings)
