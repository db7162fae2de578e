"""What becomes of drained values: exact samples for statsd, aggregates for OpenTelemetry exporters, totals in memory.

All three are folded and collected by background threads under the recorder's lock or their own; `collect` gives points
of the SDK's own classes, so that any exporter understands them.
"""

from __future__ import annotations

import math
import sys
import threading
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from opentelemetry.exporter.statsd import SampledHistogramDataPoint
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    Sum,
)

from c2cotel.instruments import KEY, PRIVATE, Instrument, Kind
from c2cotel.recorder import Series

_DELTA = AggregationTemporality.DELTA
_CUMULATIVE = AggregationTemporality.CUMULATIVE


class SampleSink:
    """Keeps every single value until it is collected: what statsd wants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: dict[Series, list[float]] = {}
        self._streams: dict[Series, dict[Any, Any]] = {}

    def fold(self, series: Series, values: Sequence[float]) -> None:
        with self._lock:
            held = self._held.setdefault(series, [])
            if series.instrument.kind is Kind.TIMER:
                held.extend(values)
            elif series.instrument.kind is Kind.GAUGE:
                held[:] = values[-1:]
            else:
                held[:] = [sum(values, *held)]

    def collect(self) -> list[Metric]:
        """Everything folded since the last call: timers value by value, counters as increments, gauges as they are."""
        with self._lock:
            held, self._held = self._held, {}
        now = time.time_ns()
        points: dict[str, tuple[Instrument, list[Any]]] = {}
        for series, values in held.items():
            if series.instrument.kind is Kind.TIMER:
                stream = self._streams.setdefault(series, {})
                point: Any = _sampled(series.attributes, values, now, stream)
            else:
                point = NumberDataPoint(series.attributes, now, now, values[-1])
            points.setdefault(series.instrument.name, (series.instrument, []))[1].append(point)
        return [_metric(row, name, data, _DELTA, monotonic=True) for name, (row, data) in points.items()]

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._held = {}


@dataclass(frozen=True)
class Observation:
    """What a gauge shows at the moment of an export; such gauges go to OpenTelemetry's exporters only."""

    name: str
    unit: str
    attributes: Mapping[str, Any]
    value: float


Observer = Callable[[], Iterable[Observation]]


class AggregateSink:
    """Keeps one histogram, sum or last value a series: what OTLP and every other OpenTelemetry exporter wants.

    Args:
        temporality: what the exporter prefers, by kind; cumulative when a kind is missing.
        observers: asked at each collection; the list may change.
    """

    def __init__(
        self, temporality: Mapping[Kind, AggregationTemporality] | None = None, observers: Sequence[Observer] = ()
    ) -> None:
        self._temporality = dict(temporality or {})
        self._observers = observers
        self._decreasing: set[str] = set()
        self.reset()

    def fold(self, series: Series, values: Sequence[float]) -> None:
        with self._lock:
            state = self._states.get(series)
            if state is None:
                state = self._states[series] = _STATES[series.instrument.kind](series.instrument, self._interval_start)
            state.fold(values)
            if series.instrument.kind is Kind.COUNTER and min(values) < 0:
                self._decreasing.add(_otel_identity(series)[0])

    def collect(self) -> list[Metric]:
        """The points of every series: all of them when cumulative, those with news when delta."""
        now = time.time_ns()
        observed = self._observed(now)  # first: a gauge that raises must not cost the interval's measurements
        points: dict[tuple[str, Kind], tuple[Instrument, list[Any]]] = {}
        with self._lock:
            for series, state in list(self._states.items()):
                name, attributes = _otel_identity(series)
                row = series.instrument
                points.setdefault((name, row.kind), (row, []))[1].append(state.point(attributes, now))
                if self._of(series.instrument) is _DELTA and series.instrument.kind is not Kind.GAUGE:
                    del self._states[series]
            self._interval_start = now
        return observed + [
            _metric(row, name, data, self._of(row), monotonic=name not in self._decreasing)
            for (name, _), (row, data) in points.items()
        ]

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._states: dict[Series, Any] = {}
        self._interval_start = time.time_ns()

    def _observed(self, now: int) -> list[Metric]:
        found: dict[str, tuple[str, list[NumberDataPoint]]] = {}
        for observe in list(self._observers):
            for seen in observe():
                points = found.setdefault(seen.name, (seen.unit, []))[1]
                points.append(NumberDataPoint(seen.attributes, 0, now, seen.value))
        return [Metric(name, "", unit, Gauge(points)) for name, (unit, points) in found.items()]

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

    def point(self, attributes: Mapping[str, Any], now: int) -> HistogramDataPoint:
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
        )


class _SumState:
    def __init__(self, _: Instrument, start: int) -> None:
        self._start = start
        self._sum: float = 0

    def fold(self, values: Sequence[float]) -> None:
        self._sum += sum(values)

    def point(self, attributes: Mapping[str, Any], now: int) -> NumberDataPoint:
        return NumberDataPoint(attributes, self._start, now, _fitting(self._sum))


class _LastState:
    def __init__(self, _: Instrument, __: int) -> None:
        self._last: float = 0

    def fold(self, values: Sequence[float]) -> None:
        self._last = values[-1]

    def point(self, attributes: Mapping[str, Any], now: int) -> NumberDataPoint:
        return NumberDataPoint(attributes, 0, now, _fitting(self._last))


_STATES: Mapping[Kind, type[Any]] = {
    Kind.TIMER: _HistogramState,
    Kind.COUNTER: _SumState,
    Kind.GAUGE: _LastState,
}


def _metric(
    row: Instrument, name: str, points: list[Any], temporality: AggregationTemporality, *, monotonic: bool
) -> Metric:
    data: Any
    if row.kind is Kind.TIMER:
        data = Histogram(points, temporality)
    elif row.kind is Kind.GAUGE:
        data = Gauge(points)
    else:
        # increment_counter takes negative increments, and a receiver would read a falling monotonic sum as a restart.
        data = Sum(points, temporality, is_monotonic=monotonic)
    return Metric(name, row.description, row.unit, data)


def _fitting(value: float) -> float:
    """A number that OTLP has a place for: whole ones beyond 64 bits become floating."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return max(-sys.float_info.max, min(sys.float_info.max, value)) if abs(value) > _HUGE else float(value)
    return value


_HUGE = int(sys.float_info.max)


def _otel_identity(series: Series) -> tuple[str, Mapping[str, Any]]:
    attributes = {name: value for name, value in series.attributes.items() if name not in PRIVATE}
    if series.instrument.users:
        return ".".join(map(str, series.attributes[KEY])), attributes
    return series.instrument.name, attributes


def _sampled(
    attributes: Mapping[str, Any], values: list[float], now: int, stream: dict[Any, Any]
) -> SampledHistogramDataPoint:
    return SampledHistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=now,
        time_unix_nano=now,
        count=len(values),
        sum=sum(values),
        bucket_counts=(),
        explicit_bounds=(),
        min=min(values),
        max=max(values),
        samples=values,
        stream=stream,
    )
