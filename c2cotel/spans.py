"""What c2cotel's instrumentations do with spans, the same way everywhere."""

from __future__ import annotations

import traceback

from opentelemetry import trace

from c2cotel import redaction


def record_error(span: trace.Span, error: BaseException, *, failed: bool = True) -> None:
    """Add an exception to a span, secrets hidden.

    Args:
        span: a recording span.
        error: what was raised.
        failed: whether it makes the span's work a failure.
    """
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    hidden = {"exception.message": redaction.anywhere(str(error)), "exception.stacktrace": redaction.anywhere(stack)}
    span.record_exception(error, attributes=hidden)
    if failed:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))
