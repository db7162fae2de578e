"""The spans of each local root where the SDK makes them, ours being another class: by a processor like any other."""

from __future__ import annotations

from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

from c2cotel.tracing._local import LocalTrace

_MOST_OPEN = 10_000
"""Spans that may be open at once: one that is never ended must not stay for ever."""


class RecordingSampler(Sampler):
    """Lets spans record that another sampler drops, without sampling them.

    Args:
        inner: The sampler that decides.
    """

    def __init__(self, inner: Sampler) -> None:
        self._inner = inner

    def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
        """The result of the other sampler, but no span is dropped."""
        result = self._inner.should_sample(*args, **kwargs)
        if result.decision is Decision.DROP:
            return SamplingResult(Decision.RECORD_ONLY, result.attributes, result.trace_state)
        return result

    def get_description(self) -> str:
        """The description of the other sampler."""
        return self._inner.get_description()


class LocalSpans(SpanProcessor):
    """Hands each span that ended to the `LocalTrace` of its local root."""

    def __init__(self) -> None:
        self._open: dict[int, LocalTrace] = {}
        self._closed = False

    def local_of(self, span: trace.Span | None) -> LocalTrace | None:
        """What takes an open span and its children; None where it has nothing."""
        return None if span is None else self._open.get(span.get_span_context().span_id)

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        if self._closed or span.context is None:
            return
        parent = trace.get_current_span(parent_context).get_span_context()
        local = None if parent.is_remote else self._open.get(parent.span_id)
        if len(self._open) >= _MOST_OPEN:
            self._open.clear()
        if local is None:
            local = LocalTrace(span)
        elif span.kind is trace.SpanKind.CLIENT:
            local.client = span
        self._open[span.context.span_id] = local

    def on_end(self, span: ReadableSpan) -> None:
        local = None if span.context is None else self._open.pop(span.context.span_id, None)
        if local is not None and local.owner is not None:
            local.add_span(span)

    def shutdown(self) -> None:
        """Take nothing more: a processor cannot be taken out of a provider."""
        self._closed = True
        self._open = {}

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Nothing waits here."""
        return True
