"""Metrics as bytes, and the sum of those of several processes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from opentelemetry.sdk.metrics.export import Gauge, Histogram, Metric, Sum

COUNTER, GAUGE, HISTOGRAM = "counter", "gauge", "histogram"

Point = dict[str, Any]
"""`attributes`, and `value`; of a histogram `count`, `sum`, `buckets`, `bounds` and `exemplars`."""


class Family:
    """The points of one metric.

    Args:
        name: OpenTelemetry's.
        kind: `counter`, `gauge` or `histogram`.
        unit: Of the values.
        description: What it is.

    Attributes:
        points: By what tells them from each other.
    """

    def __init__(self, name: str, kind: str, unit: str, description: str) -> None:
        self.name = name
        self.kind = kind
        self.unit = unit
        self.description = description
        self.points: dict[bytes, Point] = {}


Exemplars = dict[tuple[str, bytes, int], list[Any]]
"""The latest exemplar of each bucket, by name of the metric, attributes and bucket."""


def dump(metrics: Iterable[Metric], exemplars: Exemplars) -> bytes:
    """Cumulative metrics as bytes.

    Args:
        metrics: The metrics.
        exemplars: Those of earlier calls, which stay until newer ones come.
    """
    return orjson.dumps([entry for metric in metrics if (entry := _entry(metric, exemplars)) is not None])


def load(all_totals: Sequence[bytes], *, with_gauges: bool = True) -> list[Family]:
    """The sum of the metrics of several processes; what cannot be read is left out.

    Args:
        all_totals: What `dump` made in each process.
        with_gauges: Whether gauges are added up, too: those of processes that have ended count no more.
    """
    families: dict[tuple[str, str], Family] = {}
    for totals in all_totals:
        try:
            entries = orjson.loads(totals)
        except ValueError:
            continue
        for name, kind, unit, description, points in entries:
            if kind == GAUGE and not with_gauges:
                continue
            family = families.setdefault((name, kind), Family(name, kind, unit, description))
            for point in points:
                key = orjson.dumps(point["attributes"], option=orjson.OPT_SORT_KEYS)
                earlier = family.points.get(key)
                family.points[key] = point if earlier is None else _added(kind, earlier, point)
    return list(families.values())


def merge(all_totals: list[bytes]) -> bytes:
    """The sum of the metrics of processes that have ended, as bytes."""
    families = load(all_totals, with_gauges=False)
    return orjson.dumps(
        [[each.name, each.kind, each.unit, each.description, list(each.points.values())] for each in families]
    )


def _entry(metric: Metric, exemplars: Exemplars) -> list[Any] | None:
    data = metric.data
    if isinstance(data, Histogram):
        points = [
            {
                "attributes": _attributes(point.attributes),
                "count": point.count,
                "sum": point.sum,
                "buckets": list(point.bucket_counts),
                "bounds": list(point.explicit_bounds),
                "exemplars": _exemplars(metric.name, point, exemplars),
            }
            for point in data.data_points
            if hasattr(point, "explicit_bounds")
        ]
        return [metric.name, HISTOGRAM, metric.unit, metric.description, points]
    if isinstance(data, Sum | Gauge):
        kind = COUNTER if isinstance(data, Sum) and data.is_monotonic else GAUGE
        values = [{"attributes": _attributes(point.attributes), "value": point.value} for point in data.data_points]
        return [metric.name, kind, metric.unit, metric.description, values]
    return None


def _exemplars(name: str, point: Any, exemplars: Exemplars) -> list[list[Any]]:
    """The latest exemplar of each bucket of a histogram: value, trace id, span id, time."""
    key = orjson.dumps(_attributes(point.attributes), option=orjson.OPT_SORT_KEYS)
    for each in point.exemplars:
        if each.trace_id and each.span_id:
            bucket = bisect_left(point.explicit_bounds, each.value)
            ids = f"{each.trace_id:032x}", f"{each.span_id:016x}"
            exemplars[name, key, bucket] = [each.value, *ids, each.time_unix_nano / 1e9]
    buckets = range(len(point.bucket_counts))
    return [exemplars[name, key, bucket] for bucket in buckets if (name, key, bucket) in exemplars]


def _attributes(attributes: Mapping[str, Any] | None) -> dict[str, str]:
    return {_clean(str(name)): _clean(_text(value)) for name, value in (attributes or {}).items()}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _clean(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _added(kind: str, one: Point, other: Point) -> Point:
    if kind != HISTOGRAM:
        return {"attributes": one["attributes"], "value": one["value"] + other["value"]}
    if one["bounds"] != other["bounds"]:
        return one
    return {
        "attributes": one["attributes"],
        "count": one["count"] + other["count"],
        "sum": one["sum"] + other["sum"],
        "buckets": [a + b for a, b in zip(one["buckets"], other["buckets"], strict=True)],
        "bounds": one["bounds"],
        "exemplars": sorted(one["exemplars"] + other["exemplars"], key=lambda each: float(each[3]))[
            -len(one["buckets"]) :
        ],
    }
