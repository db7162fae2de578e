"""The standard variables that OpenTelemetry's SDK and exporters read themselves; here they are only checked.

The SDK meets a bad value with a bare `ValueError`, a line in the log, or silence.
https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from __future__ import annotations

from dataclasses import dataclass

from c2cotel.config.declare import setting
from c2cotel.config.parsers import boolean, choice, positive, share, whole, words

_SAMPLERS = ("always_on", "always_off", "traceidratio")
_COMPRESSIONS = choice("none", "gzip", "deflate")
_SECONDS = "Seconds that one export over OTLP may take."


def _limit(env: str, what: str) -> int | None:
    limit: int | None = setting(env, parse=whole, doc=f"Number of {what}; more are dropped, counted.", shown="unset")
    return limit


@dataclass(frozen=True)
class OtelSdkSettings:
    """The standard variables that the SDK and its exporters read themselves."""

    sampler: str | None = setting(
        "OTEL_TRACES_SAMPLER",
        parse=choice(*_SAMPLERS, *(f"parentbased_{name}" for name in _SAMPLERS)),
        doc="Which traces are sampled.",
        shown="`parentbased_always_on`",
    )
    sampler_argument: float | None = setting(
        "OTEL_TRACES_SAMPLER_ARG", parse=share, doc="Share of traces for `traceidratio`, from 0 to 1.", shown="`1.0`"
    )
    exemplar_filter: str | None = setting(
        "OTEL_METRICS_EXEMPLAR_FILTER",
        parse=choice("always_on", "always_off", "trace_based"),
        doc="Which measurements may become exemplars of histograms: those in exported traces, all, or none.",
        shown="`trace_based`",
    )
    internal_metrics: bool = setting(
        "OTEL_PYTHON_SDK_INTERNAL_METRICS_ENABLED",
        parse=boolean,
        default=False,
        doc="Export metrics of the export itself, `otel.sdk.*`: queues, what was exported and what was dropped.",
    )
    temporality: str | None = setting(
        "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
        parse=choice("cumulative", "delta", "lowmemory"),
        doc="Whether metrics over OTLP are running totals or changes.",
        shown="`cumulative`",
    )
    histogram: str | None = setting(
        "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
        parse=choice("explicit_bucket_histogram", "base2_exponential_bucket_histogram"),
        doc="Kind of histograms over OTLP.",
        shown="`explicit_bucket_histogram`",
    )
    compression: str | None = setting(
        "OTEL_EXPORTER_OTLP_COMPRESSION", parse=_COMPRESSIONS, doc="Compression of OTLP.", shown="`none`"
    )
    traces_compression: str | None = setting(
        "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", parse=_COMPRESSIONS, doc="Compression of traces over OTLP."
    )
    metrics_compression: str | None = setting(
        "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", parse=_COMPRESSIONS, doc="Compression of metrics over OTLP."
    )
    logs_compression: str | None = setting(
        "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", parse=_COMPRESSIONS, doc="Compression of log records over OTLP."
    )
    timeout: float | None = setting("OTEL_EXPORTER_OTLP_TIMEOUT", parse=positive, doc=_SECONDS, shown="`10`")
    traces_timeout: float | None = setting("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", parse=positive, doc=_SECONDS)
    metrics_timeout: float | None = setting("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", parse=positive, doc=_SECONDS)
    logs_timeout: float | None = setting("OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", parse=positive, doc=_SECONDS)
    propagators: tuple[str, ...] | None = setting(
        "OTEL_PROPAGATORS", parse=words, doc="Formats of the caller's trace.", shown="`tracecontext,baggage`"
    )
    attributes: int | None = _limit("OTEL_ATTRIBUTE_COUNT_LIMIT", "attributes of a span, an event or a link")
    attribute_length: int | None = _limit("OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT", "characters of an attribute")
    span_attributes: int | None = _limit("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "attributes of a span")
    span_attribute_length: int | None = _limit("OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "characters of an attribute")
    events: int | None = _limit("OTEL_SPAN_EVENT_COUNT_LIMIT", "events of a span")
    links: int | None = _limit("OTEL_SPAN_LINK_COUNT_LIMIT", "links of a span")
    event_attributes: int | None = _limit("OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT", "attributes of an event")
    link_attributes: int | None = _limit("OTEL_LINK_ATTRIBUTE_COUNT_LIMIT", "attributes of a link")
