"""One histogram, sum or last value a series: what OTLP and every other OpenTelemetry exporter wants.

Folded and collected by background threads.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import Counter as SdkCounter
from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics import Histogram as SdkHistogram
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from c2cotel.delivery.guard import Guard
from c2cotel.metrics.exemplars import ExemplarRules, Exemplars, Sighting
from c2cotel.metrics.exponential import ExponentialState
from c2cotel.metrics.instruments import Instrument, Kind
from c2cotel.metrics.observations import Observer
from c2cotel.metrics.points import fitting, metric, otel_identity
from c2cotel.metrics.recorder import Series

_GUARD = Guard(logging.getLogger(__name__), "A gauge could not be observed")
_DELTA = AggregationTemporality.DELTA
_CUMULATIVE = AggregationTemporality.CUMULATIVE


class _Identity:
    """What a point has of its own for OpenTelemetry; the keys ``["a", "b"]`` and ``["a.b"]`` are one.

    Attributes:
        name: Its OpenTelemetry name.
        attributes: Its attributes.
        row: Its instrument.
    """

    __slots__ = ("_key", "attributes", "name", "row")

    def __init__(self, row: Instrument, name: str, attributes: Mapping[str, Any]) -> None:
        self.row = row
        self.name = name
        self.attributes = attributes
        # With the type of each value: True == 1 == 1.0.
        typed = tuple((key, value.__class__, value) for key, value in sorted(attributes.items()))
        self._key = row.kind, name, typed

    @classmethod
    def of(cls, series: Series) -> _Identity:
        """The identity of a series."""
        return cls(series.instrument, *otel_identity(series))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Identity) and self._key == other._key

    def __hash__(self) -> int:
        return hash(self._key)


class AggregateSink:
    """Keeps one histogram, sum or last value a series: what OTLP and every other OpenTelemetry exporter wants.

    Args:
        temporality: what the exporter prefers, by kind; cumulative when a kind is missing.
        observers: asked at each collection; the list may change.
        rules: which measurements may become exemplars; None: none does.
        exponential: whether histograms have exponential buckets instead of those of their instrument.
    """

    def __init__(
        self,
        temporality: Mapping[Kind, AggregationTemporality] | None = None,
        observers: Sequence[Observer] = (),
        rules: ExemplarRules | None = None,
        *,
        exponential: bool = False,
    ) -> None:
        self._rules = rules
        self._states_of = {**_STATES, Kind.TIMER: ExponentialState} if exponential else _STATES
        self._temporality = dict(temporality or {})
        self._observers = observers
        self._decreasing: set[str] = set()
        self.reset()

    def fold(self, series: Series, values: Sequence[float]) -> None:
        with self._lock:
            identity = self._identities.get(series)
            if identity is None:
                identity = self._identities[series] = _Identity.of(series)
            state = self._states.get(identity)
            if state is None:
                state = self._states[identity] = self._states_of[identity.row.kind](identity.row, self._interval_start)
            state.fold(values)
            if self._rules is not None and self._rules.everything and identity.row.kind is Kind.TIMER:
                self._exemplars_of(identity, state).offer(values)
            if series.instrument.kind is Kind.COUNTER and min(values) < 0:
                self._decreasing.add(identity.name)

    def notice(self, series: Series, sightings: Sequence[Sighting]) -> None:
        """Take the values of a timer again that were measured in a span."""
        with self._lock:
            identity = self._identities.get(series)
            state = None if identity is None else self._states.get(identity)
            if identity is not None and state is not None:
                self._exemplars_of(identity, state).notice(sightings)

    def _exemplars_of(self, identity: _Identity, state: Any) -> Exemplars:
        assert self._rules is not None
        exemplars = self._exemplars.get(identity)
        if exemplars is None:
            exemplars = self._exemplars[identity] = Exemplars(self._rules, state.bucket)
        return exemplars

    def collect(self) -> list[Metric]:
        """The points of every series: all of them when cumulative, those with news when delta."""
        now = time.time_ns()
        observed = self._observed(now)  # first: a gauge that raises must not cost the interval's measurements
        points: dict[tuple[str, Kind], tuple[Instrument, list[Any]]] = {}
        with self._lock:
            for identity, state in list(self._states.items()):
                row = identity.row
                exemplars = self._exemplars.get(identity)
                point = state.point(identity.attributes, now, [] if exemplars is None else exemplars.collect())
                points.setdefault((identity.name, row.kind), (row, []))[1].append(point)
                if self._of(row) is _DELTA and row.kind is not Kind.GAUGE:
                    del self._states[identity]
                    self._exemplars.pop(identity, None)
            self._interval_start = now
        return observed + [
            metric(row, name, data, self._of(row), monotonic=name not in self._decreasing)
            for (name, _), (row, data) in points.items()
        ]

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[_Identity, Any] = {}
        self._identities: dict[Series, _Identity] = {}
        self._exemplars: dict[_Identity, Exemplars] = {}
        self._interval_start = self._born = time.time_ns()

    def _observed(self, now: int) -> list[Metric]:
        observed: dict[tuple[str, str, bool], list[NumberDataPoint]] = {}
        for observe in list(self._observers):
            with _GUARD:
                for seen in list(observe()):
                    points = observed.setdefault((seen.name, seen.unit, seen.is_total), [])
                    points.append(NumberDataPoint(seen.attributes, self._born if seen.is_total else 0, now, seen.value))
        return [
            Metric(name, "", unit, Sum(points, _CUMULATIVE, is_monotonic=True) if is_total else Gauge(points))
            for (name, unit, is_total), points in observed.items()
        ]

    def _of(self, instrument: Instrument) -> AggregationTemporality:
        return self._temporality.get(instrument.kind, _CUMULATIVE)


class _HistogramState:
    def __init__(self, instrument: Instrument, start: int) -> None:
        self._bounds = instrument.bounds
        self._start = start
        self._count, self._sum, self._min, self._max = 0, 0.0, math.inf, -math.inf
        self._buckets = [0] * (len(instrument.bounds) + 1)

    def fold(self, values: Sequence[float]) -> None:
        self._count += len(values)
        self._sum += sum(values)
        self._min = min(self._min, *values)
        self._max = max(self._max, *values)
        for value in values:
            self._buckets[bisect_left(self._bounds, value)] += 1

    def bucket(self, value: float) -> int:
        return bisect_left(self._bounds, value)

    def point(self, attributes: Mapping[str, Any], now: int, exemplars: Sequence[Exemplar]) -> HistogramDataPoint:
        return HistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._start,
            time_unix_nano=now,
            count=self._count,
            sum=self._sum,
            bucket_counts=tuple(self._buckets),
            explicit_bounds=self._bounds,
            min=self._min,
            max=self._max,
            exemplars=exemplars,
        )


class _SumState:
    def __init__(self, _: Instrument, start: int) -> None:
        self._start = start
        self._sum: float = 0

    def fold(self, values: Sequence[float]) -> None:
        self._sum += sum(values)

    def point(self, attributes: Mapping[str, Any], now: int, _: Sequence[Exemplar]) -> NumberDataPoint:
        return NumberDataPoint(attributes, self._start, now, fitting(self._sum))


class _LastState:
    def __init__(self, _: Instrument, __: int) -> None:
        self._last: float = 0

    def fold(self, values: Sequence[float]) -> None:
        self._last = values[-1]

    def point(self, attributes: Mapping[str, Any], now: int, _: Sequence[Exemplar]) -> NumberDataPoint:
        return NumberDataPoint(attributes, 0, now, fitting(self._last))


_STATES: Mapping[Kind, type[Any]] = {
    Kind.TIMER: _HistogramState,
    Kind.COUNTER: _SumState,
    Kind.GAUGE: _LastState,
}


def temporality_by_kind(preferred: Mapping[type, AggregationTemporality]) -> Mapping[Kind, AggregationTemporality]:
    """The temporality that an exporter prefers, by the kinds of our table.

    Args:
        preferred: By the SDK's classes of instruments.
    """
    return {
        Kind.TIMER: preferred.get(SdkHistogram, _CUMULATIVE),
        Kind.COUNTER: preferred.get(SdkCounter, _CUMULATIVE),
    }
