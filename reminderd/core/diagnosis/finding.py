"""A finding: one thing that was looked at, how it stands, and what to do about it."""

from collections.abc import Iterable
from enum import StrEnum

from attrs import frozen


class Mark(StrEnum):
    """How a thing stands."""

    GOOD = "good"
    WARNING = "warning"
    """It works, but should be changed."""
    WRONG = "wrong"
    """It must be fixed."""
    UNKNOWN = "unknown"
    """It could not be checked; never a softer word for good."""


@frozen
class Finding:
    """What is to be said about one thing."""

    about: str
    mark: Mark
    says: str
    """What is so; of something unknown: why."""
    fix: str = ""
    """What to do; empty where there is nothing to do."""


def good(about: str, says: str) -> Finding:
    """It is as it should be."""
    return Finding(about, Mark.GOOD, says)


def warning(about: str, says: str, fix: str) -> Finding:
    """It works, but should be changed."""
    return Finding(about, Mark.WARNING, says, fix)


def wrong(about: str, says: str, fix: str) -> Finding:
    """It must be fixed."""
    return Finding(about, Mark.WRONG, says, fix)


def unknown(about: str, why: str, fix: str = "") -> Finding:
    """It could not be checked."""
    return Finding(about, Mark.UNKNOWN, why, fix)


def count(findings: Iterable[Finding], mark: Mark) -> int:
    """How many stand so."""
    return sum(finding.mark is mark for finding in findings)
