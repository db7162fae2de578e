"""Sends spans over OTLP/HTTP: our encoding, the official exporter's connection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from c2cotel.otel.sdk_private import otlp_client, send_otlp
from c2cotel.tracing.channel import LateSpanExporter
from c2cotel.tracing.otlp import SpanEncoder


class OtlpSpanExporter(LateSpanExporter):
    """Sends what `SpanEncoder` makes through an official OTLP/HTTP exporter: its endpoint, headers, retries, TLS.

    Args:
        official: An `opentelemetry.exporter.otlp.proto.http.trace_exporter.OTLPSpanExporter`.
    """

    def __init__(self, official: Any) -> None:
        self.official = official
        self._encoder = SpanEncoder()

    @property
    def _client(self) -> Any:
        return otlp_client(self.official)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        sent = send_otlp(self.official, self._encoder.encode(spans))
        return SpanExportResult.SUCCESS if sent else SpanExportResult.FAILURE

    def shutdown(self) -> None:
        """Release the connection."""
        self.official.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # the interface
        """Nothing is kept here."""
        return True
