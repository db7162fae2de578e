"""Every single value, kept until it is sent: what statsd wants."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.exporter.statsd import SampledHistogramDataPoint
from opentelemetry.sdk.metrics.export import AggregationTemporality, Metric, NumberDataPoint

from c2cotel.metrics.instruments import Instrument, Kind
from c2cotel.metrics.points import metric
from c2cotel.metrics.recorder import Series

_DELTA = AggregationTemporality.DELTA


class SampleSink:
    """Keeps every single value until it is collected: what statsd wants."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[Series, list[float]] = {}
        self._streams: dict[Series, dict[Any, Any]] = {}

    def fold(self, series: Series, values: Sequence[float]) -> None:
        if not series.instrument.statsd:
            return
        with self._lock:
            waiting = self._values.setdefault(series, [])
            if series.instrument.kind is Kind.TIMER:
                waiting.extend(values)
            elif series.instrument.kind is Kind.GAUGE:
                waiting[:] = values[-1:]
            else:
                waiting[:] = [sum(values, *waiting)]

    def collect(self) -> list[Metric]:
        """Everything folded since the last call: timers value by value, counters as increments, gauges as they are."""
        with self._lock:
            collected, self._values = self._values, {}
        now = time.time_ns()
        points: dict[str, tuple[Instrument, list[Any]]] = {}
        for series, values in collected.items():
            if series.instrument.kind is Kind.TIMER:
                stream = self._streams.setdefault(series, {})
                point: Any = _sampled(series.attributes, values, now, stream)
            else:
                point = NumberDataPoint(series.attributes, now, now, values[-1])
            points.setdefault(series.instrument.name, (series.instrument, []))[1].append(point)
        return [metric(row, name, data, _DELTA, monotonic=True) for name, (row, data) in points.items()]

    def reset(self) -> None:
        self._lock = threading.Lock()
        self._values = {}


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
