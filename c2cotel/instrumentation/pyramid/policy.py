"""Around every request of an application: its id, its timers, its span, `Server-Timing`.

A request is measured around Pyramid's execution policy: it sees what exception views made of an error, all attempts of
pyramid_retry as one request, response and finished callbacks, and a body that is made while it is sent. Nothing here
subscribes to Pyramid's events: one subscriber makes Pyramid notify every event of every request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from time import time
from typing import Any
from urllib.parse import quote

from opentelemetry import context as otel_context
from opentelemetry import trace
from pyramid.request import Request
from pyramid.threadlocal import manager

from c2cotel import broadcast
from c2cotel.config.settings import LogSettings
from c2cotel.delivery.forks import forks
from c2cotel.delivery.guard import Guard
from c2cotel.instrumentation.pyramid import access_log
from c2cotel.instrumentation.pyramid.body import StreamedBody, is_streamed
from c2cotel.instrumentation.pyramid.request import outer_id
from c2cotel.instrumentation.pyramid.rows import Rows
from c2cotel.instrumentation.pyramid.server_span import ServerSpans
from c2cotel.instrumentation.pyramid.server_timing import LONG, SHORT, milliseconds
from c2cotel.instrumentation.pyramid.subrequests import measure_subrequests
from c2cotel.metrics.instruments import QUEUE
from c2cotel.runtime import queue_time, request_id
from c2cotel.runtime.flight import Entry
from c2cotel.runtime.flight.tokens import ENVIRON_KEY
from c2cotel.runtime.request_scope import SCOPE, Scope
from c2cotel.runtime.telemetry import Telemetry

_logger = logging.getLogger(__name__)

_BASE_PATH = "c2cotel.base_path"
"""Where an application's registry has the base path of its views."""
_UNANSWERED = "500 Internal Server Error"

ExecutionPolicy = Callable[[dict[str, Any], Any], Any]


class _Process:
    """Whether this process is known to answer requests.

    Attributes:
        serves: Whether broadcast was told so.
    """

    __slots__ = ("__weakref__", "serves")

    def __init__(self) -> None:
        self.serves = False

    def before_fork(self) -> None:
        """Nothing to do."""

    def after_fork(self) -> None:
        self.serves = False


def measured(policy: ExecutionPolicy, telemetry: Telemetry) -> ExecutionPolicy:  # noqa: C901, PLR0915  # one hot path
    """An execution policy that measures what another one executes."""
    clock = telemetry.clock
    new_id = telemetry.new_request_id
    spans = ServerSpans(telemetry.tracer)
    rows = Rows(telemetry.recorder)
    row_of = rows.by_outcome.get
    guard = Guard(_logger, "A request could not be measured")
    always_special = telemetry.tracer is not None
    special_keys = (SCOPE, ENVIRON_KEY, *telemetry.request_id_keys, *spans.environ_keys, *queue_time.KEYS)
    logs = telemetry.settings.section(LogSettings).access_log
    queue_series = telemetry.recorder.series(QUEUE, {})
    flight = telemetry.flight
    finish_statements = telemetry.statements.finish
    active = telemetry.active
    routers: set[int] = set()
    process = _Process()
    forks.watch(process)

    def prepare(router: Any) -> None:
        """See the requests of a router, once; and let this process answer broadcasts."""
        if id(router) not in routers:
            routers.add(id(router))
            measure_subrequests(router, telemetry, spans, rows, guard)
        if flight is not None:
            flight.open()
        if not process.serves:
            process.serves = True
            broadcast.serve()

    def begin(environ: dict[str, Any], *, force: bool) -> tuple[str, trace.Span | None, str, str | None, Any]:
        span, traceparent, token = spans.start(environ, force=force)
        given_id = None
        if manager.stack or not environ.keys().isdisjoint(special_keys):
            given_id = request_id.read(environ, telemetry.request_id_keys)
            if given_id is None and (earlier := environ.get(SCOPE)) is not None:
                given_id = earlier.request_id  # a server or a middleware that sends the same environ again
            given_id = given_id or outer_id()  # an application inside of another one's view
        own_id = given_id or (request_id.from_traceparent(traceparent) if traceparent else new_id())
        return own_id, span, traceparent, given_id, token

    def queued(environ: dict[str, Any]) -> float | None:
        seconds = queue_time.queue_time(environ, time())
        if seconds is not None and telemetry.measures:
            queue_series.record(seconds)
        return seconds

    def keep(entry: Entry, status: str, start: float, error: BaseException | None, *, failed: bool) -> None:
        if flight is not None:
            flight.end(entry, status, clock() - start, error, failed=failed)

    def let_go(entry: Entry) -> None:
        """What failed on the way to `keep` must not leave a request behind that runs for ever."""
        if flight is not None and entry.scope is not None:
            flight.drop(entry)

    def fail(environ: dict[str, Any], scope: Scope, error: BaseException, start: float) -> None:
        """Nobody answered: the server will say 500."""
        seconds = clock() - start
        if telemetry.measures:
            route = rows.find(environ, scope.request, _UNANSWERED, error).route
            route.record(seconds)
            if telemetry.history is not None:
                telemetry.history.note(route, seconds, scope)
        scope.run_deferred()
        if logs:
            access_log.write(environ, scope, _UNANSWERED, seconds, None)

    def stream(
        response: Any,
        request: Request,
        span: trace.Span | None,
        status: str,
        given_id: str | None,
        start: float,
        entry: Entry | None,
        scope: Scope,
    ) -> None:
        """Go on with the request while its body is made; its environ may have another scope by then."""
        raised = request.exception

        def end(error: BaseException | None) -> None:
            active.discard(scope)
            try:
                finish(error)
            finally:
                scope.request = None
                if entry is not None:
                    let_go(entry)

        def finish(error: BaseException | None) -> None:
            if error is not None:
                for observe in telemetry.error_observers:
                    observe(error)
            if logs:
                access_log.write(request.environ, scope, status, clock() - start, body.sent)
            if scope.statements is not None:
                finish_statements(request.environ, scope, span)
            if span is not None:
                spans.end(span, request, status, error or raised, given_id, broken=error is not None)
            if entry is not None:
                keep(entry, status, start, error or raised, failed=error is not None)

        length = response.content_length
        body = response.app_iter = StreamedBody(response.app_iter, request, span, end, guard)
        response.content_length = length  # WebOb forgets it with the body before

    # In one piece and not in small functions: this runs for every request, and calls are what costs.
    def execute(environ: dict[str, Any], router: Any) -> Any:  # noqa: C901, PLR0912, PLR0915
        if telemetry.closed:
            return policy(environ, router)
        if not process.serves or id(router) not in routers:
            with guard:
                prepare(router)  # no part of the request's own time
        start = clock()
        queue = span = otel_token = given_id = entry = None
        traceparent = ""
        is_verbose = False
        if always_special or manager.stack or not environ.keys().isdisjoint(special_keys):
            own_id = ""
            with guard:
                queue = queued(environ)
                if ENVIRON_KEY in environ and flight is not None and flight.keeps:
                    is_verbose = flight.verbose.is_asked_for(environ, router)
                own_id, span, traceparent, given_id, otel_token = begin(environ, force=is_verbose)
            own_id = own_id or new_id()
        else:
            own_id = new_id()
        scope = environ[SCOPE] = Scope(own_id)
        active.add(scope)
        if queue is not None:
            scope.queue = queue
        if flight is not None:
            with guard:
                entry = flight.begin(environ, own_id, span, traceparent, scope, router if is_verbose else None)
        try:
            response = policy(environ, router)
        except BaseException as error:
            active.discard(scope)
            with guard:
                fail(environ, scope, error, start)
                if scope.statements is not None:
                    finish_statements(environ, scope, span)
            if span is not None:
                with guard:
                    spans.end(span, scope.request, _UNANSWERED, error, given_id)
            if entry is not None:
                with guard:
                    keep(entry, _UNANSWERED, start, error, failed=True)
            if otel_token is not None:
                otel_context.detach(otel_token)
            scope.request = None
            raise
        try:
            if scope.deferred is not None:
                scope.run_deferred()
            request = scope.request
            status = response.status
            if request is not None:
                key = environ["REQUEST_METHOD"], request.matched_route, status, environ["wsgi.url_scheme"]
                row = row_of(key) or rows.find(environ, request, status, request.exception)
            else:
                row = rows.find(environ, None, status, None)
            duration = clock() - start
            shown = SHORT[int(duration * 100_000)] if 0 <= duration < LONG else milliseconds(duration)
            timing = f"route;dur={shown};desc={row.desc}"
            measures = telemetry.measures
            if measures:
                row.route.record(duration)
                if telemetry.history is not None:
                    telemetry.history.note(row.route, duration, scope)
            for seconds in scope.render_seconds:
                shown = SHORT[int(seconds * 100_000)] if 0 <= seconds < LONG else milliseconds(seconds)
                timing = f"{timing}, render;dur={shown}"
                if measures:
                    row.render.record(seconds)
            if queue is not None:
                timing = f"{timing}, queue;dur={milliseconds(queue)}"
            if span is not None:
                timing = f'{timing}, traceparent;desc="{traceparent}"'
            headers = response.headerlist
            for name, _ in headers:
                if name[0] in "xX" and name.lower() == "x-request-id":
                    headers = response.headerlist = [pair for pair in headers if not _is_ours(*pair)]
                    break
            if headers.__class__ is not list:
                headers = response.headerlist = list(headers)
            headers += (("X-Request-ID", own_id), ("Server-Timing", timing))
            if is_verbose and (path := router.registry.get(_BASE_PATH)) is not None:
                headers.append(("X-C2C-Record", f"{environ.get('SCRIPT_NAME', '')}{path}/requests/{quote(own_id)}"))
            body = response.app_iter
            if body.__class__ is not list and request is not None and is_streamed(body, environ):
                stream(response, request, span, status, given_id, start, entry, scope)
                scope.streams = True
                return response
            if logs:
                access_log.write(environ, scope, status, clock() - start, response.content_length)
            if scope.statements is not None:
                finish_statements(environ, scope, span)
            if span is not None:
                spans.end(span, request, status, None if request is None else request.exception, given_id)
            if entry is not None:
                keep(entry, status, start, None if request is None else request.exception, failed=False)
        except Exception as error:  # noqa: BLE001  # measuring must not cost an answer
            guard.about(error)
            if span is not None and span.is_recording():
                span.end()
        finally:
            if not scope.streams:
                scope.request = None
                active.discard(scope)
                if entry is not None:
                    let_go(entry)
            if otel_token is not None:
                otel_context.detach(otel_token)
        return response

    return execute


def _is_ours(name: str, value: str) -> bool:
    """Whether a header is of an earlier request that got the same response object, or stands where ours must."""
    lower = name.lower()
    return lower == "x-request-id" or (lower == "server-timing" and value.startswith("route;dur="))
