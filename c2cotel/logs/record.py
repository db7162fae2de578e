"""What a log record says, and about which request: the same for every way that it leaves the process."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from opentelemetry import trace
from opentelemetry.trace import SpanContext
from pyramid.threadlocal import manager

from c2cotel import redaction

_SYSLOG_LEVELS = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG = 7
_ORIGIN = "c2c_origin"
"""The attribute of a record with the request and the span in which it was logged."""
_BARE_RECORD = vars(logging.LogRecord("", 0, "", 0, "", (), None))
_WITHOUT_EXTRAS = len(_BARE_RECORD) + 1
_STANDARD = frozenset(_BARE_RECORD) | {"message", "asctime", "taskName", _ORIGIN}
_NOTHING: dict[str, Any] = {}
_CONTAINERS = (dict, list, tuple, set, frozenset)


class RequestFields(dict[str, Any]):
    """What lines say about a request.

    Attributes:
        encoded: The same as a formatter writes it, once one has.
    """

    __slots__ = ("encoded",)

    encoded: bytes | None

    def __init__(self) -> None:
        super().__init__()
        self.encoded = None


Origin = tuple[RequestFields, SpanContext]
"""The request and the span in which a record was logged."""

_NO_REQUEST = RequestFields()
_KNOWN = "c2cotel.log"
"""Where the environ of a request keeps what lines say about it."""


def syslog_level(levelno: int) -> int:
    """The severity of RFC 5424 for a level of `logging`."""
    for lowest, severity in _SYSLOG_LEVELS:
        if levelno >= lowest:
            return severity
    return _DEBUG


def message_of(record: logging.LogRecord) -> str:
    """The message, secrets hidden; it never raises."""
    try:
        return _limited(record.getMessage())
    except Exception as error:  # noqa: BLE001  # a log call with wrong arguments must not stop the application
        shown = f"{as_plain(record.msg)} {as_plain(record.args)} [cannot be formatted: {type(error).__name__}]"
        return redaction.anywhere(shown)


def note_origins(watch: Callable[[logging.LogRecord], object] | None = None) -> Callable[[], None]:
    """Have every record carry the request and the span of the moment at which it is logged.

    So it keeps them behind a `MemoryHandler` or a `QueueHandler`. Returns what ends that.

    Args:
        watch: Called with each record that is made; it must not raise.
    """
    make = logging.getLogRecordFactory()

    def noted(*args: Any, **kwargs: Any) -> logging.LogRecord:
        record = make(*args, **kwargs)
        try:
            setattr(record, _ORIGIN, _origin_now())
        except Exception:  # noqa: BLE001  # a request or a span of the application's own kind: the record is made
            setattr(record, _ORIGIN, (_NO_REQUEST, trace.INVALID_SPAN_CONTEXT))
        if watch is not None:
            watch(record)
        return record

    logging.setLogRecordFactory(noted)

    def undo() -> None:
        if logging.getLogRecordFactory() is noted:  # else somebody put another one around it, which goes on
            logging.setLogRecordFactory(make)

    return undo


def origin_of(record: logging.LogRecord) -> Origin:
    """The request and the span in which a record was logged; those of now if nothing noted them."""
    origin: Origin | None = getattr(record, _ORIGIN, None)
    return _origin_now() if origin is None else origin


def _origin_now() -> Origin:
    span = trace.get_current_span()
    context = trace.INVALID_SPAN_CONTEXT if span is trace.INVALID_SPAN else span.get_span_context()
    return request_fields(), context


def error_of(record: logging.LogRecord) -> BaseException | None:
    """The exception that a record tells of; none if the record was made by hand with something else in its place."""
    info = record.exc_info
    # A record made by hand may have anything there, such as True.
    return info[1] if isinstance(info, tuple) else None


def stack_of(record: logging.LogRecord) -> str | None:
    """The stack trace of the exception that a record tells of, secrets hidden.

    What another formatter has left in `exc_text` counts only if the exception itself is gone: it may be shortened.
    """
    error = error_of(record)
    if error is not None:
        lines = traceback.format_exception(type(error), error, error.__traceback__)
        # The end of a stack tells most.
        return redaction.anywhere("".join(lines)[-redaction.LONGEST :].rstrip("\n"))
    return redaction.anywhere(record.exc_text) if isinstance(record.exc_text, str) and record.exc_text else None


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """Every ``extra=`` of a record, as `plain` has it; a text that is named like a secret is hidden."""
    fields = vars(record)
    if (len(fields) == _WITHOUT_EXTRAS and _ORIGIN in fields) or fields.keys() <= _STANDARD:
        return _NOTHING
    return {
        str(name): redaction.HIDDEN if value is not None and redaction.is_secret(str(name)) else as_plain(value)
        for name, value in fields.items()
        if name not in _STANDARD
    }


def request_fields() -> RequestFields:
    """Which request the current thread answers; empty outside of one."""
    stack = manager.stack
    request = stack[-1].get("request") if stack else None
    if request is None:
        return _NO_REQUEST
    environ = getattr(request, "environ", None)
    if not isinstance(environ, dict):
        return _NO_REQUEST
    remembered: tuple[Any, Any, RequestFields] | None = environ.get(_KNOWN)
    if (
        remembered is not None
        and remembered[0] is getattr(request, "matched_route", None)
        and remembered[1] is environ.get("PATH_INFO")  # a copy of the request may ask for another one
    ):
        return remembered[2]
    fields = RequestFields()
    try:
        if (address := _client_address(request)) is not None:
            fields["client_addr"] = address
        fields["method"] = request.method
        fields["path"] = _path(request)
        if (request_id := getattr(request, "c2c_request_id", None)) is not None:
            fields["request_id"] = request_id
        route = request.matched_route
        if route is not None:
            fields["matched_route"] = route.name
        if request_id is not None:
            environ[_KNOWN] = route, environ.get("PATH_INFO"), fields
    except Exception as error:  # noqa: BLE001  # a request of any kind, in any state
        fields.setdefault("path", f"[cannot be read: {type(error).__name__}]")
    return fields


def _client_address(request: Any) -> str | None:
    """The address of the client as proxies tell it; what is no address is somebody's text, and not shown."""
    for text in (request.client_addr, request.environ.get("REMOTE_ADDR")):
        if isinstance(text, str) and _is_address(text.strip()):
            return text.strip()
    return None


@lru_cache(maxsize=1024)
def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _path(request: Any) -> str:
    try:
        return redaction.anywhere(request.path)
    except UnicodeDecodeError:
        return redaction.path(request.environ)


def _limited(text: str) -> str:
    """A text without secrets, cut where it is longer than anybody reads; the cut comes first, or it would cost most."""
    if len(text) <= redaction.LONGEST:
        return redaction.anywhere(text)
    return f"{redaction.cut(text)} [{len(text) - redaction.LONGEST} characters more]"


def as_plain(value: Any) -> Any:
    """Strings, numbers and booleans as they are; anything else as text, so that an index never sees an object.

    A member of an enumeration of strings is its value, whatever it stands beside.
    """
    if isinstance(value, str):
        return _limited(value if value.__class__ is str else str.__str__(value))
    if isinstance(value, (bool, int, float)):
        return value
    try:
        # A container by the one recursion: its texts are looked at one by one, and its names.
        text = str(redaction.value(value)) if isinstance(value, _CONTAINERS) else str(value)
        return _limited(text)
    except Exception as error:  # noqa: BLE001  # any object may be logged
        return f"[{type(value).__name__} has no text: {type(error).__name__}]"
