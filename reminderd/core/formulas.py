"""Cells that a spreadsheet would run as a formula: guarded when they are written, and read back as they were.

Source: OWASP, "CSV Injection". An apostrophe in front makes a spreadsheet show the cell as text.
"""

import re
from typing import Final

_BEGINS_A_FORMULA: Final = re.compile("'*(?:\\s*[=+\\-@\uff1d\uff0b\uff0d\uff20\ufe66\ufe62\ufe63\ufe6b]|[\\t\\r\\n])")
"""Also in full-width and small forms, which some spreadsheets take for the same; and behind apostrophes, so that
`unguarded` always takes off what `guarded` has put there."""

_GUARD: Final = "'"


def guarded(cell: str) -> str:
    """Return the cell as it may be handed to a spreadsheet."""
    return _GUARD + cell if _BEGINS_A_FORMULA.match(cell) else cell


def unguarded(cell: str) -> str:
    """Return the cell as it was before `guarded`; a phone number has its + back."""
    return cell[1:] if cell[:1] == _GUARD and _BEGINS_A_FORMULA.match(cell, 1) else cell
