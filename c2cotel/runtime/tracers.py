"""The tracer of the process: whose provider it comes from, and where its spans go."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from opentelemetry import propagate, trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF

from c2cotel._version import VERSION
from c2cotel.config.parsers import Slow
from c2cotel.config.settings import OtelSettings
from c2cotel.delivery.batches import BatchChannel
from c2cotel.errors import SettingsError
from c2cotel.runtime.exporters import exporter_factory, exporter_names, keeps_failed
from c2cotel.runtime.service import Service
from c2cotel.tracing import TracerProvider
from c2cotel.tracing.channel import SpanQueue, export_spans
from c2cotel.tracing.local_sdk import LocalSpans, RecordingSampler
from c2cotel.tracing.passing_on import PassingOn

_logger = logging.getLogger(__name__)


@dataclass
class Tracing:
    """What makes spans and sends them.

    Attributes:
        tracer: Makes spans; None if nobody records any.
        exports: Whether its spans leave the process, all or some.
        provider: The provider of our own; None if somebody else's is used, or none.
        channels: The channels out of the process.
        locals: Collects the spans of somebody else's provider, or of the SDK's own; None where ours does.
        undo: Takes out again what was put into other people's things.
    """

    tracer: trace.Tracer | None = None
    exports: bool = False
    provider: SdkTracerProvider | None = None
    channels: list[BatchChannel[ReadableSpan]] = field(default_factory=list)
    locals: LocalSpans | None = None
    undo: list[Callable[[], None]] = field(default_factory=list)


def build(otel: OtelSettings, service: Service, slow: Slow, *, collects: bool) -> Tracing:
    """Make what the settings ask for.

    Args:
        otel: The settings of OpenTelemetry.
        service: Name and version of the application.
        slow: From when on a trace counts as slow.
        collects: Whether the spans of each request are wanted, exported or not.

    Raises:
        SettingsError: Traces are to be kept by what happened in them, by a tracer that cannot tell.
    """
    if otel.traces_keep is not None and otel.tracer == "sdk":
        raise SettingsError(
            "C2C_TRACES_KEEP is set and C2C_TRACER=sdk: each span of the SDK goes to the exporter when it ends, before "
            "anybody knows how its trace ends; expected C2C_TRACER=c2c, or OTEL_TRACES_SAMPLER for a share of them"
        )
    if otel.disabled:
        return Tracing()
    installed = trace.get_tracer_provider()
    if not isinstance(installed, (trace.ProxyTracerProvider, trace.NoOpTracerProvider)):
        if otel.traces_keep is not None:
            _logger.warning(
                "C2C_TRACES_KEEP has no effect: the application has installed %s, whose sampler decides",
                type(installed).__name__,
            )
        tracing = Tracing(installed.get_tracer("c2cotel", VERSION), exports=True)
        if collects and isinstance(installed, SdkTracerProvider):
            tracing.locals = LocalSpans()
            installed.add_span_processor(tracing.locals)
            tracing.undo.append(tracing.locals.shutdown)
        return tracing
    names = exporter_names(otel, "traces")
    if not names and not collects:
        return Tracing()
    tracing = Tracing(
        exports=bool(names), provider=_provider(otel, service, slow, exports=bool(names), collects=collects)
    )
    assert tracing.provider is not None
    if collects and otel.tracer == "sdk":
        tracing.locals = LocalSpans()
        tracing.provider.add_span_processor(tracing.locals)
    if not names:
        tracing.undo.append(_pass_on())
    for name in names:
        channel: BatchChannel[ReadableSpan] = BatchChannel(
            f"{name} export of traces",
            exporter_factory(otel, name, "traces", SpanExporter),
            export_spans,
            items="spans",
            interval=otel.span_delay,
            queue_size=otel.span_queue,
            batch_size=otel.span_batch,
            limit="OTEL_BSP_MAX_QUEUE_SIZE",
            keeps_failed=keeps_failed,
        )
        tracing.channels.append(channel)
        tracing.provider.add_span_processor(SpanQueue(channel))
    tracing.tracer = tracing.provider.get_tracer("c2cotel", VERSION)
    return tracing


def _provider(otel: OtelSettings, service: Service, slow: Slow, *, exports: bool, collects: bool) -> SdkTracerProvider:
    sampler = None if exports else ALWAYS_OFF
    if otel.tracer != "sdk":
        return TracerProvider(
            sampler,
            service.resource(),
            shutdown_on_exit=False,
            collects=collects,
            rules=otel.traces_keep if exports else None,
            slow=slow,
        )
    provider = SdkTracerProvider(sampler, service.resource(), shutdown_on_exit=False)
    if collects:
        provider.sampler = RecordingSampler(provider.sampler)
    return provider


def _pass_on() -> Callable[[], None]:
    """While nothing is exported, outgoing calls carry the trace of the caller, as if there were no spans here."""
    earlier = propagate.get_global_textmap()
    passing_on = PassingOn(earlier)
    propagate.set_global_textmap(passing_on)

    def undo() -> None:
        if propagate.get_global_textmap() is passing_on:
            propagate.set_global_textmap(earlier)

    return undo
