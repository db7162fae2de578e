"""The tween around every request of an application: its id, its timers, its span, `Server-Timing`.

It runs outside all others and sees what exception views made of an error. Nothing here subscribes to Pyramid's events:
one subscriber makes Pyramid notify every event of every request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from pyramid.request import Request
from pyramid.threadlocal import manager

from c2cotel.delivery.guard import Guard
from c2cotel.instrumentation.pyramid.request import NO_TRAIL, TRAIL, outer_id
from c2cotel.instrumentation.pyramid.rows import Rows
from c2cotel.instrumentation.pyramid.server_span import ServerSpans
from c2cotel.instrumentation.pyramid.server_timing import LONG, SHORT, milliseconds
from c2cotel.runtime import request_id
from c2cotel.runtime.telemetry import Telemetry

_logger = logging.getLogger(__name__)

_UNANSWERED = "500 Internal Server Error"


def tween_factory(  # noqa: C901, PLR0915  # the tween below is in one piece on purpose
    handler: Callable[[Request], Any], registry: Any
) -> Callable[[Request], Any]:
    """Pyramid's entry: see `include`."""
    telemetry: Telemetry = registry["c2cotel.telemetry"]
    clock = telemetry.clock
    new_id = telemetry.new_request_id
    spans = ServerSpans(telemetry.tracer)
    rows = Rows(telemetry.recorder)
    known_row = rows.by_outcome.get
    extend = telemetry.recorder.extend
    guard = Guard(_logger, "A request could not be measured")
    always_special = telemetry.tracer is not None
    # An id is already there when something like pyramid_retry sends the same environ through the tweens again.
    special_keys = (TRAIL, *telemetry.request_id_keys, *spans.environ_keys)

    def begin(environ: dict[str, Any]) -> tuple[str, trace.Span | None, str, str | None, Any]:
        span, traceparent, token = spans.start(environ)
        given_id = None
        if len(manager.stack) > 1 or not environ.keys().isdisjoint(special_keys):
            given_id = environ.get(TRAIL, NO_TRAIL)[0] or request_id.read(environ, telemetry.request_id_keys)
            given_id = given_id or outer_id()
        own_id = given_id or (request_id.from_traceparent(traceparent) if traceparent else new_id())
        return own_id, span, traceparent, given_id, token

    def fail(
        request: Request, error: BaseException, start: float, span: trace.Span | None, given_id: str | None
    ) -> None:
        """Nobody answered: the server will say 500."""
        if telemetry.measures:
            rows.find(request, _UNANSWERED, error).route.record(clock() - start)
        if span is not None:
            spans.end(span, request, _UNANSWERED, error, given_id)

    # In one piece and not in small functions: this runs for every request, and calls are what costs.
    def tween(request: Request) -> Any:  # noqa: C901, PLR0912
        if telemetry.closed:
            return handler(request)
        start = clock()
        environ = request.environ
        span = otel_token = given_id = None
        traceparent = ""
        if always_special or len(manager.stack) > 1 or not environ.keys().isdisjoint(special_keys):
            own_id = ""
            with guard:
                own_id, span, traceparent, given_id, otel_token = begin(environ)
            own_id = own_id or new_id()
        else:
            own_id = new_id()
        trail = environ[TRAIL] = [own_id]
        try:
            response = handler(request)
        except BaseException as error:
            with guard:
                fail(request, error, start, span, given_id)
            raise
        finally:
            if otel_token is not None:
                otel_context.detach(otel_token)
        try:
            status = response.status
            row = known_row((environ["REQUEST_METHOD"], request.matched_route, status, environ["wsgi.url_scheme"]))
            if row is None:
                row = rows.find(request, status, request.exception)
            duration = clock() - start
            shown = SHORT[int(duration * 100_000)] if 0 <= duration < LONG else milliseconds(duration)
            timing = f"route;dur={shown};desc={row.desc}"
            measures = telemetry.measures
            if measures:
                row.route.record(duration)
            for seconds in trail[1:]:
                shown = SHORT[int(seconds * 100_000)] if 0 <= seconds < LONG else milliseconds(seconds)
                timing = f"{timing}, render;dur={shown}"
                if measures:
                    extend((row.render, seconds))
            if span is not None:
                timing = f'{timing}, traceparent;desc="{traceparent}"'
                spans.end(span, request, status, request.exception, given_id)
            headers = response.headerlist
            for name, _ in headers:
                if name[0] in "xX" and name.lower() == "x-request-id":
                    headers = response.headerlist = [pair for pair in headers if not _is_ours(*pair)]
                    break
            if headers.__class__ is not list:
                headers = response.headerlist = list(headers)
            headers += (("X-Request-ID", own_id), ("Server-Timing", timing))
        except Exception as error:  # noqa: BLE001  # measuring must not cost an answer
            guard.about(error)
        return response

    return tween


def _is_ours(name: str, value: str) -> bool:
    """Whether a header is of an earlier request that got the same response object, or stands where ours must."""
    lower = name.lower()
    return lower == "x-request-id" or (lower == "server-timing" and value.startswith("route;dur="))
