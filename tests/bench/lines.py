"""What one measurement costs on its way to a line on the wire, beside two statsd clients that send the same lines.

``python -m tests.bench.lines`` prints ready, then for each line ``N`` the CPU ns per measurement of each kind.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from datadog.dogstatsd.base import DogStatsd
from opentelemetry.exporter.statsd import SampledHistogramDataPoint, StatsdMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Histogram,
    Metric,
    MetricsData,
    PeriodicExportingMetricReader,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from statsd import StatsClient

from tests.bench.kinds import serve

_NAME = "checkout.duration"
_TAGS = {"method": "card", "shop": "north", "status": "200"}
_TEN_MILLISECONDS = 0.0123


def _exported(exporter: StatsdMetricExporter, attributes: dict[str, str]) -> Callable[[int], None]:
    """Only the exporter's part: the measurements are there."""
    scope, resource, stream = InstrumentationScope("bench"), Resource({}), dict[object, object]()

    def work(n: int) -> None:
        point = SampledHistogramDataPoint(
            attributes, 0, 0, n, 0, (), (), 0, 0, samples=[_TEN_MILLISECONDS] * n, stream=stream
        )
        metric = Metric(_NAME, "", "s", Histogram([point], AggregationTemporality.DELTA))
        exporter.export(MetricsData([ResourceMetrics(resource, [ScopeMetrics(scope, [metric], "")], "")]))

    return work


def _recorded(exporter: StatsdMetricExporter) -> Callable[[int], None]:
    """The SDK's part as well."""
    reader = PeriodicExportingMetricReader(exporter, export_interval_millis=3_600_000)
    provider = MeterProvider([reader], shutdown_on_exit=False)
    histogram = provider.get_meter("bench").create_histogram(_NAME, unit="s")

    def work(n: int) -> None:
        for start in range(0, n, 5000):
            for _ in range(min(5000, n - start)):
                histogram.record(_TEN_MILLISECONDS, _TAGS)
            provider.force_flush()

    return work


def _datadog(host: str, port: int) -> Callable[[int], None]:
    client = DogStatsd(host, port, disable_telemetry=True, disable_buffering=False, disable_aggregation=True)
    tags = [f"{key}:{value}" for key, value in _TAGS.items()]

    def work(n: int) -> None:
        for _ in range(n):
            client.timing(_NAME, _TEN_MILLISECONDS * 1000, tags=tags)
        client.flush_buffered_metrics()

    return work


def _pipeline(host: str, port: int) -> Callable[[int], None]:
    client = StatsClient(host, port, maxudpsize=1432)

    def work(n: int) -> None:
        with client.pipeline() as pipeline:
            for _ in range(n):
                pipeline.timing(_NAME, _TEN_MILLISECONDS * 1000)

    return work


def main() -> None:
    """Serve commands until the standard input ends."""
    endpoint = os.environ["BENCH_STATSD"]
    host, port = endpoint.rsplit(":", 1)
    kinds = {
        "tagged": _exported(StatsdMetricExporter(endpoint), _TAGS),
        "packed": _exported(StatsdMetricExporter(endpoint, pack_values=True), _TAGS),
        "recorded": _recorded(StatsdMetricExporter(endpoint)),
        "datadogpy": _datadog(host, int(port)),
        "plain": _exported(StatsdMetricExporter(endpoint, flavor="etsy"), {}),
        "pipeline": _pipeline(host, int(port)),
    }
    serve(kinds)


if __name__ == "__main__":
    main()
