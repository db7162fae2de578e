"""Whether a span leaves the process: what an exemplar may point at."""

from __future__ import annotations

from typing import Any

from opentelemetry.trace import NonRecordingSpan

from c2cotel.otel.sdk_private import SPAN_KEY, current_context
from c2cotel.tracing._span import Span


def recording_span() -> Any:
    """The current span; None without one, or where it only passes a caller's trace on."""
    span: Any = current_context().get(SPAN_KEY)
    return None if span.__class__ is NonRecordingSpan else span


def is_exported(span: Any) -> bool | None:
    """Whether the trace of a span leaves the process; None as long as that is undecided."""
    if span.get_span_context().trace_flags.sampled:
        return True
    if span.__class__ is not Span or span.local is None:
        return False
    outcome: bool | None = span.local.outcome
    return outcome
