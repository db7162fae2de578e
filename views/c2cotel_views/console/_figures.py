"""Figures of the console: percentiles, shares of time, numbers as text, curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

TITLES = {"sql": "SQL", "redis": "Redis", "http": "outgoing HTTP", "render": "rendering", "own": "own code"}
"""Where the time of a request goes, in the order of the bars."""

_WIDTH, _HEIGHT = 600.0, 100.0
_HEADROOM = 1.1
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def milliseconds(durations: Any, percent: int) -> float:
    """A percentile in milliseconds; 0 where there is no value."""
    return round(durations.percentile(percent / 100) * 1000, 2) if durations.nb else 0.0


def shares(totals: Any) -> dict[str, float]:
    """Where the time of a route goes: parts of 1 by kind. Calls of several threads at once may exceed the time."""
    spent = [*totals.seconds]
    whole = max(totals.durations.total, sum(spent))
    if whole <= 0:
        return {**dict.fromkeys(TITLES, 0.0), "own": 1.0}
    parts = [round(each / whole, 4) for each in spent]
    return dict(zip(TITLES, [*parts, round(max(0.0, 1 - sum(parts)), 4)], strict=True))


def bar(parts: Mapping[str, float]) -> dict[str, Any]:
    """Shares as a bar of width 100: `pieces` with kind, place and width, and a `label` that reads them out."""
    pieces = []
    place = 0.0
    for kind, part in parts.items():
        width = min(part, 1.0) * 100
        if width >= 0.05:  # noqa: PLR2004  # no pixel
            pieces.append((kind, f"{place:.2f}", f"{width:.2f}"))
        place += width
    shown = [f"{TITLES[kind]} {part:.0%}" for kind, part in parts.items() if round(part, 2)]
    return {"pieces": pieces, "label": ", ".join(shown)}


def picture(curves: Sequence[tuple[str, Sequence[float | None]]], label: str, *, filled: bool = True) -> dict[str, Any]:
    """Curves as SVG has them, all to one scale.

    Args:
        curves: Colour and values of each, one value a step; a missing value interrupts the curve.
        label: What a screen reader says.
        filled: Whether the area below is filled.
    """
    top = max((value for _, values in curves for value in values if value), default=0.0) * _HEADROOM
    drawn = [(colour, points) for colour, values in curves for points in _points(values, top)]
    areas = []
    if filled:
        areas = [(colour, _closed(points)) for colour, points in drawn]
    lines = [(colour, " ".join(f"{x:.1f},{y:.1f}" for x, y in points)) for colour, points in drawn]
    return {"lines": lines, "areas": areas, "label": label}


def span(seconds: float) -> str:
    """A time in one unit."""
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 2 * _DAY else f"{seconds / _DAY:.0f} d"


def mebibytes(size: int | None) -> str:
    """Memory as text."""
    return "-" if size is None else f"{size / 1024 / 1024:,.0f} MiB"


def _points(values: Sequence[float | None], top: float) -> list[list[tuple[float, float]]]:
    pieces: list[list[tuple[float, float]]] = [[]]
    step = _WIDTH / max(1, len(values) - 1)
    for index, value in enumerate(values):
        if value is None:
            pieces.append([])
        else:
            pieces[-1].append((index * step, _HEIGHT - (value / top if top else 0.0) * _HEIGHT))
    return [piece if len(piece) > 1 else _drawn_alone(*piece[0], step) for piece in pieces if piece]


def _drawn_alone(x: float, y: float, step: float) -> list[tuple[float, float]]:
    """A value without neighbours as a line as long as its step."""
    return [(max(0.0, x - step / 2), y), (min(_WIDTH, x + step / 2), y)]


def _closed(points: Sequence[tuple[float, float]]) -> str:
    outline = [(points[0][0], _HEIGHT), *points, (points[-1][0], _HEIGHT)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in outline)
