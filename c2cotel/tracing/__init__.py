"""OpenTelemetry's spans at a fraction of the price: the SDK's behaviour, its work done later and elsewhere.

The thread of a request notes what is said to a span and hands it over when it ends. Limits, the cleaning of attributes
and the `ReadableSpan` that exporters take are made by whoever reads the span, with the SDK's own classes.
"""

from c2cotel.tracing._local import LocalTrace
from c2cotel.tracing._notes import Plain
from c2cotel.tracing._provider import LateSpanProcessor, TracerProvider
from c2cotel.tracing._span import Span
from c2cotel.tracing._tracer import Tracer

__all__ = ["LateSpanProcessor", "LocalTrace", "Plain", "Span", "Tracer", "TracerProvider"]
