"""Figures of the console: percentiles, shares of time, curves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

KINDS = ("sql", "redis", "http", "render", "own")


def milliseconds(durations: Any, percent: int) -> float:
    """A percentile in milliseconds; 0 where there is no value."""
    return round(durations.percentile(percent / 100) * 1000, 2) if durations.nb else 0.0


def shares(totals: Any) -> dict[str, float]:
    """Where the time of a route goes: parts of 1 by kind. Calls of several threads at once may exceed the time."""
    spent = [*totals.seconds]
    whole = max(totals.durations.total, sum(spent))
    if whole <= 0:
        return {**dict.fromkeys(KINDS, 0.0), "own": 1.0}
    parts = [round(each / whole, 4) for each in spent]
    return dict(zip(KINDS, [*parts, round(max(0.0, 1 - sum(parts)), 4)], strict=True))


def curve(values: Sequence[float | None], top: float, *, width: int = 600, height: int = 100) -> list[str]:
    """The lines of a curve as points of SVG polylines; a missing value interrupts it.

    Args:
        values: One a step.
        top: The value at the upper edge.
        width: Of the picture.
        height: Of the picture.
    """
    lines: list[list[str]] = [[]]
    step = width / max(1, len(values) - 1)
    for index, value in enumerate(values):
        if value is None:
            lines.append([])
            continue
        lines[-1].append(f"{index * step:.1f},{height - min(1.0, value / top if top else 0.0) * height:.1f}")
    return [" ".join(line if len(line) > 1 else [*line, *line]) for line in lines if line]
