"""Every request of a Pyramid application: its id, its timers, its span, `Server-Timing`.

The tween runs outside all others and sees what exception views made of an error. Nothing here subscribes to Pyramid's
events: one subscriber makes Pyramid notify every event of every request.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import FunctionType
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from pyramid.config import PHASE3_CONFIG
from pyramid.interfaces import IRendererFactory, ITweens
from pyramid.request import Request
from pyramid.threadlocal import manager
from pyramid.tweens import INGRESS

from c2cotel import broadcast, request_id
from c2cotel.instrumentation._server_span import ServerSpans
from c2cotel.instruments import RENDER, ROUTE, ROUTE_NAME
from c2cotel.recorder import Recorder
from c2cotel.sdk import is_recording
from c2cotel.spans import child
from c2cotel.telemetry import Telemetry

_logger = logging.getLogger(__name__)

_TWEEN = f"{__name__}.tween_factory"
_TRAIL = "c2c.trail"
"""Where the environ of a request has a list: its id, then the seconds of each rendering."""
_ID = "c2c.request_id"
"""Where the environ of a sub-request that no tween saw has the id that it was given when it was asked for."""
_NO_TRAIL = (None,)
_NO_ROUTE = "_not_found"
_UNANSWERED = "500 Internal Server Error"
_VERBS = frozenset({"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"})
_TOKEN_CHARS = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Give every request its `c2c_request_id`; returns what takes it away again.

    It is a property of Pyramid's own class, so that sub-requests made by `Request.blank` have it too; a request method
    of Pyramid's would cost each request more than all measuring does.
    """

    def c2c_request_id(self: Request) -> str:
        environ = self.environ
        if _TRAIL in environ:
            return str(environ[_TRAIL][0])
        known: str | None = environ.get(_ID)
        if known is None:
            known = request_id.read(environ, telemetry.request_id_keys) or _outer_id()
        if known is None:
            known = environ[_ID] = telemetry.new_request_id()
        return known

    Request.c2c_request_id = property(c2c_request_id)  # type: ignore[assignment]

    def undo() -> None:
        del Request.c2c_request_id

    return undo


def include(config: Any) -> None:
    """Put the tween and the timed renderers into an application; `registry["c2cotel.telemetry"]` must be there."""

    def last() -> None:
        tweens = config.registry.getUtility(ITweens)
        tweens.add_implicit(_TWEEN, tween_factory, under=INGRESS)
        if tweens.explicit and _TWEEN not in [name for name, _ in tweens.explicit]:
            _logger.error(
                "The setting pyramid.tweens lists all tweens and c2cotel's is missing: no request is measured. "
                "Add %s as its first line",
                _TWEEN,
            )
        for name, factory in list(config.registry.getUtilitiesFor(IRendererFactory)):
            if not isinstance(factory, _TimedFactory):
                timed = _TimedFactory(factory, config.registry["c2cotel.telemetry"])
                config.registry.registerUtility(timed, IRendererFactory, name=name)

    # In the last action: a tween that the application adds after setup would otherwise land outside of this one, and
    # a renderer would stay untimed.
    config.action("c2cotel.instrumentation.pyramid", last, order=PHASE3_CONFIG + 100)


def tween_factory(  # noqa: C901, PLR0915  # the tween below is in one piece on purpose
    handler: Callable[[Request], Any], registry: Any
) -> Callable[[Request], Any]:
    """Pyramid's entry: see `include`."""
    telemetry: Telemetry = registry["c2cotel.telemetry"]
    clock = telemetry.clock
    new_id = telemetry.new_request_id
    spans = ServerSpans(telemetry.tracer)
    rows = _Rows(telemetry.recorder)
    known_row = rows.known.get
    extend = telemetry.recorder.extend
    complain = _ComplainOnce()
    always_special = telemetry.tracer is not None
    # An id is already there when something like pyramid_retry sends the same environ through the tweens again.
    special_keys = (_TRAIL, *telemetry.request_id_keys, *spans.environ_keys)

    def begin(environ: dict[str, Any]) -> tuple[str, trace.Span | None, str, str | None, Any]:
        span, traceparent, token = spans.start(environ)
        given_id = None
        if len(manager.stack) > 1 or not environ.keys().isdisjoint(special_keys):
            given_id = environ.get(_TRAIL, _NO_TRAIL)[0] or request_id.read(environ, telemetry.request_id_keys)
            given_id = given_id or _outer_id()
        known_id = given_id or (request_id.from_traceparent(traceparent) if traceparent else new_id())
        return known_id, span, traceparent, given_id, token

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
            known_id = ""
            with complain:
                known_id, span, traceparent, given_id, otel_token = begin(environ)
            known_id = known_id or new_id()
        else:
            known_id = new_id()
        trail = environ[_TRAIL] = [known_id]
        try:
            response = handler(request)
        except BaseException as error:
            with complain:
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
            shown = _SHORT[int(duration * 100_000)] if 0 <= duration < _LONG else _milliseconds(duration)
            timing = f"route;dur={shown};desc={row.desc}"
            measures = telemetry.measures
            if measures:
                row.route.record(duration)
            for seconds in trail[1:]:
                shown = _SHORT[int(seconds * 100_000)] if 0 <= seconds < _LONG else _milliseconds(seconds)
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
            headers += (("X-Request-ID", known_id), ("Server-Timing", timing))
        except Exception as error:  # noqa: BLE001  # measuring must not cost an answer
            complain.about(error)
        return response

    return tween


def _outer_id() -> str | None:
    """The id of the request that a sub-request belongs to."""
    outer = _outer_environ()
    return outer.get(_TRAIL, _NO_TRAIL)[0] or outer.get(_ID)


class _ComplainOnce:
    """Logs what goes wrong in measuring, once a kind; as a context it also swallows it."""

    def __init__(self) -> None:
        self._told: set[type] = set()

    def about(self, error: Exception) -> None:
        if type(error) not in self._told:
            self._told.add(type(error))
            _logger.error("A request could not be measured; told once", exc_info=error)

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, Exception):
            self.about(error)
            return True
        return False


def _is_ours(name: str, value: str) -> bool:
    """Whether a header is of an earlier request that got the same response object, or stands where ours must."""
    lower = name.lower()
    return lower == "x-request-id" or (lower == "server-timing" and value.startswith("route;dur="))


class _Row:
    """What all requests with one outcome share."""

    __slots__ = ("desc", "render", "route")

    def __init__(self, recorder: Recorder, attributes: dict[str, Any]) -> None:
        self.route = recorder.series(ROUTE, attributes)
        self.render = recorder.series(RENDER, attributes)
        name = attributes[ROUTE_NAME]
        self.desc = name if _TOKEN_CHARS.issuperset(name) else _quoted(name)


class _Rows:
    """Finds the row of a request by one dictionary look-up.

    Attributes:
        known: rows by verb, route, status and scheme; those of the server's failures are only had by `find`.
    """

    def __init__(self, recorder: Recorder) -> None:
        self.known: dict[tuple[Any, ...], _Row] = {}
        self._recorder = recorder
        self._failures: dict[tuple[Any, ...], _Row] = {}

    def find(self, request: Request, status: str, error: BaseException | None) -> _Row:
        """The row of any request, made when new; failures of the server have one for each type of error."""
        broadcast.serve()  # the first request of a process comes here, as no row is known yet
        environ, route = request.environ, request.matched_route
        verb = environ["REQUEST_METHOD"]
        key = (verb if verb in _VERBS else "_OTHER", route, status, environ["wsgi.url_scheme"])
        if status < "5":
            return self.known.get(key) or self._make(self.known, key, *key, None)
        failure = status[:3] if error is None else type(error).__qualname__
        return self._failures.get((*key, failure)) or self._make(self._failures, (*key, failure), *key, failure)

    def _make(
        self,
        rows: dict[tuple[Any, ...], _Row],
        key: tuple[Any, ...],
        verb: str,
        route: Any,
        status: str,
        scheme: str,
        failure: str | None,
    ) -> _Row:
        attributes = {
            "http.request.method": verb,
            "http.response.status_code": int(status.split(" ", 1)[0]),
            "url.scheme": scheme,
            ROUTE_NAME: _NO_ROUTE if route is None else route.name or _NO_ROUTE,
        }
        if route is not None:
            attributes["http.route"] = route.pattern
        if failure is not None:
            attributes["error.type"] = failure
        row = _Row(self._recorder, attributes)
        if len(rows) < self._recorder.max_series:
            rows[key] = row
        return row


class _TimedFactory:
    """A renderer factory whose renderers tell how long they took; everything else of both shows through."""

    def __init__(self, factory: Any, telemetry: Telemetry) -> None:
        self._factory = factory
        self._telemetry = telemetry

    def __call__(self, info: Any) -> Any:
        renderer = self._factory(info)
        timed = _timed(renderer, self._telemetry, f"render {info.name}" if info.name else "render")
        return timed if isinstance(renderer, FunctionType) else _TimedRenderer(timed, renderer)

    def __getattr__(self, name: str) -> Any:
        return _shown(self, "_factory", name)


class _TimedRenderer:
    """A renderer that is more than a function, such as a template with its `implementation()`."""

    def __init__(self, timed: Callable[[Any, Any], Any], renderer: Any) -> None:
        self._timed = timed
        self._renderer = renderer

    def __call__(self, value: Any, system: Any) -> Any:
        return self._timed(value, system)

    def __getattr__(self, name: str) -> Any:
        return _shown(self, "_renderer", name)


def _shown(wrapper: Any, wrapped: str, name: str) -> Any:
    """An attribute of what is wrapped; a copy that is being made has nothing wrapped yet."""
    if wrapped not in vars(wrapper):
        raise AttributeError(name)
    return getattr(vars(wrapper)[wrapped], name)


def _timed(renderer: Callable[[Any, Any], Any], telemetry: Telemetry, span_name: str) -> Callable[[Any, Any], Any]:
    clock = telemetry.clock
    tracer = telemetry.tracer

    def measured(value: Any, system: Any) -> Any:
        start = clock()
        result = renderer(value, system)
        seconds = clock() - start
        try:
            system["request"].environ[_TRAIL].append(seconds)
        except (KeyError, AttributeError, TypeError):  # a sub-request that no tween saw belongs to the one around it
            _outer_environ().get(_TRAIL, []).append(seconds)
        return result

    if tracer is None:
        return measured

    def traced(value: Any, system: Any) -> Any:
        if telemetry.closed or not is_recording():
            return measured(value, system)
        with child(tracer, span_name):
            return measured(value, system)

    return traced


def _outer_environ() -> dict[str, Any]:
    outer = manager.stack[0]["request"] if manager.stack else None
    return getattr(outer, "environ", {})


def _milliseconds(seconds: float) -> str:
    return f"{seconds * 1000:.2f}"


_LONG = 0.01
_SHORT = tuple(f"{hundredths / 100:.2f}" for hundredths in range(1001))
"""Milliseconds of times below `_LONG`, made once, as formatting a float costs a request 3 %."""


def _quoted(text: str) -> str:
    """A quoted-string of RFC 9110; what cannot stand in a header becomes an underscore."""
    plain = "".join(c if " " <= c <= "~" else "_" for c in text)
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'
