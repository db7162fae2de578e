"""Metrics that an encoder refuses: one bad instrument of another library must cost itself alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

from opentelemetry.sdk.metrics.export import Metric, MetricsData, ResourceMetrics, ScopeMetrics
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from c2cotel.metrics.points import fitting

Encoder = Callable[[MetricsData], Any]


def otlp_encoder() -> Encoder | None:
    """What encodes metrics for OTLP; None if it is not installed.

    It imports much: nothing for a thread, in whose process another one may fork.
    """
    try:
        from opentelemetry.exporter.otlp.proto.common.metrics_encoder import (  # noqa: PLC0415  # an extra
            encode_metrics,
        )
    except ImportError:
        return None
    encoder: Encoder = encode_metrics
    return encoder


def repaired(data: MetricsData, encode_metrics: Encoder) -> tuple[MetricsData, int] | None:
    """The same metrics in a form that OTLP can carry, and how many had to be left out.

    Args:
        data: The metrics.
        encode_metrics: See `otlp_encoder`.

    Returns:
        None if nothing is wrong with them.
    """

    def is_encodable(resource: ResourceMetrics, scope: InstrumentationScope, metrics: list[Metric]) -> bool:
        block = ScopeMetrics(scope, metrics, schema_url="")
        try:
            encode_metrics(
                MetricsData([ResourceMetrics(resource.resource, [block], schema_url="")])
            ).SerializeToString()
        except Exception:  # noqa: BLE001  # whatever it is, it cannot be sent like this
            return False
        return True

    wrong, left_out = False, 0
    resources = []
    for resource in data.resource_metrics:
        scopes = []
        for block in resource.scope_metrics:
            scope, metrics = block.scope, list(block.metrics)
            if not is_encodable(resource, scope, metrics):
                wrong = True
                scope = InstrumentationScope(_clean(scope.name), _clean(scope.version))
                cleaned = [_repaired(metric) for metric in metrics]
                metrics = [metric for metric in cleaned if is_encodable(resource, scope, [metric])]
                left_out += len(cleaned) - len(metrics)
            scopes.append(ScopeMetrics(scope, metrics, schema_url=_clean(block.schema_url)))
        resources.append(ResourceMetrics(resource.resource, scopes, resource.schema_url))
    return (MetricsData(resources), left_out) if wrong else None


def _repaired(metric: Metric) -> Metric:
    points = [_point(point) for point in metric.data.data_points]
    kind: Any = metric.data  # each is a data class
    data = replace(kind, data_points=points)
    return Metric(_clean(metric.name), _clean(metric.description), _clean(metric.unit), data)


def _point(point: Any) -> Any:
    if not is_dataclass(point) or isinstance(point, type):
        return point
    changes: dict[str, Any] = {}
    for field in fields(point):
        value = getattr(point, field.name)
        if field.name == "attributes" and isinstance(value, Mapping):
            changes["attributes"] = {_clean(name): _value(inner) for name, inner in value.items()}
        elif field.name in ("value", "sum", "min", "max"):
            changes[field.name] = _value(value)
    return replace(point, **changes)


def _value(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return fitting(value)
    return _clean(value) if isinstance(value, str) else value


def _clean(text: Any) -> str:
    return str(text or "").encode("utf-8", "replace").decode()
