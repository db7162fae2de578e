"""The provider: the SDK's, but for the tracers that it gives."""

from __future__ import annotations

import time
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, SynchronousMultiSpanProcessor
from opentelemetry.sdk.trace import Tracer as SdkTracer
from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Sampler
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.util import types

from c2cotel import state
from c2cotel.config.parsers import Slow
from c2cotel.config.traces_keep import TracesKeep
from c2cotel.delivery.forks import forks
from c2cotel.otel.sdk_private import is_ending
from c2cotel.tracing._ids import IdSource
from c2cotel.tracing._keep import TraceKeep
from c2cotel.tracing._span import Span
from c2cotel.tracing._tracer import Delivery, Tracer
from c2cotel.tracing.child import GUARD

_ONE_SECOND = Slow(1.0)


class LateSpanProcessor(SpanProcessor):
    """A processor that reads spans later, on a thread of its own: it is handed the ended span itself."""

    def take(self, span: Span) -> None:
        """Take a sampled span that ended; `span.readable()` gives what exporters read."""


class TracerProvider(SdkTracerProvider):
    """Gives tracers whose spans cost their thread little.

    Args:
        sampler: as of the SDK's provider, as are the others.
        resource: of the process.
        shutdown_on_exit: whether the end of the process ends it.
        id_generator: makes ids.
        span_limits: of all spans.
        collects: whether spans of requests record also where the sampler drops them, see `Delivery`.
        rules: which traces are exported, decided at their end and not by the sampler; None: the sampler decides.
        slow: from when on a trace counts as slow for these rules.

    Attributes:
        keep: Decides by the rules; None without any.
    """

    def __init__(
        self,
        sampler: Sampler | None = None,
        resource: Resource | None = None,
        shutdown_on_exit: bool = True,  # the SDK's signature
        id_generator: IdGenerator | None = None,
        span_limits: SpanLimits | None = None,
        *,
        collects: bool = False,
        rules: TracesKeep | None = None,
        slow: Slow = _ONE_SECOND,
    ) -> None:
        self._limits = span_limits or SpanLimits()
        self._others = SynchronousMultiSpanProcessor()  # type: ignore[no-untyped-call]
        self._late: tuple[LateSpanProcessor, ...] = ()
        self._delivery = Delivery(collects=collects)
        self.keep = None if rules is None else TraceKeep(rules, slow, self._delivery)
        self._delivery.keep = self.keep
        self._given: dict[Any, Tracer] = {}
        self._by_name: dict[tuple[Any, ...], Tracer] = {}
        forks.watch(state.of(IdSource))
        if self.keep is not None:
            forks.watch(self.keep)
        super().__init__(
            sampler,
            resource,
            shutdown_on_exit,
            self._others,
            id_generator,
            self._limits,
        )

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: types.Attributes = None,
    ) -> trace.Tracer:
        name = (instrumenting_module_name, instrumenting_library_version, schema_url)
        if not attributes and name in self._by_name:
            return self._by_name[name]
        official = super().get_tracer(*name, attributes)
        if not isinstance(official, SdkTracer):  # OTEL_SDK_DISABLED
            return official
        scope = InstrumentationScope(name[0] or "", name[1] or "", schema_url, attributes)
        tracer = self._given.setdefault(official, Tracer(official, scope, self._limits, self._delivery))
        if name[0] and not attributes:
            self._by_name[name] = tracer
        return tracer

    def add_span_processor(self, span_processor: SpanProcessor) -> None:
        if isinstance(span_processor, LateSpanProcessor):
            self._late += (span_processor,)
            if self._delivery.started is None:
                self._delivery.sampled = span_processor.take if len(self._late) == 1 else self._hand_over
            return
        super().add_span_processor(span_processor)
        self._delivery.started = self._started
        self._delivery.sampled = self._hand_over_and_tell
        self._delivery.recorded = self._tell

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        deadline = time.monotonic() + timeout_millis / 1000
        flushed = True
        for late in self._late:
            left = int((deadline - time.monotonic()) * 1000)
            flushed = left > 0 and late.force_flush(left) and flushed
        left = int((deadline - time.monotonic()) * 1000)
        return left > 0 and super().force_flush(left) and flushed

    def shutdown(self) -> None:
        super().shutdown()
        for late in self._late:
            late.shutdown()

    def _started(self, span: Span, context: Context | None) -> None:
        with GUARD:
            self._others.on_start(span, parent_context=context)

    def _hand_over(self, span: Span) -> None:
        for late in self._late:
            late.take(span)

    def _hand_over_and_tell(self, span: Span) -> None:
        self._hand_over(span)
        self._tell(span)

    def _tell(self, span: Span) -> None:
        with GUARD:
            is_ending(self._others, span)
            self._others.on_end(span.readable())
