"""A request in the hands of the flight recorder, from its start until it is decided whether it is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from opentelemetry import trace
from pyramid.threadlocal import manager

from c2cotel.tracing import LocalTrace, Span

ENTRY = "c2c.flight"
"""Where the environ of a request has its `Entry`."""


class Entry:
    """A request that may be kept.

    Attributes:
        id: The request id.
        trace_id: The trace id, 32 hexadecimal digits; empty if there is none.
        local: Its spans and log records.
        environ: What is needed of its WSGI environ: verb, path, query.
        start: Wall clock, nanoseconds since the epoch.
        begun: Start by the monotonic clock, seconds.
        thread: Name of its thread; empty until somebody asks.
        thread_id: As `threading.get_ident` gives it.
        slot: Its place among the running requests; -1 if there was none left.
        route: Name of the route; empty as long as none matched.
        status: The HTTP status; None while it runs.
        seconds: How long it took, until its body was sent.
        queue: Seconds that it waited for the process; None if not measured.
        calls: Number and seconds of the calls of each kind; None if there were none.
        render: Seconds of rendering.
        error: What was raised, where no span of ours has it.
        failed: Whether an exception reached the server, or the answer says 5xx.
        scope: What is known of the request while it runs; None once it has ended.
        reason: Why the application wants it kept; None if it does not.
        kept: Words of `KEPT` that were decided on while it ran.
        stacks: Stacks that were seen while it stalled.
        samples: Stacks that were sampled while it was slow; None if it is quick.
        stall: How it stalled; None if it did not.
        is_verbose: Whether it was asked for by a token: everything about it is kept.
        buffered: Log records below their level that wait for its end; None if there are none.
        explained: Statements whose plans are in its record; None as long as there are none.
        onward: The token that its calls to other services carry; empty for none.
    """

    thread = ""
    slot = -1
    scope: Any = None
    route = ""
    status: int | None = None
    seconds = 0.0
    queue: float | None = None
    calls: Mapping[str, tuple[int, float]] | None = None
    render: Sequence[float] = ()
    error: Mapping[str, str] | None = None
    failed = False
    reason: str | None = None
    kept: tuple[str, ...] = ()
    stacks: Sequence[Any] = ()
    samples: Any = None
    stall: Any = None
    is_verbose = False
    buffered: Any = None
    explained: set[str] | None = None
    onward = ""

    # What is rare or comes later is an attribute of the class until then: one of these is made for each request.
    def __init__(
        self,
        id: str,  # noqa: A002
        trace_id: str,
        local: LocalTrace,
        environ: tuple[str, str, str],
        start: int,
        begun: float,
        thread_id: int,
    ) -> None:
        self.id = id
        self.trace_id = trace_id
        self.local = local
        self.environ = environ
        self.start = start
        self.begun = begun
        self.thread_id = thread_id


def local_now() -> LocalTrace | None:
    """What takes the spans and log records of the request that the current code works for; None outside of one."""
    span = trace.get_current_span()
    if isinstance(span, Span):
        return span.local
    stack = manager.stack
    environ = getattr(stack[-1]["request"], "environ", None) if stack else None
    entry: Entry | None = environ.get(ENTRY) if isinstance(environ, dict) else None
    return None if entry is None else entry.local
