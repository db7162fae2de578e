"""Exact measurements out of the SDK, which otherwise hands an exporter nothing but buckets.

This is the one module that touches what the SDK does not document: `Aggregation._create_aggregation` and the two
methods `aggregate` and `collect` of what it returns. `tests/test_samples.py` fails loudly should a new SDK change them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from json import dumps
from typing import Any

from opentelemetry.sdk.metrics.export import HistogramDataPoint
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation

_logger = logging.getLogger("opentelemetry.exporter.statsd")


@dataclass(frozen=True)
class SampledHistogramDataPoint(HistogramDataPoint):
    """A histogram point that still has every measurement of its interval.

    Attributes:
        samples: The measurements since the last collection, in the unit of the metric.
        stream: A dictionary that belongs to the series and is the same at each collection. An exporter keeps here,
            under itself as key, what it rendered once, so that a flush looks nothing up.
    """

    samples: Sequence[float] = ()
    stream: dict[Any, Any] = field(default_factory=dict, repr=False, compare=False)

    def to_json(self, indent: int | None = 4) -> str:
        """As the SDK's point, with the samples; the stream is nobody's business."""
        names = (name for name in self.__dataclass_fields__ if name not in {"stream", "exemplars"})
        return dumps({name: getattr(self, name) for name in names}, indent=indent, default=str)


class _RawSamples:
    """What replaces the SDK's buckets in one series.

    There is no lock, because a measurement may come from a signal handler or a gc callback in the middle of any other
    operation. Appending to a list and taking a slice off its front are atomic each.
    """

    def start(self, owner: "RawSampleAggregation", instrument: str, attributes: Any, start_nano: int) -> None:
        self._raw_owner = owner
        self._raw_instrument = instrument
        self._raw_attributes = attributes
        self._raw_start = start_nano
        self._raw_limit = owner.limit
        self._raw_half = owner.limit // 2
        self._raw_samples: list[Any] = []
        self._raw_dropped = 0
        self._raw_stream: dict[Any, Any] = {}

    def aggregate(self, measurement: Any, *_: Any, **__: Any) -> None:
        samples = self._raw_samples
        count = len(samples)
        if count < self._raw_limit:
            samples.append(measurement.value)
            if count == self._raw_half:
                self._raw_owner.on_filling()
        else:
            self._raw_dropped += 1

    def collect(
        self, _temporality: Any = None, now_nano: int = 0, *_: Any, **__: Any
    ) -> SampledHistogramDataPoint | None:
        samples = self._raw_samples
        count = len(samples)
        if not count:
            return None
        taken = samples[:count]
        del samples[:count]
        if self._raw_dropped:
            dropped, self._raw_dropped = self._raw_dropped, 0
            self._raw_owner.count_dropped(dropped, self._raw_instrument)
        start, self._raw_start = self._raw_start, now_nano
        total, low, high = _summary(taken)
        return SampledHistogramDataPoint(
            attributes=self._raw_attributes,
            start_time_unix_nano=start,
            time_unix_nano=now_nano,
            count=count,
            sum=total,
            bucket_counts=(count,),
            explicit_bounds=(),
            min=low,
            max=high,
            samples=taken,
            stream=self._raw_stream,
        )


def _summary(samples: list[Any]) -> tuple[float, float, float]:
    try:
        return sum(samples), min(samples), max(samples)
    except Exception:  # noqa: BLE001  `record` accepts anything that compares with 0, such as Decimal beside Fraction
        return 0.0, 0.0, 0.0


@cache
def _raw_class(built: Any) -> Any:
    # The SDK takes the type of the exported data from an isinstance chain over its own aggregations, and exports the
    # data of the metric before under this name if none fits: the raw one must inherit from what the SDK would have
    # built.
    return type("RawSamples", (_RawSamples, built), {})


def _nobody() -> None:
    """Nobody collects before it is time."""


class RawSampleAggregation(ExplicitBucketHistogramAggregation):
    """Keeps every measurement of a histogram instead of counting buckets.

    For `preferred_aggregation` of a reader or exporter. A View that names another aggregation wins, as always.

    Args:
        limit: Measurements kept per series between two collections; those beyond are counted in `dropped`.

    Attributes:
        on_filling: Called by the application's thread when a series is half full; a reader that can collect at once
            sets it. It must take no lock, because the measurement may come from a signal handler.
    """

    def __init__(self, limit: int = 10_000) -> None:
        super().__init__()
        self.limit = limit
        self.dropped = 0
        self.on_filling: Callable[[], object] = _nobody

    def count_dropped(self, count: int, instrument: str) -> None:
        """Add to `dropped`; the first time it is a log line too."""
        if not self.dropped:
            _logger.warning(
                "Histogram %s had more than %d measurements in one interval: %d were dropped. Export more often.",
                instrument,
                self.limit,
                count,
            )
        self.dropped += count

    def _create_aggregation(self, instrument: Any, attributes: Any, *args: Any, **kwargs: Any) -> Any:
        built: Any = super()._create_aggregation(instrument, attributes, *args, **kwargs)
        try:
            sdk_class: Any = type(built)
            raw_class = _raw_class(sdk_class)
            raw = raw_class.__new__(raw_class)
            raw.__dict__.update(built.__dict__)
            raw.start(
                self,
                getattr(instrument, "name", "?"),
                attributes,
                args[-1] if args and isinstance(args[-1], int) else 0,
            )
        except Exception:  # this runs inside the application's own record(): buckets are better than an exception there
            _logger.exception("Exact measurements are not possible with this SDK; falling back to its buckets")
            return built
        return raw
