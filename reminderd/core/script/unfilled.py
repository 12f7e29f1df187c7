"""Find what was to be filled in and was not, and markup: a voice would read it aloud as it stands."""

import re
from collections.abc import Iterator
from typing import Final

SHOWN: Final = 3
"""How many of them a warning names."""

_LONGEST: Final = 30

_UNFILLED: Final = re.compile(
    r"""
      \{\{[^{}]*\}\} | \$?\{[^{}]*\}            # {{first_name}}, {date}, ${date}
    | \[[^\W\d][\w .-]*\]                       # [NameF]
    | <<[^<>]*>> | «\w+» | \*{2,3}\w+\*{2,3}    # <<Name>>, «Name», ***NAME***
    | %%?[A-Za-z_]\w*%%? | \#[A-Z_]{2,}\#       # %NAME%, #NAME#
    | \#(?:N/A|REF!|NAME\?|VALUE!|DIV/0!|NULL!|NUM!|NV|BEZUG!|WERT!)      # a spreadsheet's error
    | &(?:[A-Za-z][A-Za-z0-9]{1,30}|\#[0-9]{1,7}|\#x[0-9A-Fa-f]{1,6});    # &amp;
    | </?[A-Za-z][^<>]*>                        # <br>
    """,
    re.VERBOSE,
)


def unfilled(text: str) -> list[str]:
    """Return the unfilled placeholders and the markup in a text, in their order, each once."""
    return list(dict.fromkeys(found[0] for found in _UNFILLED.finditer(text)))


def message_warnings(message: str) -> Iterator[str]:
    """Yield a warning about a message that was not meant to be spoken as it stands."""
    found = unfilled(message)
    if found:
        listed = ", ".join(one[:_LONGEST] for one in found[:SHOWN])
        yield f"message: {listed} would be read aloud as it stands; expected the patient's own text"
