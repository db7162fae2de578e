"""What is kept of a request from its first instruction to the end of its body."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyramid.request import Request
from pyramid.threadlocal import manager

SCOPE = "c2c.scope"
"""Where the environ of a request has its `Scope`."""

OWN_ROUTES = "c2c_"
"""How the names of the routes of c2cotel's own views begin."""


class Scope:
    """One request, however many attempts an execution policy such as pyramid_retry makes.

    Args:
        request_id: The id of all attempts.

    Attributes:
        request: Pyramid's request of the latest attempt; None before there is one, and again at the end: its environ
            has this object, and what refers to itself stays until the garbage collector comes by.
        render_seconds: How long each rendering of the latest attempt took.
        deferred: What is done for the attempt that was answered, once it is clear which one that is.
        queue: Seconds that the request waited for its application, where the proxy told; else None.
        statements: How often it sent each SQL statement, where somebody counts them.
        streams: Whether its body is made while it is sent.
        calls: Number and seconds of the calls of each kind, `sql`, `redis` or `http`, where somebody counts them.
    """

    __slots__ = ("calls", "deferred", "queue", "render_seconds", "request", "request_id", "statements", "streams")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.request: Request | None = None
        self.render_seconds: list[float] = []
        self.deferred: list[Callable[[], object]] | None = None
        self.streams = False
        self.statements: dict[Any, Any] | None = None
        self.queue: float | None = None
        self.calls: dict[str, tuple[int, float]] | None = None

    def begin_attempt(self, request: Request) -> None:
        """Forget an earlier attempt: it is not answered."""
        if self.request is not None:
            self.render_seconds.clear()
            self.deferred = None
        self.request = request

    def count(self, kind: str, seconds: float) -> None:
        """Count a call to a database, to Redis or to another service."""
        if self.calls is None:
            self.calls = {}
        calls, spent = self.calls.get(kind, (0, 0.0))
        self.calls[kind] = calls + 1, spent + seconds

    def add_calls(self, inner: Scope) -> None:
        """Count the calls of a sub-request as this request's."""
        if inner.calls is not None:
            mine = self.calls = self.calls or {}
            for kind, (calls, spent) in inner.calls.items():
                before, seconds = mine.get(kind, (0, 0.0))
                mine[kind] = before + calls, seconds + spent

    def run_deferred(self) -> None:
        """Do what was deferred, with the request as Pyramid's current one."""
        deferred, self.deferred = self.deferred, None
        request = self.request
        if deferred and request is not None:
            manager.push({"registry": request.registry, "request": request})
            try:
                for act in deferred:
                    act()
            finally:
                manager.pop()


def defer(request: Request, act: Callable[[], object]) -> None:
    """Do something for this attempt of a request, once it turns out to be the one that is answered.

    Outside of a request that is measured, or where nobody makes several attempts, it is done at once.
    """
    scope: Scope | None = request.environ.get(SCOPE)
    if scope is None or scope.request is not request or request.environ.get("retry.attempts", 1) == 1:
        act()
    elif scope.deferred is None:
        scope.deferred = [act]
    else:
        scope.deferred.append(act)


def note_rendering(request: Request, seconds: float) -> None:
    """Count something that was rendered for a request without one of Pyramid's renderers.

    Args:
        request: The request whose answer it is part of.
        seconds: How long it took.
    """
    scope: Scope | None = request.environ.get(SCOPE)
    if scope is not None:
        scope.render_seconds.append(seconds)


def outer_scope() -> Scope | None:
    """The scope of the request that the server called the application with; None outside of one."""
    outer = manager.stack[0]["request"] if manager.stack else None
    scope: Scope | None = getattr(outer, "environ", {}).get(SCOPE)
    return scope
