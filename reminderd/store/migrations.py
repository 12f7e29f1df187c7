"""Find the steps of a schema: numbered SQL files, which this program contains for each engine."""

import re
from importlib import resources
from typing import Final

from attrs import frozen

_FILE_NAME: Final = re.compile(r"(\d{4})_\w+\.sql")


@frozen
class Migration:
    """One step of the schema; `number` is the database's version after it."""

    number: int
    name: str
    sql: str


def migrations_of(package: str) -> list[Migration]:
    """Return all steps in the folder `migrations` of an engine's package, oldest first."""
    files = (resources.files(package) / "migrations").iterdir()
    numbered = [(match, file) for file in files if (match := _FILE_NAME.fullmatch(file.name))]
    found = [Migration(int(match[1]), file.name, file.read_text(encoding="utf-8")) for match, file in numbered]
    return sorted(found, key=lambda migration: migration.number)
