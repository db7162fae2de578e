"""What a log record says, and about which request: the same for every way that it leaves the process."""

from __future__ import annotations

import logging
import traceback
from typing import Any

from pyramid.threadlocal import manager

from c2cotel import redaction

_SYSLOG_LEVELS = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG = 7
_PLAIN_RECORD = vars(logging.LogRecord("", 0, "", 0, "", (), None))
_WITHOUT_EXTRAS = len(_PLAIN_RECORD)
_STANDARD = frozenset(_PLAIN_RECORD) | {"message", "asctime", "taskName"}
_NOTHING: dict[str, Any] = {}


class RequestFields(dict[str, Any]):
    """What lines say about a request.

    Attributes:
        encoded: the same as a formatter writes it, once one has.
    """

    __slots__ = ("encoded",)

    encoded: bytes | None

    def __init__(self) -> None:
        super().__init__()
        self.encoded = None


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
        return redaction.quickly(record.getMessage())
    except Exception as error:  # noqa: BLE001  # a log call with wrong arguments must not stop the application
        shown = f"{as_plain(record.msg)} {as_plain(record.args)} [cannot be formatted: {type(error).__name__}]"
        return redaction.quickly(shown)


def stack_of(record: logging.LogRecord) -> str | None:
    """The stack trace of the exception that a record tells of, secrets hidden."""
    if record.exc_text:  # made already, at times with secrets hidden
        return redaction.quickly(record.exc_text)
    if record.exc_info and record.exc_info[0] is not None:
        return redaction.quickly("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
    return None


def extras_of(record: logging.LogRecord) -> dict[str, Any]:
    """Every ``extra=`` of a record, as `plain` has it; a text that is named like a secret is hidden."""
    fields = vars(record)
    if len(fields) == _WITHOUT_EXTRAS or fields.keys() <= _STANDARD:
        return _NOTHING
    extras = {str(name): as_plain(value) for name, value in fields.items() if name not in _STANDARD}
    for name, value in extras.items():
        if isinstance(value, str) and redaction.is_secret(name):
            extras[name] = redaction.HIDDEN
    return extras


def request_fields() -> RequestFields:
    """Which request the current thread answers; empty outside of one."""
    stack = manager.stack
    request = stack[-1]["request"] if stack else None
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
        fields["client_addr"] = request.client_addr
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
        fields.setdefault("path", f"[cannot be read: {error!r}]")
    return fields


def _path(request: Any) -> str:
    try:
        return redaction.quickly(request.path)
    except UnicodeDecodeError:
        return redaction.path(request.environ)


def as_plain(value: Any) -> Any:
    """Strings, numbers and booleans as they are; anything else as text, so that an index never sees an object."""
    if isinstance(value, str):
        return redaction.quickly(value)
    if isinstance(value, (bool, int, float)):
        return value
    try:
        return redaction.quickly(str(value))
    except Exception as error:  # noqa: BLE001  # any object may be logged
        return f"[{type(value).__name__} has no text: {error!r}]"
