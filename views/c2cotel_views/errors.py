"""Errors of the application as JSON: ``{"message", "request_id", "status"}`` with CORS headers.

Whoever gave the secret, and everybody with `DEVELOPMENT=1`, also sees the stack trace and the SQL.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from pyramid.config import PHASE3_CONFIG, Configurator
from pyramid.config.predicates import DEFAULT_PHASH
from pyramid.httpexceptions import default_exceptionresponse_view
from pyramid.interfaces import IExceptionResponse, IRoutesMapper, ITweens
from pyramid.request import Request
from pyramid.response import Response
from pyramid.tweens import INGRESS, excview_tween_factory
from webob.exc import WSGIHTTPException

from c2cotel import redaction
from c2cotel.plugin import ApplicationSettings, defer, settings_of, telemetry_of
from c2cotel_views import _cors
from c2cotel_views._auth import secret_came
from c2cotel_views._error_kinds import Kind, in_one_line, kind_of, stack_trace, text_of
from c2cotel_views._json import answer

_logger = logging.getLogger(__name__)

_TWEEN = f"{__name__}.tween_factory"
_CONTEXTS = (Exception, IExceptionResponse, WSGIHTTPException)
_FIRST_ERROR = 400
_FIRST_SERVER_ERROR = 500
_UNEXPECTED = "Internal Server Error"
"""What others than those with the secret are told of an exception that nobody expected."""
_UNCACHEABLE = "max-age=0, must-revalidate, no-cache, no-store"
RECORD_ROUTE = "c2c_request"
"""The route of a request's page."""
_BODY_HEADERS = frozenset(
    {"content-type", "content-length", "content-encoding", "transfer-encoding", "etag", "x-content-type-options"}
)


def includeme(config: Any) -> None:
    """Register the error views, where the application has none of its own for the same exceptions."""
    settings = settings_of(config.registry).section(ApplicationSettings)
    if settings.disable_exception_handling or not settings.enable_exception_handling:
        return

    def last() -> None:
        contexts = dict.fromkeys(_CONTEXTS, True)
        for view in _views(config):
            # Cornice brings its views along where the application includes it; they know HTTP errors alone.
            contexts[view["context"]] = contexts.get(view["context"], True) and _is_a_librarys(view["callable"])
        late = Configurator(registry=config.registry, autocommit=True)
        for context, free in contexts.items():
            if free:
                late.add_exception_view(error_view, context=context)
        config.registry.getUtility(ITweens).add_implicit(_TWEEN, tween_factory, under=INGRESS)
        if _hide not in _logger.filters:
            _logger.addFilter(_hide)

    # In a late action, so that a view of another include of the application is no conflict but wins.
    config.action("c2cotel_views.errors", last, order=PHASE3_CONFIG + 50)


def _views(config: Any) -> list[Any]:
    """The views without a name, a route or a predicate: those that would be replaced."""
    views = [entry["introspectable"] for entry in config.introspector.get_category("views", ())]
    return [view for view in views if not view["name"] and not view["route_name"] and view["phash"] == DEFAULT_PHASH]


def _is_a_librarys(view: Any) -> bool:
    return view is default_exceptionresponse_view or getattr(view, "__module__", None) == "cornice.pyramidhook"


def tween_factory(handler: Callable[[Request], Any], registry: Any) -> Callable[[Request], Any]:
    """A second exception tween outside all others but our own: pyramid_tm commits outside of Pyramid's."""
    return excview_tween_factory(handler, registry)


def error_view(error: Any, request: Request) -> Response:
    """The answer to an exception."""
    kind = kind_of(error)
    if kind.status < _FIRST_ERROR:  # a redirection, or a success that was raised
        error.headers.setdefault("Cache-Control", _UNCACHEABLE)
        return error  # type: ignore[no-any-return]
    if request.method == "OPTIONS" and kind.is_http:  # the preflight of a view that knows nothing of CORS
        response = Response(status=200)
        _cors.allow_preflight(request, response)
        return response
    settings = settings_of(request.registry).section(ApplicationSettings)
    # The body of the application's request stays unread.
    all_of_it = settings.development or secret_came(request, form=False)
    message = text_of(error, all_of_it=all_of_it)
    if kind.unexpected and not (all_of_it or settings.show_errors):
        message = _UNEXPECTED
    _log(error, request, kind)
    body: dict[str, Any] = {"message": message, "status": kind.status}
    if (request_id := getattr(request, "c2c_request_id", None)) is not None:
        body["request_id"] = request_id
        if (address := _record_address(request, request_id)) is not None:
            body["record"] = address
    if all_of_it and not (kind.is_http and kind.status < _FIRST_SERVER_ERROR and _is_ours(request)):
        body["stacktrace"] = stack_trace(error, values=True)
    response = answer(body, request)
    response.status = error.status if kind.is_http else kind.status
    if kind.is_http:
        kept = [(name, value) for name, value in error.headerlist if name.lower() not in _BODY_HEADERS]
        response.headerlist = [*response.headerlist, *kept]
    if all_of_it or "Cache-Control" not in response.headers:  # what an application says of its own error stays
        response.headers["Cache-Control"] = _UNCACHEABLE
    _cors.allow(request, response)
    return response


def _record_address(request: Any, request_id: str) -> str | None:
    """Where the flight recorder shows a request, for those with the secret; None while nothing is recorded."""
    flight = telemetry_of(request.registry).flight
    if flight is None or not flight.keeps or not secret_came(request, form=False):
        return None
    if request.registry.getUtility(IRoutesMapper).get_route(RECORD_ROUTE) is None:
        return None
    return str(request.route_path(RECORD_ROUTE, id=request_id))


def _is_ours(request: Any) -> bool:
    """Whether one of c2cotel's own views was asked: its refusals say all in their message."""
    name = getattr(request.matched_route, "name", None) or ""
    return str(name).startswith("c2c_")


def _log(error: Exception, request: Request, kind: Kind) -> None:
    """One line, for the attempt that is answered."""
    arguments = (
        request.method,
        in_one_line(redaction.path(request.environ)),
        kind.status,
        in_one_line(text_of(error)),
        getattr(request, "c2c_request_id", "-"),
    )
    text = "%s %s was answered with %d: %s (request %s)"
    shown = error if kind.level >= logging.ERROR else None
    extra = {"referer": in_one_line(redaction.url(request.referer))} if request.referer else None
    defer(request, lambda: _logger.log(kind.level, text, *arguments, exc_info=shown, extra=extra))


def _hide(record: logging.LogRecord) -> bool:
    """A filter that keeps the secrets of an error out of its stack trace, whatever handler writes it."""
    if record.exc_info and record.exc_info[1] is not None:
        try:
            record.exc_text = stack_trace(record.exc_info[1], values=False)
        except Exception as error:  # noqa: BLE001  # an exception of the application may do anything
            record.exc_text = f"[a stack that cannot be shown: {type(error).__name__}]"
    return True
