"""The part of a trace that one process makes below one root: spans and log records until somebody decides on them."""

from __future__ import annotations

from typing import Any

MOST_SPANS = 1000
MOST_LOGS = 500
MOST_TEXT = 256 * 1024
"""Characters of the log records of one part of a trace."""


class LocalTrace:
    """What happened below a local root, such as a request: its spans that ended, and its log records.

    The thread that works appends, a background thread reads. What is beyond a bound is counted, not kept.

    Attributes:
        root: The local root; None until it is made.
        spans: Spans that ended, the innermost first.
        logs: Log records, as they were made.
        text: Characters of the log records.
        dropped_spans: Number of spans that did not fit in.
        dropped_logs: Number of log records that did not fit in.
        most_spans: Number of spans that fit in; 0 once nobody reads them any more.
        attributes: Annotations of the application by name.
        client: The latest call to another service; whether it still runs, its span knows.
        owner: What the local root stands for, in the hands of who made it; None if it stands for nothing.
        route: Name of the route of the request; empty without one.
        outcome: Whether the trace is exported for what happened in it; None as long as that is undecided.
        is_foreign: Whether it is of the process that this one was forked from.
    """

    text = 0
    dropped_spans = 0
    dropped_logs = 0
    most_spans = MOST_SPANS
    attributes: dict[str, Any] | None = None
    client: Any = None
    owner: Any = None
    route = ""
    outcome: bool | None = False
    is_foreign = False

    # What is rare is an attribute of the class until it happens: one of these is made for each request.
    def __init__(self, root: Any = None) -> None:
        self.root = root
        self.spans: list[Any] = []
        self.logs: list[Any] = []

    def add_span(self, span: Any) -> None:
        """Take a span that ended."""
        if len(self.spans) < self.most_spans:
            self.spans.append(span)
        else:
            self.dropped_spans += 1

    def add_log(self, log: Any, characters: int) -> None:
        """Take a log record, of that many characters."""
        if self.most_spans and len(self.logs) < MOST_LOGS and self.text + characters <= MOST_TEXT:
            self.text += characters
            self.logs.append(log)
        else:
            self.dropped_logs += 1

    def drop_logs(self) -> None:
        """Count the log records instead of keeping them."""
        self.dropped_logs += len(self.logs)
        self.logs = []
        self.text = 0

    def close(self) -> None:
        """Forget everything and take nothing more: a thread may live on in the context of a request."""
        self.most_spans = 0
        self.spans.clear()
        self.logs.clear()
        self.root = self.client = self.owner = None
