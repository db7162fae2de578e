"""Exponential histograms: buckets whose bounds are powers of one base, as narrow as 160 of them allow.

https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry.sdk.metrics import Exemplar
from opentelemetry.sdk.metrics.export import Buckets, ExponentialHistogramDataPoint

from c2cotel.metrics.instruments import Instrument

_MOST_BUCKETS = 160
_FINEST = 20
_HALF = 0.5


class ExponentialState:
    """The exponential histogram of one series.

    Args:
        start: Start of its interval, nanoseconds since the epoch.
    """

    def __init__(self, _: Instrument, start: int) -> None:
        self._start = start
        self._count, self._sum, self._min, self._max = 0, 0.0, math.inf, -math.inf
        self._scale = _FINEST
        self._zeros = 0
        self._positive: dict[int, int] = {}
        self._negative: dict[int, int] = {}

    def fold(self, values: Sequence[float]) -> None:
        """Count values."""
        self._count += len(values)
        self._sum += sum(values)
        self._min = min(self._min, *values)
        self._max = max(self._max, *values)
        for value in values:
            if value:
                counts = self._positive if value > 0 else self._negative
                index = _index(abs(value), self._scale)
                counts[index] = counts.get(index, 0) + 1
            else:
                self._zeros += 1
        self._fit()

    def bucket(self, value: float) -> int:
        """A rough bucket, the power of two, for what is chosen one a bucket."""
        return int(math.copysign(math.frexp(value)[1] + 2000, value)) if value else 0

    def point(self, attributes: Mapping[str, Any], now: int, exemplars: Sequence[Exemplar]) -> Any:
        """The data point."""
        return ExponentialHistogramDataPoint(
            attributes=attributes,
            start_time_unix_nano=self._start,
            time_unix_nano=now,
            count=self._count,
            sum=self._sum,
            scale=self._scale,
            zero_count=self._zeros,
            positive=_buckets(self._positive),
            negative=_buckets(self._negative),
            flags=0,
            min=self._min,
            max=self._max,
            exemplars=exemplars,
        )

    def _fit(self) -> None:
        """Make buckets wider until there are few enough."""
        shift = 0
        for counts in (self._positive, self._negative):
            if counts:
                low, high = min(counts), max(counts)
                while (high >> shift) - (low >> shift) >= _MOST_BUCKETS:
                    shift += 1
        if shift:
            self._scale -= shift
            self._positive = _wider(self._positive, shift)
            self._negative = _wider(self._negative, shift)


def _index(value: float, scale: int) -> int:
    """The bucket of a positive number; a bound belongs to the bucket below it."""
    fraction, exponent = math.frexp(value)
    exponent -= 1
    if fraction == _HALF:
        return (exponent << scale) - 1 if scale > 0 else (exponent - 1) >> -scale
    return math.floor(math.log(value) * math.ldexp(1 / math.log(2), scale)) if scale > 0 else exponent >> -scale


def _wider(counts: Mapping[int, int], shift: int) -> dict[int, int]:
    wider: dict[int, int] = {}
    for index, count in counts.items():
        wider[index >> shift] = wider.get(index >> shift, 0) + count
    return wider


def _buckets(counts: Mapping[int, int]) -> Buckets:
    if not counts:
        return Buckets(0, ())
    low = min(counts)
    return Buckets(low, tuple([counts.get(index, 0) for index in range(low, max(counts) + 1)]))
