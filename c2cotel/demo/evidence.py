"""What has arrived so far, and what is still missing of what the demo promises."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from typing import Any

from c2cotel.demo.events import Answered, Datagram, Output, Span
from c2cotel.demo.traffic import Probe
from c2cotel.tap.lines import BadLine, Line

# Lines: the tracebacks of a worker and of gunicorn after it.
_TAIL = 80
_COMPLAINTS = 10
_SERVER_ERROR = 500
_WARNING_LEVELS = frozenset({"WARNING", "ERROR", "CRITICAL"})


class Evidence:
    """Counts what arrives, and keeps what belongs to the probe.

    Args:
        probe: ids of the two marked requests.

    Attributes:
        lines: good statsd lines.
        bad_lines: others.
        log_lines: JSON log lines of the application.
        spans: how many came.
        metrics: names of the OpenTelemetry metrics.
        requests: answers to the demo's own requests, by status; None for those without an answer.
        traced: the answer to the request that was sent with a trace.
        identified: the answer to the request that was sent with an id.
        log_line: the JSON log line with the probe's trace id, as it was written.
        tree: the spans with the probe's trace id.
        failed: the first span of a request that failed.
        failed_id: the id of the first request that failed.
        slow_id: the id of the request that is slow on purpose.
    """

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.lines = 0
        self.bad_lines: list[BadLine] = []
        self.log_lines = 0
        self.spans = 0
        self.metrics: set[str] = set()
        self.requests: Counter[int | None] = Counter()
        self.traced: Answered | None = None
        self.identified: Answered | None = None
        self.log_line: str | None = None
        self.tree: list[Span] = []
        self.failed: Span | None = None
        self.slow_id: str | None = None
        self.failed_id: str | None = None
        self._warnings: deque[str] = deque(maxlen=_COMPLAINTS)
        self._tail: deque[str] = deque(maxlen=_TAIL)

    @property
    def complete(self) -> bool:
        """Whether all three are there."""
        return bool(self.lines and self.log_line and self.root)

    @property
    def root(self) -> Span | None:
        """The span of the traced request itself; those below it are exported before it."""
        return next((span for span in self.tree if span.parent_id == self.probe.parent_id), None)

    def children(self, parent: Span) -> list[Span]:
        """The spans directly below one, in the order they ended."""
        return [span for span in self.tree if span.parent_id == parent.span_id]

    def add_datagram(self, datagram: Datagram) -> list[Line]:
        """Count its lines; returns the good ones."""
        good = [line for line in datagram.lines if isinstance(line, Line)]
        self.lines += len(good)
        self.bad_lines += [line for line in datagram.lines if isinstance(line, BadLine)]
        return good

    def add_spans(self, spans: Iterable[Span]) -> None:
        """Count them and keep the probe's."""
        for span in spans:
            self.spans += 1
            if span.trace_id == self.probe.trace_id:
                self.tree.append(span)
            if self.failed is None and span.failed and "http.route" in span.attributes:
                self.failed = span

    def add_output(self, output: Output) -> None:
        """Count a log line, and keep what may explain a failure."""
        if output.fields is None:
            self._tail.append(output.text)
            return
        self.log_lines += 1
        if self.log_line is None and output.fields.get("trace_id") == self.probe.trace_id:
            self.log_line = output.text
        if _is_complaint(output.fields):
            self._warnings.append("{level_name} {logger_name}: {msg}".format_map(output.fields))

    def add_answer(self, answer: Answered) -> None:
        """Count an answer, and keep those to the two marked requests."""
        self.requests[answer.status] += 1
        if "traceparent" in answer.sent:
            self.traced = answer
        if self.failed_id is None and (answer.status or 0) >= _SERVER_ERROR:
            self.failed_id = answer.received.get("x-request-id")
        if self.slow_id is None and answer.path == "/almanac":
            self.slow_id = answer.received.get("x-request-id")
        if "X-Request-ID" in answer.sent:
            self.identified = answer

    def missing(self) -> list[str]:
        """What did not arrive; empty when all three did."""
        wanted = f"the trace id {self.probe.trace_id}"
        absent = []
        if not self.lines:
            absent.append("statsd lines" + (f" ({len(self.bad_lines)} bad ones came)" if self.bad_lines else ""))
        if not self.log_line:
            absent.append(f"a JSON log line with {wanted} ({self.log_lines} came without it)")
        if not self.root:
            absent.append(f"a span with {wanted} ({self.spans} others came)")
        return absent

    def output_tail(self) -> list[str]:
        """The last that gunicorn and the application said apart from JSON lines."""
        return list(self._tail)

    def complaints(self) -> list[str]:
        """The last warnings and errors from c2cotel itself and from OpenTelemetry, in the application's log."""
        return list(self._warnings)


def _is_complaint(fields: Mapping[str, Any]) -> bool:
    name = str(fields.get("logger_name"))
    return fields.get("level_name") in _WARNING_LEVELS and name.startswith(("c2cotel", "opentelemetry"))
