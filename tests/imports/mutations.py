"""Break files as disks, networks and other programs do; the same seed always breaks them alike."""

import json
import re
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

Mutation = Callable[[Random, bytes], bytes]

TOKENS = (
    b"\x00",
    b"\x0b",
    b"\x1c\r",
    b"\xff",
    b"\xef\xbb\xbf",
    b"\r",
    b"\n",
    b'"',
    b"'",
    b";",
    b",",
    b"|",
    b"^",
    b"~",
    b"\\",
    b"&",
    b"\\X41\\",
    b"\\Cxx\\",
    b"\\.sp99999999\\",
    b"\\ud800",
    b"\xed\xa0\x80",
    b"{",
    b"]",
    b"null",
    b"1e999",
    b"NaN",
    b"BEGIN:VEVENT\r\n",
    b"END:VCALENDAR\r\n",
    b"RRULE:FREQ=SECONDLY\r\n",
    b"DTSTART;TZID=../../etc/passwd:20270301T090000\r\n",
    b"MSH|^~\\&|\r",
    b"BHS|^~\\&|\r",
    b"BTS|9999999999\r",
    b"=cmd|' /C calc'!A0",
    "\u202e\u0660\u0661\u0662\U0001f4de".encode(),
)
"""What means something to one of the formats, or to those who show them."""

VALUES: Sequence[Any] = (
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    "\ud800",
    [],
    {},
    [[]],
    [None],
    {"a": {}},
    "2027-03-01",
)
"""What may be anywhere in JSON."""


def mutated(random: Random, samples: Sequence[bytes]) -> bytes:
    """Return one of the samples, broken in one to four ways."""
    content = random.choice(samples)
    for _ in range(random.randint(1, 4)):
        mutation = random.choices(MUTATIONS, WEIGHTS)[0]
        content = spliced(random, content, random.choice(samples)) if mutation is None else mutation(random, content)
    return content


def place_in(random: Random, content: bytes) -> int:
    return random.randint(0, len(content))


def flipped(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    for _ in range(random.randint(1, 8) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def overwritten(random: Random, content: bytes) -> bytes:
    place, length = place_in(random, content), random.randint(1, 12)
    return content[:place] + random.randbytes(length) + content[place + length :]


def inserted(random: Random, content: bytes) -> bytes:
    place = place_in(random, content)
    return content[:place] + random.choice(TOKENS) * random.choice((1, 1, 1, 2, 50)) + content[place:]


def cut(random: Random, content: bytes) -> bytes:
    return content[: place_in(random, content)]


def without_a_part(random: Random, content: bytes) -> bytes:
    place = place_in(random, content)
    return content[:place] + content[place + random.randint(1, 200) :]


def _in_lines(random: Random, content: bytes, change: Callable[[list[bytes], int], None]) -> bytes:
    lines = re.split(rb"(?<=[\r\n])(?!\n)", content)
    change(lines, random.randrange(len(lines)))
    return b"".join(lines)


def without_a_line(random: Random, content: bytes) -> bytes:
    return _in_lines(random, content, lambda lines, place: lines.__delitem__(place))


def with_a_line_twice(random: Random, content: bytes) -> bytes:
    return _in_lines(random, content, lambda lines, place: lines.insert(random.randrange(len(lines)), lines[place]))


def with_two_lines_exchanged(random: Random, content: bytes) -> bytes:
    def exchange(lines: list[bytes], place: int) -> None:
        other = random.randrange(len(lines))
        lines[place], lines[other] = lines[other], lines[place]

    return _in_lines(random, content, exchange)


def with_a_huge_value(random: Random, content: bytes) -> bytes:
    place = place_in(random, content)
    filling = random.choice((b"9", b" ", b"A", b"\\", b'"', b"~", b"^", b"(", b"1 ", b"\r\n ", b"x:"))
    return content[:place] + filling * random.choice((300, 6_000, 140_000)) + content[place:]


def nested_deeply(random: Random, content: bytes) -> bytes:
    place, depth = place_in(random, content), random.choice((20, 2_000, 30_000))
    opening, closing = random.choice(((b"[", b"]"), (b'{"a":', b"}"), (b"BEGIN:X\r\n", b"END:X\r\n"), (b"(", b")")))
    return content[:place] + opening * depth + closing * random.choice((0, depth)) + content[place:]


def in_another_encoding(random: Random, content: bytes) -> bytes:
    codec = random.choice(("utf-16", "utf-16-le", "utf-32", "cp1252", "cp037", "utf-7", "shift-jis"))
    return content.decode("utf-8", "replace").encode(codec, "replace")


def with_other_digits(random: Random, content: bytes) -> bytes:
    changed = bytearray(content)
    digits = [place for place, byte in enumerate(changed) if 0x30 <= byte <= 0x39]
    for place in random.sample(digits, min(len(digits), random.randint(1, 20))):
        changed[place] = random.choice(b"0123456789")
    return bytes(changed)


def spliced(random: Random, content: bytes, other: bytes) -> bytes:
    return content[: place_in(random, content)] + other[place_in(random, other) :]


def with_another_json_value(random: Random, content: bytes) -> bytes:
    """Return JSON with other values somewhere; what is no JSON stays as it is."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return content
    for _ in range(random.randint(1, 5)):
        document = _with_another_value(random, document)
    return json.dumps(document).encode()


def _with_another_value(random: Random, node: Any) -> Any:
    if not isinstance(node, dict | list) or not node or random.random() < 0.15:
        return random.choice(VALUES)
    key: Any = random.choice(list(node)) if isinstance(node, dict) else random.randrange(len(node))
    changed = node.copy()
    if random.random() < 0.1:
        del changed[key]
    else:
        changed[key] = _with_another_value(random, node[key])
    return changed


MUTATIONS: Sequence[Mutation | None] = (
    flipped,
    overwritten,
    inserted,
    cut,
    without_a_part,
    without_a_line,
    with_a_line_twice,
    with_two_lines_exchanged,
    with_a_huge_value,
    nested_deeply,
    in_another_encoding,
    with_other_digits,
    with_another_json_value,
    None,
)
"""The mutations; None stands for adding a part of another sample."""

WEIGHTS = (10, 6, 10, 4, 6, 8, 8, 4, 2, 1, 2, 10, 15, 4)
