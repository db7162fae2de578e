"""HTTP as OpenTelemetry's semantic conventions see it."""

from __future__ import annotations

VERBS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
"""The verbs that are told apart.

https://opentelemetry.io/docs/specs/semconv/http/http-metrics/
"""

OTHER_VERB = "_OTHER"
"""What stands for every other verb."""
