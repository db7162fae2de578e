"""OpenTelemetry metrics to StatsD: every single measurement, one by one.

`StatsdMetricReader` collects and sends each second; ``OTEL_METRICS_EXPORTER=statsd`` selects it as
`StatsdEnvironmentMetricReader`. `StatsdMetricExporter` is a `MetricExporter` for any reader of the SDK.
"""

from opentelemetry.exporter.statsd._endpoint import Endpoint, parse_endpoint
from opentelemetry.exporter.statsd._environment import (
    StatsdEnvironmentMetricExporter,
    StatsdEnvironmentMetricReader,
)
from opentelemetry.exporter.statsd._exporter import StatsdMetricExporter
from opentelemetry.exporter.statsd._link_transport import KeepingTransport
from opentelemetry.exporter.statsd._links import Link, StreamLink, UnixDatagramLink
from opentelemetry.exporter.statsd._reader import StatsdMetricReader
from opentelemetry.exporter.statsd._rules import NameRule, resolve
from opentelemetry.exporter.statsd._samples import RawSampleAggregation, SampledHistogramDataPoint
from opentelemetry.exporter.statsd._transport import Transport, UdpTransport

__all__ = [
    "Endpoint",
    "KeepingTransport",
    "Link",
    "NameRule",
    "RawSampleAggregation",
    "SampledHistogramDataPoint",
    "StatsdEnvironmentMetricExporter",
    "StatsdEnvironmentMetricReader",
    "StatsdMetricExporter",
    "StatsdMetricReader",
    "StreamLink",
    "Transport",
    "UdpTransport",
    "UnixDatagramLink",
    "parse_endpoint",
    "resolve",
]
