"""What instrumentations do with spans, the same way everywhere: a child around a block, an error on a span."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from contextvars import Token
from typing import Any

from opentelemetry import context, trace

from c2cotel import redaction
from c2cotel.delivery.guard import Guard
from c2cotel.otel.sdk_private import attach_span

GUARD = Guard(logging.getLogger(__name__), "A span could not be made or ended: a sampler or a span processor fails")


def record_error(span: trace.Span, error: BaseException, *, failed: bool = True) -> None:
    """Add an exception to a span, secrets hidden.

    Args:
        span: A recording span.
        error: What was raised; its `__str__` may raise in its turn.
        failed: Whether it makes the span's work a failure.
    """
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    # Not `record_exception`: the SDK's makes the text of the error itself, and raises what that raises.
    span.add_event(
        "exception",
        {
            "exception.type": qualified_name(error),
            "exception.message": redaction.error_text(error),
            "exception.stacktrace": redaction.anywhere(stack[-redaction.LONGEST :]),
            "exception.escaped": "False",
        },
    )
    if failed:
        span.set_attribute("error.type", type(error).__qualname__)
        span.set_status(trace.Status(trace.StatusCode.ERROR, type(error).__name__))


def message_of(error: BaseException) -> str:
    """What an exception says, whatever its `__str__` does."""
    try:
        return str(error)
    except Exception as trouble:  # noqa: BLE001  # an exception of the application may do anything
        return f"[{type(error).__name__} has no text: its __str__ raised {type(trouble).__name__}]"


def qualified_name(error: BaseException) -> str:
    """The type of an exception with its module, as `exception.type` has it."""
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class child:  # noqa: N801  # used as a statement: `with child(tracer, name):`
    """A span around a block, current inside it; the SDK's own context manager costs a third more.

    Nothing that it does can raise, whatever samplers and span processors of the application do.

    Args:
        tracer: Makes it.
        name: Name of the span.
        attributes: Attributes that it starts with.
    """

    __slots__ = ("_span", "_token")

    _token: Token[Any] | None

    def __init__(self, tracer: trace.Tracer, name: str, attributes: Mapping[str, Any] | None = None) -> None:
        self._token = None
        try:
            self._span = tracer.start_span(name, attributes=attributes)
            self._token = attach_span(self._span)
        except Exception as error:  # noqa: BLE001  # a sampler, or a processor that is told of the start
            GUARD.about(error)
            self._span = trace.INVALID_SPAN

    def __enter__(self) -> trace.Span:
        return self._span

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self.suspend()
        self.finish(error)

    def suspend(self) -> None:
        """Make the span of before the current one again, until `resume`."""
        token, self._token = self._token, None
        if token is not None:
            context.detach(token)

    def resume(self) -> None:
        """Make the span the current one again."""
        if self._span is not trace.INVALID_SPAN:
            self._token = attach_span(self._span)

    def finish(self, error: BaseException | None) -> None:
        """End the span; a generator that is closed early is no failure."""
        with GUARD:
            if error is not None and not isinstance(error, GeneratorExit):
                record_error(self._span, error)
        with GUARD:
            self._span.end()
