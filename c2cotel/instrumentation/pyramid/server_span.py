"""The server span of one request, with the stable HTTP semantic conventions.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import Token
from typing import Any

from opentelemetry import context, propagate, trace
from opentelemetry.context import Context
from opentelemetry.propagators.textmap import Getter
from pyramid.httpexceptions import HTTPException

from c2cotel import redaction
from c2cotel.otel.http import OTHER_VERB, VERBS
from c2cotel.otel.sdk_private import SPAN_KEY, attach_context, current_context, is_recording
from c2cotel.runtime import request_id
from c2cotel.tracing import Plain, Span, Tracer
from c2cotel.tracing.child import record_error

_LONGEST_PORT = 5
_OF_CLIENT = ("HTTP_HOST", "SERVER_NAME", "REMOTE_ADDR", "HTTP_USER_AGENT", "SERVER_PROTOCOL")
_MOST_CLIENTS = 500
_LONGEST_CLIENT = 1000


class _EnvironGetter(Getter[Mapping[str, Any]]):
    """Reads HTTP headers from a WSGI environ (PEP 3333)."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        header = carrier.get(request_id.environ_key(key))
        return None if header is None else [header]

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        return [name[5:].lower().replace("_", "-") for name in carrier if name.startswith("HTTP_")]


_getter = _EnvironGetter()


class ServerSpans:
    """Starts and ends the span of a request, and passes on the caller's trace when there are no spans here.

    Args:
        tracer: None when nobody records spans.

    Attributes:
        environ_keys: where a WSGI environ has the headers of the caller's trace.
    """

    def __init__(self, tracer: trace.Tracer | None) -> None:
        self._tracer = tracer
        self._clients: dict[tuple[Any, ...], dict[str, Any]] = {}
        self.environ_keys = tuple(map(request_id.environ_key, propagate.get_global_textmap().fields))

    def start(
        self, environ: Mapping[str, Any], *, force: bool = False
    ) -> tuple[trace.Span | None, str, Token[Any] | None]:
        """Make the request's span, and its context or the caller's the current one.

        Args:
            environ: The WSGI environ.
            force: Whether it is sampled in any case, if the tracer is ours.

        Returns:
            The span, None without a tracer; its identity as a `traceparent`, empty without a span; the token that
            takes the context back, None when it is as it was.
        """
        parent = None
        for key in self.environ_keys:
            if key in environ:
                parent = propagate.extract(environ, getter=_getter)
                break
        if self._tracer is None:
            return None, "", None if parent is None else context.attach(parent)
        inner = is_recording()  # a sub-request, or an instrumented server around us
        verb = environ["REQUEST_METHOD"]
        options: dict[str, Any] = {"force": True} if force and isinstance(self._tracer, Tracer) else {}
        span = self._tracer.start_span(
            verb if verb in VERBS else "HTTP",
            context=None if inner else parent,
            kind=trace.SpanKind.INTERNAL if inner else trace.SpanKind.SERVER,
            attributes=self._attributes(environ, verb),
            **options,
        )
        trace_id, span_id, _, flags, _, _ = span.get_span_context()
        within = current_context() if inner or parent is None else parent
        token = attach_context(Context({**within, SPAN_KEY: span}))
        return span, f"00-{trace_id:032x}-{span_id:016x}-{flags:02x}", token

    def end(
        self,
        span: trace.Span,
        request: Any,
        status: str,
        error: BaseException | None,
        given_id: str | None,
        *,
        broken: bool = False,
    ) -> None:
        """Say what became of the request.

        Args:
            span: The span of the request.
            request: Pyramid's, after routing; None if there was none.
            status: Status line of the response really sent.
            error: What was raised, even when an exception view answered.
            given_id: The request's id, where the trace id does not say it.
            broken: Whether the body could not be made to its end.
        """
        try:
            self._describe(span, request, status, error, given_id, broken=broken)
        finally:
            span.end()

    def _describe(
        self,
        span: trace.Span,
        request: Any,
        status: str,
        error: BaseException | None,
        given_id: str | None,
        *,
        broken: bool,
    ) -> None:
        if span.is_recording():
            code = int(status.split(" ", 1)[0])
            attributes = Plain({"http.response.status_code": code})
            if given_id is not None:
                attributes["c2c.request_id"] = given_id
            route = None if request is None else request.matched_route
            if route is not None:
                verb = request.environ["REQUEST_METHOD"]
                span.update_name(f"{verb if verb in VERBS else 'HTTP'} {route.pattern}")
                attributes["http.route"] = route.pattern
                if span.__class__ is Span and (local := span.local) is not None and local.root is span:
                    local.route = route.name
            span.set_attributes(attributes)
            failed = broken or code >= 500  # noqa: PLR2004  # a server's own failure
            if error is not None and (failed or not isinstance(error, HTTPException)):
                record_error(span, error, failed=failed)
            elif failed:
                span.set_attribute("error.type", str(code))
                span.set_status(trace.Status(trace.StatusCode.ERROR))

    def _attributes(self, environ: Mapping[str, Any], verb: str) -> Plain:
        client = (verb, environ["wsgi.url_scheme"], *map(environ.get, _OF_CLIENT))
        shared = self._clients.get(client)
        if shared is None:
            shared = _client_attributes(environ, verb)
            if len(self._clients) >= _MOST_CLIENTS:
                self._clients.clear()
            if sum(map(len, filter(None, client))) < _LONGEST_CLIENT:
                self._clients[client] = shared
        attributes = Plain(shared)
        attributes["url.path"] = _decoded(environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", ""))
        if query := environ.get("QUERY_STRING"):
            attributes["url.query"] = redaction.query(query)
        return attributes


def _client_attributes(environ: Mapping[str, Any], verb: str) -> dict[str, Any]:
    """What is the same in each request of a client: of `_OF_CLIENT`, the verb and the scheme."""
    attributes = {"http.request.method": verb, "url.scheme": environ["wsgi.url_scheme"]}
    if verb not in VERBS:
        attributes["http.request.method"] = OTHER_VERB
        attributes["http.request.method_original"] = verb
    host, _, port = environ.get("HTTP_HOST", "").rpartition(":")
    if ":" in host and not host.endswith("]"):  # an IPv6 address without brackets, and so without a port
        host, port = "", ""
    if port.isascii() and port.isdigit() and len(port) <= _LONGEST_PORT:
        attributes["server.address"], attributes["server.port"] = host, int(port)
    elif address := environ.get("HTTP_HOST") or environ.get("SERVER_NAME"):
        attributes["server.address"] = address
    for key, name in (("REMOTE_ADDR", "client.address"), ("HTTP_USER_AGENT", "user_agent.original")):
        if value := environ.get(key):
            attributes[name] = value
    protocol = environ.get("SERVER_PROTOCOL", "HTTP/1.1")
    if protocol != "HTTP/1.1" and protocol.startswith("HTTP/"):
        attributes["network.protocol.version"] = protocol[5:]
    return attributes


def _decoded(text: str) -> str:
    """A path as UTF-8; WSGI hands its bytes over as Latin-1 (PEP 3333)."""
    return text if text.isascii() else text.encode("latin-1", "replace").decode("utf-8", "replace")
