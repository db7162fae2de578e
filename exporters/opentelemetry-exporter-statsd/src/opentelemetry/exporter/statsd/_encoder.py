"""From the SDK's points to lines. No socket here.

A line is ``name:value|type`` with ``|#tag:value,...`` after it where the flavor knows tags; one measurement a line,
because that is the only form every server parses.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from opentelemetry.exporter.statsd._flavors import Flavor
from opentelemetry.exporter.statsd._lines import MAX_EXPANDED, TOGETHER, expand, joined, number, plain, thinned, whole
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

MILLISECONDS = {"s": 1000.0, "ms": 1.0, "us": 0.001, "ns": 0.000001, "min": 60_000.0, "h": 3_600_000.0}
"""Factor to milliseconds by unit (UCUM, as OpenTelemetry writes units)."""


class Encoder:
    """Turns the SDK's data into lines.

    It remembers the last value of cumulative counters (a number a series, as long as the exporter lives) and rendered
    names.

    Args:
        namer: Names the points.
        flavor: What the server understands.
        whole_milliseconds: Whether timers are rounded (half to even) to whole milliseconds, at least 1.
        absolute_gauges: Whether the server takes ``-5`` as a value; elsewhere a sign means "change by".
        resource_tags: Attribute of the resource to tag.
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
        self._warned = False

    def lines(self, data: MetricsData) -> list[str]:
        """The lines of an export, in the order of the data. A point that cannot be written is left out and counted."""
        lines: list[str] = []
        for resource in data.resource_metrics:
            if self._resource_tags:
                self._take_tags(resource.resource.attributes)
            for scope in resource.scope_metrics:
                scope_name = getattr(scope.scope, "name", "")
                for metric in scope.metrics:
                    write = self._writer(metric)
                    for point in metric.data.data_points:
                        try:
                            write(scope_name, metric, point, lines)
                        except Exception as error:  # noqa: BLE001  a stranger's value must not stop the others
                            self._drop(metric, error)
        return lines

    def _take_tags(self, attributes: Mapping[str, Any]) -> None:
        chosen = {tag: attributes[key] for key, tag in self._resource_tags.items() if key in attributes}
        tags = self._namer.clean_tags(chosen)
        if tags != self._of_resource:
            self._of_resource = tags
            self._names.clear()

    def _writer(self, metric: Metric) -> Callable[[str, Metric, Any, list[str]], None]:
        data: Any = metric.data  # a later SDK may have more than the four of today
        if isinstance(data, Sum):
            return self._counter if data.is_monotonic else self._up_down_counter
        if isinstance(data, Gauge):
            return self._gauge
        if isinstance(data, Histogram | ExponentialHistogram):
            return self._histogram
        return self._unknown

    def _unknown(self, _scope: str, metric: Metric, _point: Any, _lines: list[str]) -> None:
        raise TypeError(f"data of type {type(metric.data).__name__}")

    def _counter(self, scope: str, metric: Metric, point: Any, lines: list[str]) -> None:
        value = point.value
        if _is_cumulative(metric) and number(value) is not None:
            # A first value is sent whole, as the SDK's own delta does, so that the server's total is the counter's. A
            # smaller value than before is a restart, and counts from zero.
            key = self._key(scope, metric, point.attributes)
            last = self._last.get(key, 0)
            self._last[key] = value
            value = value - last if value >= last else value
        if value and self._flavor.whole_counters and number(value) is not None:
            # The fraction is carried over to the next interval.
            key = "rest", self._key(scope, metric, point.attributes)
            value, self._last[key] = whole(value + self._last.get(key, 0))
        if value:
            self._number(metric, point, value, "c", lines)

    def _up_down_counter(self, scope: str, metric: Metric, point: Any, lines: list[str]) -> None:
        value = point.value
        if not _is_cumulative(metric) and number(value) is not None:
            key = self._key(scope, metric, point.attributes)
            value = self._last[key] = self._last.get(key, 0) + value
        self._number(metric, point, value, "g", lines)

    def _gauge(self, _scope: str, metric: Metric, point: Any, lines: list[str]) -> None:
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

    def _histogram(self, scope: str, metric: Metric, point: Any, lines: list[str]) -> None:
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
            key = self._key(scope, metric, point.attributes)
            last_count, last_total = self._last.get(key, (0, 0))
            self._last[key] = count, total
            if count >= last_count:
                count, total = count - last_count, total - last_total
            low = high = None
        if count <= 0:
            return
        self.dropped += max(count - MAX_EXPANDED, 0)
        scale, samples = self._expanded(factor, count, total, low, high)
        self._samples(metric, scale, (head, self._type(factor), tags), samples, lines)

    def _expanded(
        self, factor: float | None, count: int, total: Any, low: Any, high: Any
    ) -> tuple[float | None, Sequence[float]]:
        """Samples that have the count and sum of an aggregated point, and the factor they are to be printed with."""
        if factor is None and not isinstance(total, int):
            mean = total / count
            if count > MAX_EXPANDED:
                return None, [mean] * MAX_EXPANDED
            return None, [mean] * (count - 1) + [total - mean * (count - 1)]
        unit = 1 if self._whole or factor is None else 1000
        scale = (factor or 1.0) * unit
        # A View may turn minimum and maximum off; the SDK then says infinity.
        ends = [round(end * scale) if end is not None and math.isfinite(end) else None for end in (low, high)]
        shares = expand(count, total if factor is None else round(total * scale), *ends)
        if factor is None:
            return None, shares
        return 1.0, [share / unit for share in shares]

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
        if not plain(samples, scale, typed=factor is None):
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
        lines += joined(head, written, suffix, self._line_length) if self._line_length else written

    def _cleaned(self, metric: Metric, samples: Sequence[Any], scale: float, *, least: float) -> list[float]:
        """Finite numbers only, none below the least."""
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
        key = instrument, _frozen(attributes)
        found = self._names.get(key)
        if found is None:
            if len(self._names) >= MAX_CACHED_NAMES:
                self._names.clear()
            found = self._names[key] = self._namer.render(instrument, attributes, self._of_resource)
        return found

    @staticmethod
    def _key(scope: str, metric: Metric, attributes: Mapping[str, Any] | None) -> Any:
        return scope, metric.name, _frozen(attributes)

    def _drop(self, metric: Metric, reason: object) -> None:
        self.dropped += 1
        if not self._warned:
            self._warned = True
            _logger.warning("A value of %s was dropped: %s. Further ones are only counted.", metric.name, reason)


def _is_cumulative(metric: Metric) -> bool:
    return getattr(metric.data, "aggregation_temporality", None) == AggregationTemporality.CUMULATIVE


def _frozen(attributes: Mapping[str, Any] | None) -> frozenset[Any]:
    """A key for attributes. Types are part of it: 1, 1.0 and True are equal for Python and differ on the wire."""
    if not attributes:
        return frozenset()
    return frozenset(
        [item if type(item[1]) is str else (item[0], type(item[1]), text(item[1])) for item in attributes.items()]
    )
