"""Values that an application puts on the request it works for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from opentelemetry import trace

from c2cotel import redaction
from c2cotel.tracing import LocalTrace, Span

_MOST = 64
_LONGEST = 1000
_KEPT = frozenset({str, int, float, bool})


def annotate(values: Mapping[str, object], local: LocalTrace | None) -> None:
    """Put values on the span of the request, or on the current one outside of a request, and on its record.

    Args:
        values: By name; text, numbers and booleans stay what they are, anything else becomes text.
        local: What is noted of the request; None where nothing is.
    """
    span = trace.get_current_span()
    if local is None and isinstance(span, Span):
        local = span.local
    root = span if local is None or local.root is None else local.root
    for name, value in values.items():
        shown = _shown(value)
        if root.is_recording():
            root.set_attribute(name, shown)
        if local is not None:
            if local.attributes is None:
                local.attributes = {}
            if name in local.attributes or len(local.attributes) < _MOST:
                local.attributes[name] = shown


def _shown(value: object) -> Any:
    if value.__class__ not in _KEPT:
        hidden = redaction.value(value)
        value = hidden if hidden.__class__ in _KEPT else str(hidden)
    return redaction.cut(value, _LONGEST) if isinstance(value, str) else value
