"""Points and metrics of the SDK's own classes, so that any exporter understands them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    Metric,
    Sum,
)

from c2cotel.metrics.instruments import KEY, PRIVATE, Instrument, Kind
from c2cotel.metrics.recorder import Series

_HUGE = int(sys.float_info.max)


def metric(
    row: Instrument, name: str, points: list[Any], temporality: AggregationTemporality, *, monotonic: bool
) -> Metric:
    """One metric of the table.

    Args:
        row: The instrument.
        name: Its OpenTelemetry name; of a user's instrument, its key joined by dots.
        points: Its data points.
        temporality: Of the points.
        monotonic: Whether a counter has never been decremented.
    """
    data: Any
    if row.kind is Kind.TIMER:
        exponential = isinstance(points[0], ExponentialHistogramDataPoint)
        data = ExponentialHistogram(points, temporality) if exponential else Histogram(points, temporality)
    elif row.kind is Kind.GAUGE:
        data = Gauge(points)
    else:
        # increment_counter takes negative increments, and a receiver would read a falling monotonic sum as a restart.
        data = Sum(points, temporality, is_monotonic=monotonic)
    return Metric(name, row.description, row.unit, data)


def fitting(value: float) -> float:
    """A number that OTLP has a place for: whole ones beyond 64 bits become floating."""
    if isinstance(value, int) and not -(1 << 63) <= value < 1 << 63:
        return max(-sys.float_info.max, min(sys.float_info.max, value)) if abs(value) > _HUGE else float(value)
    return value


def otel_identity(series: Series) -> tuple[str, Mapping[str, Any]]:
    """The OpenTelemetry name of a series, and its attributes without those that only statsd names need."""
    attributes = {name: value for name, value in series.attributes.items() if name not in PRIVATE}
    if series.instrument.users:
        return ".".join(map(str, series.attributes[KEY])), attributes
    return series.instrument.name, attributes
