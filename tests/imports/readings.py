"""Read made-up files as the import does, for the tests of the readers."""

from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from reminderd.imports.formats import open_table

SAMPLES = Path(__file__).parent / "samples"

CHOSEN: Mapping[str, Mapping[str, str]] = {
    "google.ics": {"phone_number": "DESCRIPTION", "name": "SUMMARY"},
    "outlook.ics": {"phone_number": "DESCRIPTION/Mobile", "name": "DESCRIPTION/Name"},
    "nextcloud.ics": {
        "phone_number": "CONTACT",
        "name": "SUMMARY",
        "language": "X-LANGUAGE",
        "patient_ref": "X-PATIENT-ID",
    },
    "apple.ics": {"phone_number": "ATTENDEE", "name": "ATTENDEE/CN"},
}
"""Where the profile of each calendar says that fields are."""


@frozen
class Read:
    """The result of one record."""

    number: int
    cells: Mapping[str, str]
    """By our own names of fields, without empty ones."""
    mistake: str | None


def read(path: Path, chosen: Mapping[str, str] | None = None, encoding: str | None = None) -> list[Read]:
    chosen = CHOSEN.get(path.name, {}) if chosen is None else chosen
    names = {place: field for field, place in chosen.items()}
    with open_table(path, chosen, encoding) as table:
        header = [names.get(name, name) for name in table.header]
        return [
            Read(row.line, {name: cell for name, cell in zip(header, row.cells, strict=True) if cell}, row.mistake)
            for row in table.rows()
        ]
