"""One form for names that look the same: an id or a `ref` as a person reads and types it."""

import unicodedata
from typing import Final

_UNSEEN: Final = frozenset({"\u034f", *map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))})
"""What only chooses how the character before it looks, as emoji have; U+034F joins nothing that is seen."""


def normal_name(name: str) -> str:
    """Return the name without what nobody sees in it: the same for every way to write the same characters.

    Composed and decomposed letters are one (Unicode's NFC), every space is a space, joiners, soft hyphens and marks of
    direction are left out, and so are spaces around it.
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    seen = "".join(" " if one.isspace() else one for one in name if not _is_unseen(one))
    return unicodedata.normalize("NFC", seen).strip()


def _is_unseen(character: str) -> bool:
    return unicodedata.category(character) == "Cf" or character in _UNSEEN
