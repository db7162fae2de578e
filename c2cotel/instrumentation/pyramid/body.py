"""A body that is made while it is sent: its code runs with the ids and the span of its request."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from pyramid.request import Request
from pyramid.response import FileIter
from pyramid.threadlocal import manager

from c2cotel.delivery.guard import Guard
from c2cotel.otel.sdk_private import attach_span


def is_streamed(body: Any, environ: dict[str, Any]) -> bool:
    """Whether the body of a response is made while it is sent; a file that the server sends itself is not."""
    if body.__class__ in (list, tuple, FileIter):
        return False
    wrapper = environ.get("wsgi.file_wrapper")
    return not (isinstance(wrapper, type) and isinstance(body, wrapper))


class StreamedBody:
    """The body of a response around the application's own.

    Args:
        body: The application's.
        request: Its request.
        span: The span of the request; None without traces.
        end: Called once, when the body is closed, with what was raised in it.
        guard: Swallows what our part raises.

    Attributes:
        sent: Bytes that the server took so far.
    """

    def __init__(
        self,
        body: Any,
        request: Request,
        span: trace.Span | None,
        end: Callable[[BaseException | None], None],
        guard: Guard,
    ) -> None:
        self._body = body
        self._iterator: Iterator[bytes] | None = None
        self._frame = {"registry": request.registry, "request": request}
        self._span = span
        self._end: Callable[[BaseException | None], None] | None = end
        self._guard = guard
        self.sent = 0

    def __iter__(self) -> StreamedBody:
        return self

    def __next__(self) -> bytes:
        try:
            with self._current():
                if self._iterator is None:
                    self._iterator = iter(self._body)
                chunk = next(self._iterator)
                try:
                    self.sent += len(chunk)
                except TypeError:  # no bytes: for the server to refuse
                    return chunk
                return chunk
        except StopIteration:
            raise
        except BaseException as error:
            self._finish(error)
            raise

    def close(self) -> None:
        """Close the application's body, as its server does in the end (PEP 3333)."""
        try:
            close = getattr(self._body, "close", None)
            if close is not None:
                with self._current():
                    close()
        except BaseException as error:
            self._finish(error)
            raise
        else:
            self._finish(None)
        finally:
            self._frame["request"] = None  # which may have the response that has this body

    def __getattr__(self, name: str) -> Any:
        if name == "_body":
            raise AttributeError(name)
        return getattr(self._body, name)

    def __del__(self) -> None:
        self._finish(None)  # a server that does not close what it was given

    @contextmanager
    def _current(self) -> Iterator[None]:
        token = None if self._span is None else attach_span(self._span)
        manager.push(self._frame)
        try:
            yield
        finally:
            manager.pop()
            if token is not None:
                otel_context.detach(token)

    def _finish(self, error: BaseException | None) -> None:
        end, self._end = getattr(self, "_end", None), None
        if end is not None:
            with self._guard, self._current():
                end(error)
