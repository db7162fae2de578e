"""What outgoing calls carry while nothing is exported: the trace of the caller.

Other services must not become children of spans that are nowhere, nor be told that their trace is not sampled.
"""

from __future__ import annotations

from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import (
    CarrierT,
    Getter,
    Setter,
    TextMapPropagator,
    default_getter,
    default_setter,
)

from c2cotel.tracing._span import Span


class PassingOn(TextMapPropagator):
    """Sends the trace of the caller on, in the place of our own spans.

    Args:
        inner: The propagator that reads and writes.
    """

    def __init__(self, inner: TextMapPropagator) -> None:
        self._inner = inner

    def extract(
        self, carrier: CarrierT, context: Context | None = None, getter: Getter[CarrierT] = default_getter
    ) -> Context:
        return self._inner.extract(carrier, context, getter)

    def inject(
        self, carrier: CarrierT, context: Context | None = None, setter: Setter[CarrierT] = default_setter
    ) -> None:
        current = otel_context.get_current() if context is None else context
        span: Any = trace.get_current_span(current)
        if span.__class__ is Span:
            root = span if span.local is None else span.local.root or span
            caller = root.parent if root.parent is not None and root.parent.is_remote else trace.INVALID_SPAN_CONTEXT
            current = trace.set_span_in_context(trace.NonRecordingSpan(caller), current)
        self._inner.inject(carrier, current, setter)

    @property
    def fields(self) -> set[str]:
        return self._inner.fields
