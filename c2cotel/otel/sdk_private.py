"""The only place that touches what OpenTelemetry's SDK keeps private; a test fails when a name moves."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Token
from dataclasses import dataclass
from functools import partial
from threading import Lock, RLock
from typing import Any

from opentelemetry import context, trace
from opentelemetry.context import (
    _RUNTIME_CONTEXT,
    _SUPPRESS_HTTP_INSTRUMENTATION_KEY,
    _SUPPRESS_INSTRUMENTATION_KEY,
    Context,
)
from opentelemetry.context.contextvars_context import ContextVarsRuntimeContext
from opentelemetry.metrics import _internal as _metrics_api
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.export import (
    AggregationTemporality,
    Metric,
    MetricExporter,
    MetricReader,
    MetricsData,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.sdk.metrics.view import ExponentialBucketHistogramAggregation
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span, SpanProcessor
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext
from opentelemetry.trace.propagation import _SPAN_KEY
from opentelemetry.util._once import Once

SPAN_KEY = _SPAN_KEY
"""Where a context has its current span."""


def _context_functions() -> tuple[Callable[[], Context], Callable[[Context], Token[Context]]]:
    """What gets and sets the current context: the context variable itself where there is one."""
    if type(_RUNTIME_CONTEXT) is ContextVarsRuntimeContext:
        variable = _RUNTIME_CONTEXT._current_context
        return variable.get, variable.set
    return _RUNTIME_CONTEXT.get_current, _RUNTIME_CONTEXT.attach


current_context, attach_context = _context_functions()
"""As `get_current` and `attach` of `opentelemetry.context`, which costs a span several calls more."""

new_span_context: Any = partial(tuple.__new__, SpanContext)
"""Makes a `SpanContext` of its parts and whether it is valid, without looking at them again."""


def is_recording() -> bool:
    """Whether the current span records."""
    span: Any = current_context().get(SPAN_KEY)
    return span is not None and bool(span.is_recording())


def attach_span(span: trace.Span) -> Token[Context]:
    """Make a span the current one; the token takes it back."""
    return attach_context(Context({**current_context(), SPAN_KEY: span}))


@contextmanager
def suppressed() -> Iterator[None]:
    """Nothing that runs inside is measured: neither by c2cotel nor by any OpenTelemetry instrumentation."""
    quiet = context.set_value(_SUPPRESS_INSTRUMENTATION_KEY, True)
    token = context.attach(context.set_value(_SUPPRESS_HTTP_INSTRUMENTATION_KEY, True, quiet))
    try:
        yield
    finally:
        context.detach(token)


def is_suppressed() -> bool:
    """Whether the current code runs inside `suppressed`, or inside an exporter driven by the SDK."""
    return bool(context.get_value(_SUPPRESS_INSTRUMENTATION_KEY))


class JoinedReader(MetricReader):
    """Reads the instruments of other libraries from a `MeterProvider`, as the given exporter wants them."""

    def __init__(self, exporter: MetricExporter) -> None:
        super().__init__(
            preferred_temporality=exporter._preferred_temporality,
            preferred_aggregation=exporter._preferred_aggregation,
        )
        self._received: MetricsData | None = None

    def gather(self, timeout: float) -> MetricsData | None:
        """What the instruments hold now; None when there is nothing.

        Args:
            timeout: seconds.
        """
        self._received = None
        self.collect(timeout_millis=timeout * 1000)
        return self._received

    def _receive_metrics(self, metrics_data: MetricsData, timeout_millis: float = 10_000, **_: Any) -> None:
        self._received = metrics_data

    def shutdown(self, timeout_millis: float = 30_000, **_: Any) -> None:
        """Nothing to do: whoever drives this reader ends with its own worker."""


def renew_locks(provider: MeterProvider) -> None:
    """In a forked child: take the place of locks that a thread of the parent may have held in a slow callback."""
    consumer: Any = provider._measurement_consumer
    consumer._lock = Lock()
    for storage in consumer._reader_storages.values():
        storage._lock = RLock()


def preferred_temporality(exporter: MetricExporter) -> Mapping[type, AggregationTemporality]:
    """The temporality that an exporter asks for, by the SDK's classes of instruments."""
    return exporter._preferred_temporality or {}


def prefers_exponential(exporter: MetricExporter) -> bool:
    """Whether an exporter asks for histograms with exponential buckets."""
    return isinstance((exporter._preferred_aggregation or {}).get(Histogram), ExponentialBucketHistogramAggregation)


def join_metrics(
    data: MetricsData | None, ours: Sequence[Metric], resource: Resource, scope: InstrumentationScope
) -> Any:
    """One `MetricsData` of what the SDK collected and of our own points.

    Ours go into the SDK's `ResourceMetrics`: the OTLP encoder keys by resource, so that a second one with an equal
    resource would silently replace the first.
    """
    blocks = list(data.resource_metrics) if data is not None else []
    if not ours:
        return MetricsData(blocks) if blocks else None
    mine = ScopeMetrics(scope, ours, schema_url="")
    if not blocks:
        return MetricsData([ResourceMetrics(resource, [mine], schema_url="")])
    first = blocks[0]
    blocks[0] = ResourceMetrics(first.resource, [*first.scope_metrics, mine], first.schema_url)
    return MetricsData(blocks)


def resource_of(provider: MeterProvider) -> Resource:
    """The provider's resource; after a fork it is the child's."""
    return provider._sdk_config.resource


@dataclass(frozen=True)
class OtlpConnection:
    """How an official OTLP/HTTP exporter would send.

    Attributes:
        endpoint: URL of the signal.
        headers: Headers of each request, those of the encoding included.
        kind: ``spans``, ``metrics`` or ``logs``.
        timeout: Seconds for one batch.
        compression: ``none``, ``gzip`` or ``deflate``.
        verify: Whether certificates are checked, or the path of the authorities.
        cert: Paths of the client's certificate and key.
        logger: Hears of failures.
    """

    endpoint: str
    headers: Mapping[str, str]
    kind: str
    timeout: float
    compression: str
    verify: bool | str
    cert: Any
    logger: logging.Logger


def otlp_connection(exporter: Any) -> OtlpConnection | None:
    """How an exporter would send; None if it is none over HTTP, or has a session or an adapter of somebody's own."""
    client = getattr(exporter, "_client", None)
    certificates = _certificates(getattr(client, "_transport", None))
    if client is None or certificates is None:
        return None
    return OtlpConnection(
        client._endpoint,
        dict(client._headers),
        client._kind,
        client._timeout,
        client._compression.value,
        *certificates,
        client._logger,
    )


def _certificates(transport: Any) -> tuple[bool | str, Any] | None:
    """`verify` and `cert` of `OtlpConnection`; None of a transport that is none of those we know."""
    session: Any = getattr(transport, "_session", None)  # of the exporters of protobuf
    if session is not None:
        is_plain = type(session).__module__ == "requests.sessions" and session.auth is None
        return (session.verify, session.cert) if is_plain else None
    pool: Any = getattr(transport, "_pool", None)  # of those of JSON
    if type(pool).__module__ != "urllib3.poolmanager":
        return None
    options = pool.connection_pool_kw
    verify = options.get("cert_reqs") != "CERT_NONE" and (options.get("ca_certs") or True)
    files = options.get("cert_file"), options.get("key_file")
    return verify, files if all(files) else files[0]


def use_otlp_client(exporter: Any, client: Any) -> None:
    """Let an official OTLP/HTTP exporter send through another client."""
    exporter._client.shutdown()
    exporter._client = client


def otlp_client(exporter: Any) -> Any:
    """The client of an official OTLP/HTTP exporter; None of any other exporter."""
    return getattr(exporter, "_client", None)


def send_otlp(exporter: Any, body: bytes) -> bool:
    """Send encoded OTLP through an official OTLP/HTTP exporter; returns whether the collector took it."""
    return bool(exporter._client.export(body).success)


def is_ending(processor: SpanProcessor, span: Span) -> None:
    """Tell a processor that a span is about to end."""
    processor._on_ending(span)


def forget_global_providers(tracer_provider: Any, meter_provider: Any) -> None:
    """Make room for another `setup`: un-install the global providers if they are still the given ones."""
    if tracer_provider is not None and trace._TRACER_PROVIDER is tracer_provider:
        trace._TRACER_PROVIDER = None
        trace._TRACER_PROVIDER_SET_ONCE = Once()
    if meter_provider is not None and _metrics_api._METER_PROVIDER is meter_provider:
        _metrics_api._METER_PROVIDER = None
        _metrics_api._METER_PROVIDER_SET_ONCE = Once()
