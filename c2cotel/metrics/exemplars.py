"""Exemplars: measurements that point from a histogram to an exported trace.

https://opentelemetry.io/docs/specs/otel/metrics/sdk/#exemplar
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import Any, TypeAlias

from opentelemetry.sdk.metrics import Exemplar

Sighting: TypeAlias = "tuple[float, Any, int]"
"""A value, the span that was current when it was measured, and that time (nanoseconds since the epoch)."""

_MOST_UNDECIDED = 4
"""Values of a series that wait for the end of their trace."""


@dataclass(frozen=True)
class ExemplarRules:
    """Which measurements may become exemplars.

    Args:
        is_exported: Whether the trace of a span is exported; None as long as nobody knows.
        everything: Whether measurements of no exported trace may, too.
    """

    is_exported: Callable[[Any], bool | None]
    everything: bool = False


def exemplar_rules(wanted: str | None, is_exported: Callable[[Any], bool | None]) -> ExemplarRules | None:
    """The rules that a value of `OTEL_METRICS_EXEMPLAR_FILTER` asks for; None if nothing becomes an exemplar."""
    return None if wanted == "always_off" else ExemplarRules(is_exported, everything=wanted == "always_on")


class Exemplars:
    """The exemplars of one histogram between two exports: the latest of each bucket.

    Args:
        rules: Which measurements may become one.
        bucket: Gives the bucket of a value.
    """

    def __init__(self, rules: ExemplarRules, bucket: Callable[[float], int]) -> None:
        self._rules = rules
        self._bucket = bucket
        self._latest: dict[int, Exemplar] = {}
        self._undecided: deque[Sighting] = deque(maxlen=_MOST_UNDECIDED)

    def offer(self, values: Sequence[float]) -> None:
        """Take values of which nobody knows a trace, where those may become exemplars."""
        if self._rules.everything:
            self._put(Exemplar({}, values[-1], time_ns()))

    def notice(self, sightings: Sequence[Sighting]) -> None:
        """Take values that were measured in a trace."""
        for sighting in sightings:
            exported = self._rules.is_exported(sighting[1])
            if exported:
                self._point(sighting)
            elif exported is None:
                self._undecided.append(sighting)

    def collect(self) -> list[Exemplar]:
        """The exemplars since the last call."""
        waiting = list(self._undecided)
        self._undecided.clear()
        self.notice(waiting)
        latest, self._latest = self._latest, {}
        return list(latest.values())

    def _point(self, sighting: Sighting) -> None:
        value, span, at = sighting
        context = span.get_span_context()
        self._put(Exemplar({}, value, at, context.span_id, context.trace_id))

    def _put(self, exemplar: Exemplar) -> None:
        bucket = self._bucket(exemplar.value)
        if exemplar.trace_id is not None or (bucket not in self._latest or self._latest[bucket].trace_id is None):
            self._latest[bucket] = exemplar
