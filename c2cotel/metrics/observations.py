"""Gauges that are asked for at each export, such as the connections of a pool; statsd does not get them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Observation:
    """The value of a gauge at the moment of an export.

    Args:
        name: OpenTelemetry's.
        unit: Of the value.
        attributes: What tells this one from others of the name.
        value: The value.
        is_total: Whether it only grows, from the start of the process on.
    """

    name: str
    unit: str
    attributes: Mapping[str, Any]
    value: float
    is_total: bool = False


Observer = Callable[[], Iterable[Observation]]
