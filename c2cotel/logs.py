"""Log handlers that say which request, trace and span a line belongs to.

In an ini::

    [handler_json]
    class = c2cotel.logs.JsonLogHandler
    args = (sys.stdout,)
"""

from __future__ import annotations

import logging
import re
import socket
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import orjson
from opentelemetry import trace
from pyramid.threadlocal import get_current_request

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # generic since Python 3.11 only

_SYSLOG_LEVELS = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
)
_DEBUG = 7
_STANDARD = frozenset(vars(logging.LogRecord("", 0, "", 0, "", (), None))) | {"message", "asctime", "taskName"}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_CONSOLE = "%(asctime)s %(levelname)-8s %(name)s %(message)s"
_HOST = socket.gethostname()


def init(configfile: str | None = None) -> None:
    """Set up logging by an ini file, in a script or a worker; on the console where there is none that says how.

    Args:
        configfile: the ini, which may use every environment variable; when left out, the one that `C2COTEL_CONFIG`
            names, if it is there.

    Raises:
        SettingsError: the file that is named cannot be used.
    """
    from c2cotel import ini  # noqa: PLC0415  # most processes have their logging set up by others

    file = configfile or ini.path()
    named = configfile is not None or file != ini.DEFAULT
    if (named or Path(file).is_file()) and ini.set_up_logging(file):
        return
    logging.basicConfig(format=_CONSOLE, level=logging.INFO)


class JsonFormatter(logging.Formatter):
    """One JSON object for each record, on one line, whatever text is in it.

    Fields: ``msg``, ``full_message`` when it says more, ``level`` (syslog's number, RFC 5424) and ``level_name``,
    ``logger_name`` and ``source_facility``, ``host``, ``timestamp`` (seconds), ``file``, ``line``, ``function``,
    ``pid``, ``process_name``, ``thread_name``, every ``extra=``; inside a request ``client_addr``, ``method``,
    ``path``, ``matched_route``, ``request_id``; ``trace_id`` and ``span_id`` when a span is current.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; it never raises."""
        try:
            fields = _fields(record)
            try:
                return orjson.dumps(fields).decode()
            except (TypeError, UnicodeEncodeError):  # a lone surrogate, an integer of more than 64 bits, a subclass
                return orjson.dumps({_encodable(name): _encodable(value) for name, value in fields.items()}).decode()
        except Exception as error:  # noqa: BLE001  # whatever an object of the application does, the line is written
            return orjson.dumps(
                {"msg": f"[a record that cannot be shown: {type(error).__name__}]", "logger_name": str(record.name)}
            ).decode()


class JsonLogHandler(_StreamHandler):
    """Writes `JsonFormatter`'s lines to a stream.

    Args:
        stream: where to; standard error when left out.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.formatter = JsonFormatter()


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    message = _message(record)
    fields: dict[str, Any] = {"msg": message}
    full = _full_message(record, message)
    if full != message:
        fields["full_message"] = full
    fields.update(
        level=syslog_level(record.levelno),
        level_name=record.levelname,
        logger_name=record.name,
        source_facility=record.name,
        host=_HOST,
        timestamp=record.created,
        file=record.pathname,
        line=record.lineno,
        function=record.funcName,
        pid=record.process,
        process_name=record.processName,
        thread_name=record.threadName,
    )
    for name, value in vars(record).items():
        if name not in _STANDARD and name not in fields:
            fields[name] = _plain(value)
    _add_request(fields)
    context = trace.get_current_span().get_span_context()
    if context.is_valid:
        fields["trace_id"] = f"{context.trace_id:032x}"
        fields["span_id"] = f"{context.span_id:016x}"
    return fields


def syslog_level(levelno: int) -> int:
    """The severity of RFC 5424 for a level of `logging`."""
    for lowest, severity in _SYSLOG_LEVELS:
        if levelno >= lowest:
            return severity
    return _DEBUG


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:  # noqa: BLE001  # a log call with wrong arguments must not stop the application
        return f"{_plain(record.msg)} {_plain(record.args)} [cannot be formatted: {type(error).__name__}]"


def _full_message(record: logging.LogRecord, message: str) -> str:
    parts = [message]
    if record.exc_text:  # made already, at times with secrets hidden
        parts.append(record.exc_text)
    elif record.exc_info and record.exc_info[0] is not None:
        parts.append("".join(traceback.format_exception(*record.exc_info)).rstrip("\n"))
    if record.stack_info:
        parts.append(record.stack_info)
    return "\n".join(parts)


def _add_request(fields: dict[str, Any]) -> None:
    request = get_current_request()
    if request is None or not isinstance(getattr(request, "environ", None), dict):
        return
    try:
        fields["client_addr"] = request.client_addr
        fields["method"] = request.method
        fields["path"] = request.path
        if (known_id := getattr(request, "c2c_request_id", None)) is not None:
            fields["request_id"] = known_id
        route = request.matched_route
        if route is not None:
            fields["matched_route"] = route.name
    except Exception as error:  # noqa: BLE001  # a request of any kind, in any state
        fields.setdefault("path", f"[cannot be read: {error!r}]")


def _plain(value: Any) -> Any:
    """Strings, numbers and booleans as they are; anything else as text, so that an index never sees an object."""
    if isinstance(value, (bool, int, float, str)):
        return value
    try:
        return str(value)
    except Exception as error:  # noqa: BLE001  # any object may be logged
        return f"[{type(value).__name__} has no text: {error!r}]"


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("�", str(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if value.bit_length() <= 63 else str(value)  # noqa: PLR2004  # orjson's limit
    return float(value) if isinstance(value, float) else value
