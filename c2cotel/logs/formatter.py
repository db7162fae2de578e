"""Log records as JSON: the formatter, and the handler that writes its lines to a stream."""

from __future__ import annotations

import codecs
import copy
import json
import logging
import re
import socket
import sys
from typing import TYPE_CHECKING, Any, TextIO

import orjson

from c2cotel import redaction
from c2cotel.logs.record import extras_of, message_of, origin_of, stack_of, syslog_level

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # generic since Python 3.11 only

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ACTIVE = re.compile("[\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")
"""Controls of the second kind, invisible characters, marks of direction, line and paragraph separators."""
_CONTROLS = re.compile(f"[\x00-\x1f]|{_ACTIVE.pattern}")
_HOST = socket.gethostname()
_MOST_PLACES = 10_000
_ABOUT_SPAN = ("trace_id", "span_id")
_ABOUT_PLACE = ("level", "level_name", "logger_name", "source_facility", "host", "file", "line", "function", "pid")
_OURS = {"msg", "full_message", "timestamp", "process_name", "thread_name", *_ABOUT_PLACE}
_places: dict[tuple[Any, ...], bytes] = {}


class JsonFormatter(logging.Formatter):
    """One JSON object for each record, on one line, whatever text is in it; any handler may have it.

    Fields: ``msg``, ``full_message`` when it says more, ``level`` (syslog's number, RFC 5424) and ``level_name``,
    ``logger_name`` and ``source_facility``, ``host``, ``timestamp`` (seconds), ``file``, ``line``, ``function``,
    ``pid``, ``process_name``, ``thread_name``, every ``extra=``; inside a request ``client_addr``, ``method``,
    ``path``, ``matched_route``, ``request_id``; ``trace_id`` and ``span_id`` when a span is current.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; it never raises."""
        return line_of(record).decode()


class ConsoleFormatter(logging.Formatter):
    """Lines for people: a message cannot begin another line or move the cursor; secrets are hidden."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as a line, and the stack trace of its exception in further ones."""
        shown = copy.copy(record)
        shown.msg, shown.args = _CONTROLS.sub(_escape, message_of(record)), None
        shown.exc_text = stack_of(record)
        return super().format(shown)


_STREAMS = {"ext://sys.stdout": "stdout", "ext://sys.stderr": "stderr"}


class JsonLogHandler(_StreamHandler):
    """Writes `JsonFormatter`'s lines to a stream.

    Args:
        stream: where to; standard error when left out. In an ini, ``kwargs = {'stream': 'ext://sys.stdout'}`` names it.
    """

    def __init__(self, stream: TextIO | str | None = None) -> None:
        if isinstance(stream, str):
            if stream not in _STREAMS:
                raise ValueError(f"stream={stream!r}: expected one of {', '.join(_STREAMS)}, or a stream")
            opened: TextIO | None = getattr(sys, _STREAMS[stream])
        else:
            opened = stream
        super().__init__(opened)
        self.formatter = JsonFormatter()

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, escaped where the stream does not write UTF-8."""
        line = super().format(record)
        if line.isascii() or _writes_utf8(self.stream):
            return line
        return json.dumps(json.loads(line), separators=(",", ":"))


def _writes_utf8(stream: TextIO) -> bool:
    encoding = getattr(stream, "encoding", None)  # None where it takes text
    return not isinstance(encoding, str) or codecs.lookup(encoding).name == "utf-8"


def line_of(record: logging.LogRecord) -> bytes:
    """The record as JSON, made of pieces: what a place in the code says each time is encoded once. It never raises."""
    try:
        message = message_of(record)
        line = b'{"msg":' + _dumps(message)
        if record.exc_info or record.exc_text or record.stack_info:
            caller = redaction.anywhere(record.stack_info) if record.stack_info else None
            more = [part for part in (stack_of(record), caller) if part]
            line += b',"full_message":' + _dumps("\n".join([message, *more])) if more else b""
        line += _place(record) + b',"timestamp":' + orjson.dumps(record.created)
        about, context = origin_of(record)
        if about:
            if about.encoded is None:
                about.encoded = _members(about)
            line += about.encoded
        traced = context.is_valid
        if traced:
            line += b',"trace_id":"%032x","span_id":"%016x"' % (context.trace_id, context.span_id)
        if extras := extras_of(record):
            taken = {*_OURS, *about, *(_ABOUT_SPAN if traced else ())}
            line += _members({name: value for name, value in extras.items() if name not in taken})
        line += b"}"
        return line if line.isascii() and b"\x7f" not in line else _escaped(line)
    except Exception as error:  # noqa: BLE001  # whatever an object of the application does, the line is written
        shown = f"[a record that cannot be shown: {type(error).__name__}]"
        return _dumps({"msg": shown, "logger_name": str(record.name)})


def _place(record: logging.LogRecord) -> bytes:
    """What depends on where a record was made alone."""
    key = (
        record.lineno,
        record.pathname,
        record.funcName,
        record.levelno,
        record.levelname,
        record.name,
        record.process,
        record.processName,
        record.threadName,
    )
    members = _places.get(key)
    if members is None:
        members = _members(
            {
                "level": syslog_level(record.levelno),
                "level_name": record.levelname,
                "logger_name": record.name,
                "source_facility": record.name,
                "host": _HOST,
                "file": record.pathname,
                "line": record.lineno,
                "function": record.funcName,
                "pid": record.process,
                "process_name": record.processName,
                "thread_name": record.threadName,
            }
        )
        if len(_places) >= _MOST_PLACES:
            _places.clear()
        _places[key] = members
    return members


def _escaped(line: bytes) -> bytes:
    """The line without characters that a terminal or a viewer acts upon, such as U+009B, U+202E and U+2028."""
    return _ACTIVE.sub(_escape, line.decode()).encode()


def _escape(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def _members(fields: dict[str, Any]) -> bytes:
    """``,"name":value`` of each, to go on with an object."""
    return b"," + _dumps(fields)[1:-1] if fields else b""


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, UnicodeEncodeError):  # a lone surrogate, an integer of more than 64 bits, a subclass
        if isinstance(value, dict):
            return orjson.dumps({_encodable(name): _encodable(inner) for name, inner in value.items()})
        return orjson.dumps(_encodable(value))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", str(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if value.bit_length() <= 63 else str(value)  # noqa: PLR2004  # orjson's limit
    return float(value) if isinstance(value, float) else value
