"""Draw how a figure grows, as an SVG file for a document."""

from collections.abc import Mapping, Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import Final

from attrs import frozen

from bench.figure import number

_WIDTH: Final = 640
_HEIGHT: Final = 320
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 40, 150, 52
_COLORS: Final = ("#1f5fa8", "#b3541e", "#2d7a46", "#6b4fa0")
_STEPS: Final = 4
"""The number of horizontal lines."""

Point = tuple[float, float]


@frozen
class Axes:
    """The labels of a drawing."""

    title: str
    across: str
    """What grows, on a logarithmic scale."""
    up: str
    """What was measured, with its unit, on a scale that begins at zero."""


def draw(file: Path, axes: Axes, lines: Mapping[str, Sequence[Point]]) -> None:
    """Write a drawing with a line through the points of each name."""
    points = [point for line in lines.values() for point in line]
    first, last = (log10(pick(x for x, _ in points)) for pick in (min, max))
    top = _round_up(max(y for _, y in points))

    def place(point: Point) -> Point:
        x, y = point
        across = (log10(x) - first) / (last - first)
        return _LEFT + across * (_WIDTH - _LEFT - _RIGHT), _HEIGHT - _BOTTOM - y / top * (_HEIGHT - _TOP - _BOTTOM)

    bottom, middle = _HEIGHT - _BOTTOM, (_LEFT + _WIDTH - _RIGHT) / 2
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif">',
        f"<title>{escape(axes.title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        _text(_LEFT, 20, axes.title, "start", size=14),
        _text(middle, _HEIGHT - 12, axes.across, "middle"),
        _text(_LEFT, 34, axes.up, "start", color="#555"),
    ]
    for step in range(_STEPS + 1):
        value = top * step / _STEPS
        y = place((10**first, value))[1]
        parts.append(f'<path d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>')
        parts.append(_text(_LEFT - 8, y + 4, number(value), "end"))
    parts += [_text(place((x, 0))[0], bottom + 18, f"{x:,.0f}", "middle") for x in sorted({x for x, _ in points})]
    for color, (name, line) in zip(_COLORS, lines.items(), strict=False):
        placed = [place(point) for point in line]
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
        parts.append(f'<path d="M{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{color}"/>' for x, y in placed]
        parts.append(_text(_WIDTH - _RIGHT + 10, placed[-1][1] + 4, name, "start", color=color))
    file.parent.mkdir(exist_ok=True)
    file.write_text("\n".join([*parts, "</svg>", ""]), encoding="utf-8")


def _text(x: float, y: float, text: str, anchor: str, *, size: int = 12, color: str = "#222") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="{color}">{escape(text)}</text>'
    )


def _round_up(value: float) -> float:
    """Return the next of 1, 2, 4, 6, 8 and 10 times a power of ten."""
    power = 10.0 ** int(log10(value) // 1)
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)
