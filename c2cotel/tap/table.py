"""What statsd lines add up to, one row a metric."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from c2cotel.tap.lines import TYPES, Line

_HEAD = ("type", "metric", "lines", "sum", "least", "mean", "most", "last")
_TEXTS = 2
"""Columns at the left that hold text; the others hold numbers."""


@dataclass
class Row:
    """One metric.

    Attributes:
        lines: how many there were.
        total: of the values, each divided by its rate.
        texts: the distinct values of a set.
    """

    lines: int = 0
    total: float = 0
    least: float = float("inf")
    most: float = float("-inf")
    last: str = ""
    texts: set[str] = field(default_factory=set)

    def add(self, line: Line) -> None:
        """Take one more line."""
        self.lines += 1
        self.last = line.value
        if line.type == "s":
            self.texts.add(line.value)
            return
        value = line.number
        self.total += value if line.rate is None else value / float(line.rate)
        self.least, self.most = min(self.least, value), max(self.most, value)

    def cells(self, kind: str) -> tuple[str, ...]:
        """The numbers that mean something for this type of metric, in the order of the head."""
        if kind == "s":
            return (str(self.lines), f"{len(self.texts)} distinct", "", "", "", self.last)
        if kind == "c":
            return (str(self.lines), _short(self.total), "", "", "", self.last)
        span = (_short(self.least), "" if kind == "g" else _short(self.total / self.lines), _short(self.most))
        return (str(self.lines), "" if kind == "g" else _short(self.total), *span, self.last)


class Table:
    """The metrics of all lines so far, told apart by type, name and tags."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], Row] = {}

    def add(self, line: Line) -> None:
        """Take one more line."""
        tags = "".join(f"  {key}={value}" for key, value in line.tags)
        self._rows.setdefault((line.type, line.name + tags), Row()).add(line)

    def __iter__(self) -> Iterator[str]:
        """The lines of the table: a head, then one for each metric in the order of their names."""
        rows = [_HEAD] + [
            (TYPES[kind], name, *row.cells(kind))
            for (kind, name), row in sorted(self._rows.items(), key=lambda item: item[0][::-1])
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = [
                cell.ljust(width) if number < _TEXTS else cell.rjust(width)
                for number, (cell, width) in enumerate(zip(row, widths, strict=True))
            ]
            yield "  ".join(cells).rstrip()


def _short(value: float) -> str:
    return f"{value:.10g}" if isinstance(value, int) else f"{value:.6g}"
