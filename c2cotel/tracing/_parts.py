"""The one description of an ended span from which it is encoded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanContext, SpanKind, StatusCode

SpanParts: TypeAlias = (
    "tuple[str, SpanContext, SpanContext | None, SpanKind, int | None, int | None, Mapping[str, Any], StatusCode]"
)
"""Name, context, parent, kind, start and end (nanoseconds since the epoch), attributes, status code."""


def parts_of(span: ReadableSpan) -> SpanParts | None:
    """The parts of a span of the SDK's; None if it has something rare that an encoder must look at itself."""
    context, status = span.context, span.status
    if (
        context is None
        or span.start_time is None
        or span.end_time is None
        or span.events
        or span.links
        or span.dropped_attributes
        or span.dropped_events
        or span.dropped_links
        or status.description
    ):
        return None
    attributes = span.attributes or {}
    return span.name, context, span.parent, span.kind, span.start_time, span.end_time, attributes, status.status_code
