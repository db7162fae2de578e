"""OpenTelemetry metrics to StatsD: every single measurement, one by one.

`StatsdMetricExporter` is a plain `MetricExporter` for the SDK's readers; ``OTEL_METRICS_EXPORTER=statsd`` takes
`StatsdEnvironmentMetricExporter`.
"""

from opentelemetry.exporter.statsd._endpoint import Endpoint, parse_endpoint
from opentelemetry.exporter.statsd._environment import StatsdEnvironmentMetricExporter
from opentelemetry.exporter.statsd._exporter import StatsdMetricExporter
from opentelemetry.exporter.statsd._rules import NameRule, resolve
from opentelemetry.exporter.statsd._samples import RawSampleAggregation, SampledHistogramDataPoint
from opentelemetry.exporter.statsd._transport import Transport, UdpTransport

__all__ = [
    "Endpoint",
    "NameRule",
    "RawSampleAggregation",
    "SampledHistogramDataPoint",
    "StatsdEnvironmentMetricExporter",
    "StatsdMetricExporter",
    "Transport",
    "UdpTransport",
    "parse_endpoint",
    "resolve",
]
