"""`/metrics`: what all processes of the host have measured, as Prometheus reads it.

Names follow OpenTelemetry's rules:
https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/#otlp-metric-points-to-prometheus
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Exemplar
from pyramid.request import Request
from pyramid.response import Response

from c2cotel import broadcast
from c2cotel.plugin import MetricFamily, Telemetry, telemetry_of

_CHANNEL = "c2c_metrics"
_PATIENCE = 0.3
"""Seconds to wait for the other processes to write their latest values."""

_UNITS = {"s": "seconds", "ms": "milliseconds", "By": "bytes", "1": "", "%": "percent"}
_UNFIT_NAME = re.compile(r"[^a-zA-Z0-9_:]+")
_UNFIT_LABEL = re.compile(r"[^a-zA-Z0-9_]+")


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Let this process write its latest values when another one is asked; returns what ends that."""
    shared = telemetry.shared_metrics
    if shared is None:
        return lambda: None
    broadcast.subscribe(_CHANNEL, shared.publish)
    return lambda: broadcast.unsubscribe(_CHANNEL)


def view(request: Request) -> Response:
    """The metrics of all processes of the host."""
    shared = telemetry_of(request.registry).shared_metrics
    broadcast.ask(_CHANNEL, {}, _PATIENCE)
    families = [] if shared is None else shared.collect()
    registry = CollectorRegistry()
    registry.register(_Families(families))
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    response = Response(encode(registry))
    response.headers["Content-Type"] = content_type
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


class _Families(Collector):
    """Gives prometheus_client what it writes."""

    def __init__(self, families: Iterable[MetricFamily]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        taken: dict[str, str] = {}
        for family in sorted(self._families, key=lambda each: (each.name, each.kind)):
            name = metric_name(family.name, family.unit)
            if taken.setdefault(name, family.kind) != family.kind:
                name = f"{name}_{family.kind}"
                if name in taken:
                    continue
                taken[name] = family.kind
            yield _metric(family, name)


def metric_name(name: str, unit: str) -> str:
    """The name of a metric for Prometheus, without the `_total` of a counter."""
    fit = _UNFIT_NAME.sub("_", name).strip("_") or "unnamed"
    if fit[0].isdigit():
        fit = f"_{fit}"
    suffix = _UNITS.get(unit, "" if unit.startswith("{") else _UNFIT_NAME.sub("_", unit))
    return fit if not suffix or fit.endswith(f"_{suffix}") else f"{fit}_{suffix}"


def labels_of(attributes: dict[str, str]) -> dict[str, str]:
    """Labels for Prometheus; values whose names become equal are joined."""
    labels: dict[str, str] = {}
    for name, value in sorted(attributes.items()):
        fit = _UNFIT_LABEL.sub("_", name) or "_"
        fit = f"_{fit}" if fit[0].isdigit() else fit
        labels[fit] = f"{labels[fit]};{value}" if fit in labels else value
    return labels


def _metric(family: MetricFamily, name: str) -> Metric:
    description = family.description or family.name
    metric: Any
    if family.kind == "histogram":
        metric = HistogramMetricFamily(name, description)
        for point in family.points.values():
            labels = labels_of(point["attributes"])
            buckets = list(_buckets(point))
            metric.add_sample(f"{name}_count", labels, point["count"])
            metric.add_sample(f"{name}_sum", labels, point["sum"])
            for bound, number, exemplar in buckets:
                metric.add_sample(f"{name}_bucket", {**labels, "le": bound}, number, exemplar=exemplar)
        return metric  # type: ignore[no-any-return]
    if family.kind == "counter":
        name = name.removesuffix("_total")
        metric = CounterMetricFamily(name, description)
        for point in family.points.values():
            metric.add_sample(f"{name}_total", labels_of(point["attributes"]), point["value"])
        return metric  # type: ignore[no-any-return]
    metric = GaugeMetricFamily(name, description)
    for point in family.points.values():
        metric.add_sample(name, labels_of(point["attributes"]), point["value"])
    return metric  # type: ignore[no-any-return]


def _buckets(point: dict[str, Any]) -> Iterator[tuple[str, int, Exemplar | None]]:
    """Upper bound, cumulative number and exemplar of each bucket."""
    number = 0
    lower = float("-inf")
    for bound, n in zip([*point["bounds"], float("inf")], point["buckets"], strict=True):
        number += n
        exemplar = next((each for each in reversed(point["exemplars"]) if lower < each[0] <= bound), None)
        shown = (
            None if exemplar is None else Exemplar({"trace_id": exemplar[1], "span_id": exemplar[2]}, *exemplar[::3])
        )
        yield "+Inf" if bound == float("inf") else repr(float(bound)), number, shown
        lower = bound
