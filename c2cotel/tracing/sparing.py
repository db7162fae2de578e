"""Spans that an exporter cannot encode cost themselves alone."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

from c2cotel.otel.sdk_private import otlp_client

_logger = logging.getLogger(__name__)


class SparingSpanExporter(SpanExporter):
    """Sends a batch through an official exporter, and where that cannot encode it, each span alone.

    Args:
        official: An exporter of OTLP with a client of ours.
    """

    def __init__(self, official: Any) -> None:
        self.official = official

    @property
    def _client(self) -> Any:
        return otlp_client(self.official)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Send a batch."""
        asked = getattr(self._client, "asked", None)
        result: SpanExportResult = self.official.export(spans)
        if result is SpanExportResult.SUCCESS or asked is None or self._client.asked != asked:
            return result
        left_out = 0
        for span in spans:
            asked = self._client.asked
            sent = self.official.export([span]) is SpanExportResult.SUCCESS
            if not sent and self._client.asked != asked:  # the collector is away: the rest would fail as well
                return SpanExportResult.FAILURE
            left_out += not sent
        _logger.error("%d spans cannot be encoded and are left out", left_out)
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        """Release the connection."""
        self.official.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # the interface
        """Nothing is kept here."""
        return True
