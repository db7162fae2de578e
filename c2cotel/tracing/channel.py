"""How spans leave the process: from the processor that takes ended ones to an exporter."""

from __future__ import annotations

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from c2cotel.delivery.batches import BatchChannel
from c2cotel.tracing._provider import LateSpanProcessor
from c2cotel.tracing._span import Span
from c2cotel.tracing.redact import hide_secrets


class LateSpanExporter(SpanExporter):
    """An exporter that takes spans of our own tracer as they are, and hides their secrets itself."""


class SpanQueue(LateSpanProcessor):
    """Hands ended spans to a channel, those of the SDK's own provider as well.

    Args:
        channel: Takes them.
    """

    def __init__(self, channel: BatchChannel[ReadableSpan]) -> None:
        self._channel = channel
        setattr(self, "take", channel.put)  # noqa: B010  # one call less for each span

    def take(self, span: Span) -> None:
        """Queue a sampled span as it is."""
        self._channel.put(span)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a sampled span."""
        if span.context is not None and span.context.trace_flags.sampled:
            self._channel.put(span)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Export what is queued now."""
        return self._channel.worker.run(timeout_millis / 1000)

    def shutdown(self) -> None:
        """Nothing to do: the pipeline closes the channel."""


def export_spans(exporter: SpanExporter, batch: list[ReadableSpan]) -> bool:
    """Send spans, secrets hidden; returns whether they were taken."""
    spans = batch if isinstance(exporter, LateSpanExporter) else [_readable(span) for span in batch]
    return exporter.export(spans) is SpanExportResult.SUCCESS


def _readable(span: ReadableSpan) -> ReadableSpan:
    return hide_secrets(span.readable() if isinstance(span, Span) else span)
