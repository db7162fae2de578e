"""Exact measurements out of the SDK, which otherwise hands an exporter nothing but buckets."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from json import dumps
from typing import Any

from opentelemetry.exporter.statsd._sdk import HistogramAggregation
from opentelemetry.sdk.metrics.export import HistogramDataPoint

_logger = logging.getLogger("opentelemetry.exporter.statsd")

PATIENCE = 1.0
"""Seconds that full series slow their producers between two collections, all together, before they drop."""
YIELDS = 10
"""Times that a producer offers the interpreter to the collecting thread before it sleeps."""
PAUSE = 0.001
"""Seconds of one such sleep."""


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
        """As the SDK's point, with the samples; without the stream."""
        names = (name for name in self.__dataclass_fields__ if name not in {"stream", "exemplars"})
        return dumps({name: getattr(self, name) for name in names}, indent=indent, default=str)


class _RawSamples:
    """The measurements of one series, in place of the SDK's buckets.

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
        elif self._raw_owner.wait_for_room(samples):
            samples.append(measurement.value)
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
        self._raw_owner.room_was_made()
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


def _nobody() -> bool:
    """Collect nothing: no reader can be woken."""
    return False


class RawSampleAggregation(HistogramAggregation):
    """An aggregation that keeps every measurement of a histogram instead of counting buckets.

    For `preferred_aggregation` of a reader or exporter. A View that names another aggregation wins, as always.

    Args:
        limit: Measurements that a series keeps between two collections, 10,000 by default.

    Attributes:
        dropped: Measurements beyond the limit, counted when they would have been collected.
        on_filling: Function that the application's thread calls when a series is half full, and while it is full; a
            reader that can collect at once sets it. It returns whether waiting for the collection makes sense, and
            takes no lock, because the measurement may come from a signal handler.
    """

    series_class = _RawSamples

    def __init__(self, limit: int = 10_000) -> None:
        super().__init__()
        self.limit = limit
        self.dropped = 0
        self.on_filling: Callable[[], bool] = _nobody
        self._give_up_at: float | None = None

    def start(self, series: _RawSamples, instrument: str, attributes: Any, start_nano: int) -> None:
        """Give a new series its limit, name and attributes."""
        series.start(self, instrument, attributes, start_nano)

    def wait_for_room(self, samples: Sequence[Any]) -> bool:
        """Slow the producer of a full series until it is collected; returns whether it was.

        All waits between two collections end together, `PATIENCE` seconds after the first began: whatever keeps the
        collection away costs the application no more than that.
        """
        yields = 0
        while len(samples) >= self.limit:
            if not self.on_filling():
                return False
            now = time.monotonic()
            give_up_at = self._give_up_at
            if give_up_at is None:
                self._give_up_at = now + PATIENCE
            elif now >= give_up_at:
                return False
            time.sleep(0 if yields < YIELDS else PAUSE)
            yields += 1
        return True

    def room_was_made(self) -> None:
        """Begin the patience anew: a series was collected."""
        self._give_up_at = None

    def count_dropped(self, count: int, instrument: str) -> None:
        """Add to `dropped`; the first time it is a log line too."""
        if not self.dropped:
            _logger.warning(
                "Histogram %r had more measurements than could be collected in time: %d were dropped (logged once)",
                instrument,
                count,
            )
        self.dropped += count
