"""Requests that an application makes to itself: `request.invoke_subrequest`, with and without tweens."""

from __future__ import annotations

from typing import Any

from opentelemetry import context as otel_context
from pyramid.request import Request

from c2cotel.delivery.guard import Guard
from c2cotel.instrumentation.pyramid.request import outer_id
from c2cotel.instrumentation.pyramid.rows import Rows
from c2cotel.instrumentation.pyramid.server_span import ServerSpans
from c2cotel.runtime import request_id
from c2cotel.runtime.request_scope import SCOPE, Scope, outer_scope
from c2cotel.runtime.telemetry import Telemetry

_UNANSWERED = "500 Internal Server Error"


def measure_subrequests(  # noqa: C901  # three short functions that share what is around them
    router: Any, telemetry: Telemetry, spans: ServerSpans, rows: Rows, guard: Guard
) -> None:
    """See each request of a router, and measure those that the application makes to itself.

    Pyramid has no hook for either: the router's own methods are replaced, on this router alone.
    """
    invoke_request, invoke_subrequest = router.invoke_request, router.invoke_subrequest
    clock = telemetry.clock

    def seen(request: Request, **options: Any) -> Any:
        scope = request.environ.get(SCOPE)
        if scope is not None:
            scope.begin_attempt(request)
        return invoke_request(request, **options)

    def record(request: Request, scope: Scope, status: str, error: BaseException | None, start: float) -> None:
        duration = clock() - start
        if telemetry.measures:
            row = rows.find(request.environ, request, status, error)
            row.route.record(duration)
            for seconds in scope.render_seconds:
                row.render.record(seconds)
        outer = outer_scope()
        if outer is not None and outer is not scope:
            outer.add_calls(scope)

    def measured(request: Request, use_tweens: bool = False) -> Any:
        if telemetry.closed:
            return invoke_subrequest(request, use_tweens=use_tweens)
        start = clock()
        environ = request.environ
        around = environ.get(SCOPE)
        span = token = None
        scope = Scope("")
        with guard:
            given_id = request_id.read(environ, telemetry.request_id_keys) or outer_id()
            span, _, token = spans.start(environ)
            scope.request_id = given_id or telemetry.new_request_id()
        environ[SCOPE] = scope
        try:
            response = invoke_subrequest(request, use_tweens=use_tweens)
        except BaseException as error:
            with guard:
                record(request, scope, _UNANSWERED, error, start)
                if span is not None:
                    spans.end(span, request, _UNANSWERED, error, scope.request_id)
            raise
        else:
            with guard:
                record(request, scope, response.status, request.exception, start)
                if span is not None:
                    spans.end(span, request, response.status, request.exception, scope.request_id)
            return response
        finally:
            scope.request = None
            if around is not None:  # the environ of the outer request, or a copy of it
                environ[SCOPE] = around
            if token is not None:
                otel_context.detach(token)

    router.invoke_request = seen
    router.invoke_subrequest = measured
