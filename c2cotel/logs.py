"""Log handlers that say which request, trace and span a line belongs to.

In an ini::

    [handler_json]
    class = c2cotel.logs.JsonLogHandler
    args = (sys.stdout,)

    [handler_syslog]
    class = c2cotel.logs.PyramidCeeSysLogHandler
    args = (("syslog.example.com", 514),)
"""

from __future__ import annotations

import codecs
import json
import logging
import re
import socket
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import orjson
from opentelemetry import trace

from c2cotel import redaction
from c2cotel.log_fields import extras_of, message_of, request_fields, stack_of, syslog_level

__all__ = ["JsonFormatter", "JsonLogHandler", "PyramidCeeSysLogHandler", "init"]

if TYPE_CHECKING:
    _StreamHandler = logging.StreamHandler[TextIO]
else:
    _StreamHandler = logging.StreamHandler  # generic since Python 3.11 only

_CONSOLE = "%(asctime)s %(levelname)-8s %(name)s %(message)s"
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_HOST = socket.gethostname()
_LARGEST = 65_000
"""Bytes of a datagram; UDP over IPv4 carries 65,507."""
_LOOK_UP_AGAIN = 30.0
"""Seconds from one look-up of a server that is away to the next: each may take seconds of a request."""
_CUT = " [cut]"
_FACILITY_USER = 1


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
    """One JSON object for each record, on one line, whatever text is in it; any handler may have it.

    Fields: ``msg``, ``full_message`` when it says more, ``level`` (syslog's number, RFC 5424) and ``level_name``,
    ``logger_name`` and ``source_facility``, ``host``, ``timestamp`` (seconds), ``file``, ``line``, ``function``,
    ``pid``, ``process_name``, ``thread_name``, every ``extra=``; inside a request ``client_addr``, ``method``,
    ``path``, ``matched_route``, ``request_id``; ``trace_id`` and ``span_id`` when a span is current.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; it never raises."""
        return _line_of(record).decode()


class JsonLogHandler(_StreamHandler):
    """Writes `JsonFormatter`'s lines to a stream.

    Args:
        stream: where to; standard error when left out.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self.formatter = JsonFormatter()

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, escaped where the stream does not write UTF-8."""
        line = super().format(record)
        if line.isascii() or _writes_utf8(self.stream):
            return line
        return json.dumps(json.loads(line), separators=(",", ":"))


class PyramidCeeSysLogHandler(logging.Handler):
    """Sends records as CEE to syslog, a datagram each: ``<{pri}>: @cee: {json}`` and a NUL, facility user.

    A record too large for a datagram loses the ends of its longest texts. A server that is away costs the application
    nothing, and is told once on the standard error.

    Args:
        address: host and port of the syslog server.
    """

    def __init__(self, address: tuple[str, int] = ("localhost", 514)) -> None:
        super().__init__()
        self.address = (address[0], int(address[1]))
        self._away = False
        self._target: tuple[socket.socket, Any] | None = None
        self._look_up_at = 0.0

    def emit(self, record: logging.LogRecord) -> None:
        """Send a record; it never raises."""
        try:
            # The first colon keeps @cee out of the tag (RFC 3164).
            start = b"<%d>: @cee: " % (_FACILITY_USER * 8 + syslog_level(record.levelno))
            message = start + _datagram(_line_of(record), _LARGEST - len(start)) + b"\0"
            if (self._target is None or self._away) and time.monotonic() >= self._look_up_at:
                self._look_up()
            if self._target is None:
                return
            held, address = self._target
            held.sendto(message, address)
            self._away = False
        except OSError as error:
            if not self._away:
                self._away = True
                # Not through logging: this may be all the logging there is.
                print(f"syslog at {self.address} cannot be reached: {error} (told once)", file=sys.stderr)
        except Exception:  # noqa: BLE001  # as the standard library's handlers do
            self.handleError(record)

    def close(self) -> None:
        """Release the socket."""
        self._forget()
        super().close()

    def _look_up(self) -> None:
        self._look_up_at = time.monotonic() + _LOOK_UP_AGAIN
        family, kind, protocol, _, address = socket.getaddrinfo(*self.address, type=socket.SOCK_DGRAM)[0]
        made = socket.socket(family, kind, protocol)
        made.setblocking(False)
        self._forget()
        self._target = made, address

    def _forget(self) -> None:
        target, self._target = self._target, None
        if target is not None:
            target[0].close()


def _writes_utf8(stream: TextIO) -> bool:
    encoding = getattr(stream, "encoding", None)  # None where it takes text
    return not isinstance(encoding, str) or codecs.lookup(encoding).name == "utf-8"


def _datagram(line: bytes, largest: int) -> bytes:
    """A JSON object of at most `largest` bytes: its longest texts lose their ends, with a mark."""
    if len(line) <= largest:
        return line
    fields: dict[str, Any] = orjson.loads(line)
    for _ in fields:
        texts = {name: len(orjson.dumps(held)) for name, held in fields.items() if isinstance(held, str)}
        longest = max(texts, key=texts.__getitem__)
        fields[longest] = _shortened(fields[longest], texts[longest] - (len(line) - largest))
        line = orjson.dumps(fields)
        if len(line) <= largest:
            break
    return line


def _shortened(text: str, size: int) -> str:
    """The start of a text, with a mark, whose JSON has at most `size` bytes, or the mark alone."""
    size = max(0, size - len(_CUT) - 2)
    low, high = 0, min(len(text), size)
    while low < high:
        middle = (low + high + 1) // 2
        if len(orjson.dumps(text[:middle])) - 2 <= size:
            low = middle
        else:
            high = middle - 1
    return text[:low] + _CUT


def _line_of(record: logging.LogRecord) -> bytes:
    """The record as JSON, made of pieces: what a place in the code says each time is encoded once. It never raises."""
    try:
        message = message_of(record)
        line = b'{"msg":' + _dumps(message)
        if record.exc_info or record.exc_text or record.stack_info:
            caller = redaction.quickly(record.stack_info) if record.stack_info else None
            more = [part for part in (stack_of(record), caller) if part]
            line += b',"full_message":' + _dumps("\n".join([message, *more])) if more else b""
        line += _place(record) + b',"timestamp":' + orjson.dumps(record.created)
        about = request_fields()
        if about:
            if about.encoded is None:
                about.encoded = _members(about)
            line += about.encoded
        span = trace.get_current_span()
        traced = span is not trace.INVALID_SPAN and (context := span.get_span_context()).is_valid
        if traced:
            line += b',"trace_id":"%032x","span_id":"%016x"' % (context.trace_id, context.span_id)
        if extras := extras_of(record):
            taken = {*_OURS, *about, *(_ABOUT_SPAN if traced else ())}
            line += _members({name: held for name, held in extras.items() if name not in taken})
        return line + b"}"
    except Exception as error:  # noqa: BLE001  # whatever an object of the application does, the line is written
        shown = f"[a record that cannot be shown: {type(error).__name__}]"
        return _dumps({"msg": shown, "logger_name": str(record.name)})


_ABOUT_SPAN = ("trace_id", "span_id")
_ABOUT_PLACE = ("level", "level_name", "logger_name", "source_facility", "host", "file", "line", "function", "pid")
_OURS = {"msg", "full_message", "timestamp", "process_name", "thread_name", *_ABOUT_PLACE}
_places: dict[tuple[Any, ...], bytes] = {}
_MOST_PLACES = 10_000


def _place(record: logging.LogRecord) -> bytes:
    """What depends on where a record was made alone."""
    key = (
        record.lineno,
        record.pathname,
        record.funcName,
        record.levelno,
        record.name,
        record.process,
        record.threadName,
    )
    found = _places.get(key)
    if found is None:
        found = _members(
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
        _places[key] = found
    return found


def _members(fields: dict[str, Any]) -> bytes:
    """``,"name":value`` of each, to go on with an object."""
    return b"," + _dumps(fields)[1:-1] if fields else b""


def _dumps(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except (TypeError, UnicodeEncodeError):  # a lone surrogate, an integer of more than 64 bits, a subclass
        if isinstance(value, dict):
            return orjson.dumps({_encodable(name): _encodable(held) for name, held in value.items()})
        return orjson.dumps(_encodable(value))


def _encodable(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", str(value))
    if isinstance(value, int) and not isinstance(value, bool):
        return int(value) if value.bit_length() <= 63 else str(value)  # noqa: PLR2004  # orjson's limit
    return float(value) if isinstance(value, float) else value
