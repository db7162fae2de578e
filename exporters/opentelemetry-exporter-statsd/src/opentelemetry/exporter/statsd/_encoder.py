"""Lines from the SDK's points. No socket here.

A line is ``name:value|type`` with ``|#tag:value,...`` after it where the flavor knows tags; one measurement a line,
because that is the only form every server parses.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.statsd._flavors import Flavor
from opentelemetry.exporter.statsd._identity import attributes_key, metric_key
from opentelemetry.exporter.statsd._lines import (
    MAX_EXPANDED,
    TOGETHER,
    are_printable,
    expanded_samples,
    join_values,
    number,
    thinned,
    whole,
)
from opentelemetry.exporter.statsd._names import Namer
from opentelemetry.exporter.statsd._rules import text
from opentelemetry.exporter.statsd._samples import SampledHistogramDataPoint
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    ExponentialHistogram,
    Gauge,
    Histogram,
    Metric,
    MetricsData,
    Sum,
)

_logger = logging.getLogger("opentelemetry.exporter.statsd")

MAX_CACHED_NAMES = 10_000
"""Rendered names kept for sums and gauges; the cache is emptied when full."""

ROUNDED_UP = 0.5
"""The fraction of a counter, left over at the end, from which it counts as one."""

MILLISECONDS = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001, "min": 60_000.0, "h": 3_600_000.0}
"""Factor to milliseconds by unit (UCUM, as OpenTelemetry writes units)."""


class Encoder:
    """A writer of the SDK's data as lines.

    It remembers the last value of cumulative counters (one number for each series, as long as the exporter lives) and
    rendered names.

    Args:
        namer: Maker of names and tags.
        flavor: Description of what the server understands.
        whole_milliseconds: Whether timers are rounded (half to even) to whole milliseconds, at least 1.
        absolute_gauges: Whether the server takes ``-5`` as a value; elsewhere a sign means "change by".
        resource_tags: Tag by attribute of the resource.
        distributions: Whether a histogram that is no time is written as a distribution.
        sample_above: Measurements of a series above which they are sampled; None: never.
        line_length: Bytes of a line of many values; 0: a line has one value.

    Attributes:
        dropped: Measurements that could not be written: not finite, not a number, too long to print.
    """

    def __init__(
        self,
        namer: Namer,
        flavor: Flavor,
        *,
        whole_milliseconds: bool,
        absolute_gauges: bool,
        resource_tags: Mapping[str, str],
        distributions: bool,
        sample_above: int | None,
        line_length: int,
    ) -> None:
        self.dropped = 0
        self._resource_tags = resource_tags
        self._of_resource: dict[str, str] = {}
        self._histogram_type = "d" if distributions else flavor.histogram
        self._sample_above = sample_above
        self._line_length = line_length
        self._namer = namer
        self._flavor = flavor
        self._whole = whole_milliseconds or flavor.whole
        self._absolute_gauges = absolute_gauges
        self._names: dict[Any, tuple[str, str]] = {}
        self._last: dict[Any, Any] = {}
        self._rests: dict[Any, tuple[Any, str]] = {}
        self._is_drop_logged = False

    def lines(self, data: MetricsData) -> list[str]:
        """The lines of an export, in the order of the data. What cannot be written is left out alone, and counted."""
        lines: list[str] = []
        for resource in data.resource_metrics:
            if self._resource_tags:
                self._take_tags(resource)
            for scope in self._items(resource, "scope_metrics"):
                for metric in self._items(scope, "metrics"):
                    self._write(getattr(scope, "scope", None), metric, lines)
        return lines

    def rest(self) -> list[str]:
        """The lines of what whole counters have carried over, rounded to the nearest whole; nothing is left over."""
        lines = [line for value, line in self._rests.values() if value >= ROUNDED_UP]
        self._rests.clear()
        return lines

    def _items(self, parent: Any, name: str) -> Sequence[Any]:
        try:
            return list(getattr(parent, name))
        except Exception as error:  # noqa: BLE001  a stranger's data must not stop the others
            self._drop(parent, error)
            return ()

    def _write(self, scope: Any, metric: Metric, lines: list[str]) -> None:
        try:
            write = self._writer(metric)
            key = metric_key(scope, metric)
            points = list(metric.data.data_points)
        except Exception as error:  # noqa: BLE001  as above
            self._drop(metric, error)
            return
        for point in points:
            try:
                write(key, metric, point, lines)
            except Exception as error:  # noqa: BLE001  as above
                self._drop(metric, error)

    def _take_tags(self, resource: Any) -> None:
        attributes = getattr(getattr(resource, "resource", None), "attributes", None) or {}
        chosen = {tag: attributes[key] for key, tag in self._resource_tags.items() if key in attributes}
        tags = self._namer.clean_tags(chosen)
        if tags != self._of_resource:
            self._of_resource = tags
            self._names.clear()

    def _writer(self, metric: Metric) -> Callable[[Any, Metric, Any, list[str]], None]:
        data: Any = metric.data  # a later SDK may have more than the four of today
        if isinstance(data, Sum):
            return self._counter if data.is_monotonic else self._up_down_counter
        if isinstance(data, Gauge):
            return self._gauge
        if isinstance(data, Histogram | ExponentialHistogram):
            return self._histogram
        return self._unknown

    def _unknown(self, _key: Any, metric: Metric, _point: Any, _lines: list[str]) -> None:
        raise TypeError(f"data of type {type(metric.data).__name__}")

    def _counter(self, key: Any, metric: Metric, point: Any, lines: list[str]) -> None:
        value = point.value
        is_cumulative = _is_cumulative(metric)
        if is_cumulative or self._flavor.whole_counters:
            key = key, attributes_key(point.attributes)
        if is_cumulative and number(value) is not None:
            # A first value is sent whole, as the SDK's own delta does, so that the server's total is the counter's. A
            # smaller value than before is a restart, and counts from zero.
            last = self._last.get(key, 0)
            self._last[key] = value
            value = value - last if value >= last else value
        if self._flavor.whole_counters and number(value) is not None:
            value = self._whole_part(key, metric, point, value)
        if value != 0:
            self._number(metric, point, value, "c", lines)

    def _whole_part(self, key: Any, metric: Metric, point: Any, value: Any) -> int:
        """The whole part of an increment; the fraction is carried over to the next one."""
        before = self._rests.pop(key, (0, ""))[0]
        cut, left = whole(value + before)
        if left:
            head, tags = self._name(metric.name, point.attributes)
            self._rests[key] = left, f"{head}1|c{tags}"
        return cut

    def _up_down_counter(self, key: Any, metric: Metric, point: Any, lines: list[str]) -> None:
        value = point.value
        if not _is_cumulative(metric) and number(value) is not None:
            key = key, attributes_key(point.attributes)
            value = self._last[key] = self._last.get(key, 0) + value
        self._number(metric, point, value, "g", lines)

    def _gauge(self, _key: Any, metric: Metric, point: Any, lines: list[str]) -> None:
        self._number(metric, point, point.value, "g", lines)

    def _number(self, metric: Metric, point: Any, value: Any, kind: str, lines: list[str]) -> None:
        printed = number(value)
        if printed is None:
            self._drop(metric, "not finite")
            return
        head, tags = self._name(metric.name, point.attributes)
        if kind == "g" and printed[0] == "-" and not self._absolute_gauges:
            lines.append(f"{head}0|g{tags}{TOGETHER}{head}{printed}|g{tags}")
        else:
            lines.append(f"{head}{printed}|{kind}{tags}")

    def _histogram(self, key: Any, metric: Metric, point: Any, lines: list[str]) -> None:
        factor = MILLISECONDS.get(metric.unit or "")
        if isinstance(point, SampledHistogramDataPoint):
            rendered = point.stream.get(self)
            if rendered is None:
                head, tags = self._namer.render(metric.name, point.attributes, self._of_resource)
                rendered = point.stream[self] = head, self._type(factor), tags
            self._samples(metric, factor, rendered, point.samples, lines)
            return
        head, tags = self._name(metric.name, point.attributes)
        count, total, low, high = point.count, point.sum, point.min, point.max
        if _is_cumulative(metric):
            key = key, attributes_key(point.attributes)
            last_count, last_total = self._last.get(key, (0, 0))
            self._last[key] = count, total
            if count >= last_count:
                count, total = count - last_count, total - last_total
            low = high = None
        if count <= 0:
            return
        self.dropped += max(count - MAX_EXPANDED, 0)
        scale, samples = expanded_samples(factor, count, total, (low, high), whole=self._whole)
        self._samples(metric, scale, (head, self._type(factor), tags), samples, lines)

    def _samples(
        self,
        metric: Metric,
        factor: float | None,
        rendered: tuple[str, str, str],
        samples: Sequence[float],
        lines: list[str],
    ) -> None:
        if not samples:
            return
        head, kind, tags = rendered
        scale = factor or 1.0
        if not are_printable(samples, scale, typed=factor is None):
            # To a server a negative time is a broken line.
            samples = self._cleaned(metric, samples, scale, least=0.0 if kind == "|ms" else -math.inf)
        if self._sample_above is not None and len(samples) > self._sample_above:
            rate, chosen, samples = thinned(samples, self._sample_above)
            self._lines(factor, scale, head, f"{kind}|@{rate}{tags}", chosen, lines)
        self._lines(factor, scale, head, f"{kind}{tags}", samples, lines)

    def _lines(
        self, factor: float | None, scale: float, head: str, suffix: str, samples: Sequence[float], lines: list[str]
    ) -> None:
        # A line of many values is put together from values alone.
        before, after = ("", "") if self._line_length else (head, suffix)
        if factor is None and not self._flavor.whole:
            written = [f"{before}{value + 0}{after}" for value in samples]  # + 0: -0.0 becomes 0.0
        elif self._whole:
            written = [f"{before}{round(value * scale) or 1}{after}" for value in samples]
        else:
            # The old formatting is a third faster here than an f-string.
            written = [before + ("%.3f" % (value * scale + 0.0)).rstrip("0").rstrip(".") + after for value in samples]
        lines += join_values(head, written, suffix, self._line_length) if self._line_length else written

    def _cleaned(self, metric: Metric, samples: Sequence[Any], scale: float, *, least: float) -> list[float]:
        """The finite numbers among samples, none below the least."""
        cleaned: list[float] = []
        for sample in samples:
            try:
                value: float = sample if type(sample) is int else float(sample)
                finite = math.isfinite(value * scale)
            except Exception as error:  # noqa: BLE001  `record` takes whatever compares with 0
                self._drop(metric, error)
                continue
            if finite:
                cleaned.append(max(value, least))
            else:
                self._drop(metric, "not finite")
        return cleaned

    def _type(self, factor: float | None) -> str:
        return f"|{'ms' if factor is not None else self._histogram_type}"

    def _name(self, instrument: str, attributes: Mapping[str, Any] | None) -> tuple[str, str]:
        key = instrument, attributes_key(attributes)
        rendered = self._names.get(key)
        if rendered is None:
            if len(self._names) >= MAX_CACHED_NAMES:
                self._names.clear()
            rendered = self._names[key] = self._namer.render(instrument, attributes, self._of_resource)
        return rendered

    def _drop(self, item: Any, reason: object) -> None:
        self.dropped += 1
        if not self._is_drop_logged:
            self._is_drop_logged = True
            name = text(getattr(item, "name", type(item).__name__))
            _logger.warning("A value of %r cannot be written and is dropped: %s (logged once)", name, text(reason))


def _is_cumulative(metric: Metric) -> bool:
    return getattr(metric.data, "aggregation_temporality", None) == AggregationTemporality.CUMULATIVE
