"""The sections of what the daemon does by itself once a day: `[backup]` and `[retention]`."""

from datetime import time
from pathlib import Path
from typing import Final

from attrs import field, frozen

from reminderd.config import validators
from reminderd.config.keys import DERIVED, key, whole

LEAST_DAYS: Final = 8
"""The clinic's limits count whom a number has reached in a week and a day; a purge must leave them that."""

_MOST_DAYS: Final = 36_500
_EXPECTED_TIME: Final = 'a time from "00:00" to "23:59"'


def _folder_trouble(text: str) -> str | None:
    return None if text.isprintable() else "has a control character in it"


def _days_trouble(days: int) -> str | None:
    if days == 0 or LEAST_DAYS <= days <= _MOST_DAYS:
        return None
    return "is too small" if days < LEAST_DAYS else "is too large"


@frozen(kw_only=True)
class BackupConfig:
    """Copies of the database, one a day."""

    folder: str = key("", "the path of a folder", _folder_trouble)
    at: str = key("02:30", _EXPECTED_TIME, validators.start_trouble)
    keep: int = whole(14, 1, 10_000)
    base: Path = field(default=Path(), metadata=DERIVED)
    """What a relative path is relative to."""

    @property
    def path(self) -> Path | None:
        """The folder; None: no backups are made."""
        return self.base / self.folder if self.folder else None

    @property
    def time(self) -> time:
        """When, by the clinic's clock."""
        return time.fromisoformat(self.at)


@frozen(kw_only=True)
class RetentionConfig:
    """How long what could tell who a patient is stays in the database."""

    days: int = key(0, f"0 (for ever) or a whole number from {LEAST_DAYS} to {_MOST_DAYS}", _days_trouble)
    at: str = key("03:30", _EXPECTED_TIME, validators.start_trouble)

    @property
    def time(self) -> time:
        """When, by the clinic's clock."""
        return time.fromisoformat(self.at)
