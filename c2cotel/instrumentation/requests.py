"""Outgoing HTTP through `requests`: a timer for each hop, the request's id and trace on the way out, timeouts.

Everything happens in `HTTPAdapter.send`, which every hop of every session passes; the spans are contrib's and cover a
whole call, redirects and all.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from copy import copy
from typing import Any
from urllib.parse import urlsplit

from opentelemetry import propagate, trace
from opentelemetry.metrics import NoOpMeterProvider
from pyramid.threadlocal import get_current_request
from requests import Session
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

from c2cotel import redaction
from c2cotel.config.settings import RequestIdSettings, RequestsSettings
from c2cotel.delivery.guard import Guard
from c2cotel.delivery.once import Once
from c2cotel.metrics.instruments import HTTP_CLIENT, URL_PORT
from c2cotel.metrics.recorder import Recorder, Series
from c2cotel.otel.contrib import free_instrumentor
from c2cotel.otel.http import OTHER_VERB, VERBS
from c2cotel.otel.sdk_private import is_suppressed
from c2cotel.runtime.flight.entry import ENTRY
from c2cotel.runtime.flight.tokens import HEADER
from c2cotel.runtime.request_id import HEADERS
from c2cotel.runtime.telemetry import Telemetry

_logger = logging.getLogger(__name__)

_PORTS = {"http": 80, "https": 443}
_PLUMBING = ("requests", "urllib3", "c2cotel", "opentelemetry", "wrapt")
_MOST_SITES = 10_000


def install(telemetry: Telemetry) -> Callable[[], None]:
    """Measure every call of `requests`; returns what takes it out again."""
    remove_spans = _spans(telemetry)
    original = HTTPAdapter.send
    send = _measured(original, telemetry)
    HTTPAdapter.send = send  # type: ignore[method-assign]  # there is no hook that sees each hop

    def undo() -> None:
        if HTTPAdapter.send is send:  # else somebody wrapped ours: it lets everything through from now on
            HTTPAdapter.send = original  # type: ignore[method-assign]
        remove_spans()

    return undo


def _measured(original: Callable[..., Any], telemetry: Telemetry) -> Callable[..., Any]:
    id_header = telemetry.settings.section(RequestIdSettings).header or HEADERS[0]
    default_timeout = telemetry.settings.section(RequestsSettings).default_timeout
    clock = telemetry.clock
    rows = _Rows(telemetry.recorder)
    warned = Once(_MOST_SITES)
    guard = Guard(_logger, "An outgoing request could not be measured")

    def send(
        self: HTTPAdapter, request: Any, stream: bool = False, timeout: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if telemetry.closed or is_suppressed():
            return original(self, request, stream, timeout, *args, **kwargs)
        if timeout is None:
            timeout = default_timeout
        if timeout is None:
            with guard:
                _warn_once(request, warned)
        try:
            request = _with_headers(request, id_header)
        except Exception as error:  # noqa: BLE001  # a request prepared by hand may be anything
            guard.about(error)
        start = clock()
        try:
            response = original(self, request, stream, timeout, *args, **kwargs)
        except Exception as error:
            if telemetry.measures:
                with guard:
                    rows.find(request, None, type(error).__qualname__).record(clock() - start)
            raise
        if telemetry.measures:
            try:
                rows.find(request, response.status_code, None).record(clock() - start)
            except Exception as error:  # noqa: BLE001  # measuring must not cost an answer
                guard.about(error)
        return response

    return send


def _with_headers(request: Any, id_header: str) -> Any:
    """The request with the id and the trace of now, in a copy: its owner may send the same one again, much later."""
    added: dict[str, str] = {}
    headers = request.headers if request.headers is not None else {}
    current = get_current_request()
    request_id = getattr(current, "c2c_request_id", None)
    if request_id is not None and id_header not in headers:
        added[id_header] = request_id
    entry = None if current is None else current.environ.get(ENTRY)
    if entry is not None and entry.onward and HEADER not in headers:
        added[HEADER] = entry.onward
    if "traceparent" not in headers and trace.get_current_span().get_span_context().is_valid:
        propagate.inject(added)
    if not added:
        return request
    sent = copy(request)
    sent.headers = CaseInsensitiveDict(headers)
    sent.headers.update(added)
    return sent


def _warn_once(request: Any, warned: Once) -> None:
    """Warn of a call that may wait for ever, once for each line of code that makes one."""
    site = _call_site()
    if warned.first(site):
        _logger.warning(
            "%s %s has no timeout (%s, line %d); give one, or set C2C_REQUESTS_DEFAULT_TIMEOUT",
            request.method,
            redaction.url(str(request.url)),
            *site,
        )


def _call_site() -> tuple[str, int]:
    frame = sys._getframe(1)  # noqa: SLF001  # what `inspect.currentframe` returns
    while frame.f_back is not None and str(frame.f_globals.get("__name__")).partition(".")[0] in _PLUMBING:
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _split(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port of a URL, whatever it is."""
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port
    except ValueError:
        return "", None, None


class _Rows:
    """Finds the series of a call by one dictionary look-up."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._series: dict[tuple[Any, ...], Series] = {}

    def find(self, request: Any, status: int | None, failure: str | None) -> Series:
        url = _split(request.url)
        verb = request.method if request.method in VERBS else OTHER_VERB
        key = (*url, verb, status, failure)
        series = self._series.get(key)
        if series is None:
            series = self._recorder.series(HTTP_CLIENT, _attributes(*key))
            if not series.overflow:
                self._series[key] = series
        return series


def _attributes(
    scheme: str, host: str | None, port: int | None, method: str, status: int | None, failure: str | None
) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "url.scheme": scheme,
        "server.address": host or "unknown",
        "server.port": port or _PORTS.get(scheme, 0),
        "http.request.method": method,
    }
    if port is not None:
        attributes[URL_PORT] = port
    if status is not None:
        attributes["http.response.status_code"] = status
    if failure is not None:
        attributes["error.type"] = failure
    return attributes


def _spans(telemetry: Telemetry) -> Callable[[], None]:
    contrib = None if telemetry.tracer is None else free_instrumentor("requests", "RequestsInstrumentor")
    if contrib is None:
        return lambda: None
    contrib.instrument(meter_provider=NoOpMeterProvider(), request_hook=_hide_secrets, skip_dep_check=True)
    traced = Session.send
    guard = Guard(_logger, "An outgoing request could not be copied")

    def send(self: Session, request: Any, **options: Any) -> Any:
        """Contrib puts the trace into the request that it is given: it is given a copy."""
        sent = request
        if not telemetry.closed:
            with guard:  # what is no request at all is for `requests` to refuse
                if request.headers is not None:
                    copied = copy(request)
                    copied.headers = CaseInsensitiveDict(request.headers)
                    sent = copied
        return traced(self, sent, **options)

    # Whoever takes contrib's instrumentation out finds what it looks for, and takes ours out with it.
    vars(send).update({**vars(traced), "__wrapped__": getattr(traced, "__wrapped__", traced)})
    Session.send = send  # type: ignore[method-assign]  # contrib has no hook before it

    def undo() -> None:
        if Session.send is send:
            Session.send = traced  # type: ignore[method-assign]
        contrib.uninstrument()

    return undo


def _hide_secrets(span: trace.Span, request: Any) -> None:
    if span.is_recording():
        shown = redaction.url(str(request.url))
        span.set_attribute("url.full", shown)
        if "http.url" in getattr(span, "attributes", ()):  # the older conventions, asked for beside the stable ones
            span.set_attribute("http.url", shown)
