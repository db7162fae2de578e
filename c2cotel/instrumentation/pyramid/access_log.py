"""One record a request on `c2cotel.access`, where `C2C_ACCESS_LOG` asks for it."""

from __future__ import annotations

import logging
from typing import Any

from pyramid.threadlocal import manager

from c2cotel.instrumentation.pyramid.rows import NO_ROUTE
from c2cotel.metrics.instruments import COMMIT, HTTP_CLIENT, REDIS, SQL
from c2cotel.metrics.recorder import Recorder, Series
from c2cotel.redaction import url
from c2cotel.runtime.request_scope import SCOPE, Scope

_logger = logging.getLogger("c2cotel.access")

_KINDS = {SQL: "sql", COMMIT: "sql", REDIS: "redis", HTTP_CLIENT: "http"}


def count_calls(recorder: Recorder) -> None:
    """Have each request count its calls to databases, Redis and other services."""
    for instrument in _KINDS:
        recorder.watch(instrument, _count)


def write(environ: dict[str, Any], scope: Scope, status: str, seconds: float, size: int | None) -> None:
    """Log a request that has ended.

    Args:
        environ: Its WSGI environ.
        scope: What is known of it.
        status: Status line of the answer.
        seconds: From the first instruction to the end of the body.
        size: Bytes of the body; None where nobody knows.
    """
    request = scope.request
    route = None if request is None else request.matched_route
    extra: dict[str, Any] = {
        "route": NO_ROUTE if route is None else route.name,
        "status": int(status[:3]),
        "duration_ms": _milliseconds(seconds),
        "render_ms": _milliseconds(sum(scope.render_seconds)),
    }
    if scope.queue is not None:
        extra["queue_ms"] = _milliseconds(scope.queue)
    if size is not None:
        extra["bytes"] = size
    for kind in ("sql", "redis", "http"):
        calls, spent = (scope.calls or {}).get(kind, (0, 0.0))
        extra[kind] = calls
        extra[f"{kind}_ms"] = _milliseconds(spent)
    path = url(environ.get("PATH_INFO", "").encode("latin-1", "replace").decode("utf-8", "replace"))
    if request is not None:
        manager.push({"registry": request.registry, "request": request})
    try:
        _logger.info("%s %s: %d", environ["REQUEST_METHOD"], path, extra["status"], extra=extra)
    finally:
        if request is not None:
            manager.pop()


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _count(series: Series, seconds: float) -> None:
    request = manager.stack[-1]["request"] if manager.stack else None
    scope: Scope | None = getattr(request, "environ", {}).get(SCOPE)
    if scope is not None:
        scope.count(_KINDS[series.instrument], seconds)
